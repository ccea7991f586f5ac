//! The long poll for the next work: any number of clients wait, one publication answers them all (rule R-M5).
//!
//! All waiters share one copy of the file. How many may wait is bounded, in total and per address; beyond that the
//! answer is an immediate "too many", never a queue.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hashbrown::HashMap;
use packetcrypt::Height;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use crate::listener::Client;
use crate::metrics::{Metrics, Stage, StageTimes};

/// How many may wait, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedLimits {
    /// Clients waiting at once.
    pub waiting: usize,
    /// Clients waiting at once from one address (IPv6: one /64); loopback and trusted proxies are exempt.
    pub waiting_per_address: usize,
    /// Time after which a client is told to ask again.
    pub time: Duration,
}

impl Default for FeedLimits {
    fn default() -> Self {
        Self { waiting: 20_000, waiting_per_address: 64, time: Duration::from_secs(30) }
    }
}

/// What a waiting client is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The work file it waited for.
    Work(Bytes),
    /// The chain is already past the height it waited for.
    Passed,
    /// Nothing new in time: ask again.
    TryAgain,
    /// Too many wait already.
    TooMany,
}

/// The newest work, and who waits for the next; clones share it.
#[derive(Clone)]
pub struct WorkFeed {
    shared: Arc<Shared>,
}

struct Shared {
    limits: FeedLimits,
    newest: watch::Sender<Newest>,
    waiting: Mutex<Waiting>,
    waiting_now: Gauge,
    answered: Counter,
    to_client: StageTimes,
    refused: Counter,
}

#[derive(Debug, Clone, Default)]
enum Newest {
    /// No work yet.
    #[default]
    Nothing,
    Work {
        height: Height,
        file: Bytes,
        published: Instant,
    },
    /// The role stops: nobody is kept waiting.
    Closed,
}

impl Newest {
    /// Whether who waits for `height` has waited long enough.
    fn reaches(&self, height: Height) -> bool {
        match self {
            Self::Nothing => false,
            Self::Work { height: newest, .. } => *newest >= height,
            Self::Closed => true,
        }
    }
}

#[derive(Default)]
struct Waiting {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A client's place among the waiting, given back when dropped.
struct Seat<'a> {
    shared: &'a Shared,
    group: Option<IpAddr>,
}

