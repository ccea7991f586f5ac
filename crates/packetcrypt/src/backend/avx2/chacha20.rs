//! ChaCha20 blocks of many messages at once: eight lanes of 32 bits, which [`rounds`] computes.
//!
//! A lane follows one block of the flat list ([`Blocks`]). `docs/performance.md`, "ChaCha20", has the figures.

mod rounds;

use core::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi128_si256,
    _mm256_i32gather_epi32, _mm256_inserti128_si256, _mm256_loadu_si256, _mm256_or_si256,
    _mm256_permutevar8x32_epi32, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_slli_epi32,
    _mm256_srli_epi32, _mm256_store_si256, _mm256_storeu_si256, _mm256_sub_epi32, _mm256_testz_si256,
    _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    _mm256_xor_si256,
};

use crate::backend::ahead::Ahead;
use crate::backend::blocks::{Blocks, CONSTANTS, COUNTER_SHIFT, Entries, Inputs, SingleBlocks};
use crate::backend::states::{BATCH, States, Texts};
use rounds::{Matrices, Row, finish, run};

/// Lanes of one register, and blocks that one run of the kernel makes.
pub(super) const LANES: usize = 8;

/// Makes all blocks of the list, and writes to the states what they and the texts come to.
#[target_feature(enable = "avx2")]
pub(super) fn apply(
    blocks: &mut Blocks,
    inputs: &Inputs,
    states: &mut States,
    texts: Texts<'_>,
    ahead: &mut Ahead<'_>,
) {
    let base = states.base_mut();
    let texts = texts.of_blocks(base);
    let begun = Begun::new(inputs);
    let mut matrices = Matrices::new();
    for entries in blocks.take(LANES) {
        matrices.reset_constants();
        fill(&mut matrices.rows, entries.source, &begun);
        ahead.fetch();
        finish(&mut matrices);
        ahead.fetch();
        // SAFETY: texts and places are those of the list, which `push` keeps inside states; behind the last
        // state are as many bytes as a block can reach beyond its message.
        unsafe { xor_into_states(&matrices.rows, &entries, inputs, &texts, base) };
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
        run(&mut matrices);
        for (words, row) in blocks.iter_mut().zip(&matrices.rows) {
            words[lanes.clone()].copy_from_slice(row);
        }
    }
}

/// The matrices of all messages after as much of the first double round as does not depend on the counter, word by word.
///
/// That is three of the four columns, and of the diagonals the first addition in the second, and in the third what comes
/// before row 8, which the counter reaches in the first column. Rows 0 and 12 are those that it has to do with from the
/// beginning; they are not used.
#[repr(C, align(64))]
struct Begun([[u32; BATCH]; 16]);

/// The rows of [`Begun`] that are used.
const BEGUN: [usize; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15];

impl Begun {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn new(inputs: &Inputs) -> Self {
        let mut begun = Self([[0; BATCH]; 16]);
        for first in (0..BATCH).step_by(LANES) {
            let load = |words: &[u32; BATCH]| {
                // SAFETY: eight words, any alignment.
                unsafe { _mm256_loadu_si256(words[first..first + LANES].as_ptr().cast()) }
            };
            let mut rows = [_mm256_setzero_si256(); 16];
            for (row, words) in rows[4..12].iter_mut().zip(&inputs.key) {
                *row = load(words);
            }
            for column in 1..4 {
                rows[column] = _mm256_set1_epi32(CONSTANTS[column] as i32);
                rows[12 + column] = load(&inputs.nonce[column - 1]);
                let [mut a, mut b, mut c, mut d] = [0, 4, 8, 12].map(|row| rows[row + column]);
                a = _mm256_add_epi32(a, b);
                d = rotated::<16, 16>(_mm256_xor_si256(d, a));
                c = _mm256_add_epi32(c, d);
                b = rotated::<12, 20>(_mm256_xor_si256(b, c));
                a = _mm256_add_epi32(a, b);
                d = rotated::<8, 24>(_mm256_xor_si256(d, a));
                c = _mm256_add_epi32(c, d);
                b = rotated::<7, 25>(_mm256_xor_si256(b, c));
                for (row, value) in [0, 4, 8, 12].into_iter().zip([a, b, c, d]) {
                    rows[row + column] = value;
                }
            }
            rows[1] = _mm256_add_epi32(rows[1], rows[6]);
            rows[2] = _mm256_add_epi32(rows[2], rows[7]);
            rows[13] = rotated::<16, 16>(_mm256_xor_si256(rows[13], rows[2]));
            for row in BEGUN {
                let words = &mut begun.0[row][first..first + LANES];
                // SAFETY: eight words, any alignment.
                unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), rows[row]) };
            }
        }
        begun
    }
}

