//! BLAKE2b of sixteen messages of equal length at once: eight lanes of 64 bits, two groups in flight.
//!
//! `docs/performance.md`, "BLAKE2b", has the figures.

use core::arch::asm;
use core::arch::x86_64::{
    __m512i, _mm512_loadu_si512, _mm512_setzero_si512, _mm512_shuffle_i64x2, _mm512_store_si512,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

use crate::backend::kernels::DIGEST_LANES as LANES;

const BLOCK: usize = 128;
const IV: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// A word of eight messages.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Words([u64; 8]);

/// The sixteen work words, then the sixteen of the second group: a register each.
#[repr(C, align(64))]
struct Work([Words; 32]);

/// The sixteen words of a message block, then those of the second group.
#[repr(C, align(64))]
struct MessageBlock([Words; 32]);

/// The chaining values: eight words for each group.
pub(super) struct Digests([[Words; 8]; 2]);

impl Digests {
    /// Word `word` (0 to 7) of the digest of message `message`.
    pub(super) fn word(&self, message: usize, word: usize) -> u64 {
        self.0[message / 8][word].0[message % 8]
    }

    /// The first 8, 32 or 64 bytes of the digest of message `message`.
    pub(super) fn copy_to(&self, message: usize, digest: &mut [u8]) {
        for (word, bytes) in digest.chunks_mut(8).enumerate() {
            bytes.copy_from_slice(&self.word(message, word).to_le_bytes()[..bytes.len()]);
        }
    }
}

/// Unkeyed digests of `digest_length` bytes (1 to 64) of sixteen messages of equal, non-zero length.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn digests(messages: [&[u8]; LANES], digest_length: u8) -> Digests {
    let length = messages[0].len();
    assert!(length > 0 && messages.iter().all(|message| message.len() == length), "messages of one length");
    let parameters = 0x0101_0000 ^ u64::from(digest_length);
    let mut chaining = [IV.map(|word| Words([word; 8])); 2];
    for group in &mut chaining {
        group[0] = Words([IV[0] ^ parameters; 8]);
    }
    let mut block = MessageBlock([Words([0; 8]); 32]);
    let mut padded = [[0u8; BLOCK]; LANES];
    let last = (length - 1) / BLOCK * BLOCK;
    for start in (0..length).step_by(BLOCK) {
        let end = (start + BLOCK).min(length);
        if end - start < BLOCK {
            for (buffer, message) in padded.iter_mut().zip(&messages) {
                buffer[..end - start].copy_from_slice(&message[start..end]);
            }
            load_block(&mut block, &padded.each_ref().map(<[u8; BLOCK]>::as_slice), 0);
        } else {
            load_block(&mut block, &messages, start);
        }
        compress(&mut chaining, &block, end as u64, start == last);
    }
    Digests(chaining)
}

/// Transposes 128 bytes of each message into words of eight lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
fn load_block(block: &mut MessageBlock, messages: &[&[u8]; LANES], start: usize) {
    for group in 0..2 {
        for half in 0..2 {
            let mut rows = [_mm512_setzero_si512(); 8];
            for (row, message) in rows.iter_mut().zip(&messages[8 * group..]) {
                let bytes = &message[start + 64 * half..start + 64 * half + 64];
                // SAFETY: 64 bytes, any alignment.
                *row = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
            }
            transpose(&mut rows);
            for (word, row) in rows.into_iter().enumerate() {
                let words = &mut block.0[16 * group + 8 * half + word];
                // SAFETY: `Words` is 64 bytes, aligned to 64.
                unsafe { _mm512_store_si512(words.0.as_mut_ptr().cast(), row) };
            }
        }
    }
}

