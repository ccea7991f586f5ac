//! Poly1305 of many messages, four at once: one message in each 64-bit lane of half a register.
//!
//! Half registers, because multiplications in whole ones make the processor lower its clock for everything else too, and
//! because four messages are more alike in length than eight.
//!
//! Numbers modulo 2^130 - 5 are limbs of 52, 52 and 26 bits. The 52-bit multiply-add does not look at the upper 12
//! bits of what it multiplies, so limbs need not be cut: the low word of a block is a limb as it is, and a limb whose
//! carry has been added to the next is left as it is. A number is multiplied limb by limb: the first with the
//! multiplier, the second with 2^52 times the multiplier, the third with 2^104 times ([`Multiplier`]), so that of all the
//! products only the upper halves of the last ones lie beyond 2^130.
//!
//! Lanes are aligned at the *ends* of their messages: a short lane starts later, and its blocks before the
//! start are masked to zero, the marker bit 2^128 included. A zero accumulator stays zero, so nothing has to
//! be blended afterwards. `docs/performance.md`, "Poly1305", has bounds and figures.

use core::arch::x86_64::{
    __m128i, __m256i, __mmask8, _mm_loadu_si128, _mm256_add_epi64, _mm256_and_si256, _mm256_castsi128_si256,
    _mm256_cmpge_epi64_mask, _mm256_cmplt_epu64_mask, _mm256_inserti128_si256, _mm256_load_si256,
    _mm256_madd52hi_epu64, _mm256_madd52lo_epu64, _mm256_mask_add_epi64, _mm256_mask_mov_epi64,
    _mm256_maskz_mov_epi64, _mm256_or_si256, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_shrdi_epi64,
    _mm256_slli_epi64, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_unpackhi_epi64, _mm256_unpacklo_epi64,
};

use crate::backend::ahead::Ahead;
use crate::backend::kernels::{Message, Tags, Tails, in_lanes, in_place};
use crate::backend::states::{BATCH, States, Text};

/// Messages in one run of the kernel.
const LANES: usize = 4;
/// Blocks that are taken in for one reduction.
const CHUNK: usize = 4;

const LIMB_52: i64 = (1 << 52) - 1;
const LIMB_26: i64 = (1 << 26) - 1;
/// The bit 2^128 that marks a whole block, in the last limb.
const MARKER: i64 = 1 << 24;

/// A number modulo 2^130 - 5 in each lane. Bits from 52 on of the first two limbs do not count; the last limb is below
/// 2^27.
#[derive(Clone, Copy)]
struct Number([__m256i; 3]);

/// A number in each lane whose limbs have not been carried: the first two below 2^62, the last below 2^26.
#[derive(Clone, Copy)]
struct Loose([__m256i; 3]);

/// What a number is multiplied with: itself, 2^52 times and 2^104 times it. The last limbs are below 2^26 + 2^11.
#[derive(Clone, Copy)]
struct Multiplier([Number; 3]);

/// A sum of products, by weights of 2^52. The first is of lower halves, the last of upper ones, those between of both,
/// which are summed apart so that fewer additions wait for each other.
#[derive(Clone, Copy)]
struct Product {
    first: __m256i,
    second: [__m256i; 2],
    third: [__m256i; 2],
    fourth: __m256i,
}

/// What the keys of four messages give.
struct Key {
    /// r^4 to r.
    powers: [Multiplier; CHUNK],
    /// The markers of four blocks, multiplied.
    markers: Product,
}

