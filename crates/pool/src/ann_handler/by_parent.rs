//! How many announcements were accepted for each parent block: told to the website, which shows them by their age.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use packetcrypt::Height;
use serde::{Deserialize, Serialize};

/// The last part of the path under which a handler tells it.
pub(super) const NAME: &str = "parents.json";
/// Heights that are remembered: for as many blocks, and some more, announcements can be mined with.
const KEPT: usize = 300;

/// Announcements accepted for the parents of one height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedOfParent {
    /// Height of the parent block.
    pub parent_height: u32,
    /// How many were accepted.
    pub accepted: u64,
}

/// The sums of one handler.
#[derive(Debug, Default)]
pub(super) struct ByParent(Mutex<BTreeMap<Height, u64>>);

impl ByParent {
    /// Announcements for a parent of this height were accepted.
    pub(super) fn add(&self, height: Height, accepted: u64) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *sums.entry(height).or_default() += accepted;
        while sums.len() > KEPT {
            sums.pop_first();
        }
    }

    /// All of them, lowest parent first.
    pub(super) fn all(&self) -> Vec<AcceptedOfParent> {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |(height, accepted): (&Height, &u64)| AcceptedOfParent {
            parent_height: height.0,
            accepted: *accepted,
        };
        sums.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_parents_are_forgotten_first() {
        let by_parent = ByParent::default();
        (0..400).for_each(|height| by_parent.add(Height(height), 2));
        by_parent.add(Height(399), 3);
        let all = by_parent.all();
        assert_eq!((all.len(), all[0].parent_height, all[299].accepted), (300, 100, 5));
    }
}
