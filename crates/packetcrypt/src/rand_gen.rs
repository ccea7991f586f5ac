//! RandGen: from a 32-byte seed to a program.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 4. The productions below bear its names and draw their random
//! words in its order; a draw that cannot matter is drawn all the same (pitfall 6).

use crate::backend::blocks::SingleBlocks;
use crate::crypto_cycle::BATCH_MAX;
use crate::hash::expand_blocks;
use crate::instruction::{Group, Instruction, Opcode, PROGRAM_LENGTH_MAX};

/// What the outermost loop may spend.
const INITIAL_BUDGET: u32 = 20_000;

/// The program of a seed has more than 2048 instructions. About one seed in 10^8 to 10^9 is like that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program of this seed has more than {PROGRAM_LENGTH_MAX} instructions")]
pub struct TooBig;

/// Writes programs. Keeps its buffers from one to the next.
#[derive(Debug)]
pub struct Generator {
    code: Vec<u32>,
    code_length_max: usize,
    random: RandomWords,
    /// For each register number whether its variable has been used; markers hold a number too (pitfall 7).
    slots: Vec<bool>,
    /// Register numbers of the markers of the open scopes, outermost first.
    markers: Vec<usize>,
}

/// How many neighbouring registers an operand needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Single = 1,
    Pair = 2,
}

impl Default for Generator {
    fn default() -> Self {
        Self::new()
    }
}

impl Generator {
    /// A generator with empty buffers.
    pub fn new() -> Self {
        Self {
            code: Vec::with_capacity(PROGRAM_LENGTH_MAX),
            code_length_max: PROGRAM_LENGTH_MAX,
            random: RandomWords::new(&[0; 32]),
            slots: Vec::with_capacity(256),
            markers: Vec::with_capacity(16),
        }
    }

    /// `RANDGEN(seed)`: 1 to 2048 instruction words.
    pub fn generate(&mut self, seed: &[u8; 32]) -> Result<&[u32], TooBig> {
        self.code.clear();
        self.slots.clear();
        self.markers.clear();
        self.random.reseed(seed);
        self.looped(INITIAL_BUDGET)?;
        Ok(&self.code)
    }

    /// `LOOP_`: a loop with loads and a body, or nothing if the budget is too small.
    fn looped(&mut self, budget: u32) -> Result<(), TooBig> {
        let depth = self.markers.len() as u32;
        let count = self.random.pick(2, 7 + 29 * depth);
        let loads = self.random.pick(2, 4);
        if budget < 20 * count {
            return Ok(());
        }
        let mut budget = budget / count;
        self.append(Opcode::Loop.code() | count << 20)?;
        self.open();
        let template = self.random.draw() << 8 | Opcode::Memory.code();
        for _ in 0..loads {
            if budget < 20 {
                break;
            }
            budget -= 20;
            self.new_variables(1);
            let carry = self.random.draw() % 16;
            self.append(template & !(15 << 9) | carry << 9)?;
        }
        self.body(budget)?;
        self.close()
    }

    /// `BODY`: rounds of computing, each perhaps followed by a branch, until a loop ends it or the budget is spent.
    fn body(&mut self, mut budget: u32) -> Result<(), TooBig> {
        loop {
            let steps = self.random.pick(2, 12);
            for step in 1..=steps {
                if !self.step(step, steps, &mut budget)? {
                    return Ok(());
                }
            }
            let branching = self.random.draw() % 64;
            let fullness = 25 * self.code.len() as u32 / PROGRAM_LENGTH_MAX as u32;
            if branching + fullness < 50 && !self.branch(&mut budget)? {
                return Ok(());
            }
            if self.random.draw() % 32 < 23 {
                return self.looped(budget);
            }
        }
    }

    /// One step of a body: the first line of the table that succeeds. False if none does.
    fn step(&mut self, step: u32, steps: u32, budget: &mut u32) -> Result<bool, TooBig> {
        Ok((self.random.chance(4 * steps / step) && self.compute(Group::G44, budget)?)
            || (self.random.chance(3 * steps / step) && self.compute(Group::G42, budget)?)
            || (self.random.chance(3 * steps / step) && self.compute(Group::G22, budget)?)
            || (self.random.chance(2 * steps / step) && self.compute(Group::G21, budget)?)
            || (self.random.chance(step) && self.input(budget)?)
            || self.compute(Group::G11, budget)?)
    }

