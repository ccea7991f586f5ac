//! Poly1305 of many messages, four at once: one message in each 64-bit lane.
//!
//! Numbers modulo 2^130 - 5 are five limbs of 26 bits, since the widest multiplication of lanes takes 32 bits: limbs
//! of what is multiplied stay below 2^28, those of the key's powers below 2^26 + 2^13, times 5 below 2^29, so a
//! product is below 2^57 and the sum of twenty below 2^62.
//!
//! Lanes are aligned at the *ends* of their messages: a short lane starts later, and its blocks before the
//! start are masked to zero, the marker bit 2^128 included. A zero accumulator stays zero, so nothing has to
//! be blended afterwards. `docs/performance.md`, "Poly1305", has the figures.

use crate::backend::ahead::Ahead;
use crate::backend::kernels::{Message, Tags, Tails, in_lanes, in_place};
use crate::backend::states::{BATCH, States, Text};
use core::arch::asm;
use core::arch::x86_64::{
    __m256i, _mm256_add_epi64, _mm256_and_si256, _mm256_andnot_si256, _mm256_cmpgt_epi64, _mm256_loadu_si256,
    _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_slli_epi64,
    _mm256_srli_epi64, _mm256_storeu_si256, _mm256_unpackhi_epi64, _mm256_unpacklo_epi64,
};

/// Messages in one run of the kernel.
const LANES: usize = 4;
/// Blocks that are taken in for one reduction.
const CHUNK: usize = 4;
/// Limbs of a number.
const LIMBS: usize = 5;
const LIMB: u64 = (1 << 26) - 1;
/// The bit 2^128 that marks a whole block, in the last limb.
const MARKER: i64 = 1 << 24;

/// A number modulo 2^130 - 5 in each lane.
#[derive(Clone, Copy)]
struct Number([__m256i; LIMBS]);

/// A multiplier: its limbs, and its limbs times 5 (2^130 = 5 modulo 2^130 - 5).
#[derive(Clone, Copy)]
struct Multiplier {
    limbs: [__m256i; LIMBS],
    times_5: [__m256i; LIMBS],
}

