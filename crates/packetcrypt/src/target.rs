//! Compact targets and all difficulty arithmetic, in exact integers.
//!
//! Three nouns: a *target* is a 256-bit number that a hash must stay below; its *work* is how many hashes that
//! takes on average; a *compact* target is the 32-bit form in which headers, announcements and commitments
//! carry one. A **smaller target is more work**.
//!
//! Rules: `docs/protocol/packetcrypt-blocks.md` 3.3 to 3.7, `docs/protocol/packetcrypt-announcements.md` 1.3.
//! Everything here is total: whatever `u32` a stranger sends, the answer is a number or `None`, never a panic.
//! Nothing rounds except where the rules say so.

use std::fmt;

use ruint::Uint;

/// An exact natural number below 2^2048.
///
/// Wide enough for all that is computed here: a compact number expands to at most 2039 bits, and the largest
/// intermediate of sane ones, block work cubed, has 771.
pub type Number = Uint<2048, 32>;

/// A target or hash as a number: 256 bits.
pub type Number256 = Uint<256, 4>;

/// Bits of a compact number: sign, mantissa, exponent in the highest byte.
const SIGN: u32 = 0x0080_0000;
const MANTISSA: u32 = 0x007f_ffff;

/// Blocks between an announcement's parent and the first block it can be used in.
pub const ANNOUNCEMENT_WAIT_PERIOD: u32 = 3;

/// Age after which an announcement is worthless, whatever its target was.
pub const ANNOUNCEMENT_AGE_MAX: u32 = 256 + ANNOUNCEMENT_WAIT_PERIOD;

/// Bitcoin's 32-bit form of a 256-bit target, as it stands in headers and announcements.
/// A *smaller target is more work*. Any `u32` can come from the network, so this type does not promise
/// that the value is sane; [`CanonicalTarget`] does.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CompactTarget(pub u32);

impl CompactTarget {
    /// The easiest target there is: half of all hashes meet it.
    pub const EASIEST: Self = Self(0x207f_ffff);

    /// The number that this stands for; `None` if its sign bit is set.
    pub fn expand(self) -> Option<Number> {
        (self.0 & SIGN == 0).then(|| self.magnitude())
    }

    /// The number that this stands for, whatever its sign (`EXPAND_C`): mantissa · 256^(exponent − 3); digits below
    /// one are cut off.
    pub fn magnitude(self) -> Number {
        let (mantissa, exponent) = (self.0 & MANTISSA, (self.0 >> 24) as usize);
        if exponent <= 3 {
            Number::from(mantissa >> (8 * (3 - exponent)))
        } else {
            Number::from(mantissa) << (8 * (exponent - 3))
        }
    }

    /// The compact form of a number (`COMPACT`), rounded down to 16 to 23 significant bits.
    ///
    /// Numbers too large for the form (2^2039 and more) give the largest compact number.
    pub fn from_number(number: &Number) -> Self {
        let bytes = number.byte_len();
        let mut exponent = bytes as u32;
        // At most three bytes are left, so this is lossless.
        let leading = if bytes <= 3 { *number } else { *number >> (8 * (bytes - 3)) };
        let mut mantissa = leading.as_limbs()[0] as u32;
        if bytes <= 3 {
            mantissa <<= 8 * (3 - exponent);
        }
        if mantissa & SIGN != 0 {
            mantissa >>= 8;
            exponent += 1;
        }
        if exponent > 0xff { Self(0xff00_0000 | MANTISSA) } else { Self(exponent << 24 | mantissa) }
    }

    /// Whether this is the one form that [`from_number`](Self::from_number) gives for its number.
    ///
    /// Compact numbers that are not can be made to look easier than they are when compared as `u32`
    /// (pitfall 9.1 of the block specification).
    pub fn is_canonical(self) -> bool {
        self.expand().is_some_and(|number| Self::from_number(&number) == self)
    }

    /// Hashes needed on average to meet this target (`WORK`); `None` if the sign bit is set.
    pub fn work(self) -> Option<Number> {
        self.expand().map(|target| work_of(&target))
    }

    /// The target that `work` hashes meet on average, at most [`EASIEST`](Self::EASIEST).
    pub fn for_work(work: &Number) -> Self {
        let compact = Self::from_number(&target_of(work));
        if compact.0 > Self::EASIEST.0 { Self::EASIEST } else { compact }
    }

    /// [`work`](Self::work) as a floating point number, for people to look at; 0 for an unusable target.
    pub fn work_for_display(self) -> f64 {
        let Ok(threshold) = HashThreshold::new(self) else { return 0.0 };
        let work = work_of(&Number::from(threshold.target));
        if threshold.target.is_zero() { 0.0 } else { f64::from(work) }
    }

