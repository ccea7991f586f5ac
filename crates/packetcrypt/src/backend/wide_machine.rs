//! The wide interpreter of RandHash: 32 items at once, every variable a row of 32 words, every instruction carried out
//! on rows.
//!
//! One look at an instruction serves 32 lanes, so nothing has to be compiled. Lanes part only at branches: each
//! body runs if any lane takes it, for all lanes; those that do not take it compute rubbish into rows that nobody
//! reads, since the variables of a body end with it. What differs per lane is how much it has put out: each lane
//! has an output log of its own and a position in it. After the cycle the logs are added into the states, 256
//! words at a time. `docs/performance.md`, "RandHash", has the figures.
//!
//! Here is what does not depend on the width of registers. A backend has the operations, and what turns rows round;
//! [`wide_interpreter`] makes the interpreter of both, compiled with the backend's instructions.

#![allow(clippy::inline_always, reason = "only inside of a backend are they compiled with its instructions")]

use super::kernels::ITEM_LANES as LANES;
use super::states::STATE;
use super::wide_program::{Step, WINDOWS, WideProgram};
use crate::instruction::PROGRAM_LENGTH_MAX;
use crate::rand_hash::HALF;

/// Most rows that a backend turns round at a time.
pub(crate) const BLOCK: usize = 16;

/// One word of each lane.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Row(pub [u32; LANES]);

impl Row {
    const ZERO: Self = Self([0; LANES]);
}

/// A register: words of some neighbouring lanes.
///
/// # Safety
/// Every pattern of bits is a value, and a row is some whole registers.
pub(crate) unsafe trait Register: Copy {}

#[cfg(target_arch = "x86_64")]
// SAFETY: a vector of 32 bytes, a quarter of a row.
unsafe impl Register for core::arch::x86_64::__m256i {}
#[cfg(target_arch = "x86_64")]
// SAFETY: a vector of 64 bytes, half of a row.
unsafe impl Register for core::arch::x86_64::__m512i {}

/// The buffers, reused from run to run.
pub(crate) struct WideMachine {
    /// Variables, then constants.
    rows: Vec<Row>,
    /// The input half of the states, word by word.
    pub input: Box<[Row; HALF]>,
    /// An output log for each lane, one behind the other.
    log: Vec<u32>,
    /// Words between the starts of two logs.
    stride: usize,
    /// Where in `log` each lane goes on.
    pub positions: Row,
    pub iteration: u32,
}

/// Where the lanes' windows into the image begin.
pub(crate) enum Windows {
    /// Each one word behind the one before.
    Consecutive(usize),
    Scattered(Row),
}

impl Windows {
    #[inline(always)]
    fn of(numbers: &[usize; LANES]) -> Self {
        let windows = numbers.map(|number| number % WINDOWS);
        if windows.iter().enumerate().all(|(lane, &window)| window == windows[0] + lane) {
            Self::Consecutive(windows[0])
        } else {
            Self::Scattered(Row(windows.map(|window| window as u32)))
        }
    }
}

/// A word of each lane, from `first` on.
#[inline(always)]
pub(crate) fn words_from(image: &[u32; PROGRAM_LENGTH_MAX], first: usize) -> &[u32; LANES] {
    image[first..].first_chunk().expect("a window ends inside the image")
}

/// What does not change during a cycle.
pub(crate) struct Cycle<'a> {
    pub steps: &'a [Step],
    pub image: &'a [u32; PROGRAM_LENGTH_MAX],
    pub windows: Windows,
}

impl<'a> Cycle<'a> {
    #[inline(always)]
    pub(crate) fn new(
        program: &'a WideProgram,
        image: &'a [u32; PROGRAM_LENGTH_MAX],
        numbers: &[usize; LANES],
    ) -> Self {
        Self { steps: &program.steps, image, windows: Windows::of(numbers) }
    }
}

impl Default for WideMachine {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            input: vec![Row::ZERO; HALF].try_into().expect("a vector of that length"),
            log: Vec::new(),
            stride: 0,
            positions: Row::ZERO,
            iteration: 0,
        }
    }
}

