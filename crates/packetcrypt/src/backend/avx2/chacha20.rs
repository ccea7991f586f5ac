//! ChaCha20 blocks of many messages at once: eight lanes of 32 bits.
//!
//! A lane follows one block of the flat list ([`Blocks`]). `docs/performance.md`, "ChaCha20", has the figures.

use core::arch::asm;
use core::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_blendv_epi8, _mm256_castsi128_si256,
    _mm256_castsi256_ps, _mm256_cmpeq_epi32, _mm256_cmpgt_epi32, _mm256_inserti128_si256, _mm256_load_si256,
    _mm256_loadu_si256, _mm256_movemask_ps, _mm256_permutevar8x32_epi32, _mm256_set1_epi32,
    _mm256_setr_epi32, _mm256_setzero_si256, _mm256_srli_epi32, _mm256_store_si256, _mm256_storeu_si256,
    _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    _mm256_xor_si256,
};

use crate::backend::ahead::Ahead;
use crate::backend::blocks::{Blocks, CONSTANTS, COUNTER_SHIFT, Entries, Inputs, SingleBlocks};
use crate::backend::kernels::Items;
use crate::backend::states::{BATCH, States, texts_of_blocks};

/// Lanes of one register, and blocks that one run of the kernel makes.
pub(super) const LANES: usize = 8;

/// The same word of eight matrices.
type Row = [u32; LANES];

/// The matrices of eight blocks, word by word, and what the kernel needs beside them.
#[repr(C, align(64))]
struct Matrices {
    rows: [Row; 16],
    /// Rows 8 to 11 while other rows have their registers.
    aside: [Row; 4],
    /// Byte orders that rotate words to the left by 16 and by 8.
    rotations: [[u8; 32]; 2],
}

impl Matrices {
    /// Matrices with their constants in place.
    fn new() -> Self {
        let rotation = |bytes: usize| core::array::from_fn(|k| (k % 16 / 4 * 4 + (k + 4 - bytes) % 4) as u8);
        let mut rows = [[0; LANES]; 16];
        for (row, constant) in rows.iter_mut().zip(CONSTANTS) {
            *row = [constant; LANES];
        }
        Self { rows, aside: [[0; LANES]; 4], rotations: [rotation(2), rotation(1)] }
    }

    /// Puts the constants back where the last run has left key stream.
    fn reset_constants(&mut self) {
        for (row, constant) in self.rows.iter_mut().zip(CONSTANTS) {
            *row = [constant; LANES];
        }
    }
}

/// Makes all blocks of the list, and writes to the states what they and the texts come to.
#[target_feature(enable = "avx2")]
pub(super) fn apply(
    blocks: &mut Blocks,
    inputs: &Inputs,
    states: &mut States,
    items: Option<&Items<'_>>,
    ahead: &mut Ahead<'_>,
) {
    let base = states.base_mut();
    let texts = texts_of_blocks(base, items);
    let mut matrices = Matrices::new();
    for entries in blocks.take(LANES) {
        matrices.reset_constants();
        fill(&mut matrices.rows, entries.source, inputs);
        ahead.fetch();
        // SAFETY: the enabled features are those that `run` needs.
        unsafe { run(&mut matrices) };
        ahead.fetch();
        // SAFETY: texts and places are those of the list, which `push` keeps inside items and states; behind the last
        // state are as many bytes as a block can reach beyond its message.
        unsafe { xor_into_states(&matrices.rows, &entries, &texts, base) };
    }
}

/// Makes one block of each of the first `count` messages, word by word.
#[target_feature(enable = "avx2")]
pub(super) fn single_blocks(inputs: &Inputs, count: usize, blocks: &mut SingleBlocks) {
    assert!(count <= BATCH, "a batch of messages");
    let mut matrices = Matrices::new();
    for first in (0..count).step_by(LANES) {
        let lanes = first..first + LANES;
        matrices.reset_constants();
        for (row, key) in matrices.rows[4..].iter_mut().zip(&inputs.key) {
            row.copy_from_slice(&key[lanes.clone()]);
        }
        matrices.rows[12].copy_from_slice(&inputs.counter[lanes.clone()]);
        for (row, nonce) in matrices.rows[13..].iter_mut().zip(&inputs.nonce) {
            row.copy_from_slice(&nonce[lanes.clone()]);
        }
        // SAFETY: the enabled features are those that `run` needs.
        unsafe { run(&mut matrices) };
        for (words, row) in blocks.iter_mut().zip(&matrices.rows) {
            words[lanes.clone()].copy_from_slice(row);
        }
    }
}

