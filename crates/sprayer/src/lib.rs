//! The UDP feed of announcements to block miners, and relays of it.
//!
//! Three nouns. A [`Sprayer`] owns one UDP socket. A [*subscriber*](subscribers) is an address that has sent the
//! password within the last half minute, or that the configuration names; each has a bounded queue of *chunks*,
//! runs of announcements with the numbers that they got when they were queued. A *source* is another sprayer, to which
//! this one subscribes and whose announcements it [takes](receiving) and passes on. An announcement handler is a sprayer
//! without sources, a block miner one that uses what it passes on.
//!
//! Rules: `docs/protocol/packetcrypt-pool.md` 6.2 with R-S1 (what has arrived is sent at once), R-S2 (what was seen
//! lately is not passed on again, so rings of relays do not circulate anything), R-S3 (who may subscribe), R-S4
//! (queues end with their subscription) and R-S5 (no polling). What it does not do: validate announcements, or
//! repeat what was lost.

mod config;
mod figures;
mod losses;
mod receiving;
mod recent;
mod subscribers;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use packetcrypt::Announcement;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use wire::sprayer::{MAX_RECORDS, RECORD_SIZE, Subscription, records_per_datagram};

pub use config::SprayerConfig;
pub use figures::Figures;
use receiving::{Receiver, Sources};
use recent::Recent;
use subscribers::Subscribers;

/// How often a subscription is renewed.
const RENEWAL: Duration = Duration::from_secs(5);
/// The kernel's buffer for what arrives; it gives less if its own limit is lower.
const RECEIVE_BUFFER: usize = 512 << 20;

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

/// Announcements that came together from one source.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Who sent them, for trust and for logs.
    pub source: Arc<str>,
    /// Any number of whole announcements, one after the other; a rest is ignored.
    pub bytes: Bytes,
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
    sources: Sources,
    subscribers: Mutex<Subscribers>,
    recent: Mutex<Recent>,
    /// Told whenever something has been queued.
    queued: Notify,
    figures: Figures,
}

impl Sprayer {
    /// Opens the socket and starts sending, receiving and renewing. What arrives from the sources also goes to `taker`;
    /// what it does not take is counted. Must be called inside a tokio runtime.
    pub fn start(
        config: SprayerConfig,
        figures: Figures,
        taker: Option<mpsc::Sender<Arrival>>,
        shutdown: &CancellationToken,
    ) -> Result<(Self, JoinHandle<()>), SprayerError> {
        let address = config.bind;
        if config.password.is_empty() && !config.empty_password_allowed {
            return Err(SprayerError::NoPassword { address });
        }
        let opened = open(&config).and_then(|socket| Ok((socket.local_addr()?, socket)));
        let (address, socket) = opened.map_err(|source| SprayerError::Socket { address, source })?;
        let shared = Arc::new(Shared {
            sources: Sources::new(&config.subscribe_to),
            subscribers: Mutex::new(Subscribers::new(&config)),
            config,
            socket,
            address,
            recent: Mutex::new(Recent::default()),
            queued: Notify::new(),
            figures,
        });
        let task = tokio::spawn(run(Arc::clone(&shared), taker, shutdown.clone()));
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

fn open(config: &SprayerConfig) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(config.bind), Type::DGRAM, Some(Protocol::UDP))?;
    // Best effort: a smaller buffer only means more losses in bursts.
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(address = %config.bind, %error, "the UDP receive buffer keeps its size");
    }
    if let (Some(group), IpAddr::V4(interface)) = (&config.multicast, config.bind.ip()) {
        socket.set_reuse_address(true)?;
        socket.join_multicast_v4(group, &interface)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&config.bind.into())?;
    UdpSocket::from_std(socket.into())
}

/// The sprayer's life: until told to stop, send what is queued, take what arrives, renew subscriptions.
async fn run(shared: Arc<Shared>, taker: Option<mpsc::Sender<Arrival>>, shutdown: CancellationToken) {
    let mut tasks = JoinSet::new();
    for _ in 0..shared.config.receivers.get() {
        tasks.spawn(Receiver::new(Arc::clone(&shared), taker.clone()).run());
    }
    drop(taker);
    tokio::select! {
        () = send(&shared) => {}
        () = renew(&shared) => {}
        () = shutdown.cancelled() => {}
    }
    tasks.shutdown().await;
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

/// Subscribes to the sources, again and again. A group is joined by the system; its senders know nothing of us.
async fn renew(shared: &Shared) {
    if shared.config.subscribe_to.is_empty() || shared.config.multicast.is_some() {
        return std::future::pending().await;
    }
    let datagram = Subscription::new(shared.config.password.as_str()).to_datagram();
    let mut refused = false;
    loop {
        for source in &shared.config.subscribe_to {
            if let Err(error) = shared.socket.send_to(&datagram, source).await
                && !std::mem::replace(&mut refused, true)
            {
                tracing::warn!(%source, %error, "cannot subscribe to announcements; it is tried again and again");
            }
        }
        tokio::time::sleep(RENEWAL).await;
    }
}

#[cfg(test)]
mod tests;
