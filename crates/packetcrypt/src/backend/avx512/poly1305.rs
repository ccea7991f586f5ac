//! Poly1305 of eight messages at once, one message in each 64-bit lane.
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
    __m512i, __mmask8, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpge_epi64_mask, _mm512_cmplt_epu64_mask,
    _mm512_load_si512, _mm512_loadu_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64,
    _mm512_mask_add_epi64, _mm512_mask_mov_epi64, _mm512_maskz_mov_epi64, _mm512_or_si512, _mm512_set1_epi64,
    _mm512_setzero_si512, _mm512_shrdi_epi64, _mm512_slli_epi64, _mm512_srli_epi64, _mm512_store_si512,
};

use super::blake2b::transpose;
use crate::backend::ahead::Ahead;
use crate::backend::kernels::{Message, TAG_LANES as LANES, Tail, Words};
use crate::backend::states::{States, Text};

/// Blocks that are taken in for one reduction.
const CHUNK: usize = 4;

const LIMB_52: i64 = (1 << 52) - 1;
const LIMB_26: i64 = (1 << 26) - 1;
/// The bit 2^128 that marks a whole block, in the last limb.
const MARKER: i64 = 1 << 24;

/// A number modulo 2^130 - 5 in each lane. Bits from 52 on of the first two limbs do not count; the last limb is below
/// 2^27.
#[derive(Clone, Copy)]
struct Number([__m512i; 3]);

/// A number in each lane whose limbs have not been carried: the first two below 2^62, the last below 2^26.
#[derive(Clone, Copy)]
struct Loose([__m512i; 3]);

/// What a number is multiplied with: itself, 2^52 times and 2^104 times it. The last limbs are below 2^26 + 2^11.
#[derive(Clone, Copy)]
struct Multiplier([Number; 3]);

/// A sum of products, by weights of 2^52. The first is of lower halves, the last of upper ones, those between of both,
/// which are summed apart so that fewer additions wait for each other.
#[derive(Clone, Copy)]
struct Product {
    first: __m512i,
    second: [__m512i; 2],
    third: [__m512i; 2],
    fourth: __m512i,
}

/// What the keys of eight messages give.
struct Key {
    /// r^4 to r.
    powers: [Multiplier; CHUNK],
    /// The markers of four blocks, multiplied.
    markers: Product,
}

