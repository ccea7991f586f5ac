//! Numbers modulo 2^255 - 19, four at once: ten limbs of 26 and 25 bits in turn, a lane each.
//!
//! Bounds, for the limbs of 26 bits; those of 25 are half as great: a *reduced* number is below 2^26 + 2^17 and a
//! product is reduced. A sum of two reduced numbers or a difference of them is below 2^27.6, a difference of a sum and
//! a reduced number below 2^28. The first operand of a product has to be below 2^28, the second below 2^27.7 (19 times
//! that is still a number of 32 bits); the greatest sum of products is then below 2^63.

use core::arch::x86_64::{
    __m256i, _mm256_add_epi64, _mm256_and_si256, _mm256_blendv_epi8, _mm256_set1_epi64x,
    _mm256_setzero_si256, _mm256_slli_epi64, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_sub_epi64,
};

use super::poly1305::product_of_halves;
use crate::base_multiplication as plain;

/// Numbers in one [`Field`].
pub(super) const LANES: usize = 4;
const LIMBS: usize = 10;
/// Bits of an even and of an odd limb.
const LIMB_26: i64 = (1 << 26) - 1;
const LIMB_25: i64 = (1 << 25) - 1;

/// Four numbers modulo 2^255 - 19.
#[derive(Clone, Copy)]
pub(super) struct Field([__m256i; LIMBS]);

impl Field {
    /// The same number in every lane.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn splat(number: plain::Field) -> Self {
        Self::from_limbs_of_51(number.0.map(|limb| _mm256_set1_epi64x(limb as i64)))
    }

    /// Reduced numbers as `base_multiplication` has them, limb by limb.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn from_limbs_of_51(numbers: [__m256i; 5]) -> Self {
        let mut limbs = [_mm256_setzero_si256(); LIMBS];
        for (k, limb) in numbers.into_iter().enumerate() {
            limbs[2 * k] = _mm256_and_si256(limb, _mm256_set1_epi64x(LIMB_26));
            limbs[2 * k + 1] = _mm256_srli_epi64::<26>(limb);
        }
        Self(limbs)
    }

    /// Each lane's number, with limbs below 2^51 + 2^44.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn lanes(&self) -> [plain::Field; LANES] {
        let mut numbers = [plain::Field::ZERO; LANES];
        for k in 0..5 {
            let limb = _mm256_add_epi64(self.0[2 * k], _mm256_slli_epi64::<26>(self.0[2 * k + 1]));
            let mut lanes = [0; LANES];
            // SAFETY: 32 bytes, any alignment.
            unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), limb) };
            for (number, limb) in numbers.iter_mut().zip(lanes) {
                number.0[k] = limb;
            }
        }
        numbers
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut limbs = self.0;
        for (limb, other) in limbs.iter_mut().zip(other.0) {
            *limb = _mm256_add_epi64(*limb, other);
        }
        Self(limbs)
    }

    /// The difference to a reduced number. Twice the modulus is added, so that no limb falls below 0.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn minus(&self, other: &Self) -> Self {
        let mut limbs = self.0;
        for (k, (limb, other)) in limbs.iter_mut().zip(other.0).enumerate() {
            let twice_modulus = match k {
                0 => 2 * (LIMB_26 - 18),
                _ if k % 2 == 0 => 2 * LIMB_26,
                _ => 2 * LIMB_25,
            };
            *limb = _mm256_sub_epi64(_mm256_add_epi64(*limb, _mm256_set1_epi64x(twice_modulus)), other);
        }
        Self(limbs)
    }

    /// `self` where `mask` is clear, `other` where it is set.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn or(&self, mask: __m256i, other: &Self) -> Self {
        let mut limbs = self.0;
        for (limb, other) in limbs.iter_mut().zip(other.0) {
            *limb = _mm256_blendv_epi8(*limb, other, mask);
        }
        Self(limbs)
    }

    /// The product. What goes over the top comes in again below, 19 times; two odd limbs stand for twice their product,
    /// since limb k begins at bit 25.5·k, rounded up.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn times(&self, other: &Self) -> Self {
        let nineteen = _mm256_set1_epi64x(19);
        let mut over_the_top = other.0;
        for limb in &mut over_the_top[1..] {
            *limb = product_of_halves(*limb, nineteen);
        }
        let mut sums = [_mm256_setzero_si256(); LIMBS];
        for i in 0..LIMBS {
            let once = self.0[i];
            let twice = _mm256_add_epi64(once, once);
            for j in 0..LIMBS {
                let a = if i % 2 == 1 && j % 2 == 1 { twice } else { once };
                let b = if i + j < LIMBS { other.0[j] } else { over_the_top[j] };
                let sum = &mut sums[(i + j) % LIMBS];
                *sum = _mm256_add_epi64(*sum, product_of_halves(a, b));
            }
        }
        Self::carried(sums)
    }

    /// Sums below 2^63 as a reduced number. Two carries go round at once, half a number apart.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn carried(mut limbs: [__m256i; LIMBS]) -> Self {
        for k in [0, 4, 1, 5, 2, 6, 3, 7, 4, 8] {
            carry(&mut limbs, k);
        }
        let around = _mm256_srli_epi64::<25>(limbs[9]);
        limbs[9] = _mm256_and_si256(limbs[9], _mm256_set1_epi64x(LIMB_25));
        let [twice, times_16] = [_mm256_slli_epi64::<1>(around), _mm256_slli_epi64::<4>(around)];
        let times_19 = _mm256_add_epi64(_mm256_add_epi64(around, twice), times_16);
        limbs[0] = _mm256_add_epi64(limbs[0], times_19);
        carry(&mut limbs, 0);
        Self(limbs)
    }
}

/// Carries from limb `k` to the next.
#[target_feature(enable = "avx2")]
#[inline]
fn carry(limbs: &mut [__m256i; LIMBS], k: usize) {
    let (mask, carry) = if k.is_multiple_of(2) {
        (LIMB_26, _mm256_srli_epi64::<26>(limbs[k]))
    } else {
        (LIMB_25, _mm256_srli_epi64::<25>(limbs[k]))
    };
    limbs[k] = _mm256_and_si256(limbs[k], _mm256_set1_epi64x(mask));
    limbs[k + 1] = _mm256_add_epi64(limbs[k + 1], carry);
}
