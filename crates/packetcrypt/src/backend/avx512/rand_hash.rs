//! RandHash of 32 items at once: every variable a row of 32 words, every instruction carried out on rows.
//!
//! One look at an instruction serves 32 lanes, so nothing has to be compiled. Lanes part only at branches: each
//! body runs if any lane takes it, for all lanes; those that do not take it compute rubbish into rows that nobody
//! reads, since the variables of a body end with it. What differs per lane is how much it has put out: each lane
//! has an output log of its own and a position in it. After the cycle the logs are added into the states, 256
//! words at a time. `docs/performance.md`, "RandHash", has the figures.

mod arithmetic;

use core::arch::x86_64::{
    __m512i, _mm_storeu_si128, _mm256_storeu_si256, _mm512_add_epi32, _mm512_castsi512_si256,
    _mm512_extracti32x4_epi32, _mm512_extracti64x4_epi64, _mm512_i32gather_epi32, _mm512_load_si512,
    _mm512_loadu_si512, _mm512_mask_add_epi32, _mm512_permutex2var_epi64, _mm512_set1_epi32,
    _mm512_setr_epi64, _mm512_setzero_si512, _mm512_store_si512, _mm512_storeu_si512, _mm512_test_epi32_mask,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::chacha20::transpose;
use crate::backend::kernels::ITEM_LANES as LANES;
use crate::backend::states::STATE;
use crate::backend::wide_program::{Step, WINDOWS, WideProgram};
use crate::instruction::{Opcode, PROGRAM_LENGTH_MAX};
use crate::rand_hash::HALF;

/// Lanes of one register.
const HALF_LANES: usize = 16;

/// One word of each lane.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Row([u32; LANES]);

/// A row in registers.
type Pair = [__m512i; 2];

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
    /// Where in `log` each lane goes on.
    positions: Row,
    iteration: u32,
}

/// Where the lanes' windows into the image begin.
enum Windows {
    /// Each one word behind the one before.
    Consecutive(usize),
    Scattered(Row),
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
            input: vec![Row([0; LANES]); HALF].try_into().expect("a vector of that length"),
            log: Vec::new(),
            stride: 0,
            positions: Row([0; LANES]),
            iteration: 0,
        }
    }
}

