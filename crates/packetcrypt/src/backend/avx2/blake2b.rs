//! BLAKE2b of messages of equal length, four at once in lanes of 64 bits.
//!
//! `docs/performance.md`, "BLAKE2b", has the figures.

use core::arch::asm;
use core::arch::x86_64::{_mm256_loadu_si256, _mm256_store_si256};

use super::poly1305::transposed;

/// Messages in one run of the kernel.
pub(super) const LANES: usize = 4;
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

/// The same word of four messages.
type Row = [u64; LANES];

/// The sixteen work words, and what the kernel needs beside them.
#[repr(C, align(64))]
struct Work {
    rows: [Row; 16],
    /// Work words 8 to 11 while others have their registers.
    aside: [Row; 4],
    /// Byte orders that rotate words to the right by 24 and by 16.
    rotations: [[u8; 32]; 2],
}

impl Work {
    fn new() -> Self {
        let rotation = |bytes: usize| core::array::from_fn(|k| (k % 16 / 8 * 8 + (k + bytes) % 8) as u8);
        Self { rows: [[0; LANES]; 16], aside: [[0; LANES]; 4], rotations: [rotation(3), rotation(2)] }
    }
}

/// The sixteen words of a message block.
#[repr(C, align(64))]
struct MessageBlock([Row; 16]);

/// The chaining values: eight words of four messages.
pub(super) struct Digests([Row; 8]);

impl Digests {
    /// As many bytes of the digest of message `message` as there are places for them.
    pub(super) fn copy_to(&self, message: usize, digest: &mut [u8]) {
        for (row, bytes) in self.0.iter().zip(digest.chunks_mut(8)) {
            bytes.copy_from_slice(&row[message].to_le_bytes()[..bytes.len()]);
        }
    }
}

/// Unkeyed digests of `digest_length` bytes (1 to 64) of four messages of equal, non-zero length.
#[target_feature(enable = "avx2")]
pub(super) fn digests(messages: &[&[u8]; LANES], digest_length: u8) -> Digests {
    let length = messages[0].len();
    assert!(length > 0 && messages.iter().all(|message| message.len() == length), "messages of one length");
    let mut chaining = IV.map(|word| [word; LANES]);
    chaining[0] = [IV[0] ^ 0x0101_0000 ^ u64::from(digest_length); LANES];
    let mut work = Work::new();
    let mut block = MessageBlock([[0; LANES]; 16]);
    let mut padded = [[0u8; BLOCK]; LANES];
    let last = (length - 1) / BLOCK * BLOCK;
    for start in (0..length).step_by(BLOCK) {
        let end = (start + BLOCK).min(length);
        if end - start < BLOCK {
            for (buffer, message) in padded.iter_mut().zip(messages) {
                buffer[..end - start].copy_from_slice(&message[start..end]);
            }
            load_block(&mut block, padded.each_ref());
        } else {
            load_block(&mut block, messages.map(|message| message[start..].first_chunk().expect("a block")));
        }
        compress(&mut chaining, &mut work, &block, end as u64, start == last);
    }
    Digests(chaining)
}

