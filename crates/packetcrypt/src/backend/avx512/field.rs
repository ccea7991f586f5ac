//! Numbers modulo 2^255 - 19, eight at once: five limbs of 51 bits, a lane each.
//!
//! Bounds: the multiply-add instructions read the low 52 bits of a limb, so every operand's limbs are below 2^52.
//! A *reduced* number has limbs below 2^51 + 2^6; all operations but `doubled` take and return reduced numbers. In a product
//! the low halves of five partial products are below 2^55 and the doubled high halves (52 against 51 bits) below
//! 2^56; folding the upper five words with 19 stays below 2^62, and two carry passes reduce it again.

use core::arch::x86_64::{
    __m512i, __mmask8, _mm512_add_epi64, _mm512_and_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64,
    _mm512_mask_blend_epi64, _mm512_mullo_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_slli_epi64,
    _mm512_srli_epi64, _mm512_storeu_si512, _mm512_sub_epi64,
};

use crate::base_multiplication as plain;

/// Numbers in one [`Field`].
pub(super) const LANES: usize = 8;
const LIMB: i64 = (1 << 51) - 1;
/// 2·(2^255 - 19), limb by limb: added before a subtraction so that no limb falls below 0.
const TWICE_MODULUS: [i64; 5] = [2 * (LIMB - 18), 2 * LIMB, 2 * LIMB, 2 * LIMB, 2 * LIMB];

/// Eight numbers modulo 2^255 - 19.
#[derive(Clone, Copy)]
pub(super) struct Field(pub [__m512i; 5]);

