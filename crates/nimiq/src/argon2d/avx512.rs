//! The compression function in registers of eight words.
//!
//! Seen as 8 rows of 16 words, a block goes through the permutation along its rows, then along its columns (pairs of
//! words). Word 4q + 2u + s of row 2p + t is kept in lane (t, u, s) of register (p, q). Mixing takes four words that
//! differ in q along rows, and in p along columns, each time from the same lane of four registers: nothing is moved
//! between rows and columns, and both block and result stay as they are in memory. Only the diagonals turn lanes.

use core::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_loadu_si512, _mm512_mul_epu32, _mm512_permutex_epi64,
    _mm512_permutexvar_epi64, _mm512_ror_epi64, _mm512_setr_epi64, _mm512_setzero_si512,
    _mm512_shuffle_i64x2, _mm512_storeu_si512, _mm512_xor_si512,
};

use super::Header;
use super::fill::{self, Kernel};
use super::first_blocks::UNITS;
use super::memory::{Area, Block};
use crate::hash::ProofOfWork;

const KERNEL: Kernel = Kernel { places: places(), compress };

/// Whether the processor has what this kernel needs.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx2")
}

pub(super) fn hashes<const N: usize>(areas: [&mut Area; N], headers: [&Header; N]) -> [ProofOfWork; N] {
    assert!(is_supported(), "this backend is chosen only where the processor can run it");
    // SAFETY: the processor has these features.
    unsafe { fill::hashes(&KERNEL, areas, headers) }
}

/// The place of each run of four words: row 2p + t, run q is half t of register (p, q).
const fn places() -> [usize; UNITS] {
    let mut places = [0; UNITS];
    let mut unit = 0;
    while unit < UNITS {
        let (row, q) = (unit / 4, unit % 4);
        places[unit] = (row / 2 * 4 + q) * 2 + row % 2;
        unit += 1;
    }
    places
}

/// Four registers that are mixed in lock step.
type Four = [__m512i; 4];

#[target_feature(enable = "avx512f")]
fn compress(previous: &Block, reference: &Block, new: &mut Block) {
    let (previous, reference) = (previous.0.as_chunks::<8>().0, reference.0.as_chunks::<8>().0);
    let mut start = [[_mm512_setzero_si512(); 4]; 4];
    for (register, word) in start.as_flattened_mut().iter_mut().enumerate() {
        *word = _mm512_xor_si512(load(&previous[register]), load(&reference[register]));
    }
    let mut rows = transpose(start);
    mix(&mut rows);
    rows = [turn_in_rows::<3>(rows[0]), rows[1], turn_in_rows::<1>(rows[2]), turn_in_rows::<2>(rows[3])];
    mix(&mut rows);
    rows = [turn_in_rows::<1>(rows[0]), rows[1], turn_in_rows::<3>(rows[2]), turn_in_rows::<2>(rows[3])];
    let mut columns = transpose(rows);
    mix(&mut columns);
    columns =
        [back_in_columns(columns[0]), columns[1], on_in_columns(columns[2]), across_columns(columns[3])];
    mix(&mut columns);
    columns =
        [on_in_columns(columns[0]), columns[1], back_in_columns(columns[2]), across_columns(columns[3])];
    let new = new.0.as_chunks_mut::<8>().0;
    for (register, (start, end)) in start.as_flattened().iter().zip(columns.as_flattened()).enumerate() {
        store(&mut new[register], _mm512_xor_si512(*start, *end));
    }
}

/// Registers (p, q), by q or by p outside: the two ways to take four from the same lane.
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose([a, b, c, d]: [Four; 4]) -> [Four; 4] {
    [[a[0], b[0], c[0], d[0]], [a[1], b[1], c[1], d[1]], [a[2], b[2], c[2], d[2]], [a[3], b[3], c[3], d[3]]]
}

/// 32 mixings, whose four words are in the same lane of registers `a`, `b`, `c` and `d`.
#[target_feature(enable = "avx512f")]
#[inline]
fn mix([a, b, c, d]: &mut [Four; 4]) {
    add_product(a, b);
    xor_rotate::<32>(d, a);
    add_product(c, d);
    xor_rotate::<24>(b, c);
    add_product(a, b);
    xor_rotate::<16>(d, a);
    add_product(c, d);
    xor_rotate::<63>(b, c);
}

/// x + y + 2·(product of the low halves of x and y), into x.
#[target_feature(enable = "avx512f")]
#[inline]
fn add_product(x: &mut Four, y: &Four) {
    for (x, y) in x.iter_mut().zip(y) {
        let product = _mm512_mul_epu32(*x, *y);
        *x = _mm512_add_epi64(_mm512_add_epi64(*x, *y), _mm512_add_epi64(product, product));
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn xor_rotate<const RIGHT: i32>(x: &mut Four, y: &Four) {
    for (x, y) in x.iter_mut().zip(y) {
        *x = _mm512_ror_epi64::<RIGHT>(_mm512_xor_si512(*x, *y));
    }
}

/// The word of a row that is `ON` places further, in every lane (t, u, s).
#[target_feature(enable = "avx512f")]
#[inline]
fn turn_in_rows<const ON: i32>(words: Four) -> Four {
    const { assert!(ON >= 1 && ON <= 3) };
    words.map(|words| match ON {
        1 => _mm512_permutex_epi64::<0b00_11_10_01>(words),
        2 => _mm512_permutex_epi64::<0b01_00_11_10>(words),
        _ => _mm512_permutex_epi64::<0b10_01_00_11>(words),
    })
}

/// The word of a column that is one place further: in lane (t, u, s), 2t + s counts.
#[target_feature(enable = "avx512f")]
#[inline]
fn on_in_columns(words: Four) -> Four {
    words.map(|words| _mm512_permutexvar_epi64(_mm512_setr_epi64(1, 4, 3, 6, 5, 0, 7, 2), words))
}

/// The word of a column that is one place back.
#[target_feature(enable = "avx512f")]
#[inline]
fn back_in_columns(words: Four) -> Four {
    words.map(|words| _mm512_permutexvar_epi64(_mm512_setr_epi64(5, 0, 7, 2, 1, 4, 3, 6), words))
}

/// The word of a column that is two places further.
#[target_feature(enable = "avx512f")]
#[inline]
fn across_columns(words: Four) -> Four {
    words.map(|words| _mm512_shuffle_i64x2::<0b01_00_11_10>(words, words))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(words: &[u64; 8]) -> __m512i {
    // SAFETY: eight words, any alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(words: &mut [u64; 8], value: __m512i) {
    // SAFETY: eight words, any alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
}