impl WideMachine {
    /// Room for a program's rows and logs, and its constants in place.
    #[inline(always)]
    pub(crate) fn prepare(&mut self, program: &WideProgram) {
        let rows = program.variables + program.constants.len();
        // Scope ends turn round whole blocks of rows, also where fewer belong to the scope.
        if self.rows.len() < rows + BLOCK {
            self.rows.resize(rows + BLOCK, Row::ZERO);
        }
        for (row, constant) in self.rows[program.variables..].iter_mut().zip(&program.constants) {
            *row = Row([*constant; LANES]);
        }
        // Behind the last word of a log there is room for the rest of a block, and for what lanes that did not
        // take a branch put out in vain.
        self.stride = (program.outputs_max + BLOCK).next_multiple_of(BLOCK) + BLOCK;
        if self.log.len() < self.stride * LANES {
            self.log.resize(self.stride * LANES, 0);
        }
        self.empty_logs();
    }

    #[inline(always)]
    fn empty_logs(&mut self) {
        self.positions = Row(core::array::from_fn(|lane| (lane * self.stride) as u32));
    }

    /// All lanes have the same first half but for word 0, the item's number.
    #[inline(always)]
    pub(crate) fn load_first_input(&mut self, numbers: &[usize; LANES], state: &[u8; STATE]) {
        for (row, bytes) in self.input.iter_mut().zip(state.as_chunks().0) {
            *row = Row([u32::from_le_bytes(*bytes); LANES]);
        }
        self.input[0] = Row(numbers.map(|number| number as u32));
    }

    /// Adds each lane's log into the half of its state that begins at word `first_word`, and empties the logs.
    #[inline(always)]
    pub(crate) fn add_logs(&mut self, states: &mut [[u8; STATE]; LANES], first_word: usize) {
        for (lane, state) in states.iter_mut().enumerate() {
            let start = lane * self.stride;
            let length = self.positions.0[lane] as usize - start;
            let log = &mut self.log[start..start + length.next_multiple_of(BLOCK)];
            // Rubbish behind the end would be added with the last block.
            log[length..].fill(0);
            let (words, _) = state[4 * first_word..4 * (first_word + HALF)].as_chunks_mut();
            for slice in log.chunks(HALF) {
                for (bytes, word) in words.iter_mut().zip(slice) {
                    *bytes = u32::from_le_bytes(*bytes).wrapping_add(*word).to_le_bytes();
                }
            }
        }
        self.empty_logs();
    }

    /// Some rows.
    #[inline(always)]
    pub(crate) fn rows<const COUNT: usize>(&self, first: usize) -> &[Row; COUNT] {
        self.rows[first..].first_chunk().expect("a block of rows")
    }

    #[inline(always)]
    pub(crate) fn row_mut(&mut self, row: u16) -> &mut Row {
        &mut self.rows[usize::from(row)]
    }

    /// Room for `COUNT` words in a lane's log, `offset` words behind its position.
    #[inline(always)]
    pub(crate) fn log_of<const COUNT: usize>(&mut self, lane: usize, offset: usize) -> &mut [u32; COUNT] {
        let at = self.positions.0[lane] as usize + offset;
        self.log[at..].first_chunk_mut().expect("a log has room for a block behind its end")
    }

    /// Which word of a window a MEMORY reads in this iteration.
    #[inline(always)]
    pub(crate) fn memory_index(&self, step: Step) -> usize {
        (u32::from(step.a) + self.iteration * u32::from(step.b)) as usize % HALF
    }

    /// Appends `count` words to the logs of the lanes in `active`, which are there already.
    #[inline(always)]
    pub(crate) fn move_on(&mut self, count: usize, active: u32) {
        for (lane, position) in self.positions.0.iter_mut().enumerate() {
            *position += if active >> lane & 1 == 1 { count as u32 } else { 0 };
        }
    }

    /// The registers of `count` rows from `first` on.
    #[inline(always)]
    fn registers<V: Register>(&mut self, first: usize, count: usize) -> Registers<V> {
        assert!(first + count <= self.rows.len(), "rows of every operand and result");
        // Not of a slice, so that those of several rows can be had at once.
        Registers(self.rows.as_mut_ptr().wrapping_add(first).cast())
    }

    /// Registers of operands A and B (two rows each, from the one below on, if they are pairs) and of `results` rows.
    #[inline(always)]
    fn operands<V: Register>(&mut self, step: Step, rows: usize, results: usize) -> [Registers<V>; 3] {
        let first = |row: u16| usize::from(row) + 1 - rows;
        [
            self.registers(first(step.a), rows),
            self.registers(first(step.b), rows),
            self.registers(step.to.into(), results),
        ]
    }

