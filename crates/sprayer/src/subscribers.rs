//! Who is sent announcements, and what waits for each.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use packetcrypt::Announcement;

use crate::SprayerConfig;

/// Announcements in a chunk, at most.
const CHUNK: usize = 1024;
/// Chunks that wait for a subscriber; then the oldest is dropped.
const CHUNKS_MAX: usize = 128;

/// All subscribers of a sprayer, by address.
pub(crate) struct Subscribers {
    by_address: BTreeMap<SocketAddr, Subscriber>,
    /// Subscribers at once, beside the fixed ones.
    most: usize,
    subscription_time: Duration,
    new_per_second: u32,
    /// The second in which new subscribers are being counted, and how many it brought.
    counted: Option<(Instant, u32)>,
}

struct Subscriber {
    /// `None`: named by the configuration.
    expires: Option<Instant>,
    /// The number of the next record to be queued.
    next_number: u64,
    chunks: VecDeque<Chunk>,
}

/// Announcements that were queued together, from a first one that is still to be sent.
struct Chunk {
    first_number: u64,
    sent: usize,
    announcements: Arc<[Announcement]>,
}

impl Subscribers {
    pub(crate) fn new(config: &SprayerConfig) -> Self {
        let fixed = config.spray_at.iter().map(|&address| (address, Subscriber::until(None)));
        Self {
            by_address: fixed.collect(),
            most: config.subscribers_max,
            subscription_time: config.subscription_time,
            new_per_second: config.new_subscribers_per_second,
            counted: None,
        }
    }

    /// Takes or renews a subscription, or says why not.
    pub(crate) fn subscribe(&mut self, from: SocketAddr, now: Instant) -> Result<(), &'static str> {
        self.expire(now);
        let expires = now + self.subscription_time;
        if let Some(subscriber) = self.by_address.get_mut(&from) {
            subscriber.expires = subscriber.expires.map(|_| expires);
            return Ok(());
        }
        if self.by_address.values().filter(|subscriber| subscriber.expires.is_some()).count() >= self.most {
            return Err("too many subscribers");
        }
        if !self.count_new(now) {
            return Err("too many new subscribers");
        }
        self.by_address.insert(from, Subscriber::until(Some(expires)));
        Ok(())
    }

    fn count_new(&mut self, now: Instant) -> bool {
        let (since, count) = match self.counted {
            Some((since, count)) if now.saturating_duration_since(since) < Duration::from_secs(1) => {
                (since, count)
            }
            _ => (now, 0),
        };
        self.counted = Some((since, count + 1));
        count < self.new_per_second
    }

    /// Ends what has not been renewed in time, queues included (rule R-S4).
    fn expire(&mut self, now: Instant) {
        self.by_address.retain(|_, subscriber| subscriber.expires.is_none_or(|expires| now < expires));
    }

    /// The subscribers of now.
    pub(crate) fn addresses(&mut self, now: Instant) -> Vec<SocketAddr> {
        self.expire(now);
        self.by_address.keys().copied().collect()
    }

    /// Queues announcements for everybody; gives the number of those that were dropped for it.
    pub(crate) fn queue(&mut self, announcements: Vec<Announcement>, now: Instant) -> u64 {
        self.expire(now);
        if self.by_address.is_empty() {
            return 0;
        }
        let chunks: Vec<Arc<[Announcement]>> = if announcements.len() <= CHUNK {
            vec![announcements.into()]
        } else {
            announcements.chunks(CHUNK).map(Arc::from).collect()
        };
        let each =
            |subscriber: &mut Subscriber| chunks.iter().map(|chunk| subscriber.queue(chunk)).sum::<u64>();
        self.by_address.values_mut().map(each).sum()
    }

    /// Writes the next records for a subscriber to a datagram; gives their number.
    pub(crate) fn next_records(
        &mut self,
        to: SocketAddr,
        records_max: usize,
        datagram: &mut Vec<u8>,
    ) -> usize {
        self.by_address.get_mut(&to).map_or(0, |subscriber| subscriber.next_records(records_max, datagram))
    }
}

impl Subscriber {
    fn until(expires: Option<Instant>) -> Self {
        Self { expires, next_number: 0, chunks: VecDeque::new() }
    }

