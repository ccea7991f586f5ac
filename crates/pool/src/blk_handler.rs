//! The block handler: takes shares from block miners, checks them, has blocks submitted, tells the PayMaker
//! (`docs/protocol/packetcrypt-pool.md` 9).
//!
//! Four nouns. *Work* is what the Master hands out; the one replaced last is kept for a moment (rule R-K10). A *share*
//! is walked through by `admission`: cheap checks, duplicates, the proof of work on threads of its own, credit. A
//! *submission* is a block on its way to the node; it neither waits for credit nor is it held back by anything that
//! goes wrong with it. *Block events* tell the PayMaker how the chain grew.
//!
//! What a miner is told was accepted is on disk (see [`crate::outbox`]), and is credited once, also over restarts.

mod admission;
mod block_events;
mod checking;
mod node;
mod routes;
mod seen;
mod submission;
mod works;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use packetcrypt::check::Rules;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use wire::signing_key::PrivateSeed;
use wire::{PktAddress, pool_config};

pub use node::BlockNode;

use crate::admission::{Admission, Request, price};
use crate::health::Health;
use crate::master_client::{MasterClient, MasterClientConfig};
use crate::metrics::Metrics;
use crate::nudge::Nudge;
use crate::outbox::{Outbox, OutboxConfig, OutboxError, UploadConfig, upload};
use crate::parts::Parts;
use crate::received_work::ReceivedWork;
use crate::refusals::Refusals;
use admission::Figures;
use block_events::LoggedBlocks;
use checking::{CheckingFault, CheckingThreads};
use seen::SeenShares;
use works::Works;

/// Blocks whose hashes are wanted of the Master: announcements count for 256 blocks after the third.
const BLOCKS_KNOWN: usize = 264;
/// Keys of shares and blocks are kept for as many heights after theirs.
const KEYS_KEPT: u32 = 30;
/// Time that shares and blocks under way are given when the handler stops.
const LAST_SHARES: Duration = Duration::from_secs(20);
/// Time for one upload of events.
const UPLOAD_TIME: Duration = Duration::from_secs(30);

/// What a block handler is started with.
#[derive(Debug, Clone)]
pub struct BlkHandlerConfig {
    /// Name among the pool's block handlers, for logs and figures.
    pub name: String,
    /// Folder of its own for events; one process at a time.
    pub dir: PathBuf,
    /// Pool URL of the Master, ours or another.
    pub pool_url: String,
    /// The URL that the pool's configuration lists for this handler; `None`: not looked for.
    pub public_url: Option<String>,
    /// Secret of the pool's signing keys; `None`: only unsigned announcements.
    pub private_seed: Option<PrivateSeed>,
    /// Password of the PayMaker's `/events`.
    pub paymaker_password: String,
    /// How long a share for the work that was replaced last is credited (rule R-K10).
    pub grace: Duration,
    /// Shares in processing at once; more are told `overloaded`.
    pub requests: usize,
    /// Threads that check proofs of work; at least one.
    pub checking_threads: usize,
    /// Shares waiting for these threads; more are told `overloaded`.
    pub checking_queue: usize,
    /// Whether the node is asked about every share too (`checkpcshare`). Then a share without its answer is refused.
    pub ask_node: bool,
    /// How long events wait for others to be uploaded with them.
    pub event_segment_time: Duration,
    /// The rules of the chain that announcements must keep.
    pub rules: Rules,
    /// Pause between two looks at the Master's configuration; new work is noticed by long poll.
    pub poll_time: Duration,
    /// Milliseconds since 1970.
    pub clock: fn() -> u64,
    /// Who may send shares, and at what price.
    pub admission: Arc<Admission>,
    /// Has events uploaded at once.
    pub uploads: Nudge,
}

impl BlkHandlerConfig {
    /// The usual limits.
    pub fn new(
        name: impl Into<String>,
        dir: impl Into<PathBuf>,
        pool_url: impl Into<String>,
        paymaker_password: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            dir: dir.into(),
            pool_url: pool_url.into(),
            public_url: None,
            private_seed: None,
            paymaker_password: paymaker_password.into(),
            grace: Duration::from_secs(5),
            requests: 500,
            checking_threads: std::thread::available_parallelism().map_or(1, usize::from),
            checking_queue: 256,
            ask_node: false,
            event_segment_time: Duration::from_secs(10),
            rules: Rules::PKT,
            poll_time: Duration::from_secs(5),
            clock: system_clock,
            admission: Arc::default(),
            uploads: Nudge::default(),
        }
    }
}

