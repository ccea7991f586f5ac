//! The running server: what it is started with, what its connections share, and how it stops.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use ledger::nimiq::{Accounts, AccountsError};
use nimiq::Address;
use node::NimiqClient;
use node::nimiq::FollowSettings;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::board::Board;
use super::clock;
use super::delivery::Deliverer;
use super::door::{AdmissionLimits, Door};
use super::figures::Figures;
use super::hashing::Hashing;
use super::heads::HeadKeeper;
use super::journal::Replay;
use super::routes;
use super::seen::Seen;
use super::session_nonces::SessionNonces;
use super::share_budget::ShareBudget;
use super::share_intake::ShareNumbers;
use super::submission::Submissions;
use super::terms::Terms;
use super::unknown_heads::UnknownHeads;
use crate::admission::Admission;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::outbox::{Outbox, OutboxConfig, OutboxError};
use crate::parts::Parts;
use crate::received_work::ReceivedWork;

/// Bytes of shares in one segment of the outbox, so that a delivery is one transaction of some thousand shares.
const SEGMENT_BYTES: u64 = 256 << 10;
/// How long shares wait for others to share a sync with. No client waits for an answer to a share that counts.
const GATHER_TIME: Duration = Duration::from_millis(1);
/// Time that connections, blocks and bans have to come to an end when the server stops.
const LAST_TASKS: Duration = Duration::from_secs(20);
/// Under what `/healthz` names the disk.
const DISK: &str = "disk";

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct NimiqServerConfig {
    /// Its name among the servers of the pool: shares are numbered under it.
    pub name: String,
    /// Folder of its own for shares and blocks; one process at a time.
    pub folder: PathBuf,
    /// What the pool offers.
    pub terms: Arc<Terms>,
    /// How the head is followed.
    pub follow: FollowSettings,
    /// Threads that compute proofs of work.
    pub hashing_threads: NonZeroUsize,
    /// Who may connect.
    pub limits: AdmissionLimits,
    /// What clients may cost, and who is banned.
    pub admission: Arc<Admission>,
    /// How long things may take.
    pub times: Times,
    /// How long shares wait for others to be delivered with them.
    pub segment_time: Duration,
}

/// How long things may take, and how often others happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Until a client has registered.
    pub register: Duration,
    /// Without an accepted share.
    pub silence: Duration,
    /// Between pings, and between looks at the share difficulty.
    pub tick: Duration,
    /// Between balances.
    pub balance: Duration,
    /// After which a header that only its nonce may vary in is replaced, at the next tick.
    pub header: Duration,
    /// Between two bodies for one head: each is worth everybody's restart no more often.
    pub body: Duration,
    /// In which the node may hear of a head that a client knows already.
    pub unknown_head: Duration,
}

impl Default for Times {
    /// Those of `docs/protocol/nimiq-pool.md` 1.11.
    fn default() -> Self {
        Self {
            register: Duration::from_secs(30),
            silence: Duration::from_mins(10),
            tick: Duration::from_secs(10),
            balance: Duration::from_mins(5),
            // A client of 100 MH/s has tried all nonces of a header after 43 seconds.
            header: Duration::from_secs(25),
            body: Duration::from_secs(10),
            unknown_head: Duration::from_secs(3),
        }
    }
}

