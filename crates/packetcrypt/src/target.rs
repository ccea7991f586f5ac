//! Compact targets and all difficulty arithmetic, in exact integers.

use std::fmt;

/// Bitcoin's 32-bit form of a 256-bit target, as it stands in headers and announcements.
/// A *smaller target is more work*. Any `u32` can come from the network, so this type does not promise
/// that the value is sane.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CompactTarget(pub u32);

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