/// Puts key, counter and nonce of eight entries of the list into their lanes.
///
/// The entries of a message stand side by side, so eight of them seldom belong to more than two messages: the words
/// of the first go to all lanes, those of each further one to the lanes from its first entry on.
#[target_feature(enable = "avx2")]
#[inline]
fn fill(rows: &mut [Row; 16], sources: &[u32], inputs: &Inputs) {
    let sources: &Row = sources.try_into().expect("as many entries as lanes");
    let message_of = |lane: usize| sources[lane] as usize % BATCH;
    let first = message_of(0);
    for (row, words) in rows[4..12].iter_mut().zip(&inputs.key) {
        *row = [words[first]; LANES];
    }
    for (row, words) in rows[13..].iter_mut().zip(&inputs.nonce) {
        *row = [words[first]; LANES];
    }
    // SAFETY: a row is 32 bytes; those of a matrix start on multiples of 32.
    let sources = unsafe { _mm256_loadu_si256(sources.as_ptr().cast()) };
    let counters = _mm256_srli_epi32::<{ COUNTER_SHIFT as i32 }>(sources);
    // SAFETY: as above.
    unsafe { _mm256_store_si256(rows[12].as_mut_ptr().cast(), counters) };
    let messages = _mm256_and_si256(sources, _mm256_set1_epi32(BATCH as i32 - 1));
    let before = _mm256_permutevar8x32_epi32(messages, _mm256_setr_epi32(0, 0, 1, 2, 3, 4, 5, 6));
    let same = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(messages, before)));
    let mut changes = !same & 0xff;
    while changes != 0 {
        let lane = changes.trailing_zeros();
        changes &= changes - 1;
        let message = message_of(lane as usize);
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let behind = _mm256_cmpgt_epi32(lanes, _mm256_set1_epi32(lane as i32 - 1));
        for (row, words) in rows[4..12].iter_mut().zip(&inputs.key) {
            replace(row, words[message], behind);
        }
        for (row, words) in rows[13..].iter_mut().zip(&inputs.nonce) {
            replace(row, words[message], behind);
        }
    }
}

/// Puts a word into the lanes of a mask.
#[target_feature(enable = "avx2")]
#[inline]
fn replace(row: &mut Row, word: u32, mask: __m256i) {
    let row: *mut __m256i = row.as_mut_ptr().cast();
    // SAFETY: a row is 32 bytes; those of a matrix start on multiples of 32.
    unsafe {
        let words = _mm256_blendv_epi8(_mm256_load_si256(row), _mm256_set1_epi32(word as i32), mask);
        _mm256_store_si256(row, words);
    }
}

/// For a block of which 0, 4, 8, 12 or 16 words lie inside its message: those words.
static INSIDE: [[[u32; LANES]; 2]; 5] = {
    let mut masks = [[[0; LANES]; 2]; 5];
    let mut word = 0;
    while word < 16 {
        let mut quarters = word / 4 + 1;
        while quarters <= 4 {
            masks[quarters][word / LANES][word % LANES] = u32::MAX;
            quarters += 1;
        }
        word += 1;
    }
    masks
};

