//! The chain's rules that depend on nothing but heights, times and targets: money, difficulty, time.
//!
//! Source: `docs/protocol/packetcrypt-blocks.md` 8. Money and time are pktd's. Difficulty can be pktd's
//! ([`Retarget::Periodic`]), none at all ([`Retarget::Never`], for tests that want every attempt to be a block),
//! or the one that lets a laptop mine at a steady pace ([`Retarget::EveryBlock`]):
//!
//! **Why a rule of its own.** How many attempts a block takes falls with the *square* of the number of
//! announcements, and these grow while one waits. With parents two blocks below the tip (the usual setting) the
//! announcements of the current block count at once, and the time to a block comes out proportional to the
//! block's work: slow blocks mend themselves. So a linear rule is right: over the last [`WINDOW`] blocks, the
//! newer ones counting more, it takes the work that was done in a second and asks for as much as the spacing has
//! seconds, changing by at most a factor of two from one block to the next. How long the last block took shows in
//! the time of the new one, so a template that is made late is easier. Starting at 1f0fffff the first
//! blocks come as fast as announcements do, and after a dozen the pace is reached; `pace.rs` simulates it.
//! (With parents at the tip the announcements of three blocks ago decide, which makes any rule swing; pktd's
//! chain is no different there.)

use packetcrypt::{
    CanonicalTarget, CompactTarget, Height,
    block::header::Header,
    target::{Number, target_of},
};

use super::store::Origin;

/// Blocks after which the subsidy falls by a tenth.
const SUBSIDY_PERIOD: u32 = 144_000;
/// The subsidy of the first period in base units: 4166 PKT of 2^30.
const FIRST_SUBSIDY: u64 = 4166 << 30;
/// After so many periods the subsidy is 0 for ever.
const LAST_PERIOD: u32 = 300;

/// Script of the network steward, which gets 51/256 of every subsidy and is not voted on here
/// (`pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2`).
pub const STEWARD_SCRIPT: [u8; 34] = [
    0x00, 0x20, 0xd5, 0xc1, 0x00, 0x5c, 0x0d, 0x40, 0x12, 0xd3, 0xae, 0x26, 0x72, 0x31, 0x9e, 0x7f, 0x9e,
    0xb1, 0x5a, 0x57, 0x51, 0x6a, 0xee, 0xfa, 0xbb, 0xbc, 0x06, 0x22, 0x65, 0xf6, 0x7e, 0x30, 0x8f, 0x2b,
];

/// Blocks whose median time a new block must be above.
const MEDIAN_BLOCKS: usize = 111;
/// Seconds that a block may be ahead of the node's clock.
pub const MAX_SECONDS_AHEAD: u32 = 720;

/// Blocks that [`Retarget::EveryBlock`] looks back on.
pub const WINDOW: usize = 10;
/// A block counts as having taken at most so many spacings: a pause of the miners says nothing of their speed.
const LONGEST_INTERVAL: u32 = 6;

/// How the difficulty follows the miners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retarget {
    /// It does not: every block has the easiest target.
    Never,
    /// With every block, towards a steady pace (see the head of this file).
    EveryBlock {
        /// Seconds between blocks that it aims at.
        spacing: u32,
    },
    /// pktd's rule: a new target every so many blocks, by at most a factor of four.
    Periodic {
        /// Blocks between two changes; 2016 on the public network. 0 counts as 1.
        blocks: u32,
        /// Seconds between blocks that it aims at; 60 on the public network.
        spacing: u32,
        /// Below this height a block that comes later than twice the spacing may, and must, have the easiest
        /// target; 50000 on the public network.
        easy_blocks_below: Height,
    },
}

/// The rules of a dev chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainRules {
    /// The easiest block target.
    pub limit: CanonicalTarget,
    /// How the difficulty follows the miners.
    pub retarget: Retarget,
}

impl ChainRules {
    /// A block about every ten seconds, whatever the machine, from the first minute on.
    pub fn steady() -> Self {
        Self { retarget: Retarget::EveryBlock { spacing: 10 }, ..Self::public() }
    }

