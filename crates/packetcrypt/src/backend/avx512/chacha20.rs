//! ChaCha20 blocks of many messages at once: sixteen lanes of 32 bits, two groups in flight.
//!
//! A lane follows one block of the flat list ([`Blocks`]). `docs/performance.md`, "ChaCha20", has the figures.

use core::arch::asm;
use core::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_cmplt_epu32_mask, _mm512_load_si512, _mm512_loadu_si512,
    _mm512_mask_blend_epi32, _mm512_mask_storeu_epi32, _mm512_maskz_loadu_epi32, _mm512_movepi32_mask,
    _mm512_permutex2var_epi32, _mm512_permutexvar_epi32, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_shuffle_i32x4, _mm512_slli_epi32, _mm512_srli_epi32, _mm512_store_si512, _mm512_storeu_si512,
    _mm512_sub_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use crate::backend::ahead::{Ahead, NOTHING, PIECE};
use crate::backend::blocks::{Blocks, CONSTANTS, COUNTER_SHIFT, Entries, Inputs, SingleBlocks};
use crate::backend::kernels::Items;
use crate::backend::states::{BATCH, States, texts_of_blocks};

/// Lanes of one register.
const LANES: usize = 16;
/// Blocks that one run of the kernel makes: two registers for each word of the ChaCha20 matrix.
const GROUP: usize = 2 * LANES;

/// A double round is one of columns and one of diagonals.
const DOUBLE_ROUNDS: usize = 10;

/// The same word of sixteen matrices.
type Row = [u32; LANES];

/// The matrices of [`GROUP`] blocks, word by word: rows 0 to 15 for the first sixteen, 16 to 31 for the rest.
#[repr(C, align(64))]
struct Matrices([Row; 32]);

/// Makes all blocks of the list, and writes to the states what they and the texts come to.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn apply(
    blocks: &mut Blocks,
    inputs: &Inputs,
    states: &mut States,
    items: Option<&Items<'_>>,
    ahead: &mut Ahead<'_>,
) {
    let base = states.base_mut();
    let texts = texts_of_blocks(base, items);
    let mut matrices = Matrices([[0; LANES]; 32]);
    for entries in blocks.take(GROUP) {
        for half in 0..2 {
            let rows = &mut matrices.0[half * 16..half * 16 + 16];
            fill(rows, &entries.source[half * LANES..], inputs);
        }
        let ahead = core::array::from_fn(|_| ahead.piece());
        // SAFETY: the enabled features are those that `run` needs.
        unsafe { run(&mut matrices, &ahead) };
        for half in 0..2 {
            let rows = &matrices.0[half * 16..half * 16 + 16];
            let entries = entries.part(half * LANES..(half + 1) * LANES);
            // SAFETY: texts and places are those of the list, which `push` keeps inside items and states.
            unsafe { xor_into_states(rows, &entries, &texts, base) };
        }
    }
}