    /// What pktd's RPC calls difficulty: `base / self`, rounded to 8 decimals; `None` where that is no number.
    ///
    /// `base` is the easiest target of the chain's blocks, or 207fffff for announcements.
    pub fn difficulty(self, base: Self) -> Option<f64> {
        let (divisor, base) = (self.expand()?, base.expand()?);
        if divisor.is_zero() || base.bit_len() > 1024 {
            return None;
        }
        // In units of 10^-8, rounded half away from zero.
        let scaled = (base * Number::from(200_000_000u64) + divisor) / (divisor * Number::from(2u8));
        let (whole, fraction) = scaled.div_rem(Number::from(100_000_000u64));
        format!("{whole}.{:08}", fraction.as_limbs()[0]).parse().ok()
    }

    /// Whether `hash`, read as a little-endian number, is below this target.
    ///
    /// Nothing meets a target above [`EASIEST`](Self::EASIEST) or with its sign bit set. (pktd also accepts a
    /// hash *equal* to the target; a miner must not rely on that, pitfall 9.6.)
    pub fn is_met_by(self, hash: &[u8; 32]) -> bool {
        HashThreshold::new(self).is_ok_and(|threshold| threshold.is_met_by(hash))
    }

    /// Whether an announcement may carry this as its work bits: neither zero nor negative, with an exponent of
    /// at least 3, and no easier than [`EASIEST`](Self::EASIEST). Where it may not, the fault is `BAD_BITS`.
    pub fn is_announcement_target(self) -> bool {
        self.0 & MANTISSA != 0 && self.0 & SIGN == 0 && self.0 >> 24 >= 3 && self.0 <= Self::EASIEST.0
    }

    /// The highest soft nonce of an announcement with these work bits (`SOFTMAX`); `None` for `BAD_BITS`.
    pub fn soft_nonce_max(self) -> Option<u32> {
        if !self.is_announcement_target() {
            return None;
        }
        let bits = 32 - (self.0 & MANTISSA).ilog2() + 8 * (0x20 - (self.0 >> 24));
        Some(if bits >= 24 { 0x00ff_ffff } else { (1 << bits) - 1 })
    }

    /// What is left of an announcement's work bits at an age in blocks (`DEGRADE`): after the third block every
    /// block doubles the target. `None`: too young, too old, or easier than [`EASIEST`](Self::EASIEST).
    pub fn degraded(self, age: u32) -> Option<Self> {
        match age {
            0..ANNOUNCEMENT_WAIT_PERIOD => None,
            ANNOUNCEMENT_WAIT_PERIOD => Some(self),
            _ if age > ANNOUNCEMENT_AGE_MAX => None,
            _ => {
                let target = self.expand()?;
                let doublings = (age - ANNOUNCEMENT_WAIT_PERIOD) as usize;
                if target.bit_len() + doublings >= 256 && !target.is_zero() {
                    return None;
                }
                let aged = Self::from_number(&(target << doublings));
                (aged.0 <= Self::EASIEST.0).then_some(aged)
            }
        }
    }
}

impl fmt::Display for CompactTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", self.0)
    }
}

impl fmt::Debug for CompactTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CompactTarget({self})")
    }
}

/// Why a compact number is no usable target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetFault {
    /// The sign bit is set.
    #[error("target {0} is negative (bit 23 is set)")]
    Negative(CompactTarget),
    /// Above 207fffff.
    #[error("target {0} is easier than 207fffff, the easiest there is")]
    AboveEasiest(CompactTarget),
    /// It stands for the number 0, which no hash can meet.
    #[error("target {0} is zero: no hash meets it")]
    Zero(CompactTarget),
    /// Another compact number stands for the same target and is the proper one.
    #[error("target {found} is not canonical: write {canonical} for the same number")]
    NotCanonical {
        /// The number as it came.
        found: CompactTarget,
        /// The same target in its canonical form.
        canonical: CompactTarget,
    },
}

/// A compact target that is usable and canonical: from 1 to 207fffff, and of the one form that its number has.
///
/// Only such targets can be compared as they stand: the greater one is the easier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CanonicalTarget(u32);

impl CanonicalTarget {
    /// The easiest target there is.
    pub const EASIEST: Self = Self(CompactTarget::EASIEST.0);

    /// The same as a compact number.
    pub const fn compact(self) -> CompactTarget {
        CompactTarget(self.0)
    }

    /// The target in full.
    pub fn number(self) -> Number {
        self.compact().expand().unwrap_or_default()
    }

    /// Hashes needed on average to meet it; at least 2.
    pub fn work(self) -> Number {
        work_of(&self.number())
    }
}

