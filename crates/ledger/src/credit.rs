//! What one event is worth (`docs/protocol/packetcrypt-pool.md` 11.10.1), exactly.
//!
//! A credit is floor(2⁹⁶ · p · 2²⁵⁶ / ((T + 1) · 4096 · 4096 · difficulty)) with p pieces of work of target T.
//! The quotient for p = 1 is divided once for each pair of target and difficulty; for other p it is multiplied,
//! and divided again only in the rare case where the last digit of the shortcut is uncertain.

use packetcrypt::CompactTarget;
use ruint::Uint;
use wire::Decimal;

/// Wide enough for numerator and divisor at every difficulty that gives a credit at all.
type Wide = Uint<1024, 16>;

/// Credits in units of 2⁻⁹⁶; 2⁻¹² credits are one share of full block difficulty.
pub type Credits = u128;

/// The most that one event can earn.
pub const CREDIT_MAX: Credits = 1 << 127;

/// What a piece of work of one target is worth at one difficulty.
#[derive(Debug, Clone, Copy)]
pub struct CreditRate {
    target: CompactTarget,
    difficulty: Decimal,
    /// Credits of one piece, rounded down, at most [`CREDIT_MAX`].
    whole: u128,
    /// What the rounding cut off, in units of 2⁻¹²⁸, rounded down.
    rest: u128,
}

impl CreditRate {
    /// The rate for a target that passed rule R-P14. `None`: the chain is so easy (4096 · difficulty < 1) that
    /// nothing is credited.
    pub fn new(target: CompactTarget, difficulty: Decimal) -> Option<Self> {
        if !gives_credit(difficulty) {
            return None;
        }
        let nothing = Self { target, difficulty, whole: 0, rest: 0 };
        let Some((numerator, divisor)) = fraction(target, difficulty) else { return Some(nothing) };
        let (whole, remainder) = numerator.div_rem(divisor);
        let whole = clamped(&whole);
        let rest = if whole == CREDIT_MAX { 0 } else { low_128(&((remainder << 128) / divisor)) };
        Some(Self { whole, rest, ..nothing })
    }

    /// Credits of `pieces` of work: one for a share, the payable announcements for a post.
    pub fn credit(&self, pieces: u32) -> Credits {
        let pieces_wide = u128::from(pieces);
        // pieces · rest, as a number of 160 bits: `high` · 2⁶⁴ + the low 64 bits of `low`.
        let low = pieces_wide * (self.rest & u128::from(u64::MAX));
        let high = pieces_wide * (self.rest >> 64) + (low >> 64);
        let behind_the_point = (high << 64) | (low & u128::from(u64::MAX));
        if behind_the_point > u128::MAX - pieces_wide {
            return self.credit_by_division(pieces);
        }
        let whole = self.whole.saturating_mul(pieces_wide);
        whole.saturating_add(high >> 64).min(CREDIT_MAX)
    }

    /// The definition itself.
    fn credit_by_division(&self, pieces: u32) -> Credits {
        fraction(self.target, self.difficulty)
            .map_or(0, |(numerator, divisor)| clamped(&(numerator * Wide::from(pieces) / divisor)))
    }
}

/// Whether 4096 · difficulty is at least 1.
fn gives_credit(difficulty: Decimal) -> bool {
    // A mantissa has at most 30 digits, so the product has at most 34 and fits.
    let power = 10u128.checked_pow(u32::from(difficulty.exponent().min(0).unsigned_abs()));
    difficulty.is_positive() && power.is_some_and(|power| difficulty.mantissa() * 4096 >= power)
}

/// Numerator and divisor of a single piece's credit; `None` where the quotient is certainly 0.
///
/// Sizes: a difficulty has at most 30 digits (100 bits) and, where it gives credit, an exponent of at least −34,
/// so the numerator stays below 2⁵²⁰ and, with exponents up to 122, the divisor below 2⁷⁹⁰.
fn fraction(target: CompactTarget, difficulty: Decimal) -> Option<(Wide, Wide)> {
    const DIFFICULTY_TOO_GREAT: i16 = 123;
    if difficulty.exponent() >= DIFFICULTY_TOO_GREAT {
        return None;
    }
    let power = Wide::from(10).pow(Wide::from(difficulty.exponent().unsigned_abs()));
    let (above, below) = if difficulty.exponent() < 0 { (power, Wide::ONE) } else { (Wide::ONE, power) };
    let (target_plus_one, denominator) = target_plus_one(target);
    // 2⁹⁶ · 2²⁵⁶ / (4096 · 4096).
    let numerator = (denominator * above) << 328;
    Some((numerator, target_plus_one * Wide::from(difficulty.mantissa()) * below))
}

