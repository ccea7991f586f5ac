//! Programs for the wide interpreter: every operand a row, every scope end a range of rows.

use crate::instruction::{Group, Opcode, PROGRAM_LENGTH_MAX};
use crate::rand_hash::{self, CONSTANTS, HALF, INSTRUCTION_LIMIT, Program};

/// Memory windows of a program: items whose numbers differ by a multiple of this share theirs.
pub(crate) const WINDOWS: usize = PROGRAM_LENGTH_MAX - HALF;

/// One instruction. What the fields mean depends on the opcode:
///
/// | opcode | `a` | `b` | `to` |
/// |---|---|---|---|
/// | computing | row of operand A (of its high word) | likewise B | first row of the result |
/// | IN | index | – | row of the result |
/// | MEMORY | index in iteration 0 | step | row of the result |
/// | LOOP | iterations | – | – |
/// | IF | row of the condition | position of the second body | position behind both |
/// | END | first row of the scope | behind its last | – |
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub opcode: Opcode,
    pub a: u16,
    pub b: u16,
    pub to: u16,
}

/// A decoded program, laid out for lanes. Positions are those of its instruction words.
#[derive(Clone, Debug, Default)]
pub(crate) struct WideProgram {
    pub(crate) steps: Vec<Step>,
    /// Rows of variables; those of the constants follow.
    pub(crate) variables: usize,
    pub(crate) constants: Vec<u32>,
    /// Most words that a cycle can put out.
    pub(crate) outputs_max: usize,
}

/// What one pass through a scope can cost at most.
#[derive(Clone, Copy, Default)]
struct Cost {
    instructions: u64,
    outputs: u64,
}

impl WideProgram {
    /// Lays out a program in place of this one; false if lanes cannot run it: if some path may take more instructions
    /// than a cycle is allowed, or if a MEMORY stands elsewhere than at the start of a loop (no generated program is
    /// like that).
    pub(crate) fn replace(&mut self, program: &Program) -> bool {
        self.variables = program.steps.iter().copied().map(behind_last_row).max().unwrap_or(0);
        self.constants.clone_from(&program.constants);
        self.steps.clear();
        let mut at_loop_start = false;
        for (position, &step) in program.steps.iter().enumerate() {
            at_loop_start = step.opcode == Opcode::Loop || (at_loop_start && step.opcode == Opcode::Memory);
            let Some(step) = self.lay_out(program, position, step) else { return false };
            if step.opcode == Opcode::Memory && !at_loop_start {
                return false;
            }
            self.steps.push(step);
        }
        let (cost, _) = self.cost(0);
        self.outputs_max = cost.outputs as usize;
        cost.instructions <= u64::from(INSTRUCTION_LIMIT)
    }

    fn lay_out(&self, program: &Program, position: usize, step: rand_hash::Step) -> Option<Step> {
        let row = |place: u16| match usize::from(place).checked_sub(CONSTANTS) {
            Some(constant) => (self.variables + constant) as u16,
            None => place,
        };
        let rand_hash::Step { opcode, a, b, to } = step;
        Some(match opcode {
            Opcode::Loop => {
                let count = program.loops.get(usize::from(a))?.count;
                Step { opcode, a: u16::try_from(count).ok()?, b: 0, to: 0 }
            }
            Opcode::IfLikely | Opcode::IfRandom => {
                // An IF, the JMP to its second body, the first body, the JMP behind both, the second body.
                let second = program.steps.get(position + 1)?.to;
                let behind = program.steps.get(usize::from(second).checked_sub(1)?)?.to;
                Step { opcode, a: row(a), b: second, to: behind }
            }
            _ if opcode.group().is_some() => Step { opcode, a: row(a), b: row(b), to },
            _ => Step { opcode, a, b, to },
        })
    }

    /// The greatest cost from `position` to the END of its scope (from 0: to the end of the program's one loop),
    /// and where that END is.
    fn cost(&self, position: usize) -> (Cost, usize) {
        let mut cost = Cost::default();
        let mut at = position;
        while let Some(step) = self.steps.get(at) {
            cost.instructions += 1;
            match step.opcode {
                Opcode::End => {
                    cost.outputs += u64::from(step.b - step.a);
                    break;
                }
                Opcode::Loop => {
                    let (body, end) = self.cost(at + 1);
                    cost.instructions += u64::from(step.a) * body.instructions;
                    cost.outputs += u64::from(step.a) * body.outputs;
                    at = end + 1;
                }
                Opcode::IfLikely | Opcode::IfRandom => {
                    let ((first, _), (second, _)) = (self.cost(at + 2), self.cost(step.b.into()));
                    // Whichever body runs, one of the two JMPs runs with it.
                    cost.instructions += 1 + first.instructions.max(second.instructions);
                    cost.outputs += first.outputs.max(second.outputs);
                    at = step.to.into();
                }
                _ => at += 1,
            }
        }
        (cost, at)
    }
}

/// One more than the last row that an instruction writes.
fn behind_last_row(step: rand_hash::Step) -> usize {
    let outputs = match step.opcode {
        Opcode::In | Opcode::Memory => 1,
        opcode => opcode.group().map_or(0, Group::outputs),
    };
    usize::from(step.to) * usize::from(outputs > 0) + outputs
}
