//! The two ends of a hash that are BLAKE2b: the first two blocks from the header, and the tag from the last block.
//!
//! A first block is a chain of 31 digests, each of the one before. Two hashes have four such chains, one in each
//! 64-bit lane of AVX2; a digest's words are the next message's as they are.

use core::arch::x86_64::{
    __m256i, _mm256_add_epi64, _mm256_or_si256, _mm256_set1_epi64x, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_shuffle_epi32, _mm256_srli_epi64, _mm256_xor_si256,
};

use core::hint::black_box;

use blake2::{Blake2b256, Blake2b512, Digest};

use super::memory::{Area, Block};
use super::{BLOCKS, HEADER_SIZE, Header, LANES as PARALLELISM, PASSES, SALT, TAG_SIZE, VERSION};
use crate::hash::ProofOfWork;

/// Runs of four words that a block has.
pub(super) const UNITS: usize = 32;

const BLOCK_SIZE: usize = 1024;
const LANES: usize = 4;
const IV: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];
/// An unkeyed digest of 64 bytes.
const PARAMETERS: u64 = 0x0101_0000 ^ 64;

/// Blocks 0 and 1 of each area.
#[target_feature(enable = "avx2")]
pub(super) fn write<const N: usize>(areas: [&mut Area; N], headers: [&Header; N], places: &[usize; UNITS]) {
    const { assert!(2 * N <= LANES) };
    let mut message = [[0u64; LANES]; 16];
    for (hash, header) in headers.into_iter().enumerate() {
        let seed = seed(header);
        for block in 0..2u32 {
            let mut bytes = [0u8; 128];
            bytes[..4].copy_from_slice(&(BLOCK_SIZE as u32).to_le_bytes());
            bytes[4..68].copy_from_slice(&seed);
            bytes[68..72].copy_from_slice(&block.to_le_bytes());
            for (words, bytes) in message.iter_mut().zip(bytes.as_chunks().0) {
                words[2 * hash + block as usize] = u64::from_le_bytes(*bytes);
            }
        }
    }
    let mut blocks = areas.map(|area| &mut area[..2]);
    let mut put = |unit: usize, words: &[__m256i]| {
        for (word, lanes) in words.iter().enumerate() {
            let lanes = to_words(*lanes);
            for (hash, blocks) in blocks.iter_mut().enumerate() {
                for (block, Block(to)) in blocks.iter_mut().enumerate() {
                    to[4 * places[unit] + word] = lanes[2 * hash + block];
                }
            }
        }
    };
    let turns = Turns::new();
    let mut digest = compress(&message.map(|words| from_words(words)), 4 + 64 + 4 + 4, &turns);
    put(0, &digest[..4]);
    for unit in 1..UNITS - 1 {
        let zero = _mm256_setzero_si256();
        let [d0, d1, d2, d3, d4, d5, d6, d7] = digest;
        digest = compress(
            &[d0, d1, d2, d3, d4, d5, d6, d7, zero, zero, zero, zero, zero, zero, zero, zero],
            64,
            &turns,
        );
        put(unit, &digest[..4]);
    }
    put(UNITS - 1, &digest[4..]);
}

/// What the first blocks begin with: the digest of the parameters and the header.
fn seed(header: &Header) -> [u8; 64] {
    const ARGON2D: u32 = 0;
    const MEMORY_KIB: u32 = BLOCKS as u32;
    let mut hasher = Blake2b512::new();
    for number in [PARALLELISM, TAG_SIZE as u32, MEMORY_KIB, PASSES, VERSION, ARGON2D, HEADER_SIZE as u32] {
        hasher.update(number.to_le_bytes());
    }
    hasher.update(header);
    hasher.update((SALT.len() as u32).to_le_bytes());
    hasher.update(SALT);
    // The lengths of the secret and of the associated data: there are none.
    hasher.update([0; 8]);
    hasher.finalize().into()
}

/// The proof of work that a last block gives.
pub(super) fn tag(last: &Block, places: &[usize; UNITS]) -> ProofOfWork {
    let mut bytes = [0u8; BLOCK_SIZE];
    for (bytes, place) in bytes.as_chunks_mut::<32>().0.iter_mut().zip(places) {
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(&last.0[4 * place..]) {
            *bytes = word.to_le_bytes();
        }
    }
    let mut hasher = Blake2b256::new();
    hasher.update((TAG_SIZE as u32).to_le_bytes());
    hasher.update(bytes);
    ProofOfWork(hasher.finalize().into())
}