impl Field {
    /// The same number in every lane, from limbs below 2^51.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn splat(limbs: [u64; 5]) -> Self {
        Self(limbs.map(|limb| _mm512_set1_epi64(limb as i64)))
    }

    /// Limb by limb, each with its lanes.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn lanes(&self) -> [[u64; LANES]; 5] {
        self.0.map(|limb| {
            let mut lanes = [0; LANES];
            // SAFETY: eight words, any alignment.
            unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), limb) };
            lanes
        })
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut limbs = self.0;
        for (limb, other) in limbs.iter_mut().zip(other.0) {
            *limb = _mm512_add_epi64(*limb, other);
        }
        Self(limbs).carried()
    }

    /// Twice the number, not reduced: only to be added to or subtracted from.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn doubled(&self) -> Self {
        Self(self.0.map(|limb| _mm512_add_epi64(limb, limb)))
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn minus(&self, other: &Self) -> Self {
        let mut limbs = self.0;
        for ((limb, other), twice) in limbs.iter_mut().zip(other.0).zip(TWICE_MODULUS) {
            *limb = _mm512_sub_epi64(_mm512_add_epi64(*limb, _mm512_set1_epi64(twice)), other);
        }
        Self(limbs).carried()
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn times(&self, other: &Self) -> Self {
        let zero = _mm512_setzero_si512();
        let (mut low, mut high) = ([zero; 10], [zero; 10]);
        for (i, a) in self.0.into_iter().enumerate() {
            for (j, b) in other.0.into_iter().enumerate() {
                low[i + j] = _mm512_madd52lo_epu64(low[i + j], a, b);
                high[i + j + 1] = _mm512_madd52hi_epu64(high[i + j + 1], a, b);
            }
        }
        let word = |k: usize| _mm512_add_epi64(low[k], _mm512_slli_epi64::<1>(high[k]));
        let nineteen = _mm512_set1_epi64(19);
        let mut limbs = [zero; 5];
        for (k, limb) in limbs.iter_mut().enumerate() {
            *limb = _mm512_add_epi64(word(k), _mm512_mullo_epi64(word(k + 5), nineteen));
        }
        Self(limbs).carried().carried()
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn squared(&self) -> Self {
        self.times(self)
    }

    /// `self` where `mask` is clear, `other` where it is set.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn or(&self, mask: __mmask8, other: &Self) -> Self {
        let mut limbs = self.0;
        for (limb, other) in limbs.iter_mut().zip(other.0) {
            *limb = _mm512_mask_blend_epi64(mask, *limb, other);
        }
        Self(limbs)
    }

    /// 1 / self, as the power 2^255 - 21; 0 for 0.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn inverted(&self) -> Self {
        // Exponents in binary: `ones(n)` is n ones.
        let two = self.squared();
        let nine = two.squared().squared().times(self);
        let eleven = nine.times(&two);
        let ones_5 = eleven.squared().times(&nine);
        let ones_10 = ones_5.squared_times(5).times(&ones_5);
        let ones_20 = ones_10.squared_times(10).times(&ones_10);
        let ones_40 = ones_20.squared_times(20).times(&ones_20);
        let ones_50 = ones_40.squared_times(10).times(&ones_10);
        let ones_100 = ones_50.squared_times(50).times(&ones_50);
        let ones_200 = ones_100.squared_times(100).times(&ones_100);
        let ones_250 = ones_200.squared_times(50).times(&ones_50);
        ones_250.squared_times(5).times(&eleven)
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn squared_times(&self, count: usize) -> Self {
        let mut power = *self;
        for _ in 0..count {
            power = power.squared();
        }
        power
    }

    /// One parallel carry pass: limbs below 2^62 become below 2^51 + 2^16, those below 2^54 become reduced.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn carried(self) -> Self {
        let mask = _mm512_set1_epi64(LIMB);
        let carries = self.0.map(|limb| _mm512_srli_epi64::<51>(limb));
        let rests = self.0.map(|limb| _mm512_and_si512(limb, mask));
        Self([
            // 2^255 = 19. The carry is below 2^11, so the product is whole.
            _mm512_madd52lo_epu64(rests[0], carries[4], _mm512_set1_epi64(19)),
            _mm512_add_epi64(rests[1], carries[0]),
            _mm512_add_epi64(rests[2], carries[1]),
            _mm512_add_epi64(rests[3], carries[2]),
            _mm512_add_epi64(rests[4], carries[3]),
        ])
    }

    /// The canonical 32 bytes of each number.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn to_bytes(self) -> [[u8; 32]; LANES] {
        let limbs = self.lanes();
        core::array::from_fn(|lane| number_of(limbs.map(|limb| limb[lane])).to_bytes())
    }
}

/// The limbs of a canonical number.
pub(super) fn limbs_of(number: &plain::Field) -> [u64; 5] {
    let [w0, w1, w2, w3] = number.0;
    [w0, w0 >> 51 | w1 << 13, w1 >> 38 | w2 << 26, w2 >> 25 | w3 << 39, w3 >> 12]
        .map(|limb| limb & LIMB as u64)
}

/// The number, below 2^255 + 2^211, of a reduced number's limbs.
fn number_of(limbs: [u64; 5]) -> plain::Field {
    // Where the limbs begin, less the bits of the words before.
    let [mut sum, l1, l2, l3, l4] = limbs.map(u128::from);
    let words = [l1 << 51, l2 << 38, l3 << 25, l4 << 12].map(|next| {
        sum += next;
        let word = sum as u64;
        sum >>= 64;
        word
    });
    plain::Field(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limbs_and_words_are_the_same_number() {
        for number in [[0; 4], [1, 2, 3, 4], [u64::MAX, u64::MAX, u64::MAX, u64::MAX >> 1]] {
            assert_eq!(number_of(limbs_of(&plain::Field(number))).0, number);
        }
        // Limbs of more than 51 bits.
        assert_eq!(number_of([1 << 51, 0, 0, 0, 0]).0, number_of([0, 1, 0, 0, 0]).0);
        let greatest = (1 << 51) + (1 << 6) - 1;
        assert_eq!(number_of([greatest, 0, 0, 0, greatest]).0[3], greatest << 12);
    }
}
