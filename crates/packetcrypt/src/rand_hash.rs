//! RandHash: running a program over a state.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 5. A program is decoded once and then run many times. Decoding
//! takes out what is the same in every run: since scopes nest and close in the order of the words, every variable has
//! a fixed place, and so operands become places, whether registers or immediate numbers.

mod arithmetic;
mod program;

pub(crate) use program::{CONSTANTS, Step};
pub use program::{MalformedProgram, Program};

use crate::crypto_cycle::{STATE_SIZE, State};
use crate::instruction::Opcode;
use arithmetic::Registers;

/// Most instructions that a cycle may execute.
pub const INSTRUCTION_LIMIT: u32 = 20_000;

/// Cycles that make an item of version 1 and more.
pub const ITEM_CYCLES: usize = 2;

/// Cycles before an update of version 0.
pub const VERSION_0_UPDATE_CYCLES: usize = 4;

const _: () = assert!(ITEM_CYCLES.is_multiple_of(2) && VERSION_0_UPDATE_CYCLES.is_multiple_of(2));

/// Words in each half of a state, and in the memory of a program.
pub const HALF: usize = STATE_SIZE / 8;

/// 256 words: a half of the state, or what MEMORY reads.
pub type Words = [u32; HALF];

/// A cycle would execute more than 20000 instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cycle of this program takes more than {INSTRUCTION_LIMIT} instructions")]
pub struct TooLong;

/// Runs programs. Keeps its buffers from one run to the next.
#[derive(Debug, Default)]
pub struct Machine {
    registers: Registers,
    /// For each loop of the program, the iteration that it is in.
    iterations: Vec<u32>,
}

impl Machine {
    /// A machine with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs an even number of cycles over a state; the halves take turns as input and output, the first half
    /// being input first. After an error the state is as it was.
    pub fn run(
        &mut self,
        program: &Program,
        memory: &Words,
        state: &mut State,
        cycles: usize,
    ) -> Result<(), TooLong> {
        let [mut first, mut second] = halves(state);
        for _ in 0..cycles / 2 {
            self.cycle(program, memory, &first, &mut second)?;
            self.cycle(program, memory, &second, &mut first)?;
        }
        let words = first.iter().chain(&second);
        for (bytes, word) in state.as_bytes_mut().as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        Ok(())
    }

