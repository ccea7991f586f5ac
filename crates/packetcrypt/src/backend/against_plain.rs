//! Each kernel of each vector backend against the plain path: same inputs, same bytes.

use ::chacha20::ChaCha20;
use ::chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use ::poly1305::Poly1305;
use ::poly1305::universal_hash::KeyInit;

use super::ahead::Ahead;
use super::batch::Batch;
use super::blocks::{Blocks, Inputs};
use super::kernels::{DIGEST_LANES, ITEM_LANES, Kernels, Message, Tags, Tails};
use super::states::{BATCH, DATA, STATE, States, Texts};
use super::wide_machine::WideMachine;
use super::wide_program::{WINDOWS, WideProgram};
use super::{Avx2, Avx512};
use crate::WorkHash;
use crate::crypto_cycle::{BEHIND_ITEM, ITEM_PART, ITEM_SIZE, Opening, State, Template, WHOLE};
use crate::hash::{blake2b_256, blake2b_512, expand};
use crate::instruction::{Group, Opcode, PROGRAM_LENGTH_MAX};
use crate::rand_gen::Generator;
use crate::rand_hash::{ITEM_CYCLES, Machine, Program};

/// Makes a test of each function for each vector backend.
macro_rules! on_every_backend {
    ($($test:ident)*) => {
        on_every_backend!(avx2: Avx2: $($test)*);
        on_every_backend!(avx512: Avx512: $($test)*);
    };
    ($module:ident: $kernels:ident: $($test:ident)*) => {
        mod $module {
            use super::{Kernels, $kernels};

            $(
                #[test]
                fn $test() {
                    match $kernels::detect() {
                        Some(kernels) => super::$test(kernels),
                        None => eprintln!("SKIPPED: this processor cannot run {}", stringify!($module)),
                    }
                }
            )*
        }
    };
}

on_every_backend! {
    key_stream_of_every_length_and_start
    tags_of_every_length_beside_every_other
    tags_of_one_text_of_every_length_under_different_keys
    digests_of_every_length_in_use
    passes_with_every_control_word
    first_updates_with_every_control_word
    attempts_of_batches_of_every_size
    multiplications_of_extreme_numbers
    generated_programs_on_neighbouring_and_on_scattered_items
    every_operation_on_words_of_all_kinds
    branches_where_lanes_part_inside_branches_where_they_part
}

/// Bytes that look random, always the same for a seed and a number.
fn noise<const LENGTH: usize>(seed: u8, number: usize) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    expand(&[seed; 32], number as u32, &mut bytes);
    bytes
}

fn words<const COUNT: usize>(bytes: &[u8]) -> [u32; COUNT] {
    std::array::from_fn(|k| u32::from_le_bytes(bytes[4 * k..4 * k + 4].try_into().unwrap()))
}

fn key_stream_of_every_length_and_start(kernels: impl Kernels) {
    let (mut states, mut inputs, mut blocks) = (States::new(), Inputs::new(), Blocks::new());
    let mut blocks_alone = [[0; BATCH]; 16];
    for length in (16..=2000).step_by(16) {
        let mut expected = Vec::new();
        for message in 0..BATCH {
            let (key, nonce) = (noise::<32>(1, message + length), noise::<12>(2, message + length));
            inputs.set(message, words(&key), words(&nonce));
            *states.state_mut(message) = noise(3, message);
            let skip = length / 2 / 64 * 64 * (message % 2);
            let offset = (48 + 16 * (message % 8)).min(STATE - length);
            let mut cipher = ChaCha20::new(&key.into(), &nonce.into());
            let mut state = *states.state(message);
            inputs.counter[message] = (length + message) as u32 % 3;
            cipher.seek(64 * inputs.counter[message]);
            let mut block = [0; 64];
            cipher.apply_keystream(&mut block);
            cipher.seek(64 + skip as u32);
            cipher.apply_keystream(&mut state[offset + skip..offset + length]);
            blocks.push(message, offset, skip..length, 0);
            expected.push((state, words::<16>(&block)));
        }
        kernels.apply(&mut blocks, &inputs, &mut states, Texts::InPlace, &mut Ahead::new(&[]));
        let messages = 1 + length / 16 % BATCH;
        kernels.blocks(&inputs, messages, &mut blocks_alone);
        for (message, (state, block)) in expected.iter().enumerate() {
            assert!(states.state(message) == state, "length {length}, message {message}");
            if message < messages {
                assert_eq!(&std::array::from_fn(|word| blocks_alone[word][message]), block);
            }
        }
    }
}