impl TryFrom<CompactTarget> for CanonicalTarget {
    type Error = TargetFault;

    fn try_from(compact: CompactTarget) -> Result<Self, TargetFault> {
        let number = compact.expand().ok_or(TargetFault::Negative(compact))?;
        if number.is_zero() {
            return Err(TargetFault::Zero(compact));
        }
        let canonical = CompactTarget::from_number(&number);
        if compact.0 > CompactTarget::EASIEST.0 {
            Err(TargetFault::AboveEasiest(compact))
        } else if canonical != compact {
            Err(TargetFault::NotCanonical { found: compact, canonical })
        } else {
            Ok(Self(compact.0))
        }
    }
}

impl fmt::Display for CanonicalTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.compact().fmt(formatter)
    }
}

impl fmt::Debug for CanonicalTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CanonicalTarget({self})")
    }
}

/// A target made ready for comparing many hashes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashThreshold {
    target: Number256,
}

impl HashThreshold {
    /// Refuses what nothing meets whatever its number: negative targets and those above 207fffff.
    pub fn new(compact: CompactTarget) -> Result<Self, TargetFault> {
        if compact.0 & SIGN != 0 {
            return Err(TargetFault::Negative(compact));
        }
        if compact.0 > CompactTarget::EASIEST.0 {
            return Err(TargetFault::AboveEasiest(compact));
        }
        let (mantissa, exponent) = (compact.0 & MANTISSA, (compact.0 >> 24) as usize);
        let target = if exponent <= 3 {
            Number256::from(mantissa >> (8 * (3 - exponent)))
        } else {
            Number256::from(mantissa) << (8 * (exponent - 3))
        };
        Ok(Self { target })
    }

    /// Whether `hash`, read as a little-endian number, is below the target.
    pub fn is_met_by(&self, hash: &[u8; 32]) -> bool {
        Number256::from_le_bytes(*hash) < self.target
    }
}

/// 2^256.
fn two_to_the_256() -> Number {
    Number::from(1u8) << 256
}

/// `WORK`: how many hashes it takes on average to find one below `target`; 0 for targets of 2^256 and more.
pub fn work_of(target: &Number) -> Number {
    let hashes = two_to_the_256();
    if *target >= hashes { Number::ZERO } else { hashes / (*target + Number::from(1u8)) }
}

/// `TARGET`: the target for which `work` hashes are needed on average.
pub fn target_of(work: &Number) -> Number {
    let hashes = two_to_the_256();
    if work.is_zero() {
        hashes
    } else if *work >= hashes {
        Number::ZERO
    } else {
        (hashes - *work) / *work
    }
}

/// `EFFWORK`: the hashes that a block of work `block_work` takes with `count` announcements of work
/// `least_work` each: `⌊block_work³ / (1024 · least_work · count²)⌋`, and 2^256 ("infinite") without
/// announcements or work.
///
/// `block_work` and `least_work` are at most 2^256, as [`work_of`] gives them.
pub fn effective_work(block_work: &Number, least_work: &Number, count: u64) -> Number {
    if least_work.is_zero() || count == 0 {
        return two_to_the_256();
    }
    let count = Number::from(count);
    (*block_work * *block_work * *block_work) / (Number::from(1024u16) * *least_work * count * count)
}

/// `EFFTARGET`: the target that an attempt must meet, for a block or share target and the committed least work
/// and count. At most 207fffff; 0, which nothing meets, where either target is negative.
pub fn effective_target(block: CompactTarget, least_work: CompactTarget, count: u64) -> CompactTarget {
    match (block.work(), least_work.work()) {
        (Some(block_work), Some(least_work)) => {
            CompactTarget::for_work(&effective_work(&block_work, &least_work, count))
        }
        _ => CompactTarget(0),
    }
}