    /// An operation on the words of A.
    #[inline(always)]
    pub(crate) fn one<V: Register>(&mut self, step: Step, operation: impl Fn(V) -> V) {
        let (a, to) = (self.registers::<V>(step.a.into(), 1), self.registers::<V>(step.to.into(), 1));
        for part in 0..Registers::<V>::OF_ROW {
            to.set(0, part, operation(a.get(0, part)));
        }
    }

    /// An operation on the words of A and B.
    #[inline(always)]
    pub(crate) fn two<V: Register>(&mut self, step: Step, operation: impl Fn(V, V) -> V) {
        let [a, b, to] = self.operands::<V>(step, 1, 1);
        for part in 0..Registers::<V>::OF_ROW {
            to.set(0, part, operation(a.get(0, part), b.get(0, part)));
        }
    }

    /// As [`WideMachine::two`], with low and high words of the results.
    #[inline(always)]
    pub(crate) fn two_wide<V: Register>(&mut self, step: Step, operation: impl Fn(V, V) -> [V; 2]) {
        let [a, b, to] = self.operands::<V>(step, 1, 2);
        for part in 0..Registers::<V>::OF_ROW {
            let [low, high] = operation(a.get(0, part), b.get(0, part));
            to.set(0, part, low);
            to.set(1, part, high);
        }
    }

    /// An operation on 64-bit numbers. `pairs` makes registers of such of low and high words, `words` undoes that.
    #[inline(always)]
    pub(crate) fn pairs<V: Register>(
        &mut self,
        step: Step,
        (pairs, words): (impl Fn(V, V) -> [V; 2], impl Fn(V, V) -> [V; 2]),
        operation: impl Fn(V, V) -> V,
    ) {
        let [a, b, to] = self.operands::<V>(step, 2, 2);
        for part in 0..Registers::<V>::OF_ROW {
            let [a0, a1] = pairs(a.get(0, part), a.get(1, part));
            let [b0, b1] = pairs(b.get(0, part), b.get(1, part));
            let [low, high] = words(operation(a0, b0), operation(a1, b1));
            to.set(0, part, low);
            to.set(1, part, high);
        }
    }

    /// As [`WideMachine::pairs`], with low and high halves of the results.
    #[inline(always)]
    pub(crate) fn pairs_wide<V: Register>(
        &mut self,
        step: Step,
        (pairs, words): (impl Fn(V, V) -> [V; 2], impl Fn(V, V) -> [V; 2]),
        operation: impl Fn(V, V) -> [V; 2],
    ) {
        let [a, b, to] = self.operands::<V>(step, 2, 4);
        for part in 0..Registers::<V>::OF_ROW {
            let [a0, a1] = pairs(a.get(0, part), a.get(1, part));
            let [b0, b1] = pairs(b.get(0, part), b.get(1, part));
            let ([low0, high0], [low1, high1]) = (operation(a0, b0), operation(a1, b1));
            for (half, [low, high]) in [words(low0, low1), words(high0, high1)].into_iter().enumerate() {
                to.set(2 * half, part, low);
                to.set(2 * half + 1, part, high);
            }
        }
    }
}

/// The registers of neighbouring rows of a machine.
#[derive(Clone, Copy)]
struct Registers<V>(*mut V);

impl<V: Register> Registers<V> {
    const OF_ROW: usize = size_of::<Row>() / size_of::<V>();

    #[inline(always)]
    fn get(self, row: usize, part: usize) -> V {
        // SAFETY: inside the rows that `registers` was asked for, and as strictly aligned as a row.
        unsafe { self.0.add(Self::OF_ROW * row + part).read() }
    }

    #[inline(always)]
    fn set(self, row: usize, part: usize, words: V) {
        // SAFETY: as above.
        unsafe { self.0.add(Self::OF_ROW * row + part).write(words) }
    }
}

