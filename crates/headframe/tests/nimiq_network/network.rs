//! A private network of real nodes, started for one test.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nimiq::argon2d::Hasher;
use nimiq::{Address, Block, ExtraData, Header, Height, Network as Chain, Timestamp};
use node::nimiq::{NimiqConfig, NodeTemplate};
use node::{Credentials, NimiqClient, NodeAddress, TlsTrust};
use serde_json::{Value, json};

use crate::sandbox::{Http, Program, free_ports};

/// The folder with the JavaScript packages, if the tests are to run.
fn packages(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("NIMIQ_CORE_FOLDER").map(PathBuf::from);
    if folder.is_none() {
        println!("SKIPPED {test}: NIMIQ_CORE_FOLDER names no folder (cargo xtask test installs one)");
    }
    folder
}

/// One of the JavaScript programs beside these tests, which trusts a certificate beside those of public authorities.
fn javascript(packages: &Path, program: &str, arguments: &[&str], certificate: Option<&Path>) -> Program {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nimiq_network/peers");
    let script = peers.join(program).to_str().unwrap().to_owned();
    let arguments: Vec<&str> = std::iter::once(script.as_str()).chain(arguments.iter().copied()).collect();
    let mut environment = vec![("NODE_PATH", packages.as_os_str())];
    environment.extend(certificate.map(|file| ("NODE_EXTRA_CA_CERTS", file.as_os_str())));
    Program::with_environment("node".as_ref(), &arguments, &environment)
}

/// How long a stock miner may take to find consensus, mostly some seconds, before it is started anew.
const CONSENSUS_PATIENCE: Duration = Duration::from_secs(60);
/// How often it is started.
const STARTS: usize = 4;

/// Two real nodes that have consensus, and the first one's RPC.
pub struct Network {
    _program: Program,
    http: Http,
    runtime: tokio::runtime::Runtime,
    packages: PathBuf,
    p2p: u16,
    /// The key by which clients know the first node.
    seed_key: String,
    /// Where the first node's RPC is.
    pub url: String,
}

/// What a node says of a block that is given to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pushed {
    /// It knows no predecessor.
    Orphan,
    /// It breaks a rule.
    Invalid,
    /// It was there.
    Known,
    /// It is the new head.
    Extended,
    /// It is the new head, on another branch than the last.
    Rebranched,
    /// It is on a branch that is not the heaviest.
    Forked,
}

impl Network {
    /// Starts one, if the tests are to run.
    pub fn start(test: &str) -> Option<Self> {
        let packages = packages(test)?;
        let [p2p, rpc] = free_ports();
        let mut program = javascript(&packages, "network.js", &[&p2p.to_string(), &rpc.to_string()], None);
        let ready: Value = serde_json::from_str(&program.line(&["publicKey"])).unwrap();
        let seed_key = ready["publicKey"].as_str().unwrap().to_owned();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let url = format!("http://127.0.0.1:{rpc}");
        Some(Self { _program: program, http: Http::new(), runtime, packages, p2p, seed_key, url })
    }

    /// Starts a stock miner, which follows the chain by the first node; its pool is on this machine, and shows this
    /// certificate. It has consensus. One whose first connection failed, for want of processor time, would leave its only
    /// peer alone for many minutes: that one is started anew.
    pub fn stock_miner(&self, mode: &str, pool: u16, certificate: &Path, payee: &Address) -> Program {
        let (p2p, pool) = (self.p2p.to_string(), pool.to_string());
        let arguments = [mode, &p2p, &self.seed_key, &pool, &payee.to_string()];
        let start = || javascript(&self.packages, "miner.js", &arguments, Some(certificate));
        for _ in 0..STARTS {
            let miner = start();
            if miner.has_line(&["consensus at"], CONSENSUS_PATIENCE) {
                return miner;
            }
        }
        panic!("{STARTS} times the {mode} miner had no consensus after {} s", CONSENSUS_PATIENCE.as_secs());
    }