    /// `COMPUTE`: an instruction of a group. False if the budget does not allow it.
    fn compute(&mut self, group: Group, budget: &mut u32) -> Result<bool, TooBig> {
        let opcode = group.first() + self.random.draw() % group.size();
        if !pay(budget, group.cost()) {
            return Ok(false);
        }
        let need = if group.takes_pairs() { Need::Pair } else { Need::Single };
        // Operand A draws before operand B (pitfall 5).
        let mut instruction = opcode | self.select(need) << 9;
        if group != Group::G11 {
            instruction |= if self.random.chance(4) {
                self.random.draw() << 20 | Instruction::IMMEDIATE
            } else {
                self.select(need) << 20
            };
        }
        self.append(instruction)?;
        self.new_variables(group.outputs());
        Ok(true)
    }

    /// `INPUT`: an IN. False if the budget does not allow it.
    fn input(&mut self, budget: &mut u32) -> Result<bool, TooBig> {
        if !pay(budget, 2) {
            return Ok(false);
        }
        self.new_variables(1);
        let instruction = self.random.draw() << 8 | Opcode::In.code();
        self.append(instruction)?;
        Ok(true)
    }

    /// `BRANCH`: an IF with two bodies. False if the budget does not allow it.
    fn branch(&mut self, budget: &mut u32) -> Result<bool, TooBig> {
        if !pay(budget, 50) {
            return Ok(false);
        }
        let opcode = if self.random.chance(2) { Opcode::IfRandom } else { Opcode::IfLikely };
        let instruction = opcode.code() | self.select(Need::Single) << 9 | 2 << 20;
        self.append(instruction)?;
        let to_else = self.code.len();
        self.scoped_body(7 * *budget / 32)?;
        let past_else = self.code.len();
        self.scoped_body(7 * *budget / 32)?;
        let jump = |from: usize, to: usize| Opcode::Jmp.code() | ((to - from) as u32) << 8;
        self.code[to_else] = jump(to_else, past_else);
        self.code[past_else] = jump(past_else, self.code.len() - 1);
        Ok(true)
    }

    /// Room for a JMP, and a body in a scope of its own.
    fn scoped_body(&mut self, budget: u32) -> Result<(), TooBig> {
        self.append(Opcode::Jmp.code())?;
        self.open();
        self.body(budget)?;
        self.close()
    }

    /// `SELECT`: the number of a register to read, for pairs that of the higher one.
    fn select(&mut self, need: Need) -> u32 {
        let (low, high) = self.select_frame(need);
        let mut register = self.random.pick(low as u32, high as u32) as usize;
        loop {
            register += 1;
            if register == high {
                register = low;
            }
            let has_partner = need == Need::Single || register > low;
            let reused = has_partner && self.random.chance(8);
            let unused = |register: usize| !self.slots[register];
            if reused || (has_partner && unused(register) && (need == Need::Single || unused(register - 1))) {
                self.slots[register] = true;
                if need == Need::Pair {
                    self.slots[register - 1] = true;
                }
                return register as u32;
            }
        }
    }

    /// The range of registers to select from: those of one scope that has enough. The outermost always has, since
    /// it begins with two loads at least.
    fn select_frame(&mut self, need: Need) -> (usize, usize) {
        let mut high = self.slots.len();
        let mut scope = self.markers.len();
        loop {
            scope -= 1;
            let marker = self.markers[scope];
            let low = marker + 1;
            if high - low >= need as usize && (scope == 0 || !self.random.chance(4)) {
                return (low, high);
            }
            high = marker;
        }
    }

    fn append(&mut self, instruction: u32) -> Result<(), TooBig> {
        if self.code.len() == self.code_length_max {
            return Err(TooBig);
        }
        self.code.push(instruction);
        Ok(())
    }

    /// `OPEN` a scope.
    fn open(&mut self) {
        self.markers.push(self.slots.len());
        self.slots.push(true);
    }