/// Words rotated to the left by `LEFT`; `RIGHT` is 32 less that.
#[target_feature(enable = "avx2")]
#[inline]
fn rotated<const LEFT: i32, const RIGHT: i32>(words: __m256i) -> __m256i {
    const { assert!(LEFT + RIGHT == 32) };
    _mm256_or_si256(_mm256_slli_epi32::<LEFT>(words), _mm256_srli_epi32::<RIGHT>(words))
}

/// Gathers for eight entries of the list their counters and what their matrices begin with.
#[target_feature(enable = "avx2")]
#[inline]
fn fill(rows: &mut [Row; 16], sources: &[u32], begun: &Begun) {
    let sources: &Row = sources.try_into().expect("as many entries as lanes");
    let window = (sources[0] as usize % BATCH).min(BATCH - LANES);
    // SAFETY: eight entries, any alignment.
    let sources = unsafe { _mm256_loadu_si256(sources.as_ptr().cast()) };
    let counters = _mm256_srli_epi32::<{ COUNTER_SHIFT as i32 }>(sources);
    // SAFETY: a row is 32 bytes; those of a matrix start on multiples of 32.
    unsafe { _mm256_store_si256(rows[12].as_mut_ptr().cast(), counters) };
    let messages = _mm256_and_si256(sources, _mm256_set1_epi32(BATCH as i32 - 1));
    let in_window = _mm256_sub_epi32(messages, _mm256_set1_epi32(window as i32));
    // Negative numbers have bits that are none of a lane's number too.
    let outside = _mm256_set1_epi32(!(LANES as i32 - 1));
    if _mm256_testz_si256(in_window, outside) == 1 {
        // Whole blocks stand in order of their messages, so eight seldom belong to more than two.
        for row in BEGUN {
            let words = &begun.0[row][window..window + LANES];
            // SAFETY: eight words, any alignment; a row is 32 bytes, and those of a matrix start on multiples of 32.
            unsafe {
                let words = _mm256_permutevar8x32_epi32(_mm256_loadu_si256(words.as_ptr().cast()), in_window);
                _mm256_store_si256(rows[row].as_mut_ptr().cast(), words);
            }
        }
    } else {
        for row in BEGUN {
            // SAFETY: indexes below `BATCH`, of words of four bytes; the row as above.
            unsafe {
                let words = _mm256_i32gather_epi32::<4>(begun.0[row].as_ptr().cast(), messages);
                _mm256_store_si256(rows[row].as_mut_ptr().cast(), words);
            }
        }
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

/// Turns sixteen rows (a word of eight blocks each) into eight blocks, adds to each the matrix that it began with, XORs it
/// with its text, and writes the result to its place, counted from `base`. What of a text lies behind its message is
/// written as it is.
///
/// # Safety
/// 64 bytes of each text can be read, and 64 bytes of each place be written.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn xor_into_states(
    rows: &[Row; 16],
    entries: &Entries<'_>,
    inputs: &Inputs,
    texts: &[*const u8; 2 * BATCH],
    base: *mut u8,
) {
    let sources: &Row = entries.source.try_into().expect("as many entries as lanes");
    let places: &Row = entries.place.try_into().expect("as many entries as lanes");
    let words: &[u16; LANES] = entries.words.try_into().expect("as many entries as lanes");
    let are_whole = *words == [u16::MAX; LANES];
    for half in 0..2 {
        let blocks = transposed(|row, quarter| {
            // SAFETY: 16 of 32 bytes, any alignment.
            unsafe { _mm_loadu_si128(rows[8 * half + row][4 * quarter..][..4].as_ptr().cast()) }
        });
        for lane in 0..LANES {
            let matrix = &inputs.matrices[sources[lane] as usize % BATCH];
            let text = texts[sources[lane] as usize % texts.len()];
            let place = places[lane] as usize + 32 * half;
            // SAFETY: half of a matrix's 64 bytes; the caller's promise for the rest; any alignment.
            unsafe {
                let matrix = _mm256_loadu_si256(matrix[8 * half..][..8].as_ptr().cast());
                let mut key_stream = _mm256_add_epi32(blocks[lane], matrix);
                if !are_whole {
                    let inside = &INSIDE[words[lane].trailing_ones() as usize / 4][half];
                    key_stream = _mm256_and_si256(key_stream, _mm256_loadu_si256(inside.as_ptr().cast()));
                }
                let text = _mm256_loadu_si256(text.wrapping_add(place).cast());
                _mm256_storeu_si256(base.wrapping_add(place).cast(), _mm256_xor_si256(text, key_stream));
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