    /// For tests: with a handful of announcements every second attempt is a block, for ever.
    pub fn instant() -> Self {
        Self { limit: CanonicalTarget::EASIEST, retarget: Retarget::Never }
    }

    /// The public network's, but for the height gates, which are open from block 1.
    pub fn public() -> Self {
        let easy_blocks_below = Height(50_000);
        let retarget = Retarget::Periodic { blocks: 2016, spacing: 60, easy_blocks_below };
        // 1f0fffff is canonical; were it not, the easiest target of all would only make blocks easier.
        let limit = CanonicalTarget::try_from(CompactTarget(0x1f0f_ffff));
        Self { limit: limit.unwrap_or(CanonicalTarget::EASIEST), retarget }
    }

    /// The public network's with another number of blocks between two changes of the target.
    pub fn public_with_period(blocks: u32) -> Self {
        let easy_blocks_below = Height(50_000);
        Self { retarget: Retarget::Periodic { blocks, spacing: 60, easy_blocks_below }, ..Self::public() }
    }

    /// A line that tells these rules from others; a stored chain is only opened under its own.
    pub fn fingerprint(&self) -> String {
        let limit = self.limit;
        match self.retarget {
            Retarget::Never => format!("limit {limit}, no retarget"),
            Retarget::EveryBlock { spacing } => format!("limit {limit}, {spacing} s, every block"),
            Retarget::Periodic { blocks, spacing, easy_blocks_below } => {
                format!("limit {limit}, {spacing} s, every {blocks} blocks, easy below {easy_blocks_below}")
            }
        }
    }

    /// The bits that the block after the tip of `branch` must carry if its time is `time`.
    pub fn required_bits(&self, branch: &impl Branch, time: u32) -> CompactTarget {
        match self.retarget {
            Retarget::Never => self.limit.compact(),
            Retarget::EveryBlock { spacing } => self.steady_bits(branch, time, spacing),
            Retarget::Periodic { blocks, spacing, easy_blocks_below } => {
                let (last, blocks) = (branch.tip(), blocks.max(1));
                if (last.height.0 + 1).is_multiple_of(blocks) {
                    return self.bits_of_new_period(branch, blocks, spacing);
                }
                if last.height >= easy_blocks_below {
                    return last.header.bits;
                }
                if time > last.header.time.saturating_add(spacing.saturating_mul(2)) {
                    return self.limit.compact();
                }
                self.last_uneasy_bits(branch, blocks)
            }
        }
    }

    /// The newest bits that were not given away by the easy-block rule.
    fn last_uneasy_bits(&self, branch: &impl Branch, blocks: u32) -> CompactTarget {
        let limit = self.limit.compact();
        let decides =
            |block: &BlockPlace| block.height.0.is_multiple_of(blocks) || block.header.bits != limit;
        branch.ancestors().find(decides).map_or(limit, |block| block.header.bits)
    }

    fn bits_of_new_period(&self, branch: &impl Branch, blocks: u32, spacing: u32) -> CompactTarget {
        let last = branch.tip();
        let first = branch.ancestors().nth(blocks.saturating_sub(1) as usize).unwrap_or(last);
        let span = i64::from(last.header.time) - i64::from(first.header.time);
        retargeted(last.header.bits, span, blocks.saturating_mul(spacing).max(1), self.limit)
    }

    fn steady_bits(&self, branch: &impl Branch, time: u32, spacing: u32) -> CompactTarget {
        let last = branch.tip().header.bits;
        let (mut done, mut seconds, mut weight) = (Number::ZERO, 0, WINDOW as u64);
        // A header's time is when its template was made, so a block took until the next one's.
        let mut ended = time;
        for block in branch.ancestors().take(WINDOW) {
            let took = ended.saturating_sub(block.header.time).min(LONGEST_INTERVAL.saturating_mul(spacing));
            ended = block.header.time;
            // The genesis block and those made by command say nothing of the miners' speed.
            if block.origin == Origin::Mined {
                done += Number::from(weight) * chain_work(block.header.bits);
                seconds += weight * u64::from(took);
            }
            weight -= 1;
        }
        if done.is_zero() {
            return easiest_of(&last.expand().unwrap_or_default(), self.limit);
        }
        let wanted = done * Number::from(spacing) / Number::from(seconds.max(1));
        let (last, two) = (chain_work(last), Number::from(2u8));
        let bounded = wanted.clamp(last / two, last * two);
        easiest_of(&target_of(&bounded), self.limit)
    }

