//! The rounds of ChaCha20 on 32 matrices, in registers from beginning to end.

use core::arch::asm;
use core::arch::x86_64::__m512i;

use super::LANES;
use crate::backend::ahead::{NOTHING, PIECE};
use crate::backend::blocks::CONSTANTS;

/// A double round is one of columns and one of diagonals.
const DOUBLE_ROUNDS: usize = 10;

/// The same word of sixteen matrices.
pub(super) type Row = [u32; LANES];

/// The matrices of [`GROUP`] blocks, word by word: rows 0 to 15 for the first sixteen, 16 to 31 for the rest.
#[repr(C, align(64))]
pub(super) struct Matrices(pub(super) [Row; 32]);

impl Matrices {
    /// Matrices with their constants in place.
    pub(super) fn new() -> Self {
        let mut rows = [[0; LANES]; 32];
        for half in rows.chunks_exact_mut(16) {
            for (row, constant) in half.iter_mut().zip(CONSTANTS) {
                *row = [constant; LANES];
            }
        }
        Self(rows)
    }
}

/// Text of one instruction on some quarter-rounds in lock step: the same registers' roles `$x`, `$y` in each.
macro_rules! on_each {
    (add: $(($x:literal, $y:literal))*) => { concat!($("vpaddd zmm", $x, ", zmm", $x, ", zmm", $y, "\n"),*) };
    (xor: $(($x:literal, $y:literal))*) => { concat!($("vpxord zmm", $x, ", zmm", $x, ", zmm", $y, "\n"),*) };
    (rotate $bits:literal: $(($x:literal, $y:literal))*) => { concat!($("vprold zmm", $x, ", zmm", $x, ", ", $bits, "\n"),*) };
}

/// Text of quarter-rounds in lock step.
macro_rules! quarter_rounds {
    ($(($a:literal, $b:literal, $c:literal, $d:literal))*) => {
        concat!(
            on_each!(add: $(($a, $b))*), on_each!(xor: $(($d, $a))*), on_each!(rotate 16: $(($d, $a))*),
            quarter_rounds!(@ rest $(($a, $b, $c, $d))*),
        )
    };
    // After the first step.
    (@ rest $(($a:literal, $b:literal, $c:literal, $d:literal))*) => {
        concat!(
            on_each!(add: $(($c, $d))*), on_each!(xor: $(($b, $c))*), on_each!(rotate 12: $(($b, $c))*),
            on_each!(add: $(($a, $b))*), on_each!(xor: $(($d, $a))*), on_each!(rotate 8: $(($d, $a))*),
            on_each!(add: $(($c, $d))*), on_each!(xor: $(($b, $c))*), on_each!(rotate 7: $(($b, $c))*),
        )
    };
}

/// Text that asks for the piece of a round, and goes on to the next.
macro_rules! ask_for_piece {
    () => {
        concat!(
            "mov {piece}, [{ahead} + 8*{round}]\n",
            "prefetcht0 [{piece}]\n",
            "prefetcht0 [{piece} + 64]\n",
            "prefetcht0 [{piece} + 128]\n",
            "prefetcht0 [{piece} + 192]\n",
            "inc {round:e}\n",
        )
    };
}

/// Text of the rest of the first double round, where `Begun` has done the beginning.
macro_rules! rest_of_first {
    () => {
        concat!(
            ask_for_piece!(),
            quarter_rounds!((0, 4, 8, 12) (16, 20, 24, 28)),
            on_each!(add: (0, 5) (3, 4) (16, 21) (19, 20)),
            on_each!(xor: (15, 0) (12, 1) (14, 3) (31, 16) (28, 17) (30, 19)),
            on_each!(rotate 16: (15, 0) (12, 1) (14, 3) (31, 16) (28, 17) (30, 19)),
            quarter_rounds!(@ rest
                (0, 5, 10, 15) (1, 6, 11, 12) (2, 7, 8, 13) (3, 4, 9, 14)
                (16, 21, 26, 31) (17, 22, 27, 28) (18, 23, 24, 29) (19, 20, 25, 30)
            ),
        )
    };
}

