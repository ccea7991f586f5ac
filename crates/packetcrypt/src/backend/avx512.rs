//! The proof of work for processors with AVX-512 and its integer multiply-add (IFMA).

mod base_multiplication;
mod blake2b;
mod chacha20;
mod field;
mod poly1305;
mod rand_hash;

use core::ops::Range;

use super::ahead::Ahead;
use super::blocks::{Blocks, Inputs, SingleBlocks};
use super::kernels::{DIGEST_LANES, ITEM_LANES, Kernels, Message, Tags, Tails};
use super::passes::Passes;
use super::states::{BATCH, STATE, States, Texts};
use super::wide_machine::WideMachine;
use super::wide_program::WideProgram;
use crate::instruction::PROGRAM_LENGTH_MAX;

/// The kernels; there is a value only where the processor can run them.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Kernels for Avx512 {
    fn detect() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512ifma")
            && is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("avx512bitalg")
            && is_x86_feature_detected!("avx512vpopcntdq")
            && is_x86_feature_detected!("gfni");
        has_all.then_some(Self(()))
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
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
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

    fn read_headers(self, states: &States, count: usize, inputs: &mut Inputs) -> [u32; BATCH] {
        // SAFETY: there is a value, so the processor has these features.
        unsafe { chacha20::read_headers(states, count, inputs) }
    }

    fn blocks(self, inputs: &Inputs, count: usize, blocks: &mut SingleBlocks) {
        // SAFETY: there is a value, so the processor has these features.
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
        // SAFETY: there is a value, so the processor has these features.
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
        // SAFETY: there is a value, so the processor has these features.
        unsafe { poly1305::tags(states, messages, tails, ahead, tags) }
    }

    fn tags_of_same(self, text: &[u8], count: usize, tails: &Tails, ahead: &mut Ahead<'_>, tags: &mut Tags) {
        // SAFETY: there is a value, so the processor has these features.
        unsafe { poly1305::tags_of_same(text, count, tails, ahead, tags) }
    }

    fn digests<const DIGEST: usize>(
        self,
        messages: [&[u8]; DIGEST_LANES],
        places: &mut [[u8; DIGEST]; DIGEST_LANES],
    ) {
        const { assert!(DIGEST >= 1 && DIGEST <= 64) };
        // SAFETY: there is a value, so the processor has these features.
        let digests = unsafe { blake2b::digests(messages, DIGEST as u8) };
        for (message, place) in places.iter_mut().enumerate() {
            digests.copy_to(message, place);
        }
    }

    fn shared_secrets<'a>(self, count: usize, keys_of: impl Fn(usize) -> &'a [u8; 64]) -> Vec<[u8; 32]> {
        // SAFETY: there is a value, so the processor has these features.
        unsafe { base_multiplication::shared_secrets(count, keys_of) }
    }

    fn run_program(
        self,
        machine: &mut WideMachine,
        program: &WideProgram,
        image: &[u32; PROGRAM_LENGTH_MAX],
        numbers: &[usize; ITEM_LANES],
        states: &mut [[u8; STATE]; ITEM_LANES],
    ) {
        // SAFETY: there is a value, so the processor has these features.
        unsafe { rand_hash::run(machine, program, image, numbers, states) }
    }
}
