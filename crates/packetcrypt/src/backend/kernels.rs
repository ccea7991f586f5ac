//! What a vector backend does: the seam between the lane engine and its kernels.
//!
//! The lane engine ([`batch`](super::batch), [`passes`](super::passes), [`items`](super::items)) decides what goes
//! through which lane; it is written once. A backend computes, and mirrors the others file by file.

#![allow(clippy::inline_always, reason = "only inside of a backend are they compiled with its instructions")]

use core::ops::Range;

use super::ahead::Ahead;
use super::blocks::{Blocks, Inputs, SingleBlocks};
use super::passes::Passes;
use super::states::{BATCH, STATE, States, Texts};
use super::wide_machine::WideMachine;
use super::wide_program::WideProgram;
use crate::crypto_cycle::ITEM_SIZE;
use crate::instruction::PROGRAM_LENGTH_MAX;

/// Messages in one call of [`Kernels::digests`].
pub(crate) const DIGEST_LANES: usize = 16;
/// Items in one call of [`Kernels::run_program`].
pub(crate) const ITEM_LANES: usize = 32;

/// The kernels of a backend. A value is the proof that the processor has the instructions that they use.
pub(crate) trait Kernels: Copy {
    /// The proof; `None` if the processor lacks an instruction.
    fn detect() -> Option<Self>;

    /// [`Passes::crypt`], compiled with the instructions that the kernels use: headers, lists and copies in wide registers.
    fn crypt(
        self,
        passes: &mut Passes,
        states: &mut States,
        count: usize,
        texts: Texts<'_>,
        kept: &Range<usize>,
        ahead: &mut Ahead<'_>,
    );

    /// Takes nonces and keys out of the first `count` states, and gives back their control words; what
    /// becomes of the other places is unspecified.
    #[inline(always)]
    fn read_headers(self, states: &States, count: usize, inputs: &mut Inputs) -> [u32; BATCH] {
        let mut controls = [0; BATCH];
        for (m, control) in controls[..count].iter_mut().enumerate() {
            let (words, _) = states.state(m).as_chunks();
            let word = |number: usize| u32::from_le_bytes(words[number]);
            *control = word(3);
            inputs.set(m, core::array::from_fn(|k| word(4 + k)), core::array::from_fn(word));
        }
        controls
    }

    /// Of the first `count` messages one block of key stream each, that of its counter; what becomes of the other places is
    /// unspecified.
    fn blocks(self, inputs: &Inputs, count: usize, blocks: &mut SingleBlocks);

    /// Makes all blocks of the list, and writes to the states what they and the texts come to.
    fn apply(
        self,
        blocks: &mut Blocks,
        inputs: &Inputs,
        states: &mut States,
        texts: Texts<'_>,
        ahead: &mut Ahead<'_>,
    );

    /// Poly1305 tags of some messages, at most [`BATCH`]. Neighbours should have texts of like length. What becomes of the
    /// other places is unspecified.
    fn tags(
        self,
        states: &States,
        messages: &[Message<'_>],
        tails: &Tails,
        ahead: &mut Ahead<'_>,
        tags: &mut Tags,
    );

    /// Poly1305 tags of `count` messages that have one text, a multiple of 16 bytes; for the rest as [`Kernels::tags`].
    fn tags_of_same(self, text: &[u8], count: usize, tails: &Tails, ahead: &mut Ahead<'_>, tags: &mut Tags);

    /// BLAKE2b digests of sixteen messages of equal, non-zero length, of as many bytes (1 to 64) as the places have.
    fn digests<const DIGEST: usize>(
        self,
        messages: [&[u8]; DIGEST_LANES],
        places: &mut [[u8; DIGEST]; DIGEST_LANES],
    );

    /// For each state given by its first 64 bytes (two private keys), the X25519 secret that the two share.
    fn shared_secrets<'a>(self, count: usize, keys_of: impl Fn(usize) -> &'a [u8; 64]) -> Vec<[u8; 32]>;

    /// The two cycles of an item, for the items `numbers`, on states that are as CC_INIT made them.
    fn run_program(
        self,
        machine: &mut WideMachine,
        program: &WideProgram,
        image: &[u32; PROGRAM_LENGTH_MAX],
        numbers: &[usize; ITEM_LANES],
        states: &mut [[u8; STATE]; ITEM_LANES],
    );
}

/// The item that each state takes in.
pub(crate) type Items<'a> = [&'a [u8; ITEM_SIZE]; BATCH];

/// What is authenticated of a state: so many blocks of 16 bytes behind its header.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub state: usize,
    pub blocks: usize,
    /// Where the text is read as long as it is the item's.
    pub item: Option<&'a [u8; ITEM_SIZE]>,
}

/// The message of a lane; lanes behind the last message repeat it.
#[inline(always)]
pub(crate) fn in_lanes<'a, const LANES: usize>(messages: &[Message<'a>], run: usize) -> [Message<'a>; LANES] {
    core::array::from_fn(|lane| messages[(run * LANES + lane).min(messages.len() - 1)])
}

/// The same value, of which the compiler does not know that, and so reads what is in it where it lies. What does not change
/// it would take to registers before a loop, and where there are not enough to the stack, which takes longer.
#[inline(always)]
pub(crate) fn in_place<T>(value: &T) -> &T {
    core::hint::black_box(value)
}

/// What messages need beside their texts, word by word in the order of the messages: low words, and high words.
#[repr(C, align(64))]
pub(crate) struct Tails {
    /// One-time keys `r`, clamping still to be done.
    pub r: [[u64; BATCH]; 2],
    /// One-time keys `s`.
    pub s: [[u64; BATCH]; 2],
    /// The final length blocks.
    pub lengths: [[u64; BATCH]; 2],
}

impl Tails {
    pub(crate) fn new() -> Box<Self> {
        let zero = [[0; BATCH]; 2];
        Box::new(Self { r: zero, s: zero, lengths: zero })
    }
}

/// Tags in the order of their messages: low words, and high words.
pub(crate) type Tags = [[u64; BATCH]; 2];
