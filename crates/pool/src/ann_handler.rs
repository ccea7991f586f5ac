//! The announcement handler: takes announcements, checks every one, and passes them to block miners
//! (`docs/protocol/packetcrypt-pool.md` 5 and 6).
//!
//! The way of a post: `routes` (headers, height, address, body within limits) → [`crate::intake`] (bounded queue) →
//! `checking` on its own threads, several posts in a `round` (cheap checks in `post`, proof of work, `duplicates`) →
//! [`crate::outbox`] (durable) → reply, `batches` and [`sprayer`].
//!
//! Invariants: an announcement is counted as accepted once, whatever bodies it comes in and however often the handler
//! restarts (rules R-A1, R-A11); whoever was told "accepted" will be credited (R-A7); which heights are taken, and
//! what is demanded for each, is in `slots`.

mod batch_numbers;
mod batches;
mod buffers;
mod by_parent;
mod checking;
mod conduct;
mod duplicates;
mod handler_lists;
mod hashing;
mod post;
mod round;
mod routes;
mod served;
mod slots;
mod sprayer_figures;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use axum::Router;
use bytes::Bytes;
use packetcrypt::check::{ProgramCache, Rules};
use packetcrypt::{Announcement, Height};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use sprayer::{Sprayer, SprayerConfig, SprayerError};
use tokio_util::sync::{CancellationToken, DropGuard};
use wire::{PktAddress, Refusal};

pub use batch_numbers::BatchNumbersFault;
pub use by_parent::AcceptedOfParent;
pub use handler_lists::HandlerListsFault;
pub(crate) use served::ServedAnnouncements;

use crate::admission::{Admission, Allowance, Counted, Request, price, seconds};
use crate::health::Health;
use crate::intake::{ByteBudget, Intake};
use crate::listener::{BodyLimits, Client};
use crate::master_client::{MasterClient, MasterClientConfig};
use crate::metrics::{Metrics, Stage, StageTimes};
use crate::nudge::Nudge;
use crate::outbox::{self, Outbox, OutboxConfig, OutboxError, UploadConfig};
use crate::parts::Parts;
use crate::received_work::ReceivedWork;
use crate::refusals::Refusals;
use batch_numbers::BatchNumbers;
use batches::Batches;
use buffers::Buffers;
use by_parent::ByParent;
use checking::Job;
use conduct::Conduct;
use duplicates::DuplicateTable;
use handler_lists::HandlerLists;
use served::Served;
use slots::{Slot, Slots, TRACKED, Tracker};
use sprayer_figures::sprayer_figures;

/// The part of the handler's health that its place in the pool is.
const HEALTH_PART: &str = "pool configuration";
/// Hard nonces whose programs are kept, about 40 KiB each.
const PROGRAMS_KEPT: usize = 1024;
/// Seconds of one processor that an address may owe for ungrouped announcements: what a miner leaves behind that was cut
/// off for a while, and all miners behind one address together, are far below.
const UNGROUPED_AT_ONCE: f64 = 30.0;
/// More than an announcement ever costs: a thread that was put aside meanwhile is not the client's fault.
const DEAREST: Duration = Duration::from_millis(1);
/// A payee may have many machines, at many addresses.
const PAYEE_FACTOR: u32 = 16;
/// Time for one upload of events.
const UPLOAD_TIME: Duration = Duration::from_secs(30);

