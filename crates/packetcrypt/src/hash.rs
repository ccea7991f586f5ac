//! The primitive functions, as the specification names them: BLAKE2b (`H32`, `H64`) and ChaCha20 key stream (`CHACHA`,
//! `EXPAND`); [`authenticator`](crate::authenticator) has Poly1305 (`POLY`).
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 0 and 2. The mathematics is that of the crates `blake2` and
//! `chacha20`; this file gives it our names and shapes.

use std::array::from_fn;

use crate::backend::blocks::{Inputs, SingleBlocks};
use crate::backend::kernels::{DIGEST_LANES, Kernels};
use crate::backend::{Avx2, Avx512, Backend};
use crate::crypto_cycle::BATCH_MAX;
use blake2::{Blake2b256, Blake2b512, Digest};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};

/// `H32`: BLAKE2b with a digest of 32 bytes, unkeyed.
pub fn blake2b_256(message: &[u8]) -> [u8; 32] {
    Blake2b256::digest(message).into()
}

/// `H64`: BLAKE2b with a digest of 64 bytes, unkeyed, over the parts one after the other.
pub fn blake2b_512(parts: &[&[u8]]) -> [u8; 64] {
    let mut hasher = Blake2b512::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// `H64` of many messages of one length, each to its place.
pub fn blake2b_512_many<const LENGTH: usize>(messages: &[[u8; LENGTH]], digests: &mut [[u8; 64]]) {
    many(messages, digests, |message| blake2b_512(&[message]));
}

/// `H32` of many messages of one length, each to its place.
pub fn blake2b_256_many<const LENGTH: usize>(messages: &[[u8; LENGTH]], digests: &mut [[u8; 32]]) {
    many(messages, digests, blake2b_256);
}

/// `H32` of messages of one length, not 0, each to its place. Messages of kilobytes want at least twelve of them: where
/// there are fewer lanes stay empty.
pub fn blake2b_256_side_by_side(messages: &[&[u8]], digests: &mut [[u8; 32]]) {
    many(messages, digests, blake2b_256);
}

/// Digests of many messages, on the chosen backend; `one` makes those that fill no group of lanes.
fn many<const DIGEST: usize>(
    messages: &[impl AsRef<[u8]>],
    digests: &mut [[u8; DIGEST]],
    one: impl Fn(&[u8]) -> [u8; DIGEST],
) {
    assert_eq!(messages.len(), digests.len(), "a place for each digest");
    let done = match Backend::chosen() {
        Backend::Plain => 0,
        Backend::Avx2 => in_lanes(Avx2::detect(), messages, digests),
        Backend::Avx512 => in_lanes(Avx512::detect(), messages, digests),
    };
    for (message, digest) in messages.iter().zip(digests).skip(done) {
        *digest = one(message.as_ref());
    }
}

/// A group of lanes costs as much as about so many digests one by one.
const LANES_PAY_FROM: usize = 4;

/// Makes the digests of as many messages as fill groups of lanes well, and says how many that are.
fn in_lanes<const DIGEST: usize>(
    kernels: Option<impl Kernels>,
    messages: &[impl AsRef<[u8]>],
    digests: &mut [[u8; DIGEST]],
) -> usize {
    let Some(kernels) = kernels else { return 0 };
    let (groups, rest) = messages.as_chunks::<DIGEST_LANES>();
    for (group, places) in groups.iter().zip(digests.as_chunks_mut().0) {
        kernels.digests(group.each_ref().map(AsRef::as_ref), places);
    }
    let done = messages.len() - rest.len();
    if rest.len() < LANES_PAY_FROM {
        return done;
    }
    // Lanes without a message repeat the last one.
    let group = std::array::from_fn(|lane| rest[lane.min(rest.len() - 1)].as_ref());
    let mut places = [[0; DIGEST]; DIGEST_LANES];
    kernels.digests(group, &mut places);
    digests[done..].copy_from_slice(&places[..rest.len()]);
    messages.len()
}

/// The nonce of `EXPAND`, but for the number in its first four bytes.
const EXPANSION_NONCE: [u8; 12] = *b"\0\0\0\0PC_EXPND";

/// `EXPAND(seed, out.len(), number)`: fills `out` with the key stream that `seed` and `number` stand for.
pub fn expand(seed: &[u8; 32], number: u32, out: &mut [u8]) {
    let mut nonce = EXPANSION_NONCE;
    nonce[..4].copy_from_slice(&number.to_le_bytes());
    out.fill(0);
    KeyStream::new(seed, &nonce).apply(out);
}

/// `EXPAND(seed, out.len(), 0)` from a block of 64 bytes on, on the chosen backend.
pub(crate) fn expand_from_block(seed: &[u8; 32], first: u16, out: &mut [u8]) {
    let done = match Backend::chosen() {
        Backend::Plain => None,
        Backend::Avx2 => expand_side_by_side(Avx2::detect(), seed, first, out),
        Backend::Avx512 => expand_side_by_side(Avx512::detect(), seed, first, out),
    };
    if done.is_none() {
        out.fill(0);
        let mut stream = KeyStream::new(seed, &EXPANSION_NONCE);
        stream.go_to_block(first);
        stream.apply(out);
    }
}

/// As [`expand_from_block`], a block in each lane.
fn expand_side_by_side(
    kernels: Option<impl Kernels>,
    seed: &[u8; 32],
    first: u16,
    out: &mut [u8],
) -> Option<()> {
    let (kernels, mut inputs) = (kernels?, inputs_of_expansion(seed));
    let mut blocks = [[0; BATCH_MAX]; 16];
    for (first, out) in (u32::from(first)..).step_by(BATCH_MAX).zip(out.chunks_mut(64 * BATCH_MAX)) {
        inputs.counter = from_fn(|block| first + block as u32);
        kernels.blocks(&inputs, out.len().div_ceil(64), &mut blocks);
        for (block, out) in out.chunks_mut(64).enumerate() {
            for (bytes, words) in out.chunks_mut(4).zip(&blocks) {
                bytes.copy_from_slice(&words[block].to_le_bytes()[..bytes.len()]);
            }
        }
    }
    Some(())
}

/// Key and nonce of `EXPAND(seed, …, 0)` in every lane.
fn inputs_of_expansion(seed: &[u8; 32]) -> Inputs {
    let splat = |bytes: &[u8; 4]| [u32::from_le_bytes(*bytes); BATCH_MAX];
    let nonce = EXPANSION_NONCE.as_chunks().0;
    Inputs {
        matrices: [[0; 16]; BATCH_MAX],
        key: from_fn(|word| splat(&seed.as_chunks().0[word])),
        nonce: from_fn(|word| splat(&nonce[word])),
        counter: [0; BATCH_MAX],
    }
}

/// The blocks `EXPAND(seed, 64, number)` of the numbers from `first` on, as many as the chosen backend makes at a time;
/// says how many. Word `w` of the block `b`-th in the row goes to `blocks[w][b]`.
pub(crate) fn expand_blocks(seed: &[u8; 32], first: u32, blocks: &mut SingleBlocks) -> usize {
    match Backend::chosen() {
        Backend::Plain => None,
        Backend::Avx2 => expand_in_lanes(Avx2::detect(), seed, first, blocks),
        Backend::Avx512 => expand_in_lanes(Avx512::detect(), seed, first, blocks),
    }
    .unwrap_or_else(|| {
        for (words, word) in blocks.iter_mut().zip(expanded_block(seed, first)) {
            words[0] = word;
        }
        1
    })
}

/// As [`expand_blocks`], a block in each lane.
fn expand_in_lanes(
    kernels: Option<impl Kernels>,
    seed: &[u8; 32],
    first: u32,
    blocks: &mut SingleBlocks,
) -> Option<usize> {
    let kernels = kernels?;
    let mut inputs = inputs_of_expansion(seed);
    inputs.nonce[0] = from_fn(|block| first.wrapping_add(block as u32));
    kernels.blocks(&inputs, BATCH_MAX, blocks);
    Some(BATCH_MAX)
}

/// The words of `EXPAND(seed, 64, number)`: one ChaCha20 block.
///
/// The generator of programs needs some hundred of them, each with another nonce and only block 0. A library sets up
/// its vectors anew for each and takes twice as long as this plain block function of RFC 8439 2.3.
fn expanded_block(seed: &[u8; 32], number: u32) -> [u32; 16] {
    let mut bytes = *b"expand 32-byte k\
        --------key goes here--------key\
        \0\0\0\0\0\0\0\0PC_EXPND";
    bytes[16..48].copy_from_slice(seed);
    bytes[52..56].copy_from_slice(&number.to_le_bytes());
    let mut start = [0; 16];
    for (word, bytes) in start.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }

    let mut words = start;
    for _ in 0..10 {
        for [a, b, c, d] in [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]] {
            quarter_round(&mut words, a, b, c, d);
        }
        for [a, b, c, d] in [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]] {
            quarter_round(&mut words, a, b, c, d);
        }
    }
    for (word, start) in words.iter_mut().zip(start) {
        *word = word.wrapping_add(start);
    }
    words
}

