//! Announcements over UDP: subscribing to sprayers and taking what they send
//! (`docs/protocol/packetcrypt-pool.md` 6.2).

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::BytesMut;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    task::JoinSet,
    time::{Duration, Instant, interval, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use wire::sprayer::{Datagram, Subscription};

use super::{
    arrivals::{Arrival, ArrivalTotals},
    config::SprayerSource,
};

/// A subscription lasts 30 s and is renewed this often.
const RENEWAL: Duration = Duration::from_secs(5);
/// The largest datagram there is.
const DATAGRAM_SIZE: usize = 1 << 16;
/// The receive buffer that is asked for; the system may give less.
const RECEIVE_BUFFER: usize = 512 << 20;
/// Announcements that are handed on together, and how long they wait for that (rule R-S1).
const TOGETHER: usize = 1024;
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// Counters that are looked at together for what is missing.
const WINDOW: u64 = 1024;
/// A counter that jumps by more windows than this has been started anew by the sender.
const LONGEST_GAP: u64 = 64;

/// Why a subscription cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot receive announcements at {bind}: {reason}")]
pub struct SubscriptionFault {
    /// Our own address.
    pub bind: SocketAddr,
    /// What the system says.
    pub reason: io::Error,
}

/// Sprayers that are subscribed to.
pub struct SprayerSubscription {
    socket: Arc<UdpSocket>,
    source: SprayerSource,
}

impl SprayerSubscription {
    /// Opens the socket. Must be called inside a tokio runtime.
    pub fn open(source: SprayerSource) -> Result<Self, SubscriptionFault> {
        let socket =
            open_socket(&source).map_err(|reason| SubscriptionFault { bind: source.bind, reason })?;
        Ok(Self { socket: Arc::new(socket), source })
    }

    /// The address that sprayers send to.
    #[cfg(test)]
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Subscribes and receives until `shutdown`.
    pub async fn run(
        self,
        arrivals: mpsc::Sender<Arrival>,
        totals: Arc<ArrivalTotals>,
        shutdown: CancellationToken,
    ) {
        info!(sprayers = ?self.source.subscribe(), bind = %self.source.bind, "subscribing to announcements");
        let senders = Arc::new(Senders::new(&self.source));
        let mut tasks = JoinSet::new();
        for _ in 0..self.source.receivers.get() {
            let receiver = Receiver {
                socket: Arc::clone(&self.socket),
                senders: Arc::clone(&senders),
                arrivals: arrivals.clone(),
                totals: Arc::clone(&totals),
                buffer: vec![0; DATAGRAM_SIZE],
                gathered: HashMap::new(),
            };
            tasks.spawn(receiver.run());
        }
        drop(arrivals);
        // A group is joined by the system; its senders know nothing of us.
        if self.source.multicast.is_none() {
            tasks.spawn(keep_subscribed(Arc::clone(&self.socket), self.source));
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = tasks.join_next() => {}
        }
    }
}

fn open_socket(source: &SprayerSource) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(source.bind), Type::DGRAM, Some(Protocol::UDP))?;
    // The system's limit is what there is; a smaller buffer only loses more.
    if let Err(reason) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
        debug!("receive buffer: {reason}");
    }
    if let (Some(group), IpAddr::V4(interface)) = (&source.multicast, source.bind.ip()) {
        socket.set_reuse_address(true)?;
        socket.join_multicast_v4(group, &interface)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&source.bind.into())?;
    UdpSocket::from_std(socket.into())
}

async fn keep_subscribed(socket: Arc<UdpSocket>, source: SprayerSource) {
    let datagram = Subscription::new(source.password()).to_datagram();
    let mut renewals = interval(RENEWAL);
    loop {
        renewals.tick().await;
        for sprayer in source.subscribe() {
            if let Err(reason) = socket.send_to(&datagram, sprayer).await {
                warn!(%sprayer, "cannot subscribe: {reason}");
            }
        }
    }
}

/// Who may send, and how much of it arrived.
struct Senders {
    known: HashMap<SocketAddr, (Arc<str>, Mutex<Arrived>)>,
}