    fn queue(&mut self, announcements: &Arc<[Announcement]>) -> u64 {
        let first_number = self.next_number;
        self.next_number += announcements.len() as u64;
        self.chunks.push_back(Chunk { first_number, sent: 0, announcements: Arc::clone(announcements) });
        if self.chunks.len() <= CHUNKS_MAX {
            return 0;
        }
        self.chunks.pop_front().map_or(0, |oldest| (oldest.announcements.len() - oldest.sent) as u64)
    }

    fn next_records(&mut self, records_max: usize, datagram: &mut Vec<u8>) -> usize {
        let mut records = 0;
        while records < records_max {
            let Some(chunk) = self.chunks.front_mut() else { break };
            let Some(announcement) = chunk.announcements.get(chunk.sent) else {
                self.chunks.pop_front();
                continue;
            };
            datagram.extend((chunk.first_number + chunk.sent as u64).to_le_bytes());
            datagram.extend(announcement.as_bytes());
            chunk.sent += 1;
            records += 1;
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::sprayer::Datagram;

    fn config(spray_at: Vec<SocketAddr>) -> SprayerConfig {
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        SprayerConfig { subscribers_max: 2, spray_at, ..SprayerConfig::new(bind, "word") }
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn announcements(count: usize) -> Vec<Announcement> {
        (0..count).map(|number| Announcement::from([number as u8; 1024])).collect()
    }

    fn numbers(subscribers: &mut Subscribers, to: SocketAddr, records_max: usize) -> Vec<u64> {
        let mut datagram = Vec::new();
        subscribers.next_records(to, records_max, &mut datagram);
        Datagram::split(&datagram).records().map(|record| record.counter).collect()
    }

    #[test]
    fn records_are_numbered_for_each_subscriber_from_its_first() {
        let (mut subscribers, now) = (Subscribers::new(&config(Vec::new())), Instant::now());
        subscribers.subscribe(address(1), now).unwrap();
        subscribers.queue(announcements(3), now);
        subscribers.subscribe(address(2), now).unwrap();
        subscribers.queue(announcements(2), now);
        assert_eq!(numbers(&mut subscribers, address(1), 4), [0, 1, 2, 3]);
        assert_eq!(numbers(&mut subscribers, address(1), 4), [4]);
        assert_eq!(numbers(&mut subscribers, address(2), 4), [0, 1]);
    }

    #[test]
    fn r_s3_there_are_no_more_subscribers_than_allowed() {
        let (mut subscribers, now) = (Subscribers::new(&config(vec![address(9)])), Instant::now());
        for port in [1, 2] {
            subscribers.subscribe(address(port), now).unwrap();
        }
        assert_eq!(subscribers.subscribe(address(3), now), Err("too many subscribers"));
        assert_eq!(subscribers.subscribe(address(2), now), Ok(()), "a renewal is no new one");
        let later = now + Duration::from_secs(31);
        assert_eq!(subscribers.subscribe(address(3), later), Ok(()));
    }

    #[test]
    fn r_s3_new_subscribers_are_limited_per_second() {
        let config = SprayerConfig { new_subscribers_per_second: 1, ..config(Vec::new()) };
        let (mut subscribers, now) = (Subscribers::new(&config), Instant::now());
        subscribers.subscribe(address(1), now).unwrap();
        assert_eq!(subscribers.subscribe(address(2), now), Err("too many new subscribers"));
        let later = now + Duration::from_secs(1);
        assert_eq!(subscribers.subscribe(address(2), later), Ok(()));
    }

    #[test]
    fn r_s4_an_expired_subscription_takes_its_queue_with_it() {
        let (mut subscribers, now) = (Subscribers::new(&config(Vec::new())), Instant::now());
        subscribers.subscribe(address(1), now).unwrap();
        subscribers.queue(announcements(3), now);
        let later = now + Duration::from_secs(30);
        assert!(subscribers.addresses(later).is_empty());
        subscribers.subscribe(address(1), later).unwrap();
        assert_eq!(numbers(&mut subscribers, address(1), 63), [0; 0]);
    }

    #[test]
    fn a_full_queue_drops_its_oldest_chunk_and_the_numbers_show_it() {
        let (mut subscribers, now) = (Subscribers::new(&config(vec![address(1)])), Instant::now());
        let dropped: u64 = (0..=CHUNKS_MAX).map(|_| subscribers.queue(announcements(10), now)).sum();
        assert_eq!(dropped, 10);
        assert_eq!(numbers(&mut subscribers, address(1), 2), [10, 11]);
    }
}
