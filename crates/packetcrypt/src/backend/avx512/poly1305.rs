//! Poly1305 of eight messages at once, one message in each 64-bit lane.
//!
//! Numbers modulo 2^130 - 5 are three limbs of 44, 44 and 42 bits, the shape for which the 52-bit
//! multiply-add instructions leave room: a limb stays below 2^45 between steps, a product of two limbs below
//! 2^94, and a sum of twelve low halves below 2^56.
//!
//! Lanes are aligned at the *ends* of their messages: a short lane starts later, and its blocks before the
//! start are masked to zero, the marker bit 2^128 included. A zero accumulator stays zero, so nothing has to
//! be blended afterwards. `docs/performance.md`, "Poly1305", has the figures.

use core::arch::x86_64::{
    __m512i, __mmask8, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpge_epi64_mask, _mm512_cmplt_epu64_mask,
    _mm512_load_si512, _mm512_loadu_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64,
    _mm512_mask_add_epi64, _mm512_mask_blend_epi64, _mm512_mask_mov_epi64, _mm512_maskz_mov_epi64,
    _mm512_or_si512, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shrdi_epi64, _mm512_shuffle_i64x2,
    _mm512_slli_epi64, _mm512_srli_epi64, _mm512_store_si512, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

use crate::backend::ahead::Ahead;
use crate::backend::kernels::{Message, TAG_LANES as LANES, Tail, Words};
use crate::backend::states::{States, Text};

const LIMB_44: i64 = (1 << 44) - 1;
const LIMB_42: i64 = (1 << 42) - 1;

/// A number modulo 2^130 - 5 in each lane.
#[derive(Clone, Copy)]
struct Number([__m512i; 3]);

/// A multiplier: its limbs, and its upper limbs times 20 (2^132 = 20 modulo 2^130 - 5).
#[derive(Clone, Copy)]
struct Multiplier {
    limbs: [__m512i; 3],
    times_20: [__m512i; 2],
}

/// Low and high halves of the products of one multiplication, or the sum of several.
#[derive(Clone, Copy)]
struct Product {
    low: [__m512i; 3],
    high: [__m512i; 3],
}

/// Tags of eight messages, as low and high words.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi2")]
pub(super) fn tags(
    states: &States,
    messages: &[Message<'_>; LANES],
    tail: &Tail,
    ahead: &mut Ahead<'_>,
) -> [Words; 2] {
    let longest = messages.iter().map(|message| message.blocks).max().unwrap_or(0);
    let shortest = messages.iter().map(|message| message.blocks).min().unwrap_or(0);
    let chunks = longest.div_ceil(4);
    let steps = chunks * 4;
    let first = first_power(tail);
    let second = first.times(&first.multiplier()).carried();
    let third = second.times(&first.multiplier()).carried();
    let fourth = second.times(&second.multiplier()).carried();
    let powers = [fourth.multiplier(), third.multiplier(), second.multiplier(), first.multiplier()];
    // The text of every lane, and where in it the first step is, so that all end at the same step.
    let texts = messages.map(|message| states.text(message));
    let starts = messages.map(|message| 16 * (message.blocks as isize - steps as isize));
    let begins = load(&Words(messages.map(|message| (steps - message.blocks) as u64)));
    let all_begun = (steps - shortest).div_ceil(4);
    let mut sum = Number([_mm512_setzero_si512(); 3]);
    for chunk in 0..chunks {
        ahead.fetch();
        // SAFETY: at most 3 blocks before the longest message's start, less than a state's length before any.
        let words = unsafe { load_chunk(&texts, &starts.map(|start| start + 64 * chunk as isize)) };
        let mut product = Product::zero();
        // The first block comes last: only it has to wait for the sum so far.
        for block in [1, 2, 3, 0] {
            let mut number = Number::from_block(words[2 * block], words[2 * block + 1]);
            if chunk < all_begun {
                let step = _mm512_set1_epi64((4 * chunk + block) as i64);
                number = number.masked(_mm512_cmpge_epi64_mask(step, begins));
            }
            if block == 0 {
                number = number.plus(sum);
            }
            product = product.plus_product(number, &powers[block]);
        }
        sum = product.carried();
    }
    let lengths = Number::from_block(load(&tail.lengths[0]), load(&tail.lengths[1]));
    let last = sum.plus(lengths).times(&first.multiplier()).carried();
    last.reduced_plus(&tail.s)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(words: &Words) -> __m512i {
    // SAFETY: `Words` is 64 bytes, aligned to 64.
    unsafe { _mm512_load_si512(words.0.as_ptr().cast()) }
}

/// The key `r` of each lane, clamped as RFC 8439 says.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi2")]
#[inline]
fn first_power(tail: &Tail) -> Number {
    let low = _mm512_and_si512(load(&tail.r[0]), _mm512_set1_epi64(0x0fff_fffc_0fff_ffff));
    let high = _mm512_and_si512(load(&tail.r[1]), _mm512_set1_epi64(0x0fff_fffc_0fff_fffc));
    Number::limbs(low, high)
}

/// Four blocks of each lane, transposed: words 0 to 7 of the 64 bytes.
///
/// # Safety
/// Those bytes of the texts can be read.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
unsafe fn load_chunk(texts: &[Text; LANES], at: &[isize; LANES]) -> [__m512i; 8] {
    let mut rows = [_mm512_setzero_si512(); 8];
    for lane in 0..LANES {
        // SAFETY: the caller's promise.
        rows[lane] = unsafe { _mm512_loadu_si512(texts[lane].at(at[lane]).cast()) };
    }
    transpose(&mut rows);
    rows
}

/// Transposes an 8 × 8 matrix of 64-bit words.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
pub(super) fn transpose(rows: &mut [__m512i; 8]) {
    let mut pairs = [_mm512_setzero_si512(); 8];
    for k in 0..4 {
        pairs[2 * k] = _mm512_unpacklo_epi64(rows[2 * k], rows[2 * k + 1]);
        pairs[2 * k + 1] = _mm512_unpackhi_epi64(rows[2 * k], rows[2 * k + 1]);
    }
    for k in 0..2 {
        let (a, b, c, d) = (pairs[k], pairs[k + 2], pairs[k + 4], pairs[k + 6]);
        let low_even = _mm512_shuffle_i64x2::<0b10_00_10_00>(a, b);
        let low_odd = _mm512_shuffle_i64x2::<0b11_01_11_01>(a, b);
        let high_even = _mm512_shuffle_i64x2::<0b10_00_10_00>(c, d);
        let high_odd = _mm512_shuffle_i64x2::<0b11_01_11_01>(c, d);
        rows[k] = _mm512_shuffle_i64x2::<0b10_00_10_00>(low_even, high_even);
        rows[k + 4] = _mm512_shuffle_i64x2::<0b11_01_11_01>(low_even, high_even);
        rows[k + 2] = _mm512_shuffle_i64x2::<0b10_00_10_00>(low_odd, high_odd);
        rows[k + 6] = _mm512_shuffle_i64x2::<0b11_01_11_01>(low_odd, high_odd);
    }
}

impl Number {
    /// The limbs of a 128-bit number.
    #[target_feature(enable = "avx512f,avx512vbmi2")]
    #[inline]
    fn limbs(low: __m512i, high: __m512i) -> Self {
        let mask = _mm512_set1_epi64(LIMB_44);
        let middle = _mm512_shrdi_epi64::<44>(low, high);
        Self([_mm512_and_si512(low, mask), _mm512_and_si512(middle, mask), _mm512_srli_epi64::<24>(high)])
    }

    /// A block of text with its marker bit 2^128.
    #[target_feature(enable = "avx512f,avx512vbmi2")]
    #[inline]
    fn from_block(low: __m512i, high: __m512i) -> Self {
        let Self([l0, l1, l2]) = Self::limbs(low, high);
        Self([l0, l1, _mm512_or_si512(l2, _mm512_set1_epi64(1 << 40))])
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn masked(self, keep: __mmask8) -> Self {
        let [l0, l1, l2] = self.0;
        Self([
            _mm512_maskz_mov_epi64(keep, l0),
            _mm512_maskz_mov_epi64(keep, l1),
            _mm512_maskz_mov_epi64(keep, l2),
        ])
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn plus(self, other: Self) -> Self {
        let [a0, a1, a2] = self.0;
        let [b0, b1, b2] = other.0;
        Self([_mm512_add_epi64(a0, b0), _mm512_add_epi64(a1, b1), _mm512_add_epi64(a2, b2)])
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    fn multiplier(self) -> Multiplier {
        let [_, l1, l2] = self.0;
        let (zero, twenty) = (_mm512_setzero_si512(), _mm512_set1_epi64(20));
        // Below 2^50, so the low half is all of it.
        let times_20 = |limb| _mm512_madd52lo_epu64(zero, limb, twenty);
        Multiplier { limbs: self.0, times_20: [times_20(l1), times_20(l2)] }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    fn times(self, multiplier: &Multiplier) -> Product {
        Product::zero().plus_product(self, multiplier)
    }

    /// The canonical residue plus `s`, modulo 2^128: the tag's low and high words.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn reduced_plus(self, s: &[Words; 2]) -> [Words; 2] {
        let (mask_44, mask_42) = (_mm512_set1_epi64(LIMB_44), _mm512_set1_epi64(LIMB_42));
        let [mut l0, mut l1, mut l2] = self.0;
        for _ in 0..2 {
            let carry = _mm512_srli_epi64::<44>(l0);
            l0 = _mm512_and_si512(l0, mask_44);
            l1 = _mm512_add_epi64(l1, carry);
            let carry = _mm512_srli_epi64::<44>(l1);
            l1 = _mm512_and_si512(l1, mask_44);
            l2 = _mm512_add_epi64(l2, carry);
            let carry = _mm512_srli_epi64::<42>(l2);
            l2 = _mm512_and_si512(l2, mask_42);
            l0 = _mm512_add_epi64(l0, _mm512_add_epi64(carry, _mm512_slli_epi64::<2>(carry)));
        }
        let carry = _mm512_srli_epi64::<44>(l0);
        l0 = _mm512_and_si512(l0, mask_44);
        l1 = _mm512_add_epi64(l1, carry);
        // Less the modulus: plus 5, and without 2^130 if that is reached.
        let m0 = _mm512_add_epi64(l0, _mm512_set1_epi64(5));
        let m1 = _mm512_add_epi64(l1, _mm512_srli_epi64::<44>(m0));
        let m2 = _mm512_add_epi64(l2, _mm512_srli_epi64::<44>(m1));
        let reached = _mm512_cmpge_epi64_mask(m2, _mm512_set1_epi64(1 << 42));
        let l0 = _mm512_mask_mov_epi64(l0, reached, _mm512_and_si512(m0, mask_44));
        let l1 = _mm512_mask_mov_epi64(l1, reached, _mm512_and_si512(m1, mask_44));
        let l2 = _mm512_mask_blend_epi64(reached, l2, _mm512_and_si512(m2, mask_42));
        let low = _mm512_or_si512(l0, _mm512_slli_epi64::<44>(l1));
        let high = _mm512_or_si512(_mm512_srli_epi64::<20>(l1), _mm512_slli_epi64::<24>(l2));
        let sum = _mm512_add_epi64(low, load(&s[0]));
        let high = _mm512_add_epi64(high, load(&s[1]));
        let carry = _mm512_cmplt_epu64_mask(sum, low);
        let high = _mm512_mask_add_epi64(high, carry, high, _mm512_set1_epi64(1));
        let mut tag = [Words([0; LANES]), Words([0; LANES])];
        // SAFETY: `Words` is 64 bytes, aligned to 64.
        unsafe {
            _mm512_store_si512(tag[0].0.as_mut_ptr().cast(), sum);
            _mm512_store_si512(tag[1].0.as_mut_ptr().cast(), high);
        }
        tag
    }
}

impl Product {
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn zero() -> Self {
        let zero = _mm512_setzero_si512();
        Self { low: [zero; 3], high: [zero; 3] }
    }

    /// Adds `number · multiplier`.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    fn plus_product(mut self, number: Number, multiplier: &Multiplier) -> Self {
        let [a0, a1, a2] = number.0;
        let [r0, r1, r2] = multiplier.limbs;
        let [s1, s2] = multiplier.times_20;
        // A term of each limb, then another: neighbours do not wait for each other.
        let terms =
            [[(a0, r0), (a0, r1), (a0, r2)], [(a1, s2), (a1, r0), (a1, r1)], [(a2, s1), (a2, s2), (a2, r0)]];
        for terms in terms {
            for (limb, (a, r)) in terms.into_iter().enumerate() {
                self.low[limb] = _mm512_madd52lo_epu64(self.low[limb], a, r);
                self.high[limb] = _mm512_madd52hi_epu64(self.high[limb], a, r);
            }
        }
        self
    }

    /// The limbs, each below 2^45.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn carried(self) -> Number {
        let (mask_44, mask_42) = (_mm512_set1_epi64(LIMB_44), _mm512_set1_epi64(LIMB_42));
        let [low_0, low_1, low_2] = self.low;
        let [high_0, high_1, high_2] = self.high;
        let carry = _mm512_add_epi64(_mm512_srli_epi64::<44>(low_0), _mm512_slli_epi64::<8>(high_0));
        let l0 = _mm512_and_si512(low_0, mask_44);
        let low_1 = _mm512_add_epi64(low_1, carry);
        let carry = _mm512_add_epi64(_mm512_srli_epi64::<44>(low_1), _mm512_slli_epi64::<8>(high_1));
        let l1 = _mm512_and_si512(low_1, mask_44);
        let low_2 = _mm512_add_epi64(low_2, carry);
        let carry = _mm512_add_epi64(_mm512_srli_epi64::<42>(low_2), _mm512_slli_epi64::<10>(high_2));
        let l2 = _mm512_and_si512(low_2, mask_42);
        let l0 = _mm512_add_epi64(l0, _mm512_add_epi64(carry, _mm512_slli_epi64::<2>(carry)));
        let l1 = _mm512_add_epi64(l1, _mm512_srli_epi64::<44>(l0));
        Number([_mm512_and_si512(l0, mask_44), l1, l2])
    }
}
