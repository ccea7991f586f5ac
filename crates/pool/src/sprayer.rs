//! The UDP feed of announcements to block miners, and relays of it.
//!
//! Three nouns. A [`Sprayer`] owns one UDP socket. A [*subscriber*](subscribers) is an address that has sent the
//! password within the last half minute, or that the configuration names; each has a bounded queue of *chunks*,
//! runs of announcements with the numbers that they got when they were queued. A *source* is another sprayer whose
//! announcements this one passes on.
//!
//! Rules: `docs/protocol/packetcrypt-pool.md` 6.2 with R-S1 (what has arrived is sent at once), R-S2 (what was seen
//! lately is not passed on again, so rings of relays do not circulate anything), R-S3 (who may subscribe), R-S4
//! (queues end with their subscription) and R-S5 (no polling). What it does not do: validate announcements, or
//! repeat what was lost.

mod recent;
mod subscribers;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use packetcrypt::Announcement;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wire::sprayer::{
    DEFAULT_MAX_SEGMENT_SIZE, Datagram, MAX_RECORDS, RECORD_SIZE, Subscription, records_per_datagram,
};

use crate::Metrics;
use recent::Recent;
use subscribers::Subscribers;

/// How often a relay renews its subscriptions.
const RENEWAL: Duration = Duration::from_secs(5);
/// The kernel's buffer for what arrives; it gives less if its own limit is lower.
const RECEIVE_BUFFER: usize = 64 << 20;

/// Where a sprayer stands and whom it serves.
#[derive(Debug, Clone)]
pub struct SprayerConfig {
    /// Its one socket. Private by preference: the password travels in clear text.
    pub bind: SocketAddr,
    /// What a subscriber must know.
    pub password: String,
    /// Whether an empty password is meant to be one (rule R-S3).
    pub empty_password_allowed: bool,
    /// Networks from which subscriptions are taken; none means from everywhere.
    pub subscriber_networks: Vec<IpNet>,
    /// Subscribers at once, beside those of `spray_at`.
    pub subscribers_max: usize,
    /// New subscribers per second.
    pub new_subscribers_per_second: u32,
    /// How long a subscription lasts.
    pub subscription_time: Duration,
    /// Bytes of a datagram's content.
    pub max_segment_size: usize,
    /// Addresses that are sent everything without asking.
    pub spray_at: Vec<SocketAddr>,
    /// Sprayers whose announcements are passed on.
    pub subscribe_to: Vec<SocketAddr>,
}

impl SprayerConfig {
    /// The usual limits.
    pub fn new(bind: SocketAddr, password: impl Into<String>) -> Self {
        Self {
            bind,
            password: password.into(),
            empty_password_allowed: false,
            subscriber_networks: Vec::new(),
            subscribers_max: 64,
            new_subscribers_per_second: 16,
            subscription_time: Duration::from_secs(30),
            max_segment_size: DEFAULT_MAX_SEGMENT_SIZE,
            spray_at: Vec::new(),
            subscribe_to: Vec::new(),
        }
    }
}

