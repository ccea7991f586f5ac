//! The rounds of ChaCha20 on eight matrices, in place.

use core::arch::asm;

use super::LANES;
use crate::backend::blocks::CONSTANTS;

/// The same word of eight matrices.
pub(super) type Row = [u32; LANES];

/// The matrices of eight blocks, word by word, and what the kernel needs beside them.
#[repr(C, align(64))]
pub(super) struct Matrices {
    pub(super) rows: [Row; 16],
    /// Rows 8 to 11 while other rows have their registers.
    aside: [Row; 4],
    /// Byte orders that rotate words to the left by 16 and by 8.
    rotations: [[u8; 32]; 2],
}

impl Matrices {
    /// Matrices with their constants in place.
    pub(super) fn new() -> Self {
        let rotation = |bytes: usize| core::array::from_fn(|k| (k % 16 / 4 * 4 + (k + 4 - bytes) % 4) as u8);
        let mut rows = [[0; LANES]; 16];
        for (row, constant) in rows.iter_mut().zip(CONSTANTS) {
            *row = [constant; LANES];
        }
        Self { rows, aside: [[0; LANES]; 4], rotations: [rotation(2), rotation(1)] }
    }

    /// Puts the constants back where the last run has left key stream.
    pub(super) fn reset_constants(&mut self) {
        for (row, constant) in self.rows.iter_mut().zip(CONSTANTS) {
            *row = [constant; LANES];
        }
    }
}

/// Text of one instruction, or of one rotation, on some quarter-rounds in lock step.
macro_rules! on_each {
    (add: $(($x:literal, $y:literal))*) => { concat!($("vpaddd ymm", $x, ", ymm", $x, ", ymm", $y, "\n"),*) };
    (xor: $(($x:literal, $y:literal))*) => { concat!($("vpxor ymm", $x, ", ymm", $x, ", ymm", $y, "\n"),*) };
    // By 16 or 8 bits: by the order of bytes at that offset.
    (turn $order:literal: $($x:literal)*) => {
        concat!($("vpshufb ymm", $x, ", ymm", $x, ", ymmword ptr [{matrices} + ", $order, "]\n"),*)
    };
    // With a register to be used.
    (rotate $left:literal $right:literal: $(($x:literal, $free:literal))*) => {
        concat!(
            $("vpslld ymm", $free, ", ymm", $x, ", ", $left, "\n",)*
            $("vpsrld ymm", $x, ", ymm", $x, ", ", $right, "\n",)*
            $("vpor ymm", $x, ", ymm", $x, ", ymm", $free, "\n",)*
        )
    };
}

/// Text of quarter-rounds in lock step, each with a register to be used.
macro_rules! quarter_rounds {
    ($(($a:literal, $b:literal, $c:literal, $d:literal; $free:literal))*) => {
        concat!(
            on_each!(add: $(($a, $b))*), on_each!(xor: $(($d, $a))*), on_each!(turn 640: $($d)*),
            quarter_rounds!(@ rest $(($a, $b, $c, $d; $free))*),
        )
    };
    // After the first step.
    (@ rest $(($a:literal, $b:literal, $c:literal, $d:literal; $free:literal))*) => {
        concat!(
            on_each!(add: $(($c, $d))*), on_each!(xor: $(($b, $c))*), on_each!(rotate 12 20: $(($b, $free))*),
            on_each!(add: $(($a, $b))*), on_each!(xor: $(($d, $a))*), on_each!(turn 672: $($d)*),
            on_each!(add: $(($c, $d))*), on_each!(xor: $(($b, $c))*), on_each!(rotate 7 25: $(($b, $free))*),
        )
    };
}

/// Text that applies one instruction to rows: register and its row in memory.
macro_rules! each_row {
    (load $($row:literal)*) => { concat!($("vmovdqa ymm", $row, ", ymmword ptr [{matrices} + 32*", $row, "]\n"),*) };
    (add $($row:literal)*) => { concat!($("vpaddd ymm", $row, ", ymm", $row, ", ymmword ptr [{matrices} + 32*", $row, "]\n"),*) };
    (store $($row:literal)*) => { concat!($("vmovdqa ymmword ptr [{matrices} + 32*", $row, "], ymm", $row, "\n"),*) };
}

