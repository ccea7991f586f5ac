//! The proof of work for processors with AVX2.

mod blake2b;
mod chacha20;
mod poly1305;
mod rand_hash;

use core::ops::Range;

use super::ahead::Ahead;
use super::blocks::{Blocks, Inputs, SingleBlocks};
use super::kernels::{DIGEST_LANES, ITEM_LANES, Kernels, Message, Tags, Tails};
use super::passes::Passes;
use super::states::{STATE, States, Texts};
use super::wide_machine::WideMachine;
use super::wide_program::WideProgram;
use crate::base_multiplication;
use crate::instruction::PROGRAM_LENGTH_MAX;

/// The kernels; there is a value only where the processor can run them.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Kernels for Avx2 {
    fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    fn crypt(
        self,
        passes: &mut Passes,
        states: &mut States,
        count: usize,
        texts: Texts<'_>,
        kept: &Range<usize>,
        ahead: &mut Ahead<'_>,
    ) {
        #[target_feature(enable = "avx2")]
        fn crypt(
            kernels: impl Kernels,
            passes: &mut Passes,
            states: &mut States,
            count: usize,
            texts: Texts<'_>,
            kept: &Range<usize>,
            ahead: &mut Ahead<'_>,
        ) {
            passes.crypt(kernels, states, count, texts, kept, ahead);
        }
        // SAFETY: there is a value, so the processor has these features.
        unsafe { crypt(self, passes, states, count, texts, kept, ahead) }
    }

    fn blocks(self, inputs: &Inputs, count: usize, blocks: &mut SingleBlocks) {
        // SAFETY: there is a value, so the processor has this feature.
        unsafe { chacha20::single_blocks(inputs, count, blocks) }
    }

    fn apply(
        self,
        blocks: &mut Blocks,
        inputs: &Inputs,
        states: &mut States,
        texts: Texts<'_>,
        ahead: &mut Ahead<'_>,
    ) {
        // SAFETY: there is a value, so the processor has this feature.
        unsafe { chacha20::apply(blocks, inputs, states, texts, ahead) }
    }

    fn tags(
        self,
        states: &States,
        messages: &[Message<'_>],
        tails: &Tails,
        ahead: &mut Ahead<'_>,
        tags: &mut Tags,
    ) {
        // SAFETY: there is a value, so the processor has this feature.
        unsafe { poly1305::tags(states, messages, tails, ahead, tags) }
    }

    fn tags_of_same(self, text: &[u8], count: usize, tails: &Tails, ahead: &mut Ahead<'_>, tags: &mut Tags) {
        // SAFETY: there is a value, so the processor has this feature.
        unsafe { poly1305::tags_of_same(text, count, tails, ahead, tags) }
    }

    fn digests<const DIGEST: usize>(
        self,
        messages: [&[u8]; DIGEST_LANES],
        places: &mut [[u8; DIGEST]; DIGEST_LANES],
    ) {
        const { assert!(DIGEST >= 1 && DIGEST <= 64) };
        let (groups, _) = messages.as_chunks();
        for (messages, places) in groups.iter().zip(places.as_chunks_mut::<{ blake2b::LANES }>().0) {
            // SAFETY: there is a value, so the processor has this feature.
            let digests = unsafe { blake2b::digests(messages, DIGEST as u8) };
            for (message, place) in places.iter_mut().enumerate() {
                digests.copy_to(message, place);
            }
        }
    }

    fn shared_secrets<'a>(self, count: usize, keys_of: impl Fn(usize) -> &'a [u8; 64]) -> Vec<[u8; 32]> {
        // Measured: four lanes of 32-bit products take longer than 64-bit products one after the other.
        base_multiplication::shared_secrets(count, keys_of)
    }

    fn run_program(
        self,
        machine: &mut WideMachine,
        program: &WideProgram,
        image: &[u32; PROGRAM_LENGTH_MAX],
        numbers: &[usize; ITEM_LANES],
        states: &mut [[u8; STATE]; ITEM_LANES],
    ) {
        // SAFETY: there is a value, so the processor has this feature.
        unsafe { rand_hash::run(machine, program, image, numbers, states) }
    }
}