/// Transposes an 8 × 8 matrix of 64-bit words.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
pub(super) fn transpose(rows: &mut [__m512i; 8]) {
    let mut pairs = [_mm512_setzero_si512(); 8];
    for k in 0..4 {
        pairs[2 * k] = _mm512_unpacklo_epi64(rows[2 * k], rows[2 * k + 1]);
        pairs[2 * k + 1] = _mm512_unpackhi_epi64(rows[2 * k], rows[2 * k + 1]);
    }
    for k in 0..2 {
        let (a, b, c, d) = (pairs[k], pairs[k + 2], pairs[k + 4], pairs[k + 6]);
        let low_even = _mm512_shuffle_i64x2::<0b10_00_10_00>(a, b);
        let low_odd = _mm512_shuffle_i64x2::<0b11_01_11_01>(a, b);
        let high_even = _mm512_shuffle_i64x2::<0b10_00_10_00>(c, d);
        let high_odd = _mm512_shuffle_i64x2::<0b11_01_11_01>(c, d);
        rows[k] = _mm512_shuffle_i64x2::<0b10_00_10_00>(low_even, high_even);
        rows[k + 4] = _mm512_shuffle_i64x2::<0b11_01_11_01>(low_even, high_even);
        rows[k + 2] = _mm512_shuffle_i64x2::<0b10_00_10_00>(low_odd, high_odd);
        rows[k + 6] = _mm512_shuffle_i64x2::<0b11_01_11_01>(low_odd, high_odd);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
fn compress(chaining: &mut [[Words; 8]; 2], block: &MessageBlock, bytes_so_far: u64, last: bool) {
    let mut work = Work([Words([0; 8]); 32]);
    for (rows, chaining) in work.0.chunks_exact_mut(16).zip(&*chaining) {
        rows[..8].copy_from_slice(chaining);
        for (row, word) in rows[8..].iter_mut().zip(IV) {
            *row = Words([word; 8]);
        }
        rows[12] = Words([IV[4] ^ bytes_so_far; 8]);
        if last {
            rows[14] = Words([!IV[6]; 8]);
        }
    }
    // SAFETY: the enabled features are those that `run` needs.
    unsafe { run(&mut work, block) };
    for (rows, chaining) in work.0.chunks_exact(16).zip(chaining) {
        let (first, second) = rows.split_at(8);
        for ((chaining, first), second) in chaining.iter_mut().zip(first).zip(second) {
            for ((chaining, first), second) in chaining.0.iter_mut().zip(first.0).zip(second.0) {
                *chaining ^= first ^ second;
            }
        }
    }
}

/// Text of one instruction on the four mixings of a half round, in both groups.
macro_rules! on_both {
    (add: $(($x:literal, $y:literal, $x2:literal, $y2:literal))*) => {
        concat!($("vpaddq zmm", $x, ", zmm", $x, ", zmm", $y, "\nvpaddq zmm", $x2, ", zmm", $x2, ", zmm", $y2, "\n"),*)
    };
    (message: $(($x:literal, $x2:literal, $m:literal))*) => {
        concat!($(
            "vpaddq zmm", $x, ", zmm", $x, ", zmmword ptr [{block} + 64*", $m, "]\n",
            "vpaddq zmm", $x2, ", zmm", $x2, ", zmmword ptr [{block} + 1024 + 64*", $m, "]\n"
        ),*)
    };
    (xor: $(($x:literal, $y:literal, $x2:literal, $y2:literal))*) => {
        concat!($("vpxorq zmm", $x, ", zmm", $x, ", zmm", $y, "\nvpxorq zmm", $x2, ", zmm", $x2, ", zmm", $y2, "\n"),*)
    };
    (rotate $bits:literal: $(($x:literal, $x2:literal))*) => {
        concat!($("vprorq zmm", $x, ", zmm", $x, ", ", $bits, "\nvprorq zmm", $x2, ", zmm", $x2, ", ", $bits, "\n"),*)
    };
}

/// Text of four mixings in lock step: work words a, b, c, d of each group, message words m and n.
macro_rules! mixings {
    ($(($a:literal $b:literal $c:literal $d:literal, $a2:literal $b2:literal $c2:literal $d2:literal, $m:literal $n:literal))*) => {
        concat!(
            on_both!(add: $(($a, $b, $a2, $b2))*), on_both!(message: $(($a, $a2, $m))*),
            on_both!(xor: $(($d, $a, $d2, $a2))*), on_both!(rotate 32: $(($d, $d2))*),
            on_both!(add: $(($c, $d, $c2, $d2))*), on_both!(xor: $(($b, $c, $b2, $c2))*), on_both!(rotate 24: $(($b, $b2))*),
            on_both!(add: $(($a, $b, $a2, $b2))*), on_both!(message: $(($a, $a2, $n))*),
            on_both!(xor: $(($d, $a, $d2, $a2))*), on_both!(rotate 16: $(($d, $d2))*),
            on_both!(add: $(($c, $d, $c2, $d2))*), on_both!(xor: $(($b, $c, $b2, $c2))*), on_both!(rotate 63: $(($b, $b2))*),
        )
    };
}

/// Text of one round: columns, then diagonals, with the round's permutation of the message words.
macro_rules! round {
    ($s0:literal $s1:literal $s2:literal $s3:literal $s4:literal $s5:literal $s6:literal $s7:literal
     $s8:literal $s9:literal $s10:literal $s11:literal $s12:literal $s13:literal $s14:literal $s15:literal) => {
        concat!(
            mixings!(
                (0 4 8 12, 16 20 24 28, $s0 $s1) (1 5 9 13, 17 21 25 29, $s2 $s3)
                (2 6 10 14, 18 22 26 30, $s4 $s5) (3 7 11 15, 19 23 27 31, $s6 $s7)
            ),
            mixings!(
                (0 5 10 15, 16 21 26 31, $s8 $s9) (1 6 11 12, 17 22 27 28, $s10 $s11)
                (2 7 8 13, 18 23 24 29, $s12 $s13) (3 4 9 14, 19 20 25 30, $s14 $s15)
            ),
        )
    };
}

/// Text that moves all 32 work words between registers and memory.
macro_rules! each_word {
    (load) => { each_word!(@ load 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31) };
    (store) => { each_word!(@ store 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31) };
    (@ load $($word:literal)*) => { concat!($("vmovdqa64 zmm", $word, ", zmmword ptr [{work} + 64*", $word, "]\n"),*) };
    (@ store $($word:literal)*) => { concat!($("vmovdqa64 zmmword ptr [{work} + 64*", $word, "], zmm", $word, "\n"),*) };
}

/// The twelve rounds of the compression function, on sixteen messages in place.
///
/// # Safety
/// The processor has AVX-512F.
#[inline(never)]
unsafe fn run(work: &mut Work, block: &MessageBlock) {
    // SAFETY: both structures are 2048 bytes, aligned to 64, borrowed for the whole block. Written as assembly
    // because the two groups need exactly the 32 registers; compilers run the groups one after the other or
    // spill, which costs two fifths of the speed.
    unsafe {
        asm!(
            each_word!(load),
            round!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15),
            round!(14 10 4 8 9 15 13 6 1 12 0 2 11 7 5 3),
            round!(11 8 12 0 5 2 15 13 10 14 3 6 7 1 9 4),
            round!(7 9 3 1 13 12 11 14 2 6 5 10 4 0 15 8),
            round!(9 0 5 7 2 4 10 15 14 1 11 12 6 8 3 13),
            round!(2 12 6 10 0 11 8 3 4 13 7 5 15 14 1 9),
            round!(12 5 1 15 14 13 4 10 0 7 6 3 9 2 8 11),
            round!(13 11 7 14 12 1 3 9 5 0 15 4 8 6 2 10),
            round!(6 15 14 9 11 3 0 8 12 2 13 7 1 4 10 5),
            round!(10 2 8 4 7 6 1 5 15 11 9 14 3 12 13 0),
            round!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15),
            round!(14 10 4 8 9 15 13 6 1 12 0 2 11 7 5 3),
            each_word!(store),
            work = in(reg) work.0.as_mut_ptr(),
            block = in(reg) block.0.as_ptr(),
            out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
            out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
            out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _,
            out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
            out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _, out("zmm28") _, out("zmm29") _,
            out("zmm30") _, out("zmm31") _,
            options(nostack, preserves_flags),
        );
    }
}
