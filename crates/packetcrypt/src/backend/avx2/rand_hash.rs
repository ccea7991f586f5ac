//! RandHash of 32 items at once: every variable a row of 32 words, every instruction carried out on rows.
//!
//! The mirror of the AVX-512 backend's, with four registers to a row; its head says how lanes part at branches and why
//! outputs go to logs. `docs/performance.md`, "RandHash", has the figures.

mod arithmetic;

use core::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_ps,
    _mm256_castsi256_si128, _mm256_cmpeq_epi32, _mm256_extracti128_si256, _mm256_load_si256,
    _mm256_loadu_si256, _mm256_movemask_ps, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_store_si256,
    _mm256_storeu_si256, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32,
    _mm256_unpacklo_epi64,
};

use super::chacha20::{LANES, transposed};
use crate::backend::kernels::ITEM_LANES;
use crate::backend::states::STATE;
use crate::backend::wide_program::{Step, WINDOWS, WideProgram};
use crate::instruction::{Opcode, PROGRAM_LENGTH_MAX};
use crate::rand_hash::HALF;

/// Registers of a row.
const PARTS: usize = ITEM_LANES / LANES;

/// One word of each lane.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Row([[u32; LANES]; PARTS]);

impl Row {
    const ZERO: Self = Self([[0; LANES]; PARTS]);

    /// The same word in every lane.
    fn splat(word: u32) -> Self {
        Self([[word; LANES]; PARTS])
    }

    /// Eight lanes.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn load(&self, part: usize) -> __m256i {
        // SAFETY: 32 bytes; rows are aligned to 64.
        unsafe { _mm256_load_si256(self.0[part].as_ptr().cast()) }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn store(&mut self, part: usize, words: __m256i) {
        // SAFETY: 32 bytes; rows are aligned to 64.
        unsafe { _mm256_store_si256(self.0[part].as_mut_ptr().cast(), words) }
    }
}

/// The buffers of the wide interpreter, reused from run to run.
pub(crate) struct WideMachine {
    /// Variables, then constants.
    rows: Vec<Row>,
    /// The input half of the states, word by word.
    input: Box<[Row; HALF]>,
    /// An output log for each lane, one behind the other.
    log: Vec<u32>,
    /// Words between the starts of two logs.
    stride: usize,
    positions: [u32; ITEM_LANES],
    iteration: u32,
}

/// Where the lanes' windows into the image begin.
enum Windows {
    /// Each one word behind the one before.
    Consecutive(usize),
    Scattered([u16; ITEM_LANES]),
}

/// What does not change during a cycle.
struct Cycle<'a> {
    steps: &'a [Step],
    image: &'a [u32; PROGRAM_LENGTH_MAX],
    windows: Windows,
}

impl Default for WideMachine {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            input: vec![Row::ZERO; HALF].try_into().expect("a vector of that length"),
            log: Vec::new(),
            stride: 0,
            positions: [0; ITEM_LANES],
            iteration: 0,
        }
    }
}

impl WideMachine {
    /// The two cycles of an item, for the items `numbers`, on states that are as CC_INIT made them.
    #[target_feature(enable = "avx2")]
    pub(super) fn run(
        &mut self,
        program: &WideProgram,
        image: &[u32; PROGRAM_LENGTH_MAX],
        numbers: &[usize; ITEM_LANES],
        states: &mut [[u8; STATE]; ITEM_LANES],
    ) {
        self.prepare(program);
        let windows = numbers.map(|number| number % WINDOWS);
        let consecutive = windows.iter().enumerate().all(|(lane, &window)| window == windows[0] + lane);
        let windows = if consecutive {
            Windows::Consecutive(windows[0])
        } else {
            Windows::Scattered(windows.map(|window| window as u16))
        };
        let cycle = Cycle { steps: &program.steps, image, windows };
        self.load_first_input(numbers, &states[0]);
        self.scope(&cycle, 0, u32::MAX);
        self.add_logs(states, HALF);
        self.load_second_input(states);
        self.scope(&cycle, 0, u32::MAX);
        self.add_logs(states, 0);
    }

