//! Programs, decoded: operands as places, jumps as positions, loops with their bounds.

use crate::instruction::{Group, Instruction, Opcode, PROGRAM_LENGTH_MAX};

use super::HALF;

/// Registers that a program could need: no instruction pushes more than four.
const REGISTERS: usize = 4 * PROGRAM_LENGTH_MAX;

/// The first place behind the registers. Here the immediate numbers of a program stand, two words for each at most.
pub(crate) const CONSTANTS: usize = REGISTERS;

/// Places altogether; a power of two, so that a place is cut to size by a mask.
pub(super) const PLACES: usize = 2 * REGISTERS;

const _: () = assert!(2 * PROGRAM_LENGTH_MAX <= PLACES - CONSTANTS && PLACES.is_power_of_two());

/// These words are no program that the generator could have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("instruction {position} ({word:08x}): {reason}")]
pub struct MalformedProgram {
    /// Which word, from 0.
    pub position: usize,
    /// The word, 0 behind the end.
    pub word: u32,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A program ready to run. Positions are those of its instruction words.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub(crate) steps: Vec<Step>,
    pub(crate) loops: Vec<LoopBounds>,
    pub(crate) constants: Vec<u32>,
    reads_first_word: bool,
}

/// One instruction, decoded. What the fields mean depends on the opcode:
///
/// | opcode | `a` | `b` | `to` |
/// |---|---|---|---|
/// | computing | place of operand A (of its high word) | likewise B | first place of the result |
/// | IN | index | – | place of the result |
/// | MEMORY | index in iteration 0 | step | place of the result |
/// | LOOP | number of the loop | – | – |
/// | IF | place of the condition | – | – |
/// | JMP | – | – | position |
/// | END | first register of the scope | behind its last | number of the loop, or [`NO_LOOP`] |
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub opcode: Opcode,
    pub a: u16,
    pub b: u16,
    pub to: u16,
}

/// In place of the number of a loop where a branch ends.
const NO_LOOP: u16 = u16::MAX;

/// A loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoopBounds {
    pub count: u32,
    /// Position of its first instruction, behind LOOP.
    pub first: usize,
    /// Position behind its END.
    pub behind: usize,
}

impl Program {
    /// Decodes instruction words.
    pub fn decode(words: &[u32]) -> Result<Self, MalformedProgram> {
        let mut program = Self::default();
        program.replace(words)?;
        Ok(program)
    }

    /// Decodes instruction words in place of this program. After an error it is of no use but to be replaced.
    pub fn replace(&mut self, words: &[u32]) -> Result<(), MalformedProgram> {
        self.steps.clear();
        self.steps.reserve(words.len());
        self.loops.clear();
        self.constants.clear();
        self.reads_first_word = false;
        Decoder { program: self, words, variables: Vec::with_capacity(256), scopes: Vec::with_capacity(16) }
            .decode()
    }

    /// Number of instructions.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// About how many instructions a cycle executes: those of a loop as often as it goes round, and both bodies of
    /// each branch.
    pub fn cost(&self) -> u64 {
        let (mut cost, mut times) = (0, vec![1]);
        for step in &self.steps {
            let now = times.last().copied().unwrap_or(1);
            cost += now;
            match step.opcode {
                Opcode::Loop => times.push(now * u64::from(self.loops[usize::from(step.a)].count)),
                Opcode::End if step.to != NO_LOOP => {
                    times.pop();
                }
                _ => {}
            }
        }
        cost
    }

    /// Whether an IN reads word 0 of the input, which in the first cycle is the number of the item.
    pub fn reads_first_word(&self) -> bool {
        self.reads_first_word
    }
}

/// What opened a scope.
#[derive(Clone, Copy)]
enum Opened {
    Loop {
        number: usize,
    },
    /// An IF: the first of its bodies, and the position of the JMP before it.
    Then {
        jump: usize,
    },
    /// The second body, and the position of the JMP before it.
    Else {
        jump: usize,
    },
}

struct Decoder<'a> {
    program: &'a mut Program,
    words: &'a [u32],
    /// For each register number whether it is a variable, or else a marker.
    variables: Vec<bool>,
    /// The open scopes: how, and the register number of the marker.
    scopes: Vec<(Opened, usize)>,
}

type Decoding<T> = Result<T, &'static str>;

