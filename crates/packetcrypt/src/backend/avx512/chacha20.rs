//! ChaCha20 blocks of many messages at once: sixteen lanes of 32 bits, two groups in flight, which [`rounds`] computes.
//!
//! A lane follows one block of the flat list ([`Blocks`]). `docs/performance.md`, "ChaCha20", has the figures.

mod rounds;

use core::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_and_si512, _mm512_cmplt_epu32_mask, _mm512_load_si512,
    _mm512_loadu_si512, _mm512_mask_blend_epi32, _mm512_mask_storeu_epi32, _mm512_maskz_loadu_epi32,
    _mm512_movepi32_mask, _mm512_permutex2var_epi32, _mm512_permutexvar_epi32, _mm512_rol_epi32,
    _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_slli_epi32,
    _mm512_srli_epi32, _mm512_store_si512, _mm512_storeu_si512, _mm512_sub_epi32, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use crate::backend::ahead::Ahead;
use crate::backend::blocks::{Blocks, CONSTANTS, COUNTER_SHIFT, Entries, Inputs, SingleBlocks};
use crate::backend::states::{BATCH, States, Texts};
use rounds::{Matrices, Row, finish, run};

/// Lanes of one register.
const LANES: usize = 16;
/// Blocks that one run of the kernel makes: two registers for each word of the ChaCha20 matrix.
const GROUP: usize = 2 * LANES;

/// Makes all blocks of the list, and writes to the states what they and the texts come to.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
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
    for entries in blocks.take(GROUP) {
        for half in 0..2 {
            let rows = &mut matrices.0[half * 16..half * 16 + 16];
            fill(rows, &entries.source[half * LANES..], &begun);
        }
        let ahead = core::array::from_fn(|_| ahead.piece());
        let rows = finish(&matrices, &ahead);
        for (half, rows) in rows.iter().enumerate() {
            let entries = entries.part(half * LANES..(half + 1) * LANES);
            // SAFETY: texts and places are those of the list, which `push` keeps inside states.
            unsafe { xor_into_states(rows, &entries, inputs, &texts, base) };
        }
    }
}

/// Takes nonces and keys out of the first states, word by word, and gives back their control words.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn read_headers(states: &States, count: usize, inputs: &mut Inputs) -> [u32; BATCH] {
    assert!(count <= BATCH, "a batch of states");
    let mut controls = [0; BATCH];
    let [c0, c1, c2, c3] = CONSTANTS.map(|constant| constant as i32);
    let constants = _mm512_setr_epi32(c0, c1, c2, c3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    // From 16 on, words of the constants; before, of the header.
    let order = _mm512_setr_epi32(16, 17, 18, 19, 4, 5, 6, 7, 8, 9, 10, 11, 20, 0, 1, 2);
    for first in (0..count).step_by(LANES) {
        let mut words = [_mm512_setzero_si512(); LANES];
        for (lane, header) in words.iter_mut().enumerate() {
            // SAFETY: 64 bytes of a state, any alignment.
            *header = unsafe { _mm512_loadu_si512(states.state(first + lane).as_ptr().cast()) };
            // SAFETY: a matrix is 64 bytes and starts on a multiple of 64.
            unsafe {
                let matrix = _mm512_permutex2var_epi32(*header, order, constants);
                _mm512_store_si512(inputs.matrices[first + lane].as_mut_ptr().cast(), matrix);
            }
        }
        transpose(&mut words);
        let rows = inputs.nonce.iter_mut().chain([&mut controls]).chain(&mut inputs.key);
        for (row, words) in rows.zip(words) {
            // SAFETY: sixteen words, any alignment.
            unsafe { _mm512_storeu_si512(row[first..first + LANES].as_mut_ptr().cast(), words) };
        }
    }
    controls
}

