//! Taking what arrives: subscriptions from anybody who may, announcements from the sources.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use bytes::BytesMut;
use packetcrypt::{Announcement, AnnouncementHash, hash::blake2b_256_many};
use tokio::{
    sync::mpsc,
    time::{Duration, timeout_at},
};
use wire::sprayer::{Datagram, Subscription};

use crate::{Arrival, Shared, losses::Arrived};

/// The largest datagram there is.
const DATAGRAM_SIZE: usize = 1 << 16;
/// Announcements that are handed on together, and how long they wait for that (rule R-S1).
const TOGETHER: usize = 1024;
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// Who may send announcements, and how much of it arrived.
pub(crate) struct Sources(HashMap<SocketAddr, (Arc<str>, Mutex<Arrived>)>);

impl Sources {
    pub(crate) fn new(addresses: &[SocketAddr]) -> Self {
        let sources = addresses.iter().map(|address| {
            let name: Arc<str> = format!("sprayer {address}").into();
            (canonical(*address), (name, Mutex::default()))
        });
        Self(sources.collect())
    }

    /// The name of a source, and how many records are newly missing from it. `None` for a stranger.
    fn arrived(&self, sender: SocketAddr, counters: impl Iterator<Item = u64>) -> Option<(Arc<str>, u64)> {
        let (name, arrived) = self.0.get(&canonical(sender))?;
        let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        Some((Arc::clone(name), counters.map(|counter| arrived.record(counter)).sum()))
    }
}

/// An IPv4 address also where it arrived on an IPv6 socket.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// One of the tasks that receive.
pub(crate) struct Receiver {
    shared: Arc<Shared>,
    taker: Option<mpsc::Sender<Arrival>>,
    buffer: Vec<u8>,
    gathered: HashMap<Arc<str>, BytesMut>,
}

impl Receiver {
    pub(crate) fn new(shared: Arc<Shared>, taker: Option<mpsc::Sender<Arrival>>) -> Self {
        Self { shared, taker, buffer: vec![0; DATAGRAM_SIZE], gathered: HashMap::new() }
    }

    /// Receives for ever.
    pub(crate) async fn run(mut self) {
        loop {
            self.receive_one().await;
            let deadline = tokio::time::Instant::now() + LONGEST_WAIT;
            while !self.gathered.is_empty()
                && !self.enough_gathered()
                && timeout_at(deadline, self.receive_one()).await.is_ok()
            {}
            self.hand_on();
        }
    }

    /// Takes one datagram, whoever sent it.
    async fn receive_one(&mut self) {
        let (length, from) = match self.shared.socket.recv_from(&mut self.buffer).await {
            Ok(received) => received,
            // Such as the answer of a host where nothing listens; the next datagram is another matter.
            Err(error) => {
                tracing::debug!(%error, "receiving announcements");
                return;
            }
        };
        let datagram = Datagram::split(self.buffer.get(..length).unwrap_or_default());
        if let Some(subscription) = datagram.subscription() {
            let refused = match subscription {
                Ok(subscription) => subscribe(&self.shared, from, &subscription).err(),
                Err(_) => Some("unreadable"),
            };
            if let Some(reason) = refused {
                self.shared.figures.refused.inc();
                tracing::debug!(%from, reason, "subscription refused");
            }
        }
        if datagram.record_count() == 0 {
            return;
        }
        let counters = datagram.records().map(|record| record.counter);
        let Some((name, lost)) = self.shared.sources.arrived(from, counters) else {
            self.shared.figures.foreign.inc();
            tracing::debug!(%from, "announcements of a stranger ignored");
            return;
        };
        self.shared.figures.lost.inc_by(lost);
        self.shared.figures.received.inc_by(datagram.record_count() as u64);
        let gathered = self.gathered.entry(name).or_default();
        for record in datagram.records() {
            gathered.extend_from_slice(record.announcement.as_bytes());
        }
    }

    fn enough_gathered(&self) -> bool {
        self.gathered.values().any(|bytes| bytes.len() >= TOGETHER * 1024)
    }

    /// Gives what has been gathered to the subscribers, and to whoever uses it here.
    fn hand_on(&mut self) {
        for (source, bytes) in self.gathered.drain() {
            let bytes = bytes.freeze();
            self.shared.pass_on(bytes.as_chunks().0);
            if let Some(taker) = &self.taker {
                let announcements = bytes.len() / 1024;
                if taker.try_send(Arrival { source, bytes }).is_err() {
                    self.shared.figures.not_taken.inc_by(announcements as u64);
                }
            }
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
    let address: IpAddr = canonical(from).ip();
    if !networks.is_empty() && !networks.iter().any(|network| network.contains(&address)) {
        return Err("not from an allowed network");
    }
    shared.subscribers().subscribe(from, Instant::now())
}

impl Shared {
    /// Queues for the subscribers what has not been seen lately (rule R-S2). Without subscribers nothing is remembered.
    fn pass_on(&self, announcements: &[[u8; 1024]]) {
        let now = Instant::now();
        if self.subscribers().addresses(now).is_empty() {
            return;
        }
        let mut hashes = vec![[0; 32]; announcements.len()];
        blake2b_256_many(announcements, &mut hashes);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh: Vec<Announcement> = announcements
            .iter()
            .zip(hashes)
            .filter(|(_, hash)| recent.insert(AnnouncementHash(*hash).prefix(), now))
            .map(|(announcement, _)| Announcement::from_bytes(announcement))
            .collect();
        drop(recent);
        self.figures.repeated.inc_by((announcements.len() - fresh.len()) as u64);
        self.queue(fresh);
    }
}