/// Tags of some messages.
#[target_feature(enable = "avx2")]
pub(super) fn tags(
    states: &States,
    messages: &[Message<'_>],
    tails: &Tails,
    ahead: &mut Ahead<'_>,
    tags: &mut Tags,
) {
    for run in 0..messages.len().div_ceil(LANES) {
        let powers = powers(tails, run);
        let sum = evaluated(states, &in_lanes(messages, run), &powers, ahead);
        finish(sum, &powers, tails, run, tags);
    }
}

/// Tags of some messages that have one text.
#[target_feature(enable = "avx2")]
pub(super) fn tags_of_same(text: &[u8], count: usize, tails: &Tails, ahead: &mut Ahead<'_>, tags: &mut Tags) {
    for run in 0..count.div_ceil(LANES) {
        let powers = powers(tails, run);
        finish(evaluated_same(text, &powers, ahead), &powers, tails, run, tags);
    }
}

/// r^4 to r of the four keys of a run.
#[target_feature(enable = "avx2")]
fn powers(tails: &Tails, run: usize) -> [Multiplier; CHUNK] {
    // The key is clamped as RFC 8439 says.
    let first = Number::limbs(
        _mm256_and_si256(load(&tails.r[0], run), _mm256_set1_epi64x(0x0fff_fffc_0fff_ffff)),
        _mm256_and_si256(load(&tails.r[1], run), _mm256_set1_epi64x(0x0fff_fffc_0fff_fffc)),
    );
    let second = first.times(&first.multiplier());
    let third = second.times(&first.multiplier());
    let fourth = second.times(&second.multiplier());
    [fourth.multiplier(), third.multiplier(), second.multiplier(), first.multiplier()]
}

/// The polynomials of four messages, of which the last factor r is still to be multiplied in.
#[target_feature(enable = "avx2")]
fn evaluated(
    states: &States,
    messages: &[Message<'_>; LANES],
    powers: &[Multiplier; CHUNK],
    ahead: &mut Ahead<'_>,
) -> Number {
    let longest = messages.iter().map(|message| message.blocks).max().unwrap_or(0);
    let shortest = messages.iter().map(|message| message.blocks).min().unwrap_or(0);
    let chunks = longest.div_ceil(CHUNK);
    let steps = chunks * CHUNK;
    // The text of every lane, and where in it the first step is, so that all end at the same step.
    let mut texts = [states.text(messages[0]); LANES];
    let (mut begins, mut starts) = ([0; LANES], [0; LANES]);
    for (lane, message) in messages.iter().enumerate() {
        texts[lane] = states.text(*message);
        begins[lane] = (steps - message.blocks) as u64;
        starts[lane] = 16 * (message.blocks as isize - steps as isize);
    }
    // SAFETY: 32 bytes, any alignment.
    let begins = unsafe { _mm256_loadu_si256(begins.as_ptr().cast()) };
    let all_begun = (steps - shortest).div_ceil(CHUNK);
    let marker = _mm256_set1_epi64x(MARKER);
    let mut sum = Number([_mm256_setzero_si256(); LIMBS]);
    for chunk in 0..all_begun {
        ahead.fetch();
        // SAFETY: less than a state's length before a text's start.
        let words = unsafe { load_chunk(&texts, &starts, chunk) };
        sum = sum.taking_in(powers, |block| {
            let not_begun = _mm256_cmpgt_epi64(begins, _mm256_set1_epi64x((CHUNK * chunk + block) as i64));
            let [low, high] = words[block].map(|word| _mm256_andnot_si256(not_begun, word));
            Number::limbs(low, high).marked(_mm256_andnot_si256(not_begun, marker))
        });
    }
    for chunk in all_begun..chunks {
        ahead.fetch();
        // SAFETY: less than a state's length before a text's start.
        let words = unsafe { load_chunk(&texts, &starts, chunk) };
        sum = sum.taking_in(powers, |block| {
            let [low, high] = words[block];
            Number::limbs(low, high).marked(marker)
        });
    }
    sum
}

/// One polynomial at four places, of which the last factor r is still to be multiplied in.
#[target_feature(enable = "avx2")]
fn evaluated_same(text: &[u8], powers: &[Multiplier; CHUNK], ahead: &mut Ahead<'_>) -> Number {
    let (blocks, _) = text.as_chunks::<16>();
    let (first, chunks) = blocks.as_rchunks::<CHUNK>();
    let mut sum = Number([_mm256_setzero_si256(); LIMBS]);
    if !first.is_empty() {
        let missing = CHUNK - first.len();
        sum = sum.taking_in(powers, |block| match block.checked_sub(missing) {
            None => Number([_mm256_setzero_si256(); LIMBS]),
            Some(block) => Number::block_in_all(&first[block]),
        });
    }
    for chunk in chunks {
        ahead.fetch();
        sum = sum.taking_in(powers, |block| Number::block_in_all(&chunk[block]));
    }
    sum
}

/// Takes in the lengths of four messages, and puts their tags to the places of a run.
#[target_feature(enable = "avx2")]
fn finish(sum: Number, powers: &[Multiplier; CHUNK], tails: &Tails, run: usize, tags: &mut Tags) {
    let lengths = Number::limbs(load(&tails.lengths[0], run), load(&tails.lengths[1], run));
    let [_, _, _, first] = powers;
    let sum = sum.plus(lengths.marked(_mm256_set1_epi64x(MARKER))).times(first);
    for (lane, limbs) in (run * LANES..).zip(sum.lanes()) {
        let s = u128::from(tails.s[0][lane]) | u128::from(tails.s[1][lane]) << 64;
        let tag = reduced(limbs).wrapping_add(s);
        tags[0][lane] = tag as u64;
        tags[1][lane] = (tag >> 64) as u64;
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(words: &[u64; BATCH], run: usize) -> __m256i {
    let lanes = &words.as_chunks::<LANES>().0[run];
    // SAFETY: 32 bytes, any alignment.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

/// Four blocks of each lane, from its start on so many chunks further, transposed: low and high words of each block.
///
/// # Safety
/// Those bytes of the texts can be read.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn load_chunk(texts: &[Text; LANES], starts: &[isize; LANES], chunk: usize) -> [[__m256i; 2]; CHUNK] {
    let mut places = [core::ptr::null::<u8>(); LANES];
    for (place, (text, start)) in places.iter_mut().zip(texts.iter().zip(starts)) {
        *place = text.at(start + (16 * CHUNK * chunk) as isize);
    }
    let mut blocks = [[_mm256_setzero_si256(); 2]; CHUNK];
    for pair in 0..2 {
        // SAFETY: the caller's promise.
        let rows = places.map(|place| unsafe { _mm256_loadu_si256(place.wrapping_add(32 * pair).cast()) });
        let [low_0, high_0, low_1, high_1] = transposed(rows);
        blocks[2 * pair] = [low_0, high_0];
        blocks[2 * pair + 1] = [low_1, high_1];
    }
    blocks
}

/// Transposes a 4 × 4 matrix of 64-bit words.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn transposed([r0, r1, r2, r3]: [__m256i; 4]) -> [__m256i; 4] {
    let (even_01, odd_01) = (_mm256_unpacklo_epi64(r0, r1), _mm256_unpackhi_epi64(r0, r1));
    let (even_23, odd_23) = (_mm256_unpacklo_epi64(r2, r3), _mm256_unpackhi_epi64(r2, r3));
    [
        _mm256_permute2x128_si256::<0x20>(even_01, even_23),
        _mm256_permute2x128_si256::<0x20>(odd_01, odd_23),
        _mm256_permute2x128_si256::<0x31>(even_01, even_23),
        _mm256_permute2x128_si256::<0x31>(odd_01, odd_23),
    ]
}

impl Number {
    /// The limbs of a 128-bit number.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn limbs(low: __m256i, high: __m256i) -> Self {
        let mask = _mm256_set1_epi64x(LIMB as i64);
        let middle = _mm256_or_si256(_mm256_srli_epi64::<52>(low), _mm256_slli_epi64::<12>(high));
        Self([
            _mm256_and_si256(low, mask),
            _mm256_and_si256(_mm256_srli_epi64::<26>(low), mask),
            _mm256_and_si256(middle, mask),
            _mm256_and_si256(_mm256_srli_epi64::<14>(high), mask),
            _mm256_srli_epi64::<40>(high),
        ])
    }

    /// The same block of text in all lanes.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn block_in_all(block: &[u8; 16]) -> Self {
        let [low, high] = [0, 8].map(|at| {
            let word = block[at..].first_chunk().expect("half a block");
            _mm256_set1_epi64x(i64::from_le_bytes(*word))
        });
        Self::limbs(low, high).marked(_mm256_set1_epi64x(MARKER))
    }

    /// With the marker bit of a whole block, where `marker` has it.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn marked(mut self, marker: __m256i) -> Self {
        self.0[4] = _mm256_or_si256(self.0[4], marker);
        self
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn plus(mut self, other: Self) -> Self {
        for (limb, other) in self.0.iter_mut().zip(other.0) {
            *limb = _mm256_add_epi64(*limb, other);
        }
        self
    }

    /// The number after four blocks more.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn taking_in(self, powers: &[Multiplier; CHUNK], block: impl Fn(usize) -> Self) -> Self {
        let [fourth, third, second, first] = in_place(powers);
        let mut product = [_mm256_setzero_si256(); LIMBS];
        block(0).plus(self).add_product(fourth, &mut product);
        block(1).add_product(third, &mut product);
        block(2).add_product(second, &mut product);
        block(3).add_product(first, &mut product);
        carried(product)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn multiplier(self) -> Multiplier {
        let times_5 = self.0.map(|limb| _mm256_add_epi64(limb, _mm256_slli_epi64::<2>(limb)));
        Multiplier { limbs: self.0, times_5 }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn times(self, multiplier: &Multiplier) -> Self {
        let mut product = [_mm256_setzero_si256(); LIMBS];
        self.add_product(multiplier, &mut product);
        carried(product)
    }

    /// Adds `self · multiplier` to `product`.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn add_product(self, multiplier: &Multiplier, product: &mut [__m256i; LIMBS]) {
        for (i, a) in self.0.into_iter().enumerate() {
            for j in 0..LIMBS {
                let (k, r) = if i + j < LIMBS {
                    (i + j, multiplier.limbs[j])
                } else {
                    (i + j - LIMBS, multiplier.times_5[j])
                };
                product[k] = _mm256_add_epi64(product[k], product_of_halves(a, r));
            }
        }
    }

    /// The limbs of each lane.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn lanes(self) -> [[u64; LIMBS]; LANES] {
        let limbs = self.0.map(|limb| {
            let mut lanes = [0; LANES];
            // SAFETY: 32 bytes, any alignment.
            unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), limb) };
            lanes
        });
        core::array::from_fn(|lane| limbs.map(|limb| limb[lane]))
    }
}

