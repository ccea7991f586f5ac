//! The share difficulty of one connection: it follows the rate of its accepted shares.
//!
//! Rule (`docs/protocol/nimiq-pool.md` 1.7, "Ours"): only accepted shares count; a step goes by the measured ratio, to a
//! quarter or to four times at most; between half and twice the wanted rate only what chance does not explain is a step,
//! until the rate is within a tenth of the wanted one. How long one must look before a step depends on how sure the
//! figures are: five shares in the first second are proof enough, two in ten seconds are not.
//!
//! The wanted rate itself falls where many connections of one address share what that address is granted
//! ([`want`](ShareDifficulty::want)); the difficulty follows it at once.
//!
//! Difficulties here are floating point: they decide what is asked of a miner, never what a share is worth. A share
//! is worth the weight of the compact target that was announced with it.

use std::time::{Duration, Instant};

/// What an operator sets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DifficultyLimits {
    /// Accepted shares per second and connection that are wanted.
    pub shares_per_second: f64,
    /// The easiest difficulty that is announced.
    pub least: f64,
    /// The hardest difficulty that a client may wish for at registration.
    pub most_at_start: f64,
}

impl Default for DifficultyLimits {
    /// A share every five seconds, as the reference wants; easy enough for 10 hashes per second.
    fn default() -> Self {
        Self { shares_per_second: 0.2, least: 0.0001, most_at_start: 100_000.0 }
    }
}

/// No step by a measured ratio is larger, up or down.
const LARGEST_STEP: f64 = 4.0;
/// Shortest time between two steps: the client must have heard of the last one.
const SHORTEST_STAY: Duration = Duration::from_secs(1);
/// Shares by which a connection is known: before, a wrong guess costs less than slowness.
const KNOWN_AFTER: u32 = 6;
/// Wanted shares after which the ratio itself is trusted.
const MEASURE_OVER: f64 = 12.0;
/// Shares above twice the wanted number that chance does not explain.
const CLEARLY_MORE: f64 = 4.0;
/// A ratio that differs from 1 by no more fits.
const TOLERANCE: f64 = 0.1;
/// Standard deviations from the wanted number of shares that chance does not explain.
const SURE: f64 = 2.5;
/// Wanted shares after which chance explains no more than the tolerance.
const ENOUGH_TO_BE_SURE: f64 = (SURE / TOLERANCE) * (SURE / TOLERANCE);

/// What counts as too few shares. How many must have been wanted before too few are proof: `none` without any, and `each`
/// more for every one that came; and below which ratio they are too few where the ratio itself is trusted.
struct Patience {
    none: f64,
    each: f64,
    least_ratio: f64,
}

const WITH_A_STRANGER: Patience = Patience { none: 1.2, each: 1.2, least_ratio: 0.5 };
/// Chance leaves a gap like this once in a hundred times.
const WITH_A_KNOWN_ONE: Patience = Patience { none: 5.0, each: 3.0, least_ratio: 0.4 };

/// The control of one connection.
#[derive(Debug, Clone)]
pub struct ShareDifficulty {
    limits: DifficultyLimits,
    current: f64,
    /// Shares per second that are wanted of this connection from now on.
    wanted: f64,
    /// The rate that the difficulty in force is meant for.
    meant_for: f64,
    /// Since the last step, or since the rate was found to fit.
    lately: Count,
    /// Since the last step, and long enough to be sure of a tenth.
    throughout: Count,
    /// Shares since the beginning.
    total: u32,
}

/// Shares since a moment.
#[derive(Debug, Clone, Copy)]
struct Count {
    since: Instant,
    came: u32,
}

/// What the shares say.
enum Verdict {
    LookLonger,
    Fits,
    /// The difficulty is to be multiplied by this.
    Off(f64),
}

impl Count {
    fn from(since: Instant) -> Self {
        Self { since, came: 0 }
    }