/// Why a sprayer did not start.
#[derive(Debug, thiserror::Error)]
pub enum SprayerError {
    /// The socket could not be had.
    #[error("the sprayer cannot use UDP address {address}: {source}")]
    Socket {
        /// The address of the configuration.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Rule R-S3: anybody could subscribe, and have others flooded.
    #[error("the sprayer at {address} has no password; give it one, or allow the empty password explicitly")]
    NoPassword {
        /// The address of the configuration.
        address: SocketAddr,
    },
}

/// A running sprayer; clones share it.
#[derive(Clone)]
pub struct Sprayer {
    shared: Arc<Shared>,
}

struct Shared {
    config: SprayerConfig,
    socket: UdpSocket,
    address: SocketAddr,
    subscribers: Mutex<Subscribers>,
    recent: Mutex<Recent>,
    /// Told whenever something has been queued.
    queued: Notify,
    figures: Figures,
}

struct Figures {
    subscribers: Gauge,
    sent: Counter,
    dropped: Counter,
    received: Counter,
    repeated: Counter,
    refused: Counter,
    foreign: Counter,
}

impl Figures {
    fn new(metrics: &Metrics) -> Self {
        Self {
            subscribers: metrics.gauge("sprayer_subscribers", "Addresses that are sent announcements"),
            sent: metrics.counter("sprayer_sent", "Announcements sent to subscribers"),
            dropped: metrics
                .counter("sprayer_dropped", "Announcements dropped because a subscriber's queue was full"),
            received: metrics.counter("sprayer_received", "Announcements received from other sprayers"),
            repeated: metrics.counter("sprayer_repeated", "Announcements received again and not passed on"),
            refused: metrics.counter("sprayer_subscriptions_refused", "Subscriptions refused"),
            foreign: metrics
                .counter("sprayer_foreign", "Datagrams of announcements from senders not subscribed to"),
        }
    }
}

impl Sprayer {
    /// Opens the socket and starts sending, receiving and renewing. Announcements that arrive from `subscribe_to`
    /// also go to `received`, those that do not fit are dropped.
    pub async fn start(
        config: SprayerConfig,
        metrics: &Metrics,
        received: Option<mpsc::Sender<Announcement>>,
        shutdown: &CancellationToken,
    ) -> Result<(Self, JoinHandle<()>), SprayerError> {
        let address = config.bind;
        if config.password.is_empty() && !config.empty_password_allowed {
            return Err(SprayerError::NoPassword { address });
        }
        let socket = bind(address).await.map_err(|source| SprayerError::Socket { address, source })?;
        let address = socket.local_addr().map_err(|source| SprayerError::Socket { address, source })?;
        let subscribers = Subscribers::new(&config);
        let shared = Arc::new(Shared {
            config,
            socket,
            address,
            subscribers: Mutex::new(subscribers),
            recent: Mutex::new(Recent::default()),
            queued: Notify::new(),
            figures: Figures::new(metrics),
        });
        let task = tokio::spawn(run(Arc::clone(&shared), received, shutdown.clone()));
        Ok((Self { shared }, task))
    }

    /// The address of the socket.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Queues announcements for every subscriber. They are not looked at, and not remembered as seen.
    pub fn spray(&self, announcements: Vec<Announcement>) {
        self.shared.queue(announcements);
    }
}

async fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address).await?;
    // Best effort: a smaller buffer only means more losses in bursts.
    if let Err(error) = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%address, %error, "the UDP receive buffer keeps its size");
    }
    Ok(socket)
}

/// The sprayer's life: until told to stop, send what is queued, take what arrives, renew subscriptions.
async fn run(shared: Arc<Shared>, received: Option<mpsc::Sender<Announcement>>, shutdown: CancellationToken) {
    tokio::select! {
        () = send(&shared) => {}
        () = receive(&shared, received) => {}
        () = renew(&shared) => {}
        () = shutdown.cancelled() => {}
    }
}

impl Shared {
    fn subscribers(&self) -> std::sync::MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self, announcements: Vec<Announcement>) {
        if announcements.is_empty() {
            return;
        }
        let dropped = self.subscribers().queue(announcements, Instant::now());
        self.figures.dropped.inc_by(dropped);
        self.queued.notify_one();
    }

    /// Records that a datagram to `to` may hold: many where it never leaves the machine.
    fn records_for(&self, to: SocketAddr) -> usize {
        let own =
            to.ip() == self.address.ip() || (self.address.ip().is_unspecified() && to.ip().is_loopback());
        if own { MAX_RECORDS } else { records_per_datagram(self.config.max_segment_size) }
    }
}