/// What an announcement handler is started with.
#[derive(Debug, Clone)]
pub struct AnnHandlerConfig {
    /// Its name in the configuration, logs and metrics.
    pub name: String,
    /// Its own full submit URL, exactly as in the pool's `submitAnnUrls`.
    pub public_url: String,
    /// Folder of its own; made if absent.
    pub dir: PathBuf,
    /// How to follow the Master; blocks and work are set by the handler.
    pub master: MasterClientConfig,
    /// Password of the PayMaker's `/events`.
    pub paymaker_password: String,
    /// What block miners must know to fetch announcements; empty: nothing.
    pub block_miner_password: String,
    /// Part of the announcements whose proof of work is not checked, from 0 to 1 (rule R-A6).
    pub skip_check_chance: f64,
    /// Part of one processor's time that checking may take for one address whose announcements hardly ever have a
    /// hard nonce in common, above 0 (rule R-A14).
    pub ungrouped_share: f64,
    /// Threads that check.
    pub workers: NonZeroUsize,
    /// Posts waiting at once.
    pub queue_posts: usize,
    /// Bytes of all posts being read or waiting.
    pub queue_bytes: usize,
    /// Size of a post, and time for it.
    pub body: BodyLimits,
    /// Announcements accepted for one parent height; bounds the duplicate table.
    pub announcements_per_height: usize,
    /// Announcement files kept for block miners, up to 1 MiB each.
    pub files_to_keep: usize,
    /// How events are kept on their way to the PayMaker.
    pub event_segment_time: Duration,
    /// The UDP feed, if there is one.
    pub sprayer: Option<SprayerConfig>,
    /// The chain's rules for announcements.
    pub rules: Rules,
    /// Who may post, and at what price.
    pub admission: Arc<Admission>,
    /// Has events uploaded at once.
    pub uploads: Nudge,
}

impl AnnHandlerConfig {
    /// The usual limits.
    pub fn new(name: &str, public_url: &str, dir: impl Into<PathBuf>, pool_url: &str, rules: Rules) -> Self {
        Self {
            name: name.to_owned(),
            public_url: public_url.to_owned(),
            dir: dir.into(),
            master: MasterClientConfig::new(pool_url, TRACKED as usize, false),
            paymaker_password: String::new(),
            block_miner_password: String::new(),
            skip_check_chance: 0.0,
            ungrouped_share: 0.5,
            workers: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            queue_posts: 256,
            queue_bytes: 256 << 20,
            body: BodyLimits {
                bytes: wire::announcement_post::DEFAULT_BODY_LIMIT,
                time: Duration::from_secs(30),
            },
            announcements_per_height: 64 << 20,
            files_to_keep: 256,
            event_segment_time: Duration::from_secs(10),
            sprayer: None,
            rules,
            admission: Arc::default(),
            uploads: Nudge::default(),
        }
    }
}

