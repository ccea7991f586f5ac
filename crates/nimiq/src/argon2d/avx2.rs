//! The compression function in registers of four words.
//!
//! Seen as 8 rows of 16 words, a block goes through the permutation along its rows, then along its columns (pairs of
//! words), in the order that it has in memory. Register (r, q) holds words 4q to 4q + 3 of row r. Mixing takes four
//! words that differ in q along rows, and in r / 2 along columns, each time from the same lane of four registers. A
//! block has 32 registers where the processor has 16: four rows at a time are mixed into the new block, then two
//! columns of registers at a time are mixed there.

use core::arch::x86_64::{
    __m256i, _mm256_add_epi64, _mm256_alignr_epi8, _mm256_loadu_si256, _mm256_mul_epu32,
    _mm256_permute4x64_epi64, _mm256_setzero_si256, _mm256_storeu_si256, _mm256_xor_si256,
};

use super::Header;
use super::fill::{self, Kernel};
use super::first_blocks::{Turns, UNITS, rotate_32, rotate_63};
use super::memory::{Area, Block};
use crate::hash::ProofOfWork;

const KERNEL: Kernel = Kernel { places: places(), compress };

/// Whether the processor has what this kernel needs.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx2")
}

pub(super) fn hashes<const N: usize>(areas: [&mut Area; N], headers: [&Header; N]) -> [ProofOfWork; N] {
    assert!(is_supported(), "this backend is chosen only where the processor can run it");
    // SAFETY: the processor has these features.
    unsafe { fill::hashes(&KERNEL, areas, headers) }
}

/// Words stand in their own order.
const fn places() -> [usize; UNITS] {
    let mut places = [0; UNITS];
    let mut unit = 0;
    while unit < UNITS {
        places[unit] = unit;
        unit += 1;
    }
    places
}

/// Registers that are mixed in lock step: fewer would wait for each other's results, more would have to be put away.
type Group = [__m256i; 4];

/// Where the registers with words a, b, c and d of a group are.
type Places = [[usize; 4]; 4];

/// A block as it lies in memory.
type Registers = [[u64; 4]];

#[target_feature(enable = "avx2")]
fn compress(previous: &Block, reference: &Block, new: &mut Block) {
    let (previous, reference) = (previous.0.as_chunks().0, reference.0.as_chunks().0);
    let new = new.0.as_chunks_mut().0;
    let turns = Turns::new();
    mix_rows::<0>(previous, reference, new, &turns);
    mix_rows::<4>(previous, reference, new, &turns);
    mix_columns::<0>(previous, reference, new, &turns);
    mix_columns::<2>(previous, reference, new, &turns);
}

/// Makes four rows, from row `FIRST` on, of the sum of two blocks, and mixes them.
#[target_feature(enable = "avx2")]
#[inline]
fn mix_rows<const FIRST: usize>(
    previous: &Registers,
    reference: &Registers,
    new: &mut Registers,
    turns: &Turns,
) {
    let mut group = [[_mm256_setzero_si256(); 4]; 4];
    for (register, words) in group.as_flattened_mut().iter_mut().enumerate() {
        let place = const { rows(FIRST) }[register / 4][register % 4];
        *words = _mm256_xor_si256(load(&previous[place]), load(&reference[place]));
    }
    mix(&mut group, turns);
    group = [back_in_rows(group[0]), group[1], on_in_rows(group[2]), across_rows(group[3])];
    mix(&mut group, turns);
    group = [on_in_rows(group[0]), group[1], back_in_rows(group[2]), across_rows(group[3])];
    for (register, words) in group.as_flattened().iter().enumerate() {
        store(&mut new[const { rows(FIRST) }[register / 4][register % 4]], *words);
    }
}

/// Mixes two columns of registers, from column `FIRST` on, and adds the two blocks once more.
#[target_feature(enable = "avx2")]
#[inline]
fn mix_columns<const FIRST: usize>(
    previous: &Registers,
    reference: &Registers,
    new: &mut Registers,
    turns: &Turns,
) {
    let mut group = [[_mm256_setzero_si256(); 4]; 4];
    for (register, words) in group.as_flattened_mut().iter_mut().enumerate() {
        *words = load(&new[const { columns(FIRST) }[register / 4][register % 4]]);
    }
    mix(&mut group, turns);
    group = [back_in_columns(group[0]), group[1], on_in_columns(group[2]), across_columns(group[3])];
    mix(&mut group, turns);
    group = [on_in_columns(group[0]), group[1], back_in_columns(group[2]), across_columns(group[3])];
    for (register, words) in group.as_flattened().iter().enumerate() {
        let place = const { columns(FIRST) }[register / 4][register % 4];
        let sum = _mm256_xor_si256(load(&previous[place]), load(&reference[place]));
        store(&mut new[place], _mm256_xor_si256(*words, sum));
    }
}

