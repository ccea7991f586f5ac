//! A pool to test the roles with: accounts on SQLite or PostgreSQL, a dev chain, and a node in front of it that does as it
//! is told: answers late, twice, never, or takes a transaction and forgets it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use ledger::local_postgres::database_for_a_test;
use ledger::nimiq::audit::audit;
use ledger::nimiq::payout_plan::{FeePayer, PayoutRules};
use ledger::nimiq::payout_state::PayoutState;
use ledger::nimiq::payout_threshold::Thresholds;
use ledger::nimiq::split::FeePpm;
use ledger::nimiq::store::Dialect;
use ledger::nimiq::window::WindowRule;
use ledger::nimiq::{Accounts, CreditRules, NewShare, ServerId};
use nimiq::{Address, BlockHash, Luna, Network, PrivateKey, ShareWeight};
use node::nimiq::NimiqConfig;
use node::{Credentials, NimiqClient, NimiqDevChain, NodeAddress, TlsTrust};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::duty::{DutyRole, DutyTerms};
use super::payout::signer::Signer;
use super::payout::{self, PayoutConfig};
use super::service::{self, ServiceConfig};
use crate::metrics::Metrics;

/// Long enough for anything that happens at all, on a machine that does ten other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs each test, an `async fn` that takes a [`TestPool`], on both stores.
macro_rules! on_both_stores {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::nimiq::test_pool::TestPool::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some(pool) = crate::nimiq::test_pool::TestPool::postgres().await {
                    super::$test(pool).await;
                }
            })+
        }
    };
}
pub(super) use on_both_stores;

/// What the node in front of the dev chain does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// Answers, without having done it.
    Pretend,
    /// Does it twice, answers once.
    Twice,
    /// Does it and never answers.
    Swallow,
    /// Never answers, and does nothing.
    Ignore,
    /// Does it, and answers so much later.
    Late(Duration),
    /// Says that it is invalid.
    Refuse,
    /// Answers with this number.
    Say(u32),
}

/// When the process that calls is to die.
#[derive(Debug, Clone)]
struct Death {
    /// At this call, counted from 0.
    call: u64,
    /// What the node still does with it.
    conduct: Conduct,
    /// Told when that call comes.
    notice: CancellationToken,
}

/// A node in front of the dev chain.
pub struct Front {
    chain: NimiqDevChain,
    address: SocketAddr,
    conducts: Mutex<HashMap<&'static str, Conduct>>,
    calls: AtomicU64,
    death: Mutex<Option<Death>>,
}