/// T + 1 as a fraction: below exponent 3 a target has digits behind the point.
fn target_plus_one(target: CompactTarget) -> (Wide, Wide) {
    let (mantissa, exponent) = (Wide::from(target.0 & 0x007f_ffff), (target.0 >> 24) as usize);
    if let Some(bytes) = exponent.checked_sub(3) {
        ((mantissa << (8 * bytes)) + Wide::ONE, Wide::ONE)
    } else {
        let denominator = Wide::ONE << (8 * (3 - exponent));
        (mantissa + denominator, denominator)
    }
}

/// Hash operations that `pieces` of work of a target took on average, rounded down: for people to look at.
pub fn encryptions(target: CompactTarget, pieces: u32) -> u128 {
    let (divisor, denominator) = target_plus_one(target);
    let work = ((denominator * Wide::from(pieces)) << 256) / divisor;
    u128::try_from(work).unwrap_or(u128::MAX)
}

fn clamped(number: &Wide) -> u128 {
    u128::try_from(*number).unwrap_or(CREDIT_MAX).min(CREDIT_MAX)
}

fn low_128(number: &Wide) -> u128 {
    let limbs = number.as_limbs();
    u128::from(limbs[1]) << 64 | u128::from(limbs[0])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_share_of_full_block_difficulty_earns_one_part_in_4096() {
        // Difficulty 1 stands for 4096 hashes, as many as this target takes on average.
        let rate = CreditRate::new(CompactTarget(0x2000_1000), decimal("1")).unwrap();
        let expected = (1u128 << 96) / 4096;
        assert!(expected.abs_diff(rate.credit(1)) <= 1, "{} {expected}", rate.credit(1));
    }

    #[test]
    fn an_easy_chain_gives_no_credit() {
        let target = CompactTarget(0x1f00_ffff);
        assert!(CreditRate::new(target, decimal("0.000244140625")).is_some(), "4096 times this is 1");
        assert!(CreditRate::new(target, decimal("0.000244140624999")).is_none());
        assert!(CreditRate::new(target, decimal("1e-300")).is_none());
    }

    #[test]
    fn a_credit_has_an_upper_end() {
        let rate = CreditRate::new(CompactTarget(1), decimal("0.001")).unwrap();
        assert_eq!(rate.credit(1), CREDIT_MAX);
        assert_eq!(rate.credit(u32::MAX), CREDIT_MAX);
        assert_eq!(rate.credit(0), 0);
    }

    #[test]
    fn an_absurd_difficulty_earns_nothing() {
        for difficulty in ["1e122", "9.99e122", "1e123", "1e300"] {
            let rate = CreditRate::new(CompactTarget(1), decimal(difficulty)).unwrap();
            assert_eq!(rate.credit(u32::MAX), rate.credit_by_division(u32::MAX), "{difficulty}");
        }
    }

    #[test]
    fn targets_below_exponent_three_are_fractions() {
        // T = 1/65536, so T + 1 = 65537/65536.
        let (above, below) = target_plus_one(CompactTarget(0x0100_0001));
        assert_eq!((above, below), (Wide::from(65_537), Wide::from(65_536)));
    }

    #[test]
    fn expected_hashes_of_a_target() {
        assert_eq!(encryptions(CompactTarget(0x207f_ffff), 10), 20);
    }

    proptest! {
        #[test]
        fn the_shortcut_equals_the_division(
            exponent in 0u32..=0x20, mantissa in 1u32..=0x007f_ffff,
            digits in 1u128..10u128.pow(20), power in -25i16..30, pieces: u32,
        ) {
            let target = CompactTarget(exponent << 24 | mantissa);
            if let Some(rate) = CreditRate::new(target, Decimal::new(digits, power).unwrap()) {
                prop_assert_eq!(rate.credit(pieces), rate.credit_by_division(pieces));
            }
        }

        /// Small divisors make the quotient come out even, where the shortcut's last digit is uncertain.
        #[test]
        fn the_shortcut_equals_the_division_where_it_comes_out_even(
            digits in 1u128..200, pieces in 0u32..100_000,
        ) {
            let rate = CreditRate::new(CompactTarget(0x2000_ffff), Decimal::new(digits, 0).unwrap()).unwrap();
            prop_assert_eq!(rate.credit(pieces), rate.credit_by_division(pieces));
        }
    }
}