/// Text that moves the registers 8 and 9 to or from the places of two rows.
macro_rules! two_rows {
    (load 8) => { two_rows!(@ load 512 544) };
    (load 10) => { two_rows!(@ load 576 608) };
    (store 8) => { two_rows!(@ store 512 544) };
    (store 10) => { two_rows!(@ store 576 608) };
    (@ load $first:literal $second:literal) => {
        concat!(
            "vmovdqa ymm8, ymmword ptr [{matrices} + ", $first, "]\n",
            "vmovdqa ymm9, ymmword ptr [{matrices} + ", $second, "]\n"
        )
    };
    (@ store $first:literal $second:literal) => {
        concat!(
            "vmovdqa ymmword ptr [{matrices} + ", $first, "], ymm8\n",
            "vmovdqa ymmword ptr [{matrices} + ", $second, "], ymm9\n"
        )
    };
}

/// Text of the rest of the first double round, where `Begun` has done the beginning. Rows 8 and 9 are in their registers,
/// 10 and 11 aside.
macro_rules! rest_of_first {
    () => {
        concat!(
            quarter_rounds!((0, 4, 8, 12; 10)),
            two_rows!(store 8), two_rows!(load 10),
            on_each!(add: (0, 5)), on_each!(xor: (15, 0) (12, 1)), on_each!(turn 640: 15 12),
            quarter_rounds!(@ rest (0, 5, 8, 15; 10) (1, 6, 9, 12; 11)),
            two_rows!(store 10), two_rows!(load 8),
            on_each!(add: (3, 4)), on_each!(xor: (14, 3)), on_each!(turn 640: 14),
            quarter_rounds!(@ rest (2, 7, 8, 13; 10) (3, 4, 9, 14; 11)),
        )
    };
}

/// Text of `{rounds}` double rounds. Rows 8 and 9 are in their registers before and after them, 10 and 11 aside.
macro_rules! double_rounds {
    () => {
        concat!(
            "2:\n",
            quarter_rounds!((0, 4, 8, 12; 10) (1, 5, 9, 13; 11)),
            two_rows!(store 8), two_rows!(load 10),
            quarter_rounds!((2, 6, 8, 14; 10) (3, 7, 9, 15; 11)),
            quarter_rounds!((0, 5, 8, 15; 10) (1, 6, 9, 12; 11)),
            two_rows!(store 10), two_rows!(load 8),
            quarter_rounds!((2, 7, 8, 13; 10) (3, 4, 9, 14; 11)),
            "dec {rounds:e}\n",
            "jnz 2b\n",
        )
    };
}

/// The assembly of a run of the kernel: so many whole double rounds, with text before them, and rows to which their input
/// is added.
macro_rules! run {
    ($matrices:ident, [$($text:expr)?] $double_rounds:literal, add $($row:literal)*) => {
        // SAFETY: the structure is 704 bytes, aligned to 64, borrowed for the whole block. Rows 0 to 7 and 12 to 15 stay
        // in their registers; rows 8 and 9 take turns with 10 and 11 in two, which leaves two free for rotations. Written
        // as assembly because compilers spill without such a plan, which costs a third of the speed.
        unsafe {
            asm!(
                each_row!(load 10 11),
                "vmovdqa ymmword ptr [{matrices} + 576], ymm10",
                "vmovdqa ymmword ptr [{matrices} + 608], ymm11",
                each_row!(load 0 1 2 3 4 5 6 7 8 9 12 13 14 15),
                $($text,)?
                double_rounds!(),
                "vmovdqa ymm10, ymmword ptr [{matrices} + 576]",
                "vmovdqa ymm11, ymmword ptr [{matrices} + 608]",
                each_row!(add $($row)*),
                each_row!(store 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15),
                matrices = in(reg) core::ptr::from_mut($matrices),
                rounds = inout(reg) $double_rounds => _,
                out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
                options(nostack),
            );
        }
    };
}

/// The ChaCha20 block function on eight matrices in place: ten double rounds, then the input added.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn run(matrices: &mut Matrices) {
    run!(matrices, [] 10, add 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
}

/// What is left of the block function on eight matrices where `Begun` is the beginning; of the input only the counter is
/// added.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn finish(matrices: &mut Matrices) {
    run!(matrices, [rest_of_first!()] 9, add 12);
}