impl Decoder<'_> {
    fn decode(mut self) -> Result<(), MalformedProgram> {
        for position in 0..=self.words.len() {
            let word = self.words.get(position).copied();
            let step = match word {
                Some(word) => self.step(position, Instruction(word)).map(Some),
                None => self.check_end().map(|()| None),
            };
            match step {
                Ok(step) => self.program.steps.extend(step),
                Err(reason) => return Err(MalformedProgram { position, word: word.unwrap_or(0), reason }),
            }
        }
        Ok(())
    }

    fn check_end(&self) -> Decoding<()> {
        if self.words.is_empty() {
            return Err("a program has at least one loop");
        }
        if self.scopes.is_empty() { Ok(()) } else { Err("the program ends inside a scope") }
    }

    fn step(&mut self, position: usize, instruction: Instruction) -> Decoding<Step> {
        if position >= PROGRAM_LENGTH_MAX {
            return Err("the program is too long");
        }
        let opcode = instruction.opcode().ok_or("no such opcode")?;
        if self.scopes.is_empty() && (position > 0 || opcode != Opcode::Loop) {
            return Err("a program is one loop");
        }
        let step = |a, b, to| Step { opcode, a, b, to };
        Ok(match opcode {
            Opcode::In => {
                let index = instruction.immediate() as u16 % HALF as u16;
                self.program.reads_first_word |= index == 0;
                step(index, 0, self.push(1))
            }
            Opcode::Memory => {
                let (base, stride, carry) = instruction.memory_fields();
                step(((base + carry * stride) % HALF as u32) as u16, stride as u16, self.push(1))
            }
            Opcode::Loop => {
                let number = self.program.loops.len();
                let count = instruction.loop_count();
                self.program.loops.push(LoopBounds { count, first: position + 1, behind: 0 });
                self.open(Opened::Loop { number });
                step(number as u16, 0, 0)
            }
            Opcode::IfLikely | Opcode::IfRandom => {
                let condition = self.register(instruction.register_a())?;
                self.open(Opened::Then { jump: position + 1 });
                step(condition, 0, 0)
            }
            Opcode::Jmp => step(0, 0, self.jump(position, instruction)?),
            Opcode::End => {
                let (first, number) = self.close(position)?;
                step(first.0, first.1, number)
            }
            _ => self.computing(opcode, instruction)?,
        })
    }

    fn computing(&mut self, opcode: Opcode, instruction: Instruction) -> Decoding<Step> {
        let group = opcode.group().ok_or("no computing opcode")?;
        let a = self.operand(group, instruction.register_a())?;
        let b = match instruction.register_b() {
            _ if group == Group::G11 => 0,
            Some(register) => self.operand(group, register)?,
            None => self.constant(group, instruction.immediate()),
        };
        Ok(Step { opcode, a, b, to: self.push(group.outputs()) })
    }

    /// The place of a register operand; of a pair, that of the high word.
    fn operand(&self, group: Group, register: usize) -> Decoding<u16> {
        if group.takes_pairs() {
            self.register(register.checked_sub(1).ok_or("register 0 has none below it")?)?;
        }
        self.register(register)
    }

    fn register(&self, register: usize) -> Decoding<u16> {
        match self.variables.get(register) {
            Some(true) => Ok(register as u16),
            _ => Err("it names a register that is no variable"),
        }
    }

    /// The place of an immediate number; of a 64-bit one, that of its high word.
    fn constant(&mut self, group: Group, number: u64) -> u16 {
        let constants = &mut self.program.constants;
        constants.push(number as u32);
        if group.takes_pairs() {
            constants.push((number >> 32) as u32);
        }
        (CONSTANTS + constants.len() - 1) as u16
    }

    /// Pushes variables; the place of the first.
    fn push(&mut self, count: usize) -> u16 {
        let first = self.variables.len();
        self.variables.resize(first + count, true);
        first as u16
    }

    fn open(&mut self, opened: Opened) {
        self.scopes.push((opened, self.variables.len()));
        self.variables.push(false);
    }

    /// Closes the scope that an END ends: its range of registers, and the number of the loop or [`NO_LOOP`].
    fn close(&mut self, position: usize) -> Decoding<((u16, u16), u16)> {
        let (opened, marker) = self.scopes.pop().ok_or("no scope is open here")?;
        let registers = (marker as u16 + 1, self.variables.len() as u16);
        self.variables.truncate(marker);
        match opened {
            Opened::Loop { number } => {
                self.program.loops[number].behind = position + 1;
                return Ok((registers, number as u16));
            }
            Opened::Then { jump } => {
                self.check_jump(jump, position + 2)?;
                self.open(Opened::Else { jump: position + 1 });
            }
            Opened::Else { jump } => self.check_jump(jump, position + 1)?,
        }
        Ok((registers, NO_LOOP))
    }

    /// The position where a JMP goes. There is one before each body of a branch, and nowhere else.
    fn jump(&self, position: usize, instruction: Instruction) -> Decoding<u16> {
        match self.scopes.last() {
            Some((Opened::Then { jump } | Opened::Else { jump }, _)) if *jump == position => {
                u16::try_from(position + instruction.jump_distance() + 1)
                    .map_err(|_| "it jumps out of the program")
            }
            _ => Err("a JMP belongs before the body of a branch"),
        }
    }

    fn check_jump(&self, jump: usize, target: usize) -> Decoding<()> {
        match self.program.steps.get(jump) {
            Some(Step { opcode: Opcode::Jmp, to, .. }) if usize::from(*to) == target => Ok(()),
            _ => Err("the JMP before this body does not go behind it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rand_gen::Generator;

    const LOOP: u32 = 0x0010_0042;
    const IN: u32 = 0x40;
    const END: u32 = 0x46;

    fn reason(words: &[u32]) -> &'static str {
        Program::decode(words).unwrap_err().reason
    }

    #[test]
    fn what_is_no_program_is_refused_with_its_place() {
        assert_eq!(reason(&[]), "a program has at least one loop");
        assert_eq!(reason(&[IN]), "a program is one loop");
        assert_eq!(reason(&[LOOP, END, LOOP, END]), "a program is one loop");
        assert_eq!(reason(&[LOOP, IN]), "the program ends inside a scope");
        assert_eq!(reason(&[LOOP, 0, END]), "no such opcode");
        assert_eq!(reason(&[LOOP, 0x45, END]), "a JMP belongs before the body of a branch");
        assert_eq!(reason(&[LOOP, IN, 0x0243, IN, END]), "the JMP before this body does not go behind it");
        assert_eq!(reason(&vec![LOOP; 2049]), "the program is too long");
        let error = Program::decode(&[LOOP, 0x0a03, END]).unwrap_err();
        assert_eq!(error.to_string(), "instruction 1 (00000a03): it names a register that is no variable");
    }

    #[test]
    fn pitfall_7_a_marker_is_a_register_number_but_no_variable() {
        assert_eq!(reason(&[LOOP, IN, 3, END]), "it names a register that is no variable");
        let program = Program::decode(&[LOOP, IN, 0x0203, END]).unwrap();
        assert_eq!((program.steps[1].to, program.steps[2].a, program.steps[2].to), (1, 1, 2));
    }

    #[test]
    fn a_pair_needs_a_variable_below() {
        assert_eq!(reason(&[LOOP, IN, 0x4_0233, END]), "it names a register that is no variable");
        assert_eq!(Program::decode(&[LOOP, IN, IN, 0x4_0433, END]).unwrap().len(), 5);
    }

    #[test]
    fn both_forms_of_in_can_read_word_zero() {
        // With bit 19: 0xff with bits a and b turned over, so 0 takes eight turns and two cannot do it.
        for (word, expected) in [(IN, true), (IN | 1 << 20, false), (IN | 1 << 19, false)] {
            assert_eq!(
                Program::decode(&[LOOP, word, END]).unwrap().reads_first_word(),
                expected,
                "{word:08x}"
            );
        }
    }

    #[test]
    fn the_cost_of_a_loop_is_that_of_all_its_iterations() {
        // LOOP 1, LOOP 3, IN, END, IN, END: of the inner loop three INs and three ENDs.
        let words = [LOOP, 0x0030_0042, IN, END, IN, END];
        assert_eq!(Program::decode(&words).unwrap().cost(), 1 + 1 + 3 * 2 + 2);
    }

    #[test]
    fn whatever_the_generator_writes_can_be_decoded() {
        let mut generator = Generator::new();
        for seed in 0..200u8 {
            let words = generator.generate(&[seed; 32]).unwrap().to_vec();
            assert_eq!(Program::decode(&words).unwrap().len(), words.len());
        }
    }
}