fn tags_of_every_length_beside_every_other(kernels: impl Kernels) {
    let (mut states, mut tails) = (States::new(), Tails::new());
    for round in 0..250 {
        // Numbers of all ones come closest to the modulus, and make every carry.
        let all_ones = round % 5 == 4;
        let (mut messages, mut expected) = (Vec::new(), Vec::new());
        for place in 0..=round % BATCH {
            *states.state_mut(place) = if all_ones { [0xff; STATE] } else { noise(4, round * BATCH + place) };
            let blocks = 1 + (round + place * (round / 125 + 1) * 17) % 125;
            let text = &states.state(place)[DATA..DATA + 16 * blocks];
            expected.push(set_tail(&mut tails, place, round, all_ones, text));
            messages.push(Message { state: place, blocks, item: None });
        }
        let mut tags = [[0; BATCH]; 2];
        kernels.tags(&states, &messages, &tails, &mut Ahead::new(&[]), &mut tags);
        assert!(bytes_of(&tags)[..messages.len()] == expected, "round {round}");
    }
}

fn tags_of_one_text_of_every_length_under_different_keys(kernels: impl Kernels) {
    let mut tails = Tails::new();
    for blocks in 1..=125 {
        for all_ones in [false, true] {
            let text: [u8; STATE] = if all_ones { [0xff; STATE] } else { noise(4, blocks) };
            let text = &text[..16 * blocks];
            let count = 1 + blocks % BATCH;
            let expected: Vec<_> =
                (0..count).map(|place| set_tail(&mut tails, place, blocks, all_ones, text)).collect();
            let mut tags = [[0; BATCH]; 2];
            kernels.tags_of_same(text, count, &tails, &mut Ahead::new(&[]), &mut tags);
            assert!(bytes_of(&tags)[..count] == expected, "{blocks} blocks");
        }
    }
}

/// Sets one-time key and length block of a place, and gives the tag that the text then has.
fn set_tail(tails: &mut Tails, place: usize, round: usize, all_ones: bool, text: &[u8]) -> [u8; 16] {
    let key: [u8; 32] = if all_ones { [0xff; 32] } else { noise(5, round * BATCH + place) };
    let lengths: [u8; 16] = if round.is_multiple_of(3) { [0xff; 16] } else { noise(6, round + place) };
    let word = |bytes: &[u8], k: usize| u64::from_le_bytes(*bytes[8 * k..].first_chunk().unwrap());
    for half in 0..2 {
        tails.r[half][place] = word(&key, half);
        tails.s[half][place] = word(&key, 2 + half);
        tails.lengths[half][place] = word(&lengths, half);
    }
    Poly1305::new(&key.into()).compute_unpadded(&[text, &lengths].concat()).into()
}

fn bytes_of([low, high]: &Tags) -> [[u8; 16]; BATCH] {
    std::array::from_fn(|place| (u128::from(low[place]) | u128::from(high[place]) << 64).to_le_bytes())
}

fn digests_of_every_length_in_use(kernels: impl Kernels) {
    let texts: [[u8; 2048]; DIGEST_LANES] = std::array::from_fn(|message| noise(7, message));
    for length in [1, 32, 64, 96, 127, 128, 129, 152, 255, 256, 1024, 2047, 2048] {
        let messages = texts.each_ref().map(|text| &text[..length]);
        let (mut short, mut long) = ([[0; 32]; DIGEST_LANES], [[0; 64]; DIGEST_LANES]);
        kernels.digests(messages, &mut short);
        kernels.digests(messages, &mut long);
        for (message, text) in messages.into_iter().enumerate() {
            assert_eq!(short[message], blake2b_256(text), "length {length}");
            assert_eq!(long[message], blake2b_512(&[text]), "length {length}");
        }
    }
}

/// Message length, decryption, additional data: all that MAKE_FUZZABLE can choose; the zero counts in turn.
fn every_control_word() -> Vec<u32> {
    let controls = (0..2048u32).map(|k| (k & 63) << 17 | (k & 64) << 17 | (k >> 7 & 1) << 12 | k >> 8 << 13);
    controls.map(|control| control | control >> 5 & 0xf0f).collect()
}

fn passes_with_every_control_word<K: Kernels>(_: K) {
    let mut batch = Batch::<K>::new().expect("there are kernels");
    let controls = every_control_word();
    for kept in [WHOLE, BEHIND_ITEM, ITEM_PART] {
        for (round, controls) in controls.chunks(BATCH).enumerate() {
            let mut plain = Vec::new();
            for (index, control) in controls.iter().enumerate() {
                let mut state: [u8; STATE] = noise(9, round * BATCH + index);
                state[16..20].copy_from_slice(&control.to_le_bytes());
                plain.push(State::from(state));
            }
            batch.copy_from(plain.iter().map(State::as_bytes));
            batch.crypt(&kept);
            for (index, state) in plain.iter_mut().enumerate() {
                state.make_fuzzable();
                state.crypt();
                let (ours, theirs) = (batch.state(index), state.as_bytes());
                assert!(ours[..48] == theirs[..48], "header, control {:08x}", controls[index]);
                assert!(ours[kept.clone()] == theirs[kept.clone()], "control {:08x}", controls[index]);
            }
        }
    }
}

