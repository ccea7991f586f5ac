//! What the wide interpreter of RandHash ([`wide_machine`](crate::backend::wide_machine)) needs of this backend.

mod arithmetic;

use core::arch::x86_64::{
    __m512i, _mm_storeu_si128, _mm256_storeu_si256, _mm512_add_epi32, _mm512_castsi512_si256,
    _mm512_extracti32x4_epi32, _mm512_extracti64x4_epi64, _mm512_i32gather_epi32, _mm512_load_si512,
    _mm512_loadu_si512, _mm512_permutex2var_epi64, _mm512_set1_epi32, _mm512_setr_epi64,
    _mm512_setzero_si512, _mm512_store_si512, _mm512_storeu_si512, _mm512_test_epi32_mask,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::chacha20::transpose;
use crate::backend::kernels::ITEM_LANES as LANES;
use crate::backend::states::STATE;
use crate::backend::wide_machine::{Cycle, Row, WideMachine, Windows, wide_interpreter, words_from};
use crate::backend::wide_program::{Step, WideProgram};
use crate::instruction::{Opcode, PROGRAM_LENGTH_MAX};
use crate::rand_hash::HALF;

/// Lanes of one register.
const HALF_LANES: usize = 16;

wide_interpreter!(
    "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi2,avx512bitalg,avx512vpopcntdq,gfni"
);

/// Sixteen words of a row.
#[target_feature(enable = "avx512f")]
#[inline]
fn load(row: &Row, half: usize) -> __m512i {
    // SAFETY: half of a row, which is aligned to 64 bytes.
    unsafe { _mm512_load_si512(row.0[HALF_LANES * half..HALF_LANES * (half + 1)].as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(row: &mut Row, half: usize, words: __m512i) {
    // SAFETY: half of a row, which is aligned to 64 bytes.
    unsafe {
        _mm512_store_si512(row.0[HALF_LANES * half..HALF_LANES * (half + 1)].as_mut_ptr().cast(), words);
    }
}

/// The second halves of the states, turned round.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn load_second_input(machine: &mut WideMachine, states: &[[u8; STATE]; LANES]) {
    for (half, states) in states.chunks_exact(HALF_LANES).enumerate() {
        for (block, rows) in machine.input.chunks_exact_mut(HALF_LANES).enumerate() {
            let mut words = [_mm512_setzero_si512(); HALF_LANES];
            for (word, state) in words.iter_mut().zip(states) {
                let bytes = &state[STATE / 2 + 64 * block..STATE / 2 + 64 * block + 64];
                // SAFETY: 64 bytes, any alignment.
                *word = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
            }
            transpose(&mut words);
            for (row, word) in rows.iter_mut().zip(words) {
                store(row, half, word);
            }
        }
    }
}

/// Word `index` of each lane's window.
#[target_feature(enable = "avx512f")]
#[inline]
fn load_scattered(image: &[u32; PROGRAM_LENGTH_MAX], windows: &Row, index: usize) -> Row {
    let mut row = Row([0; LANES]);
    for half in 0..2 {
        let places = _mm512_add_epi32(load(windows, half), _mm512_set1_epi32(index as i32));
        // SAFETY: a window begins below 1792 and the index is below 256, so every lane stays inside the image.
        store(&mut row, half, unsafe { _mm512_i32gather_epi32::<4>(places, image.as_ptr().cast()) });
    }
    row
}

/// The lanes whose word has one of these bits.
#[target_feature(enable = "avx512f")]
#[inline]
fn is_set(row: &Row, bits: u32) -> u32 {
    let bits = _mm512_set1_epi32(bits as i32);
    let [low, high] = [0, 1].map(|half| u32::from(_mm512_test_epi32_mask(load(row, half), bits)));
    low | high << HALF_LANES
}

/// Appends the rows `first..behind` to the logs; the positions move on only in the lanes of `active`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn put_out(machine: &mut WideMachine, first: usize, behind: usize, active: u32) {
    let count = behind - first;
    for done in (0..count).step_by(HALF_LANES) {
        match count - done {
            1..=4 => log_four(machine, first + done, done),
            5..=8 => log_eight(machine, first + done, done),
            _ => log_sixteen(machine, first + done, done),
        }
    }
    machine.move_on(count, active);
}

/// `COUNT` rows from `first`, the words of half of the lanes.
#[target_feature(enable = "avx512f")]
#[inline]
fn half_rows<const COUNT: usize>(machine: &WideMachine, first: usize, half: usize) -> [__m512i; COUNT] {
    let mut words = [_mm512_setzero_si512(); COUNT];
    for (word, row) in words.iter_mut().zip(machine.rows::<COUNT>(first)) {
        *word = load(row, half);
    }
    words
}

/// Writes sixteen rows from `first` to each lane's log, `offset` words behind its position.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
fn log_sixteen(machine: &mut WideMachine, first: usize, offset: usize) {
    for half in 0..2 {
        let mut words = half_rows(machine, first, half);
        transpose(&mut words);
        for (lane, word) in (HALF_LANES * half..).zip(words) {
            let place: &mut [u32; 16] = machine.log_of(lane, offset);
            // SAFETY: sixteen words, any alignment.
            unsafe { _mm512_storeu_si512(place.as_mut_ptr().cast(), word) };
        }
    }
}

/// As [`log_sixteen`], for eight rows.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
fn log_eight(machine: &mut WideMachine, first: usize, offset: usize) {
    // Quarter `q` of the first four rows, then of the other four; likewise quarter `q + 1`.
    let (lower, upper) =
        (_mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15));
    for half in 0..2 {
        let first_four = transpose_four(half_rows(machine, first, half));
        let other_four = transpose_four(half_rows(machine, first + 4, half));
        for (k, (first_four, other_four)) in first_four.into_iter().zip(other_four).enumerate() {
            for (quarter, order) in [(0, lower), (2, upper)] {
                let words = _mm512_permutex2var_epi64(first_four, order, other_four);
                let eights = [_mm512_castsi512_si256(words), _mm512_extracti64x4_epi64::<1>(words)];
                for (next, eight) in eights.into_iter().enumerate() {
                    let lane = HALF_LANES * half + 4 * (quarter + next) + k;
                    let place: &mut [u32; 8] = machine.log_of(lane, offset);
                    // SAFETY: eight words, any alignment.
                    unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), eight) };
                }
            }
        }
    }
}

/// As [`log_sixteen`], for four rows.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
fn log_four(machine: &mut WideMachine, first: usize, offset: usize) {
    for half in 0..2 {
        let rows = half_rows(machine, first, half);
        for (k, register) in transpose_four(rows).into_iter().enumerate() {
            let quarters = [
                _mm512_extracti32x4_epi32::<0>(register),
                _mm512_extracti32x4_epi32::<1>(register),
                _mm512_extracti32x4_epi32::<2>(register),
                _mm512_extracti32x4_epi32::<3>(register),
            ];
            for (quarter, words) in quarters.into_iter().enumerate() {
                let lane = HALF_LANES * half + 4 * quarter + k;
                let place: &mut [u32; 4] = machine.log_of(lane, offset);
                // SAFETY: four words, any alignment.
                unsafe { _mm_storeu_si128(place.as_mut_ptr().cast(), words) };
            }
        }
    }
}

/// Transposes four rows: register k then holds lanes k, k + 4, k + 8 and k + 12, four words each.
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose_four([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab_low, cd_low),
        _mm512_unpackhi_epi64(ab_low, cd_low),
        _mm512_unpacklo_epi64(ab_high, cd_high),
        _mm512_unpackhi_epi64(ab_high, cd_high),
    ]
}