    /// Room for a program's rows and logs, and its constants in place.
    fn prepare(&mut self, program: &WideProgram) {
        let rows = program.variables + program.constants.len();
        // Scope ends transpose whole blocks of eight rows, also where fewer belong to the scope.
        if self.rows.len() < rows + LANES {
            self.rows.resize(rows + LANES, Row::ZERO);
        }
        for (row, constant) in self.rows[program.variables..].iter_mut().zip(&program.constants) {
            *row = Row::splat(*constant);
        }
        // Behind the last word of a log there is room for the rest of a block, and for what lanes that did not
        // take a branch put out in vain.
        self.stride = (program.outputs_max + LANES).next_multiple_of(LANES) + LANES;
        if self.log.len() < self.stride * ITEM_LANES {
            self.log.resize(self.stride * ITEM_LANES, 0);
        }
        self.positions = [0; ITEM_LANES];
    }

    /// All lanes have the same first half but for word 0, the item's number.
    fn load_first_input(&mut self, numbers: &[usize; ITEM_LANES], state: &[u8; STATE]) {
        for (row, bytes) in self.input.iter_mut().zip(state.as_chunks().0) {
            *row = Row::splat(u32::from_le_bytes(*bytes));
        }
        for (word, number) in self.input[0].0.as_flattened_mut().iter_mut().zip(numbers) {
            *word = *number as u32;
        }
    }