/// `MULT`: how many hashes each attempt stands for, `⌊least work · count² / 1024⌋`, at most 2^64 − 1.
/// 0 where the target is negative.
pub fn hash_rate_multiplier(least_work: CompactTarget, count: u64) -> u64 {
    let count = Number::from(count);
    let multiplier = least_work.work().unwrap_or_default() * count * count / Number::from(1024u16);
    multiplier.saturating_to::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_specification() {
        assert_eq!(CompactTarget(0x207f_ffff).work(), Some(Number::from(2u8)));
        assert_eq!(CompactTarget(0x1f0f_ffff).work(), Some(Number::from(4096u16)));
        let aged = [(3, Some(0x2000_ffff)), (4, Some(0x2001_fffe)), (10, Some(0x207f_ff80)), (11, None)];
        for (age, expected) in aged {
            assert_eq!(CompactTarget(0x2000_ffff).degraded(age), expected.map(CompactTarget), "age {age}");
        }
        let soft_nonces = [(0x207f_ffff, 1023), (0x2002_0000, 32767), (0x1f00_ffff, 0x00ff_ffff)];
        for (bits, expected) in soft_nonces {
            assert_eq!(CompactTarget(bits).soft_nonce_max(), Some(expected), "{bits:08x}");
        }
    }

    #[test]
    fn pitfall_9_1_the_false_least_work_is_not_canonical() {
        let claim = CompactTarget(0x2000_0001);
        let fault = CanonicalTarget::try_from(claim).unwrap_err();
        assert_eq!(fault, TargetFault::NotCanonical { found: claim, canonical: CompactTarget(0x1e01_0000) });
        assert!(fault.to_string().contains("1e010000"));
    }

    #[test]
    fn pitfall_9_4_the_sign_bit_is_refused_before_any_arithmetic() {
        let negative = CompactTarget(0x0181_0000);
        assert_eq!(negative.expand(), None);
        assert_eq!(CanonicalTarget::try_from(negative), Err(TargetFault::Negative(negative)));
        assert_eq!(effective_target(negative, CompactTarget::EASIEST, 1), CompactTarget(0));
        assert_eq!(hash_rate_multiplier(negative, 7), 0);
        assert!(!negative.is_met_by(&[0; 32]));
        assert_eq!(negative.degraded(9), None);
        assert_eq!(negative.soft_nonce_max(), None);
    }

    #[test]
    fn pitfall_9_6_a_hash_equal_to_the_target_does_not_meet_it() {
        let target = CompactTarget(0x0312_3456);
        let mut hash = [0u8; 32];
        hash[..3].copy_from_slice(&[0x56, 0x34, 0x12]);
        assert!(!target.is_met_by(&hash));
        hash[0] = 0x55;
        assert!(target.is_met_by(&hash));
    }

    #[test]
    fn no_announcements_and_no_work_need_infinite_work() {
        assert_eq!(effective_target(CompactTarget::EASIEST, CompactTarget::EASIEST, 0), CompactTarget(0));
        let nearly_nothing = effective_target(CompactTarget::EASIEST, CompactTarget(0x2000_ffff), u64::MAX);
        assert_eq!(nearly_nothing, CompactTarget::EASIEST);
    }

    proptest! {
        #[test]
        fn nothing_a_stranger_sends_panics(block: u32, least: u32, count: u64, age: u32, hash: [u8; 32]) {
            let (block, least) = (CompactTarget(block), CompactTarget(least));
            let effective = effective_target(block, least, count);
            prop_assert!(effective.0 <= CompactTarget::EASIEST.0);
            hash_rate_multiplier(least, count);
            if let Some(aged) = block.degraded(age) {
                prop_assert!(age == 3 || aged.0 <= CompactTarget::EASIEST.0);
            }
            block.is_met_by(&hash);
            block.soft_nonce_max();
            block.difficulty(least);
            block.work_for_display();
        }

        #[test]
        fn a_compact_number_is_its_number_rounded_down(limbs: [u64; 4]) {
            let number = Number::from(Number256::from_limbs(limbs));
            let compact = CompactTarget::from_number(&number);
            let back = compact.expand().unwrap();
            prop_assert!(compact.is_canonical());
            prop_assert!(back <= number);
            prop_assert!(number - back <= number >> 15);
        }

        #[test]
        fn pitfall_19_canonical_targets_compare_as_their_numbers(one in 0u32..0x2080_0000, other in 0u32..0x2080_0000) {
            if let (Ok(one), Ok(other)) =
                (CanonicalTarget::try_from(CompactTarget(one)), CanonicalTarget::try_from(CompactTarget(other)))
            {
                prop_assert_eq!(one.cmp(&other), one.number().cmp(&other.number()));
            }
        }

        #[test]
        fn each_block_after_the_third_halves_the_work(bits in 0x0300_8000u32..0x2080_0000, age in 3u32..300) {
            let Ok(target) = CanonicalTarget::try_from(CompactTarget(bits)) else { return Ok(()) };
            match (target.compact().degraded(age), target.compact().degraded(age + 1)) {
                (None, next) => prop_assert_eq!(next, None),
                (Some(_), None) => prop_assert!(target.number().bit_len() as u32 + age + 1 - 3 >= 256),
                (Some(now), Some(next)) => {
                    let (now, next) = (now.expand().unwrap(), next.expand().unwrap());
                    // Each is rounded down on its own.
                    prop_assert!((now << 1usize).abs_diff(next) <= now >> 14usize);
                }
            }
        }
    }
}
