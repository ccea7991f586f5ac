//! Targets: what a proof of work must meet, their compact form, and what meeting one is worth.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.3. A pool derives everything from the compact value that it announced, in whole
//! numbers; only [`CompactTarget::nearest`], which chooses what to announce and follows consensus, calculates as the
//! peers do, in doubles.

use std::fmt;

use crate::ProofOfWork;
use crate::decimal::{Decimal, Number};

/// The exponent of the target of difficulty 1.
const EASIEST_EXPONENT: usize = 240;

/// The exponent of the weight of a share with target 1.
const WEIGHT_EXPONENT: usize = 260;

/// A target as headers and settings carry it: a byte of size and three of mantissa.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompactTarget(pub u32);

/// A target as a number: a hash that is at most this, read as a big-endian number, meets it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(Number);

impl CompactTarget {
    /// The target of difficulty 1, the easiest that a block may have.
    pub const EASIEST: Self = Self(0x1f01_0000);

    /// The number. One that needs more than 512 bits is given as the largest of them: every hash meets it either way.
    pub fn target(self) -> Target {
        let exponent = 8 * (self.0 >> 24).saturating_sub(3) as usize;
        let mantissa = Number::from(self.0 & 0x00ff_ffff);
        Target(mantissa.checked_shl(exponent).unwrap_or(Number::MAX))
    }

    /// Whether a header may carry it: from 1 to 2^240.
    pub fn is_valid_in_header(self) -> bool {
        let target = self.target();
        target >= Target::HARDEST && target <= Target::EASIEST
    }

    /// The compact form of a target that need not be whole, as the peers find it: from the nearest double.
    ///
    /// A target just below a power of two converts as that power.
    pub fn nearest(target: Decimal) -> Self {
        let double = target.to_f64();
        let mut size = (double.log2() / 8.0).ceil().max(1.0) as i32;
        if size >= 3 && double / 2f64.powi((size - 1) * 8) >= 128.0 {
            size += 1;
        }
        let mantissa = (double / 2f64.powi((size - 3).max(0) * 8)) as u32 & 0x00ff_ffff;
        Self((size as u32) << 24 | mantissa)
    }
}

impl Target {
    /// The hardest target that a block may have.
    pub const HARDEST: Self = Self(Number::ONE);

    /// The easiest target that a block may have: 2^240, difficulty 1.
    pub const EASIEST: Self = Self(Number::from_limbs([0, 0, 0, 1 << 48, 0, 0, 0, 0]));

    /// From a number.
    pub const fn new(number: Number) -> Self {
        Self(number)
    }

    /// The number.
    pub fn number(&self) -> Number {
        self.0
    }

    /// Whether a proof of work is good enough.
    pub fn is_met_by(&self, proof_of_work: &ProofOfWork) -> bool {
        proof_of_work.number() <= self.0
    }

    /// The level of a target or hash in the interlink: how many powers of two it is harder than difficulty 1.
    pub fn depth(&self) -> i32 {
        let logarithm = self.0.saturating_sub(Number::ONE).bit_len();
        EASIEST_EXPONENT as i32 - logarithm as i32
    }

    /// The whole number as a decimal; `None` beyond what those hold.
    pub fn to_decimal(&self) -> Option<Decimal> {
        Decimal::from_number(self.0)
    }
}

impl ProofOfWork {
    /// The hash as a number.
    pub fn number(&self) -> Number {
        Number::from_be_slice(&self.0)
    }

    /// The level that this much luck reaches.
    pub fn depth(&self) -> i32 {
        Target(self.number()).depth()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Target({:#x})", self.0)
    }
}

impl fmt::Debug for CompactTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CompactTarget({:#010x})", self.0)
    }
}

/// What a share counts in the ledger: floor(2^260 / target), the expected hashes times 2^4. Difficulty 1 counts 2^20.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareWeight(pub u64);

impl ShareWeight {
    /// The weight of one share of difficulty 1.
    pub const OF_DIFFICULTY_ONE: Self = Self(1 << (WEIGHT_EXPONENT - EASIEST_EXPONENT));

    /// Weight of one expected hash.
    pub const PER_HASH: u64 = Self::OF_DIFFICULTY_ONE.0 >> 16;
}

/// A target that a pool may announce: one whose shares have a weight that is neither nothing nor too large.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShareTarget {
    compact: CompactTarget,
    target: Target,
    weight: ShareWeight,
}

impl ShareTarget {
    /// `None` for a target below 2^197 or above 2^260.
    pub fn new(compact: CompactTarget) -> Option<Self> {
        let target = compact.target();
        let weight = (Number::ONE << WEIGHT_EXPONENT).checked_div(target.0)?;
        let weight = ShareWeight(u64::try_from(weight).ok().filter(|weight| (1..=1 << 63).contains(weight))?);
        Some(Self { compact, target, weight })
    }

    /// What is announced.
    pub fn compact(&self) -> CompactTarget {
        self.compact
    }

    /// What a share must meet.
    pub fn target(&self) -> Target {
        self.target
    }

    /// What a share is worth.
    pub fn weight(&self) -> ShareWeight {
        self.weight
    }
}

impl fmt::Debug for ShareTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ShareTarget({:#010x})", self.compact.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_easiest_target_is_difficulty_one() {
        assert_eq!(CompactTarget::EASIEST.target(), Target::EASIEST);
        assert_eq!(Target::EASIEST.number(), Number::ONE << 240);
        assert_eq!(Target::EASIEST.depth(), 0);
        let share = ShareTarget::new(CompactTarget::EASIEST).unwrap();
        assert_eq!(share.weight(), ShareWeight::OF_DIFFICULTY_ONE);
        assert_eq!(ShareWeight::PER_HASH, 16);
    }

    #[test]
    fn a_hash_equal_to_the_target_meets_it() {
        let mut hash = [0; 32];
        hash[1] = 1;
        assert!(Target::EASIEST.is_met_by(&ProofOfWork(hash)));
        hash[31] = 1;
        assert!(!Target::EASIEST.is_met_by(&ProofOfWork(hash)));
    }

    #[test]
    fn a_share_target_has_a_weight_of_its_own() {
        for (compact, weight) in [
            (0x0300_0000, None),
            (0x1900_ffff, None),
            (0x1920_0000, Some(1 << 63)),
            (0x191f_ffff, None),
            (0x2110_0000, Some(1)),
            (0x2110_0001, None),
            (0xffff_ffff, None),
        ] {
            let share = ShareTarget::new(CompactTarget(compact));
            assert_eq!(share.map(|share| share.weight().0), weight, "{compact:#x}");
        }
    }

    #[test]
    fn a_power_of_two_stands_for_what_is_just_below() {
        let below = (Target::EASIEST.number() - Number::ONE).to_string();
        assert_eq!(CompactTarget::nearest(below.parse().unwrap()), CompactTarget::EASIEST);
    }

    proptest! {
        #[test]
        fn a_compact_target_is_the_nearest_to_itself(size in 0x04u32..0x20, mantissa in 0x8000u32..0x80_0000) {
            let compact = CompactTarget(size << 24 | mantissa);
            let decimal = compact.target().to_decimal().unwrap();
            prop_assert_eq!(CompactTarget::nearest(decimal), compact);
        }

        #[test]
        fn every_value_has_a_target(compact: u32) {
            let target = CompactTarget(compact).target();
            let valid = CompactTarget(compact).is_valid_in_header();
            prop_assert_eq!(valid, target.number() >= Number::ONE && target.number() <= Number::ONE << 240);
        }
    }
}
