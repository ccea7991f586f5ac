//! The block miner's figures.

use serde::Serialize;

use super::store::Pages;
use crate::status_line::in_thousands;

/// Figures of the block miner.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BlockStatus {
    /// The pool's URL.
    pub pool: String,
    /// Whether its configuration could be read the last time.
    pub reachable: bool,
    /// Height of the block that is mined; `None` while nothing is mined.
    pub height: Option<u32>,
    /// Attempts per second since the last status.
    pub hashes_per_second: u64,
    /// What an attempt counts because of the announcements: least work · count² / 1024.
    pub multiplier: u64,
    /// Announcements that are mined with.
    pub announcements_in_set: u64,
    /// The target of the worst announcement among them, after aging; `None` while nothing is mined.
    pub least_work: Option<u32>,
    /// Announcements stored.
    pub announcements_stored: u64,
    /// Announcements that there is room for.
    pub announcements_capacity: u64,
    /// What kind of memory they lie in, the least good one; `None` while there are none.
    pub pages: Option<Pages>,
    /// Memory of this process that is in huge pages, at most a minute ago; `None` where the system does not tell.
    pub bytes_in_huge_pages: Option<u64>,
    /// Other block miners that take announcements from this one.
    pub subscribers: u64,
    /// Announcements sent to them, each as often as it was sent.
    pub relayed: u64,
    /// What became of the announcements that arrived, since the start.
    pub arrivals: ArrivalCounts,
    /// What became of the shares, since the start.
    pub shares: ShareCounts,
    /// Threads that mine.
    pub threads: usize,
}

/// Announcements that arrived, by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ArrivalCounts {
    /// Put into the store.
    pub stored: u64,
    /// In the store already.
    pub duplicate: u64,
    /// Not valid, as a check showed.
    pub invalid: u64,
    /// Checked completely.
    pub checked: u64,
    /// Of no use: too old, of another chain, or no room for them.
    pub useless: u64,
    /// Records that a sprayer sent and that did not arrive.
    pub lost_on_the_way: u64,
}

/// Shares found, by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ShareCounts {
    /// Found by the mining threads.
    pub found: u64,
    /// Accepted by the pool.
    pub accepted: u64,
    /// Of these, blocks.
    pub blocks: u64,
    /// For work that is no longer current: dropped here, or refused by the pool.
    pub stale: u64,
    /// Refused by the pool for another reason.
    pub rejected: u64,
    /// Not sent because too many were waiting.
    pub overflow: u64,
    /// Sent without an answer that could be understood.
    pub lost: u64,
    /// Not sent because they did not pass the check here.
    pub faulty: u64,
}

impl BlockStatus {
    /// One line for people.
    pub fn line(&self) -> String {
        let ShareCounts { accepted, stale, rejected, overflow, lost, blocks, .. } = self.shares;
        let effective = u128::from(self.hashes_per_second) * u128::from(self.multiplier);
        let at = match (self.height, self.reachable) {
            (Some(height), _) => format!("block {height}"),
            (None, true) => "waiting for announcements".into(),
            (None, false) => "waiting for the pool".into(),
        };
        format!(
            "{at}: {}h/s x {}= {}e/s  announcements: {} of {}  shares accept/reject/stale/lost: [{accepted}/{rejected}/{stale}/{}]  blocks: {blocks}",
            in_thousands(self.hashes_per_second.into()),
            in_thousands(self.multiplier.into()),
            in_thousands(effective),
            self.announcements_in_set,
            self.announcements_stored,
            overflow + lost,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_mined_and_what_became_of_it() {
        let status = BlockStatus {
            height: Some(67),
            hashes_per_second: 183_000,
            multiplier: 467_000_000_000_000,
            announcements_in_set: 87_195_647,
            announcements_stored: 90_000_000,
            shares: ShareCounts { accepted: 5, stale: 1, blocks: 2, lost: 3, ..ShareCounts::default() },
            ..BlockStatus::default()
        };
        assert_eq!(
            status.line(),
            "block 67: 183 Kh/s x 467 T= 85 Ee/s  announcements: 87195647 of 90000000  \
             shares accept/reject/stale/lost: [5/0/1/3]  blocks: 2"
        );
    }

    #[test]
    fn an_idle_miner_says_what_it_waits_for() {
        assert!(BlockStatus::default().line().starts_with("waiting for the pool"));
        let reachable = BlockStatus { reachable: true, ..BlockStatus::default() };
        assert!(reachable.line().starts_with("waiting for announcements"));
    }
}
