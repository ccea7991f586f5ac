//! The PayMaker: takes events, keeps the ledger, tells the node whom to pay (`docs/protocol/packetcrypt-pool.md` 11).
//!
//! Four nouns. An *upload* is a file of events from a handler; when it is answered it is on disk and counted. The
//! *document* says who is to be paid and why; it is made from the ledger when somebody asks and served to all who ask
//! at the same time. A *payout table* is the document's result on its way to the node; the node's next template is
//! looked at to see whether it pays exactly that. The *book* remembers all of it.
//!
//! Uploads never wait for the node, and readers never wait for uploads.

mod accepted_work;
mod bookkeeping;
mod charts;
mod documents;
mod miner_report;
mod password;
mod payout_node;
mod payouts;
mod reports;
mod routes;
mod site_routes;
mod template_check;
mod update_hook;
mod won_blocks;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use axum::Router;
use ipnet::IpNet;
use ledger::book::{BookError, SqlBook};
use ledger::{DurableLedger, LedgerFolder, OpenError, Retention, Rules, RulesConfig, RulesFault, UnixMillis};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wire::PktAddress;

pub use accepted_work::{AcceptedPiece, AcceptedSince};
pub use payout_node::{ChainPlace, PayoutNode};
pub use update_hook::UpdateHook;

use crate::admission::Admission;
use crate::health::Health;
use crate::metrics::{Metrics, Stage, StageTimes};
use crate::nudge::Nudge;
use crate::parts::Parts;
use crate::refusals::Refusals;
use accepted_work::AcceptedWork;
use bookkeeping::Entry;
use charts::Charts;
use documents::Documents;
use password::Password;
use payouts::Payouts;
use reports::Reports;
use won_blocks::WonBlocks;

/// Entries on their way into the book.
const BOOK_QUEUE: usize = 1024;

/// Uploads held in memory at once; more are told `overloaded`.
const UPLOADS: usize = 16;

/// What a PayMaker is started with.
#[derive(Debug, Clone)]
pub struct PayMakerConfig {
    /// Folder of its own: uploads, segments, the book. One process at a time.
    pub dir: PathBuf,
    /// How work is turned into parts of the reward.
    pub rules: RulesConfig,
    /// Who is paid while the node takes no table, and instead of an address that it refuses.
    pub error_address: PktAddress,
    /// What handlers must know to upload.
    pub password: String,
    /// Networks that may upload, besides this machine; none: all that know the password (rule R-P20).
    pub upload_networks: Vec<IpNet>,
    /// The operator's say in who is paid.
    pub update_hook: Option<UpdateHook>,
    /// How often the node is told whom to pay; zero: never.
    pub update_cycle: Duration,
    /// What becomes of uploads that are older than twice the history.
    pub retention: Retention,
    /// How long payout tables stay in the book.
    pub payout_tables_kept: Duration,
    /// Requests answered at once; more are told `overloaded`.
    pub requests: usize,
    /// The clock that events may not be far ahead of, in milliseconds since 1970.
    pub clock: fn() -> UnixMillis,
    /// Who may try passwords, and at what price.
    pub admission: Arc<Admission>,
    /// Has the node told whom to pay at once.
    pub payouts: Nudge,
}

impl PayMakerConfig {
    /// The usual cycle and limits.
    pub fn new(
        dir: impl Into<PathBuf>,
        rules: RulesConfig,
        error_address: PktAddress,
        password: impl Into<String>,
    ) -> Self {
        Self {
            dir: dir.into(),
            rules,
            error_address,
            password: password.into(),
            upload_networks: Vec::new(),
            update_hook: None,
            update_cycle: Duration::from_mins(2),
            retention: Retention::Delete,
            payout_tables_kept: Duration::from_hours(30 * 24),
            requests: 200,
            clock: system_clock,
            admission: Arc::default(),
            payouts: Nudge::default(),
        }
    }
}

/// The time of this machine.
pub fn system_clock() -> UnixMillis {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixMillis(since_1970.map_or(0, |since| since.as_millis() as u64))
}

