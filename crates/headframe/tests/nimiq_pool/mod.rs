//! A Nimiq pool of real processes over a dev chain, with miners whose shares the test delivers itself, or that speak with
//! the server.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod client;
pub mod node_front;

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger::UnixMillis;
use ledger::local_postgres::{Durability, LocalPostgres};
use ledger::nimiq::audit::audit;
use ledger::nimiq::found_block::FoundState;
use ledger::nimiq::payout_state::PayoutState;
use ledger::nimiq::{Accounts, NewShare, ServerId};
use nimiq::{Address, BlockHash, PrivateKey, ShareWeight};
use node::NimiqDevChain;
use rand::RngExt;
use rand::rngs::StdRng;

use self::node_front::Front;
use crate::sandbox::{Http, Program, eventually, folder, free_ports};

/// Somebody who mines for himself.
pub const STRANGER: Address = Address([0xee; 20]);
/// The miners of the pool.
const MINERS: [u8; 2] = [1, 2];

/// The processes, and what they stand on.
pub struct Pool {
    pub runtime: tokio::runtime::Runtime,
    pub chain: NimiqDevChain,
    pub front: Arc<Front>,
    pub accounts: Accounts,
    /// URL of the accounts without a gate.
    url: String,
    /// Where the roles show their health and figures, by their names.
    figures: BTreeMap<&'static str, u16>,
    /// Where the server takes shares.
    pub port: u16,
    server: ServerId,
    next_share: u64,
    running: BTreeMap<&'static str, Program>,
    configuration: String,
    postgres: Option<LocalPostgres>,
    http: Http,
    folder: tempfile::TempDir,
}

pub fn miner(number: u8) -> Address {
    Address([number; 20])
}