/// The digests of four messages of at most one BLAKE2b block, `length` bytes each.
#[target_feature(enable = "avx2")]
#[inline]
fn compress(message: &[__m256i; 16], length: u64, turns: &Turns) -> [__m256i; 8] {
    let splat = |word: u64| _mm256_set1_epi64x(word as i64);
    let start = [IV[0] ^ PARAMETERS, IV[1], IV[2], IV[3], IV[4], IV[5], IV[6], IV[7]].map(splat);
    let [h0, h1, h2, h3, h4, h5, h6, h7] = start;
    let [i0, i1, i2, i3, i4, i5, i6, i7] =
        [IV[0], IV[1], IV[2], IV[3], IV[4] ^ length, IV[5], !IV[6], IV[7]].map(splat);
    let mut work = [h0, h1, h2, h3, h4, h5, h6, h7, i0, i1, i2, i3, i4, i5, i6, i7];
    macro_rules! rounds {
        ($([$s0:literal $s1:literal $s2:literal $s3:literal $s4:literal $s5:literal $s6:literal $s7:literal
            $s8:literal $s9:literal $s10:literal $s11:literal $s12:literal $s13:literal $s14:literal $s15:literal])*) => {
            $(
                mix(&mut work, turns, [0, 4, 8, 12], message[$s0], message[$s1]);
                mix(&mut work, turns, [1, 5, 9, 13], message[$s2], message[$s3]);
                mix(&mut work, turns, [2, 6, 10, 14], message[$s4], message[$s5]);
                mix(&mut work, turns, [3, 7, 11, 15], message[$s6], message[$s7]);
                mix(&mut work, turns, [0, 5, 10, 15], message[$s8], message[$s9]);
                mix(&mut work, turns, [1, 6, 11, 12], message[$s10], message[$s11]);
                mix(&mut work, turns, [2, 7, 8, 13], message[$s12], message[$s13]);
                mix(&mut work, turns, [3, 4, 9, 14], message[$s14], message[$s15]);
            )*
        };
    }
    rounds!(
        [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15]
        [14 10 4 8 9 15 13 6 1 12 0 2 11 7 5 3]
        [11 8 12 0 5 2 15 13 10 14 3 6 7 1 9 4]
        [7 9 3 1 13 12 11 14 2 6 5 10 4 0 15 8]
        [9 0 5 7 2 4 10 15 14 1 11 12 6 8 3 13]
        [2 12 6 10 0 11 8 3 4 13 7 5 15 14 1 9]
        [12 5 1 15 14 13 4 10 0 7 6 3 9 2 8 11]
        [13 11 7 14 12 1 3 9 5 0 15 4 8 6 2 10]
        [6 15 14 9 11 3 0 8 12 2 13 7 1 4 10 5]
        [10 2 8 4 7 6 1 5 15 11 9 14 3 12 13 0]
        [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15]
        [14 10 4 8 9 15 13 6 1 12 0 2 11 7 5 3]
    );
    let mut digest = start;
    for (word, digest) in digest.iter_mut().enumerate() {
        *digest = _mm256_xor_si256(*digest, _mm256_xor_si256(work[word], work[word + 8]));
    }
    digest
}

#[target_feature(enable = "avx2")]
#[inline]
fn mix(work: &mut [__m256i; 16], turns: &Turns, [a, b, c, d]: [usize; 4], first: __m256i, second: __m256i) {
    work[a] = _mm256_add_epi64(_mm256_add_epi64(work[a], first), work[b]);
    work[d] = rotate_32(_mm256_xor_si256(work[d], work[a]));
    work[c] = _mm256_add_epi64(work[c], work[d]);
    work[b] = turns.rotate_24(_mm256_xor_si256(work[b], work[c]));
    work[a] = _mm256_add_epi64(_mm256_add_epi64(work[a], second), work[b]);
    work[d] = turns.rotate_16(_mm256_xor_si256(work[d], work[a]));
    work[c] = _mm256_add_epi64(work[c], work[d]);
    work[b] = rotate_63(_mm256_xor_si256(work[b], work[c]));
}

/// Every word rotated to the right by 32 bits.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn rotate_32(words: __m256i) -> __m256i {
    _mm256_shuffle_epi32::<0b10_11_00_01>(words)
}

/// Rotations by whole bytes, which are shuffles by a variable: compilers that know it make two instructions of one.
#[derive(Clone, Copy)]
pub(super) struct Turns {
    by_24: __m256i,
    by_16: __m256i,
}

impl Turns {
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn new() -> Self {
        let lane = |first: u64, second: u64| [first, second, first, second];
        Self {
            by_24: black_box(from_words(lane(0x0201_0007_0605_0403, 0x0a09_080f_0e0d_0c0b))),
            by_16: black_box(from_words(lane(0x0100_0706_0504_0302, 0x0908_0f0e_0d0c_0b0a))),
        }
    }

    /// Every word rotated to the right by 24 bits.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn rotate_24(&self, words: __m256i) -> __m256i {
        _mm256_shuffle_epi8(words, self.by_24)
    }

    /// Every word rotated to the right by 16 bits.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn rotate_16(&self, words: __m256i) -> __m256i {
        _mm256_shuffle_epi8(words, self.by_16)
    }
}

/// Every word rotated to the right by 63 bits.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn rotate_63(words: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_srli_epi64::<63>(words), _mm256_add_epi64(words, words))
}

#[target_feature(enable = "avx2")]
#[inline]
fn from_words(words: [u64; LANES]) -> __m256i {
    // SAFETY: both are 256 bits without structure.
    unsafe { core::mem::transmute(words) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn to_words(lanes: __m256i) -> [u64; LANES] {
    // SAFETY: both are 256 bits without structure.
    unsafe { core::mem::transmute(lanes) }
}