/// Makes one block of each of the first `count` messages, word by word.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn single_blocks(inputs: &Inputs, count: usize, blocks: &mut SingleBlocks) {
    assert!(count <= BATCH, "a batch of messages");
    let mut matrices = Matrices::new();
    for first in (0..count).step_by(GROUP) {
        for half in 0..2 {
            let lanes = first + half * LANES..first + (half + 1) * LANES;
            let rows = &mut matrices.0[half * 16..half * 16 + 16];
            for word in 0..8 {
                rows[4 + word].copy_from_slice(&inputs.key[word][lanes.clone()]);
            }
            rows[12].copy_from_slice(&inputs.counter[lanes.clone()]);
            for word in 0..3 {
                rows[13 + word].copy_from_slice(&inputs.nonce[word][lanes.clone()]);
            }
        }
        for (half, rows) in run(&matrices).into_iter().enumerate() {
            let first = first + half * LANES;
            for (words, row) in blocks.iter_mut().zip(rows) {
                // SAFETY: sixteen words, any alignment.
                unsafe { _mm512_storeu_si512(words[first..first + LANES].as_mut_ptr().cast(), row) };
            }
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
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn new(inputs: &Inputs) -> Self {
        let mut begun = Self([[0; BATCH]; 16]);
        for first in (0..BATCH).step_by(LANES) {
            let load = |words: &[u32; BATCH]| {
                // SAFETY: sixteen words of a row, which starts on a multiple of 64.
                unsafe { _mm512_load_si512(words[first..first + LANES].as_ptr().cast()) }
            };
            let mut rows = [_mm512_setzero_si512(); 16];
            for (row, words) in rows[4..12].iter_mut().zip(&inputs.key) {
                *row = load(words);
            }
            for column in 1..4 {
                rows[column] = _mm512_set1_epi32(CONSTANTS[column] as i32);
                rows[12 + column] = load(&inputs.nonce[column - 1]);
                let [mut a, mut b, mut c, mut d] = [0, 4, 8, 12].map(|row| rows[row + column]);
                a = _mm512_add_epi32(a, b);
                d = _mm512_rol_epi32::<16>(_mm512_xor_si512(d, a));
                c = _mm512_add_epi32(c, d);
                b = _mm512_rol_epi32::<12>(_mm512_xor_si512(b, c));
                a = _mm512_add_epi32(a, b);
                d = _mm512_rol_epi32::<8>(_mm512_xor_si512(d, a));
                c = _mm512_add_epi32(c, d);
                b = _mm512_rol_epi32::<7>(_mm512_xor_si512(b, c));
                for (row, value) in [0, 4, 8, 12].into_iter().zip([a, b, c, d]) {
                    rows[row + column] = value;
                }
            }
            rows[1] = _mm512_add_epi32(rows[1], rows[6]);
            rows[2] = _mm512_add_epi32(rows[2], rows[7]);
            rows[13] = _mm512_rol_epi32::<16>(_mm512_xor_si512(rows[13], rows[2]));
            for row in BEGUN {
                let words = &mut begun.0[row][first..first + LANES];
                // SAFETY: as above.
                unsafe { _mm512_store_si512(words.as_mut_ptr().cast(), rows[row]) };
            }
        }
        begun
    }
}

/// Gathers for sixteen entries of the list their counters and what their matrices begin with.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
fn fill(rows: &mut [Row], sources: &[u32], begun: &Begun) {
    let rows: &mut [Row; 16] = rows.try_into().expect("rows of sixteen blocks");
    let sources: &Row = sources[..LANES].try_into().expect("as many entries as lanes");
    let window = (sources[0] as usize % BATCH).min(BATCH - LANES);
    // SAFETY: sixteen entries, any alignment.
    let sources = unsafe { _mm512_loadu_si512(sources.as_ptr().cast()) };
    // SAFETY: a row is 64 bytes and starts on a multiple of 64.
    unsafe { _mm512_store_si512(rows[12].as_mut_ptr().cast(), _mm512_srli_epi32::<COUNTER_SHIFT>(sources)) };
    let messages = _mm512_and_si512(sources, _mm512_set1_epi32(BATCH as i32 - 1));
    let in_window = _mm512_sub_epi32(messages, _mm512_set1_epi32(window as i32));
    if _mm512_cmplt_epu32_mask(in_window, _mm512_set1_epi32(LANES as i32)) == u16::MAX {
        // Whole blocks stand in order of their messages, so sixteen seldom belong to more than a few.
        for row in BEGUN {
            let words = &begun.0[row][window..window + LANES];
            // SAFETY: sixteen words, any alignment; a row is 64 bytes and starts on a multiple of 64.
            unsafe {
                let words = _mm512_permutexvar_epi32(in_window, _mm512_loadu_si512(words.as_ptr().cast()));
                _mm512_store_si512(rows[row].as_mut_ptr().cast(), words);
            }
        }
    } else {
        let lookup = Lookup::new(messages);
        for row in BEGUN {
            lookup.gather(&begun.0[row], &mut rows[row]);
        }
    }
}

/// Selects, for each lane, one of [`BATCH`] words.
struct Lookup {
    index: __m512i,
    upper_half: u16,
}

impl Lookup {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn new(index: __m512i) -> Self {
        // Bit 5 of the index chooses the upper 32 messages; moved to the sign bit it becomes a mask.
        Self { index, upper_half: _mm512_movepi32_mask(_mm512_slli_epi32::<26>(index)) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn gather(&self, words: &[u32; BATCH], row: &mut Row) {
        // SAFETY: `words` are four registers and `row` one, all rows of 64-byte aligned structures.
        unsafe {
            let words = words.as_ptr();
            let register = |k: usize| _mm512_load_si512(words.add(k * LANES).cast());
            let lower = _mm512_permutex2var_epi32(register(0), self.index, register(1));
            let upper = _mm512_permutex2var_epi32(register(2), self.index, register(3));
            let chosen = _mm512_mask_blend_epi32(self.upper_half, lower, upper);
            _mm512_store_si512(row.as_mut_ptr().cast(), chosen);
        }
    }
}

/// Turns sixteen rows (a word of sixteen blocks each) into sixteen blocks, adds to each the matrix that it began with, XORs
/// it with its text, and writes the result to its place, counted from `base`.
///
/// # Safety
/// A text can be read and a place be written, both as far as the block's words go.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
unsafe fn xor_into_states(
    rows: &[__m512i; 16],
    entries: &Entries<'_>,
    inputs: &Inputs,
    texts: &[*const u8; 2 * BATCH],
    base: *mut u8,
) {
    let mut blocks = *rows;
    transpose(&mut blocks);
    let sources: &[u32; LANES] = entries.source.try_into().expect("as many entries as lanes");
    let places: &[u32; LANES] = entries.place.try_into().expect("as many entries as lanes");
    let words: &[u16; LANES] = entries.words.try_into().expect("as many entries as lanes");
    let block = |lane: usize| {
        let matrix = &inputs.matrices[sources[lane] as usize % BATCH];
        // SAFETY: a matrix is 64 bytes and starts on a multiple of 64.
        _mm512_add_epi32(blocks[lane], unsafe { _mm512_load_si512(matrix.as_ptr().cast()) })
    };
    let text = |lane: usize| texts[sources[lane] as usize % texts.len()].wrapping_add(places[lane] as usize);
    if *words == [u16::MAX; LANES] {
        for (lane, &place) in places.iter().enumerate() {
            // SAFETY: the caller's promise; any alignment.
            unsafe {
                let text = _mm512_loadu_si512(text(lane).cast());
                let place = base.add(place as usize);
                _mm512_storeu_si512(place.cast(), _mm512_xor_si512(text, block(lane)));
            }
        }
    } else {
        for (lane, &place) in places.iter().enumerate() {
            // SAFETY: the caller's promise; words masked off are not touched, and single words need no alignment.
            unsafe {
                let text = _mm512_maskz_loadu_epi32(words[lane], text(lane).cast());
                let place = base.add(place as usize);
                _mm512_mask_storeu_epi32(place.cast(), words[lane], _mm512_xor_si512(text, block(lane)));
            }
        }
    }
}

/// Transposes a 16 × 16 matrix of 32-bit words.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
pub(super) fn transpose(rows: &mut [__m512i; 16]) {
    let mut pairs = [_mm512_setzero_si512(); 16];
    for k in 0..8 {
        pairs[2 * k] = _mm512_unpacklo_epi32(rows[2 * k], rows[2 * k + 1]);
        pairs[2 * k + 1] = _mm512_unpackhi_epi32(rows[2 * k], rows[2 * k + 1]);
    }
    let mut quads = [_mm512_setzero_si512(); 16];
    for k in 0..4 {
        let p = 4 * k;
        quads[p] = _mm512_unpacklo_epi64(pairs[p], pairs[p + 2]);
        quads[p + 1] = _mm512_unpackhi_epi64(pairs[p], pairs[p + 2]);
        quads[p + 2] = _mm512_unpacklo_epi64(pairs[p + 1], pairs[p + 3]);
        quads[p + 3] = _mm512_unpackhi_epi64(pairs[p + 1], pairs[p + 3]);
    }
    for k in 0..4 {
        let (a, b, c, d) = (quads[k], quads[k + 4], quads[k + 8], quads[k + 12]);
        let low_even = _mm512_shuffle_i32x4::<0b10_00_10_00>(a, b);
        let low_odd = _mm512_shuffle_i32x4::<0b11_01_11_01>(a, b);
        let high_even = _mm512_shuffle_i32x4::<0b10_00_10_00>(c, d);
        let high_odd = _mm512_shuffle_i32x4::<0b11_01_11_01>(c, d);
        rows[k] = _mm512_shuffle_i32x4::<0b10_00_10_00>(low_even, high_even);
        rows[k + 8] = _mm512_shuffle_i32x4::<0b11_01_11_01>(low_even, high_even);
        rows[k + 4] = _mm512_shuffle_i32x4::<0b10_00_10_00>(low_odd, high_odd);
        rows[k + 12] = _mm512_shuffle_i32x4::<0b11_01_11_01>(low_odd, high_odd);
    }
}