/// Transposes a block of each message into words of four lanes.
#[target_feature(enable = "avx2")]
#[inline]
fn load_block(block: &mut MessageBlock, messages: [&[u8; BLOCK]; LANES]) {
    for (quarter, rows) in block.0.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        // SAFETY: 32 bytes, any alignment.
        let words = transposed(
            messages
                .map(|message| unsafe { _mm256_loadu_si256(message[32 * quarter..][..32].as_ptr().cast()) }),
        );
        for (row, word) in rows.iter_mut().zip(words) {
            // SAFETY: a row is 32 bytes and starts on a multiple of 32.
            unsafe { _mm256_store_si256(row.as_mut_ptr().cast(), word) };
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn compress(chaining: &mut [Row; 8], work: &mut Work, block: &MessageBlock, bytes_so_far: u64, last: bool) {
    work.rows[..8].copy_from_slice(chaining);
    for (row, word) in work.rows[8..].iter_mut().zip(IV) {
        *row = [word; LANES];
    }
    work.rows[12] = [IV[4] ^ bytes_so_far; LANES];
    if last {
        work.rows[14] = [!IV[6]; LANES];
    }
    // SAFETY: the enabled features are those that `run` needs.
    unsafe { run(work, block) };
    let (first, second) = work.rows.split_at(8);
    for ((chaining, first), second) in chaining.iter_mut().zip(first).zip(second) {
        for ((chaining, first), second) in chaining.iter_mut().zip(first).zip(second) {
            *chaining ^= first ^ second;
        }
    }
}

/// Text of two mixings in lock step: work words a, b, c, d and message words m, n of each. Registers 10 and 11 are
/// free to be used.
macro_rules! mixings {
    (($a:literal $b:literal $c:literal $d:literal, $m:literal $n:literal)
     ($a2:literal $b2:literal $c2:literal $d2:literal, $m2:literal $n2:literal)) => {
        concat!(
            mixings!(@ message $a $m $a2 $m2), mixings!(@ add $a $b $a2 $b2), mixings!(@ xor $d $a $d2 $a2),
            "vpshufd ymm", $d, ", ymm", $d, ", 0xb1\nvpshufd ymm", $d2, ", ymm", $d2, ", 0xb1\n",
            mixings!(@ add $c $d $c2 $d2), mixings!(@ xor $b $c $b2 $c2), mixings!(@ turn $b $b2 "640"),
            mixings!(@ message $a $n $a2 $n2), mixings!(@ add $a $b $a2 $b2), mixings!(@ xor $d $a $d2 $a2),
            mixings!(@ turn $d $d2 "672"),
            mixings!(@ add $c $d $c2 $d2), mixings!(@ xor $b $c $b2 $c2),
            // To the right by 63: doubled, and the highest bit put below.
            "vpaddq ymm10, ymm", $b, ", ymm", $b, "\nvpaddq ymm11, ymm", $b2, ", ymm", $b2, "\n",
            "vpsrlq ymm", $b, ", ymm", $b, ", 63\nvpsrlq ymm", $b2, ", ymm", $b2, ", 63\n",
            "vpor ymm", $b, ", ymm", $b, ", ymm10\nvpor ymm", $b2, ", ymm", $b2, ", ymm11\n",
        )
    };
    (@ add $x:literal $y:literal $x2:literal $y2:literal) => {
        concat!("vpaddq ymm", $x, ", ymm", $x, ", ymm", $y, "\nvpaddq ymm", $x2, ", ymm", $x2, ", ymm", $y2, "\n")
    };
    (@ message $x:literal $m:literal $x2:literal $m2:literal) => {
        concat!(
            "vpaddq ymm", $x, ", ymm", $x, ", ymmword ptr [{block} + 32*", $m, "]\n",
            "vpaddq ymm", $x2, ", ymm", $x2, ", ymmword ptr [{block} + 32*", $m2, "]\n"
        )
    };
    (@ xor $x:literal $y:literal $x2:literal $y2:literal) => {
        concat!("vpxor ymm", $x, ", ymm", $x, ", ymm", $y, "\nvpxor ymm", $x2, ", ymm", $x2, ", ymm", $y2, "\n")
    };
    // Whole bytes: by the order at that offset.
    (@ turn $x:literal $x2:literal $order:literal) => {
        concat!(
            "vpshufb ymm", $x, ", ymm", $x, ", ymmword ptr [{work} + ", $order, "]\n",
            "vpshufb ymm", $x2, ", ymm", $x2, ", ymmword ptr [{work} + ", $order, "]\n"
        )
    };
}

/// Text of one round: columns, then diagonals, with the round's permutation of the message words. Work words 8 and 9
/// are in registers before and after it, 10 and 11 aside.
macro_rules! round {
    ($s0:literal $s1:literal $s2:literal $s3:literal $s4:literal $s5:literal $s6:literal $s7:literal
     $s8:literal $s9:literal $s10:literal $s11:literal $s12:literal $s13:literal $s14:literal $s15:literal) => {
        concat!(
            mixings!((0 4 8 12, $s0 $s1) (1 5 9 13, $s2 $s3)),
            "vmovdqa ymmword ptr [{work} + 512], ymm8\nvmovdqa ymmword ptr [{work} + 544], ymm9\n",
            "vmovdqa ymm8, ymmword ptr [{work} + 576]\nvmovdqa ymm9, ymmword ptr [{work} + 608]\n",
            mixings!((2 6 8 14, $s4 $s5) (3 7 9 15, $s6 $s7)),
            mixings!((0 5 8 15, $s8 $s9) (1 6 9 12, $s10 $s11)),
            "vmovdqa ymmword ptr [{work} + 576], ymm8\nvmovdqa ymmword ptr [{work} + 608], ymm9\n",
            "vmovdqa ymm8, ymmword ptr [{work} + 512]\nvmovdqa ymm9, ymmword ptr [{work} + 544]\n",
            mixings!((2 7 8 13, $s12 $s13) (3 4 9 14, $s14 $s15)),
        )
    };
}

/// Text that moves work words between registers and memory.
macro_rules! each_word {
    (load $($word:literal)*) => { concat!($("vmovdqa ymm", $word, ", ymmword ptr [{work} + 32*", $word, "]\n"),*) };
    (store $($word:literal)*) => { concat!($("vmovdqa ymmword ptr [{work} + 32*", $word, "], ymm", $word, "\n"),*) };
}

/// The twelve rounds of the compression function, on four messages in place.
///
/// # Safety
/// The processor has AVX2.
#[inline(never)]
unsafe fn run(work: &mut Work, block: &MessageBlock) {
    // SAFETY: the structures are 704 and 512 bytes, aligned to 64, borrowed for the whole block. Written as assembly
    // for the same plan of registers as ChaCha20's: work words 8 and 9 take turns with 10 and 11.
    unsafe {
        asm!(
            each_word!(load 10 11),
            "vmovdqa ymmword ptr [{work} + 576], ymm10",
            "vmovdqa ymmword ptr [{work} + 608], ymm11",
            each_word!(load 0 1 2 3 4 5 6 7 8 9 12 13 14 15),
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
            "vmovdqa ymm10, ymmword ptr [{work} + 576]",
            "vmovdqa ymm11, ymmword ptr [{work} + 608]",
            each_word!(store 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15),
            work = in(reg) core::ptr::from_mut(work),
            block = in(reg) block.0.as_ptr(),
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
            out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack, preserves_flags),
        );
    }
}
