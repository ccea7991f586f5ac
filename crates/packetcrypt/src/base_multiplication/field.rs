//! Numbers modulo 2^255 - 19: five limbs of 51 bits.
//!
//! Bounds: a *reduced* number has limbs below 2^51 + 2^13. Products are reduced, and take operands with limbs below
//! 2^54; sums of two reduced numbers are below 2^53, differences of a sum and a reduced number below 2^54. What is
//! subtracted has to be reduced.

/// All bits of a limb.
const LIMB: u64 = (1 << 51) - 1;
/// 2·(2^255 - 19), limb by limb: added before a subtraction so that no limb falls below 0.
const TWICE_MODULUS: [u64; 5] = [2 * (LIMB - 18), 2 * LIMB, 2 * LIMB, 2 * LIMB, 2 * LIMB];

/// A number modulo 2^255 - 19.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Field(pub [u64; 5]);

impl Field {
    pub(crate) const ZERO: Self = Self([0; 5]);
    pub(crate) const ONE: Self = Self([1, 0, 0, 0, 0]);

    #[inline]
    pub(crate) fn plus(&self, other: &Self) -> Self {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        Self([a0 + b0, a1 + b1, a2 + b2, a3 + b3, a4 + b4])
    }

    #[inline]
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        let [m0, m1, m2, m3, m4] = TWICE_MODULUS;
        Self([a0 + m0 - b0, a1 + m1 - b1, a2 + m2 - b2, a3 + m3 - b3, a4 + m4 - b4])
    }

    /// The product. 2^255 is 19, so what goes over the top comes in again below, 19 times.
    #[inline]
    pub(crate) fn times(&self, other: &Self) -> Self {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        let (c1, c2, c3, c4) = (19 * b1, 19 * b2, 19 * b3, 19 * b4);
        let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
        Self::carried([
            product(a0, b0) + product(a1, c4) + product(a2, c3) + product(a3, c2) + product(a4, c1),
            product(a0, b1) + product(a1, b0) + product(a2, c4) + product(a3, c3) + product(a4, c2),
            product(a0, b2) + product(a1, b1) + product(a2, b0) + product(a3, c4) + product(a4, c3),
            product(a0, b3) + product(a1, b2) + product(a2, b1) + product(a3, b0) + product(a4, c4),
            product(a0, b4) + product(a1, b3) + product(a2, b2) + product(a3, b1) + product(a4, b0),
        ])
    }

    #[inline]
    pub(crate) fn squared(&self) -> Self {
        self.times(self)
    }

    /// The sums of a product, below 2^115, as a reduced number. The last sum is below 2^111, so that what goes over the
    /// top is below 2^64 also 19 times.
    #[inline]
    fn carried(sums: [u128; 5]) -> Self {
        let [s0, s1, s2, s3, s4] = sums;
        let limb = |sum: u128| sum as u64 & LIMB;
        let s1 = s1 + (s0 >> 51);
        let s2 = s2 + (s1 >> 51);
        let s3 = s3 + (s2 >> 51);
        let s4 = s4 + (s3 >> 51);
        let l0 = limb(s0) + 19 * (s4 >> 51) as u64;
        Self([l0 & LIMB, limb(s1) + (l0 >> 51), limb(s2), limb(s3), limb(s4)])
    }

    /// 1 / self, as the power 2^255 - 21; 0 for 0.
    pub(crate) fn inverted(&self) -> Self {
        // Exponents in binary: `ones_n` is n ones.
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

    fn squared_times(&self, count: usize) -> Self {
        (0..count).fold(*self, |power, _| power.squared())
    }

    /// The canonical bytes of a reduced number.
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let mut limbs = self.0;
        // Adding 19 overflows 2^255 exactly if the number is at least the modulus.
        let carry = limbs.iter().fold(19, |carry, limb| (limb + carry) >> 51);
        let mut add = 19 * carry;
        for limb in &mut limbs {
            *limb += add;
            add = *limb >> 51;
            *limb &= LIMB;
        }
        let words = [
            limbs[0] | limbs[1] << 51,
            limbs[1] >> 13 | limbs[2] << 38,
            limbs[2] >> 26 | limbs[3] << 25,
            limbs[3] >> 39 | limbs[4] << 12,
        ];
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUS_ONE: Field = Field([LIMB - 19, LIMB, LIMB, LIMB, LIMB]);

    type Wide = ruint::Uint<576, 9>;

    /// What the limbs stand for, not reduced.
    fn number(limbs: [u64; 5]) -> Wide {
        limbs.iter().rev().fold(Wide::ZERO, |number, &limb| (number << 51) + Wide::from(limb))
    }

    fn assert_product(a: [u64; 5], b: [u64; 5]) {
        let modulus = (Wide::from(1) << 255) - Wide::from(19);
        let expected = number(a).mul_mod(number(b), modulus);
        assert_eq!(Field(a).times(&Field(b)).to_bytes(), expected.to_le_bytes::<72>()[..32], "{a:?} {b:?}");
    }

    #[test]
    fn products_of_the_greatest_operands_overflow_nothing() {
        let greatest = [(1 << 54) - 1; 5];
        assert_product(greatest, greatest);
        assert_product(greatest, [0, 0, 0, 0, (1 << 54) - 1]);
    }

    proptest! {
        #[test]
        fn products_are_those_of_great_numbers(a: [u64; 5], b: [u64; 5]) {
            assert_product(a.map(|limb| limb >> 10), b.map(|limb| limb >> 10));
        }
    }

    #[test]
    fn numbers_around_the_modulus_are_brought_below_it() {
        let one = [1].into_iter().chain([0; 31]).collect::<Vec<u8>>();
        assert_eq!(MINUS_ONE.plus(&Field::ONE).to_bytes(), [0; 32]);
        assert_eq!(MINUS_ONE.plus(&Field([2, 0, 0, 0, 0])).to_bytes()[..], one[..]);
        assert_eq!(MINUS_ONE.squared().to_bytes()[..], one[..]);
        assert_eq!(Field::ZERO.minus(&Field::ONE).times(&Field::ONE).to_bytes(), MINUS_ONE.to_bytes());
    }

    #[test]
    fn a_number_times_its_inverse_is_one() {
        for number in [Field::ONE, MINUS_ONE, Field([5, 4, 3, 2, 1]), Field([LIMB; 5])] {
            assert_eq!(number.times(&number.inverted()).to_bytes(), Field::ONE.to_bytes());
        }
        assert_eq!(Field::ZERO.inverted().to_bytes(), [0; 32]);
    }
}