/// The ChaCha quarter round of RFC 8439 2.1.
#[inline]
fn quarter_round(words: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    for (sum, addend, mixed, by) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
        words[sum] = words[sum].wrapping_add(words[addend]);
        words[mixed] = (words[mixed] ^ words[sum]).rotate_left(by);
    }
}

/// `CHACHA`: the RFC 8439 ChaCha20 key stream of a key and nonce, read from block 0 onwards.
pub struct KeyStream(ChaCha20);

impl KeyStream {
    /// Length of a block in bytes.
    pub const BLOCK: usize = 64;

    /// Length of a block in words of 32 bits.
    pub(crate) const WORDS: usize = Self::BLOCK / 4;

    /// The stream, at the start of block 0.
    pub fn new(key: &[u8; 32], nonce: &[u8; 12]) -> Self {
        Self(ChaCha20::new(key.into(), nonce.into()))
    }

    /// Goes to the start of a block. Only blocks below 2^16 are ever needed here.
    pub fn go_to_block(&mut self, block: u16) {
        self.0.seek(u64::from(block) * Self::BLOCK as u64);
    }

    /// XORs the next bytes of the stream onto `data`.
    pub fn apply(&mut self, data: &mut [u8]) {
        self.0.apply_keystream(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_digest_is_not_the_long_one_cut_off() {
        let long = blake2b_512(&[b"ab", b"c"]);
        assert_eq!(hex::encode(&long[..8]), "ba80a53f981c4d0d");
        assert_eq!(hex::encode(&blake2b_256(b"abc")[..8]), "bddd813c63423972");
    }

    #[test]
    fn many_digests_are_those_made_one_by_one() {
        let messages: Vec<[u8; 200]> = (0..40).map(|number| [number; 200]).collect();
        for count in 0..=messages.len() {
            let (mut long, mut short) = (vec![[0; 64]; count], vec![[0; 32]; count]);
            blake2b_512_many(&messages[..count], &mut long);
            blake2b_256_many(&messages[..count], &mut short);
            for ((message, long), short) in messages.iter().zip(long).zip(&short) {
                assert_eq!((blake2b_512(&[message]), blake2b_256(message)), (long, *short));
            }
            let slices: Vec<&[u8]> = messages[..count].iter().map(<[u8; 200]>::as_slice).collect();
            let mut again = vec![[0; 32]; count];
            blake2b_256_side_by_side(&slices, &mut again);
            assert_eq!(again, short);
        }
    }

    #[test]
    fn the_stream_can_be_entered_at_any_block() {
        let (key, nonce) = ([7; 32], [9; 12]);
        let mut whole = [0; 256];
        KeyStream::new(&key, &nonce).apply(&mut whole);
        let mut last = [0; 64];
        let mut stream = KeyStream::new(&key, &nonce);
        stream.go_to_block(3);
        stream.apply(&mut last);
        assert_eq!(last, whole[192..]);
    }

    #[test]
    fn blocks_of_words_are_what_expands_to_64_bytes() {
        let seed = from_fn(|index| index as u8);
        let expanded = |number| {
            let mut bytes = [0; 64];
            expand(&seed, number, &mut bytes);
            from_fn::<_, 16, _>(|word| u32::from_le_bytes(bytes.as_chunks().0[word]))
        };
        for first in [0, 1, 77, u32::MAX] {
            assert_eq!(expanded_block(&seed, first), expanded(first));
            let mut in_lanes = [[0; BATCH_MAX]; 16];
            for made in [
                Some(expand_blocks(&seed, first, &mut in_lanes)),
                expand_in_lanes(Avx2::detect(), &seed, first, &mut in_lanes),
                expand_in_lanes(Avx512::detect(), &seed, first, &mut in_lanes),
            ] {
                (0..made.unwrap_or(0)).for_each(|block| {
                    let words = from_fn(|word| in_lanes[word][block]);
                    assert_eq!(words, expanded(first.wrapping_add(block as u32)));
                });
            }
        }
    }

    #[test]
    fn an_expansion_can_begin_at_any_block_on_every_backend() {
        let mut whole = [0; 8192];
        expand(&[3; 32], 0, &mut whole);
        for (first, length) in [(0, 8192), (0, 2048), (3, 100), (63, 4160), (70, 1), (127, 64), (128, 0)] {
            let expected = &whole[64 * usize::from(first)..][..length];
            let mut part = vec![1; length];
            expand_from_block(&[3; 32], first, &mut part);
            assert_eq!(part, expected);
            let mut part = vec![1; length];
            if expand_side_by_side(Avx2::detect(), &[3; 32], first, &mut part).is_some() {
                assert_eq!(part, expected);
            }
            let mut part = vec![1; length];
            if expand_side_by_side(Avx512::detect(), &[3; 32], first, &mut part).is_some() {
                assert_eq!(part, expected);
            }
        }
    }

    #[test]
    fn expansion_overwrites_what_was_there() {
        let (mut once, mut again) = ([0; 100], [0xff; 100]);
        expand(&[1; 32], 5, &mut once);
        expand(&[1; 32], 5, &mut again);
        assert_eq!(once, again);
    }
}
