//! The multiples of the base point that digits select.
//!
//! 3 MB, in huge pages: between two multiplications a miner reads from so many pages of announcements that the processor
//! forgets where those of a table are.

use super::digits::{DIGITS, Digits, GREATEST};
use crate::backend::ahead::prefetch;
use crate::pages::{HUGE_PAGE, Memory};

/// Multiples of each power of 2048: 0 to 1024.
pub(super) const MULTIPLES: usize = GREATEST + 1;
/// Words of an entry, which fill two cache lines.
pub(crate) const ENTRY_WORDS: usize = 16;

/// An entry: what a backend needs of a point, word after word.
pub(crate) type Entry = [u8; 8 * ENTRY_WORDS];

/// Entry after entry: the multiples of 1, those of 2048, and so on.
pub(crate) struct Table(Memory);

impl Table {
    /// A table of all entries, which come in this order.
    pub(super) fn of(entries: impl Iterator<Item = [u64; ENTRY_WORDS]>) -> Self {
        let bytes = (DIGITS * MULTIPLES * size_of::<Entry>()).next_multiple_of(HUGE_PAGE);
        let mut memory = Memory::new(bytes).expect("address space for 4 MiB");
        for (place, words) in
            memory.bytes_mut().as_chunks_mut::<{ size_of::<Entry>() }>().0.iter_mut().zip(entries)
        {
            for (place, word) in place.as_chunks_mut().0.iter_mut().zip(words) {
                *place = word.to_ne_bytes();
            }
        }
        Self(memory)
    }

    /// The entry for a digit at a place; whether it is to be subtracted is said by the digit's sign.
    #[inline]
    pub(crate) fn entry(&self, place: usize, digit: i16) -> &Entry {
        let (entries, _) = self.0.bytes().as_chunks();
        &entries[place * MULTIPLES + usize::from(digit.unsigned_abs())]
    }

    /// Asks for all entries of a number: there are too many to stay in the nearest caches.
    #[inline]
    pub(super) fn fetch(&self, digits: &Digits) {
        for (place, &digit) in digits.iter().enumerate() {
            prefetch(self.entry(place, digit));
        }
    }
}