fn now() -> UnixMillis {
    UnixMillis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

impl Pool {
    /// `None`, and a line that says so, where PostgreSQL is not installed.
    pub fn on_postgres() -> Option<Self> {
        if !LocalPostgres::is_there_for_tests() {
            return None;
        }
        let postgres = LocalPostgres::start(Durability::Fast).unwrap();
        let url = postgres.new_database().unwrap();
        Some(Self::new(folder(), format!("{url}?sslmode=disable"), Some(postgres)))
    }

    pub fn on_sqlite() -> Self {
        let (guard, path) = folder();
        let url = format!("sqlite://{}", path.join("accounts.db").display());
        Self::new((guard, path), url, None)
    }

    fn new(
        (guard, path): (tempfile::TempDir, PathBuf),
        url: String,
        postgres: Option<LocalPostgres>,
    ) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let chain = NimiqDevChain::open(&path.join("chain")).unwrap();
        chain.extend(STRANGER, 3).unwrap();
        let front = Front::start(&runtime, &chain);
        let accounts = runtime.block_on(Accounts::open(&url)).unwrap();
        let server = runtime.block_on(accounts.server("server-1")).unwrap();
        let key = path.join("pool.key");
        std::fs::write(&key, hex::encode([9; 32])).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let [port, server_figures, service, payout] = free_ports();
        let configuration = path.join("pool.toml");
        let text = format!(
            r#"
            [pool]
            data = "{data}"
            [nimiq]
            network = "dev"
            address = "{address}"
            [[nimiq_node]]
            url = "http://{node}"
            [[nimiq_server]]
            name = "main"
            listen = "127.0.0.1:{port}"
            metrics_listen = "127.0.0.1:{server_figures}"
            shares_per_second = 1000
            least_difficulty = 0.0005
            dumb_start_difficulty = 0.0005
            threads = 1
            [nimiq_service]
            metrics_listen = "127.0.0.1:{service}"
            settle_after = 0
            [nimiq_payout]
            metrics_listen = "127.0.0.1:{payout}"
            key_file = "{key}"
            interval = 0
            "#,
            data = path.join("data").display(),
            address = Self::address(),
            node = front.address,
            key = key.display(),
        );
        std::fs::write(&configuration, text).unwrap();
        Self {
            runtime,
            chain,
            front,
            accounts,
            url,
            figures: BTreeMap::from([("server", server_figures), ("service", service), ("payout", payout)]),
            port,
            server,
            next_share: 0,
            running: BTreeMap::new(),
            configuration: configuration.to_str().unwrap().to_owned(),
            postgres,
            http: Http::new(),
            folder: guard,
        }
    }

    /// Where the pool collects.
    pub fn address() -> Address {
        PrivateKey::new(&[9; 32]).public_key().address()
    }

    /// A role's command with more arguments, as an operator would type it.
    pub fn command(&self, role: &str, more: &[&str]) -> Program {
        let accounts = format!("nimiq.accounts={}", self.url);
        let arguments = ["nimiq", role, "--config", &self.configuration, "--set", &accounts];
        Program::headframe(&[&arguments, more].concat())
    }

    /// The file with the pool's key.
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("pool.key")
    }

    /// Adds a line to a section of the configuration.
    pub fn configure(&self, section: &str, line: &str) {
        let header = format!("[{section}]");
        self.rewrite(|text| text.replace(&header, &format!("{header}\n{line}")));
    }

    /// Takes a key out of the configuration.
    pub fn configure_without(&self, key: &str) {
        self.rewrite(|text| {
            let kept = text.lines().filter(|line| !line.trim_start().starts_with(key));
            kept.collect::<Vec<_>>().join("\n")
        });
    }

    fn rewrite(&self, change: impl Fn(&str) -> String) {
        let text = std::fs::read_to_string(&self.configuration).unwrap();
        let changed = change(&text);
        assert_ne!(changed, text);
        std::fs::write(&self.configuration, changed).unwrap();
    }

    /// Starts a role; its way to PostgreSQL may lead through a gate.
    pub fn start(&mut self, role: &'static str, gate: Option<u16>) {
        let url = match gate {
            Some(port) => self.url.replace(&format!(":{}/", self.postgres_port()), &format!(":{port}/")),
            None => self.url.clone(),
        };
        let set = format!("nimiq.accounts={url}");
        let arguments = ["nimiq", role, "--config", &self.configuration, "--set", &set];
        self.running.insert(role, Program::headframe_with_small_files(&arguments));
    }

    /// No file of this role may grow past so many bytes, as if the disk were full.
    pub fn limit_files(&self, role: &str, bytes: Option<u64>) {
        self.running[role].limit_files(bytes);
    }

    /// What `/healthz` of a running role says of its troubles; nothing if it is well.
    pub fn trouble(&self, role: &str) -> String {
        let health = eventually("a role to say how it is", || {
            self.http.json_whatever_the_status(&format!("http://127.0.0.1:{}/healthz", self.figures[role]))
        });
        health["roles"][0]["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// Where each role shows its figures.
    pub fn figures(&self) -> Vec<String> {
        self.figures.values().map(|port| format!("127.0.0.1:{port}")).collect()
    }

    /// `kill -9`
    pub fn kill(&mut self, role: &'static str) {
        self.running.remove(role).unwrap().kill();
    }

    /// ^C, and waits for its end.
    pub fn stop(&mut self, role: &'static str) {
        let mut program = self.running.remove(role).unwrap();
        program.interrupt();
        program.wait();
    }

    pub fn kill_and_restart(&mut self, role: &'static str, random: &mut StdRng) {
        self.kill(role);
        std::thread::sleep(Duration::from_millis(random.random_range(0..800)));
        self.start(role, None);
    }

    pub fn postgres_port(&self) -> u16 {
        let (_, rest) = self.url.rsplit_once(':').unwrap();
        rest.split('/').next().unwrap().parse().unwrap()
    }

    pub fn kill_postgres(&mut self) {
        self.postgres.as_mut().unwrap().kill().unwrap();
    }

    pub fn restart_postgres(&mut self) {
        self.postgres.as_mut().unwrap().restart().unwrap();
    }

    /// Asks the accounts until they answer: their database may just have died.
    pub fn ask<T, E>(&self, what: &str, mut ask: impl AsyncFnMut(&Accounts) -> Result<T, E>) -> T {
        eventually(what, || self.runtime.block_on(ask(&self.accounts)).ok())
    }

    /// Blocks of strangers.
    pub fn bury(&self, count: u32) {
        self.chain.extend(STRANGER, count).unwrap();
    }

    /// A block of the pool, which both miners have found.
    pub fn earn(&mut self) -> BlockHash {
        let previous = self.chain.head().hash;
        let found = self.chain.extend(Self::address(), 1).unwrap().adopted[0];
        let shares = [(1, None), (1, None), (2, None), (2, None), (1, Some(found))];
        let shares = shares.map(|(number, hash)| self.share(number, previous, hash));
        // Again and again until it is answered, as a server does: what was stored already counts once.
        self.ask("shares to be stored", async |accounts| accounts.accept_shares(self.server, &shares).await);
        found
    }

    fn share(&mut self, number: u8, previous_block: BlockHash, hash: Option<BlockHash>) -> NewShare {
        self.next_share += 1;
        let mut own = [0xaa; 32];
        own[..8].copy_from_slice(&self.next_share.to_be_bytes());
        NewShare {
            server_sequence: self.next_share,
            address: miner(number),
            device: 7,
            previous_block,
            hash: hash.unwrap_or(BlockHash(own)),
            weight: ShareWeight(1 << 20),
            accepted_at: now(),
        }
    }

    /// Until both miners can be paid.
    pub fn earn_and_mature(&mut self) {
        self.until_followed();
        self.earn();
        self.bury(10);
        eventually("the credits to mature", || {
            let balance = self.ask("a balance", async |accounts| accounts.balance(miner(2)).await);
            (balance.confirmed > 0).then_some(())
        });
    }

    /// Whether the accounts have the chain's head.
    pub fn is_followed(&self) -> bool {
        let head = self.chain.head();
        let known = self.ask("the main chain", async |accounts| accounts.main_chain(1).await);
        known.first() == Some(&(head.height, head.hash))
    }

    /// Whether nothing is left to book; `mature`: also in time.
    pub fn is_settled(&self, mature: bool) -> bool {
        let states = self.ask("the blocks", async |accounts| accounts.blocks_by_state().await);
        let open = |state| states.contains_key(&state);
        self.is_followed() && !open(FoundState::Found) && !(mature && open(FoundState::Immature))
    }

    pub fn until_followed(&self) {
        eventually("the service to follow the chain", || self.is_followed().then_some(()));
    }

    /// What both miners have in the accounts, paid or not.
    pub fn credited(&self) -> i64 {
        let balances = MINERS.map(|number| {
            self.ask("a balance", async |accounts| accounts.balance(miner(number)).await).balance
        });
        balances.iter().sum()
    }

    /// Payouts by state.
    fn payouts(&self) -> HashMap<String, u64> {
        let figures = self.ask("the payouts", async |accounts| accounts.payout_figures().await);
        figures.by_state.into_iter().map(|(state, (count, _))| (state, count)).collect()
    }

    /// Whether no payout is under way and nobody is due one.
    pub fn all_is_final(&self) -> bool {
        // Balances first: what has left one by then is among the payouts.
        self.nobody_waits() && {
            let payouts = self.payouts();
            !["prepared", "broadcast", "mined"].iter().any(|state| payouts.contains_key(*state))
        }
    }

    /// Whether nobody has a balance that a payout is due for.
    pub fn nobody_waits(&self) -> bool {
        MINERS.iter().all(|number| {
            let balance = self.ask("a balance", async |accounts| accounts.balance(miner(*number)).await);
            balance.confirmed <= 5_000_000
        })
    }

    /// Lets blocks come as payouts need them, until something is true; gives true.
    pub fn live_until(&self, condition: impl Fn(&Self) -> bool) -> bool {
        let mut idle = 0;
        eventually("the payouts", || {
            if condition(self) {
                return Some(true);
            }
            idle += 1;
            let payouts = self.payouts();
            let to_be_sent = payouts.contains_key("prepared") || payouts.contains_key("broadcast");
            // What can no longer be mined needs blocks to expire.
            if self.is_anything_waiting() || idle % 50 == 0 {
                self.bury(1);
            } else if payouts.contains_key("mined") && !to_be_sent {
                self.bury(10);
                std::thread::sleep(Duration::from_millis(500));
            }
            None
        })
    }

    /// Whether the node has transactions that are not mined.
    pub fn is_anything_waiting(&self) -> bool {
        let call = r#"{"jsonrpc": "2.0", "id": 1, "method": "mempoolContent", "params": [false]}"#;
        let answer: serde_json::Value =
            serde_json::from_str(&self.chain.answer(call.as_bytes()).body).unwrap();
        answer["result"].as_array().is_some_and(|waiting| !waiting.is_empty())
    }

    /// What every miner has on the chain is what was paid to it by the book, and the books balance.
    pub fn assert_paid_once(&self) {
        for number in MINERS {
            let payouts =
                self.ask("payouts", async |accounts| accounts.payouts_to(miner(number), 10_000).await);
            let settled = payouts.iter().filter(|payout| {
                matches!(payout.state, PayoutState::Mined { .. } | PayoutState::Confirmed { .. })
            });
            let booked: u64 = settled.map(|payout| payout.value.0).sum();
            assert_eq!(self.chain.balance(&miner(number)).0, booked, "miner {number}: {payouts:?}");
            assert!(payouts.iter().all(|payout| payout.state != PayoutState::Review), "{payouts:?}");
        }
        self.assert_sound();
    }

    /// The second opinion has nothing to say.
    pub fn assert_sound(&self) {
        let report = self.ask("the audit", async |accounts| audit(accounts).await);
        assert_eq!(report.findings, Vec::<String>::new());
    }

    /// The operator's own check has nothing to say either.
    pub fn verify(&self) {
        let mut program = Program::headframe(&["ledger", "verify", "--store", &self.url]);
        assert!(program.wait().success());
        program.line(&["entries", "0 findings"]);
    }
}