/// Tags of some messages.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi2")]
pub(super) fn tags(
    states: &States,
    messages: &[Message<'_>],
    tails: &Tails,
    ahead: &mut Ahead<'_>,
    tags: &mut Tags,
) {
    for run in 0..messages.len().div_ceil(LANES) {
        let key = Key::new(tails, run);
        let sum = evaluated(states, &in_lanes(messages, run), &key, ahead);
        finish(sum, &key, tails, run, tags);
    }
}

/// Tags of some messages that have one text.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi2")]
pub(super) fn tags_of_same(text: &[u8], count: usize, tails: &Tails, ahead: &mut Ahead<'_>, tags: &mut Tags) {
    for run in 0..count.div_ceil(LANES) {
        let key = Key::new(tails, run);
        finish(evaluated_same(text, &key, ahead), &key, tails, run, tags);
    }
}

/// One polynomial at four places, of which the last factor r is still to be multiplied in.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi2")]
#[inline]
fn evaluated_same(text: &[u8], key: &Key, ahead: &mut Ahead<'_>) -> Loose {
    let (blocks, _) = text.as_chunks::<16>();
    let (first, chunks) = blocks.as_rchunks::<CHUNK>();
    let mut sum = Loose([_mm256_setzero_si256(); 3]);
    if !first.is_empty() {
        let missing = CHUNK - first.len();
        sum = key.after_chunk(sum, &Product::zero(), |block| match block.checked_sub(missing) {
            None => Number([_mm256_setzero_si256(); 3]),
            Some(block) => Number::from_block_in_all(&first[block], MARKER),
        });
    }
    for (number, chunk) in chunks.iter().enumerate() {
        if number % 2 == 0 {
            ahead.fetch();
        }
        let key = in_place(key);
        sum = key.after_chunk(sum, &key.markers, |block| Number::from_block_in_all(&chunk[block], 0));
    }
    sum
}

/// Takes in the lengths of four messages, and puts their tags to the places of a run.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi2")]
#[inline]
fn finish(sum: Loose, key: &Key, tails: &Tails, run: usize, tags: &mut Tags) {
    let lengths = Number::from_block(load(&tails.lengths[0], run), load(&tails.lengths[1], run), MARKER);
    let [_, _, _, first] = &key.powers;
    Product::zero().plus(lengths.plus(sum), first).folded().reduced_plus(tails, run, tags);
}

/// The polynomials of four messages, of which the last factor r is still to be multiplied in.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi2")]
#[inline]
fn evaluated(states: &States, messages: &[Message<'_>; LANES], key: &Key, ahead: &mut Ahead<'_>) -> Loose {
    let longest = messages.iter().map(|message| message.blocks).max().unwrap_or(0);
    let shortest = messages.iter().map(|message| message.blocks).min().unwrap_or(0);
    let chunks = longest.div_ceil(CHUNK);
    let steps = chunks * CHUNK;
    // The text of every lane, and where in it the first step is, so that all end at the same step.
    let mut texts = [states.text(messages[0]); LANES];
    let mut begins = Lanes([0; LANES]);
    let mut starts = [0; LANES];
    for (lane, message) in messages.iter().enumerate() {
        texts[lane] = states.text(*message);
        begins.0[lane] = (steps - message.blocks) as u64;
        starts[lane] = 16 * (message.blocks as isize - steps as isize);
    }
    let all_begun = (steps - shortest).div_ceil(CHUNK);
    // SAFETY: `Lanes` is 32 bytes, aligned to 32.
    let begins = unsafe { _mm256_load_si256(begins.0.as_ptr().cast()) };
    let mut sum = Loose([_mm256_setzero_si256(); 3]);
    for chunk in 0..all_begun {
        ahead.fetch();
        // SAFETY: less than a state's length before a text's start.
        let words = unsafe { load_chunk(&texts, &starts, chunk) };
        let key = in_place(key);
        sum = key.after_chunk(sum, &Product::zero(), |block| {
            let step = _mm256_set1_epi64x((CHUNK * chunk + block) as i64);
            let [low, high] = words[block];
            Number::from_block(low, high, MARKER).masked(_mm256_cmpge_epi64_mask(step, begins))
        });
    }
    for chunk in all_begun..chunks {
        // Two chunks of four messages take about as long as fetching a piece.
        if chunk % 2 == 0 {
            ahead.fetch();
        }
        // SAFETY: as above.
        let words = unsafe { load_chunk(&texts, &starts, chunk) };
        let key = in_place(key);
        sum = key.after_chunk(sum, &key.markers, |block| {
            let [low, high] = words[block];
            Number::from_block(low, high, 0)
        });
    }
    sum
}

/// A word of each lane.
#[repr(C, align(32))]
struct Lanes([u64; LANES]);

/// The words of a run's lanes.
#[target_feature(enable = "avx512f,avx512vl")]
#[inline]
fn load(words: &[u64; BATCH], run: usize) -> __m256i {
    let lanes = &words.as_chunks::<LANES>().0[run];
    // SAFETY: 32 bytes, and they start on a multiple of 32, since they are of `Tails`.
    unsafe { _mm256_load_si256(lanes.as_ptr().cast()) }
}

/// Four blocks of each lane, from its start on so many chunks further: low and high words.
///
/// # Safety
/// Those bytes of the texts can be read.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
unsafe fn load_chunk(texts: &[Text; LANES], starts: &[isize; LANES], chunk: usize) -> [[__m256i; 2]; CHUNK] {
    let mut places = [core::ptr::null::<__m128i>(); LANES];
    for (place, (text, start)) in places.iter_mut().zip(texts.iter().zip(starts)) {
        *place = text.at(start + (16 * CHUNK * chunk) as isize).cast();
    }
    let mut blocks = [[_mm256_setzero_si256(); 2]; CHUNK];
    for (number, block) in blocks.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        let [m0, m1, m2, m3] = places.map(|place| unsafe { _mm_loadu_si128(place.wrapping_add(number)) });
        let even = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(m0), m2);
        let odd = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(m1), m3);
        *block = [_mm256_unpacklo_epi64(even, odd), _mm256_unpackhi_epi64(even, odd)];
    }
    blocks
}

