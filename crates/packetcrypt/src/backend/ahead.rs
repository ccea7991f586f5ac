//! Items that will be needed soon, asked for while kernels compute.
//!
//! Items lie at random places of large tables. Two things must not be waited for one after the other:
//!
//! * where a page is. That is found out for several pages at a time, but the processor stands still meanwhile; so the
//!   first line of every item is asked for at once where items lie on more pages than it remembers ([`find_pages`]);
//! * the lines. A dozen of them can be on the way, and whoever asks for more at once waits with them; so kernels ask for
//!   a few between one computation and the next.
//!
//! `docs/performance.md`, "Items on their way", has the figures.

use crate::crypto_cycle::ITEM_SIZE;

/// Bytes that are asked for together: four cache lines.
pub(crate) const PIECE: usize = 256;

/// Pieces of an item.
const OF_EACH: usize = ITEM_SIZE / PIECE;

/// What is asked for when there is nothing left.
pub(crate) static NOTHING: [u8; PIECE] = [0; PIECE];

/// Items that are asked for piece by piece.
pub(crate) struct Ahead<'a> {
    items: &'a [&'a [u8; ITEM_SIZE]],
    /// Pieces that have been asked for.
    done: usize,
}

impl<'a> Ahead<'a> {
    /// These items, none of which has been asked for.
    pub(crate) fn new(items: &'a [&'a [u8; ITEM_SIZE]]) -> Self {
        Self { items, done: 0 }
    }

    /// The next piece, for a kernel that asks for it itself.
    #[inline]
    pub(crate) fn piece(&mut self) -> &'a [u8; PIECE] {
        let Some(item) = self.items.get(self.done / OF_EACH) else { return &NOTHING };
        let piece = &item.as_chunks().0[self.done % OF_EACH];
        self.done += 1;
        piece
    }

    /// Asks for the next piece.
    #[inline]
    pub(crate) fn fetch(&mut self) {
        prefetch(self.piece());
    }

    /// Asks for as much as an item has.
    pub(crate) fn fetch_item(&mut self) {
        for _ in 0..OF_EACH {
            self.fetch();
        }
    }

    /// Asks for all that is left.
    #[inline]
    pub(crate) fn fetch_rest(&mut self) {
        while self.done < self.items.len() * OF_EACH {
            self.fetch();
        }
    }
}

/// Asks for the first line of each of these items.
pub(crate) fn find_pages(items: &[&[u8; ITEM_SIZE]]) {
    for item in items {
        prefetch(&item[..1]);
    }
}

/// Asks for all cache lines of a value.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn prefetch<T: ?Sized>(value: &T) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let start = core::ptr::from_ref(value).cast::<i8>();
    for line in (0..size_of_val(value)).step_by(64) {
        // SAFETY: a prefetch has no effect but on speed.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line)) };
    }
}

/// There is no stable way to ask.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn prefetch<T: ?Sized>(_: &T) {}
