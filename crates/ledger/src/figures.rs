//! How fast and how lucky a pool is, for people to look at. No money depends on any of it.

use hashbrown::{HashMap, HashSet};
use packetcrypt::{BlockHash, CompactTarget};
use wire::{Decimal, PktAddress};

use crate::UnixMillis;
use crate::addresses::AddressNumber;
use crate::chain::Timeline;
use crate::credit::encryptions;
use crate::posts::Period;
use crate::rates::Rates;
use crate::state::Ledger;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// A pool that is younger than this is measured as if it were as old.
const SHORTEST_WINDOW_MS: u64 = 60 * 1000;
/// One credit, in the units that credits are counted in.
const ONE_CREDIT: f64 = 79_228_162_514_264_337_593_543_950_336.0;
/// A share of full block difficulty earns a credit of 1/4096.
const SHARES_PER_CREDIT: f64 = 4096.0;

/// Work accepted within some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecentWork {
    /// Length of that time, in milliseconds: what was asked for, or less if the ledger is younger.
    pub window_ms: u64,
    /// Announcements.
    pub announcements: u64,
    /// Hash operations that they took on average.
    pub announcement_encryptions: u128,
    /// Shares.
    pub shares: u64,
    /// Hash operations that they stand for.
    pub share_encryptions: u128,
    /// The newest piece of work.
    pub newest: Option<UnixMillis>,
}

/// How fast and how lucky the whole pool is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PoolFigures {
    /// Work of everybody.
    pub recent: RecentWork,
    /// Addresses whose announcements are among it.
    pub announcement_miners: u64,
    /// Addresses whose shares are.
    pub block_miners: u64,
    /// Shares of the last 24 hours, or of the history if that is shorter.
    pub shares_of_day: u64,
    /// Blocks of the chain, likewise.
    pub chain_blocks_of_day: u64,
    /// Blocks of the pool, likewise.
    pub wins_of_day: u64,
    /// Blocks of the pool that its shares of that time were worth.
    pub expected_wins_of_day: f64,
    /// Length of that time, in milliseconds.
    pub day_ms: u64,
    /// Height, difficulty and time of the newest block of the chain.
    pub tip: Option<(u32, Decimal, UnixMillis)>,
    /// Work since the pool's last block, in blocks' worth; `None` without any share.
    pub current_effort: Option<f64>,
    /// The same for each block of the pool within the history, newest first; `None` where work before it has been
    /// forgotten.
    pub efforts: Vec<(BlockHash, Option<f64>)>,
}

impl Ledger {
    /// The figures of the last `window_ms` before `now`.
    pub fn pool_figures(&self, now: UnixMillis, window_ms: u64) -> PoolFigures {
        let window = self.seen_within(now, window_ms, None);
        let day = recent_period(now, DAY_MS);
        let (current_effort, efforts) = self.efforts();
        let tip = self.chain.blocks().last();
        PoolFigures {
            recent: window.work,
            announcement_miners: window.announcement_miners.len() as u64,
            block_miners: window.block_miners.len() as u64,
            shares_of_day: self.shares.newest_first(day).count() as u64,
            chain_blocks_of_day: self.chain.blocks().iter().filter(|block| day.contains(block.time)).count()
                as u64,
            wins_of_day: self
                .shares
                .newest_first(day)
                .filter(|(_, _, share)| share.won_block.is_some())
                .count() as u64,
            expected_wins_of_day: self.expected_wins(day),
            day_ms: self.age(now, DAY_MS),
            tip: tip.map(|block| (block.height, block.difficulty, block.time)),
            current_effort,
            efforts,
        }
    }

    /// What one address did in the last `window_ms` before `now`.
    pub fn recent_work(&self, address: PktAddress, now: UnixMillis, window_ms: u64) -> RecentWork {
        match self.addresses.find(address) {
            Some(number) => self.seen_within(now, window_ms, Some(number)).work,
            None => RecentWork { window_ms: self.age(now, window_ms), ..RecentWork::default() },
        }
    }

