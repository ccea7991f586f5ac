//! Who may ask, how much, and who may not at all: one place for all roles of a process.
//!
//! Three nouns. A *price* is the processor time that something costs to look at ([`price`]). A *bucket* holds what a
//! client may still spend, and fills up by itself ([`buckets`]); a client is an IPv4 address or an IPv6 /64, has a
//! neighbourhood that is granted several times as much ([`networks`]), and what is paid by whoever it earns for has a
//! bucket of that payee. A *ban* shuts out ([`bans`]), and outlives a restart ([`ban_file`]).
//!
//! What keeps honest miners clear of all this: work that is accepted is free, and pays back mistakes; a single mistake
//! is never punished, only more of them than good work makes up for and time forgives; and loopback, private addresses
//! and the operator's own networks are exempt.
//!
//! A payee is never limited for what somebody sends in its name, or anybody could have a stranger limited.

mod ban_file;
pub mod bans;
pub mod buckets;
pub mod networks;
pub mod price;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use ledger::UnixMillis;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;
use wire::Refusal;

pub use bans::{Ban, Subject, SubjectFault};
pub use buckets::Allowance;
pub use networks::{Networks, is_private};
pub use price::Request;

use crate::listener::Client;
use crate::metrics::Metrics;
use ban_file::BanFile;
use bans::BanBook;
use buckets::Buckets;

/// How often the file is handed to the disk.
const TIDY_PAUSE: Duration = Duration::from_secs(5);
/// Buckets that a client takes at most: its own, its neighbourhood's and its payee's, at twice the room they fill.
const BUCKETS_OF_A_CLIENT: usize = 6;

/// What clients are granted.
#[derive(Debug, Clone)]
pub struct AdmissionConfig {
    /// Part of one processor that looking at what a client sends may take in the long run, above 0.
    pub processor: f64,
    /// Seconds of a processor that it may take at once.
    pub processor_at_once: f64,
    /// Mistakes at once that are not punished, above 0.
    pub mistakes: u32,
    /// Mistakes that are forgiven in a minute, above 0.
    pub mistakes_per_minute: u32,
    /// Networks that are neither limited nor banned.
    pub exempt: Vec<IpNet>,
    /// Clients that can be limited at once, each with 96 bytes.
    pub clients: usize,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self {
            processor: 1.0,
            processor_at_once: 30.0,
            mistakes: 60,
            mistakes_per_minute: 10,
            exempt: Vec::new(),
            clients: 10_000,
        }
    }
}

/// What a bucket counts: each kind has buckets of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Seconds of processor time for whatever is looked at.
    Processor,
    /// Seconds of processor time for ungrouped announcements (rule R-A14).
    Ungrouped,
    /// What no honest program sends.
    Mistakes,
    /// Passwords tried.
    Guesses,
    /// WebSockets opened.
    Connections,
    /// Nimiq shares verified.
    Shares,
    /// Requests to the API.
    Looks,
}

/// The doorkeeper of a process.
pub struct Admission {
    config: ArcSwap<AdmissionConfig>,
    buckets: Buckets,
    bans: RwLock<BanBook>,
    /// Where bans outlive a restart, if they do.
    file: Mutex<Option<BanFile>>,
    /// Keyed with a secret of this process: nobody outside can crowd a set of buckets.
    secret: RandomState,
    started: Instant,
    figures: Figures,
}

struct Figures {
    mistakes: Counter,
    banned: Counter,
    holding: Gauge,
    forgotten: Gauge,
}

