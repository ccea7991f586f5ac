//! The kernels of a backend on processors of another architecture: there are none.
//!
//! Of this type there is no value, so the lane engine compiles everywhere and is never entered.

use core::ops::Range;

use super::ahead::Ahead;
use super::blocks::{Blocks, Inputs, SingleBlocks};
use super::kernels::{DIGEST_LANES, ITEM_LANES, Kernels, Message, Tags, Tails};
use super::passes::Passes;
use super::states::{STATE, States, Texts};
use super::wide_machine::WideMachine;
use super::wide_program::WideProgram;
use crate::instruction::PROGRAM_LENGTH_MAX;

/// Kernels that this architecture does not have.
#[derive(Clone, Copy)]
pub(crate) enum Absent {}

impl Kernels for Absent {
    fn detect() -> Option<Self> {
        None
    }

    fn crypt(
        self,
        _: &mut Passes,
        _: &mut States,
        _: usize,
        _: Texts<'_>,
        _: &Range<usize>,
        _: &mut Ahead<'_>,
    ) {
        match self {}
    }

    fn blocks(self, _: &Inputs, _: usize, _: &mut SingleBlocks) {
        match self {}
    }

    fn apply(self, _: &mut Blocks, _: &Inputs, _: &mut States, _: Texts<'_>, _: &mut Ahead<'_>) {
        match self {}
    }

    fn tags(self, _: &States, _: &[Message<'_>], _: &Tails, _: &mut Ahead<'_>, _: &mut Tags) {
        match self {}
    }

    fn tags_of_same(self, _: &[u8], _: usize, _: &Tails, _: &mut Ahead<'_>, _: &mut Tags) {
        match self {}
    }

    fn digests<const DIGEST: usize>(self, _: [&[u8]; DIGEST_LANES], _: &mut [[u8; DIGEST]; DIGEST_LANES]) {
        match self {}
    }

    fn shared_secrets<'a>(self, _: usize, _: impl Fn(usize) -> &'a [u8; 64]) -> Vec<[u8; 32]> {
        match self {}
    }

    fn run_program(
        self,
        _: &mut WideMachine,
        _: &WideProgram,
        _: &[u32; PROGRAM_LENGTH_MAX],
        _: &[usize; ITEM_LANES],
        _: &mut [[u8; STATE]; ITEM_LANES],
    ) {
        match self {}
    }
}