/// The places of the registers of four rows.
const fn rows(first: usize) -> Places {
    let mut places = [[0; 4]; 4];
    let mut register = 0;
    while register < 16 {
        let (word, row) = (register / 4, first + register % 4);
        places[word][register % 4] = 4 * row + word;
        register += 1;
    }
    places
}

/// The places of two columns of registers: upper and lower row of the first, then of the second.
const fn columns(first: usize) -> Places {
    let mut places = [[0; 4]; 4];
    let mut register = 0;
    while register < 16 {
        let (word, row, column) = (register / 4, register % 2, first + register % 4 / 2);
        places[word][register % 4] = 8 * word + 4 * row + column;
        register += 1;
    }
    places
}

/// Mixings whose four words are in the same lane of registers `a`, `b`, `c` and `d`.
#[target_feature(enable = "avx2")]
#[inline]
fn mix([a, b, c, d]: &mut [Group; 4], turns: &Turns) {
    add_product(a, b);
    xor(d, a);
    for d in &mut *d {
        *d = rotate_32(*d);
    }
    add_product(c, d);
    xor(b, c);
    for b in &mut *b {
        *b = turns.rotate_24(*b);
    }
    add_product(a, b);
    xor(d, a);
    for d in &mut *d {
        *d = turns.rotate_16(*d);
    }
    add_product(c, d);
    xor(b, c);
    for b in b {
        *b = rotate_63(*b);
    }
}

/// x + y + 2·(product of the low halves of x and y), into x.
#[target_feature(enable = "avx2")]
#[inline]
fn add_product(x: &mut Group, y: &Group) {
    for (x, y) in x.iter_mut().zip(y) {
        let product = _mm256_mul_epu32(*x, *y);
        *x = _mm256_add_epi64(_mm256_add_epi64(*x, *y), _mm256_add_epi64(product, product));
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn xor(x: &mut Group, y: &Group) {
    for (x, y) in x.iter_mut().zip(y) {
        *x = _mm256_xor_si256(*x, *y);
    }
}

/// The next word of the row, in every lane.
#[target_feature(enable = "avx2")]
#[inline]
fn on_in_rows([r0, r1, r2, r3]: Group) -> Group {
    [on_in_row(r0), on_in_row(r1), on_in_row(r2), on_in_row(r3)]
}

#[target_feature(enable = "avx2")]
#[inline]
fn on_in_row(words: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b00_11_10_01>(words)
}

/// The previous word of the row.
#[target_feature(enable = "avx2")]
#[inline]
fn back_in_rows([r0, r1, r2, r3]: Group) -> Group {
    [back_in_row(r0), back_in_row(r1), back_in_row(r2), back_in_row(r3)]
}

#[target_feature(enable = "avx2")]
#[inline]
fn back_in_row(words: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b10_01_00_11>(words)
}

/// The word of the row that is two further.
#[target_feature(enable = "avx2")]
#[inline]
fn across_rows([r0, r1, r2, r3]: Group) -> Group {
    [across_row(r0), across_row(r1), across_row(r2), across_row(r3)]
}

#[target_feature(enable = "avx2")]
#[inline]
fn across_row(words: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b01_00_11_10>(words)
}

/// The next word of the column: a pair of lanes in the upper row, then the pair in the lower row.
#[target_feature(enable = "avx2")]
#[inline]
fn on_in_columns([upper, lower, upper2, lower2]: Group) -> Group {
    [
        _mm256_alignr_epi8::<8>(lower, upper),
        _mm256_alignr_epi8::<8>(upper, lower),
        _mm256_alignr_epi8::<8>(lower2, upper2),
        _mm256_alignr_epi8::<8>(upper2, lower2),
    ]
}

/// The previous word of the column.
#[target_feature(enable = "avx2")]
#[inline]
fn back_in_columns([upper, lower, upper2, lower2]: Group) -> Group {
    on_in_columns([lower, upper, lower2, upper2])
}

/// The word of the column that is two further.
fn across_columns([upper, lower, upper2, lower2]: Group) -> Group {
    [lower, upper, lower2, upper2]
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(words: &[u64; 4]) -> __m256i {
    // SAFETY: four words, any alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(words: &mut [u64; 4], value: __m256i) {
    // SAFETY: four words, any alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), value) }
}