/// The time of this machine, in milliseconds since 1970.
fn system_clock() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Why a block handler does not start.
#[derive(Debug, thiserror::Error)]
pub enum BlkHandlerStartFault {
    /// Its folder cannot be used.
    #[error("the block handler's folder")]
    Outbox(#[from] OutboxError),
    /// Its threads cannot be started.
    #[error(transparent)]
    Checking(#[from] CheckingFault),
}

/// A running block handler.
pub struct BlkHandler {
    routes: Router,
    health: Health,
    outbox: Outbox,
    parts: Parts,
    under_way: TaskTracker,
}

/// What all requests share.
struct Shared<Node> {
    config: BlkHandlerConfig,
    works: Works,
    seen: SeenShares,
    checking: CheckingThreads,
    outbox: Outbox,
    node: Node,
    places: Arc<Semaphore>,
    figures: Figures,
    refusals: Refusals,
    /// For the website.
    received: ReceivedWork<PktAddress>,
    health: Health,
    /// Shares and blocks that are being dealt with, whether or not somebody waits for them.
    under_way: TaskTracker,
    shutdown: CancellationToken,
}

impl BlkHandler {
    /// Starts a block handler on top of `node`. It is ready when the Master has given work.
    pub async fn start<Node: BlockNode>(
        config: BlkHandlerConfig,
        node: Node,
        http: reqwest::Client,
        metrics: &Metrics,
        shutdown: CancellationToken,
    ) -> Result<Self, BlkHandlerStartFault> {
        let metrics = metrics.for_role("blk_handler", &config.name);
        let health = Health::starting("blk_handler", config.name.clone());
        let events =
            OutboxConfig { segment_time: config.event_segment_time, ..OutboxConfig::new(&config.dir) };
        let mut parts = Parts::until(&shutdown);
        let (opening, guard) = (metrics.clone(), parts.guard());
        let opened = tokio::task::spawn_blocking(move || Journal::open(&events, &opening, guard)).await;
        let Journal { outbox, seen, logged } = opened.map_err(|_| OutboxError::Closed)??;
        let follow = MasterClientConfig {
            poll_time: config.poll_time,
            ..MasterClientConfig::new(&config.pool_url, BLOCKS_KNOWN, true)
        };
        let master = MasterClient::start(follow, http.clone(), &health, &metrics, &mut parts);
        let uploading = UploadConfig {
            paymaker_url: master.paymaker_url(),
            password: config.paymaker_password.clone(),
            timeout: UPLOAD_TIME,
            now: config.uploads.clone(),
        };
        let upload = upload(outbox.clone(), uploading, http, metrics.clone(), parts.stop());
        let under_way = TaskTracker::new();
        let shared = Arc::new(Shared {
            works: Works::new(config.grace),
            seen,
            checking: CheckingThreads::start(&config, &metrics, &parts)?,
            outbox: outbox.clone(),
            node,
            places: Arc::new(Semaphore::new(config.requests)),
            figures: Figures::new(&metrics),
            refusals: Refusals::new(&metrics),
            received: ReceivedWork::default(),
            health: health.clone(),
            under_way: under_way.clone(),
            shutdown: parts.stop(),
            config,
        });
        let following = follow_master(Arc::clone(&shared), master, logged, parts.stop());
        parts.run("upload", upload);
        parts.run("work", following);
        Ok(Self { routes: routes::router(shared), health, outbox, parts, under_way })
    }

    /// `POST …/submit`, and for the website `GET …/conduct.json?address=`, under any prefix (rule R-H1).
    pub fn routes(&self) -> Router {
        self.routes.clone()
    }

    /// Whether it has work to check shares against, and what troubles it.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Returns when the handler has ended after the stop signal, or since a part of it died. Events not uploaded yet stay on disk.
    pub async fn stopped(self) {
        self.parts.stop().cancelled().await;
        drop(self.routes);
        self.under_way.close();
        if tokio::time::timeout(LAST_SHARES, self.under_way.wait()).await.is_err() {
            tracing::warn!(tasks = self.under_way.len(), "shares or blocks are left unfinished");
        }
        self.parts.ended().await;
        self.outbox.rotate().await;
    }
}

/// What an earlier run left: events not uploaded yet, and what they were about.
struct Journal {
    outbox: Outbox,
    seen: SeenShares,
    logged: LoggedBlocks,
}

impl Journal {
    /// Reads it; this blocks.
    fn open(config: &OutboxConfig, metrics: &Metrics, guard: DropGuard) -> Result<Self, OutboxError> {
        let (seen, mut logged) = (SeenShares::default(), LoggedBlocks::default());
        let outbox = Outbox::open(config, metrics, guard, |scope, key| {
            seen.replay(scope, key);
            logged.replay(scope, key);
        })?;
        Ok(Self { outbox, seen, logged })
    }
}

/// Takes over each new view of the pool: work, templates, block events, what need not be remembered any more.
async fn follow_master<Node: BlockNode>(
    shared: Arc<Shared<Node>>,
    master: MasterClient,
    mut logged: LoggedBlocks,
    shutdown: CancellationToken,
) {
    let mut views = master.view();
    let following = async {
        // An error means that the client has ended, which happens only with the stop signal.
        while views.changed().await.is_ok() {
            let Some(view) = views.borrow_and_update().clone() else { continue };
            shared.check_pool_config(&view.config);
            if shared.works.take_over(&view) {
                tracing::info!(height = %view.config.current_height, previous = %view.config.tip_hash, "new work");
                shared.fetch_template(&master);
                shared.health.ready();
            }
            let height = view.config.current_height.0;
            shared.seen.forget_below(height.saturating_sub(KEYS_KEPT));
            shared.outbox.keys_needed_from(height.saturating_sub(KEYS_KEPT));
            logged.log_new(&view, &shared.outbox, shared.config.clock).await;
        }
    };
    shutdown.run_until_cancelled(following).await;
}

impl<Node: BlockNode> Shared<Node> {
    /// What the pool's configuration must say for this handler to be of use.
    fn check_pool_config(&self, config: &pool_config::PoolConfig) {
        const PART: &str = "pool configuration";
        let listed = |url: &String| {
            let own = url.trim_end_matches('/').trim_end_matches("/submit");
            config.submit_block_urls.iter().any(|listed| listed.trim_end_matches("/submit") == own)
        };
        let problem = if config.version == pool_config::VERSION {
            let unlisted = self.config.public_url.as_ref().filter(|url| !listed(url));
            unlisted.map(|url| format!("{url} is not in the pool's submitBlockUrls: no miner will post here"))
        } else {
            Some(format!("the pool speaks version {}, this handler {}", config.version, pool_config::VERSION))
        };
        match problem {
            None => self.health.solved(PART),
            Some(problem) => {
                tracing::warn!(problem, "the pool's configuration does not fit");
                self.health.trouble_of(PART, problem);
            }
        }
    }
}

#[cfg(test)]
mod tests;
