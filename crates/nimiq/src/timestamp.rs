//! When a block was mined, as its header says.

use std::fmt;

/// Seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u32);

impl Timestamp {
    /// How far in the future a block may be dated (`docs/protocol/nimiq-pool.md` 2.12), in seconds.
    pub const LARGEST_DRIFT: u32 = 600;

    /// Whether a block may carry this time on top of one with `predecessor`'s when the clock shows `now`.
    pub fn is_allowed(self, predecessor: Self, now: Self) -> bool {
        predecessor <= self && self.0 <= now.0.saturating_add(Self::LARGEST_DRIFT)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_neither_older_than_its_predecessor_nor_far_in_the_future() {
        let (before, now) = (Timestamp(1000), Timestamp(2000));
        for (seconds, allowed) in [(999, false), (1000, true), (2600, true), (2601, false)] {
            assert_eq!(Timestamp(seconds).is_allowed(before, now), allowed, "{seconds}");
        }
    }
}
