//! How busy the threads are that a role has for its dear work: how many there are, and how long they were at work.

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use prometheus_client::metrics::counter::Counter;

use super::Metrics;

/// How many threads a role has, as a gauge is called; with the prefix.
pub const THREADS: &str = "headframe_checking_threads";
/// How long they were at work, as the counter is called; with prefix and suffix.
pub const BUSY_SECONDS: &str = "headframe_checking_busy_seconds_total";

/// Seconds, which are not whole.
pub(super) type Seconds = Counter<f64, AtomicU64>;

/// The threads of one role; clones share what they say.
#[derive(Debug, Clone)]
pub struct BusyThreads(Seconds);

impl BusyThreads {
    /// One of them was at work since then.
    pub fn since(&self, started: Instant) {
        self.0.inc_by(started.elapsed().as_secs_f64());
    }
}

impl Metrics {
    /// Threads that check proofs of work: so many there are.
    pub fn busy_threads(&self, threads: usize) -> BusyThreads {
        let count = self.gauge("checking_threads", "Threads that check proofs of work");
        count.set(i64::try_from(threads).unwrap_or(i64::MAX));
        BusyThreads(self.seconds("checking_busy_seconds", "Time that the threads were at work, all together"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_of_all_threads_is_added_up() {
        let metrics = Metrics::new();
        let threads = metrics.for_role("ann_handler", "a").busy_threads(2);
        let started = Instant::now().checked_sub(Duration::from_secs(3)).unwrap();
        threads.clone().since(started);
        threads.since(started);
        let text = metrics.text();
        let value = |name: &str| -> f64 {
            let series = format!("{name}{{role=\"ann_handler\",name=\"a\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&series)).expect(name).parse().unwrap()
        };
        assert!((6.0..60.0).contains(&value(BUSY_SECONDS)), "{text}");
        assert!((value(THREADS) - 2.0).abs() < 1e-9);
    }
}