/// Why an announcement handler does not start.
#[derive(Debug, thiserror::Error)]
pub enum AnnHandlerFault {
    /// The folder of its events cannot be used.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The history of handler lists cannot be used.
    #[error(transparent)]
    HandlerLists(#[from] HandlerListsFault),
    /// The numbers of batches cannot be used.
    #[error(transparent)]
    BatchNumbers(#[from] BatchNumbersFault),
    /// The UDP feed cannot be started.
    #[error(transparent)]
    Sprayer(#[from] SprayerError),
    /// A thread cannot be started.
    #[error("no thread for checking announcements: {0}")]
    Thread(std::io::Error),
    /// A share of checks that is none.
    #[error("skip_check_chance is {0}, it must be a number from 0 to 1")]
    SkipCheckChance(f64),
    /// A part of a processor that is none.
    #[error("ungrouped_share is {0}, it must be a number above 0")]
    UngroupedShare(f64),
}

/// A running announcement handler.
pub struct AnnHandler {
    shared: Arc<Shared>,
    workers: Vec<thread::JoinHandle<()>>,
    parts: Parts,
}

/// What requests, threads and tasks share.
struct Shared {
    slots: ArcSwap<Slots>,
    intake: Intake<Job>,
    budget: ByteBudget,
    conduct: Conduct,
    /// For the website.
    received: ReceivedWork<PktAddress>,
    by_parent: ByParent,
    served: Served,
    admission: Arc<Admission>,
    /// What ungrouped announcements of one client may cost (rule R-A14).
    ungrouped: Allowance,
    /// The programs of hard nonces, for all threads.
    programs: Arc<ProgramCache>,
    buffers: Arc<Buffers>,
    batches: Batches,
    outbox: Outbox,
    sprayer: Option<Sprayer>,
    health: Health,
    figures: Figures,
    body_limits: BodyLimits,
    block_miner_password: String,
    announcements_per_height: usize,
    rules: Rules,
}

struct Figures {
    waiting: Gauge,
    accepted: Counter,
    checked: Counter,
    served: Counter,
    ungrouped: Counter,
    programs_kept: Gauge,
    receive: StageTimes,
    wait: StageTimes,
    check: StageTimes,
    duplicate: StageTimes,
    store: StageTimes,
    reply: StageTimes,
    refusals: Refusals,
}

impl Figures {
    fn new(metrics: &Metrics) -> Self {
        Self {
            waiting: metrics.gauge("posts_waiting", "Posts waiting to be checked"),
            accepted: metrics.counter("announcements_accepted", "Announcements accepted"),
            checked: metrics
                .counter("announcements_checked", "Announcements whose proof of work was checked"),
            served: metrics
                .counter("announcements_served", "Announcements in files that block miners fetched"),
            ungrouped: metrics.counter(
                "announcements_checked_ungrouped",
                "Announcements checked that had their hard nonce in common with few others or none",
            ),
            programs_kept: metrics.gauge(
                "hard_nonces_kept",
                "Hard nonces whose programs are kept, about 40 KiB each, at most 1024",
            ),
            receive: metrics.stage(Stage::Receive),
            wait: metrics.stage(Stage::Wait),
            check: metrics.stage(Stage::Check),
            duplicate: metrics.stage(Stage::Duplicate),
            store: metrics.stage(Stage::Store),
            reply: metrics.stage(Stage::Reply),
            refusals: Refusals::new(metrics),
        }
    }
}

impl Shared {
    /// Refuses a client, or a payee, whose ungrouped announcements have cost too much (rule R-A14).
    fn check_budget(&self, client: Client, pay_to: &PktAddress) -> Result<(), Refusal> {
        let (admission, ungrouped) = (&self.admission, self.ungrouped);
        let of_client = admission.debt(Counted::Ungrouped, client, ungrouped);
        if admission.is_exempt(client) {
            return Ok(());
        }
        let of_payee = ungrouped.times(PAYEE_FACTOR);
        let of_payee = admission.debt_of_payee(Counted::Ungrouped, &pay_to.script(), of_payee);
        match of_client.max(of_payee) {
            Some(wait) => Err(Refusal::TooManyHardNonces { retry_after_seconds: seconds(wait) }),
            None => Ok(()),
        }
    }

    /// Some ungrouped announcements of a post were checked in this time (rule R-A14): announcements of one hard nonce
    /// are checked together for about a tenth of what one costs that shares its programs with no other, and grouped
    /// announcements cost nothing here.
    fn charge_ungrouped(&self, client: Client, pay_to: &PktAddress, announcements: usize, time: Duration) {
        if self.admission.is_exempt(client) {
            return;
        }
        let cost = time.min(DEAREST * announcements as u32).as_secs_f64();
        self.admission.charge(Counted::Ungrouped, client, self.ungrouped, cost);
        let of_payee = self.ungrouped.times(PAYEE_FACTOR);
        self.admission.charge_payee(Counted::Ungrouped, &pay_to.script(), of_payee, cost);
    }

    /// Passes durably accepted announcements to block miners.
    fn distribute(&self, slot: &Slot, announcements: Bytes) {
        let accepted = (announcements.len() / 1024) as u64;
        self.figures.accepted.inc_by(accepted);
        self.by_parent.add(slot.height, accepted);
        if let (Some(sprayer), Some(copies)) = (&self.sprayer, Announcement::all_in(&announcements)) {
            sprayer.spray(copies.collect());
        }
        let handler = slot.place.number as u32;
        self.batches.add(slot.height, slot.parent, handler, announcements, Instant::now());
    }
}

impl AnnHandler {
    /// Starts a handler. It is ready when the Master has told it what to take.
    pub async fn start(
        config: AnnHandlerConfig,
        http: reqwest::Client,
        metrics: &Metrics,
        shutdown: CancellationToken,
    ) -> Result<Self, AnnHandlerFault> {
        if !(0.0..=1.0).contains(&config.skip_check_chance) {
            return Err(AnnHandlerFault::SkipCheckChance(config.skip_check_chance));
        }
        if config.ungrouped_share.is_nan() || config.ungrouped_share <= 0.0 {
            return Err(AnnHandlerFault::UngroupedShare(config.ungrouped_share));
        }
        let metrics = metrics.for_role("ann_handler", &config.name);
        let health = Health::starting("ann_handler", config.name.as_str());
        let mut parts = Parts::until(&shutdown);
        let (own, figures, guard) = (config.clone(), metrics.clone(), parts.guard());
        // May read hundreds of megabytes.
        let opened = tokio::task::spawn_blocking(move || open_outbox(&own, &figures, guard)).await;
        let (outbox, tables) =
            opened.unwrap_or_else(|fault| std::panic::resume_unwind(fault.into_panic()))?;
        let lists = HandlerLists::open(&config.dir, &config.public_url)?;
        let numbers = BatchNumbers::open(&config.dir, now_ms())?;
        let (mut sprayer, mut sprayed) = (None, Counter::default());
        if let Some(config) = config.sprayer.clone() {
            let figures = sprayer_figures(&metrics);
            sprayed = figures.sent.clone();
            let (started, task) = Sprayer::start(config, figures, None, &parts.stop())?;
            sprayer = Some(started);
            // It ends after the signal; how does not matter then.
            parts.run("sprayer", async move { drop(task.await) });
        }
        let by_parent = ByParent::default();
        for (height, table) in &tables {
            by_parent.add(*height, table.len() as u64);
        }
        let (intake, queue) = Intake::new(config.queue_posts);
        let buffers = Arc::new(Buffers::default());
        let shared = Arc::new(Shared {
            slots: ArcSwap::default(),
            intake,
            budget: ByteBudget::new(config.queue_bytes),
            conduct: Conduct::new(config.skip_check_chance),
            received: ReceivedWork::default(),
            by_parent,
            served: Served::new(sprayed),
            admission: Arc::clone(&config.admission),
            ungrouped: Allowance::new(UNGROUPED_AT_ONCE, config.ungrouped_share),
            programs: Arc::new(ProgramCache::new(PROGRAMS_KEPT)),
            batches: Batches::new(config.files_to_keep, numbers, Arc::clone(&buffers)),
            buffers,
            outbox,
            sprayer,
            health: health.clone(),
            figures: Figures::new(&metrics),
            body_limits: config.body,
            block_miner_password: config.block_miner_password.clone(),
            announcements_per_height: config.announcements_per_height,
            rules: config.rules,
        });
        let mut workers = Vec::new();
        let busy = metrics.busy_threads(config.workers.get());
        for number in 0..config.workers.get() {
            let (shared, queue, guard) = (Arc::clone(&shared), queue.clone(), parts.guard());
            let busy = busy.clone();
            let thread = thread::Builder::new().name(format!("check {} {number}", config.name));
            let worker = thread.spawn(move || {
                let _guard = guard;
                checking::work(&shared, &queue, &busy);
            });
            workers.push(worker.map_err(AnnHandlerFault::Thread)?);
        }
        let followed = MasterClientConfig { blocks: TRACKED as usize, work: false, ..config.master.clone() };
        let master = MasterClient::start(followed, http.clone(), &health, &metrics, &mut parts);
        let upload = UploadConfig {
            paymaker_url: master.paymaker_url(),
            password: config.paymaker_password.clone(),
            timeout: UPLOAD_TIME,
            now: config.uploads.clone(),
        };
        parts.run("upload", outbox::upload(shared.outbox.clone(), upload, http, metrics, parts.stop()));
        let tracker = Tracker::new(config.public_url, lists, tables);
        let following = follow(Arc::clone(&shared), master, tracker);
        parts.run("parents", stopped_by(parts.stop(), following));
        parts.run("batches", stopped_by(parts.stop(), flush_batches(Arc::clone(&shared))));
        health.ready();
        Ok(Self { shared, workers, parts })
    }

    /// `POST …/submit`, `GET …/anns/index.json`, `GET …/anns/<name>`; and for the website `GET …/parents.json`,
    /// `GET …/served.json` and `GET …/conduct.json?address=`.
    pub fn routes(&self) -> Router {
        routes::router(Arc::clone(&self.shared))
    }

    /// Whether it takes announcements.
    pub fn health(&self) -> Health {
        self.shared.health.clone()
    }

    /// The address of the UDP feed, if there is one.
    pub fn sprayer_address(&self) -> Option<std::net::SocketAddr> {
        self.shared.sprayer.as_ref().map(Sprayer::address)
    }

    /// Waits for the stop signal or the death of a part, then finishes what was taken: posts in the queue are checked and answered, and the
    /// open segment of events is closed. To be awaited after the listener has drained.
    pub async fn stopped(self) {
        self.parts.stop().cancelled().await;
        self.shared.intake.close();
        let workers = self.workers;
        let joined = tokio::task::spawn_blocking(move || {
            workers.into_iter().map(thread::JoinHandle::join).filter(Result::is_err).count()
        });
        if !matches!(joined.await, Ok(0)) {
            tracing::error!("a thread that checks announcements ended badly");
        }
        self.parts.ended().await;
        self.shared.outbox.rotate().await;
    }
}

async fn stopped_by(shutdown: CancellationToken, task: impl Future<Output = ()>) {
    shutdown.run_until_cancelled(task).await;
}

/// Opens the outbox, and fills the duplicate tables with what was accepted before (rule R-A11).
fn open_outbox(
    config: &AnnHandlerConfig,
    metrics: &Metrics,
    guard: DropGuard,
) -> Result<(Outbox, BTreeMap<Height, Arc<DuplicateTable>>), OutboxError> {
    let mut tables: BTreeMap<Height, Arc<DuplicateTable>> = BTreeMap::new();
    let outbox = OutboxConfig {
        segment_time: config.event_segment_time,
        ..OutboxConfig::new(config.dir.join("events"))
    };
    let outbox = Outbox::open(&outbox, metrics, guard, |height, keys| {
        let table = tables.entry(Height(height)).or_default();
        for prefix in keys.as_chunks().0 {
            table.insert(u64::from_le_bytes(*prefix));
        }
    })?;
    Ok((outbox, tables))
}

/// Makes the slots anew whenever the Master has something new.
async fn follow(shared: Arc<Shared>, master: MasterClient, mut tracker: Tracker) {
    let mut view = master.view();
    shared.health.trouble_of(HEALTH_PART, "the Master has not told yet what to take");
    // An error cannot be met: `master` holds the sender.
    while view.changed().await.is_ok() {
        let Some(current) = view.borrow_and_update().clone() else { continue };
        let tracked = match tracker.update(&current) {
            Ok(tracked) => tracked,
            Err(fault) => {
                tracing::error!(%fault, "the handler keeps to what it knew");
                shared.health.trouble_of(HEALTH_PART, fault.to_string());
                continue;
            }
        };
        let slots = tracked.slots;
        shared.slots.store(Arc::clone(&slots));
        let abandoned = Arc::clone(&slots);
        shared.batches.drop_abandoned(|height, parent| abandoned.replaced(height, parent));
        shared.outbox.keys_needed_from(tracked.taken_from.0);
        tracked.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        match (slots.is_empty(), tracked.warnings.first()) {
            (false, _) => shared.health.solved(HEALTH_PART),
            (true, Some(warning)) => shared.health.trouble_of(HEALTH_PART, warning.as_str()),
            (true, None) => {
                shared.health.trouble_of(HEALTH_PART, "no block is known that announcements can be for");
            }
        }
    }
}

/// Rule R-D2.
async fn flush_batches(shared: Arc<Shared>) {
    let mut clock = tokio::time::interval(Duration::from_millis(500));
    loop {
        clock.tick().await;
        shared.batches.flush(Instant::now());
        shared.served.note_sprayed();
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

#[cfg(test)]
mod tests;
