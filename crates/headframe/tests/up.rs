//! `headframe up --mine` from an empty folder, as the README promises: announcements, shares and blocks are accepted,
//! the blocks pay the miners as the PayMaker shows, ^C drains, and the next start goes on with the same chain and
//! ledger.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;

use std::collections::BTreeMap;

use sandbox::{Http, Program, eventually, folder};
use serde_json::{Value, json};

/// Units of a distribution (docs/protocol/packetcrypt-pool.md 11.10).
const UNITS: u64 = 1_000_000_000_000;

struct Up {
    program: Program,
    http: Http,
    base: String,
    node: String,
}

impl Up {
    fn start(data: &str) -> Self {
        let mut program = Program::headframe(&[
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
        ]);
        let line = program.line(&["dev chain:", "http://"]);
        let node = line[line.find("http://").unwrap()..].to_owned();
        let line = program.line(&["Master:", "http://"]);
        let master = &line[line.find("http://").unwrap()..];
        let base = master.strip_suffix("/master").unwrap().to_owned();
        Self { program, http: Http::new(), base, node }
    }

    fn height(&self) -> u64 {
        self.http.rpc(&self.node, "getblockcount", &json!([])).as_u64().unwrap()
    }

    /// Address and units of everybody whom the PayMaker wants to be paid.
    fn who_to_pay(&self) -> BTreeMap<String, u64> {
        let document = self.http.json(&format!("{}/paymaker/whotopay", self.base)).unwrap();
        let units = document["units"].as_object().unwrap();
        units.iter().map(|(address, units)| (address.clone(), units.as_u64().unwrap())).collect()
    }

    /// Address and base units of everybody whom a block pays.
    fn coinbase(&self, height: u64) -> BTreeMap<String, u64> {
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

#[test]
fn a_pool_mines_pays_stops_and_goes_on() {
    let (_folder, path) = folder();
    let data = path.to_str().unwrap();
    let mut up = Up::start(data);

    // Announcements, shares, blocks.
    let accepted = |name: &str| up.http.metric(&up.base, name, "").unwrap_or(0.0);
    eventually("announcements to be accepted", || {
        (accepted("headframe_announcements_accepted_total") > 0.0).then_some(())
    });
    let tables = watch_until_both_miners_are_paid(&up);
    let health = up.http.get(&format!("{}/healthz", up.base)).unwrap();
    assert!(health.contains("\"ok\""), "{health}");

    // The coinbase of the newest block divides what is not the steward's as a table that was shown.
    let height = up.height();
    let coinbase = up.coinbase(height);
    assert!(
        tables.iter().any(|table| pays_as_shown(&coinbase, table)),
        "the block at {height} pays {coinbase:?}, which was never shown; the last table shown: {:?}",
        tables.last()
    );

    // ^C drains and ends well; what was known is known again.
    up.program.interrupt();
    let status = up.program.wait();
    assert!(status.success(), "{status}");
    let hash_of = |up: &Up, height: u64| up.http.rpc(&up.node, "getblockhash", &json!([height]));
    let paid_before = tables.last().unwrap().keys().cloned().collect::<Vec<_>>();
    drop(up);

    let again = Up::start(data);
    let _ = hash_of(&again, height);
    eventually("the ledger to be loaded", || {
        let paid = again.http.json(&format!("{}/paymaker/whotopay", again.base))?;
        paid_before.iter().all(|address| paid["result"].get(address).is_some()).then_some(())
    });
    eventually("the chain to go on", || (again.height() > height).then_some(()));
}

/// Collects the tables that the PayMaker shows until a block was found while both miners were in one.
fn watch_until_both_miners_are_paid(up: &Up) -> Vec<BTreeMap<String, u64>> {
    let mut tables: Vec<BTreeMap<String, u64>> = Vec::new();
    let mut height_with_both = None;
    eventually("a block that pays both miners", || {
        let table = up.who_to_pay();
        if tables.last() != Some(&table) {
            tables.push(table);
        }
        let height = up.height();
        if tables.last().is_some_and(|table| table.len() >= 3) {
            height_with_both.get_or_insert(height);
        }
        // One block more than the one whose template may have been made before.
        (up.coinbase(height).len() >= 4 && height_with_both.is_some_and(|both| height > both + 1))
            .then_some(())
    });
    tables
}

/// Whether a coinbase gives everybody in the table their part; each amount may be rounded by a base unit.
fn pays_as_shown(coinbase: &BTreeMap<String, u64>, table: &BTreeMap<String, u64>) -> bool {
    let pool: Vec<_> = coinbase.iter().filter(|(address, _)| table.contains_key(*address)).collect();
    let reward: u64 = pool.iter().map(|(_, amount)| **amount).sum();
    let rounding = table.len() as u64;
    pool.len() == table.len()
        && pool.iter().all(|(address, amount)| {
            let part = u128::from(reward) * u128::from(table[*address]) / u128::from(UNITS);
            (part as u64).abs_diff(**amount) <= rounding
        })
}
