//! Effort and luck: what the mean of some blocks' efforts is, and how far chance alone lets it stray.
//!
//! The effort of a block is exponentially distributed with mean 1, so the sum of n efforts is Gamma distributed with
//! shape n. The band is where the mean of n lies in 95 of 100 cases; its ends come from the Wilson–Hilferty
//! approximation, which for all n is closer than anybody can see.

use super::facts::{Luck, LuckWindow, Measured};

/// 97.5 % of a normal distribution lie below this many standard deviations.
const Z: f64 = 1.959_963_984_540_054;
/// How many of the newest blocks are looked at; `None`: all.
const WINDOWS: [Option<u32>; 3] = [Some(10), Some(100), None];

/// Luck from the current effort and those of blocks, newest first, in percent; `None` where it is not known.
pub fn luck(current_effort: Measured<f64>, efforts: &[Option<f64>]) -> Luck {
    let known: Vec<f64> = efforts.iter().copied().flatten().collect();
    Luck { current_effort, windows: WINDOWS.into_iter().map(|blocks| window(blocks, &known)).collect() }
}

fn window(blocks: Option<u32>, known: &[f64]) -> LuckWindow {
    let taken = &known[..known.len().min(blocks.map_or(usize::MAX, |blocks| blocks as usize))];
    let counted = taken.len() as u32;
    if counted == 0 {
        return LuckWindow { blocks, counted, effort_percent: None, low_percent: None, high_percent: None };
    }
    let (low, high) = band(counted);
    LuckWindow {
        blocks,
        counted,
        effort_percent: Some(taken.iter().sum::<f64>() / f64::from(counted)),
        low_percent: Some(low * 100.0),
        high_percent: Some(high * 100.0),
    }
}

/// Where the mean effort of `blocks` blocks lies in 95 of 100 cases, in blocks' worth.
pub fn band(blocks: u32) -> (f64, f64) {
    let ninth = 1.0 / (9.0 * f64::from(blocks.max(1)));
    let end = |z: f64| (1.0 - ninth + z * ninth.sqrt()).max(0.0).powi(3);
    (end(-Z), end(Z))
}

/// Between which numbers of blocks a pool that expects `expected` finds in 95 of 100 cases, as parts of the
/// expectation: the exact limits of a Poisson distribution by the same approximation.
pub fn poisson_band(expected: f64) -> (f64, f64) {
    if expected <= 0.0 {
        return (0.0, 0.0);
    }
    let spread = Z * expected.sqrt();
    (((expected - spread) / expected).max(0.0), (expected + spread + Z) / expected)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::site::facts::{Moment, Unit};

    #[test]
    fn means_count_the_newest_blocks_whose_effort_is_known() {
        let current = Measured::at(50.0, Unit::Percent, Moment(0));
        let mut efforts = vec![Some(50.0), None, Some(150.0)];
        let few = luck(current, &efforts);
        assert_eq!(few.windows[0].effort_percent, Some(100.0));
        assert_eq!(few.windows[0].counted, 2);
        efforts.extend([Some(400.0); 20]);
        let many = luck(current, &efforts);
        assert_eq!((many.windows[0].counted, many.windows[2].counted), (10, 22));
        assert_eq!(many.windows[0].effort_percent, Some(340.0));
        assert_eq!(luck(current, &[None]).windows[1].effort_percent, None);
    }

    #[test]
    fn the_band_is_as_wide_as_tables_say() {
        // Halves of the chi-square quantiles with 2n degrees of freedom, divided by n.
        for (blocks, low, high) in [(10, 0.4795, 1.7085), (100, 0.8136, 1.2053)] {
            let (found_low, found_high) = band(blocks);
            assert!((found_low - low).abs() < 0.002, "{blocks}: {found_low}");
            assert!((found_high - high).abs() < 0.002, "{blocks}: {found_high}");
        }
    }

    #[test]
    fn nineteen_of_twenty_simulated_pools_lie_within_the_band() {
        let mut random = StdRng::seed_from_u64(1);
        for blocks in [1, 10, 100] {
            let (low, high) = band(blocks);
            let within = (0..4000)
                .filter(|_| {
                    let sum: f64 = (0..blocks).map(|_| -(1.0 - random.random::<f64>()).ln()).sum();
                    (low..=high).contains(&(sum / f64::from(blocks)))
                })
                .count();
            assert!((3740..=3860).contains(&within), "{blocks} blocks: {within} of 4000");
        }
    }
}