    /// `CLOSE` the innermost scope: its variables are gone.
    fn close(&mut self) -> Result<(), TooBig> {
        self.append(Opcode::End.code())?;
        if let Some(marker) = self.markers.pop() {
            self.slots.truncate(marker);
        }
        Ok(())
    }

    /// `NEW`: variables that nothing has used yet.
    fn new_variables(&mut self, count: usize) {
        self.slots.resize(self.slots.len() + count, false);
    }
}

/// Takes `cost` from the budget if it is there.
fn pay(budget: &mut u32, cost: u32) -> bool {
    match budget.checked_sub(cost) {
        Some(rest) => {
            *budget = rest;
            true
        }
        None => false,
    }
}

/// The random source: the words of `EXPAND(seed, 64, 0)`, then those of `EXPAND(seed, 64, 1)`, and so on.
#[derive(Debug)]
struct RandomWords {
    seed: [u8; 32],
    /// Word by word: `blocks[w][b]` is word `w` of block `b`.
    blocks: Box<SingleBlocks>,
    /// Words of the blocks that are drawn already, and words that there are.
    drawn: usize,
    made: usize,
    /// The number of the next block.
    next_block: u32,
}

impl RandomWords {
    fn new(seed: &[u8; 32]) -> Self {
        Self { seed: *seed, blocks: Box::new([[0; BATCH_MAX]; 16]), drawn: 0, made: 0, next_block: 0 }
    }

    /// Begins with another seed.
    fn reseed(&mut self, seed: &[u8; 32]) {
        (self.seed, self.drawn, self.made, self.next_block) = (*seed, 0, 0, 0);
    }

    /// `DRAW`: the next word.
    fn draw(&mut self) -> u32 {
        if self.drawn == self.made {
            let blocks = expand_blocks(&self.seed, self.next_block, &mut self.blocks);
            self.next_block += blocks as u32;
            (self.drawn, self.made) = (0, 16 * blocks);
        }
        let word = self.blocks[self.drawn % 16][self.drawn / 16 % BATCH_MAX];
        self.drawn += 1;
        word
    }

    /// `CHANCE`: true once in `n` times.
    fn chance(&mut self, n: u32) -> bool {
        self.draw().is_multiple_of(n)
    }

    /// `PICK`: a number from `low`, below `high`.
    fn pick(&mut self, low: u32, high: u32) -> u32 {
        low + self.draw() % (high - low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one seed known whose program is too big (`vectors/announcements/randgen.jsonl`).
    const TOO_BIG_SEED: &str = "290ae6f015e1c5690e9f906da50e3fd7bf97060d72d220f59fd45e09d193b8b8";

    fn generator_with_limit(limit: usize) -> Generator {
        Generator { code_length_max: limit, ..Generator::new() }
    }

    #[test]
    fn pitfall_4_a_program_over_2048_instructions_is_refused() {
        let mut seed = [0; 32];
        hex::decode_to_slice(TOO_BIG_SEED, &mut seed).unwrap();
        assert_eq!(Generator::new().generate(&seed), Err(TooBig));
        assert_eq!(generator_with_limit(2106).generate(&seed).unwrap().len(), 2106);
    }

    #[test]
    fn pitfall_4_the_limit_is_met_by_a_program_of_just_that_length() {
        for seed in 0..8 {
            let seed = [seed; 32];
            let length = Generator::new().generate(&seed).unwrap().len();
            assert_eq!(generator_with_limit(length).generate(&seed).unwrap().len(), length);
            assert_eq!(generator_with_limit(length - 1).generate(&seed), Err(TooBig));
        }
    }

    #[test]
    fn a_generator_that_failed_goes_on_as_new() {
        let mut generator = generator_with_limit(8);
        assert_eq!(generator.generate(&[1; 32]), Err(TooBig));
        generator.code_length_max = PROGRAM_LENGTH_MAX;
        let expected = Generator::new().generate(&[2; 32]).unwrap().to_vec();
        assert_eq!(generator.generate(&[2; 32]).unwrap(), expected);
    }
}
