//! Argon2d around its compression function: which block is made from which, for one or two hashes at a time.
//!
//! Every block depends on the whole block before, and its address on that block's first word, so a hash waits for its
//! memory at every step. With two hashes in turn, one computes while the other's block is fetched.

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use super::first_blocks::{self, UNITS};
use super::memory::{Area, Block};
use super::{BLOCKS, Header};
use crate::hash::ProofOfWork;

/// What a kernel is.
pub(super) struct Kernel {
    /// Where it keeps the `UNITS` runs of four words of a block.
    pub(super) places: [usize; UNITS],
    /// Sets the third block to the compression of the other two: previous, referred to, new. To be called only where
    /// the processor has what the kernel needs.
    pub(super) compress: unsafe fn(&Block, &Block, &mut Block),
}

/// The proofs of work of `N` headers.
///
/// # Safety
/// The processor has AVX2 and what the kernel needs.
#[inline]
pub(super) unsafe fn hashes<const N: usize>(
    kernel: &Kernel,
    mut areas: [&mut Area; N],
    headers: [&Header; N],
) -> [ProofOfWork; N] {
    // SAFETY: the processor has AVX2.
    unsafe { first_blocks::write(areas.each_mut().map(|area| &mut **area), headers, &kernel.places) };
    for new in 2..BLOCKS {
        for area in &mut areas {
            let (before, after) = area.split_at_mut(new);
            let previous = &before[new - 1];
            let referred = &before[reference(new, previous)];
            // SAFETY: the processor has what the kernel needs.
            unsafe { (kernel.compress)(previous, referred, &mut after[0]) };
            if N > 1 {
                prefetch(&before[reference(new + 1, &after[0])]);
            }
        }
    }
    areas.map(|area| first_blocks::tag(&area[BLOCKS - 1], &kernel.places))
}

/// The block that goes into block `new` (2 or more) beside the previous one: below `new - 1`, the nearer the likelier.
#[inline]
fn reference(new: usize, previous: &Block) -> usize {
    let candidates = new as u64 - 1;
    let random = previous.0[0] & u64::from(u32::MAX);
    let skipped = (candidates * ((random * random) >> 32)) >> 32;
    (candidates - 1 - skipped) as usize
}

#[inline]
fn prefetch(block: &Block) {
    for line in block.0.as_chunks::<8>().0 {
        // SAFETY: a hint, on memory that is there.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}
