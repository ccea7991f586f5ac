//! Sums by address, gathered from the newest slot to the oldest.

use crate::addresses::AddressNumber;
use crate::credit::Credits;
use crate::slot::SlotNumber;

/// What one address did in a run of slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressSum {
    pub(crate) address: AddressNumber,
    /// The newest slot with work of the address.
    pub(crate) newest: SlotNumber,
    /// The next one, if there is one: the newest slot that is certainly complete.
    second: SlotNumber,
    /// The oldest one.
    pub(crate) oldest: SlotNumber,
    /// Sum of credits, at most `u128::MAX`.
    pub(crate) credits: Credits,
}

/// Stands for "no slot": no time is that late.
const NO_SLOT: SlotNumber = SlotNumber(u32::MAX);

impl AddressSum {
    /// Work in a single slot.
    pub(crate) fn of_one_slot(address: AddressNumber, slot: SlotNumber, credits: Credits) -> Self {
        Self { address, newest: slot, second: NO_SLOT, oldest: slot, credits }
    }

    /// The second newest slot with work of the address.
    pub(crate) fn second_newest(&self) -> Option<SlotNumber> {
        (self.second != NO_SLOT).then_some(self.second)
    }

    /// Adds sums of the same slot or of older ones.
    fn add(&mut self, older: &Self) {
        self.credits = self.credits.saturating_add(older.credits);
        if older.newest < self.oldest {
            if self.second == NO_SLOT {
                self.second = older.newest;
            }
            self.oldest = older.oldest;
        }
    }
}

/// A table of sums by address.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Position in `sums` plus one; 0: no sum yet.
    positions: Vec<u32>,
    sums: Vec<AddressSum>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds work of one address, of the same slot as the last or of an older one.
    pub(crate) fn add(&mut self, sum: &AddressSum) {
        let index = sum.address.index();
        if index >= self.positions.len() {
            self.positions.resize(index + 1, 0);
        }
        match self.positions[index] {
            0 => {
                self.sums.push(*sum);
                self.positions[index] = self.sums.len() as u32;
            }
            position => self.sums[position as usize - 1].add(sum),
        }
    }

    /// The sums so far, in the order in which the addresses first came.
    pub(crate) fn sums(&self) -> &[AddressSum] {
        &self.sums
    }

    /// Empties the table without giving its memory back.
    pub(crate) fn clear(&mut self) {
        for sum in self.sums.drain(..) {
            self.positions[sum.address.index()] = 0;
        }
    }

    /// The sums in order of address, so that adding them elsewhere walks through memory once.
    pub(crate) fn into_sums(mut self) -> Vec<AddressSum> {
        self.sums.sort_unstable_by_key(|sum| sum.address);
        self.sums
    }
}