impl WorkFeed {
    /// A feed without work.
    pub fn new(limits: FeedLimits, metrics: &Metrics) -> Self {
        let shared = Shared {
            limits,
            newest: watch::Sender::new(Newest::Nothing),
            waiting: Mutex::default(),
            waiting_now: metrics.gauge("long_poll_waiting", "Clients waiting for the next work"),
            answered: metrics.counter("long_poll_answers", "Long polls answered with new work"),
            to_client: metrics.stage(Stage::TemplateToClient),
            refused: metrics.counter("long_poll_refused", "Long polls refused because too many wait"),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Makes `file` the newest work and answers everybody who waits for `height`.
    pub fn publish(&self, height: Height, file: Bytes) {
        let published = Instant::now();
        self.shared.newest.send_if_modified(|newest| {
            let is_open = !matches!(newest, Newest::Closed);
            if is_open {
                *newest = Newest::Work { height, file, published };
            }
            is_open
        });
    }

    /// Ends all waiting, now and later.
    pub fn close(&self) {
        self.shared.newest.send_replace(Newest::Closed);
    }

    /// Waits until the work of `height` is published. Returns at once if the newest work is as high or higher.
    pub async fn next(&self, height: Height, client: Client) -> Next {
        let Some(_seat) = self.shared.sit_down(client) else {
            self.shared.refused.inc();
            return Next::TooMany;
        };
        let mut newest = self.shared.newest.subscribe();
        let waited = !newest.borrow().reaches(height);
        let arrived = newest.wait_for(|newest| newest.reaches(height));
        let Ok(Ok(arrived)) = tokio::time::timeout(self.shared.limits.time, arrived).await else {
            return Next::TryAgain;
        };
        match &*arrived {
            Newest::Work { height: newest, file, published } if *newest == height => {
                self.shared.answered.inc();
                // Who asks for work that is there already has not waited for it.
                if waited {
                    self.shared.to_client.since(*published);
                }
                Next::Work(file.clone())
            }
            Newest::Work { .. } => Next::Passed,
            Newest::Nothing | Newest::Closed => Next::TryAgain,
        }
    }
}

impl Shared {
    fn sit_down(&self, client: Client) -> Option<Seat<'_>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.total >= self.limits.waiting {
            return None;
        }
        let group = if client.exempt { None } else { Some(client.group()) };
        if let Some(group) = group {
            let of_address = waiting.by_address.entry(group).or_insert(0);
            if *of_address >= self.limits.waiting_per_address {
                return None;
            }
            *of_address += 1;
        }
        waiting.total += 1;
        self.waiting_now.set(waiting.total as i64);
        Some(Seat { shared: self, group })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.total = waiting.total.saturating_sub(1);
        self.shared.waiting_now.set(waiting.total as i64);
        let Some(group) = self.group else { return };
        if let Some(of_address) = waiting.by_address.get_mut(&group) {
            *of_address = of_address.saturating_sub(1);
            if *of_address == 0 {
                waiting.by_address.remove(&group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        let address: IpAddr = address.parse().unwrap();
        Client { address, exempt: address.is_loopback() }
    }

    fn feed(limits: FeedLimits) -> WorkFeed {
        WorkFeed::new(limits, &Metrics::new())
    }

    /// Starts a wait and lets it reach its place.
    async fn wait(feed: &WorkFeed, height: u32, address: &str) -> tokio::task::JoinHandle<Next> {
        let (feed, client) = (feed.clone(), client(address));
        let waiting = tokio::spawn(async move { feed.next(Height(height), client).await });
        tokio::task::yield_now().await;
        waiting
    }

    #[tokio::test]
    async fn p8_one_publication_answers_thousands_with_the_same_bytes() {
        let feed = feed(FeedLimits::default());
        feed.publish(Height(7), Bytes::from_static(b"seven"));
        let mut waiting = Vec::new();
        for _ in 0..2000 {
            waiting.push(wait(&feed, 8, "127.0.0.1").await);
        }
        let file = Bytes::from_static(b"eight");
        feed.publish(Height(8), file.clone());
        for answer in waiting {
            match answer.await.unwrap() {
                Next::Work(work) => assert_eq!(work.as_ptr(), file.as_ptr(), "not a copy"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(feed.shared.waiting.lock().unwrap().total, 0);
    }

    #[tokio::test]
    async fn work_that_is_there_or_passed_is_answered_at_once() {
        let feed = feed(FeedLimits::default());
        feed.publish(Height(8), Bytes::from_static(b"eight"));
        let at_once = feed.next(Height(8), client("127.0.0.1")).await;
        assert_eq!(at_once, Next::Work(Bytes::from_static(b"eight")));
        assert_eq!(feed.next(Height(7), client("127.0.0.1")).await, Next::Passed);
    }

    #[tokio::test(start_paused = true)]
    async fn replaced_work_of_the_current_height_does_not_end_the_wait_for_the_next() {
        let feed = feed(FeedLimits::default());
        feed.publish(Height(7), Bytes::from_static(b"seven"));
        let waiting = wait(&feed, 8, "127.0.0.1").await;
        feed.publish(Height(7), Bytes::from_static(b"another seven"));
        assert_eq!(waiting.await.unwrap(), Next::TryAgain, "after its 30 seconds");
    }

    #[tokio::test]
    async fn r_m5_waiting_is_bounded_in_total_and_per_address() {
        let feed = feed(FeedLimits { waiting: 3, waiting_per_address: 1, ..FeedLimits::default() });
        let first = wait(&feed, 1, "192.0.2.1").await;
        assert_eq!(feed.next(Height(1), client("192.0.2.1")).await, Next::TooMany);
        let _local = (wait(&feed, 1, "127.0.0.1").await, wait(&feed, 1, "127.0.0.1").await);
        assert_eq!(feed.next(Height(1), client("127.0.0.1")).await, Next::TooMany);
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let _another = wait(&feed, 1, "192.0.2.1").await;
        assert_eq!(feed.shared.waiting.lock().unwrap().total, 3, "the seat of the one that left is free");
    }

    #[tokio::test]
    async fn closing_lets_everybody_go() {
        let feed = feed(FeedLimits::default());
        let waiting = wait(&feed, 8, "127.0.0.1").await;
        feed.close();
        assert_eq!(waiting.await.unwrap(), Next::TryAgain);
        feed.publish(Height(7), Bytes::from_static(b"seven"));
        assert_eq!(feed.next(Height(8), client("127.0.0.1")).await, Next::TryAgain, "nobody waits any more");
    }
}
