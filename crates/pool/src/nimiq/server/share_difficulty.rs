//! The share difficulty of one connection: it follows the rate of its accepted shares.
//!
//! Rule (`docs/protocol/nimiq-pool.md` 1.7, "Ours"): only accepted shares count; a step goes by the measured ratio, to a
//! quarter or to four times at most; between half and twice the wanted rate nothing changes, so that chance alone
//! rarely moves it. How long one must look before a step depends on how sure the figures are: five shares in the
//! first second are proof enough, two in ten seconds are not.
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

/// No step is larger, up or down.
const LARGEST_STEP: f64 = 4.0;
/// Shortest time between two steps: the client must have heard of the last one.
const SHORTEST_STAY: Duration = Duration::from_secs(1);
/// Shares by which a connection is known: before, a wrong guess costs less than slowness.
const KNOWN_AFTER: u32 = 6;
/// Wanted shares after which the ratio itself is trusted.
const MEASURE_OVER: f64 = 12.0;
/// Shares above twice the wanted number that chance does not explain.
const CLEARLY_MORE: f64 = 4.0;

/// How many shares must have been wanted before too few count as proof: `none` without any, and `each` more for every
/// one that came.
struct Patience {
    none: f64,
    each: f64,
}

const WITH_A_STRANGER: Patience = Patience { none: 1.2, each: 1.2 };
/// Chance leaves a gap like this once in fifty times.
const WITH_A_KNOWN_ONE: Patience = Patience { none: 4.0, each: 2.5 };

/// The control of one connection.
#[derive(Debug, Clone)]
pub struct ShareDifficulty {
    limits: DifficultyLimits,
    current: f64,
    since: Instant,
    /// Shares since the last step.
    accepted: u32,
    /// Shares since the beginning.
    total: u32,
}

impl ShareDifficulty {
    /// Starts at `start`, or within the limits if that lies outside.
    pub fn new(limits: DifficultyLimits, start: f64, now: Instant) -> Self {
        let most = limits.most_at_start.max(limits.least);
        let current = if start.is_finite() { start.clamp(limits.least, most) } else { limits.least };
        Self { limits, current, since: now, accepted: 0, total: 0 }
    }

    /// The difficulty in force.
    pub fn current(&self) -> f64 {
        self.current
    }

    /// A share was accepted.
    pub fn accepted(&mut self) {
        self.accepted = self.accepted.saturating_add(1);
        self.total = self.total.saturating_add(1);
    }

    /// Looks at what has come since the last step; the new difficulty, if there is to be one. `network` is the
    /// difficulty of the next block: nothing harder is announced, since a client reports nothing in between.
    pub fn review(&mut self, network: f64, now: Instant) -> Option<f64> {
        let ceiling = network.max(f64::MIN_POSITIVE);
        if self.current > ceiling {
            return Some(self.step_to(ceiling, now));
        }
        let stayed = now.saturating_duration_since(self.since);
        if stayed < SHORTEST_STAY {
            return None;
        }
        let factor = self.factor(stayed)?;
        let next = (self.current * factor).max(self.limits.least).min(ceiling);
        let before = self.current;
        self.step_to(next, now);
        (next.total_cmp(&before).is_ne()).then_some(next)
    }

    /// By what to multiply after looking for `stayed`; `None`: look longer.
    fn factor(&self, stayed: Duration) -> Option<f64> {
        let wanted = self.limits.shares_per_second * stayed.as_secs_f64();
        let came = f64::from(self.accepted);
        let ratio = (came / wanted).clamp(1.0 / LARGEST_STEP, LARGEST_STEP);
        let patience = if self.total < KNOWN_AFTER { WITH_A_STRANGER } else { WITH_A_KNOWN_ONE };
        let clearly_fast = came > 2.0 * wanted + CLEARLY_MORE;
        let clearly_slow = ratio < 0.5 && wanted >= patience.none + patience.each * came;
        if clearly_fast || clearly_slow {
            return Some(ratio);
        }
        let fits = (0.5..=2.0).contains(&ratio);
        (wanted >= MEASURE_OVER).then_some(if fits { 1.0 } else { ratio })
    }