    fn add_one(&mut self) {
        self.came = self.came.saturating_add(1);
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// How many came, how many were wanted at a rate, and their ratio, within the largest step.
    fn against(&self, rate: f64, now: Instant) -> (f64, f64, f64) {
        let (came, wanted) = (f64::from(self.came), rate * self.age(now).as_secs_f64());
        (came, wanted, (came / wanted).clamp(1.0 / LARGEST_STEP, LARGEST_STEP))
    }
}

impl ShareDifficulty {
    /// Starts at `start`, or within the limits if that lies outside. That is meant for the usual rate: where fewer shares
    /// are wanted, it starts as much harder.
    pub fn new(limits: DifficultyLimits, start: f64, wanted: f64, now: Instant) -> Self {
        let most = limits.most_at_start.max(limits.least);
        let start = if start.is_finite() { start.clamp(limits.least, most) } else { limits.least };
        let current = start * (limits.shares_per_second / wanted).max(1.0);
        let count = Count::from(now);
        Self { limits, current, wanted, meant_for: wanted, lately: count, throughout: count, total: 0 }
    }

    /// The difficulty in force.
    pub fn current(&self) -> f64 {
        self.current
    }

    /// So many shares per second are wanted from the next review on, above 0.
    pub fn want(&mut self, shares_per_second: f64) {
        self.wanted = shares_per_second;
    }

    /// A share was accepted.
    pub fn accepted(&mut self) {
        self.lately.add_one();
        self.throughout.add_one();
        self.total = self.total.saturating_add(1);
    }

    /// Looks at what has come since the last step; the new difficulty, if there is to be one. `network` is the
    /// difficulty of the next block: nothing harder is announced, since a client reports nothing in between.
    pub fn review(&mut self, network: f64, now: Instant) -> Option<f64> {
        let ceiling = network.max(f64::MIN_POSITIVE);
        if self.current > ceiling {
            self.step_to(ceiling, now);
            return Some(ceiling);
        }
        if self.lately.age(now) < SHORTEST_STAY {
            return None;
        }
        match self.verdict(now) {
            Verdict::LookLonger => None,
            Verdict::Fits => {
                self.lately = Count::from(now);
                if self.throughout.against(self.meant_for, now).1 >= ENOUGH_TO_BE_SURE {
                    self.throughout = self.lately;
                }
                None
            }
            Verdict::Off(factor) => {
                let before = self.current;
                let next = (before * factor).max(self.limits.least).min(ceiling);
                self.step_to(next, now);
                (next.total_cmp(&before).is_ne()).then_some(next)
            }
        }
    }

    fn verdict(&self, now: Instant) -> Verdict {
        let change = self.meant_for / self.wanted;
        if !is_close(change) {
            return Verdict::Off(change);
        }
        let (came, wanted, ratio) = self.lately.against(self.meant_for, now);
        let patience = if self.total < KNOWN_AFTER { WITH_A_STRANGER } else { WITH_A_KNOWN_ONE };
        let clearly_fast = came > 2.0 * wanted + CLEARLY_MORE;
        let clearly_slow = ratio < 0.5 && wanted >= patience.none + patience.each * came;
        if clearly_fast || clearly_slow {
            return Verdict::Off(ratio);
        }
        if wanted < MEASURE_OVER {
            return Verdict::LookLonger;
        }
        if !(patience.least_ratio..=2.0).contains(&ratio) {
            return Verdict::Off(ratio);
        }
        let (_, wanted, ratio) = self.throughout.against(self.meant_for, now);
        let by_chance = SURE / wanted.sqrt();
        if is_close(ratio) || (ratio - 1.0).abs() <= by_chance { Verdict::Fits } else { Verdict::Off(ratio) }
    }

