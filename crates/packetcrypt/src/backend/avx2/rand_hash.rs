//! What the wide interpreter of RandHash ([`wide_machine`](crate::backend::wide_machine)) needs of this backend.

mod arithmetic;

use core::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm_storeu_si128, _mm256_and_si256, _mm256_castsi256_ps,
    _mm256_castsi256_si128, _mm256_cmpeq_epi32, _mm256_extracti128_si256, _mm256_load_si256,
    _mm256_movemask_ps, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_store_si256, _mm256_storeu_si256,
    _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
};

use super::chacha20::{LANES as PART_LANES, transposed};
use crate::backend::kernels::ITEM_LANES as LANES;
use crate::backend::states::STATE;
use crate::backend::wide_machine::{Cycle, Row, WideMachine, Windows, wide_interpreter, words_from};
use crate::backend::wide_program::{Step, WideProgram};
use crate::instruction::{Opcode, PROGRAM_LENGTH_MAX};
use crate::rand_hash::HALF;

/// Registers of a row.
const PARTS: usize = LANES / PART_LANES;

wide_interpreter!("avx2");

/// Eight words of a row.
#[target_feature(enable = "avx2")]
#[inline]
fn load(row: &Row, part: usize) -> __m256i {
    let words = &row.0[PART_LANES * part..PART_LANES * (part + 1)];
    // SAFETY: a quarter of a row, which is aligned to 64 bytes.
    unsafe { _mm256_load_si256(words.as_ptr().cast()) }
}

/// The second halves of the states, turned round.
#[target_feature(enable = "avx2")]
fn load_second_input(machine: &mut WideMachine, states: &[[u8; STATE]; LANES]) {
    for (part, states) in states.as_chunks::<PART_LANES>().0.iter().enumerate() {
        for (block, rows) in machine.input.as_chunks_mut::<PART_LANES>().0.iter_mut().enumerate() {
            let words = transposed(|lane, half| {
                let bytes = &states[lane][STATE / 2 + 32 * block + 16 * half..][..16];
                // SAFETY: 16 bytes, any alignment.
                unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
            });
            for (row, words) in rows.iter_mut().zip(words) {
                let place = &mut row.0[PART_LANES * part..PART_LANES * (part + 1)];
                // SAFETY: a quarter of a row, which is aligned to 64 bytes.
                unsafe { _mm256_store_si256(place.as_mut_ptr().cast(), words) };
            }
        }
    }
}

/// Word `index` of each lane's window.
#[target_feature(enable = "avx2")]
#[inline]
fn load_scattered(image: &[u32; PROGRAM_LENGTH_MAX], windows: &Row, index: usize) -> Row {
    Row(windows.0.map(|window| image[(window as usize + index) % PROGRAM_LENGTH_MAX]))
}

/// The lanes whose word has one of these bits.
#[target_feature(enable = "avx2")]
#[inline]
fn is_set(row: &Row, bits: u32) -> u32 {
    let mut not_set = 0;
    for part in 0..PARTS {
        let chosen = _mm256_and_si256(load(row, part), _mm256_set1_epi32(bits as i32));
        let none = _mm256_cmpeq_epi32(chosen, _mm256_setzero_si256());
        not_set |= (_mm256_movemask_ps(_mm256_castsi256_ps(none)) as u32) << (PART_LANES * part);
    }
    !not_set
}

/// Appends the rows `first..behind` to the logs; the positions move on only in the lanes of `active`.
#[target_feature(enable = "avx2")]
fn put_out(machine: &mut WideMachine, first: usize, behind: usize, active: u32) {
    let count = behind - first;
    for done in (0..count).step_by(PART_LANES) {
        if count - done <= 4 {
            log_four(machine, first + done, done);
        } else {
            log_eight(machine, first + done, done);
        }
    }
    machine.move_on(count, active);
}

/// Writes eight rows from `first` to each lane's log, `offset` words behind its position.
#[target_feature(enable = "avx2")]
#[inline]
fn log_eight(machine: &mut WideMachine, first: usize, offset: usize) {
    for part in 0..PARTS {
        let words = transposed(|row, half| {
            let words = &machine.rows::<PART_LANES>(first)[row].0[PART_LANES * part + 4 * half..][..4];
            // SAFETY: 16 bytes, any alignment.
            unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
        });
        for (lane, words) in (PART_LANES * part..).zip(words) {
            let place: &mut [u32; PART_LANES] = machine.log_of(lane, offset);
            // SAFETY: eight words, any alignment.
            unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), words) };
        }
    }
}

/// As [`log_eight`], for four rows.
#[target_feature(enable = "avx2")]
#[inline]
fn log_four(machine: &mut WideMachine, first: usize, offset: usize) {
    for part in 0..PARTS {
        let [a, b, c, d] = machine.rows::<4>(first).each_ref().map(|row| load(row, part));
        let (ab_low, ab_high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        let (cd_low, cd_high) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
        // Register k holds lanes k and k + 4, four words each.
        let lanes = [
            _mm256_unpacklo_epi64(ab_low, cd_low),
            _mm256_unpackhi_epi64(ab_low, cd_low),
            _mm256_unpacklo_epi64(ab_high, cd_high),
            _mm256_unpackhi_epi64(ab_high, cd_high),
        ];
        for (k, register) in lanes.into_iter().enumerate() {
            let halves = [_mm256_castsi256_si128(register), _mm256_extracti128_si256::<1>(register)];
            for (half, words) in halves.into_iter().enumerate() {
                let place: &mut [u32; 4] = machine.log_of(PART_LANES * part + 4 * half + k, offset);
                // SAFETY: four words, any alignment.
                unsafe { _mm_storeu_si128(place.as_mut_ptr().cast(), words) };
            }
        }
    }
}
