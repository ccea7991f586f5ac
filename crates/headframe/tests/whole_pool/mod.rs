//! `headframe up --mine`: a whole pool with its chains and miners in one process.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::time::Duration;

use nimiq::Address;
use serde_json::{Value, json};

use crate::sandbox::{Http, Program};

/// Who is credited for the Nimiq shares of `up --mine`.
const NIMIQ_MINER: Address = Address(*b"headframe's nimiq up");

/// The program, and where its parts answer.
pub struct Up {
    pub program: Program,
    pub http: Http,
    pub base: String,
    pub node: String,
    pub nimiq_node: String,
}

impl Up {
    pub fn start(data: &str) -> Self {
        Self::with(data, &[])
    }

    /// The same with other settings.
    pub fn with(data: &str, settings: &[&str]) -> Self {
        let usual = [
            "up",
            "--mine",
            "--data",
            data,
            "--listen",
            "127.0.0.1:0",
            "--dev-chain-listen",
            "127.0.0.1:0",
            "--set",
            "pay_maker.update_cycle=1",
            "--set",
            "mine.memory_mebibytes=64",
            "--set",
            "nimiq_dev_chain.listen=127.0.0.1:0",
            "--set",
            "nimiq_server.main.listen=127.0.0.1:0",
            "--set",
            "nimiq_service.confirmations=1",
            "--set",
            "nimiq_service.settle_after=0",
            "--set",
            "nimiq_payout.interval=10",
        ];
        let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let mut program = Program::headframe(&[&usual[..], &settings].concat());
        let url = |line: String| line[line.find("http://").unwrap()..].to_owned();
        let node = url(program.line(&["dev chain:", "pktd", "http://"]));
        let nimiq_node = url(program.line(&["Nimiq dev chain:", "http://"]));
        let line = program.line(&["Master:", "http://"]);
        let master = &line[line.find("http://").unwrap()..];
        let base = master.strip_suffix("/master").unwrap().to_owned();
        Self { program, http: Http::new(), base, node, nimiq_node }
    }

    pub fn height(&self) -> u64 {
        self.http.rpc(&self.node, "getblockcount", &json!([])).as_u64().unwrap()
    }

    pub fn nimiq_height(&self) -> u64 {
        self.http.nimiq_rpc(&self.nimiq_node, "blockNumber", &json!([])).as_u64().unwrap()
    }

    /// What the Nimiq miner has on the chain: only payouts bring it there.
    pub fn nimiq_paid(&self) -> u64 {
        let address = NIMIQ_MINER.to_string();
        self.http.nimiq_rpc(&self.nimiq_node, "getBalance", &json!([address])).as_u64().unwrap()
    }

    /// A block of somebody else's, without work.
    pub fn extend_nimiq_chain(&self) {
        let somebody = Address([7; 20]).to_string();
        self.http.nimiq_rpc(&self.nimiq_node, "devchain_extend", &json!([somebody, 1]));
        std::thread::sleep(Duration::from_secs(1));
    }

    pub fn nimiq_shares(&self) -> f64 {
        self.http.metric(&self.base, "headframe_nimiq_shares_accepted_total", "nano").unwrap_or(0.0)
    }

    /// Address and units of everybody whom the PayMaker wants to be paid.
    pub fn who_to_pay(&self) -> BTreeMap<String, u64> {
        let document = self.http.json(&format!("{}/paymaker/whotopay", self.base)).unwrap();
        let units = document["units"].as_object().unwrap();
        units.iter().map(|(address, units)| (address.clone(), units.as_u64().unwrap())).collect()
    }

    /// Address and base units of everybody whom a block pays.
    pub fn coinbase(&self, height: u64) -> BTreeMap<String, u64> {
        let hash = self.http.rpc(&self.node, "getblockhash", &json!([height]));
        let block = self.http.rpc(&self.node, "getblock", &json!([hash, true, true]));
        let outputs = block["rawtx"][0]["vout"].as_array().unwrap_or_else(|| panic!("{block}"));
        let pays = |output: &Value| {
            let units = output["svalue"].as_str().unwrap().parse().unwrap();
            (output["address"].as_str().unwrap().to_owned(), units)
        };
        outputs.iter().map(pays).collect()
    }
}