impl Figures {
    fn new(metrics: &Metrics) -> Self {
        let metrics = metrics.for_role("admission", "");
        Self {
            mistakes: metrics.counter("mistakes", "What clients sent that no honest program sends"),
            banned: metrics.counter("bans", "Bans that this process spoke"),
            holding: metrics.gauge("bans_holding", "Bans that hold now"),
            forgotten: metrics.gauge(
                "buckets_forgotten",
                "Buckets forgotten before they were full, since the table was full",
            ),
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Admission").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Default for Admission {
    fn default() -> Self {
        Self::new(AdmissionConfig::default(), &Metrics::new())
    }
}

impl Admission {
    /// One whose bans end with the process.
    pub fn new(config: AdmissionConfig, metrics: &Metrics) -> Self {
        Self {
            buckets: Buckets::new(config.clients.saturating_mul(BUCKETS_OF_A_CLIENT)),
            bans: RwLock::default(),
            file: Mutex::default(),
            secret: RandomState::new(),
            started: Instant::now(),
            figures: Figures::new(metrics),
            config: ArcSwap::from_pointee(config),
        }
    }

    /// One whose bans are kept in a file.
    pub fn open(config: AdmissionConfig, file: &Path, metrics: &Metrics) -> io::Result<Self> {
        let now = unix_now();
        let (file, book, damaged) = BanFile::open(file, now)?;
        if damaged > 0 {
            tracing::warn!(damaged, "some lines of the file of bans were damaged, and those bans are lost");
        }
        let admission =
            Self { bans: RwLock::new(book), file: Mutex::new(Some(file)), ..Self::new(config, metrics) };
        admission.look(now);
        Ok(admission)
    }

    /// From now on this is what clients are granted. For how many there is room stays as it was at the start, and a client
    /// that has to wait goes on waiting for what is above the new measure.
    pub fn grant(&self, config: AdmissionConfig) {
        self.config.store(Arc::new(config));
    }

    /// Lets a request in, at its price, or says why not.
    pub fn enter(&self, client: Client, request: Request) -> Result<(), Refusal> {
        if self.is_exempt(client) {
            return Ok(());
        }
        if let Some(seconds) = self.ban_holding(client) {
            return Err(Refusal::Banned { retry_after_seconds: seconds });
        }
        let cost = request.price().as_secs_f64();
        let wait = self.take_from_both(Counted::Processor, client, self.processor(), cost);
        wait.map_err(|wait| Refusal::TooManyRequests { retry_after_seconds: seconds(wait) })
    }

    /// Refuses a client that is banned.
    pub fn not_banned(&self, client: Client) -> Result<(), Refusal> {
        match self.ban_of(client) {
            Some(seconds) => Err(Refusal::Banned { retry_after_seconds: seconds }),
            None => Ok(()),
        }
    }

    /// Refuses what would earn for a payee that is banned.
    pub fn payee_not_banned(&self, payee: &dyn fmt::Display) -> Result<(), Refusal> {
        let (now, bans) = (unix_now(), self.read_bans());
        match bans.of_payee(payee, now) {
            Some(ban) => Err(Refusal::Banned { retry_after_seconds: ban.seconds_left(now) }),
            None => Ok(()),
        }
    }

    /// Seconds for which a client is still banned.
    pub fn ban_of(&self, client: Client) -> Option<u64> {
        if self.is_exempt(client) { None } else { self.ban_holding(client) }
    }

    /// The same for a client that is known not to be exempt.
    fn ban_holding(&self, client: Client) -> Option<u64> {
        let now = unix_now();
        self.read_bans().of_address(client.address, now).map(|ban| ban.seconds_left(now))
    }

    /// A client has made the pool spend so much for nothing.
    pub fn pay(&self, client: Client, price: Duration) {
        self.charge(Counted::Processor, client, self.processor(), price.as_secs_f64());
    }

    /// A client was refused. If that was for a mistake and there have been too many lately, it is banned.
    pub fn refused(&self, client: Client, refusal: &Refusal) {
        if !price::is_mistake(refusal) || self.is_exempt(client) {
            return;
        }
        self.figures.mistakes.inc();
        // Neighbours are not to blame: only the client's own bucket counts.
        let key = self.key(Counted::Mistakes, Networks::of(client.address).narrow);
        if self.buckets.take(key, self.mistakes(), 1.0, self.now()).is_err() {
            self.ban(client, refusal.code());
        }
    }

    /// A client has done good work, which makes up for a mistake.
    pub fn accepted(&self, client: Client) {
        if !self.is_exempt(client) {
            let key = self.key(Counted::Mistakes, Networks::of(client.address).narrow);
            self.buckets.give(key, self.mistakes(), 1.0, self.now());
        }
    }

    /// Bans a client. Gives the ban, unless it is exempt or banned already.
    pub fn ban(&self, client: Client, reason: &str) -> Option<Ban> {
        if self.is_exempt(client) {
            return None;
        }
        let (subject, now) = (Subject::Network(Networks::of(client.address).narrow), unix_now());
        let ban = self.write_bans().ban(subject, reason, now).cloned()?;
        let minutes = (ban.until_ms - ban.since_ms) / 60_000;
        tracing::warn!(subject = %ban.subject, reason, times = ban.times, minutes, "banned");
        self.note(&ban);
        Some(ban)
    }

    /// Enters a ban that somebody else has spoken. `false` if there is no room.
    pub fn adopt(&self, ban: Ban) -> bool {
        let Some(ban) = self.write_bans().put(ban).cloned() else { return false };
        self.note(&ban);
        true
    }

    /// Ends a ban; gives it, if there was one.
    pub fn lift(&self, subject: &Subject) -> Option<Ban> {
        let ban = self.write_bans().lift(subject)?;
        self.with_file(|file| file.lift(subject));
        self.look(unix_now());
        Some(ban)
    }

    /// What is known of a subject.
    pub fn known(&self, subject: &Subject) -> Option<Ban> {
        self.read_bans().get(subject).cloned()
    }

    /// The bans that hold now, newest first.
    pub fn holding(&self) -> Vec<Ban> {
        self.read_bans().holding(unix_now())
    }

    /// Takes from a bucket of a client and from that of its neighbourhood, or says how long it has to wait.
    pub fn take(
        &self,
        counted: Counted,
        client: Client,
        allowance: Allowance,
        cost: f64,
    ) -> Result<(), Duration> {
        if self.is_exempt(client) { Ok(()) } else { self.take_from_both(counted, client, allowance, cost) }
    }

    /// The same for a client that is known not to be exempt.
    fn take_from_both(
        &self,
        counted: Counted,
        client: Client,
        allowance: Allowance,
        cost: f64,
    ) -> Result<(), Duration> {
        let now = self.now();
        Networks::of(client.address).with_factors().into_iter().try_for_each(|(network, times)| {
            self.buckets.take(self.key(counted, network), allowance.times(times), cost, now)
        })
    }

    /// Takes it whether or not it is there.
    pub fn charge(&self, counted: Counted, client: Client, allowance: Allowance, cost: f64) {
        if self.is_exempt(client) {
            return;
        }
        let now = self.now();
        for (network, times) in Networks::of(client.address).with_factors() {
            self.buckets.charge(self.key(counted, network), allowance.times(times), cost, now);
        }
    }

    /// How long a client has to wait until its debt is paid back.
    pub fn debt(&self, counted: Counted, client: Client, allowance: Allowance) -> Option<Duration> {
        if self.is_exempt(client) {
            return None;
        }
        let now = self.now();
        let debts = Networks::of(client.address).with_factors().map(|(network, times)| {
            self.buckets.debt(self.key(counted, network), allowance.times(times), now)
        });
        debts.into_iter().flatten().max()
    }

    /// The same for what looking at things may cost.
    pub fn processor_debt(&self, client: Client) -> Option<Duration> {
        self.debt(Counted::Processor, client, self.processor())
    }

    /// The same for a payee, wherever its work comes from: it is granted as much as a neighbourhood of addresses.
    pub fn debt_of_payee(&self, counted: Counted, payee: &[u8], allowance: Allowance) -> Option<Duration> {
        self.buckets.debt(self.key(counted, payee), allowance, self.now())
    }

    /// Charges a payee for work that was accepted.
    pub fn charge_payee(&self, counted: Counted, payee: &[u8], allowance: Allowance, cost: f64) {
        self.buckets.charge(self.key(counted, payee), allowance, cost, self.now());
    }

    /// Buckets that were forgotten before they were full.
    pub fn forgotten(&self) -> u64 {
        self.buckets.forgotten()
    }

    /// Whether limits are not for this client.
    pub fn is_exempt(&self, client: Client) -> bool {
        let address = client.address.to_canonical();
        client.exempt
            || is_private(address)
            || self.config.load().exempt.iter().any(|net| net.contains(&address))
    }

    /// Forgets what is over and keeps the file in order until `shutdown`.
    pub async fn keep(self: Arc<Self>, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(TIDY_PAUSE)).await.is_some() {
            let admission = Arc::clone(&self);
            let tidied = tokio::task::spawn_blocking(move || admission.tidy()).await;
            if let Err(fault) = tidied {
                tracing::error!(%fault, "keeping the bans ended badly");
            }
        }
        self.tidy();
    }

    fn tidy(&self) {
        let now = unix_now();
        self.write_bans().forget(now);
        self.look(now);
        let bans = self.read_bans();
        self.with_file(|file| file.tidy(&bans));
    }

    /// Shows what there is.
    fn look(&self, now: UnixMillis) {
        let holding = self.read_bans().all().filter(|ban| ban.holds(now)).count();
        self.figures.holding.set(holding as i64);
        self.figures.forgotten.set(self.buckets.forgotten() as i64);
    }

    /// A ban has been entered.
    fn note(&self, ban: &Ban) {
        self.figures.banned.inc();
        self.figures.holding.inc();
        self.with_file(|file| file.ban(ban));
    }

    fn with_file(&self, action: impl FnOnce(&mut BanFile) -> io::Result<()>) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = file.as_mut().map(action) {
            tracing::error!(%error, "the file of bans cannot be written: bans hold until a restart");
        }
    }

    fn processor(&self) -> Allowance {
        let config = self.config.load();
        Allowance::new(config.processor_at_once, config.processor)
    }

    fn mistakes(&self) -> Allowance {
        let config = self.config.load();
        Allowance::new(f64::from(config.mistakes), f64::from(config.mistakes_per_minute) / 60.0)
    }

    fn key(&self, counted: Counted, whose: impl std::hash::Hash) -> u64 {
        self.secret.hash_one((counted, whose))
    }

    /// Microseconds of this process.
    fn now(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn read_bans(&self) -> std::sync::RwLockReadGuard<'_, BanBook> {
        self.bans.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_bans(&self) -> std::sync::RwLockWriteGuard<'_, BanBook> {
        self.bans.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whole seconds for `Retry-After`.
pub fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + 1
}

fn unix_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMillis(since.map_or(0, |since| since.as_millis() as u64))
}

#[cfg(test)]
mod tests;