impl WideMachine {
    /// The two cycles of an item, for the items `numbers`, on states that are as CC_INIT made them.
    #[target_feature(
        enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi2,avx512bitalg,avx512vpopcntdq,gfni"
    )]
    pub(super) fn run(
        &mut self,
        program: &WideProgram,
        image: &[u32; PROGRAM_LENGTH_MAX],
        numbers: &[usize; LANES],
        states: &mut [[u8; STATE]; LANES],
    ) {
        self.prepare(program);
        let windows = numbers.map(|number| number % WINDOWS);
        let consecutive = windows.iter().enumerate().all(|(lane, &window)| window == windows[0] + lane);
        let windows = if consecutive {
            Windows::Consecutive(windows[0])
        } else {
            Windows::Scattered(Row(windows.map(|window| window as u32)))
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
    #[target_feature(enable = "avx512f")]
    fn prepare(&mut self, program: &WideProgram) {
        let rows = program.variables + program.constants.len();
        // Scope ends transpose whole blocks of sixteen rows, also where fewer belong to the scope.
        if self.rows.len() < rows + HALF_LANES {
            self.rows.resize(rows + HALF_LANES, Row([0; LANES]));
        }
        for (row, constant) in self.rows[program.variables..].iter_mut().zip(&program.constants) {
            *row = Row([*constant; LANES]);
        }
        // Behind the last word of a log there is room for the rest of a block, and for what lanes that did not
        // take a branch put out in vain.
        self.stride = (program.outputs_max + HALF_LANES).next_multiple_of(HALF_LANES) + HALF_LANES;
        if self.log.len() < self.stride * LANES {
            self.log.resize(self.stride * LANES, 0);
        }
        self.empty_logs();
    }

    fn empty_logs(&mut self) {
        self.positions = Row(core::array::from_fn(|lane| (lane * self.stride) as u32));
    }

    /// All lanes have the same first half but for word 0, the item's number.
    #[inline]
    fn load_first_input(&mut self, numbers: &[usize; LANES], state: &[u8; STATE]) {
        for (row, bytes) in self.input.iter_mut().zip(state.as_chunks().0) {
            *row = Row([u32::from_le_bytes(*bytes); LANES]);
        }
        self.input[0] = Row(numbers.map(|number| number as u32));
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn load_second_input(&mut self, states: &[[u8; STATE]; LANES]) {
        for (half, states) in states.chunks_exact(HALF_LANES).enumerate() {
            for (block, rows) in self.input.chunks_exact_mut(HALF_LANES).enumerate() {
                let mut words = [_mm512_setzero_si512(); HALF_LANES];
                for (word, state) in words.iter_mut().zip(states) {
                    let bytes = &state[STATE / 2 + 64 * block..STATE / 2 + 64 * block + 64];
                    // SAFETY: 64 bytes, any alignment.
                    *word = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
                }
                transpose(&mut words);
                for (row, word) in rows.iter_mut().zip(words) {
                    // SAFETY: half of a row, which is aligned to 64 bytes.
                    unsafe { _mm512_store_si512(row.0[HALF_LANES * half..].as_mut_ptr().cast(), word) };
                }
            }
        }
    }

    /// Adds each lane's log into the half of its state that begins at word `first_word`, and empties the logs.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn add_logs(&mut self, states: &mut [[u8; STATE]; LANES], first_word: usize) {
        for (lane, state) in states.iter_mut().enumerate() {
            let start = lane * self.stride;
            let length = self.positions.0[lane] as usize - start;
            let log = &mut self.log[start..];
            // Rubbish behind the end would be added with the last block.
            log[length..length.next_multiple_of(HALF_LANES)].fill(0);
            let half = &mut state[4 * first_word..4 * (first_word + HALF)];
            for slice in log[..length.next_multiple_of(HALF_LANES)].chunks(HALF) {
                for (bytes, words) in half.chunks_exact_mut(64).zip(slice.chunks_exact(HALF_LANES)) {
                    // SAFETY: both are 64 bytes, any alignment.
                    unsafe {
                        let place = bytes.as_mut_ptr().cast();
                        let sum = _mm512_add_epi32(
                            _mm512_loadu_si512(place),
                            _mm512_loadu_si512(words.as_ptr().cast()),
                        );
                        _mm512_storeu_si512(bytes.as_mut_ptr().cast(), sum);
                    }
                }
            }
        }
        self.empty_logs();
    }

    /// Runs from `position` to the END of its scope (from 0: to the end of the program) and gives the position
    /// behind it. Only the lanes in `active` put something out.
    #[target_feature(
        enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi2,avx512bitalg,avx512vpopcntdq,gfni"
    )]
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
    #[target_feature(
        enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi2,avx512bitalg,avx512vpopcntdq,gfni"
    )]
    fn branch(&mut self, cycle: &Cycle<'_>, jump: usize, step: Step, bits: i32, active: u32) -> usize {
        let bits = _mm512_set1_epi32(bits);
        let [low, high] = self.read(step.a);
        let taken = u32::from(_mm512_test_epi32_mask(low, bits))
            | u32::from(_mm512_test_epi32_mask(high, bits)) << 16;
        if active & taken != 0 {
            self.scope(cycle, jump + 1, active & taken);
        }
        if active & !taken != 0 {
            self.scope(cycle, step.b.into(), active & !taken);
        }
        step.to.into()
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn load_memory(&mut self, cycle: &Cycle<'_>, step: Step) {
        let index = (u32::from(step.a) + self.iteration * u32::from(step.b)) % HALF as u32;
        let words = match &cycle.windows {
            Windows::Consecutive(first) => {
                let words = &cycle.image[first + index as usize..first + index as usize + LANES];
                let load = |half: usize| {
                    // SAFETY: 16 of the 32 words, any alignment.
                    unsafe {
                        _mm512_loadu_si512(words[HALF_LANES * half..HALF_LANES * (half + 1)].as_ptr().cast())
                    }
                };
                [load(0), load(1)]
            }
            Windows::Scattered(windows) => {
                let load = |half: usize| {
                    // SAFETY: a window begins below 1792 and the index is below 256, so every lane stays inside
                    // the image's 2048 words; half of a row is 64 bytes.
                    unsafe {
                        let starts = _mm512_load_si512(windows.0[HALF_LANES * half..].as_ptr().cast());
                        let indexes = _mm512_add_epi32(starts, _mm512_set1_epi32(index as i32));
                        _mm512_i32gather_epi32::<4>(indexes, cycle.image.as_ptr().cast())
                    }
                };
                [load(0), load(1)]
            }
        };
        self.write(step.to.into(), words);
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn read(&self, row: u16) -> Pair {
        let row = &self.rows[usize::from(row)];
        // SAFETY: a row is 128 bytes, aligned to 64.
        unsafe {
            [_mm512_load_si512(row.0.as_ptr().cast()), _mm512_load_si512(row.0[HALF_LANES..].as_ptr().cast())]
        }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn write(&mut self, row: usize, [low, high]: Pair) {
        let row = &mut self.rows[row];
        // SAFETY: a row is 128 bytes, aligned to 64.
        unsafe {
            _mm512_store_si512(row.0.as_mut_ptr().cast(), low);
            _mm512_store_si512(row.0[HALF_LANES..].as_mut_ptr().cast(), high);
        }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn one(&mut self, step: Step, operation: impl Fn(__m512i) -> __m512i) {
        let result = self.read(step.a).map(operation);
        self.write(step.to.into(), result);
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn two(&mut self, step: Step, operation: impl Fn(__m512i, __m512i) -> __m512i) {
        let ([a0, a1], [b0, b1]) = (self.read(step.a), self.read(step.b));
        self.write(step.to.into(), [operation(a0, b0), operation(a1, b1)]);
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn two_wide(&mut self, step: Step, operation: impl Fn(__m512i, __m512i) -> [__m512i; 2]) {
        let ([a0, a1], [b0, b1]) = (self.read(step.a), self.read(step.b));
        let ([low0, high0], [low1, high1]) = (operation(a0, b0), operation(a1, b1));
        let to = usize::from(step.to);
        self.write(to, [low0, low1]);
        self.write(to + 1, [high0, high1]);
    }

    /// The 64-bit numbers whose high words are in `row`, four registers of eight.
    #[target_feature(
        enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi2,avx512bitalg,avx512vpopcntdq,gfni"
    )]
    #[inline]
    fn read_pairs(&self, row: u16) -> [[__m512i; 2]; 2] {
        let ([low0, low1], [high0, high1]) = (self.read(row - 1), self.read(row));
        [arithmetic::pairs_of_words(low0, high0), arithmetic::pairs_of_words(low1, high1)]
    }

    #[target_feature(
        enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi2,avx512bitalg,avx512vpopcntdq,gfni"
    )]
    #[inline]
    fn write_pairs(&mut self, row: usize, [[a0, a1], [b0, b1]]: [[__m512i; 2]; 2]) {
        let [low0, high0] = arithmetic::words_of_pairs(a0, a1);
        let [low1, high1] = arithmetic::words_of_pairs(b0, b1);
        self.write(row, [low0, low1]);
        self.write(row + 1, [high0, high1]);
    }

    #[target_feature(
        enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi2,avx512bitalg,avx512vpopcntdq,gfni"
    )]
    #[inline]
    fn pairs(&mut self, step: Step, operation: impl Fn(__m512i, __m512i) -> __m512i) {
        let ([[a0, a1], [a2, a3]], [[b0, b1], [b2, b3]]) = (self.read_pairs(step.a), self.read_pairs(step.b));
        let results = [[operation(a0, b0), operation(a1, b1)], [operation(a2, b2), operation(a3, b3)]];
        self.write_pairs(step.to.into(), results);
    }

    #[target_feature(
        enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi2,avx512bitalg,avx512vpopcntdq,gfni"
    )]
    #[inline]
    fn pairs_wide(&mut self, step: Step, operation: impl Fn(__m512i, __m512i) -> [__m512i; 2]) {
        let ([[a0, a1], [a2, a3]], [[b0, b1], [b2, b3]]) = (self.read_pairs(step.a), self.read_pairs(step.b));
        let [low0, high0] = operation(a0, b0);
        let [low1, high1] = operation(a1, b1);
        let [low2, high2] = operation(a2, b2);
        let [low3, high3] = operation(a3, b3);
        let to = usize::from(step.to);
        self.write_pairs(to, [[low0, low1], [low2, low3]]);
        self.write_pairs(to + 2, [[high0, high1], [high2, high3]]);
    }

    /// Appends the rows `first..behind` to the logs; the positions move on only in the lanes of `active`.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn put_out(&mut self, first: usize, behind: usize, active: u32) {
        let count = behind - first;
        let mut done = 0;
        while done < count {
            match count - done {
                1..=4 => self.log_four(first + done, done),
                5..=8 => self.log_eight(first + done, done),
                _ => self.log_sixteen(first + done, done),
            }
            done += HALF_LANES;
        }
        for (half, positions) in self.positions.0.chunks_exact_mut(HALF_LANES).enumerate() {
            let active = (active >> (HALF_LANES * half)) as u16;
            // SAFETY: half of a row, which is aligned to 64 bytes.
            unsafe {
                let before = _mm512_load_si512(positions.as_ptr().cast());
                let after = _mm512_mask_add_epi32(before, active, before, _mm512_set1_epi32(count as i32));
                _mm512_store_si512(positions.as_mut_ptr().cast(), after);
            }
        }
    }

    /// `COUNT` rows from `first`, the words of half of the lanes.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn half_rows<const COUNT: usize>(&self, first: usize, half: usize) -> [__m512i; COUNT] {
        let mut words = [_mm512_setzero_si512(); COUNT];
        for (word, row) in words.iter_mut().zip(&self.rows[first..first + COUNT]) {
            // SAFETY: half of a row, which is aligned to 64 bytes.
            *word = unsafe { _mm512_load_si512(row.0[HALF_LANES * half..].as_ptr().cast()) };
        }
        words
    }

    /// Room for `COUNT` words in a lane's log, `offset` words behind its position.
    #[inline]
    fn log_of<const COUNT: usize>(&mut self, lane: usize, offset: usize) -> &mut [u32; COUNT] {
        let at = self.positions.0[lane] as usize + offset;
        self.log[at..].first_chunk_mut().expect("a log has room for a block behind its end")
    }

    /// Writes sixteen rows from `first` to each lane's log, `offset` words behind its position.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn log_sixteen(&mut self, first: usize, offset: usize) {
        for half in 0..2 {
            let mut words = self.half_rows(first, half);
            transpose(&mut words);
            for (lane, word) in (HALF_LANES * half..).zip(words) {
                let place: &mut [u32; 16] = self.log_of(lane, offset);
                // SAFETY: sixteen words, any alignment.
                unsafe { _mm512_storeu_si512(place.as_mut_ptr().cast(), word) };
            }
        }
    }

    /// As [`WideMachine::log_sixteen`], for eight rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn log_eight(&mut self, first: usize, offset: usize) {
        // Quarter `q` of the first four rows, then of the other four; likewise quarter `q + 1`.
        let (lower, upper) =
            (_mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15));
        for half in 0..2 {
            let first_four = transpose_four(self.half_rows(first, half));
            let other_four = transpose_four(self.half_rows(first + 4, half));
            for (k, (first_four, other_four)) in first_four.into_iter().zip(other_four).enumerate() {
                for (quarter, order) in [(0, lower), (2, upper)] {
                    let words = _mm512_permutex2var_epi64(first_four, order, other_four);
                    let eights = [_mm512_castsi512_si256(words), _mm512_extracti64x4_epi64::<1>(words)];
                    for (next, eight) in eights.into_iter().enumerate() {
                        let lane = HALF_LANES * half + 4 * (quarter + next) + k;
                        let place: &mut [u32; 8] = self.log_of(lane, offset);
                        // SAFETY: eight words, any alignment.
                        unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), eight) };
                    }
                }
            }
        }
    }

    /// As [`WideMachine::log_sixteen`], for four rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn log_four(&mut self, first: usize, offset: usize) {
        for half in 0..2 {
            let rows = self.half_rows(first, half);
            for (k, register) in transpose_four(rows).into_iter().enumerate() {
                let quarters = [
                    _mm512_extracti32x4_epi32::<0>(register),
                    _mm512_extracti32x4_epi32::<1>(register),
                    _mm512_extracti32x4_epi32::<2>(register),
                    _mm512_extracti32x4_epi32::<3>(register),
                ];
                for (quarter, words) in quarters.into_iter().enumerate() {
                    let lane = HALF_LANES * half + 4 * quarter + k;
                    let place: &mut [u32; 4] = self.log_of(lane, offset);
                    // SAFETY: four words, any alignment.
                    unsafe { _mm_storeu_si128(place.as_mut_ptr().cast(), words) };
                }
            }
        }
    }
}

/// Transposes four rows: register k then holds lanes k, k + 4, k + 8 and k + 12, four words each.
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose_four([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab_low, cd_low),
        _mm512_unpackhi_epi64(ab_low, cd_low),
        _mm512_unpacklo_epi64(ab_high, cd_high),
        _mm512_unpackhi_epi64(ab_high, cd_high),
    ]
}