impl Senders {
    fn new(source: &SprayerSource) -> Self {
        let known = source.subscribe().iter().map(|address| {
            let name: Arc<str> = format!("sprayer {address}").into();
            (*address, (name, Mutex::default()))
        });
        Self { known: known.collect() }
    }

    /// The name of a sender that is subscribed to, and how many records are newly missing from it.
    fn arrived(&self, sender: &SocketAddr, counters: impl Iterator<Item = u64>) -> Option<(Arc<str>, u64)> {
        let (name, arrived) = self.known.get(sender)?;
        let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        Some((Arc::clone(name), counters.map(|counter| arrived.record(counter)).sum()))
    }
}

/// The counters of one sender, which rise by one for each record that it meant to send. Records may come in another
/// order, so what is missing from a window of counters is known when the second one after it has begun.
#[derive(Debug, Default)]
struct Arrived {
    /// The oldest window that may still be filled.
    oldest: u64,
    newest: u64,
    /// Records that arrived of each window from the oldest on.
    counts: VecDeque<u64>,
}

impl Arrived {
    /// Takes note of a record. The result: how many are known to be missing because of it.
    fn record(&mut self, counter: u64) -> u64 {
        let window = counter / WINDOW;
        if self.counts.is_empty() || window.abs_diff(self.newest) > LONGEST_GAP {
            // What the sender counted before we heard of it was not for us.
            *self = Self { oldest: window, newest: window, counts: VecDeque::from([counter % WINDOW]) };
        }
        self.newest = self.newest.max(window);
        self.counts.resize((self.newest - self.oldest + 1) as usize, 0);
        let place = window.checked_sub(self.oldest).and_then(|place| self.counts.get_mut(place as usize));
        if let Some(count) = place {
            *count += 1;
        }
        let mut lost = 0;
        while self.counts.len() > 2 {
            self.oldest += 1;
            lost += self.counts.pop_front().map_or(0, |arrived| WINDOW.saturating_sub(arrived));
        }
        lost
    }
}

struct Receiver {
    socket: Arc<UdpSocket>,
    senders: Arc<Senders>,
    arrivals: mpsc::Sender<Arrival>,
    totals: Arc<ArrivalTotals>,
    buffer: Vec<u8>,
    gathered: HashMap<Arc<str>, BytesMut>,
}

impl Receiver {
    async fn run(mut self) {
        while !self.arrivals.is_closed() {
            self.receive_one().await;
            let deadline = Instant::now() + LONGEST_WAIT;
            while !self.enough_gathered() && timeout_at(deadline, self.receive_one()).await.is_ok() {}
            self.hand_on();
        }
    }

    /// Takes one datagram, whoever sent it.
    async fn receive_one(&mut self) {
        let (length, sender) = match self.socket.recv_from(&mut self.buffer).await {
            Ok(received) => received,
            // Such as the answer of a host where nothing listens; the next datagram is another matter.
            Err(reason) => {
                debug!("receiving announcements: {reason}");
                return;
            }
        };
        let datagram = Datagram::split(self.buffer.get(..length).unwrap_or_default());
        let records: Vec<_> = datagram.records().collect();
        let counters = records.iter().map(|record| record.counter);
        let Some((name, lost)) = self.senders.arrived(&sender, counters) else {
            debug!(%sender, "datagram from a stranger ignored");
            return;
        };
        self.totals.lost(lost);
        let gathered = self.gathered.entry(name).or_default();
        for record in &records {
            gathered.extend_from_slice(record.announcement.as_bytes());
        }
    }

    fn enough_gathered(&self) -> bool {
        self.gathered.values().any(|bytes| bytes.len() >= TOGETHER * 1024)
    }

    fn hand_on(&mut self) {
        for (source, bytes) in self.gathered.drain() {
            let announcements = (bytes.len() / 1024) as u64;
            if announcements > 0 && self.arrivals.try_send(Arrival { source, bytes: bytes.freeze() }).is_err()
            {
                self.totals.lost(announcements);
            }
        }
    }
}

#[cfg(test)]
mod tests;