fn first_updates_with_every_control_word<K: Kernels>(_: K) {
    let mut batch = Batch::<K>::new().expect("there are kernels");
    for (round, control) in every_control_word().into_iter().enumerate() {
        let (mut bytes, count) = (noise::<STATE>(12, round), 1 + round % BATCH);
        bytes[16..20].copy_from_slice(&control.to_le_bytes());
        let item = noise(13, round);
        let opening = Opening::new(&Template::from(State::from(bytes)), &item);
        let nonce = |index: usize| (index * index * round) as u64;
        batch.start(&opening, count, nonce, &[]);
        for index in 0..count {
            bytes[..8].copy_from_slice(&nonce(index).to_le_bytes());
            let mut plain = State::from(bytes);
            plain.update(&item);
            let (ours, theirs) = (batch.state(index), plain.as_bytes());
            assert!(ours[..32] == theirs[..32], "header, control {control:08x}");
            assert!(ours[BEHIND_ITEM] == theirs[BEHIND_ITEM], "control {control:08x}");
            let mut opened = State::default();
            opening.start(nonce(index), &mut opened);
            assert!(opened.as_bytes()[..32] == theirs[..32], "plain header, control {control:08x}");
            assert!(opened.as_bytes()[BEHIND_ITEM] == theirs[BEHIND_ITEM], "plain, control {control:08x}");
        }
    }
}