/// Why a PayMaker does not start.
#[derive(Debug, thiserror::Error)]
pub enum PayMakerStartFault {
    /// Payouts cannot be computed so.
    #[error("the payout rules")]
    Rules(#[from] RulesFault),
    /// The folder cannot be used.
    #[error("the PayMaker's folder")]
    Folder(#[from] OpenError),
    /// The book cannot be used.
    #[error("the PayMaker's book")]
    Book(#[from] BookError),
    /// Anybody could upload.
    #[error("the password for uploads is empty")]
    NoPassword,
}

/// A running PayMaker.
pub struct PayMaker {
    shared: Arc<Shared>,
    parts: Parts,
}

/// What requests and the payouts have in common.
struct Shared {
    /// Empty until all stored events have been read.
    ledger: OnceLock<Arc<DurableLedger>>,
    documents: Arc<Documents>,
    reports: Reports,
    accepted_work: AcceptedWork,
    charts: Arc<Charts>,
    won_blocks: Arc<WonBlocks>,
    book: SqlBook,
    password: Password,
    upload_networks: Vec<IpNet>,
    requests: Arc<Semaphore>,
    /// Bodies held at once: each may have 32 MiB.
    uploads: Semaphore,
    book_queue: mpsc::Sender<Entry>,
    clock: fn() -> UnixMillis,
    /// Ends the pause between two payout cycles.
    payouts: Nudge,
    metrics: Metrics,
    stages: UploadStages,
    refusals: Refusals,
    health: Health,
}

/// How long the stages of an upload take.
struct UploadStages {
    receive: StageTimes,
    check: StageTimes,
    store: StageTimes,
    duplicate: StageTimes,
    reply: StageTimes,
}

impl UploadStages {
    fn new(metrics: &Metrics) -> Self {
        Self {
            receive: metrics.stage(Stage::Receive),
            check: metrics.stage(Stage::Check),
            store: metrics.stage(Stage::Store),
            duplicate: metrics.stage(Stage::Duplicate),
            reply: metrics.stage(Stage::Reply),
        }
    }
}

impl PayMaker {
    /// Starts a PayMaker on top of `node`. It is ready when it has read what it had accepted before.
    pub async fn start(
        config: PayMakerConfig,
        node: impl PayoutNode,
        metrics: &Metrics,
        shutdown: CancellationToken,
    ) -> Result<Self, PayMakerStartFault> {
        let rules = Rules::new(&config.rules)?;
        let password = Password::new(&config.password, Arc::clone(&config.admission))
            .ok_or(PayMakerStartFault::NoPassword)?;
        let folder = LedgerFolder::lock(&config.dir)?;
        let book = SqlBook::open_sqlite(&config.dir.join("book.sqlite")).await?;
        let (book_queue, entries) = mpsc::channel(BOOK_QUEUE);
        let metrics = metrics.for_role("pay_maker", "");
        let shared = Arc::new(Shared {
            ledger: OnceLock::new(),
            documents: Arc::new(Documents::new(&config, &metrics)),
            reports: Reports::default(),
            accepted_work: AcceptedWork::default(),
            charts: Arc::default(),
            won_blocks: Arc::default(),
            book: book.clone(),
            password,
            upload_networks: config.upload_networks.clone(),
            requests: Arc::new(Semaphore::new(config.requests)),
            uploads: Semaphore::new(UPLOADS),
            book_queue,
            clock: config.clock,
            payouts: config.payouts.clone(),
            health: Health::starting("pay_maker", ""),
            refusals: Refusals::new(&metrics),
            stages: UploadStages::new(&metrics),
            metrics,
        });
        let mut parts = Parts::until(&shutdown);
        let stop = parts.stop();
        parts.run("bookkeeping", bookkeeping::run(book.clone(), entries, stop.clone()));
        let load = Load { folder, rules, retention: config.retention.clone() };
        let running = Arc::clone(&shared);
        parts.run("payouts", async move {
            if let Some(ledger) = load.run(&running).await {
                let won_blocks = Arc::clone(&running.won_blocks);
                let following =
                    won_blocks.follow(Arc::clone(&ledger), node.clone(), book.clone(), stop.clone());
                let charts = Arc::clone(&running.charts);
                let (ledger_of_charts, book_of_charts) = (Arc::clone(&ledger), book.clone());
                let charts = charts.run(ledger_of_charts, book_of_charts, config.clock, stop.clone());
                // A task of its own, since it works long at a time; what kills it kills this one too.
                let mut beside = JoinSet::new();
                beside.spawn(charts);
                let charts = async {
                    if let Some(Err(fault)) = beside.join_next().await {
                        std::panic::resume_unwind(fault.into_panic());
                    }
                };
                let payouts = Payouts::new(&config, Arc::clone(&running), ledger, node, book);
                tokio::join!(payouts.run(stop.clone()), following, charts);
            }
            stop.cancelled().await;
        });
        Ok(Self { shared, parts })
    }

    /// `/events`, `/whotopay`, `/stats`, and what the site role asks for, under any prefix (rule R-H1).
    pub fn routes(&self) -> Router {
        routes::router(Arc::clone(&self.shared))
    }

    /// Whether it takes events and the node takes its payouts.
    pub fn health(&self) -> Health {
        self.shared.health.clone()
    }

    /// Returns when the PayMaker has ended after the stop signal, or since a part of it died.
    pub async fn stopped(self) {
        self.parts.ended().await;
    }
}

/// Reading what was accepted before, while requests are already answered with "not ready".
struct Load {
    folder: LedgerFolder,
    rules: Rules,
    retention: Retention,
}

impl Load {
    async fn run(self, shared: &Shared) -> Option<Arc<DurableLedger>> {
        let loading = tokio::task::spawn_blocking(move || self.folder.load(self.rules, self.retention));
        match loading.await {
            Ok(Ok((ledger, report))) => {
                tracing::info!(
                    from_segments = report.from_segments,
                    from_uploads = report.from_uploads,
                    damaged = report.damaged,
                    "the ledger is loaded"
                );
                let ledger = Arc::new(ledger);
                shared.write_stored_uploads(&ledger).await;
                let ledger = shared.ledger.get_or_init(|| ledger);
                shared.health.ready();
                Some(Arc::clone(ledger))
            }
            Ok(Err(fault)) => {
                tracing::error!(fault = &fault as &dyn std::error::Error, "the ledger cannot be loaded");
                shared.health.trouble(format!("the ledger cannot be loaded: {fault}"));
                None
            }
            Err(fault) => {
                tracing::error!(%fault, "loading the ledger ended badly");
                shared.health.trouble("loading the ledger ended badly");
                None
            }
        }
    }
}

impl Shared {
    /// An upload that a crash kept out of the book is added now.
    async fn write_stored_uploads(&self, ledger: &DurableLedger) {
        match ledger.stored_uploads() {
            Ok(stored) => bookkeeping::send(&self.book_queue, Entry::of_stored(&stored)).await,
            Err(error) => tracing::warn!(%error, "the stored uploads cannot be listed for the book"),
        }
    }
}

#[cfg(test)]
mod tests;
