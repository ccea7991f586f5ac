//! Which announcements are known: a set of hash prefixes for each parent height (V4, W9).
//!
//! A prefix takes 8 bytes in a table that is at least half full, so at most 16 bytes (12 on average) for each. The set is
//! cut into shards, which keeps the cost of growing small: one shard is copied at a time. Each announcement reads a slot at
//! a random place; huge pages save half of the time that this takes.

use std::alloc::{Layout, handle_alloc_error};
use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, PoisonError};

use packetcrypt::pages::Memory;

/// Few, so that they soon are as large as huge pages.
const SHARDS: usize = 4;
/// Slots of each shard when it first holds something. They differ by a quarter of what a shard grows by, so that the
/// shards grow one after the other: all together they are then never much larger than on average.
const FIRST_SLOTS: [usize; SHARDS] = [64, 71, 78, 87];
/// Prefixes whose slots are fetched from memory side by side: as many as a processor can wait for at once.
const FETCHED_TOGETHER: usize = 32;
/// No prefix: [`zero`](wire::Refusal::ReservedHash) is refused before it comes here.
const EMPTY: u64 = 0;

/// The known announcements of one parent height.
#[derive(Debug, Default)]
pub(super) struct DuplicateTable {
    shards: Mutex<Shards>,
}

#[derive(Debug)]
struct Shards([Shard; SHARDS]);

impl Default for Shards {
    fn default() -> Self {
        Self(FIRST_SLOTS.map(|first_slots| Shard { first_slots, memory: None, used: 0 }))
    }
}

/// An open-addressing table: a prefix stands at its home slot or behind it without a gap.
#[derive(Debug)]
struct Shard {
    first_slots: usize,
    memory: Option<Memory>,
    used: usize,
}

/// A prefix, or zeros.
type Slot = [u8; 8];

impl DuplicateTable {
    pub(super) fn contains(&self, prefix: u64) -> bool {
        self.shards().of(prefix).contains(prefix)
    }

    /// Adds a prefix; `false` if it was there.
    pub(super) fn insert(&self, prefix: u64) -> bool {
        self.shards().of(prefix).insert(prefix)
    }

    /// Adds prefixes one after the other; says of each whether it was new.
    pub(super) fn insert_all(&self, prefixes: &[u64]) -> Vec<bool> {
        let mut shards = self.shards();
        let mut new = Vec::with_capacity(prefixes.len());
        for prefixes in prefixes.chunks(FETCHED_TOGETHER) {
            // The slots are all over the memory. To read them here, where nothing depends on what they hold, lets the
            // processor wait for all of them at the same time.
            black_box(prefixes.iter().fold(0, |all, prefix| all ^ shards.of(*prefix).at_home(*prefix)));
            new.extend(prefixes.iter().map(|prefix| shards.of(*prefix).insert(*prefix)));
        }
        new
    }

    /// Forgets a prefix.
    pub(super) fn remove(&self, prefix: u64) {
        self.shards().of(prefix).remove(prefix);
    }

    /// Number of known announcements.
    pub(super) fn len(&self) -> usize {
        self.shards().0.iter().map(|shard| shard.used).sum()
    }

    /// Bytes that the table takes.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.shards().0.iter().map(|shard| size_of_val(shard.slots())).sum()
    }

    fn shards(&self) -> MutexGuard<'_, Shards> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shards {
    fn of(&mut self, prefix: u64) -> &mut Shard {
        // Not the lowest bits: they also choose the handler. Not the highest: they choose the slot.
        &mut self.0[(prefix >> 24) as usize % SHARDS]
    }
}

impl Shard {
    fn slots(&self) -> &[Slot] {
        self.memory.as_ref().map_or(&[], |memory| memory.bytes().as_chunks().0)
    }

    /// Where a prefix would stand if the table were empty: its place among all 2^64.
    fn home(&self, prefix: u64) -> usize {
        ((u128::from(prefix) * self.slots().len() as u128) >> 64) as usize
    }

    /// What the home slot of a prefix holds.
    fn at_home(&self, prefix: u64) -> u64 {
        self.slots().get(self.home(prefix)).map_or(EMPTY, |slot| u64::from_ne_bytes(*slot))
    }

    fn get(&self, slot: usize) -> u64 {
        u64::from_ne_bytes(self.slots()[slot])
    }

    fn set(&mut self, slot: usize, prefix: u64) {
        if let Some(memory) = &mut self.memory {
            memory.bytes_mut().as_chunks_mut().0[slot] = prefix.to_ne_bytes();
        }
    }