/// Text of double rounds until `{round}` is [`DOUBLE_ROUNDS`].
macro_rules! double_rounds {
    () => {
        concat!(
            "2:\n",
            ask_for_piece!(),
            quarter_rounds!((0, 4, 8, 12)(1, 5, 9, 13)(2, 6, 10, 14)(3, 7, 11, 15)(16, 20, 24, 28)(
                17, 21, 25, 29
            )(18, 22, 26, 30)(19, 23, 27, 31)),
            quarter_rounds!((0, 5, 10, 15)(1, 6, 11, 12)(2, 7, 8, 13)(3, 4, 9, 14)(16, 21, 26, 31)(
                17, 22, 27, 28
            )(18, 23, 24, 29)(19, 20, 25, 30)),
            "cmp {round:e}, {double_rounds}\n",
            "jne 2b\n",
        )
    };
}

/// Text that applies one instruction to all 32 rows: register and its row in memory.
macro_rules! each_row {
    (load $($row:literal)*) => { concat!($("vmovdqa32 zmm", $row, ", zmmword ptr [{rows} + 64*", $row, "]\n"),*) };
    (add $($row:literal)*) => { concat!($("vpaddd zmm", $row, ", zmm", $row, ", zmmword ptr [{rows} + 64*", $row, "]\n"),*) };
    (all load) => { each_row!(load 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31) };
    (all add) => { each_row!(add 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31) };
}

/// The assembly of a run of the kernel, and what comes of it: rows of the first sixteen blocks and of the others.
macro_rules! run {
    ($matrices:expr, $ahead:expr, [$($text:expr),* $(,)?]) => {{
        let (z0, z1, z2, z3, z4, z5, z6, z7, z8, z9, z10, z11, z12, z13, z14, z15, z16, z17, z18, z19, z20, z21, z22, z23, z24, z25, z26, z27, z28, z29, z30, z31);
        // SAFETY: the 32 rows are 2048 bytes, aligned to 64, borrowed for the whole block. Written as assembly
        // because the two groups need exactly the 32 registers; compilers run the groups one after the other or
        // spill, which costs a third of the speed.
        unsafe {
            asm!(
                each_row!(all load),
                $($text,)*
                rows = in(reg) $matrices.0.as_ptr(),
                ahead = in(reg) $ahead.as_ptr(),
                round = inout(reg) 0u64 => _,
                piece = out(reg) _,
                double_rounds = const DOUBLE_ROUNDS,
                lateout("zmm0") z0, lateout("zmm1") z1, lateout("zmm2") z2, lateout("zmm3") z3,
                lateout("zmm4") z4, lateout("zmm5") z5, lateout("zmm6") z6, lateout("zmm7") z7,
                lateout("zmm8") z8, lateout("zmm9") z9, lateout("zmm10") z10, lateout("zmm11") z11,
                lateout("zmm12") z12, lateout("zmm13") z13, lateout("zmm14") z14, lateout("zmm15") z15,
                lateout("zmm16") z16, lateout("zmm17") z17, lateout("zmm18") z18, lateout("zmm19") z19,
                lateout("zmm20") z20, lateout("zmm21") z21, lateout("zmm22") z22, lateout("zmm23") z23,
                lateout("zmm24") z24, lateout("zmm25") z25, lateout("zmm26") z26, lateout("zmm27") z27,
                lateout("zmm28") z28, lateout("zmm29") z29, lateout("zmm30") z30, lateout("zmm31") z31,
                options(nostack, readonly),
            );
        }
        [[z0, z1, z2, z3, z4, z5, z6, z7, z8, z9, z10, z11, z12, z13, z14, z15], [z16, z17, z18, z19, z20, z21, z22, z23, z24, z25, z26, z27, z28, z29, z30, z31]]
    }};
}

/// The ChaCha20 block function on 32 matrices: ten double rounds, then the input added.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn run(matrices: &Matrices) -> [[__m512i; 16]; 2] {
    run!(matrices, [&NOTHING; DOUBLE_ROUNDS], [double_rounds!(), each_row!(all add)])
}

/// What is left of the block function on 32 matrices where `Begun` is the beginning; of the input only the counter is
/// added. Meanwhile pieces of what will be needed soon are asked for.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn finish(matrices: &Matrices, ahead: &[&[u8; PIECE]; DOUBLE_ROUNDS]) -> [[__m512i; 16]; 2] {
    run!(matrices, ahead, [rest_of_first!(), double_rounds!(), each_row!(add 12 28)])
}
