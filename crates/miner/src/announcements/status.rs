//! The announcement miner's figures, and the line in which the reference miner shows them.

use std::{collections::VecDeque, time::Instant};

use serde::Serialize;

use crate::{
    status_line::{bandwidth, in_thousands, padded},
    upload::CountsAt,
};

/// Seconds over which the rate is measured.
const RATE_SECONDS: usize = 10;

/// Figures of the announcement miner.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AnnouncementStatus {
    /// Announcements found per second, over the last ten seconds.
    pub announcements_per_second: u64,
    /// Hashes per second that these stand for: announcements times the work of their target.
    pub encryptions_per_second: u64,
    /// Kilobits per second that these take up, for all pools together.
    pub kilobits_per_second: u64,
    /// Announcements found since the start.
    pub found: u64,
    /// Height of the parent block; `None` while there is nothing to mine.
    pub parent_height: Option<u32>,
    /// Work bits of the announcements.
    pub target: Option<u32>,
    /// Threads that mine.
    pub threads: usize,
    /// The pools, the primary one first.
    pub pools: Vec<PoolStatus>,
}

/// Figures of one pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PoolStatus {
    /// Its URL.
    pub url: String,
    /// Whether its configuration could be read the last time.
    pub reachable: bool,
    /// Announcements on their way.
    pub uploading: u64,
    /// What became known since the last status.
    pub since_last: CountsAt,
    /// What became known since the start.
    pub total: CountsAt,
    /// Accepted out of all whose fate became known since the last status, in percent.
    pub good_rate_percent: u64,
}

impl AnnouncementStatus {
    /// The line of `docs/protocol/packetcrypt-pool.md` 7.4, word for word (rule R-N7); it has an entry per pool.
    pub fn line(&self) -> String {
        let of_pools = |entry: &dyn Fn(&PoolStatus) -> String| {
            format!("[{}]", self.pools.iter().map(entry).collect::<Vec<_>>().join(", "))
        };
        format!(
            "{} {} overflow: {} uploading: {} accept/reject/overload: {} - goodrate: {}",
            padded(10, &format!("{}e/s", in_thousands(self.encryptions_per_second.into()))),
            padded(11, &bandwidth(self.kilobits_per_second)),
            padded(5, &of_pools(&|pool| (pool.since_last.overflow + pool.since_last.lost).to_string())),
            padded(8, &of_pools(&|pool| pool.uploading.to_string())),
            padded(
                12,
                &of_pools(&|PoolStatus { since_last: counts, .. }| {
                    let rejected = counts.duplicate + counts.rejected_in_all();
                    format!("{}/{rejected}/{}", counts.accepted, counts.overload)
                })
            ),
            of_pools(&|pool| format!("{}%", pool.good_rate_percent)),
        )
    }
}

/// Announcements found at each of the last seconds, and when that was looked at. A machine that is busy looks late, so
/// what counts is the time that has really passed.
#[derive(Debug, Default)]
pub struct RateMeter {
    looks: VecDeque<(Instant, u64)>,
}

impl RateMeter {
    /// To be called about once a second with the total found so far.
    pub fn look(&mut self, now: Instant, total: u64) {
        self.looks.push_back((now, total));
        if self.looks.len() > RATE_SECONDS + 1 {
            self.looks.pop_front();
        }
    }

    /// Announcements per second, rounded down.
    pub fn per_second(&self) -> u64 {
        let (Some((first, before)), Some((last, now))) = (self.looks.front(), self.looks.back()) else {
            return 0;
        };
        let (found, time) = (now.saturating_sub(*before), last.saturating_duration_since(*first));
        if time.is_zero() { 0 } else { (found as f64 / time.as_secs_f64()) as u64 }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pool(accepted: u64, lost: u64, percent: u64) -> PoolStatus {
        PoolStatus {
            since_last: CountsAt { accepted, lost, ..CountsAt::default() },
            good_rate_percent: percent,
            ..PoolStatus::default()
        }
    }

    #[test]
    fn r_n7_the_line_is_that_of_the_reference_word_for_word() {
        let status = AnnouncementStatus {
            announcements_per_second: 450,
            encryptions_per_second: 3150,
            kilobits_per_second: 3600,
            pools: vec![pool(4096, 0, 100)],
            ..AnnouncementStatus::default()
        };
        assert_eq!(
            status.line(),
            "3150 e/s   3.51Mb/s    overflow: [0]   uploading: [0]      accept/reject/overload: [4096/0/0]   \
             - goodrate: [100%]"
        );
    }

    #[test]
    fn several_pools_stand_side_by_side() {
        let status = AnnouncementStatus {
            pools: vec![pool(10, 0, 100), pool(0, 10, 0)],
            ..AnnouncementStatus::default()
        };
        let line = status.line();
        assert!(line.contains("overflow: [0, 10]"), "{line}");
        assert!(line.contains("accept/reject/overload: [10/0/0, 0/0/0]"), "{line}");
        assert!(line.ends_with("goodrate: [100%, 0%]"), "{line}");
    }

    #[test]
    fn the_rate_is_an_average_over_ten_seconds() {
        let (mut meter, start) = (RateMeter::default(), Instant::now());
        let second = |number: u64| start + Duration::from_secs(number);
        assert_eq!(meter.per_second(), 0);
        meter.look(start, 0);
        assert_eq!(meter.per_second(), 0);
        meter.look(second(1), 100);
        assert_eq!(meter.per_second(), 100);
        for number in 2..=11 {
            meter.look(second(number), 100);
        }
        assert_eq!(meter.per_second(), 0);
    }

    #[test]
    fn a_second_that_takes_longer_makes_no_higher_rate() {
        let (mut meter, start) = (RateMeter::default(), Instant::now());
        meter.look(start, 0);
        meter.look(start + Duration::from_millis(2500), 250);
        assert_eq!(meter.per_second(), 100);
    }
}
