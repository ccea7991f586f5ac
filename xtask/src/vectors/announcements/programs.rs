//! Programs: generating them, and what each of their instructions does.

use anyhow::{anyhow, bail, ensure};
use packetcrypt::hash::blake2b_256;
use packetcrypt::instruction::{Group, Instruction, Opcode};
use packetcrypt::item::{Recipe, Workshop};
use packetcrypt::rand_gen::{Generator, TooBig};
use packetcrypt::rand_hash::{HALF, Machine, Program, TooLong, Words};
use serde_json::Value;

use super::{Row, bytes_of};

pub(super) fn rand_gen(row: &Row) -> anyhow::Result<()> {
    let seed = row.array("seed")?;
    let mut generator = Generator::new();
    let generated = generator.generate(&seed);
    row.same("ok", generated.is_ok())?;
    let Ok(words) = generated else {
        ensure!(generated == Err(TooBig));
        return row.same("reason", "TOO_BIG");
    };
    row.same("insn_count", words.len())?;
    row.same("words_head", hex_words(&words[..8.min(words.len())]))?;
    row.same_digest("words_blake2b256", &bytes_of(words))?;
    let (stack, scopes) = greatest_depths(words)?;
    row.same("max_stack", stack)?;
    row.same("max_scope", scopes)?;

    let mut table_seed = [0; 64];
    table_seed[..32].copy_from_slice(&seed);
    let recipe = Recipe::new(&table_seed, &mut Workshop::new())?;
    row.same_digest("image_blake2b256", &bytes_of(recipe.image()))
}

pub(super) fn rand_gen_full(row: &Row) -> anyhow::Result<()> {
    let mut generator = Generator::new();
    let words = generator.generate(&row.array("seed")?)?;
    row.same("insn_count", words.len())?;
    row.same("words", hex_words(words))
}

/// How many registers, markers included, and scopes a program has open at most. Registers are counted when variables
/// are pushed.
fn greatest_depths(words: &[u32]) -> anyhow::Result<(usize, usize)> {
    let (mut height, mut greatest) = (0, (0, 0));
    let mut markers = Vec::new();
    for word in words {
        let pushed = match Instruction(*word).opcode().ok_or_else(|| anyhow!("{word:08x} has no opcode"))? {
            // A JMP stands before each body of a branch, and nowhere else.
            Opcode::Loop | Opcode::Jmp => {
                markers.push(height);
                height += 1;
                0
            }
            Opcode::IfLikely | Opcode::IfRandom => 0,
            Opcode::End => {
                height = markers.pop().ok_or_else(|| anyhow!("an END without a scope"))?;
                0
            }
            Opcode::In | Opcode::Memory => 1,
            computing => computing.group().map_or(0, Group::outputs),
        };
        height += pushed;
        greatest = (greatest.0.max(if pushed > 0 { height } else { 0 }), greatest.1.max(markers.len()));
    }
    Ok(greatest)
}

fn hex_words(words: &[u32]) -> Vec<Value> {
    words.iter().map(|word| format!("{word:08x}").into()).collect()
}

const LOOP_ONCE: u32 = 0x0010_0042;
const END: u32 = 0x0000_0046;

/// An IN that reads a word below 256.
fn input(index: u32) -> u32 {
    index << 20 | Opcode::In.code()
}

pub(super) fn opcode(row: &Row) -> anyhow::Result<()> {
    let opcode =
        Opcode::from_code(u32::try_from(row.number("code")?)?).ok_or_else(|| anyhow!("no such opcode"))?;
    row.same("op", format!("{opcode:?}").to_uppercase())?;
    match opcode {
        Opcode::In => {
            let outputs = outputs_of(&[LOOP_ONCE, insn(row)?, END], &numbered(), &[0; HALF])?;
            row.same("index", outputs[0] - 1)
        }
        Opcode::Memory => {
            let iterations = u32::try_from(row.number("loop_count")?)?;
            let program = [iterations << 20 | Opcode::Loop.code(), insn(row)?, END];
            let outputs = outputs_of(&program, &[0; HALF], &numbered())?;
            let indexes = outputs[..iterations as usize].iter().map(|word| Value::from(word - 1));
            row.same("index_per_iteration", indexes.collect::<Vec<_>>())
        }
        _ => arithmetic(row, opcode),
    }
}

