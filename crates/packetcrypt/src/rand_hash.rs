//! RandHash: running a program over a state.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 5. A program is decoded once and then run many times. Decoding
//! takes out what is the same in every run: since scopes nest and close in the order of the words, every variable has
//! a fixed place, and so operands become places, whether registers or immediate numbers.

mod arithmetic;
mod program;

pub use program::{MalformedProgram, Program};

use crate::crypto_cycle::{STATE_SIZE, State};
use crate::instruction::Opcode;
use arithmetic::{lanes8, lanes16, map8, map16, signed8, signed16, wide8, wide16};
use program::{CONSTANTS, PLACES, Step};

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
#[derive(Debug)]
pub struct Machine {
    /// Registers from 0, immediate numbers from [`CONSTANTS`].
    places: Box<[u32; PLACES]>,
    /// For each loop of the program, the iteration that it is in.
    iterations: Vec<u32>,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// A machine with empty buffers.
    pub fn new() -> Self {
        let places = vec![0; PLACES].try_into().expect("a vector of that length");
        Self { places, iterations: Vec::new() }
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

        self.places[CONSTANTS..CONSTANTS + program.constants.len()].copy_from_slice(&program.constants);
        self.iterations.resize(program.loops.len(), 0);
        let places = &mut *self.places;
        let (mut next, mut executed, mut iteration) = (0, 0, 0u32);
        let mut output_position = 0u8;

        while let Some(&step) = program.steps.get(next) {
            next += 1;
            executed += 1;
            let (a, b) = (read(places, step.a), read(places, step.b));
            match step.opcode {
                Popcnt8 => put(places, step, map8(a, |a| a.count_ones() as u8)),
                Popcnt16 => put(places, step, map16(a, |a| a.count_ones() as u16)),
                Popcnt32 => put(places, step, a.count_ones()),
                Clz8 => put(places, step, map8(a, |a| a.leading_zeros() as u8)),
                Clz16 => put(places, step, map16(a, |a| a.leading_zeros() as u16)),
                Clz32 => put(places, step, a.leading_zeros()),
                Ctz8 => put(places, step, map8(a, |a| a.trailing_zeros() as u8)),
                Ctz16 => put(places, step, map16(a, |a| a.trailing_zeros() as u16)),
                Ctz32 => put(places, step, a.trailing_zeros()),
                Bswap16 => put(places, step, map16(a, u16::swap_bytes)),
                Bswap32 => put(places, step, a.swap_bytes()),

                Add8 => put(places, step, lanes8(a, b, u8::wrapping_add)),
                Add16 => put(places, step, lanes16(a, b, u16::wrapping_add)),
                Add32 => put(places, step, a.wrapping_add(b)),
                Sub8 => put(places, step, lanes8(a, b, u8::wrapping_sub)),
                Sub16 => put(places, step, lanes16(a, b, u16::wrapping_sub)),
                Sub32 => put(places, step, a.wrapping_sub(b)),
                Shll8 => put(places, step, lanes8(a, b, |a, b| a.wrapping_shl(b.into()))),
                Shll16 => put(places, step, lanes16(a, b, |a, b| a.wrapping_shl(b.into()))),
                Shll32 => put(places, step, a.wrapping_shl(b)),
                Shrl8 => put(places, step, lanes8(a, b, |a, b| a.wrapping_shr(b.into()))),
                Shrl16 => put(places, step, lanes16(a, b, |a, b| a.wrapping_shr(b.into()))),
                Shrl32 => put(places, step, a.wrapping_shr(b)),
                Shra8 => put(places, step, lanes8(a, b, |a, b| (a as i8).wrapping_shr(b.into()) as u8)),
                Shra16 => put(places, step, lanes16(a, b, |a, b| (a as i16).wrapping_shr(b.into()) as u16)),
                Shra32 => put(places, step, (a as i32).wrapping_shr(b) as u32),
                Rotl8 => put(places, step, lanes8(a, b, |a, b| a.rotate_left(b.into()))),
                Rotl16 => put(places, step, lanes16(a, b, |a, b| a.rotate_left(b.into()))),
                Rotl32 => put(places, step, a.rotate_left(b)),
                Mul8 => put(places, step, lanes8(a, b, u8::wrapping_mul)),
                Mul16 => put(places, step, lanes16(a, b, u16::wrapping_mul)),
                Mul32 => put(places, step, a.wrapping_mul(b)),
                And => put(places, step, a & b),
                Or => put(places, step, a | b),
                Xor => put(places, step, a ^ b),

                Add8C => put2(places, step, wide8(a, b, |a, b| u16::from(a) + u16::from(b))),
                Add16C => put2(places, step, wide16(a, b, |a, b| u32::from(a) + u32::from(b))),
                Add32C => put2(places, step, u64::from(a) + u64::from(b)),
                Sub8C => put2(places, step, wide8(a, b, |a, b| u16::from(a).wrapping_sub(b.into()))),
                Sub16C => put2(places, step, wide16(a, b, |a, b| u32::from(a).wrapping_sub(b.into()))),
                Sub32C => put2(places, step, u64::from(a).wrapping_sub(b.into())),
                Mul8C => put2(places, step, wide8(a, b, |a, b| (signed8(a) * signed8(b)) as u16)),
                Mul16C => put2(places, step, wide16(a, b, |a, b| (signed16(a) * signed16(b)) as u32)),
                Mul32C => put2(places, step, (i64::from(a as i32) * i64::from(b as i32)) as u64),
                Mulsu8C => put2(places, step, wide8(a, b, |a, b| (signed8(a) * i16::from(b)) as u16)),
                Mulsu16C => put2(places, step, wide16(a, b, |a, b| (signed16(a) * i32::from(b)) as u32)),
                Mulsu32C => put2(places, step, (i64::from(a as i32) * i64::from(b)) as u64),
                Mulu8C => put2(places, step, wide8(a, b, |a, b| u16::from(a) * u16::from(b))),
                Mulu16C => put2(places, step, wide16(a, b, |a, b| u32::from(a) * u32::from(b))),
                Mulu32C => put2(places, step, u64::from(a) * u64::from(b)),

                Add64 => pairs(places, step, u64::wrapping_add),
                Sub64 => pairs(places, step, u64::wrapping_sub),
                Shll64 => pairs(places, step, |a, b| a.wrapping_shl(b as u32)),
                Shrl64 => pairs(places, step, |a, b| a.wrapping_shr(b as u32)),
                Shra64 => pairs(places, step, |a, b| (a as i64).wrapping_shr(b as u32) as u64),
                Rotl64 => pairs(places, step, |a, b| a.rotate_left(b as u32)),
                Rotr64 => pairs(places, step, |a, b| a.rotate_right(b as u32)),
                Mul64 => pairs(places, step, u64::wrapping_mul),

                Add64C => wide_pairs(places, step, |a, b| u128::from(a) + u128::from(b)),
                Sub64C => wide_pairs(places, step, |a, b| u128::from(a).wrapping_sub(b.into())),
                // The exact product, also where both factors are the lowest number (pitfall 17).
                Mul64C => {
                    wide_pairs(places, step, |a, b| (i128::from(a as i64) * i128::from(b as i64)) as u128);
                }
                Mulsu64C => wide_pairs(places, step, |a, b| (i128::from(a as i64) * i128::from(b)) as u128),
                Mulu64C => wide_pairs(places, step, |a, b| u128::from(a) * u128::from(b)),

                In => put(places, step, input[step.a as usize % HALF]),
                Memory => {
                    let index = u32::from(step.a).wrapping_add(iteration.wrapping_mul(step.b.into()));
                    put(places, step, memory[index as usize % HALF]);
                }

                Loop => {
                    let this = &program.loops[step.a as usize];
                    self.iterations[step.a as usize] = 0;
                    iteration = 0;
                    if this.count == 0 {
                        next = this.behind;
                    }
                }
                IfLikely if a & 7 != 0 => next += 1,
                IfRandom if a & 1 != 0 => next += 1,
                IfLikely | IfRandom => {}
                Jmp => next = step.to.into(),
                End => {
                    for place in step.a..step.b {
                        let word = &mut output[usize::from(output_position)];
                        *word = word.wrapping_add(read(places, place));
                        output_position = output_position.wrapping_add(1);
                    }
                    if executed > INSTRUCTION_LIMIT {
                        return Err(TooLong);
                    }
                    if let Some(this) = program.loop_ended_by(step) {
                        let current = &mut self.iterations[step.to as usize];
                        *current += 1;
                        if *current < this.count {
                            iteration = *current;
                            next = this.first;
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

type Places = [u32; PLACES];

fn read(places: &Places, place: u16) -> u32 {
    places[usize::from(place) % PLACES]
}

/// The 64-bit number whose high word is at `place`.
fn read_pair(places: &Places, place: u16) -> u64 {
    u64::from(read(places, place)) << 32 | u64::from(read(places, place.wrapping_sub(1)))
}

fn put(places: &mut Places, step: Step, word: u32) {
    places[usize::from(step.to) % PLACES] = word;
}

fn put2(places: &mut Places, step: Step, number: u64) {
    put(places, step, number as u32);
    places[(usize::from(step.to) + 1) % PLACES] = (number >> 32) as u32;
}

fn pairs(places: &mut Places, step: Step, operation: impl Fn(u64, u64) -> u64) {
    let number = operation(read_pair(places, step.a), read_pair(places, step.b));
    put2(places, step, number);
}

fn wide_pairs(places: &mut Places, step: Step, operation: impl Fn(u64, u64) -> u128) {
    let number = operation(read_pair(places, step.a), read_pair(places, step.b));
    for word in 0..4 {
        places[(usize::from(step.to) + word) % PLACES] = (number >> (32 * word)) as u32;
    }
}