/// Turns sixteen rows (a word of eight blocks each) into eight blocks, XORs each with its text, and writes the result to
/// its place, counted from `base`. What of a text lies behind its message is written as it is.
///
/// # Safety
/// 64 bytes of each text can be read, and 64 bytes of each place be written.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn xor_into_states(
    rows: &[Row; 16],
    entries: &Entries<'_>,
    texts: &[*const u8; 2 * BATCH],
    base: *mut u8,
) {
    let places: &[u32; LANES] = entries.place.try_into().expect("as many entries as lanes");
    let texts: [*const u8; LANES] = core::array::from_fn(|lane| {
        texts[entries.source[lane] as usize % texts.len()].wrapping_add(places[lane] as usize)
    });
    let inside: [&[[u32; LANES]; 2]; LANES] =
        core::array::from_fn(|lane| &INSIDE[entries.words[lane].trailing_ones() as usize / 4]);
    for half in 0..2 {
        let blocks = transposed(|row, quarter| {
            // SAFETY: 16 of 32 bytes, any alignment.
            unsafe { _mm_loadu_si128(rows[8 * half + row][4 * quarter..][..4].as_ptr().cast()) }
        });
        for lane in 0..LANES {
            // SAFETY: the caller's promise; any alignment.
            unsafe {
                let text = _mm256_loadu_si256(texts[lane].wrapping_add(32 * half).cast());
                let inside = _mm256_loadu_si256(inside[lane][half].as_ptr().cast());
                let key_stream = _mm256_and_si256(blocks[lane], inside);
                let place = base.wrapping_add(places[lane] as usize + 32 * half).cast();
                _mm256_storeu_si256(place, _mm256_xor_si256(text, key_stream));
            }
        }
    }
}

/// Transposes an 8 × 8 matrix of 32-bit words; `load` gives half a row.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn transposed(load: impl Fn(usize, usize) -> __m128i) -> [__m256i; 8] {
    // Half of row k, and beside it that of row k + 4.
    let load = |k: usize, half: usize| {
        _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(load(k, half)), load(k + 4, half))
    };
    let mut columns = [_mm256_setzero_si256(); 8];
    for half in 0..2 {
        let (r0, r1, r2, r3) = (load(0, half), load(1, half), load(2, half), load(3, half));
        let (low_01, high_01) = (_mm256_unpacklo_epi32(r0, r1), _mm256_unpackhi_epi32(r0, r1));
        let (low_23, high_23) = (_mm256_unpacklo_epi32(r2, r3), _mm256_unpackhi_epi32(r2, r3));
        columns[4 * half] = _mm256_unpacklo_epi64(low_01, low_23);
        columns[4 * half + 1] = _mm256_unpackhi_epi64(low_01, low_23);
        columns[4 * half + 2] = _mm256_unpacklo_epi64(high_01, high_23);
        columns[4 * half + 3] = _mm256_unpackhi_epi64(high_01, high_23);
    }
    columns
}

/// Text of two quarter-rounds in lock step. Registers 10 and 11 are free to be used.
macro_rules! quarter_rounds {
    (($a:literal, $b:literal, $c:literal, $d:literal) ($a2:literal, $b2:literal, $c2:literal, $d2:literal)) => {
        concat!(
            quarter_rounds!(@ add $a $b $a2 $b2), quarter_rounds!(@ xor $d $a $d2 $a2), quarter_rounds!(@ turn $d $d2 "640"),
            quarter_rounds!(@ add $c $d $c2 $d2), quarter_rounds!(@ xor $b $c $b2 $c2), quarter_rounds!(@ rotate $b $b2 12 20),
            quarter_rounds!(@ add $a $b $a2 $b2), quarter_rounds!(@ xor $d $a $d2 $a2), quarter_rounds!(@ turn $d $d2 "672"),
            quarter_rounds!(@ add $c $d $c2 $d2), quarter_rounds!(@ xor $b $c $b2 $c2), quarter_rounds!(@ rotate $b $b2 7 25),
        )
    };
    (@ add $x:literal $y:literal $x2:literal $y2:literal) => {
        concat!("vpaddd ymm", $x, ", ymm", $x, ", ymm", $y, "\nvpaddd ymm", $x2, ", ymm", $x2, ", ymm", $y2, "\n")
    };
    (@ xor $x:literal $y:literal $x2:literal $y2:literal) => {
        concat!("vpxor ymm", $x, ", ymm", $x, ", ymm", $y, "\nvpxor ymm", $x2, ", ymm", $x2, ", ymm", $y2, "\n")
    };
    // Whole bytes: by the order at that offset.
    (@ turn $x:literal $x2:literal $order:literal) => {
        concat!(
            "vpshufb ymm", $x, ", ymm", $x, ", ymmword ptr [{matrices} + ", $order, "]\n",
            "vpshufb ymm", $x2, ", ymm", $x2, ", ymmword ptr [{matrices} + ", $order, "]\n"
        )
    };
    (@ rotate $x:literal $x2:literal $left:literal $right:literal) => {
        concat!(
            "vpslld ymm10, ymm", $x, ", ", $left, "\nvpslld ymm11, ymm", $x2, ", ", $left, "\n",
            "vpsrld ymm", $x, ", ymm", $x, ", ", $right, "\nvpsrld ymm", $x2, ", ymm", $x2, ", ", $right, "\n",
            "vpor ymm", $x, ", ymm", $x, ", ymm10\nvpor ymm", $x2, ", ymm", $x2, ", ymm11\n"
        )
    };
}