/// Reads the operands from the input, computes, and looks at what comes out behind them.
fn arithmetic(row: &Row, opcode: Opcode) -> anyhow::Result<()> {
    let group = opcode.group().ok_or_else(|| anyhow!("{opcode:?} computes nothing"))?;
    let a = row.hex_number("a")?;
    let b = if row.has("b") { row.hex_number("b")? } else { 0 };
    let mut words = [0; HALF];
    let (registers, [register_a, register_b]) = if group.takes_pairs() { (4, [2, 4]) } else { (2, [1, 2]) };
    for (index, word) in words[..registers].iter_mut().enumerate() {
        let number = if index < registers / 2 { a } else { b };
        *word = (number >> (32 * (index % (registers / 2)))) as u32;
    }
    let operand_b = if row.has("imm12") {
        let immediate = row.hex_number("imm12")? as u32;
        let instruction = Instruction(immediate << 20 | Instruction::IMMEDIATE);
        let width = if group.takes_pairs() { u64::MAX } else { u32::MAX.into() };
        let got = instruction.immediate() & width;
        ensure!(got == b, "imm12: expected {b:x}, got {got:x}");
        instruction.0
    } else {
        register_b << 20
    };
    let mut program = vec![LOOP_ONCE];
    program.extend((0..registers as u32).map(input));
    program.extend([opcode.code() | register_a << 9 | operand_b, END]);
    let outputs = outputs_of(&program, &words, &[0; HALF])?;
    row.same("out", hex_words(&outputs[registers..registers + group.outputs()]))
}

fn insn(row: &Row) -> anyhow::Result<u32> {
    Ok(u32::try_from(row.hex_number("insn")?)?)
}

/// Words that tell their index: it is one less.
fn numbered() -> Words {
    std::array::from_fn(|index| index as u32 + 1)
}

fn outputs_of(program: &[u32], input: &Words, memory: &Words) -> anyhow::Result<Words> {
    let mut output = [0; HALF];
    Machine::new().cycle(&Program::decode(program)?, memory, input, &mut output)?;
    Ok(output)
}

pub(super) fn rand_hash(row: &Row) -> anyhow::Result<()> {
    let mut table_seed = [0; 64];
    table_seed[..32].copy_from_slice(&row.array::<32>("prog_seed")?);
    let recipe = Recipe::new(&table_seed, &mut Workshop::new())?;
    row.same("insn_count", recipe.program().len())?;
    let memory = match row.text("kind")? {
        "v1" => {
            let window = usize::try_from(row.number("item_no")?)? % (recipe.image().len() - HALF);
            *recipe.image()[window..].first_chunk().ok_or_else(|| anyhow!("a window behind the image"))?
        }
        "v0" => words_of(&row.expanded::<{ 4 * HALF }>("mem_seed", "mem_num")?),
        kind => bail!("unknown kind {kind:?}"),
    };
    let mut state = words_of(&row.expanded::<{ 8 * HALF }>("state_seed", "state_num")?);
    let executed = run_cycles(recipe.program(), &memory, &mut state, row.number("cycles")?)?;
    row.same("ops", executed)?;
    let bytes = bytes_of(&state);
    row.same_bytes("out_head", &bytes[..32])?;
    row.same_bytes("out_mid", &bytes[1024..1056])?;
    row.same_bytes("out_blake2b256", &blake2b_256(&bytes))
}

pub(super) fn rand_hash_limit(row: &Row) -> anyhow::Result<()> {
    let program = Program::decode(&row.words("words")?)?;
    let mut state = [0; 2 * HALF];
    match row.text("state")? {
        "zero" => {}
        "ones_word0" => state[0] = 1,
        "mid_word0" => state[HALF] = 1,
        "eight" => state[0] = 8,
        other => bail!("unknown state {other:?}"),
    }
    let outcome = run_cycles(&program, &[0; HALF], &mut state, row.number("cycles")?);
    row.same("ok", outcome.is_ok())?;
    match outcome {
        Err(TooLong) => row.same("reason", "TOO_LONG"),
        Ok(executed) => {
            row.same("ops", executed)?;
            row.same_digest("out_blake2b256", &bytes_of(&state))
        }
    }
}

/// Runs cycles one by one, the halves of the state taking turns; the instructions that each executed.
fn run_cycles(
    program: &Program,
    memory: &Words,
    state: &mut [u32; 2 * HALF],
    cycles: u64,
) -> Result<Vec<u32>, TooLong> {
    let mut machine = Machine::new();
    let (mut input, mut output) = ([0; HALF], [0; HALF]);
    input.copy_from_slice(&state[..HALF]);
    output.copy_from_slice(&state[HALF..]);
    let mut executed = Vec::new();
    for _ in 0..cycles {
        executed.push(machine.cycle(program, memory, &input, &mut output)?);
        std::mem::swap(&mut input, &mut output);
    }
    if cycles % 2 == 1 {
        std::mem::swap(&mut input, &mut output);
    }
    state[..HALF].copy_from_slice(&input);
    state[HALF..].copy_from_slice(&output);
    Ok(executed)
}

fn words_of<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}
