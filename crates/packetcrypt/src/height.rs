//! The height of a block: how many blocks come before it.

use std::fmt;

/// Height of a block, 0 for the genesis block (`u32`, as announcements carry it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height(pub u32);

impl Height {
    /// The height `blocks` above this one; `None` past the largest.
    pub fn checked_add(self, blocks: u32) -> Option<Self> {
        self.0.checked_add(blocks).map(Self)
    }

    /// The height `blocks` below this one; `None` below the genesis block.
    pub fn checked_sub(self, blocks: u32) -> Option<Self> {
        self.0.checked_sub(blocks).map(Self)
    }
}

impl fmt::Display for Height {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
