//! The flat list of key-stream blocks that a pass needs.
//!
//! The messages of a batch have 8 to 31 blocks of key stream, so lanes that follow messages would idle. Here
//! a lane follows one *block*: every block of every message is one entry of a flat list, and lanes are filled
//! from that list whatever message a block belongs to. `docs/performance.md`, "ChaCha20", has the figures.

#![allow(clippy::inline_always, reason = "only inside of a backend are they compiled with its instructions")]

use core::ops::Range;

use super::states::{BATCH, STATE};

/// The ChaCha20 keys and nonces of a batch, word by word: `key[w][m]` is word `w` of message `m`.
#[repr(C, align(64))]
pub(crate) struct Inputs {
    /// Both once more, message by message: the matrices that the key stream's blocks begin with, but for the counters,
    /// which are zero. Only [`Kernels::apply`](super::kernels::Kernels::apply) looks at them.
    pub matrices: [[u32; 16]; BATCH],
    /// 256-bit keys.
    pub key: [[u32; BATCH]; 8],
    /// 96-bit nonces.
    pub nonce: [[u32; BATCH]; 3],
    /// Which block [`Kernels::blocks`](super::kernels::Kernels::blocks) makes.
    pub counter: [u32; BATCH],
}

impl Inputs {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self {
            matrices: [[0; 16]; BATCH],
            key: [[0; BATCH]; 8],
            nonce: [[0; BATCH]; 3],
            counter: [0; BATCH],
        })
    }

    /// Sets key and nonce of a message.
    #[inline(always)]
    pub(crate) fn set(&mut self, message: usize, key: [u32; 8], nonce: [u32; 3]) {
        let matrix = &mut self.matrices[message];
        matrix[..4].copy_from_slice(&CONSTANTS);
        matrix[4..12].copy_from_slice(&key);
        matrix[13..].copy_from_slice(&nonce);
        for (row, word) in self.key.iter_mut().zip(key).chain(self.nonce.iter_mut().zip(nonce)) {
            row[message] = word;
        }
    }
}

/// One block of every message's key stream, word by word: `blocks[w][m]` is word `w` of message `m`.
pub(crate) type SingleBlocks = [[u32; BATCH]; 16];

/// The four constant words of every ChaCha20 matrix, "expand 32-byte k".
pub(crate) const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// The list, collected message by message and run at once.
///
/// Blocks that end with their messages, and so may be shorter, are collected apart and come last: kernels need no masks
/// for the others.
pub(crate) struct Blocks {
    columns: Box<Columns>,
    /// Whole blocks so far.
    count: usize,
    ends: Box<[End; BATCH]>,
    end_count: usize,
}

/// An entry for each block.
#[repr(C, align(64))]
struct Columns {
    source: [u32; LENGTH_MAX],
    place: [u32; LENGTH_MAX],
    words: [u16; LENGTH_MAX],
}

/// The entry of a shorter block.
#[derive(Clone, Copy, Default)]
struct End {
    source: u32,
    place: u32,
    words: u16,
}

/// Neighbouring entries of the list.
pub(crate) struct Entries<'a> {
    /// Message in the low bits, [`ELSEWHERE`], and from [`COUNTER_SHIFT`] on the block counter.
    pub source: &'a [u32],
    /// Where the block goes, in bytes from the first state.
    pub place: &'a [u32],
    /// Which of its sixteen words lie inside the message: one bit each, and those set are the lowest.
    pub words: &'a [u16],
}

impl<'a> Entries<'a> {
    /// Some of them.
    #[inline]
    pub(crate) fn part(&self, range: Range<usize>) -> Entries<'a> {
        let Self { source, place, words } = *self;
        Entries { source: &source[range.clone()], place: &place[range.clone()], words: &words[range] }
    }
}