    /// By what factor the difficulty would change if it were computed now: the blocks of the running period by
    /// the time they took, at most a factor of four. `None` where nothing can be said.
    pub fn retarget_estimate(&self, branch: &impl Branch) -> Option<f64> {
        let (blocks, spacing) = match self.retarget {
            Retarget::Never => return None,
            Retarget::EveryBlock { spacing } => (WINDOW as u32, spacing),
            Retarget::Periodic { blocks, spacing, .. } => (blocks.max(1), spacing),
        };
        let last = branch.tip();
        let passed = match self.retarget {
            Retarget::Periodic { .. } => last.height.0 % blocks,
            _ => last.height.0.saturating_sub(1).min(blocks),
        };
        let first = branch.ancestors().nth(passed as usize)?;
        let took = last.header.time.saturating_sub(first.header.time);
        (passed > 0)
            .then(|| (f64::from(passed) * f64::from(spacing) / f64::from(took.max(1))).clamp(0.25, 4.0))
    }

    /// Blocks until the target can change, counting the next one.
    pub fn blocks_until_retarget(&self, height: Height) -> u32 {
        match self.retarget {
            Retarget::Never | Retarget::EveryBlock { .. } => 0,
            Retarget::Periodic { blocks, .. } => {
                let blocks = blocks.max(1);
                (blocks - height.0 % blocks) % blocks
            }
        }
    }
}

/// pktd's new target after `span` seconds that should have been `timespan`.
fn retargeted(bits: CompactTarget, span: i64, timespan: u32, limit: CanonicalTarget) -> CompactTarget {
    let timespan = i64::from(timespan);
    let span = span.clamp(timespan / 4, timespan * 4);
    let old = bits.expand().unwrap_or_default();
    let new = old * Number::from(span.unsigned_abs()) / Number::from(timespan.unsigned_abs());
    easiest_of(&new, limit)
}

/// A target as bits, but no easier than the limit and no harder than 1.
fn easiest_of(target: &Number, limit: CanonicalTarget) -> CompactTarget {
    CompactTarget::from_number(&(*target).clamp(Number::from(1u8), limit.number()))
}

/// Work that a header stands for when branches are compared.
pub fn chain_work(bits: CompactTarget) -> Number {
    bits.work().unwrap_or_default()
}

/// A block's header, height and origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockPlace {
    /// Its height.
    pub height: Height,
    /// Whether it was mined.
    pub origin: Origin,
    /// Its header.
    pub header: Header,
}

/// A block and all its ancestors.
pub trait Branch {
    /// The newest block.
    fn tip(&self) -> BlockPlace;
    /// The newest block, the one before it, and so on to the genesis block.
    fn ancestors(&self) -> impl Iterator<Item = BlockPlace>;
}