/// The products of the lower halves of 64-bit lanes.
#[target_feature(enable = "avx2")]
#[inline]
fn product_of_halves(a: __m256i, b: __m256i) -> __m256i {
    let product;
    // SAFETY: one instruction of AVX2 on registers. It has an intrinsic, which compilers take apart: where they lose
    // sight of the upper halves being cut off, they multiply all 64 bits, at three times the price.
    unsafe {
        asm!(
            "vpmuludq {product}, {a}, {b}",
            product = lateout(ymm_reg) product,
            a = in(ymm_reg) a,
            b = in(ymm_reg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    product
}

/// The number that sums of products make: limbs below 2^26, those after the first and the fourth below 2^26 + 2^13.
/// Two carries go round at once.
#[target_feature(enable = "avx2")]
#[inline]
fn carried(product: [__m256i; LIMBS]) -> Number {
    let mask = _mm256_set1_epi64x(LIMB as i64);
    let [mut l0, mut l1, mut l2, mut l3, mut l4] = product;
    let carry = |from: &mut __m256i, to: &mut __m256i| {
        *to = _mm256_add_epi64(*to, _mm256_srli_epi64::<26>(*from));
        *from = _mm256_and_si256(*from, mask);
    };
    carry(&mut l0, &mut l1);
    carry(&mut l3, &mut l4);
    carry(&mut l1, &mut l2);
    let around = _mm256_srli_epi64::<26>(l4);
    l4 = _mm256_and_si256(l4, mask);
    l0 = _mm256_add_epi64(l0, _mm256_add_epi64(around, _mm256_slli_epi64::<2>(around)));
    carry(&mut l2, &mut l3);
    carry(&mut l0, &mut l1);
    carry(&mut l3, &mut l4);
    Number([l0, l1, l2, l3, l4])
}

/// The canonical residue of a number with limbs below 2^27, modulo 2^128.
fn reduced(mut limbs: [u64; LIMBS]) -> u128 {
    // Twice round, after which a carry can only come from a number of at least the modulus.
    for _ in 0..2 {
        let mut carry = 0;
        for limb in &mut limbs {
            *limb += carry;
            carry = *limb >> 26;
            *limb &= LIMB;
        }
        limbs[0] += 5 * carry;
    }
    // Adding 5 overflows 2^130 exactly if the number is at least the modulus.
    let overflow = limbs.iter().fold(5, |carry, limb| (limb + carry) >> 26);
    let number = limbs.iter().rev().fold(0u128, |number, &limb| (number << 26).wrapping_add(limb.into()));
    number.wrapping_add(5 * u128::from(overflow))
}