impl Key {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi2")]
    #[inline]
    fn new(tails: &Tails, run: usize) -> Self {
        // The key is clamped as RFC 8439 says.
        let low = _mm256_and_si256(load(&tails.r[0], run), _mm256_set1_epi64x(0x0fff_fffc_0fff_ffff));
        let high = _mm256_and_si256(load(&tails.r[1], run), _mm256_set1_epi64x(0x0fff_fffc_0fff_fffc));
        let r = Number::from_block(low, high, 0);
        let first = r.multiplier();
        let r2 = Product::zero().plus(r, &first).folded().carried();
        let second = r2.multiplier();
        let third = Product::zero().plus(r2, &first).folded().carried().multiplier();
        let fourth = Product::zero().plus(r2, &second).folded().carried().multiplier();
        let powers = [fourth, third, second, first];
        let marker = _mm256_set1_epi64x(MARKER);
        let mut markers = Product::zero();
        for Multiplier([_, _, Number([r0, r1, r2])]) in powers {
            markers.first = _mm256_madd52lo_epu64(markers.first, marker, r0);
            markers.second[0] = _mm256_madd52hi_epu64(markers.second[0], marker, r0);
            markers.second[0] = _mm256_madd52lo_epu64(markers.second[0], marker, r1);
            markers.third[0] = _mm256_madd52hi_epu64(markers.third[0], marker, r1);
            markers.third[0] = _mm256_madd52lo_epu64(markers.third[0], marker, r2);
        }
        Self { powers, markers }
    }

    /// The sum after four blocks more, of which `markers` are the markers that they lack.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi2")]
    #[inline]
    fn after_chunk(&self, sum: Loose, markers: &Product, block: impl Fn(usize) -> Number) -> Loose {
        let [fourth, third, second, first] = &self.powers;
        let mut product = *markers;
        for (number, power) in [(block(1), third), (block(2), second), (block(3), first)] {
            product = product.plus_block(number, power);
        }
        // The first block comes last: only it has to wait for the sum so far.
        product.plus(block(0).plus(sum), fourth).folded()
    }
}

impl Number {
    /// A block of text; the bits of `marker` are added to its last limb.
    #[target_feature(enable = "avx512f,avx512vl,avx512vbmi2")]
    #[inline]
    fn from_block(low: __m256i, high: __m256i, marker: i64) -> Self {
        let middle = _mm256_shrdi_epi64::<52>(low, high);
        Self([low, middle, _mm256_or_si256(_mm256_srli_epi64::<40>(high), _mm256_set1_epi64x(marker))])
    }