/// The median of the times of the last blocks of a branch, which the next one must be above.
pub fn median_time(branch: &impl Branch) -> u32 {
    let mut times: Vec<u32> = branch.ancestors().take(MEDIAN_BLOCKS).map(|block| block.header.time).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// New coins of a block, in base units.
pub fn subsidy(height: Height) -> u64 {
    let period = height.0 / SUBSIDY_PERIOD;
    if period >= LAST_PERIOD {
        return 0;
    }
    let power = |base: u8| Number::from(base).pow(Number::from(period));
    let subsidy = Number::from(FIRST_SUBSIDY) * power(9) / power(10);
    subsidy.as_limbs().first().copied().unwrap_or_default()
}

/// What the network steward gets of a subsidy, in base units.
pub fn steward_share(subsidy: u64) -> u64 {
    (u128::from(subsidy) * 51 / 256) as u64
}

/// All coins made before a height, in base units.
pub fn issued_before(height: Height) -> u64 {
    let full_periods = (0..(height.0 / SUBSIDY_PERIOD).min(LAST_PERIOD))
        .map(|period| u64::from(SUBSIDY_PERIOD) * subsidy(Height(period * SUBSIDY_PERIOD)));
    full_periods.sum::<u64>() + u64::from(height.0 % SUBSIDY_PERIOD) * subsidy(height)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{super::made_up_branch::Headers, *};

    fn vectors(key: &str) -> Vec<Value> {
        let file = include_str!("../../../../vectors/blocks/chain.json");
        let file: Value = serde_json::from_str(file).unwrap();
        file[key].as_array().unwrap().clone()
    }

    fn number<T: std::str::FromStr>(value: &Value) -> T
    where
        T::Err: std::fmt::Debug,
    {
        value.as_str().map_or_else(|| value.to_string(), str::to_owned).parse().unwrap()
    }

    fn bits(value: &Value) -> CompactTarget {
        CompactTarget(u32::from_str_radix(value.as_str().unwrap(), 16).unwrap())
    }

    #[test]
    fn subsidies_and_steward_shares_are_those_of_the_vectors() {
        let rows = vectors("subsidy_height_subsidy_steward_totalbefore");
        for row in &rows {
            let height = Height(number(&row[0]));
            assert_eq!(subsidy(height), number::<u64>(&row[1]), "{row}");
            assert_eq!(steward_share(subsidy(height)), number::<u64>(&row[2]), "{row}");
            assert_eq!(issued_before(height), number::<u64>(&row[3]), "{row}");
        }
        assert!(rows.len() > 20);
    }

    #[test]
    fn retargets_are_those_of_the_vectors() {
        let rows = vectors("retarget_bits_timespan_newbits");
        for row in &rows {
            let new = retargeted(bits(&row[0]), number(&row[1]), 120_960, ChainRules::public().limit);
            assert_eq!(new, bits(&row[2]), "{row}");
        }
        assert!(rows.len() > 40);
    }

    #[test]
    fn medians_are_those_of_the_vectors() {
        for row in vectors("past_median_times_median") {
            let times = row[0].as_array().unwrap().iter().map(|time| (CompactTarget::EASIEST, number(time)));
            assert_eq!(median_time(&Headers(times.collect())), number::<u32>(&row[1]));
        }
    }

    #[test]
    fn only_the_last_111_blocks_count_for_the_median() {
        let times = (0..500u32).map(|time| (CompactTarget::EASIEST, time));
        assert_eq!(median_time(&Headers(times.collect())), 499 - 55);
    }

    #[test]
    fn a_late_block_is_easy_and_the_next_one_is_not() {
        let rules = ChainRules::public();
        let (hard, easy) = (CompactTarget(0x1e7f_ffff), rules.limit.compact());
        let mut branch = Headers(vec![(easy, 0)]);
        branch.0.extend((1..=2016).map(|height| (if height == 2016 { hard } else { easy }, height * 60)));
        let last = branch.tip().header.time;
        assert_eq!(rules.required_bits(&branch, last + 120), hard);
        assert_eq!(rules.required_bits(&branch, last + 121), easy);
        branch.0.push((easy, last + 121));
        assert_eq!(rules.required_bits(&branch, last + 130), hard);
    }

    #[test]
    fn a_new_period_looks_at_its_own_blocks() {
        let rules = ChainRules::public_with_period(20);
        let limit = rules.limit.compact();
        // 20 blocks, 19 intervals of 30 seconds.
        let branch = Headers((20..40).map(|height| (limit, 1_000_000 + 30 * height)).collect());
        let expected = retargeted(limit, 19 * 30, 1200, rules.limit);
        assert_eq!(rules.required_bits(&branch, 0), expected);
        assert!(expected.0 < limit.0);
    }

    #[test]
    fn absurd_headers_break_no_rule() {
        for bits in [0, 0x1f8f_ffff, 0xffff_ffff, 1] {
            let branch = Headers(vec![(CompactTarget(bits), u32::MAX); 40]);
            for rules in [ChainRules::steady(), ChainRules::public_with_period(20), ChainRules::instant()] {
                let required = rules.required_bits(&branch, 0);
                assert!(required.0 <= CompactTarget::EASIEST.0 || required.0 == bits);
            }
        }
    }
}