    fn step_to(&mut self, difficulty: f64, now: Instant) {
        self.current = difficulty;
        self.meant_for = self.wanted;
        self.lately = Count::from(now);
        self.throughout = self.lately;
    }
}

fn is_close(ratio: f64) -> bool {
    (ratio - 1.0).abs() <= TOLERANCE
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Expected hashes for a share of difficulty 1.
    const HASHES: f64 = 65_536.0;

    const USUAL: f64 = 0.2;

    /// A client of `hash_rate`, reviewed after each share and every second. Gives the ratio of the rate of its shares to
    /// the wanted one, as it would be at the difficulty in force after so many seconds each.
    fn run<const N: usize>(hash_rate: f64, network: f64, seed: u64, looks: [f64; N]) -> [f64; N] {
        let limits = DifficultyLimits::default();
        let start = Instant::now();
        let mut random = StdRng::seed_from_u64(seed);
        let mut control = ShareDifficulty::new(limits, 1.0, USUAL, start);
        let mut seconds = 0.0;
        looks.map(|look| {
            let mut ratio = 1.0;
            while seconds < look {
                let mean = control.current() * HASHES / hash_rate;
                let gap = -mean * (1.0 - random.random::<f64>()).ln();
                let tick = (seconds + 1.0_f64).floor() - seconds;
                if gap < tick {
                    control.accepted();
                }
                seconds += gap.min(tick.max(1e-6));
                control.review(network, start + Duration::from_secs_f64(seconds));
                ratio = hash_rate / (control.current() * HASHES * USUAL);
            }
            ratio
        })
    }

    #[test]
    fn settles_within_a_minute_from_ten_hashes_to_a_hundred_million_per_second() {
        for hash_rate in [10.0, 100.0, 3e3, 1e4, 1e5, 1e6, 1e7, 1e8] {
            let runs: Vec<_> = (0..200).map(|seed| run(hash_rate, 1e9, seed, [60.0, 120.0])).collect();
            for (minute, least) in [(0, 175), (1, 190)] {
                let settled = runs.iter().filter(|ratios| (0.33..=3.0).contains(&ratios[minute])).count();
                assert!(settled >= least, "{hash_rate} H/s, minute {minute}: {settled} of 200");
            }
        }
    }

    #[test]
    fn comes_within_a_tenth_of_the_wanted_rate_in_the_long_run() {
        for hash_rate in [10.0, 1e4, 1e7] {
            let runs: Vec<_> = (0..100).map(|seed| run(hash_rate, 1e9, seed, [7200.0])).collect();
            let within = |part: f64| runs.iter().filter(|[ratio]| (ratio - 1.0).abs() <= part).count();
            let found = (within(0.1), within(0.25));
            assert!(found.0 >= 65 && found.1 >= 90, "{hash_rate} H/s: {found:?} of 100");
        }
    }

    #[test]
    fn nothing_harder_than_the_network_is_announced() {
        for seed in 0..20 {
            let [ratio] = run(1e8, 16.0, seed, [120.0]);
            let at_network = 1e8 / (16.0 * HASHES * USUAL);
            assert!((ratio - at_network).abs() < 1e-6 * at_network, "{ratio}");
        }
    }

    #[test]
    fn a_network_that_became_easier_lowers_it_at_once() {
        let now = Instant::now();
        let mut control = ShareDifficulty::new(DifficultyLimits::default(), 50.0, USUAL, now);
        assert_eq!(control.review(20.0, now), Some(20.0));
        assert_eq!(control.review(20.0, now), None);
    }

    #[test]
    fn a_connection_at_the_floor_is_not_told_the_same_again() {
        let start = Instant::now();
        let limits = DifficultyLimits { least: 1.0, ..DifficultyLimits::default() };
        let mut control = ShareDifficulty::new(limits, 1.0, USUAL, start);
        for seconds in 0..600 {
            assert_eq!(control.review(1e9, start + Duration::from_secs(seconds)), None);
        }
    }

    #[test]
    fn wishes_are_kept_within_the_limits() {
        let limits = DifficultyLimits::default();
        let start = |wish: f64| ShareDifficulty::new(limits, wish, USUAL, Instant::now()).current();
        assert_eq!(start(32.0).to_bits(), 32.0_f64.to_bits());
        assert_eq!(start(1e12).to_bits(), limits.most_at_start.to_bits());
        assert_eq!(start(-1.0).to_bits(), limits.least.to_bits());
        assert_eq!(start(f64::NAN).to_bits(), limits.least.to_bits());
    }

    #[test]
    fn where_fewer_shares_are_wanted_it_starts_harder_and_follows_at_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let is = |difficulty: Option<f64>, expected: f64| {
            assert!(difficulty.is_some_and(|found| (found - expected).abs() < 1e-9), "{difficulty:?}");
        };
        let mut control = ShareDifficulty::new(DifficultyLimits::default(), 1.0, USUAL / 4.0, start);
        is(Some(control.current()), 4.0);
        control.want(USUAL / 8.0);
        assert_eq!(control.review(1e9, start), None, "the client must have heard of the last step");
        is(control.review(1e9, at(1)), 8.0);
        // Not for every connection that comes or goes.
        control.want(USUAL / 8.5);
        assert_eq!(control.review(1e9, at(2)), None);
        control.want(USUAL);
        is(control.review(1e9, at(3)), 1.0);
        control.want(USUAL / 1e6);
        is(control.review(16.0, at(4)), 16.0);
    }
}