    /// Starts a client that asks the pool to be paid at once.
    pub fn payout_request(&self, pool: u16, certificate: &Path, private_key: &[u8; 32]) -> Program {
        let arguments = [&pool.to_string()[..], &hex::encode(private_key)];
        javascript(&self.packages, "payout_request.js", &arguments, Some(certificate))
    }

    /// Our client of the first node.
    pub fn client(&self) -> NimiqClient {
        let address =
            NodeAddress { url: self.url.clone(), credentials: Credentials::None, trust: TlsTrust::default() };
        let config = NimiqConfig::new(vec![address], Chain::Dev);
        let patience = Duration::from_secs(60);
        NimiqClient::new(NimiqConfig { query_time: patience, work_time: patience, ..config }).unwrap()
    }

    /// Waits for what a client does.
    pub fn wait<T>(&self, doing: impl Future<Output = T>) -> T {
        self.runtime.block_on(doing)
    }

    /// The whole reply to a call.
    pub fn reply(&self, method: &str, params: &Value) -> Value {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let (_, reply) = self.http.post(&self.url, &[], call.to_string().into_bytes()).unwrap();
        serde_json::from_str(&reply).unwrap()
    }

    /// The result of a call that must have one.
    pub fn call(&self, method: &str, params: &Value) -> Value {
        let mut reply = self.reply(method, params);
        assert!(reply["error"].is_null(), "{method}: {}", reply["error"]);
        reply["result"].take()
    }

    /// Gives the node a block, whatever it is built on.
    pub fn push(&self, block: &Block) -> Pushed {
        let pushed = self.call("test.push", &json!([hex::encode(block.to_bytes())]));
        serde_json::from_value(pushed).unwrap()
    }

    /// Gives the node blocks of its chain, which it must take.
    pub fn extend(&self, blocks: &[Block]) {
        for block in blocks {
            assert_eq!(self.push(block), Pushed::Extended, "block {}", block.header.height);
        }
    }

    /// A block of the chain as the node has it.
    pub fn block(&self, height: Height) -> Block {
        let digits = self.call("test.raw", &json!([height.0]));
        Block::parse(&hex::decode(digits.as_str().unwrap()).unwrap()).unwrap()
    }
}

/// The first blocks of a chain that real nodes and miners made, without the genesis block.
pub fn recorded_chain() -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/nimiq/chain-dev.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let block = |entry: &Value| hex::decode(entry["block"].as_str().unwrap()).unwrap();
    let blocks = file["blocks"].as_array().unwrap();
    blocks[1..].iter().map(|entry| Block::parse(&block(entry)).unwrap()).collect()
}

/// The block of a template with this extra data, and without work.
pub fn without_work(template: &NodeTemplate, extra_data: &[u8]) -> Block {
    let mut body = template.body.clone();
    body.extra_data = ExtraData::cut(extra_data);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let header = Header {
        previous: template.previous,
        interlink_hash: template.interlink_hash,
        body_hash: body.hash(),
        accounts_hash: template.accounts_hash,
        target: template.target,
        height: template.height,
        timestamp: Timestamp(now.try_into().unwrap()),
        nonce: 0,
    };
    Block { header, interlink: template.interlink.clone(), body }
}

/// The same with work: mined on two threads.
pub fn mined(template: &NodeTemplate, extra_data: &[u8]) -> Block {
    const AT_ONCE: u32 = 256;
    let mut block = without_work(template, extra_data);
    let (header, target) = (block.header.to_bytes(), block.header.target.target());
    let found = AtomicBool::new(false);
    let search = |first: u32| {
        let mut hasher = Hasher::new();
        (first..u32::MAX / AT_ONCE).step_by(2).find_map(|round| {
            if found.load(Ordering::Relaxed) {
                return None;
            }
            let nonces = round * AT_ONCE..=round * AT_ONCE + (AT_ONCE - 1);
            let (nonce, _) = hasher.mine(&header, nonces, &target)?;
            found.store(true, Ordering::Relaxed);
            Some(nonce)
        })
    };
    let nonce = std::thread::scope(|scope| {
        let other = scope.spawn(|| search(1));
        search(0).or(other.join().unwrap())
    });
    block.header.nonce = nonce.expect("about every 65,536th nonce is good");
    block
}