impl Front {
    async fn serve(chain: &NimiqDevChain, stop: &CancellationToken) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Arc::new(Self {
            chain: chain.clone(),
            address: listener.local_addr().unwrap(),
            conducts: Mutex::default(),
            calls: AtomicU64::new(0),
            death: Mutex::default(),
        });
        let answer = |State(front): State<Arc<Self>>, body: Bytes| async move { front.answer(body).await };
        let router = Router::new().fallback(answer).with_state(Arc::clone(&front));
        let stop = stop.clone();
        let serving = axum::serve(listener, router).into_future();
        tokio::spawn(async move { stop.run_until_cancelled(serving).await });
        front
    }

    /// A client that does not wait long.
    fn client(&self) -> NimiqClient {
        let address = NodeAddress {
            url: format!("http://{}", self.address),
            credentials: Credentials::None,
            trust: TlsTrust::default(),
        };
        let config = NimiqConfig::new(vec![address], Network::Dev);
        let time = Duration::from_secs(2);
        NimiqClient::new(NimiqConfig { query_time: time, work_time: time, ..config }).unwrap()
    }

    async fn answer(&self, body: Bytes) -> (StatusCode, String) {
        let call: Value = serde_json::from_slice(&body).unwrap();
        let method = call["method"].as_str().unwrap().to_owned();
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let death = self.death.lock().unwrap().clone().filter(|death| death.call <= number);
        if let Some(death) = death {
            if death.call == number && death.conduct == Conduct::Swallow {
                self.chain.answer(&body);
            }
            death.notice.cancel();
            std::future::pending::<()>().await;
        }
        let conduct = self.conducts.lock().unwrap().get(method.as_str()).copied();
        let chain = self.chain.clone();
        let act = |body: Bytes| tokio::task::spawn_blocking(move || chain.answer(&body).body);
        let result =
            |result: Value| serde_json::json!({"jsonrpc": "2.0", "id": "headframe", "result": result});
        let text = match conduct {
            None => act(body).await.unwrap(),
            Some(Conduct::Pretend) => result(Value::String("00".repeat(32))).to_string(),
            Some(Conduct::Say(number)) => result(Value::from(number)).to_string(),
            Some(Conduct::Refuse) => {
                serde_json::json!({"id": "headframe", "error": {"code": 1, "message": "Transaction invalid"}})
                    .to_string()
            }
            Some(Conduct::Twice) => {
                self.chain.answer(&body);
                act(body).await.unwrap()
            }
            Some(Conduct::Late(time)) => {
                let text = act(body).await.unwrap();
                tokio::time::sleep(time).await;
                text
            }
            Some(Conduct::Swallow) => {
                act(body).await.unwrap();
                std::future::pending().await
            }
            Some(Conduct::Ignore) => std::future::pending().await,
        };
        (StatusCode::OK, text)
    }

    /// From now on, calls of this method are treated so.
    pub fn treat(&self, method: &'static str, conduct: Conduct) {
        self.conducts.lock().unwrap().insert(method, conduct);
    }

    /// From now on, every call is answered as it should be.
    pub fn behave(&self) {
        self.conducts.lock().unwrap().clear();
        *self.death.lock().unwrap() = None;
    }

    /// The caller is to die at its `call`th call from now, whose answer nobody hears; the token tells when.
    pub fn die_at(&self, call: u64, conduct: Conduct) -> CancellationToken {
        let notice = CancellationToken::new();
        let call = self.calls.load(Ordering::SeqCst) + call;
        *self.death.lock().unwrap() = Some(Death { call, conduct, notice: notice.clone() });
        notice
    }
}

/// The pool.
pub struct TestPool {
    pub chain: NimiqDevChain,
    /// What the payout and the test ask.
    pub front: Arc<Front>,
    /// What the service asks.
    pub service_front: Arc<Front>,
    pub accounts: Accounts,
    pub metrics: Metrics,
    server: ServerId,
    next_share: AtomicU64,
    _stop: DropGuard,
    _folder: tempfile::TempDir,
}

pub fn key() -> PrivateKey {
    PrivateKey::new(&[9; 32])
}

/// Where the pool collects.
pub fn pool_address() -> Address {
    key().public_key().address()
}

/// A miner.
pub fn miner(number: u8) -> Address {
    Address([number; 20])
}

/// Somebody who mines for himself.
pub const STRANGER: Address = Address([0xee; 20]);