    fn step_to(&mut self, difficulty: f64, now: Instant) -> f64 {
        self.current = difficulty;
        self.since = now;
        self.accepted = 0;
        difficulty
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Expected hashes for a share of difficulty 1.
    const HASHES: f64 = 65_536.0;

    /// A client of `hash_rate` over two minutes, reviewed after each share and every second. Gives the ratio of the
    /// rate of its shares to the wanted one, as it would be at the difficulty in force after 60 and 120 seconds.
    fn run(hash_rate: f64, network: f64, seed: u64) -> [f64; 2] {
        let limits = DifficultyLimits::default();
        let start = Instant::now();
        let mut random = StdRng::seed_from_u64(seed);
        let mut control = ShareDifficulty::new(limits, 1.0, start);
        let mut seconds = 0.0;
        let mut ratios = [0.0; 2];
        while seconds < 120.0 {
            let mean = control.current() * HASHES / hash_rate;
            let gap = -mean * (1.0 - random.random::<f64>()).ln();
            let tick = (seconds + 1.0_f64).floor() - seconds;
            if gap < tick {
                control.accepted();
            }
            seconds += gap.min(tick.max(1e-6));
            control.review(network, start + Duration::from_secs_f64(seconds));
            let ratio = hash_rate / (control.current() * HASHES * limits.shares_per_second);
            if seconds <= 60.0 {
                ratios[0] = ratio;
            }
            ratios[1] = ratio;
        }
        ratios
    }

    #[test]
    fn settles_within_a_minute_from_ten_hashes_to_a_hundred_million_per_second() {
        for hash_rate in [10.0, 100.0, 3e3, 1e4, 1e5, 1e6, 1e7, 1e8] {
            let runs: Vec<[f64; 2]> = (0..200).map(|seed| run(hash_rate, 1e9, seed)).collect();
            for (minute, least) in [(0, 175), (1, 190)] {
                let settled = runs.iter().filter(|ratios| (0.33..=3.0).contains(&ratios[minute])).count();
                assert!(settled >= least, "{hash_rate} H/s, minute {minute}: {settled} of 200");
            }
        }
    }

    #[test]
    fn nothing_harder_than_the_network_is_announced() {
        for seed in 0..20 {
            let ratios = run(1e8, 16.0, seed);
            let at_network = 1e8 / (16.0 * HASHES * 0.2);
            assert!((ratios[1] - at_network).abs() < 1e-6 * at_network, "{ratios:?}");
        }
    }

    #[test]
    fn a_network_that_became_easier_lowers_it_at_once() {
        let now = Instant::now();
        let mut control = ShareDifficulty::new(DifficultyLimits::default(), 50.0, now);
        assert_eq!(control.review(20.0, now), Some(20.0));
        assert_eq!(control.review(20.0, now), None);
    }

    #[test]
    fn a_connection_at_the_floor_is_not_told_the_same_again() {
        let start = Instant::now();
        let limits = DifficultyLimits { least: 1.0, ..DifficultyLimits::default() };
        let mut control = ShareDifficulty::new(limits, 1.0, start);
        for seconds in 0..600 {
            assert_eq!(control.review(1e9, start + Duration::from_secs(seconds)), None);
        }
    }

    #[test]
    fn wishes_are_kept_within_the_limits() {
        let limits = DifficultyLimits::default();
        let start = |wish: f64| ShareDifficulty::new(limits, wish, Instant::now()).current();
        assert_eq!(start(32.0).to_bits(), 32.0_f64.to_bits());
        assert_eq!(start(1e12).to_bits(), limits.most_at_start.to_bits());
        assert_eq!(start(-1.0).to_bits(), limits.least.to_bits());
        assert_eq!(start(f64::NAN).to_bits(), limits.least.to_bits());
    }
}