    /// Runs one cycle, which adds to `output`, and gives the number of instructions executed. After an error
    /// `output` is unspecified.
    pub fn cycle(
        &mut self,
        program: &Program,
        memory: &Words,
        input: &Words,
        output: &mut Words,
    ) -> Result<u32, TooLong> {
        #[allow(clippy::enum_glob_use, reason = "every opcode has its line here")]
        use Opcode::*;

        let Self { registers, iterations } = self;
        registers.load_constants(program);
        iterations.resize(program.loops.len(), 0);
        let (mut next, mut executed) = (0, 0);
        // That of the loop that was entered last, also after it has ended.
        let mut iteration = 0;
        let mut output_position = 0u8;

        while let Some(&step) = program.steps.get(next) {
            next += 1;
            executed += 1;
            match step.opcode {
                Popcnt8 => registers.each8(step, |a| a.count_ones() as u8),
                Popcnt16 => registers.each16(step, |a| a.count_ones() as u16),
                Popcnt32 => registers.each(step, u32::count_ones),
                Clz8 => registers.each8(step, |a| a.leading_zeros() as u8),
                Clz16 => registers.each16(step, |a| a.leading_zeros() as u16),
                Clz32 => registers.each(step, u32::leading_zeros),
                Ctz8 => registers.each8(step, |a| a.trailing_zeros() as u8),
                Ctz16 => registers.each16(step, |a| a.trailing_zeros() as u16),
                Ctz32 => registers.each(step, u32::trailing_zeros),
                Bswap16 => registers.each16(step, u16::swap_bytes),
                Bswap32 => registers.each(step, u32::swap_bytes),

                Add8 => registers.lanes8(step, u8::wrapping_add),
                Add16 => registers.lanes16(step, u16::wrapping_add),
                Add32 => registers.words(step, u32::wrapping_add),
                Sub8 => registers.lanes8(step, u8::wrapping_sub),
                Sub16 => registers.lanes16(step, u16::wrapping_sub),
                Sub32 => registers.words(step, u32::wrapping_sub),
                Shll8 => registers.lanes8(step, |a, b| a.wrapping_shl(b.into())),
                Shll16 => registers.lanes16(step, |a, b| a.wrapping_shl(b.into())),
                Shll32 => registers.words(step, u32::wrapping_shl),
                Shrl8 => registers.lanes8(step, |a, b| a.wrapping_shr(b.into())),
                Shrl16 => registers.lanes16(step, |a, b| a.wrapping_shr(b.into())),
                Shrl32 => registers.words(step, u32::wrapping_shr),
                Shra8 => registers.lanes8(step, |a, b| (a as i8).wrapping_shr(b.into()) as u8),
                Shra16 => registers.lanes16(step, |a, b| (a as i16).wrapping_shr(b.into()) as u16),
                Shra32 => registers.words(step, |a, b| (a as i32).wrapping_shr(b) as u32),
                Rotl8 => registers.lanes8(step, |a, b| a.rotate_left(b.into())),
                Rotl16 => registers.lanes16(step, |a, b| a.rotate_left(b.into())),
                Rotl32 => registers.words(step, u32::rotate_left),
                Mul8 => registers.lanes8(step, u8::wrapping_mul),
                Mul16 => registers.lanes16(step, u16::wrapping_mul),
                Mul32 => registers.words(step, u32::wrapping_mul),
                And => registers.words(step, |a, b| a & b),
                Or => registers.words(step, |a, b| a | b),
                Xor => registers.words(step, |a, b| a ^ b),

                Add8C => registers.wide8(step, |a, b| u16::from(a) + u16::from(b)),
                Add16C => registers.wide16(step, |a, b| u32::from(a) + u32::from(b)),
                Add32C => registers.wide(step, |a, b| u64::from(a) + u64::from(b)),
                Sub8C => registers.wide8(step, |a, b| u16::from(a).wrapping_sub(b.into())),
                Sub16C => registers.wide16(step, |a, b| u32::from(a).wrapping_sub(b.into())),
                Sub32C => registers.wide(step, |a, b| u64::from(a).wrapping_sub(b.into())),
                Mul8C => registers.wide8(step, |a, b| (i16::from(a as i8) * i16::from(b as i8)) as u16),
                Mul16C => registers.wide16(step, |a, b| (i32::from(a as i16) * i32::from(b as i16)) as u32),
                Mul32C => registers.wide(step, |a, b| (i64::from(a as i32) * i64::from(b as i32)) as u64),
                Mulsu8C => registers.wide8(step, |a, b| (i16::from(a as i8) * i16::from(b)) as u16),
                Mulsu16C => registers.wide16(step, |a, b| (i32::from(a as i16) * i32::from(b)) as u32),
                Mulsu32C => registers.wide(step, |a, b| (i64::from(a as i32) * i64::from(b)) as u64),
                Mulu8C => registers.wide8(step, |a, b| u16::from(a) * u16::from(b)),
                Mulu16C => registers.wide16(step, |a, b| u32::from(a) * u32::from(b)),
                Mulu32C => registers.wide(step, |a, b| u64::from(a) * u64::from(b)),

                Add64 => registers.pairs(step, u64::wrapping_add),
                Sub64 => registers.pairs(step, u64::wrapping_sub),
                Shll64 => registers.pairs(step, |a, b| a.wrapping_shl(b as u32)),
                Shrl64 => registers.pairs(step, |a, b| a.wrapping_shr(b as u32)),
                Shra64 => registers.pairs(step, |a, b| (a as i64).wrapping_shr(b as u32) as u64),
                Rotl64 => registers.pairs(step, |a, b| a.rotate_left(b as u32)),
                Rotr64 => registers.pairs(step, |a, b| a.rotate_right(b as u32)),
                Mul64 => registers.pairs(step, u64::wrapping_mul),

                Add64C => registers.wide_pairs(step, |a, b| u128::from(a) + u128::from(b)),
                Sub64C => registers.wide_pairs(step, |a, b| u128::from(a).wrapping_sub(b.into())),
                // Exact products, also of the lowest numbers there are (pitfall 17).
                Mul64C => {
                    registers.wide_pairs(step, |a, b| (i128::from(a as i64) * i128::from(b as i64)) as u128);
                }
                Mulsu64C => registers.wide_pairs(step, |a, b| (i128::from(a as i64) * i128::from(b)) as u128),
                Mulu64C => registers.wide_pairs(step, |a, b| u128::from(a) * u128::from(b)),

                In => registers.put(step, input[usize::from(step.a) % HALF]),
                Memory => {
                    let index = u32::from(step.a).wrapping_add(u32::from(step.b).wrapping_mul(iteration));
                    registers.put(step, memory[index as usize % HALF]);
                }
                Loop => {
                    let number = usize::from(step.a);
                    if program.loops[number].count == 0 {
                        next = program.loops[number].behind;
                    }
                    iterations[number] = 0;
                    iteration = 0;
                }
                // Over the JMP, into the first body.
                IfLikely if registers.word(step.a) & 7 != 0 => next += 1,
                IfRandom if registers.word(step.a) & 1 != 0 => next += 1,
                IfLikely | IfRandom => {}
                Jmp => next = step.to.into(),
                End => {
                    for register in registers.range(step.a, step.b) {
                        let word = &mut output[usize::from(output_position)];
                        *word = word.wrapping_add(*register);
                        output_position = output_position.wrapping_add(1);
                    }
                    // Between two ENDs a program only goes forward, so it is enough to look here.
                    if executed > INSTRUCTION_LIMIT {
                        return Err(TooLong);
                    }
                    if let Some(ended) = program.loops.get(usize::from(step.to)) {
                        let current = &mut iterations[usize::from(step.to)];
                        *current += 1;
                        if *current < ended.count {
                            iteration = *current;
                            next = ended.first;
                        }
                    }
                }
            }
        }
        Ok(executed)
    }
}