fn attempts_of_batches_of_every_size<K: Kernels>(_: K) {
    let mut batch = Batch::<K>::new().expect("there are kernels");
    let items: Vec<[u8; ITEM_SIZE]> = (0..300).map(|number| noise(10, number)).collect();
    let item_of = |number: u64| &items[(number % items.len() as u64) as usize];
    for count in 1..=BATCH {
        let template = Template::new(&[count as u8; 32]);
        let nonce = |index: usize| (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (count % 60);
        let first_item = item_of(template.first_item_number());
        batch.start(&Opening::new(&template, first_item), count, nonce, &[]);
        let mut plain = vec![State::default(); count];
        for (index, state) in plain.iter_mut().enumerate() {
            template.start(nonce(index), state);
            state.update(first_item);
        }
        for kept in [BEHIND_ITEM, BEHIND_ITEM, WHOLE] {
            let numbers: Vec<u64> = plain.iter().map(State::item_number).collect();
            batch.update(|index| item_of(numbers[index]), &kept, &[]);
            for state in &mut plain {
                state.update(item_of(state.item_number()));
            }
        }
        Batch::multiply_scalars(&mut [&mut batch]);
        let mut work_hashes = [WorkHash::default(); BATCH];
        batch.finish(&mut work_hashes);
        for (index, state) in plain.iter_mut().enumerate() {
            state.multiply_scalars();
            assert_eq!(work_hashes[index], state.finish(), "state {index} of {count}");
            assert!(batch.state(index) == state.as_bytes(), "state {index} of {count}");
        }
    }
}

fn multiplications_of_extreme_numbers<K: Kernels>(_: K) {
    let mut batch = Batch::<K>::new().expect("there are kernels");
    let extremes =
        [[0; 32], [0xff; 32], [0x80; 32], [0x7f; 32], noise(11, 0), noise(11, 1), noise(11, 2), [1; 32]];
    let mut plain = Vec::new();
    for index in 0..BATCH {
        let mut state = [0; STATE];
        state[..32].copy_from_slice(&extremes[index % 8]);
        state[32..64].copy_from_slice(&extremes[index / 8]);
        plain.push(State::from(state));
    }
    batch.copy_from(plain.iter().map(State::as_bytes));
    Batch::multiply_scalars(&mut [&mut batch]);
    for (index, state) in plain.iter_mut().enumerate() {
        state.multiply_scalars();
        assert_eq!(batch.state(index)[64..96], state.as_bytes()[64..96], "state {index}");
    }
}

/// Runs a program in lanes and plainly, on states of the same items.
fn compare_runs<K: Kernels>(
    kernels: K,
    machine: &mut WideMachine,
    program: &[u32],
    seed: u8,
    numbers: &[usize; ITEM_LANES],
) {
    let program_words = program;
    let program = Program::decode(program).unwrap();
    let mut wide = WideProgram::default();
    assert!(wide.replace(&program), "lanes can run this program");
    let mut image: [u32; PROGRAM_LENGTH_MAX] = words(&noise::<8192>(seed, 1));
    image[..program_words.len()].copy_from_slice(program_words);
    let template = Template::new(&[seed; 32]);
    let mut plain: Vec<State> = vec![State::default(); ITEM_LANES];
    for (state, number) in plain.iter_mut().zip(numbers) {
        template.start(*number as u64, state);
    }
    let mut lanes: Box<[[u8; STATE]; ITEM_LANES]> = vec![[0; STATE]; ITEM_LANES].try_into().unwrap();
    for (lane, state) in lanes.iter_mut().zip(&plain) {
        *lane = *state.as_bytes();
    }
    kernels.run_program(machine, &wide, &image, numbers, &mut lanes);
    let mut plain_machine = Machine::new();
    for (lane, (state, number)) in plain.iter_mut().zip(numbers).enumerate() {
        let window = image[number % WINDOWS..].first_chunk().unwrap();
        plain_machine.run(&program, window, state, ITEM_CYCLES).unwrap();
        assert!(state.as_bytes() == &lanes[lane], "seed {seed}, lane {lane}, item {number}");
    }
}

fn generated_programs_on_neighbouring_and_on_scattered_items(kernels: impl Kernels) {
    let (mut machine, mut generator) = (WideMachine::default(), Generator::new());
    for seed in 0..=255 {
        let program = generator.generate(&[seed; 32]).unwrap();
        let first = usize::from(seed) * 32 % 8192;
        compare_runs(kernels, &mut machine, program, seed, &std::array::from_fn(|lane| first + lane));
        compare_runs(
            kernels,
            &mut machine,
            program,
            seed,
            &std::array::from_fn(|lane| (first + lane * 977) % 8192),
        );
    }
}

fn every_operation_on_words_of_all_kinds(kernels: impl Kernels) {
    let mut machine = WideMachine::default();
    let numbers = std::array::from_fn(|lane| lane * 31);
    for code in 1..=Opcode::Mulu64C.code() {
        let group = Opcode::from_code(code).and_then(Opcode::group).unwrap();
        // A loop that loads four words: the item's number, which differs from lane to lane, a random word, and two
        // made of these: a word of few bits and one of many.
        let (input, end) = (Opcode::In.code(), Opcode::End.code());
        let few = Opcode::And.code() | 1 << 9 | 0xff8 << 20 | 1 << 18;
        let many = Opcode::Or.code() | 2 << 9 | 0x8ff << 20 | 1 << 18;
        let mut program = vec![Opcode::Loop.code() | 3 << 20, input, input | 77 << 20, few, many];
        let first = if group.takes_pairs() { 2 } else { 1 };
        for a in first..=4 {
            program.push(code | a << 9 | 0xfff << 20 | u32::from(group != Group::G11) << 18);
            for b in first..=4 {
                program.push(code | a << 9 | b << 20);
            }
        }
        program.push(end);
        compare_runs(kernels, &mut machine, &program, code as u8, &numbers);
    }
}

fn branches_where_lanes_part_inside_branches_where_they_part(kernels: impl Kernels) {
    let branch = |condition: Opcode, first: &[u32], second: &[u32]| {
        let jump = |distance: usize| Opcode::Jmp.code() | (distance as u32) << 8;
        let mut words = vec![condition.code() | 1 << 9, jump(first.len() + 2)];
        words.extend(
            [first, &[Opcode::End.code(), jump(second.len() + 1)], second, &[Opcode::End.code()]].concat(),
        );
        words
    };
    let add = |register: u32| Opcode::Add32.code() | register << 9 | register << 20;
    let inner = branch(Opcode::IfLikely, &[add(1), add(1), add(1)], &[]);
    let outer = branch(Opcode::IfRandom, &inner, &[add(1); 40]);
    let program =
        [vec![Opcode::Loop.code() | 5 << 20, Opcode::In.code()], outer, vec![Opcode::End.code()]].concat();
    compare_runs(kernels, &mut WideMachine::default(), &program, 1, &std::array::from_fn(|lane| lane));
}

#[test]
fn programs_that_might_run_for_too_long_are_left_to_the_plain_path() {
    let end = Opcode::End.code();
    let nested = |outer: u32| {
        let words =
            [Opcode::Loop.code() | outer << 20, Opcode::Loop.code() | 99 << 20, Opcode::In.code(), end, end];
        Program::decode(&words).unwrap()
    };
    assert!(WideProgram::default().replace(&nested(99)));
    assert!(!WideProgram::default().replace(&nested(100)));
    let late_memory = [Opcode::Loop.code() | 1 << 20, Opcode::In.code(), Opcode::Memory.code(), end];
    assert!(!WideProgram::default().replace(&Program::decode(&late_memory).unwrap()));
}