impl NimiqServerConfig {
    /// The usual limits.
    pub fn new(name: impl Into<String>, folder: impl Into<PathBuf>, terms: Arc<Terms>) -> Self {
        Self {
            name: name.into(),
            folder: folder.into(),
            terms,
            follow: FollowSettings::default(),
            hashing_threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            limits: AdmissionLimits::default(),
            admission: Arc::default(),
            times: Times::default(),
            segment_time: Duration::from_secs(2),
        }
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum NimiqServerFault {
    /// Its shares cannot be kept.
    #[error("the server's folder")]
    Outbox(#[from] OutboxError),
    /// Its blocks cannot be kept, or its threads cannot be started.
    #[error("the server's blocks or threads")]
    System(#[from] std::io::Error),
    /// The accounts do not know it, or do not answer.
    #[error("the server's place in the accounts")]
    Accounts(#[from] AccountsError),
}

/// A running server.
pub struct NimiqServer {
    routes: Router,
    site_routes: Router,
    health: Health,
    pub(super) outbox: Outbox,
    pub(super) parts: Parts,
    trackers: [TaskTracker; 2],
}

/// What all connections share.
pub(super) struct Shared {
    pub config: NimiqServerConfig,
    pub board: watch::Receiver<Arc<Board>>,
    pub seen: Arc<Seen>,
    pub hashing: Hashing,
    pub outbox: Outbox,
    pub numbers: ShareNumbers,
    pub accounts: Accounts,
    pub submissions: Submissions,
    pub unknown_heads: UnknownHeads,
    pub door: Arc<Door>,
    pub budget: ShareBudget,
    pub nonces: Arc<SessionNonces>,
    pub figures: Figures,
    /// For the website.
    pub received: ReceivedWork<Address>,
    pub health: Health,
    /// Whether the disk refused the last share, so that health is not asked for every share.
    pub disk_fails: AtomicBool,
    pub connections: TaskTracker,
    pub shutdown: CancellationToken,
}

impl Shared {
    /// The disk has not taken a share.
    pub(super) fn disk_fails(&self, error: &OutboxError) {
        if !self.disk_fails.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "no share is taken from now on: they cannot be stored");
        }
        self.health.trouble_of(DISK, format!("no share is taken: {error}"));
    }

    /// The disk has taken a share.
    pub(super) fn disk_works(&self) {
        if self.disk_fails.swap(false, Ordering::Relaxed) {
            tracing::info!("shares are taken again");
            self.health.solved(DISK);
        }
    }
}

impl NimiqServer {
    /// Starts a server on top of `node`. It is ready when the node has given work.
    pub async fn start(
        config: NimiqServerConfig,
        node: NimiqClient,
        accounts: Accounts,
        metrics: &Metrics,
        shutdown: CancellationToken,
    ) -> Result<Self, NimiqServerFault> {
        let metrics = metrics.for_role("nimiq_server", &config.name);
        let health = Health::starting("nimiq_server", config.name.clone());
        let server = accounts.server(&config.name).await?;
        let mut parts = Parts::until(&shutdown);
        let (outbox, replay) = open_outbox(&config, &metrics, parts.guard()).await?;
        let last = accounts.last_server_sequence(server).await?.max(replay.last_sequence);
        let (under_way, connections) = (TaskTracker::new(), TaskTracker::new());
        let stop = parts.stop();
        let (limits, admission) = (config.limits.clone(), Arc::clone(&config.admission));
        let door = Door::new(limits, admission, accounts.clone(), under_way.clone(), &metrics);
        door.refresh().await?;
        let granted = config.limits.shares_per_second;
        let budget = ShareBudget::new(granted, Arc::clone(&config.admission), &metrics);
        let folder = config.folder.join("blocks");
        let submissions =
            Submissions::start(node.clone(), folder, under_way.clone(), stop.clone(), &metrics)?;
        let (board, boards) = watch::channel(Arc::default());
        let seen = Arc::<Seen>::default();
        let keeper = HeadKeeper {
            heads: node.follow(config.terms.address, config.follow, door.connected(), stop.clone()),
            board,
            seen: Arc::clone(&seen),
            outbox: outbox.clone(),
            accounts: accounts.clone(),
            health: health.clone(),
            height: HeadKeeper::height(&metrics),
            next_work: HeadKeeper::next_work(&metrics),
            metrics: metrics.clone(),
            body_time: config.times.body,
        };
        let deliverer = Deliverer::new(outbox.clone(), accounts.clone(), server, health.clone(), &metrics);
        let shared = Arc::new(Shared {
            board: boards,
            seen,
            hashing: Hashing::start(config.hashing_threads, &metrics, &parts)?,
            outbox: outbox.clone(),
            numbers: ShareNumbers::new(last, clock::unix_millis()),
            accounts,
            submissions,
            unknown_heads: UnknownHeads::new(node, config.times.unknown_head),
            door: Arc::clone(&door),
            budget,
            nonces: SessionNonces::new(server),
            figures: Figures::new(&metrics),
            received: ReceivedWork::default(),
            health: health.clone(),
            disk_fails: AtomicBool::new(false),
            connections: connections.clone(),
            shutdown: stop.clone(),
            config,
        });
        parts.run("heads", keeper.run(replay, stop.clone()));
        parts.run("delivery", deliverer.run(stop.clone()));
        parts.run("door", door.keep(stop));
        health.ready();
        let site_routes = routes::site_router(Arc::clone(&shared));
        let routes = routes::router(shared);
        Ok(Self { routes, site_routes, health, outbox, parts, trackers: [connections, under_way] })
    }

    /// What the port for miners answers, at every path.
    pub fn routes(&self) -> Router {
        self.routes.clone()
    }

    /// What the website asks, beside the port for miners: `GET …/conduct.json?address=`.
    pub fn site_routes(&self) -> Router {
        self.site_routes.clone()
    }

    /// The signal at which it ends, and whoever serves it has to end: that from outside, or the death of a part.
    pub fn stop_signal(&self) -> CancellationToken {
        self.parts.stop()
    }

    /// Whether it has work to give out, and what troubles it.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Returns when the server has ended after its stop signal. What is not delivered stays on disk.
    pub async fn stopped(self) {
        drop((self.routes, self.site_routes));
        for tracker in &self.trackers {
            tracker.close();
            if tokio::time::timeout(LAST_TASKS, tracker.wait()).await.is_err() {
                tracing::warn!(tasks = tracker.len(), "connections or blocks are left unfinished");
            }
        }
        self.parts.ended().await;
        self.outbox.rotate().await;
    }
}

/// Opens the outbox and reads what an earlier run has accepted.
async fn open_outbox(
    config: &NimiqServerConfig,
    metrics: &Metrics,
    guard: DropGuard,
) -> Result<(Outbox, Replay), OutboxError> {
    let outbox = OutboxConfig {
        segment_time: config.segment_time,
        segment_event_bytes: SEGMENT_BYTES,
        gather_time: GATHER_TIME,
        ..OutboxConfig::new(config.folder.join("shares"))
    };
    let metrics = metrics.clone();
    let opening = move || {
        let mut replay = Replay::default();
        let outbox = Outbox::open(&outbox, &metrics, guard, |scope, keys| replay.add(scope, keys))?;
        Ok((outbox, replay))
    };
    tokio::task::spawn_blocking(opening).await.map_err(|_| OutboxError::Closed)?
}