/// The halves of a state as words.
fn halves(state: &State) -> [Words; 2] {
    let mut halves = [[0; HALF]; 2];
    for (word, bytes) in halves.as_flattened_mut().iter_mut().zip(state.as_bytes().as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOP_ONCE: u32 = 0x0010_0042;
    const END: u32 = 0x46;

    #[test]
    fn pitfall_17_products_of_the_lowest_signed_numbers_are_exact() {
        // IN 0 to IN 3, then MUL64C and MULSU64C of the pairs (1, 2) and (3, 4).
        let pairs = 2 << 9 | 4 << 20;
        let words = [LOOP_ONCE, 0x40, 0x0010_0040, 0x0020_0040, 0x0030_0040, 61 + pairs, 62 + pairs, END];
        let (mut input, mut output) = ([0; HALF], [0; HALF]);
        (input[1], input[3]) = (1 << 31, 1 << 31);
        let program = Program::decode(&words).unwrap();
        Machine::new().cycle(&program, &[0; HALF], &input, &mut output).unwrap();
        assert_eq!(output[4..8], [0, 0, 0, 1 << 30]);
        assert_eq!(output[8..12], [0, 0, 0, 3 << 30]);
    }

    #[test]
    fn outputs_are_added_around_the_end() {
        // 100 times IN 0, IN 1, IN 2: 300 words of output.
        let words = [0x0640_0042, 0x40, 0x0010_0040, 0x0020_0040, END];
        let mut input = [0; HALF];
        input[..3].copy_from_slice(&[1, 10, 100]);
        let mut output = [1000; HALF];
        let executed =
            Machine::new().cycle(&Program::decode(&words).unwrap(), &[0; HALF], &input, &mut output);
        assert_eq!(executed, Ok(401));
        // Word 256 of the output is word 0 again: the 257th value is an IN 1, the 300th an IN 2.
        assert_eq!(output[..3], [1011, 1110, 1101]);
        assert_eq!(output[43..46], [1110, 1100, 1001]);
    }

    #[test]
    fn a_run_that_fails_leaves_the_state_alone() {
        // A loop of 4095 inside one of 4095.
        let program = Program::decode(&[0xfff0_0042, 0xfff0_0042, 0x40, END, END]).unwrap();
        let mut state = State::init(&[1; 32], 2);
        let before = state.clone();
        let outcome = Machine::new().run(&program, &[0; HALF], &mut state, ITEM_CYCLES);
        assert_eq!(outcome, Err(TooLong));
        assert_eq!(state, before);
    }
}