impl TestPool {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("accounts.db").display());
        Self::open(url, folder).await
    }

    pub async fn postgres() -> Option<Self> {
        Some(Self::open(database_for_a_test()?, tempfile::tempdir().unwrap()).await)
    }

    /// A new pool on the same engine.
    pub async fn another(&self) -> Self {
        match self.accounts.dialect() {
            Dialect::Sqlite => Self::sqlite().await,
            Dialect::Postgres => Self::postgres().await.unwrap(),
        }
    }

    async fn open(url: String, folder: tempfile::TempDir) -> Self {
        let accounts = Accounts::open(&url).await.unwrap();
        let server = accounts.server("server-1").await.unwrap();
        let chain = NimiqDevChain::open(&folder.path().join("chain")).unwrap();
        let stop = CancellationToken::new();
        let front = Front::serve(&chain, &stop).await;
        let service_front = Front::serve(&chain, &stop).await;
        Self {
            chain,
            front,
            service_front,
            accounts,
            metrics: Metrics::new(),
            server,
            next_share: AtomicU64::new(0),
            _stop: stop.drop_guard(),
            _folder: folder,
        }
    }

    /// A client of the node as the payout has it.
    pub fn node(&self) -> NimiqClient {
        self.front.client()
    }

    pub fn service_config(holder: &str) -> ServiceConfig {
        let window = WindowRule::Shares(NonZeroU64::new(10).unwrap());
        let rules =
            CreditRules { settle_after_ms: 0, ..CreditRules::new(FeePpm::new(10_000).unwrap(), window) };
        let duty = DutyTerms { lease: Duration::from_millis(900), ..DutyTerms::new(holder) };
        let poll = Duration::from_millis(20);
        ServiceConfig { poll, ..ServiceConfig::new(pool_address(), rules, duty) }
    }

    pub fn payout_config(holder: &str) -> PayoutConfig {
        let rules = PayoutRules {
            pool_address: pool_address(),
            thresholds: Thresholds {
                usual: Luna(5_000_000),
                least: Luna(1_000_000),
                most: Luna(1_000_000_000),
            },
            fee_per_byte: Luna(1),
            automatic_fee_payer: FeePayer::Pool,
            requested_fee_payer: FeePayer::User,
        };
        let duty = DutyTerms { lease: Duration::from_millis(900), ..DutyTerms::new(holder) };
        PayoutConfig {
            every: Duration::ZERO,
            poll: Duration::from_millis(20),
            resend: Duration::from_millis(100),
            ..PayoutConfig::new(rules, duty)
        }
    }

    pub fn service(&self, holder: &str) -> Running {
        Running::start(|stop| {
            let config = Self::service_config(holder);
            service::start(config, self.accounts.clone(), self.service_front.client(), &self.metrics, &stop)
        })
    }

    pub fn payout(&self, holder: &str) -> Running {
        self.payout_with(Self::payout_config(holder))
    }

    pub fn payout_with(&self, config: PayoutConfig) -> Running {
        Running::start(|stop| {
            let signer = Signer::Key(key());
            payout::start(config, signer, self.accounts.clone(), self.node(), &self.metrics, &stop)
        })
    }

    /// One share of each of these miners, on the head.
    pub async fn work(&self, miners: &[u8]) {
        let head = self.chain.head();
        let shares: Vec<_> = miners.iter().map(|number| self.share(*number, head.hash, None)).collect();
        assert_eq!(
            self.accounts.accept_shares(self.server, &shares).await.unwrap().credited,
            miners.len() as u64
        );
    }

    fn share(&self, number: u8, previous_block: BlockHash, hash: Option<BlockHash>) -> NewShare {
        let sequence = self.next_share.fetch_add(1, Ordering::SeqCst) + 1;
        let mut own = [0xaa; 32];
        own[..8].copy_from_slice(&sequence.to_be_bytes());
        NewShare {
            server_sequence: sequence,
            address: miner(number),
            device: 7,
            previous_block,
            hash: hash.unwrap_or(BlockHash(own)),
            weight: ShareWeight(1 << 20),
            accepted_at: crate::pay_maker::system_clock(),
        }
    }

    /// Blocks of strangers.
    pub fn bury(&self, count: u32) {
        self.chain.extend(STRANGER, count).unwrap();
    }

    /// A block of the pool, which miners 1 (six of ten shares) and 2 (four) have found.
    pub async fn earn(&self) -> BlockHash {
        self.work(&[1, 1, 1, 1, 1, 2, 2, 2, 2]).await;
        let previous = self.chain.head().hash;
        let hash = self.chain.extend(pool_address(), 1).unwrap().adopted[0];
        let share = self.share(1, previous, Some(hash));
        assert_eq!(self.accounts.accept_shares(self.server, &[share]).await.unwrap().credited, 1);
        hash
    }

    /// What a miner has in the accounts: balance and confirmed balance.
    pub async fn balance(&self, number: u8) -> (i64, i64) {
        let view = self.accounts.balance(miner(number)).await.unwrap();
        (view.balance, view.confirmed)
    }

    /// What a miner has on the chain.
    pub fn received(&self, number: u8) -> u64 {
        self.chain.balance(&miner(number)).0
    }

    /// How many payouts are in each state, by its name.
    pub async fn payouts(&self) -> HashMap<String, u64> {
        let figures = self.accounts.payout_figures().await.unwrap();
        figures.by_state.into_iter().map(|(state, (count, _))| (state, count)).collect()
    }

    /// Waits until exactly so many payouts were ever made, all in this state.
    pub async fn until_payouts_are(&self, count: u64, state: PayoutState) {
        self.until(&format!("{count} payouts to be {}", state.name()), async || {
            self.payouts().await == HashMap::from([(state.name().to_owned(), count)])
        })
        .await;
    }

    /// Whether the chain's mempool holds a transaction; asks past all misbehaviour.
    fn is_anything_waiting(&self) -> bool {
        let call = r#"{"jsonrpc": "2.0", "id": 1, "method": "mempoolContent", "params": [false]}"#;
        let answer: Value = serde_json::from_str(&self.chain.answer(call.as_bytes()).body).unwrap();
        answer["result"].as_array().is_some_and(|waiting| !waiting.is_empty())
    }

    /// Lets blocks come as they are needed, until so many payouts are final. None comes that the rest would miss.
    pub async fn until_final(&self, count: u64) {
        self.until(&format!("{count} payouts to be final"), async || {
            let payouts = self.payouts().await;
            let to_be_sent = payouts.contains_key("prepared") || payouts.contains_key("broadcast");
            if self.is_anything_waiting() {
                self.bury(1);
            } else if payouts.contains_key("mined") && !to_be_sent {
                self.bury(10);
            }
            payouts.get("confirmed") == Some(&count)
        })
        .await;
    }

    /// Waits for something to become true.
    pub async fn until(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let start = Instant::now();
        while !condition().await {
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the accounts have followed the chain to its head.
    pub async fn until_followed(&self) {
        self.until("the accounts to follow the chain", async || {
            let head = self.chain.head();
            self.accounts.main_chain(1).await.unwrap() == [(head.height, head.hash)]
        })
        .await;
    }

    /// A series of the figures.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.metrics.text();
        let line =
            text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        line?.parse().ok()
    }

    /// Everything is in order, by the second opinion.
    pub async fn assert_sound(&self) {
        let report = audit(&self.accounts).await.unwrap();
        assert_eq!(report.findings, Vec::<String>::new());
        let totals = self.accounts.totals().await.unwrap();
        assert_eq!(totals.values().sum::<i64>(), 0, "{totals:?}");
    }

    /// Every payout is in the chain at most once, and what miners received is what was debited.
    pub async fn assert_paid_once(&self, miners: &[u8]) {
        for number in miners {
            let payouts = self.accounts.payouts_to(miner(*number), 1000).await.unwrap();
            let settled = payouts.iter().filter(|payout| {
                matches!(payout.state, PayoutState::Mined { .. } | PayoutState::Confirmed { .. })
            });
            let booked: u64 = settled.map(|payout| payout.value.0).sum();
            assert_eq!(self.received(*number), booked, "miner {number}: {payouts:?}");
        }
        self.assert_sound().await;
    }
}

/// A role that runs.
pub struct Running {
    pub role: DutyRole,
    pub stop: CancellationToken,
}

impl Running {
    fn start(start: impl FnOnce(CancellationToken) -> DutyRole) -> Self {
        let stop = CancellationToken::new();
        Self { role: start(stop.clone()), stop }
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.role.stopped().await;
    }
}