    /// Adds up the work of one address, or of all.
    fn seen_within(&self, now: UnixMillis, window_ms: u64, only: Option<AddressNumber>) -> Seen {
        let mut seen = Seen::default();
        let period = recent_period(now, window_ms);
        let is_wanted = |address| only.is_none_or(|only| only == address);
        // Few targets, each with its division.
        let mut by_target: HashMap<CompactTarget, u64> = HashMap::new();
        for slot in self.posts.slots(period) {
            for post in self.posts.posts_of(slot, period).filter(|post| is_wanted(post.address)) {
                *by_target.entry(post.target).or_default() += u64::from(post.accepted);
                seen.announcement_miners.insert(post.address);
                seen.work.newest = seen.work.newest.max(Some(self.posts.time_of(slot, post)));
            }
        }
        for (target, announcements) in by_target {
            seen.work.announcements += announcements;
            let encryptions = encryptions(target, 1).saturating_mul(u128::from(announcements));
            seen.work.announcement_encryptions =
                seen.work.announcement_encryptions.saturating_add(encryptions);
        }
        for (time, _, share) in
            self.shares.newest_first(period).filter(|(_, _, share)| is_wanted(share.address))
        {
            seen.work.shares += 1;
            seen.work.share_encryptions = seen.work.share_encryptions.saturating_add(share.encryptions);
            seen.block_miners.insert(share.address);
            seen.work.newest = seen.work.newest.max(Some(time));
        }
        seen.work.window_ms = self.age(now, window_ms);
        seen
    }

    /// What the shares of a period were worth, in blocks.
    fn expected_wins(&self, period: Period) -> f64 {
        let mut rates = Rates::new(Timeline::new(&self.chain), self.rules.has_private_seed);
        rates.enter(period.oldest, period.newest);
        let shares = self.shares.newest_first(period);
        shares.map(|(time, _, share)| chance_of_a_block(rates.credit_of(time, share.target, 1))).sum()
    }

    /// How much of the last `window_ms` this ledger has seen.
    fn age(&self, now: UnixMillis, window_ms: u64) -> u64 {
        let all = self.period(Some(now));
        let slot = self.posts.slots(all).last().map(|slot| self.posts.span().start(slot));
        let block = self.chain.blocks().first().map(|block| block.time);
        let oldest = [slot, block].into_iter().flatten().min();
        let age = oldest.map_or(window_ms, |oldest| now.since(oldest));
        age.clamp(SHORTEST_WINDOW_MS.min(window_ms), window_ms)
    }

    /// Work since the last block of the pool, and before each of its blocks since the one before it.
    pub fn efforts(&self) -> (Option<f64>, Vec<(BlockHash, Option<f64>)>) {
        let period = self.period(None);
        let mut rates = Rates::new(Timeline::new(&self.chain), self.rules.has_private_seed);
        rates.enter(period.oldest, period.newest);
        let mut efforts = Vec::new();
        // The block that the work belongs to; the one that is still to come at first.
        let (mut block, mut effort, mut current, mut any) = (None, 0.0, None, false);
        for (time, _, share) in self.shares.newest_first(period) {
            any = true;
            if let Some(hash) = share.won_block {
                match block {
                    None => current = Some(effort),
                    Some(later) => efforts.push((later, Some(effort))),
                }
                (block, effort) = (Some(hash), 0.0);
            }
            effort += chance_of_a_block(rates.credit_of(time, share.target, 1));
        }
        match block {
            None => current = any.then_some(effort),
            // Where nothing has left the history, nothing was done before the oldest share.
            Some(first) => efforts.push((first, self.is_whole().then_some(effort))),
        }
        (current, efforts)
    }

    /// Whether the history still holds the first thing that this ledger ever saw, as far as can be told.
    fn is_whole(&self) -> bool {
        let oldest = self.chain.blocks().first().map(|block| block.time);
        oldest.is_some_and(|oldest| oldest.since(self.oldest_wanted()) > SHORTEST_WINDOW_MS)
    }
}

impl PoolFigures {
    /// Blocks that the pool finds in a day on average; `None` if there was no share.
    pub fn expected_wins_per_day(&self) -> Option<f64> {
        let days = self.day_ms as f64 / DAY_MS as f64;
        (self.shares_of_day > 0 && days > 0.0).then(|| self.expected_wins_of_day / days)
    }
}

#[derive(Default)]
struct Seen {
    work: RecentWork,
    announcement_miners: HashSet<AddressNumber>,
    block_miners: HashSet<AddressNumber>,
}

fn recent_period(now: UnixMillis, window_ms: u64) -> Period {
    Period { oldest: now.minus(window_ms), newest: UnixMillis(u64::MAX) }
}