/// Text that applies one instruction to rows: register and its row in memory.
macro_rules! each_row {
    (load $($row:literal)*) => { concat!($("vmovdqa ymm", $row, ", ymmword ptr [{matrices} + 32*", $row, "]\n"),*) };
    (add $($row:literal)*) => { concat!($("vpaddd ymm", $row, ", ymm", $row, ", ymmword ptr [{matrices} + 32*", $row, "]\n"),*) };
    (store $($row:literal)*) => { concat!($("vmovdqa ymmword ptr [{matrices} + 32*", $row, "], ymm", $row, "\n"),*) };
}

/// The ChaCha20 block function on eight matrices in place: ten double rounds, then the input added.
///
/// # Safety
/// The processor has AVX2.
#[inline]
unsafe fn run(matrices: &mut Matrices) {
    // SAFETY: the structure is 704 bytes, aligned to 64, borrowed for the whole block. Rows 0 to 7 and 12 to 15 stay
    // in their registers; rows 8 and 9 take turns with 10 and 11 in two, which leaves two free for rotations. Written
    // as assembly because compilers spill without such a plan, which costs a third of the speed.
    unsafe {
        asm!(
            each_row!(load 10 11),
            "vmovdqa ymmword ptr [{matrices} + 576], ymm10",
            "vmovdqa ymmword ptr [{matrices} + 608], ymm11",
            each_row!(load 0 1 2 3 4 5 6 7 8 9 12 13 14 15),
            "mov {rounds:e}, 10",
            "2:",
            quarter_rounds!((0, 4, 8, 12) (1, 5, 9, 13)),
            "vmovdqa ymmword ptr [{matrices} + 512], ymm8",
            "vmovdqa ymmword ptr [{matrices} + 544], ymm9",
            "vmovdqa ymm8, ymmword ptr [{matrices} + 576]",
            "vmovdqa ymm9, ymmword ptr [{matrices} + 608]",
            quarter_rounds!((2, 6, 8, 14) (3, 7, 9, 15)),
            quarter_rounds!((0, 5, 8, 15) (1, 6, 9, 12)),
            "vmovdqa ymmword ptr [{matrices} + 576], ymm8",
            "vmovdqa ymmword ptr [{matrices} + 608], ymm9",
            "vmovdqa ymm8, ymmword ptr [{matrices} + 512]",
            "vmovdqa ymm9, ymmword ptr [{matrices} + 544]",
            quarter_rounds!((2, 7, 8, 13) (3, 4, 9, 14)),
            "dec {rounds:e}",
            "jnz 2b",
            "vmovdqa ymm10, ymmword ptr [{matrices} + 576]",
            "vmovdqa ymm11, ymmword ptr [{matrices} + 608]",
            each_row!(add 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15),
            each_row!(store 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15),
            matrices = in(reg) core::ptr::from_mut(matrices),
            rounds = out(reg) _,
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
            out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack),
        );
    }
}