/// Bit of [`Entries::source`]: the text that the block goes over does not lie in the state.
pub(crate) const ELSEWHERE: u32 = BATCH as u32;
/// Where in [`Entries::source`] the block counter begins.
pub(crate) const COUNTER_SHIFT: u32 = 8;
/// Most entries that a backend runs at a time.
const GROUP_MAX: usize = 32;
/// Most entries of a message: for 2000 bytes.
const BLOCKS_MAX: usize = 32;
/// Longest list, and room for a group of entries that do nothing behind the last.
const LENGTH_MAX: usize = BATCH * BLOCKS_MAX + GROUP_MAX;

impl Blocks {
    pub(crate) fn new() -> Self {
        Self {
            columns: Box::new(Columns {
                source: [0; LENGTH_MAX],
                place: [0; LENGTH_MAX],
                words: [0; LENGTH_MAX],
            }),
            count: 0,
            ends: Box::new([End::default(); BATCH]),
            end_count: 0,
        }
    }

    /// Adds a part of a message's key stream, in bytes from the message's start at `offset` of its state; it begins at
    /// a multiple of 64 and ends at one of 16. Counters begin at 1 (0 makes the Poly1305 key). Whole 64 bytes that end before
    /// `elsewhere` have their text [elsewhere](super::states::Texts::end).
    #[inline(always)]
    pub(crate) fn push(&mut self, message: usize, offset: usize, part: Range<usize>, elsewhere: usize) {
        let Range { start: skip, end } = part;
        assert!(message < BATCH && offset + end <= STATE, "key stream inside a state of the batch");
        let first_source = message as u32 | (1 + skip as u32 / 64) << COUNTER_SHIFT;
        let first_place = (message * STATE + offset + skip) as u32;
        let elsewhere = (elsewhere.saturating_sub(offset + skip) / 64) as u32;
        // Arithmetic in place of a comparison, for which compilers widen the numbers: both are small.
        let is_elsewhere = |k: u32| k.wrapping_sub(elsewhere) >> 31;
        let source_of = |k: u32| first_source + (k << COUNTER_SHIFT) + ELSEWHERE * is_elsewhere(k);
        let place_of = |k: u32| first_place + 64 * k;
        let (whole, last_words) = ((end - skip) / 64, (end - skip) % 64 / 4);
        // Written are always as many entries as a message can have, and an end; what is too much is written over by the
        // next message. Whether there is anything at all would be guessed wrong too often for a branch.
        let Columns { source, place, .. } = &mut *self.columns;
        let entries = self.count..self.count + BLOCKS_MAX;
        let source = &mut source[entries.clone()].as_chunks_mut::<BLOCKS_MAX>().0[0];
        let place = &mut place[entries].as_chunks_mut::<BLOCKS_MAX>().0[0];
        for k in 0..BLOCKS_MAX as u32 {
            source[k as usize] = source_of(k);
            place[k as usize] = place_of(k);
        }
        self.count += whole;
        let [source, place] = [source_of(whole as u32), place_of(whole as u32)];
        self.ends[self.end_count] = End { source, place, words: (1 << last_words) - 1 };
        self.end_count += usize::from(last_words > 0);
    }

    /// Empties the list and gives what was in it, filled up to a multiple of `group` with entries that do nothing.
    #[inline]
    pub(crate) fn take(&mut self, group: usize) -> impl Iterator<Item = Entries<'_>> {
        assert!(group <= GROUP_MAX, "at most {GROUP_MAX} entries at a time");
        let whole = core::mem::take(&mut self.count);
        let ends = core::mem::take(&mut self.end_count);
        let count = whole + ends;
        let end = count.next_multiple_of(group);
        let Columns { source, place, words } = &mut *self.columns;
        words[..whole].fill(u16::MAX);
        for (k, end) in (whole..).zip(&self.ends[..ends]) {
            (source[k], place[k], words[k]) = (end.source, end.place, end.words);
        }
        source[count..end].fill(0);
        place[count..end].fill(0);
        words[count..end].fill(0);
        source[..end]
            .chunks_exact(group)
            .zip(place.chunks_exact(group))
            .zip(words.chunks_exact(group))
            .map(|((source, place), words)| Entries { source, place, words })
    }
}
