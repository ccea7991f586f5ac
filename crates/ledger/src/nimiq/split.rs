//! A block's reward → the pool's fee and whole credits that sum to it (`docs/protocol/nimiq-pool.md` 4.3, "Ours").

use std::collections::BTreeMap;

use nimiq::Luna;
use ruint::aliases::U256;
use wire::Decimal;

use super::UserId;

/// The pool's part of a reward, in millionths: 0 to 1,000,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeePpm(u32);

/// Why a fee is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pool's fee must be from 0 to 1 with at most six decimals, not {0}")]
pub struct FeeFault(pub Decimal);

impl FeePpm {
    /// All of a reward.
    pub const WHOLE: u32 = 1_000_000;

    /// From millionths, if there are no more than a million.
    pub const fn new(millionths: u32) -> Option<Self> {
        if millionths <= Self::WHOLE { Some(Self(millionths)) } else { None }
    }

    /// From a fraction as it is written, such as `0.01`: its millionths must come out whole.
    pub fn from_fraction(fraction: Decimal) -> Result<Self, FeeFault> {
        let scaled = Decimal::new(fraction.mantissa(), fraction.exponent().saturating_add(6))
            .map_err(|_| FeeFault(fraction))?;
        let millionths = scaled.floor_saturating();
        let is_whole = Decimal::new(millionths, 0).is_ok_and(|whole| whole == scaled);
        let millionths = u32::try_from(millionths).ok().filter(|_| is_whole && !fraction.is_negative());
        millionths.and_then(Self::new).ok_or(FeeFault(fraction))
    }

    /// Millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// The fee on `total`, rounded down.
    pub fn of(self, total: Luna) -> Luna {
        Luna((u128::from(total.0) * u128::from(self.0) / u128::from(Self::WHOLE)) as u64)
    }
}

/// Where a reward goes. `fee`, all credits and `undistributed` sum to the reward, always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The pool's.
    pub fee: Luna,
    /// The miners', by ascending user, none of them 0.
    pub credits: Vec<(UserId, Luna)>,
    /// Nobody's, because nobody worked: all of the reward or nothing.
    pub undistributed: Luna,
}

/// Splits `total` (reward and transaction fees) by the weights of a window.
pub fn split(total: Luna, fee: FeePpm, weights: &BTreeMap<UserId, u128>) -> Split {
    let whole = weights.values().fold(U256::ZERO, |sum, weight| sum + U256::from(*weight));
    if whole.is_zero() {
        return Split { fee: Luna::ZERO, credits: Vec::new(), undistributed: total };
    }
    let fee = fee.of(total);
    let payable = total.0 - fee.0;
    let mut left = payable;
    let mut parts: Vec<(UserId, u64, U256)> = weights
        .iter()
        .map(|(user, weight)| {
            let (part, remainder) = (U256::from(payable) * U256::from(*weight)).div_rem(whole);
            let part = part.saturating_to::<u64>();
            left -= part;
            (*user, part, remainder)
        })
        .collect();
    // Fewer luna are left than there are remainders, since each remainder is less than one luna.
    parts.sort_by_key(|(user, _, remainder)| (std::cmp::Reverse(*remainder), *user));
    for (_, part, _) in parts.iter_mut().take(left as usize) {
        *part += 1;
    }
    parts.sort_by_key(|(user, ..)| *user);
    let credits =
        parts.into_iter().filter(|(_, part, _)| *part > 0).map(|(user, part, _)| (user, Luna(part)));
    Split { fee, credits: credits.collect(), undistributed: Luna::ZERO }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(weights: &[u128]) -> BTreeMap<UserId, u128> {
        (1..).map(UserId).zip(weights.iter().copied()).collect()
    }

    fn ppm(millionths: u32) -> FeePpm {
        FeePpm::new(millionths).unwrap()
    }

    #[test]
    fn the_last_luna_go_to_the_largest_remainders_and_then_to_the_lower_user() {
        let split_of = |total, parts: &[u128]| split(Luna(total), ppm(0), &weights(parts)).credits;
        assert_eq!(
            split_of(10, &[1, 1, 1]),
            [(UserId(1), Luna(4)), (UserId(2), Luna(3)), (UserId(3), Luna(3))]
        );
        // 10 · 1/6 = 1 rest 4, 10 · 2/6 = 3 rest 2, 10 · 3/6 = 5 rest 0.
        assert_eq!(
            split_of(10, &[1, 2, 3]),
            [(UserId(1), Luna(2)), (UserId(2), Luna(3)), (UserId(3), Luna(5))]
        );
        assert_eq!(split_of(1, &[1, 1]), [(UserId(1), Luna(1))]);
    }

    #[test]
    fn the_fee_is_rounded_down_and_an_empty_window_pays_nobody() {
        let one_percent = split(Luna(199), ppm(10_000), &weights(&[5]));
        assert_eq!((one_percent.fee, one_percent.credits), (Luna(1), vec![(UserId(1), Luna(198))]));
        let nobody = split(Luna(199), ppm(10_000), &weights(&[]));
        assert_eq!((nobody.fee, nobody.undistributed), (Luna(0), Luna(199)));
        assert_eq!(split(Luna(199), ppm(FeePpm::WHOLE), &weights(&[5])).fee, Luna(199));
    }

    #[test]
    fn a_fee_is_a_fraction_of_whole_millionths() {
        let fee = |text: &str| FeePpm::from_fraction(text.parse().unwrap()).map(FeePpm::millionths);
        assert_eq!(fee("0.01"), Ok(10_000));
        assert_eq!(fee("0.0000010"), Ok(1));
        assert_eq!(fee("1"), Ok(1_000_000));
        assert_eq!(fee("0"), Ok(0));
        for wrong in ["0.0000001", "1.000001", "-0.01", "2"] {
            assert!(fee(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn credits_and_fee_are_the_reward(
            total in 0u64..=2_100_000_000_000_000,
            millionths in 0..=FeePpm::WHOLE,
            parts in prop::collection::vec(any::<u128>(), 0..40),
        ) {
            let window = weights(&parts);
            let whole = split(Luna(total), ppm(millionths), &window);
            let sum = Luna::checked_sum(whole.credits.iter().map(|(_, credit)| *credit)).unwrap();
            prop_assert_eq!(sum.0 + whole.fee.0 + whole.undistributed.0, total);
            // Nobody is further than one luna from the exact part.
            let weight: U256 = parts.iter().fold(U256::ZERO, |sum, part| sum + U256::from(*part));
            for (user, credit) in whole.credits {
                let exact = U256::from(total - whole.fee.0) * U256::from(window[&user]);
                prop_assert!(U256::from(credit.0) * weight < exact + weight);
                prop_assert!((U256::from(credit.0) + U256::ONE) * weight > exact);
            }
        }
    }
}