    fn next(&self, slot: usize) -> usize {
        if slot + 1 == self.slots().len() { 0 } else { slot + 1 }
    }

    /// The slot of a prefix, or the free one where it belongs. The table must have a free slot.
    fn find(&self, prefix: u64) -> usize {
        let mut slot = self.home(prefix);
        while self.get(slot) != EMPTY && self.get(slot) != prefix {
            slot = self.next(slot);
        }
        slot
    }

    fn contains(&self, prefix: u64) -> bool {
        !self.slots().is_empty() && self.get(self.find(prefix)) == prefix
    }

    fn insert(&mut self, prefix: u64) -> bool {
        if prefix == EMPTY {
            return false;
        }
        // At most four fifths full, so that searches stay short.
        if (self.used + 1) * 5 > self.slots().len() * 4 {
            self.grow();
        }
        let slot = self.find(prefix);
        let new = self.get(slot) == EMPTY;
        if new {
            self.set(slot, prefix);
            self.used += 1;
        }
        new
    }

    /// Grows by half: at least 8/15 of the slots stay used. Ends the process where the system has no memory left, as every
    /// allocation does.
    fn grow(&mut self) {
        let slots = self.slots().len();
        let bytes = (slots + slots / 2).max(self.first_slots) * size_of::<Slot>();
        let larger = Memory::exact(bytes).unwrap_or_else(|_| {
            handle_alloc_error(Layout::array::<u8>(bytes).unwrap_or(Layout::new::<Slot>()))
        });
        let old = self.memory.replace(larger);
        let slots = old.iter().flat_map(|memory| memory.bytes().as_chunks().0);
        for prefix in slots.map(|slot| u64::from_ne_bytes(*slot)).filter(|prefix| *prefix != EMPTY) {
            self.set(self.find(prefix), prefix);
        }
    }

    fn remove(&mut self, prefix: u64) {
        if prefix == EMPTY || !self.contains(prefix) {
            return;
        }
        let mut gap = self.find(prefix);
        self.set(gap, EMPTY);
        self.used -= 1;
        // Those behind the gap move up, unless that would put them before their home.
        let mut slot = self.next(gap);
        while self.get(slot) != EMPTY {
            let (home, slots) = (self.home(self.get(slot)), self.slots().len());
            let distance = |from: usize| (slot + slots - from) % slots;
            if distance(home) >= distance(gap) {
                self.set(gap, self.get(slot));
                self.set(slot, EMPTY);
                gap = slot;
            }
            slot = self.next(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Spread like hash prefixes.
    fn prefix(number: u64) -> u64 {
        packetcrypt::hash::blake2b_256(&number.to_le_bytes())
            .iter()
            .take(8)
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    #[test]
    fn v4_at_most_16_bytes_for_each_announcement() {
        let table = DuplicateTable::default();
        for number in 1..=200_000 {
            assert!(table.insert(prefix(number)));
            if number >= 20_000 && number % 1000 == 0 {
                assert!(table.bytes() as u64 <= 16 * number, "{} bytes for {number}", table.bytes());
            }
        }
        assert_eq!(table.len(), 200_000);
        assert!((1..=200_000).all(|number| table.contains(prefix(number)) && !table.insert(prefix(number))));
    }

    #[test]
    fn r_a1_the_first_of_equal_ones_is_new() {
        let table = DuplicateTable::default();
        assert!(table.insert(prefix(7)));
        let prefixes: Vec<u64> = (0..200).map(|number| prefix(number / 2)).collect();
        let expected: Vec<bool> = (0..200).map(|number| number % 2 == 0 && number / 2 != 7).collect();
        assert_eq!(table.insert_all(&prefixes), expected);
        assert_eq!(table.insert_all(&prefixes), [false; 200]);
        assert_eq!(table.len(), 100);
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(actions in prop::collection::vec((0u8..3, prop_oneof![1u64..40, any::<u64>()]), 0..400)) {
            let table = DuplicateTable::default();
            let mut set = BTreeSet::new();
            for (action, prefix) in actions.into_iter().filter(|(_, prefix)| *prefix != EMPTY) {
                match action {
                    0 => prop_assert_eq!(table.insert(prefix), set.insert(prefix)),
                    1 => prop_assert_eq!(table.contains(prefix), set.contains(&prefix)),
                    _ => {
                        table.remove(prefix);
                        set.remove(&prefix);
                    }
                }
            }
            prop_assert_eq!(table.len(), set.len());
            prop_assert!(set.iter().all(|prefix| table.contains(*prefix)));
        }
    }
}