/// Tags of eight messages, as low and high words.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi2")]
pub(super) fn tags(
    states: &States,
    messages: &[Message<'_>; LANES],
    tail: &Tail,
    ahead: &mut Ahead<'_>,
) -> [Words; 2] {
    let key = Key::new(tail);
    let sum = evaluated(states, messages, &key, ahead);
    let lengths = Number::from_block(load(&tail.lengths[0]), load(&tail.lengths[1]), MARKER);
    let [_, _, _, first] = &key.powers;
    Product::zero().plus(lengths.plus(sum), first).folded().reduced_plus(&tail.s)
}

/// The polynomials of eight messages, of which the last factor r is still to be multiplied in.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi2")]
#[inline]
fn evaluated(states: &States, messages: &[Message<'_>; LANES], key: &Key, ahead: &mut Ahead<'_>) -> Loose {
    let blocks = messages.map(|message| message.blocks);
    let longest = blocks.into_iter().max().unwrap_or(0);
    let shortest = blocks.into_iter().min().unwrap_or(0);
    let chunks = longest.div_ceil(CHUNK);
    let steps = chunks * CHUNK;
    // The text of every lane, and where in it the first step is, so that all end at the same step.
    let texts = messages.map(|message| states.text(message));
    let starts = messages.map(|message| 16 * (message.blocks as isize - steps as isize));
    let all_begun = (steps - shortest).div_ceil(CHUNK);
    let begins = load(&Words(blocks.map(|blocks| (steps - blocks) as u64)));
    let mut sum = Loose([_mm512_setzero_si512(); 3]);
    // SAFETY, here and below: less than a state's length before a text's start.
    let load_chunk =
        |chunk: usize| unsafe { load_chunk(&texts, &starts.map(|start| start + 64 * chunk as isize)) };
    for chunk in 0..all_begun {
        ahead.fetch();
        let words = load_chunk(chunk);
        sum = key.after_chunk(sum, &Product::zero(), |block| {
            let step = _mm512_set1_epi64((CHUNK * chunk + block) as i64);
            let [low, high] = words[block];
            Number::from_block(low, high, MARKER).masked(_mm512_cmpge_epi64_mask(step, begins))
        });
    }
    for chunk in all_begun..chunks {
        ahead.fetch();
        let words = load_chunk(chunk);
        sum = key.after_chunk(sum, &key.markers, |block| {
            let [low, high] = words[block];
            Number::from_block(low, high, 0)
        });
    }
    sum
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(words: &Words) -> __m512i {
    // SAFETY: `Words` is 64 bytes, aligned to 64.
    unsafe { _mm512_load_si512(words.0.as_ptr().cast()) }
}

/// Four blocks of each lane: low and high words.
///
/// # Safety
/// Those bytes of the texts can be read.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
unsafe fn load_chunk(texts: &[Text; LANES], at: &[isize; LANES]) -> [[__m512i; 2]; CHUNK] {
    let mut rows = [_mm512_setzero_si512(); LANES];
    for lane in 0..LANES {
        // SAFETY: the caller's promise.
        rows[lane] = unsafe { _mm512_loadu_si512(texts[lane].at(at[lane]).cast()) };
    }
    transpose(&mut rows);
    let [w0, w1, w2, w3, w4, w5, w6, w7] = rows;
    [[w0, w1], [w2, w3], [w4, w5], [w6, w7]]
}

impl Key {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi2")]
    #[inline]
    fn new(tail: &Tail) -> Self {
        // The key is clamped as RFC 8439 says.
        let low = _mm512_and_si512(load(&tail.r[0]), _mm512_set1_epi64(0x0fff_fffc_0fff_ffff));
        let high = _mm512_and_si512(load(&tail.r[1]), _mm512_set1_epi64(0x0fff_fffc_0fff_fffc));
        let r = Number::from_block(low, high, 0);
        let first = r.multiplier();
        let r2 = Product::zero().plus(r, &first).folded().carried();
        let second = r2.multiplier();
        let third = Product::zero().plus(r2, &first).folded().carried().multiplier();
        let fourth = Product::zero().plus(r2, &second).folded().carried().multiplier();
        let powers = [fourth, third, second, first];
        let marker = _mm512_set1_epi64(MARKER);
        let mut markers = Product::zero();
        for Multiplier([_, _, Number([r0, r1, r2])]) in powers {
            markers.first = _mm512_madd52lo_epu64(markers.first, marker, r0);
            markers.second[0] = _mm512_madd52hi_epu64(markers.second[0], marker, r0);
            markers.second[0] = _mm512_madd52lo_epu64(markers.second[0], marker, r1);
            markers.third[0] = _mm512_madd52hi_epu64(markers.third[0], marker, r1);
            markers.third[0] = _mm512_madd52lo_epu64(markers.third[0], marker, r2);
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
    fn from_block(low: __m512i, high: __m512i, marker: i64) -> Self {
        let middle = _mm512_shrdi_epi64::<52>(low, high);
        Self([low, middle, _mm512_or_si512(_mm512_srli_epi64::<40>(high), _mm512_set1_epi64(marker))])
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn masked(self, keep: __mmask8) -> Self {
        let [l0, l1, l2] = self.0;
        Self([
            _mm512_maskz_mov_epi64(keep, l0),
            _mm512_maskz_mov_epi64(keep, l1),
            _mm512_maskz_mov_epi64(keep, l2),
        ])
    }

    /// The same number without the bits that do not count.
    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn cut(self) -> [__m512i; 3] {
        let mask = _mm512_set1_epi64(LIMB_52);
        let [l0, l1, l2] = self.0;
        [_mm512_and_si512(l0, mask), _mm512_and_si512(l1, mask), l2]
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn plus(self, sum: Loose) -> Self {
        let [a0, a1, a2] = self.cut();
        let Loose([b0, b1, b2]) = sum;
        Loose([_mm512_add_epi64(a0, b0), _mm512_add_epi64(a1, b1), _mm512_add_epi64(a2, b2)]).carried()
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
        let beyond = _mm512_add_epi64(_mm512_srli_epi64::<26>(l1), _mm512_slli_epi64::<26>(l2));
        let l1 = _mm512_and_si512(l1, _mm512_set1_epi64(LIMB_26));
        Loose([times_5(beyond), l0, l1]).carried()
    }
}

#[target_feature(enable = "avx512f,avx512vl")]
#[inline]
fn times_5(words: __m512i) -> __m512i {
    _mm512_add_epi64(words, _mm512_slli_epi64::<2>(words))
}

impl Loose {
    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn carried(self) -> Number {
        let [l0, l1, l2] = self.0;
        let l1 = _mm512_add_epi64(l1, _mm512_srli_epi64::<52>(l0));
        Number([l0, l1, _mm512_add_epi64(l2, _mm512_srli_epi64::<52>(l1))])
    }

    /// Puts the canonical residues plus `s`, modulo 2^128, to the places of a run: the tags' low and high words.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn reduced_plus(self, s: &[Words; 2]) -> [Words; 2] {
        let mask_26 = _mm512_set1_epi64(LIMB_26);
        let [l0, l1, l2] = self.carried().cut();
        // Below twice the modulus, once what is beyond 2^130 has come round.
        let l0 = _mm512_add_epi64(l0, times_5(_mm512_srli_epi64::<26>(l2)));
        let [l0, l1, l2] = Loose([l0, l1, _mm512_and_si512(l2, mask_26)]).carried().cut();
        // Less the modulus: plus 5, and without 2^130 if that is reached.
        let plus_5 = Loose([_mm512_add_epi64(l0, _mm512_set1_epi64(5)), l1, l2]).carried();
        let reached = _mm512_cmpge_epi64_mask(plus_5.0[2], _mm512_set1_epi64(1 << 26));
        let [m0, m1, m2] = plus_5.cut();
        let l0 = _mm512_mask_mov_epi64(l0, reached, m0);
        let l1 = _mm512_mask_mov_epi64(l1, reached, m1);
        // Bit 2^130 falls out at the top.
        let l2 = _mm512_mask_mov_epi64(l2, reached, m2);
        let low = _mm512_or_si512(l0, _mm512_slli_epi64::<52>(l1));
        let high = _mm512_or_si512(_mm512_srli_epi64::<12>(l1), _mm512_slli_epi64::<40>(l2));
        let sum = _mm512_add_epi64(low, load(&s[0]));
        let high = _mm512_add_epi64(high, load(&s[1]));
        let carry = _mm512_cmplt_epu64_mask(sum, low);
        let high = _mm512_mask_add_epi64(high, carry, high, _mm512_set1_epi64(1));
        let mut tags = [Words([0; LANES]), Words([0; LANES])];
        for (words, lanes) in tags.iter_mut().zip([sum, high]) {
            // SAFETY: `Words` is 64 bytes, aligned to 64.
            unsafe { _mm512_store_si512(words.0.as_mut_ptr().cast(), lanes) };
        }
        tags
    }
}

impl Product {
    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn zero() -> Self {
        let zero = _mm512_setzero_si512();
        Self { first: zero, second: [zero; 2], third: [zero; 2], fourth: zero }
    }

    /// Adds `number · multiplier` for a block of text, whose last limb is so short that one of the upper halves is zero.
    #[target_feature(enable = "avx512f,avx512vl,avx512ifma")]
    #[inline]
    fn plus_block(mut self, number: Number, multiplier: &Multiplier) -> Self {
        for (k, (limb, by)) in number.0.into_iter().zip(&multiplier.0).enumerate() {
            let [r0, r1, r2] = by.0;
            self.first = _mm512_madd52lo_epu64(self.first, limb, r0);
            self.second[0] = _mm512_madd52lo_epu64(self.second[0], limb, r1);
            self.second[1] = _mm512_madd52hi_epu64(self.second[1], limb, r0);
            self.third[0] = _mm512_madd52lo_epu64(self.third[0], limb, r2);
            self.third[1] = _mm512_madd52hi_epu64(self.third[1], limb, r1);
            if k < 2 {
                self.fourth = _mm512_madd52hi_epu64(self.fourth, limb, r2);
            }
        }
        self
    }

    /// Adds `number · multiplier`.
    #[target_feature(enable = "avx512f,avx512vl,avx512ifma")]
    #[inline]
    fn plus(self, number: Number, multiplier: &Multiplier) -> Self {
        let mut sum = self.plus_block(number, multiplier);
        sum.fourth = _mm512_madd52hi_epu64(sum.fourth, number.0[2], multiplier.0[2].0[2]);
        sum
    }

    /// The number that it is, with all that lies beyond 2^130 brought round.
    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn folded(self) -> Loose {
        let Self { first, second, third, fourth } = self;
        let third = _mm512_add_epi64(third[0], third[1]);
        let beyond = _mm512_add_epi64(_mm512_srli_epi64::<26>(third), _mm512_slli_epi64::<26>(fourth));
        Loose([
            _mm512_add_epi64(first, times_5(beyond)),
            _mm512_add_epi64(second[0], second[1]),
            _mm512_and_si512(third, _mm512_set1_epi64(LIMB_26)),
        ])
    }
}