/// The chance that a share with these credits is a block: effective work grows with the cube of the target's work.
fn chance_of_a_block(credits: u128) -> f64 {
    let part_of_a_blocks_work = credits as f64 / ONE_CREDIT * SHARES_PER_CREDIT;
    part_of_a_blocks_work.powi(3).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rules, RulesConfig};

    const MINER: &str = "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t";
    const OTHER: &str = "pKTcgnvpPdXQ6HztTC5snBc69887g471zE";
    const NOW: u64 = 1_700_000_000_000;

    fn ledger(lines: &[String]) -> Ledger {
        let decimal = |text: &str| text.parse().unwrap();
        let rules = Rules::new(&RulesConfig {
            has_private_seed: false,
            block_payout_fraction: decimal("0.5"),
            pplns_block_constant: decimal("2"),
            pplns_announcement_constant: decimal("0.125"),
            history_depth_ms: 172_800_000,
            slot_span_ms: 60_000,
            slots_to_keep_events: None,
            pool_fee: None,
            pool_fee_address: None,
            default_address: MINER.parse().unwrap(),
            most_payees: 10_000,
        });
        let mut ledger = Ledger::new(rules.unwrap());
        let examined = ledger.examine(&lines.join("\n"), UnixMillis(NOW));
        let (receipt, _) = ledger.admit(examined);
        assert_eq!(receipt.credited as usize, lines.len(), "{:?}", receipt.warnings);
        ledger
    }

    fn block(number: u32, seconds_ago: u64, difficulty: u32) -> String {
        let time = NOW - seconds_ago * 1000;
        format!(
            r#"{{"type":"block","height":{number},"difficulty":{difficulty},"time":{time},"hash":"{number:064x}","eventId":"{number:032x}"}}"#
        )
    }

    fn share(number: u32, seconds_ago: u64, address: &str, target: u32, won: bool) -> String {
        let time = NOW - seconds_ago * 1000;
        let header = if won { format!(r#","headerHash":"{number:064x}""#) } else { String::new() };
        format!(
            r#"{{"type":"share","payTo":"{address}","block":false,"time":{time},"target":{target},"encryptions":6000,"eventId":"{number:032x}"{header}}}"#
        )
    }

    fn announcements(number: u32, seconds_ago: u64, address: &str, accepted: u32) -> String {
        let time = NOW - seconds_ago * 1000;
        format!(
            r#"{{"type":"anns","payTo":"{address}","accepted":{accepted},"unsigned":0,"totalLen":0,"dup":0,"inval":0,"target":545259519,"time":{time},"eventId":"{number:032x}"}}"#
        )
    }

    /// Target whose work is 4096: that of a block of difficulty 1.
    const FULL: u32 = 0x1f0f_ffff;
    /// Half that work.
    const HALF: u32 = 0x1f1f_ffff;

    #[test]
    fn effort_is_work_between_blocks_of_the_pool() {
        let ledger = ledger(&[
            block(1, 1000, 1),
            share(10, 900, MINER, HALF, false),
            share(11, 800, MINER, FULL, true),
            share(12, 700, MINER, HALF, false),
            share(13, 600, OTHER, FULL, true),
            share(14, 500, OTHER, HALF, false),
        ]);
        let figures = ledger.pool_figures(UnixMillis(NOW), 600_000);
        let near = |one: Option<f64>, other: f64| (one.unwrap() - other).abs() < 1e-3;
        assert!(near(figures.current_effort, 0.125), "{:?}", figures.current_effort);
        assert_eq!(figures.efforts.len(), 2);
        assert!(figures.efforts.iter().all(|(_, effort)| near(*effort, 1.125)), "{:?}", figures.efforts);
    }

    #[test]
    fn speed_counts_only_the_window() {
        let ledger = ledger(&[
            block(1, 1000, 1),
            announcements(1, 700, MINER, 1000),
            announcements(2, 300, MINER, 50),
            announcements(3, 30, OTHER, 70),
            share(4, 20, OTHER, HALF, false),
        ]);
        let figures = ledger.pool_figures(UnixMillis(NOW), 600_000);
        assert_eq!((figures.recent.announcements, figures.recent.shares), (120, 1));
        assert_eq!(figures.recent.announcement_encryptions, 240, "two hashes each at the easiest target");
        assert_eq!((figures.announcement_miners, figures.block_miners), (2, 1));
        assert_eq!(figures.recent.window_ms, 600_000);
        assert_eq!(figures.tip.map(|(height, ..)| height), Some(1));
        let miner = ledger.recent_work(MINER.parse().unwrap(), UnixMillis(NOW), 600_000);
        assert_eq!((miner.announcements, miner.newest), (50, Some(UnixMillis(NOW - 300_000))));
        let stranger = "pBCoKBuCBYzqiHDwdvqE2pusa7XhdhJSPw".parse().unwrap();
        assert_eq!(ledger.recent_work(stranger, UnixMillis(NOW), 600_000).newest, None);
    }

    #[test]
    fn a_young_pool_is_measured_over_its_life() {
        let ledger = ledger(&[block(1, 90, 1), announcements(1, 80, MINER, 10)]);
        assert_eq!(ledger.pool_figures(UnixMillis(NOW), 600_000).recent.window_ms, 90_000 + slot_rest());
    }

    /// From the start of the slot of the only post to the block.
    fn slot_rest() -> u64 {
        ((NOW - 80_000) % 60_000).saturating_sub(10_000)
    }
}