    /// The same block of text in all lanes.
    #[target_feature(enable = "avx512f,avx512vl,avx512vbmi2")]
    #[inline]
    fn from_block_in_all(block: &[u8; 16], marker: i64) -> Self {
        let [low, high] = [0, 8].map(|at| {
            let word = block[at..].first_chunk().expect("half a block");
            _mm256_set1_epi64x(i64::from_le_bytes(*word))
        });
        Self::from_block(low, high, marker)
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn masked(self, keep: __mmask8) -> Self {
        let [l0, l1, l2] = self.0;
        Self([
            _mm256_maskz_mov_epi64(keep, l0),
            _mm256_maskz_mov_epi64(keep, l1),
            _mm256_maskz_mov_epi64(keep, l2),
        ])
    }

    /// The same number without the bits that do not count.
    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn cut(self) -> [__m256i; 3] {
        let mask = _mm256_set1_epi64x(LIMB_52);
        let [l0, l1, l2] = self.0;
        [_mm256_and_si256(l0, mask), _mm256_and_si256(l1, mask), l2]
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn plus(self, sum: Loose) -> Self {
        let [a0, a1, a2] = self.cut();
        let Loose([b0, b1, b2]) = sum;
        Loose([_mm256_add_epi64(a0, b0), _mm256_add_epi64(a1, b1), _mm256_add_epi64(a2, b2)]).carried()
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn multiplier(self) -> Multiplier {
        let once = self.times_2_to_52();
        Multiplier([self, once, once.times_2_to_52()])
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn times_2_to_52(self) -> Self {
        let [l0, l1, l2] = self.cut();
        // From 2^130 on: the upper half of the second limb, and all of the third.
        let beyond = _mm256_add_epi64(_mm256_srli_epi64::<26>(l1), _mm256_slli_epi64::<26>(l2));
        let l1 = _mm256_and_si256(l1, _mm256_set1_epi64x(LIMB_26));
        Loose([times_5(beyond), l0, l1]).carried()
    }
}

#[target_feature(enable = "avx512f,avx512vl")]
#[inline]
fn times_5(words: __m256i) -> __m256i {
    _mm256_add_epi64(words, _mm256_slli_epi64::<2>(words))
}

impl Loose {
    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn carried(self) -> Number {
        let [l0, l1, l2] = self.0;
        let l1 = _mm256_add_epi64(l1, _mm256_srli_epi64::<52>(l0));
        Number([l0, l1, _mm256_add_epi64(l2, _mm256_srli_epi64::<52>(l1))])
    }

    /// Puts the canonical residues plus `s`, modulo 2^128, to the places of a run: the tags' low and high words.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn reduced_plus(self, tails: &Tails, run: usize, tags: &mut Tags) {
        let mask_26 = _mm256_set1_epi64x(LIMB_26);
        let [l0, l1, l2] = self.carried().cut();
        // Below twice the modulus, once what is beyond 2^130 has come round.
        let l0 = _mm256_add_epi64(l0, times_5(_mm256_srli_epi64::<26>(l2)));
        let [l0, l1, l2] = Loose([l0, l1, _mm256_and_si256(l2, mask_26)]).carried().cut();
        // Less the modulus: plus 5, and without 2^130 if that is reached.
        let plus_5 = Loose([_mm256_add_epi64(l0, _mm256_set1_epi64x(5)), l1, l2]).carried();
        let reached = _mm256_cmpge_epi64_mask(plus_5.0[2], _mm256_set1_epi64x(1 << 26));
        let [m0, m1, m2] = plus_5.cut();
        let l0 = _mm256_mask_mov_epi64(l0, reached, m0);
        let l1 = _mm256_mask_mov_epi64(l1, reached, m1);
        // Bit 2^130 falls out at the top.
        let l2 = _mm256_mask_mov_epi64(l2, reached, m2);
        let low = _mm256_or_si256(l0, _mm256_slli_epi64::<52>(l1));
        let high = _mm256_or_si256(_mm256_srli_epi64::<12>(l1), _mm256_slli_epi64::<40>(l2));
        let sum = _mm256_add_epi64(low, load(&tails.s[0], run));
        let high = _mm256_add_epi64(high, load(&tails.s[1], run));
        let carry = _mm256_cmplt_epu64_mask(sum, low);
        let high = _mm256_mask_add_epi64(high, carry, high, _mm256_set1_epi64x(1));
        for (words, lanes) in tags.iter_mut().zip([sum, high]) {
            let places = &mut words.as_chunks_mut::<LANES>().0[run];
            // SAFETY: 32 bytes, any alignment.
            unsafe { _mm256_storeu_si256(places.as_mut_ptr().cast(), lanes) };
        }
    }
}

impl Product {
    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn zero() -> Self {
        let zero = _mm256_setzero_si256();
        Self { first: zero, second: [zero; 2], third: [zero; 2], fourth: zero }
    }

    /// Adds `number · multiplier` for a block of text, whose last limb is so short that one of the upper halves is zero.
    #[target_feature(enable = "avx512f,avx512vl,avx512ifma")]
    #[inline]
    fn plus_block(mut self, number: Number, multiplier: &Multiplier) -> Self {
        for (k, (limb, by)) in number.0.into_iter().zip(&multiplier.0).enumerate() {
            let [r0, r1, r2] = by.0;
            self.first = _mm256_madd52lo_epu64(self.first, limb, r0);
            self.second[0] = _mm256_madd52lo_epu64(self.second[0], limb, r1);
            self.second[1] = _mm256_madd52hi_epu64(self.second[1], limb, r0);
            self.third[0] = _mm256_madd52lo_epu64(self.third[0], limb, r2);
            self.third[1] = _mm256_madd52hi_epu64(self.third[1], limb, r1);
            if k < 2 {
                self.fourth = _mm256_madd52hi_epu64(self.fourth, limb, r2);
            }
        }
        self
    }

    /// Adds `number · multiplier`.
    #[target_feature(enable = "avx512f,avx512vl,avx512ifma")]
    #[inline]
    fn plus(self, number: Number, multiplier: &Multiplier) -> Self {
        let mut sum = self.plus_block(number, multiplier);
        sum.fourth = _mm256_madd52hi_epu64(sum.fourth, number.0[2], multiplier.0[2].0[2]);
        sum
    }

    /// The number that it is, with all that lies beyond 2^130 brought round.
    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn folded(self) -> Loose {
        let Self { first, second, third, fourth } = self;
        let third = _mm256_add_epi64(third[0], third[1]);
        let beyond = _mm256_add_epi64(_mm256_srli_epi64::<26>(third), _mm256_slli_epi64::<26>(fourth));
        Loose([
            _mm256_add_epi64(first, times_5(beyond)),
            _mm256_add_epi64(second[0], second[1]),
            _mm256_and_si256(third, _mm256_set1_epi64x(LIMB_26)),
        ])
    }
}
