//! The 2048-byte states of a batch, laid out for the kernels.

#![allow(clippy::inline_always, reason = "only inside of a backend are they compiled with its instructions")]

use core::ops::Range;

use super::kernels::{Items, Message};
use crate::crypto_cycle::ITEM_SIZE;

/// States that go through the kernels together. Half as many cost 5 % more, a quarter 13 %: Poly1305 finds
/// fewer messages of like length.
pub(crate) const BATCH: usize = crate::crypto_cycle::BATCH_MAX;
/// Bytes of one CryptoCycle state.
pub(crate) const STATE: usize = 2048;
/// Where additional data and message begin in a state.
pub(crate) const DATA: usize = 48;
/// Where an item belongs in a state.
pub(crate) const ITEM: Range<usize> = 32..32 + ITEM_SIZE;
/// Bytes that kernels take of a text at a time.
const PIECE: usize = 64;
/// Of an item that is read where it lies, so much is nevertheless copied at its beginning (the rest of the key, the
/// longest additional data, and what a piece can hold that begins before the text) and at its end (of a piece that goes
/// on behind the item). Both are whole cache lines.
const COPIED: usize = 128;
const COPIED_AT_END: usize = PIECE;
/// Bytes in front of the first state: kernels that align messages at their ends load from before the start,
/// and the last 32 put byte 32 of each state, where items are copied to, on a multiple of 64.
const FRONT: usize = STATE + 32;
/// Bytes behind the last state: kernels without masks write a whole block back where a message ends in it.
const BACK: usize = 96;

#[repr(C, align(64))]
struct Bytes([u8; FRONT + BATCH * STATE + BACK]);

/// [`BATCH`] states in ordinary byte order, one behind the other.
pub(crate) struct States(Box<Bytes>);

impl States {
    #[allow(clippy::large_stack_arrays, reason = "optimised code zeroes it in place")]
    pub(crate) fn new() -> Self {
        Self(Box::new(Bytes([0; FRONT + BATCH * STATE + BACK])))
    }

    #[inline]
    pub(crate) fn state(&self, index: usize) -> &[u8; STATE] {
        let start = FRONT + index * STATE;
        (&self.0.0[start..start + STATE]).try_into().expect("a state's length")
    }

    #[inline]
    pub(crate) fn state_mut(&mut self, index: usize) -> &mut [u8; STATE] {
        let start = FRONT + index * STATE;
        (&mut self.0.0[start..start + STATE]).try_into().expect("a state's length")
    }

    /// Address of state 0; the others follow.
    #[inline]
    pub(crate) fn base_mut(&mut self) -> *mut u8 {
        self.0.0[FRONT..].as_mut_ptr()
    }

    /// Copies of an item what kernels do not read where it lies.
    #[inline(always)]
    pub(crate) fn take_in(&mut self, index: usize, item: &[u8; ITEM_SIZE]) {
        let place = &mut self.state_mut(index)[ITEM];
        place[..COPIED].copy_from_slice(&item[..COPIED]);
        place[ITEM_SIZE - COPIED_AT_END..].copy_from_slice(&item[ITEM_SIZE - COPIED_AT_END..]);
    }

    /// Copies an item from `start` on, counted from the state's first byte.
    #[inline(always)]
    pub(crate) fn take_in_from(&mut self, start: usize, index: usize, item: &[u8; ITEM_SIZE]) {
        if ITEM.contains(&start) {
            self.state_mut(index)[start..ITEM.end].copy_from_slice(&item[start - ITEM.start..]);
        }
    }

    /// The text of a message: behind the header of its state, or of its item, as long as that goes.
    #[inline]
    pub(crate) fn text(&self, message: Message<'_>) -> Text {
        assert!(message.state < BATCH && DATA + 16 * message.blocks <= STATE, "a text inside a state");
        // Derived from the whole buffer, so that the bytes in front may be read through it.
        let in_state = self.0.0.as_ptr().wrapping_add(FRONT + message.state * STATE + DATA);
        let in_item = message.item.map_or(in_state, |item| item[DATA - ITEM.start..].as_ptr());
        Text { in_state, in_item }
    }
}

/// A text, of which every 64 bytes that begin at a multiple of 16 can be read, from [`STATE`] bytes before its start to
/// its end.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    in_state: *const u8,
    in_item: *const u8,
}

impl Text {
    /// Where the 64 bytes from `at` on are.
    #[inline]
    pub(crate) fn at(self, at: isize) -> *const u8 {
        const LAST_IN_ITEM: usize = ITEM.end - DATA - PIECE;
        // One comparison for both ends: what is before the text is a great number.
        let start = if at as usize <= LAST_IN_ITEM { self.in_item } else { self.in_state };
        start.wrapping_offset(at)
    }
}

/// Where the texts of a pass are read.
#[derive(Clone, Copy)]
pub(crate) enum Texts<'a> {
    /// In the states.
    InPlace,
    /// In the items of the states, and what lies behind these in the states.
    InItems(&'a Items<'a>),
    /// All states have this one, but for the header. What is behind its last whole block is read in the states.
    Same(&'a [u8; STATE]),
}

impl Texts<'_> {
    /// Up to which byte of a state whole blocks are read elsewhere.
    #[inline(always)]
    pub(crate) fn end(self) -> usize {
        match self {
            Self::InPlace => 0,
            Self::InItems(_) => ITEM.end,
            Self::Same(_) => STATE,
        }
    }

    /// What to add to a block's place, counted from the first state at `base`, to come to its text: for each message that
    /// of blocks in its state, then for each message that of blocks elsewhere.
    pub(crate) fn of_blocks(self, base: *const u8) -> [*const u8; 2 * BATCH] {
        let mut texts = [base; 2 * BATCH];
        for (message, text) in texts[BATCH..].iter_mut().enumerate() {
            match self {
                Self::InPlace => {}
                Self::InItems(items) => {
                    *text = items[message].as_ptr().wrapping_sub(ITEM.start + message * STATE);
                }
                Self::Same(same) => *text = same.as_ptr().wrapping_sub(message * STATE),
            }
        }
        texts
    }
}