/// Defines `run`, `scope` and `branch` of a backend with the features `$features`. Beside the module `arithmetic` it must
/// have the functions `load_second_input`, `load_scattered`, `is_set` and `put_out`.
macro_rules! wide_interpreter {
    ($features:literal) => {
        /// The two cycles of an item, for the items `numbers`, on states that are as CC_INIT made them.
        #[target_feature(enable = $features)]
        pub(super) fn run(
            machine: &mut WideMachine,
            program: &WideProgram,
            image: &[u32; PROGRAM_LENGTH_MAX],
            numbers: &[usize; LANES],
            states: &mut [[u8; STATE]; LANES],
        ) {
            machine.prepare(program);
            let cycle = Cycle::new(program, image, numbers);
            machine.load_first_input(numbers, &states[0]);
            scope(machine, &cycle, 0, u32::MAX);
            machine.add_logs(states, HALF);
            load_second_input(machine, states);
            scope(machine, &cycle, 0, u32::MAX);
            machine.add_logs(states, 0);
        }

        /// Runs from `position` to the END of its scope (from 0: to the end of the program) and gives the position
        /// behind it. Only the lanes in `active` put something out.
        #[target_feature(enable = $features)]
        fn scope(machine: &mut WideMachine, cycle: &Cycle<'_>, position: usize, active: u32) -> usize {
            use arithmetic as op;
            let order = (|low, high| op::pairs_of_words(low, high), |a, b| op::words_of_pairs(a, b));
            let mut at = position;
            while let Some(&step) = cycle.steps.get(at) {
                at += 1;
                match step.opcode {
                    Opcode::Popcnt8 => machine.one(step, |a| op::popcnt8(a)),
                    Opcode::Popcnt16 => machine.one(step, |a| op::popcnt16(a)),
                    Opcode::Popcnt32 => machine.one(step, |a| op::popcnt32(a)),
                    Opcode::Clz8 => machine.one(step, |a| op::clz8(a)),
                    Opcode::Clz16 => machine.one(step, |a| op::clz16(a)),
                    Opcode::Clz32 => machine.one(step, |a| op::clz32(a)),
                    Opcode::Ctz8 => machine.one(step, |a| op::ctz8(a)),
                    Opcode::Ctz16 => machine.one(step, |a| op::ctz16(a)),
                    Opcode::Ctz32 => machine.one(step, |a| op::ctz32(a)),
                    Opcode::Bswap16 => machine.one(step, |a| op::bswap16(a)),
                    Opcode::Bswap32 => machine.one(step, |a| op::bswap32(a)),

                    Opcode::Add8 => machine.two(step, |a, b| op::add8(a, b)),
                    Opcode::Add16 => machine.two(step, |a, b| op::add16(a, b)),
                    Opcode::Add32 => machine.two(step, |a, b| op::add32(a, b)),
                    Opcode::Sub8 => machine.two(step, |a, b| op::sub8(a, b)),
                    Opcode::Sub16 => machine.two(step, |a, b| op::sub16(a, b)),
                    Opcode::Sub32 => machine.two(step, |a, b| op::sub32(a, b)),
                    Opcode::Shll8 => machine.two(step, |a, b| op::shll8(a, b)),
                    Opcode::Shll16 => machine.two(step, |a, b| op::shll16(a, b)),
                    Opcode::Shll32 => machine.two(step, |a, b| op::shll32(a, b)),
                    Opcode::Shrl8 => machine.two(step, |a, b| op::shrl8(a, b)),
                    Opcode::Shrl16 => machine.two(step, |a, b| op::shrl16(a, b)),
                    Opcode::Shrl32 => machine.two(step, |a, b| op::shrl32(a, b)),
                    Opcode::Shra8 => machine.two(step, |a, b| op::shra8(a, b)),
                    Opcode::Shra16 => machine.two(step, |a, b| op::shra16(a, b)),
                    Opcode::Shra32 => machine.two(step, |a, b| op::shra32(a, b)),
                    Opcode::Rotl8 => machine.two(step, |a, b| op::rotl8(a, b)),
                    Opcode::Rotl16 => machine.two(step, |a, b| op::rotl16(a, b)),
                    Opcode::Rotl32 => machine.two(step, |a, b| op::rotl32(a, b)),
                    Opcode::Mul8 => machine.two(step, |a, b| op::mul8(a, b)),
                    Opcode::Mul16 => machine.two(step, |a, b| op::mul16(a, b)),
                    Opcode::Mul32 => machine.two(step, |a, b| op::mul32(a, b)),
                    Opcode::And => machine.two(step, |a, b| op::and(a, b)),
                    Opcode::Or => machine.two(step, |a, b| op::or(a, b)),
                    Opcode::Xor => machine.two(step, |a, b| op::xor(a, b)),

                    Opcode::Add8C => machine.two_wide(step, |a, b| op::add8c(a, b)),
                    Opcode::Add16C => machine.two_wide(step, |a, b| op::add16c(a, b)),
                    Opcode::Add32C => machine.two_wide(step, |a, b| op::add32c(a, b)),
                    Opcode::Sub8C => machine.two_wide(step, |a, b| op::sub8c(a, b)),
                    Opcode::Sub16C => machine.two_wide(step, |a, b| op::sub16c(a, b)),
                    Opcode::Sub32C => machine.two_wide(step, |a, b| op::sub32c(a, b)),
                    Opcode::Mul8C => machine.two_wide(step, |a, b| op::mul8c(a, b)),
                    Opcode::Mul16C => machine.two_wide(step, |a, b| op::mul16c(a, b)),
                    Opcode::Mul32C => machine.two_wide(step, |a, b| op::mul32c(a, b)),
                    Opcode::Mulsu8C => machine.two_wide(step, |a, b| op::mulsu8c(a, b)),
                    Opcode::Mulsu16C => machine.two_wide(step, |a, b| op::mulsu16c(a, b)),
                    Opcode::Mulsu32C => machine.two_wide(step, |a, b| op::mulsu32c(a, b)),
                    Opcode::Mulu8C => machine.two_wide(step, |a, b| op::mulu8c(a, b)),
                    Opcode::Mulu16C => machine.two_wide(step, |a, b| op::mulu16c(a, b)),
                    Opcode::Mulu32C => machine.two_wide(step, |a, b| op::mulu32c(a, b)),

                    Opcode::Add64 => machine.pairs(step, order, |a, b| op::add64(a, b)),
                    Opcode::Sub64 => machine.pairs(step, order, |a, b| op::sub64(a, b)),
                    Opcode::Shll64 => machine.pairs(step, order, |a, b| op::shll64(a, b)),
                    Opcode::Shrl64 => machine.pairs(step, order, |a, b| op::shrl64(a, b)),
                    Opcode::Shra64 => machine.pairs(step, order, |a, b| op::shra64(a, b)),
                    Opcode::Rotl64 => machine.pairs(step, order, |a, b| op::rotl64(a, b)),
                    Opcode::Rotr64 => machine.pairs(step, order, |a, b| op::rotr64(a, b)),
                    Opcode::Mul64 => machine.pairs(step, order, |a, b| op::mul64(a, b)),

                    Opcode::Add64C => machine.pairs_wide(step, order, |a, b| op::add64c(a, b)),
                    Opcode::Sub64C => machine.pairs_wide(step, order, |a, b| op::sub64c(a, b)),
                    Opcode::Mul64C => machine.pairs_wide(step, order, |a, b| op::mul64c(a, b)),
                    Opcode::Mulsu64C => machine.pairs_wide(step, order, |a, b| op::mulsu64c(a, b)),
                    Opcode::Mulu64C => machine.pairs_wide(step, order, |a, b| op::mulu64c(a, b)),

                    Opcode::In => *machine.row_mut(step.to) = machine.input[usize::from(step.a)],
                    Opcode::Memory => {
                        let index = machine.memory_index(step);
                        let row = match &cycle.windows {
                            Windows::Consecutive(first) => Row(*words_from(cycle.image, first + index)),
                            Windows::Scattered(windows) => load_scattered(cycle.image, windows, index),
                        };
                        *machine.row_mut(step.to) = row;
                    }
                    Opcode::Loop => {
                        let body = at;
                        for iteration in 0..u32::from(step.a) {
                            machine.iteration = iteration;
                            at = scope(machine, cycle, body, active);
                        }
                    }
                    Opcode::IfLikely => at = branch(machine, cycle, at, step, 7, active),
                    Opcode::IfRandom => at = branch(machine, cycle, at, step, 1, active),
                    // Stepped over with the body that it leads to.
                    Opcode::Jmp => {}
                    Opcode::End => {
                        put_out(machine, step.a.into(), step.b.into(), active);
                        break;
                    }
                }
            }
            at
        }

        /// Runs each body of a branch that any active lane takes: the first where the condition has one of `bits`.
        #[target_feature(enable = $features)]
        fn branch(
            machine: &mut WideMachine,
            cycle: &Cycle<'_>,
            jump: usize,
            step: Step,
            bits: u32,
            active: u32,
        ) -> usize {
            let taken = is_set(machine.row_mut(step.a), bits);
            if active & taken != 0 {
                scope(machine, cycle, jump + 1, active & taken);
            }
            if active & !taken != 0 {
                scope(machine, cycle, step.b.into(), active & !taken);
            }
            step.to.into()
        }
    };
}
pub(crate) use wide_interpreter;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction::Opcode;

    /// A register that every processor has, so that tools without vectors can watch what the machine does to memory.
    type Eight = [u32; 8];

    // SAFETY: eight words, a quarter of a row.
    unsafe impl Register for Eight {}

    const VARIABLES: usize = 8;

    fn machine() -> WideMachine {
        let mut machine = WideMachine::default();
        let constants = vec![3, 0];
        machine.prepare(&WideProgram { steps: Vec::new(), variables: VARIABLES, constants, outputs_max: 40 });
        for row in 0..VARIABLES as u16 {
            *machine.row_mut(row) = Row(core::array::from_fn(|lane| 100 * u32::from(row) + lane as u32));
        }
        machine
    }

    fn step(a: u16, b: u16, to: u16) -> Step {
        Step { opcode: Opcode::Add32, a, b, to }
    }

    fn sum(a: Eight, b: Eight) -> Eight {
        core::array::from_fn(|k| a[k] + b[k])
    }

    /// Numbers of 64 bits, four to a register, in another order than the words they are made of.
    fn pairs(low: Eight, high: Eight) -> [Eight; 2] {
        let half = |first: usize| {
            core::array::from_fn(|k| if k % 2 == 0 { low[first + k / 2] } else { high[first + k / 2] })
        };
        [half(0), half(4)]
    }

    fn words(first: Eight, second: Eight) -> [Eight; 2] {
        let part = |odd: usize| {
            core::array::from_fn(|k| if k < 4 { first[2 * k + odd] } else { second[2 * k - 8 + odd] })
        };
        [part(0), part(1)]
    }

    #[test]
    fn operations_read_the_rows_they_name_and_write_their_results_and_no_others() {
        let row = |row: u32| -> [u32; LANES] { core::array::from_fn(|lane| 100 * row + lane as u32) };
        let twice = |row: u32| -> [u32; LANES] { core::array::from_fn(|lane| 2 * (100 * row + lane as u32)) };
        let mut machine = machine();
        machine.one::<Eight>(step(1, 0, 4), |a| sum(a, a));
        assert_eq!(machine.rows::<1>(4)[0].0, twice(1));
        machine.two::<Eight>(step(0, VARIABLES as u16, 5), sum);
        assert_eq!(machine.rows::<1>(5)[0].0, row(0).map(|word| word + 3));
        machine.two_wide::<Eight>(step(2, 3, 6), |a, b| [b, a]);
        assert_eq!(machine.rows::<2>(6).map(|row| row.0), [row(3), row(2)]);
        machine.pairs::<Eight>(step(1, 3, 4), (pairs, words), sum);
        let expected =
            [(0, 2), (1, 3)].map(|(a, b)| core::array::from_fn(|lane| row(a)[lane] + row(b)[lane]));
        assert_eq!(machine.rows::<2>(4).map(|row| row.0), expected);
        machine.pairs_wide::<Eight>(step(1, 3, 4), (pairs, words), |a, b| [a, b]);
        assert_eq!(machine.rows::<4>(4).map(|row| row.0), [row(0), row(1), row(2), row(3)]);
        assert_eq!(machine.rows::<4>(0).map(|row| row.0), [row(0), row(1), row(2), row(3)]);
    }

    #[test]
    fn logs_are_added_lane_by_lane_as_far_as_each_has_come() {
        let mut machine = machine();
        for words in [40, 1] {
            for lane in 0..LANES {
                for offset in (0..words).step_by(BLOCK) {
                    machine.log_of::<BLOCK>(lane, offset).fill(lane as u32 + 1);
                }
            }
            machine.move_on(words, 0x8000_0001);
        }
        let mut states = vec![[0; STATE]; LANES];
        machine.add_logs(states.as_mut_slice().try_into().unwrap(), HALF);
        for (lane, state) in states.iter().enumerate() {
            let put_out = if lane == 0 || lane == LANES - 1 { 41 } else { 0 };
            for (place, bytes) in state.as_chunks().0.iter().enumerate() {
                let is_there = (HALF..HALF + put_out).contains(&place);
                let expected = if is_there { lane as u32 + 1 } else { 0 };
                assert_eq!(u32::from_le_bytes(*bytes), expected, "lane {lane}, word {place}");
            }
        }
    }
}