/// Sends datagram after datagram, each subscriber in turn, and waits while nothing is queued.
async fn send(shared: &Shared) {
    let mut datagram = Vec::with_capacity(MAX_RECORDS * RECORD_SIZE);
    loop {
        let mut sent_any = false;
        let addresses = shared.subscribers().addresses(Instant::now());
        shared.figures.subscribers.set(addresses.len() as i64);
        for to in addresses {
            datagram.clear();
            let records = shared.subscribers().next_records(to, shared.records_for(to), &mut datagram);
            if records == 0 {
                continue;
            }
            sent_any = true;
            if let Err(error) = shared.socket.send_to(&datagram, to).await {
                // UDP promises nothing; the gap in the numbers tells the subscriber.
                tracing::debug!(%to, %error, "a datagram of announcements could not be sent");
            } else {
                shared.figures.sent.inc_by(records as u64);
            }
        }
        if !sent_any {
            shared.queued.notified().await;
        }
    }
}

/// Takes what arrives: subscriptions from anybody who may, announcements from the configured sources.
async fn receive(shared: &Shared, received: Option<mpsc::Sender<Announcement>>) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let (length, from) = match shared.socket.recv_from(&mut buffer).await {
            Ok(arrived) => arrived,
            Err(error) => {
                // Such as "connection refused" from a subscriber that has gone.
                tracing::debug!(%error, "receiving announcements");
                continue;
            }
        };
        let datagram = Datagram::split(&buffer[..length]);
        if let Some(subscription) = datagram.subscription() {
            let refused = match subscription {
                Ok(subscription) => subscribe(shared, from, &subscription).err(),
                Err(_) => Some("unreadable"),
            };
            if let Some(reason) = refused {
                shared.figures.refused.inc();
                tracing::debug!(%from, reason, "subscription refused");
            }
        }
        if datagram.record_count() > 0 {
            pass_on(shared, from, datagram, received.as_ref());
        }
    }
}

/// Takes a subscription, or says why not. Nothing is answered either way.
fn subscribe(shared: &Shared, from: SocketAddr, subscription: &Subscription) -> Result<(), &'static str> {
    use subtle::ConstantTimeEq;
    let config = &shared.config;
    if !bool::from(subscription.password.as_bytes().ct_eq(config.password.as_bytes())) {
        return Err("wrong password");
    }
    let networks = &config.subscriber_networks;
    if !networks.is_empty() && !networks.iter().any(|network| network.contains(&canonical(from.ip()))) {
        return Err("not from an allowed network");
    }
    shared.subscribers().subscribe(from, Instant::now())
}

/// An IPv4 address also where it arrived on an IPv6 socket.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Queues the announcements of a source that have not been seen lately, and gives them to `received`.
fn pass_on(
    shared: &Shared,
    from: SocketAddr,
    datagram: Datagram<'_>,
    received: Option<&mpsc::Sender<Announcement>>,
) {
    let is_source =
        |source: &SocketAddr| source.port() == from.port() && canonical(source.ip()) == canonical(from.ip());
    if !shared.config.subscribe_to.iter().any(is_source) {
        shared.figures.foreign.inc();
        return;
    }
    let mut fresh = Vec::with_capacity(datagram.record_count());
    {
        let mut recent = shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        for record in datagram.records() {
            shared.figures.received.inc();
            if recent.insert(record.announcement.announcement_hash().prefix(), now) {
                fresh.push(record.announcement);
            } else {
                shared.figures.repeated.inc();
            }
        }
    }
    if let Some(received) = received {
        for announcement in &fresh {
            if received.try_send(announcement.clone()).is_err() {
                shared.figures.dropped.inc();
            }
        }
    }
    shared.queue(fresh);
}

/// Subscribes to the sources, again and again.
async fn renew(shared: &Shared) {
    if shared.config.subscribe_to.is_empty() {
        return std::future::pending().await;
    }
    let datagram = Subscription::new(shared.config.password.as_str()).to_datagram();
    loop {
        for source in &shared.config.subscribe_to {
            if let Err(error) = shared.socket.send_to(&datagram, source).await {
                tracing::debug!(%source, %error, "a subscription could not be sent");
            }
        }
        tokio::time::sleep(RENEWAL).await;
    }
}

#[cfg(test)]
mod tests;