    #[target_feature(enable = "avx2")]
    fn load_second_input(&mut self, states: &[[u8; STATE]; ITEM_LANES]) {
        for (part, states) in states.as_chunks::<LANES>().0.iter().enumerate() {
            for (block, rows) in self.input.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                let words = transposed(|lane, half| {
                    let bytes = &states[lane][STATE / 2 + 32 * block + 16 * half..][..16];
                    // SAFETY: 16 bytes, any alignment.
                    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
                });
                for (row, word) in rows.iter_mut().zip(words) {
                    row.store(part, word);
                }
            }
        }
    }

    /// Adds each lane's log into the half of its state that begins at word `first_word`, and empties the logs.
    #[target_feature(enable = "avx2")]
    fn add_logs(&mut self, states: &mut [[u8; STATE]; ITEM_LANES], first_word: usize) {
        for (lane, state) in states.iter_mut().enumerate() {
            let length = self.positions[lane] as usize;
            let log = &mut self.log[lane * self.stride..];
            // Rubbish behind the end would be added with the last block.
            log[length..length.next_multiple_of(LANES)].fill(0);
            let half = &mut state[4 * first_word..4 * (first_word + HALF)];
            for slice in log[..length.next_multiple_of(LANES)].chunks(HALF) {
                for (bytes, words) in half.chunks_exact_mut(32).zip(slice.chunks_exact(LANES)) {
                    // SAFETY: both are 32 bytes, any alignment.
                    unsafe {
                        let sum = _mm256_add_epi32(
                            _mm256_loadu_si256(bytes.as_ptr().cast()),
                            _mm256_loadu_si256(words.as_ptr().cast()),
                        );
                        _mm256_storeu_si256(bytes.as_mut_ptr().cast(), sum);
                    }
                }
            }
        }
        self.positions = [0; ITEM_LANES];
    }

    /// Runs from `position` to the END of its scope (from 0: to the end of the program) and gives the position
    /// behind it. Only the lanes in `active` put something out.
    #[target_feature(enable = "avx2")]
    fn scope(&mut self, cycle: &Cycle<'_>, position: usize, active: u32) -> usize {
        use arithmetic as op;
        let mut at = position;
        while let Some(&step) = cycle.steps.get(at) {
            at += 1;
            match step.opcode {
                Opcode::Popcnt8 => self.one(step, |a| op::popcnt8(a)),
                Opcode::Popcnt16 => self.one(step, |a| op::popcnt16(a)),
                Opcode::Popcnt32 => self.one(step, |a| op::popcnt32(a)),
                Opcode::Clz8 => self.one(step, |a| op::clz8(a)),
                Opcode::Clz16 => self.one(step, |a| op::clz16(a)),
                Opcode::Clz32 => self.one(step, |a| op::clz32(a)),
                Opcode::Ctz8 => self.one(step, |a| op::ctz8(a)),
                Opcode::Ctz16 => self.one(step, |a| op::ctz16(a)),
                Opcode::Ctz32 => self.one(step, |a| op::ctz32(a)),
                Opcode::Bswap16 => self.one(step, |a| op::bswap16(a)),
                Opcode::Bswap32 => self.one(step, |a| op::bswap32(a)),

                Opcode::Add8 => self.two(step, |a, b| op::add8(a, b)),
                Opcode::Add16 => self.two(step, |a, b| op::add16(a, b)),
                Opcode::Add32 => self.two(step, |a, b| op::add32(a, b)),
                Opcode::Sub8 => self.two(step, |a, b| op::sub8(a, b)),
                Opcode::Sub16 => self.two(step, |a, b| op::sub16(a, b)),
                Opcode::Sub32 => self.two(step, |a, b| op::sub32(a, b)),
                Opcode::Shll8 => self.two(step, |a, b| op::shll8(a, b)),
                Opcode::Shll16 => self.two(step, |a, b| op::shll16(a, b)),
                Opcode::Shll32 => self.two(step, |a, b| op::shll32(a, b)),
                Opcode::Shrl8 => self.two(step, |a, b| op::shrl8(a, b)),
                Opcode::Shrl16 => self.two(step, |a, b| op::shrl16(a, b)),
                Opcode::Shrl32 => self.two(step, |a, b| op::shrl32(a, b)),
                Opcode::Shra8 => self.two(step, |a, b| op::shra8(a, b)),
                Opcode::Shra16 => self.two(step, |a, b| op::shra16(a, b)),
                Opcode::Shra32 => self.two(step, |a, b| op::shra32(a, b)),
                Opcode::Rotl8 => self.two(step, |a, b| op::rotl8(a, b)),
                Opcode::Rotl16 => self.two(step, |a, b| op::rotl16(a, b)),
                Opcode::Rotl32 => self.two(step, |a, b| op::rotl32(a, b)),
                Opcode::Mul8 => self.two(step, |a, b| op::mul8(a, b)),
                Opcode::Mul16 => self.two(step, |a, b| op::mul16(a, b)),
                Opcode::Mul32 => self.two(step, |a, b| op::mul32(a, b)),
                Opcode::And => self.two(step, |a, b| op::and(a, b)),
                Opcode::Or => self.two(step, |a, b| op::or(a, b)),
                Opcode::Xor => self.two(step, |a, b| op::xor(a, b)),

                Opcode::Add8C => self.two_wide(step, |a, b| op::add8c(a, b)),
                Opcode::Add16C => self.two_wide(step, |a, b| op::add16c(a, b)),
                Opcode::Add32C => self.two_wide(step, |a, b| op::add32c(a, b)),
                Opcode::Sub8C => self.two_wide(step, |a, b| op::sub8c(a, b)),
                Opcode::Sub16C => self.two_wide(step, |a, b| op::sub16c(a, b)),
                Opcode::Sub32C => self.two_wide(step, |a, b| op::sub32c(a, b)),
                Opcode::Mul8C => self.two_wide(step, |a, b| op::mul8c(a, b)),
                Opcode::Mul16C => self.two_wide(step, |a, b| op::mul16c(a, b)),
                Opcode::Mul32C => self.two_wide(step, |a, b| op::mul32c(a, b)),
                Opcode::Mulsu8C => self.two_wide(step, |a, b| op::mulsu8c(a, b)),
                Opcode::Mulsu16C => self.two_wide(step, |a, b| op::mulsu16c(a, b)),
                Opcode::Mulsu32C => self.two_wide(step, |a, b| op::mulsu32c(a, b)),
                Opcode::Mulu8C => self.two_wide(step, |a, b| op::mulu8c(a, b)),
                Opcode::Mulu16C => self.two_wide(step, |a, b| op::mulu16c(a, b)),
                Opcode::Mulu32C => self.two_wide(step, |a, b| op::mulu32c(a, b)),

                Opcode::Add64 => self.pairs(step, |a, b| op::add64(a, b)),
                Opcode::Sub64 => self.pairs(step, |a, b| op::sub64(a, b)),
                Opcode::Shll64 => self.pairs(step, |a, b| op::shll64(a, b)),
                Opcode::Shrl64 => self.pairs(step, |a, b| op::shrl64(a, b)),
                Opcode::Shra64 => self.pairs(step, |a, b| op::shra64(a, b)),
                Opcode::Rotl64 => self.pairs(step, |a, b| op::rotl64(a, b)),
                Opcode::Rotr64 => self.pairs(step, |a, b| op::rotr64(a, b)),
                Opcode::Mul64 => self.pairs(step, |a, b| op::mul64(a, b)),

                Opcode::Add64C => self.pairs_wide(step, |a, b| op::add64c(a, b)),
                Opcode::Sub64C => self.pairs_wide(step, |a, b| op::sub64c(a, b)),
                Opcode::Mul64C => self.pairs_wide(step, |a, b| op::mul64c(a, b)),
                Opcode::Mulsu64C => self.pairs_wide(step, |a, b| op::mulsu64c(a, b)),
                Opcode::Mulu64C => self.pairs_wide(step, |a, b| op::mulu64c(a, b)),

                Opcode::In => self.rows[usize::from(step.to)] = self.input[usize::from(step.a)],
                Opcode::Memory => self.load_memory(cycle, step),
                Opcode::Loop => {
                    let body = at;
                    for iteration in 0..u32::from(step.a) {
                        self.iteration = iteration;
                        at = self.scope(cycle, body, active);
                    }
                }
                Opcode::IfLikely => at = self.branch(cycle, at, step, 7, active),
                Opcode::IfRandom => at = self.branch(cycle, at, step, 1, active),
                // Stepped over with the body that it leads to.
                Opcode::Jmp => {}
                Opcode::End => {
                    self.put_out(step.a.into(), step.b.into(), active);
                    break;
                }
            }
        }
        at
    }

    /// Runs each body of a branch that any active lane takes: the first where the condition has one of `bits`.
    #[target_feature(enable = "avx2")]
    fn branch(&mut self, cycle: &Cycle<'_>, jump: usize, step: Step, bits: i32, active: u32) -> usize {
        let condition = &self.rows[usize::from(step.a)];
        let mut not_taken = 0;
        for part in 0..PARTS {
            let chosen = _mm256_and_si256(condition.load(part), _mm256_set1_epi32(bits));
            let none = _mm256_cmpeq_epi32(chosen, _mm256_setzero_si256());
            not_taken |= (_mm256_movemask_ps(_mm256_castsi256_ps(none)) as u32) << (LANES * part);
        }
        if active & !not_taken != 0 {
            self.scope(cycle, jump + 1, active & !not_taken);
        }
        if active & not_taken != 0 {
            self.scope(cycle, step.b.into(), active & not_taken);
        }
        step.to.into()
    }

    #[inline]
    fn load_memory(&mut self, cycle: &Cycle<'_>, step: Step) {
        let index = (u32::from(step.a) + self.iteration * u32::from(step.b)) as usize % HALF;
        let row = self.rows[usize::from(step.to)].0.as_flattened_mut();
        match &cycle.windows {
            Windows::Consecutive(first) => {
                row.copy_from_slice(&cycle.image[first + index..first + index + ITEM_LANES]);
            }
            Windows::Scattered(windows) => {
                for (word, window) in row.iter_mut().zip(windows) {
                    *word = cycle.image[(usize::from(*window) + index) % PROGRAM_LENGTH_MAX];
                }
            }
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn read(&self, row: u16) -> [__m256i; PARTS] {
        let row = &self.rows[usize::from(row)];
        [row.load(0), row.load(1), row.load(2), row.load(3)]
    }

    /// The 64-bit numbers whose high words are in `row`, eight for each part of it.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn read_pairs(&self, row: u16) -> [[__m256i; 2]; PARTS] {
        let (low, high) = (self.read(row - 1), self.read(row));
        let pairs = |part: usize| arithmetic::pairs_of_words(low[part], high[part]);
        [pairs(0), pairs(1), pairs(2), pairs(3)]
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn one(&mut self, step: Step, operation: impl Fn(__m256i) -> __m256i) {
        let a = self.read(step.a);
        let to = &mut self.rows[usize::from(step.to)];
        for (part, a) in a.into_iter().enumerate() {
            to.store(part, operation(a));
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn two(&mut self, step: Step, operation: impl Fn(__m256i, __m256i) -> __m256i) {
        let (a, b) = (self.read(step.a), self.read(step.b));
        let to = &mut self.rows[usize::from(step.to)];
        for (part, (a, b)) in a.into_iter().zip(b).enumerate() {
            to.store(part, operation(a, b));
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn two_wide(&mut self, step: Step, operation: impl Fn(__m256i, __m256i) -> [__m256i; 2]) {
        let (a, b) = (self.read(step.a), self.read(step.b));
        let to = self.results::<2>(step);
        for (part, (a, b)) in a.into_iter().zip(b).enumerate() {
            let [low, high] = operation(a, b);
            to[0].store(part, low);
            to[1].store(part, high);
        }
    }

    /// On 64-bit numbers; the operands' high words are in the rows that the step names.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn pairs(&mut self, step: Step, operation: impl Fn(__m256i, __m256i) -> __m256i) {
        let (a, b) = (self.read_pairs(step.a), self.read_pairs(step.b));
        let to = self.results::<2>(step);
        for (part, ([a0, a1], [b0, b1])) in a.into_iter().zip(b).enumerate() {
            let [low, high] = arithmetic::words_of_pairs(operation(a0, b0), operation(a1, b1));
            to[0].store(part, low);
            to[1].store(part, high);
        }
    }

    /// As [`WideMachine::pairs`], with results of 128 bits.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn pairs_wide(&mut self, step: Step, operation: impl Fn(__m256i, __m256i) -> [__m256i; 2]) {
        let (a, b) = (self.read_pairs(step.a), self.read_pairs(step.b));
        let to = self.results::<4>(step);
        for (part, ([a0, a1], [b0, b1])) in a.into_iter().zip(b).enumerate() {
            let ([low0, high0], [low1, high1]) = (operation(a0, b0), operation(a1, b1));
            let ([word0, word1], [word2, word3]) =
                (arithmetic::words_of_pairs(low0, low1), arithmetic::words_of_pairs(high0, high1));
            for (to, word) in to.iter_mut().zip([word0, word1, word2, word3]) {
                to.store(part, word);
            }
        }
    }

    /// The rows of a result.
    #[inline]
    fn results<const COUNT: usize>(&mut self, step: Step) -> &mut [Row; COUNT] {
        self.rows[usize::from(step.to)..].first_chunk_mut().expect("rows of every result")
    }

    /// Appends the rows `first..behind` to the logs; the positions move on only in the lanes of `active`.
    #[target_feature(enable = "avx2")]
    fn put_out(&mut self, first: usize, behind: usize, active: u32) {
        let count = behind - first;
        for done in (0..count).step_by(LANES) {
            if count - done <= 4 {
                self.log_four(first + done, done);
            } else {
                self.log_eight(first + done, done);
            }
        }
        for (lane, position) in self.positions.iter_mut().enumerate() {
            *position += count as u32 & (active >> lane & 1).wrapping_neg();
        }
    }

    /// Writes eight rows from `first` to each lane's log, `offset` words behind its position.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn log_eight(&mut self, first: usize, offset: usize) {
        let rows: &[Row; LANES] = self.rows[first..].first_chunk().expect("a block of rows");
        for part in 0..PARTS {
            let words = transposed(|row, half| {
                let words = &rows[row].0[part][4 * half..][..4];
                // SAFETY: 16 bytes, any alignment.
                unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
            });
            for (lane, words) in (LANES * part..).zip(words) {
                let at = lane * self.stride + self.positions[lane] as usize + offset;
                let place = &mut self.log[at..at + LANES];
                // SAFETY: eight words, any alignment.
                unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), words) };
            }
        }
    }

    /// As [`WideMachine::log_eight`], for four rows.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn log_four(&mut self, first: usize, offset: usize) {
        let rows: &[Row; 4] = self.rows[first..].first_chunk().expect("half a block of rows");
        for part in 0..PARTS {
            let [a, b, c, d] =
                [rows[0].load(part), rows[1].load(part), rows[2].load(part), rows[3].load(part)];
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
                    let lane = LANES * part + 4 * half + k;
                    let at = lane * self.stride + self.positions[lane] as usize + offset;
                    let place = &mut self.log[at..at + 4];
                    // SAFETY: four words, any alignment.
                    unsafe { _mm_storeu_si128(place.as_mut_ptr().cast(), words) };
                }
            }
        }
    }
}
