//! Difficulty: how much harder a target is than the easiest one, and the rule by which the chain chooses the next.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.3 and 2.4.

use std::fmt;
use std::str::FromStr;

use crate::decimal::{Decimal, ParseDecimalError};
use crate::{CompactTarget, Height, Target, Timestamp};

/// Blocks over which the rule looks back.
pub const WINDOW: u32 = 120;

/// Seconds that a block should take.
pub const BLOCK_SECONDS: u32 = 60;

/// 2^240 / target, as the peers round it. Difficulty 1 is 65,536 expected hashes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difficulty(Decimal);

impl Difficulty {
    /// The difficulty of the easiest block.
    pub const ONE: Self = Self(Decimal::ONE);

    /// Of a target; that of the easiest for one that no number holds, that of the hardest for zero.
    pub fn of_target(target: &Target) -> Self {
        let target = if *target < Target::HARDEST { Target::HARDEST } else { *target };
        let quotient = target.to_decimal().and_then(|target| easiest().checked_div(target));
        Self(quotient.unwrap_or(Decimal::ZERO))
    }

    /// From a number; `None` for zero.
    pub fn new(number: Decimal) -> Option<Self> {
        (number > Decimal::ZERO).then_some(Self(number))
    }

    /// The number.
    pub fn to_decimal(self) -> Decimal {
        self.0
    }

    /// The target that has this difficulty, to ten places; `None` where it is too large for them.
    pub fn target(self) -> Option<Decimal> {
        easiest().checked_div(self.0)
    }

    /// The compact target that the peers announce for it; `None` as in [`target`](Self::target).
    pub fn compact(self) -> Option<CompactTarget> {
        self.target().map(CompactTarget::nearest)
    }
}

impl CompactTarget {
    /// The difficulty of this target.
    pub fn difficulty(self) -> Difficulty {
        Difficulty::of_target(&self.target())
    }
}

impl FromStr for Difficulty {
    type Err = ParseDecimalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseDecimalError { found: byte_reader::excerpt(text) };
        Self::new(text.parse()?).ok_or_else(refused)
    }
}

impl fmt::Display for Difficulty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for Difficulty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Difficulty({self})")
    }
}

fn easiest() -> Decimal {
    Target::EASIEST.to_decimal().unwrap_or_default()
}

/// What the rule knows of the chain below the next block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The head's height.
    pub head: Height,
    /// The head's time.
    pub head_timestamp: Timestamp,
    /// The time of the block at [`Window::tail`].
    pub tail_timestamp: Timestamp,
    /// Total difficulty of the chain at the head, less that at the tail.
    pub difficulty: Decimal,
}

impl Window {
    /// The height at which the window of a head begins.
    pub fn tail(head: Height) -> Height {
        Height(head.0.saturating_sub(WINDOW).max(Height::GENESIS.0))
    }

    /// The target that the block on top of the head must carry; `None` where the sums are beyond any chain's.
    pub fn next_target(&self) -> Option<CompactTarget> {
        let mut seconds = i64::from(self.head_timestamp.0) - i64::from(self.tail_timestamp.0);
        let mut difficulty = self.difficulty;
        if self.head.0 <= WINDOW {
            let missing = WINDOW - self.head.0 + 1;
            seconds += i64::from(missing * BLOCK_SECONDS);
            difficulty = difficulty.checked_add(Decimal::from_u64(missing.into()))?;
        }
        let adjustment = (seconds as f64 / f64::from(WINDOW * BLOCK_SECONDS)).clamp(0.5, 2.0);
        let average = difficulty.checked_div(Decimal::from_u64(WINDOW.into()))?;
        let next = easiest().checked_div(average)?.checked_mul(Decimal::from_f64(adjustment)?)?;
        Some(CompactTarget::nearest(next.clamp(Decimal::ONE, easiest())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_young_private_chain_stays_at_difficulty_one() {
        let window = Window {
            head: Height(2),
            head_timestamp: Timestamp(1_790_000_000),
            tail_timestamp: Timestamp(1_522_338_300),
            difficulty: Decimal::ONE,
        };
        assert_eq!(window.next_target(), Some(CompactTarget::EASIEST));
    }

    #[test]
    fn blocks_in_half_the_time_are_twice_as_hard() {
        let window = Window {
            head: Height(1000),
            head_timestamp: Timestamp(3600),
            tail_timestamp: Timestamp(0),
            difficulty: Decimal::from_u64(120 * 16),
        };
        assert_eq!(window.next_target(), Some(CompactTarget(0x1e08_0000)));
    }

    #[test]
    fn a_window_without_work_has_no_next_target() {
        let window = Window {
            head: Height(1000),
            head_timestamp: Timestamp(0),
            tail_timestamp: Timestamp(0),
            difficulty: Decimal::ZERO,
        };
        assert_eq!(window.next_target(), None);
        assert_eq!(Window::tail(Height(121)), Height(1));
        assert_eq!(Window::tail(Height(122)), Height(2));
    }

    #[test]
    fn no_target_is_without_a_difficulty() {
        assert_eq!(CompactTarget(0).difficulty(), CompactTarget(0x0300_0001).difficulty());
        assert_eq!(CompactTarget(u32::MAX).difficulty().to_string(), "0");
        assert_eq!(CompactTarget(0x1f10_0000).difficulty().to_string(), "0.0625");
        assert!("0".parse::<Difficulty>().is_err());
    }
}