/// Takes nonces and keys out of the first states, word by word, and gives back their control words.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn read_headers(states: &States, count: usize, inputs: &mut Inputs) -> [u32; BATCH] {
    assert!(count <= BATCH, "a batch of states");
    let mut controls = [0; BATCH];
    for first in (0..count).step_by(LANES) {
        let mut words = [_mm512_setzero_si512(); LANES];
        for (lane, header) in words.iter_mut().enumerate() {
            // SAFETY: 64 bytes of a state, any alignment.
            *header = unsafe { _mm512_loadu_si512(states.state(first + lane).as_ptr().cast()) };
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
    let mut matrices = Matrices([[0; LANES]; 32]);
    for first in (0..count).step_by(GROUP) {
        for half in 0..2 {
            let lanes = first + half * LANES..first + (half + 1) * LANES;
            let rows = &mut matrices.0[half * 16..half * 16 + 16];
            for (row, constant) in rows.iter_mut().zip(CONSTANTS) {
                *row = [constant; LANES];
            }
            for word in 0..8 {
                rows[4 + word].copy_from_slice(&inputs.key[word][lanes.clone()]);
            }
            rows[12].copy_from_slice(&inputs.counter[lanes.clone()]);
            for word in 0..3 {
                rows[13 + word].copy_from_slice(&inputs.nonce[word][lanes.clone()]);
            }
        }
        // SAFETY: the enabled features are those that `run` needs.
        unsafe { run(&mut matrices, &[&NOTHING; DOUBLE_ROUNDS]) };
        for half in 0..2 {
            let lanes = first + half * LANES..first + (half + 1) * LANES;
            for (words, row) in blocks.iter_mut().zip(&matrices.0[half * 16..]) {
                words[lanes.clone()].copy_from_slice(row);
            }
        }
    }
}

/// Gathers the constants, key, counter and nonce of sixteen entries of the list.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
fn fill(rows: &mut [Row], sources: &[u32], inputs: &Inputs) {
    let sources: &Row = sources[..LANES].try_into().expect("as many entries as lanes");
    for (row, constant) in rows.iter_mut().zip(CONSTANTS) {
        *row = [constant; LANES];
    }
    let message_of = |lane: usize| sources[lane] as usize % BATCH;
    let window = message_of(0).min(BATCH - LANES);
    // SAFETY: sixteen entries, any alignment.
    let sources = unsafe { _mm512_loadu_si512(sources.as_ptr().cast()) };
    // SAFETY: a row is 64 bytes and starts on a multiple of 64.
    unsafe { _mm512_store_si512(rows[12].as_mut_ptr().cast(), _mm512_srli_epi32::<COUNTER_SHIFT>(sources)) };
    let messages = _mm512_and_si512(sources, _mm512_set1_epi32(BATCH as i32 - 1));
    let in_window = _mm512_sub_epi32(messages, _mm512_set1_epi32(window as i32));
    let (keys, nonces) = rows[4..].split_at_mut(8);
    if _mm512_cmplt_epu32_mask(in_window, _mm512_set1_epi32(LANES as i32)) == u16::MAX {
        // Whole blocks stand in order of their messages, so sixteen seldom belong to more than a few.
        for (row, words) in keys.iter_mut().zip(&inputs.key).chain(nonces[1..].iter_mut().zip(&inputs.nonce))
        {
            let words = &words[window..window + LANES];
            // SAFETY: sixteen words, any alignment; a row is 64 bytes and starts on a multiple of 64.
            unsafe {
                let words = _mm512_permutexvar_epi32(in_window, _mm512_loadu_si512(words.as_ptr().cast()));
                _mm512_store_si512(row.as_mut_ptr().cast(), words);
            }
        }
    } else {
        let lookup = Lookup::new(messages);
        for (row, words) in keys.iter_mut().zip(&inputs.key).chain(nonces[1..].iter_mut().zip(&inputs.nonce))
        {
            lookup.gather(words, row);
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

/// Turns sixteen rows (a word of sixteen blocks each) into sixteen blocks, XORs each with its text, and writes the
/// result to its place, counted from `base`.
///
/// # Safety
/// A text can be read and a place be written, both as far as the block's words go.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
unsafe fn xor_into_states(
    rows: &[Row],
    entries: &Entries<'_>,
    texts: &[*const u8; 2 * BATCH],
    base: *mut u8,
) {
    let mut blocks = [_mm512_setzero_si512(); LANES];
    for (register, row) in blocks.iter_mut().zip(rows) {
        // SAFETY: a row is 64 bytes and starts on a multiple of 64.
        *register = unsafe { _mm512_load_si512(row.as_ptr().cast()) };
    }
    transpose(&mut blocks);
    let sources: &[u32; LANES] = entries.source.try_into().expect("as many entries as lanes");
    let places: &[u32; LANES] = entries.place.try_into().expect("as many entries as lanes");
    let words: &[u16; LANES] = entries.words.try_into().expect("as many entries as lanes");
    if *words == [u16::MAX; LANES] {
        for lane in 0..LANES {
            let text = texts[sources[lane] as usize % texts.len()].wrapping_add(places[lane] as usize);
            // SAFETY: the caller's promise; any alignment.
            unsafe {
                let text = _mm512_loadu_si512(text.cast());
                let place = base.add(places[lane] as usize);
                _mm512_storeu_si512(place.cast(), _mm512_xor_si512(text, blocks[lane]));
            }
        }
    } else {
        for lane in 0..LANES {
            let text = texts[sources[lane] as usize % texts.len()].wrapping_add(places[lane] as usize);
            // SAFETY: the caller's promise; words masked off are not touched, and single words need no alignment.
            unsafe {
                let text = _mm512_maskz_loadu_epi32(words[lane], text.cast());
                let place = base.add(places[lane] as usize);
                _mm512_mask_storeu_epi32(place.cast(), words[lane], _mm512_xor_si512(text, blocks[lane]));
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

/// Text of one instruction on eight quarter-rounds: the same registers' roles `$x`, `$y` in each.
macro_rules! on_eight {
    (add: $(($x:literal, $y:literal))*) => { concat!($("vpaddd zmm", $x, ", zmm", $x, ", zmm", $y, "\n"),*) };
    (xor: $(($x:literal, $y:literal))*) => { concat!($("vpxord zmm", $x, ", zmm", $x, ", zmm", $y, "\n"),*) };
    (rotate $bits:literal: $(($x:literal, $y:literal))*) => { concat!($("vprold zmm", $x, ", zmm", $x, ", ", $bits, "\n"),*) };
}

/// Text of eight quarter-rounds in lock step, four of each group.
macro_rules! quarter_rounds {
    ($(($a:literal, $b:literal, $c:literal, $d:literal))*) => {
        concat!(
            on_eight!(add: $(($a, $b))*), on_eight!(xor: $(($d, $a))*), on_eight!(rotate 16: $(($d, $a))*),
            on_eight!(add: $(($c, $d))*), on_eight!(xor: $(($b, $c))*), on_eight!(rotate 12: $(($b, $c))*),
            on_eight!(add: $(($a, $b))*), on_eight!(xor: $(($d, $a))*), on_eight!(rotate 8: $(($d, $a))*),
            on_eight!(add: $(($c, $d))*), on_eight!(xor: $(($b, $c))*), on_eight!(rotate 7: $(($b, $c))*),
        )
    };
}

/// Text that applies one instruction to all 32 rows: register and its row in memory.
macro_rules! each_row {
    (@ load $($row:literal)*) => { concat!($("vmovdqa32 zmm", $row, ", zmmword ptr [{rows} + 64*", $row, "]\n"),*) };
    (@ add $($row:literal)*) => { concat!($("vpaddd zmm", $row, ", zmm", $row, ", zmmword ptr [{rows} + 64*", $row, "]\n"),*) };
    (@ store $($row:literal)*) => { concat!($("vmovdqa32 zmmword ptr [{rows} + 64*", $row, "], zmm", $row, "\n"),*) };
    ($what:tt) => {
        each_row!(@ $what 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
    };
}

/// The ChaCha20 block function on 32 matrices in place: ten double rounds, then the input added. Each double round asks
/// for a piece of what will be needed soon.
///
/// # Safety
/// The processor has AVX-512F.
#[inline]
unsafe fn run(matrices: &mut Matrices, ahead: &[&[u8; PIECE]; DOUBLE_ROUNDS]) {
    // SAFETY: the 32 rows are 2048 bytes, aligned to 64, borrowed for the whole block. Written as assembly
    // because the two groups need exactly the 32 registers; compilers run the groups one after the other or
    // spill, which costs a third of the speed.
    unsafe {
        asm!(
            each_row!(load),
            "xor {round:e}, {round:e}",
            "2:",
            "mov {piece}, [{ahead} + 8*{round}]",
            "prefetcht0 [{piece}]",
            "prefetcht0 [{piece} + 64]",
            "prefetcht0 [{piece} + 128]",
            "prefetcht0 [{piece} + 192]",
            quarter_rounds!(
                (0, 4, 8, 12) (1, 5, 9, 13) (2, 6, 10, 14) (3, 7, 11, 15)
                (16, 20, 24, 28) (17, 21, 25, 29) (18, 22, 26, 30) (19, 23, 27, 31)
            ),
            quarter_rounds!(
                (0, 5, 10, 15) (1, 6, 11, 12) (2, 7, 8, 13) (3, 4, 9, 14)
                (16, 21, 26, 31) (17, 22, 27, 28) (18, 23, 24, 29) (19, 20, 25, 30)
            ),
            "inc {round:e}",
            "cmp {round:e}, {double_rounds}",
            "jne 2b",
            each_row!(add),
            each_row!(store),
            rows = in(reg) matrices.0.as_mut_ptr(),
            ahead = in(reg) ahead.as_ptr(),
            round = out(reg) _,
            piece = out(reg) _,
            double_rounds = const DOUBLE_ROUNDS,
            out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
            out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
            out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _,
            out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
            out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _, out("zmm28") _, out("zmm29") _,
            out("zmm30") _, out("zmm31") _,
            options(nostack),
        );
    }
}
