//! Numbers modulo 2^255 - 19: four words of 64 bits.
//!
//! Bounds: any number below 2^256 is allowed unless something else is said. A *reduced* one is below 2^255 + 2^11;
//! products are reduced. Nothing is secret, so time may depend on numbers, but in additions and products it does not.

/// What 2^256 is.
const FOLD: u64 = 38;
/// All bits of a word but the highest.
const BELOW_255: u64 = u64::MAX >> 1;

/// A number modulo 2^255 - 19, least significant word first.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Field(pub [u64; 4]);

impl Field {
    pub(crate) const ZERO: Self = Self([0; 4]);
    pub(crate) const ONE: Self = Self([1, 0, 0, 0]);
    pub(crate) const TWO: Self = Self([2, 0, 0, 0]);
    pub(crate) const FOUR: Self = Self([4, 0, 0, 0]);

    /// The sum of two reduced numbers, which is below 2^256.
    #[inline]
    pub(crate) fn plus(&self, other: &Self) -> Self {
        let (sum, overflows) = sum(self.0, other.0);
        debug_assert!(!overflows, "{self:?} or {other:?} is not reduced");
        Self(sum)
    }

    /// The sum of any number and a reduced one.
    #[inline]
    pub(crate) fn plus_reduced(&self, other: &Self) -> Self {
        let (folded, overflows) = sum(self.0, other.0);
        // What is left of a sum that overflows is below 2^255 + 2^11.
        Self(sum(folded, [masked(FOLD, overflows), 0, 0, 0]).0)
    }

    /// Any number less a reduced one.
    #[inline]
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let (folded, borrows) = difference(self.0, other.0);
        // What is left of a difference below 0 is at least 2^255 - 2^11.
        Self(difference(folded, [masked(FOLD, borrows), 0, 0, 0]).0)
    }

    /// The product. 2^256 is 38, so what goes over the top comes in again below, 38 times.
    #[inline]
    pub(crate) fn times(&self, other: &Self) -> Self {
        let mut words = [0; 8];
        for (i, &a) in self.0.iter().enumerate() {
            let mut carry = 0;
            for (j, &b) in other.0.iter().enumerate() {
                (words[i + j], carry) = b.carrying_mul_add(a, words[i + j], carry);
            }
            words[i + 4] = carry;
        }
        let [low, high] =
            [[words[0], words[1], words[2], words[3]], [words[4], words[5], words[6], words[7]]];
        let (mut folded, mut carry) = ([0; 4], 0);
        for ((word, low), high) in folded.iter_mut().zip(low).zip(high) {
            (*word, carry) = high.carrying_mul_add(FOLD, low, carry);
        }
        // The carry is at most 38. The bits from 255 on come in again 19 times, which is less than 2^11.
        let above = carry << 1 | folded[3] >> 63;
        folded[3] &= BELOW_255;
        Self(sum(folded, [19 * above, 0, 0, 0]).0)
    }

    #[inline]
    pub(crate) fn squared(&self) -> Self {
        self.times(self)
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

    /// The least number that is the same, of one below 2^256 - 38.
    pub(crate) fn canonical(&self) -> Self {
        // Adding 19 reaches 2^255 exactly if the number is at least the modulus.
        let (mut above, _) = sum(self.0, [19, 0, 0, 0]);
        if above[3] > BELOW_255 {
            above[3] &= BELOW_255;
            return Self(above);
        }
        *self
    }

    /// The canonical bytes of a number below 2^256 - 38.
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.canonical().0) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }
}

/// The sum modulo 2^256, and whether it overflows.
#[inline]
pub(super) fn sum(mut number: [u64; 4], other: [u64; 4]) -> ([u64; 4], bool) {
    let mut carry = false;
    for (word, other) in number.iter_mut().zip(other) {
        (*word, carry) = word.carrying_add(other, carry);
    }
    (number, carry)
}

/// The difference modulo 2^256, and whether it is below 0.
#[inline]
pub(super) fn difference(mut number: [u64; 4], other: [u64; 4]) -> ([u64; 4], bool) {
    let mut borrow = false;
    for (word, other) in number.iter_mut().zip(other) {
        (*word, borrow) = word.borrowing_sub(other, borrow);
    }
    (number, borrow)
}

/// `word` or 0.
#[inline]
pub(super) fn masked(word: u64, keep: bool) -> u64 {
    u64::from(keep).wrapping_neg() & word
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUS_ONE: Field = Field([u64::MAX - 19, u64::MAX, u64::MAX, BELOW_255]);
    const GREATEST: [u64; 4] = [u64::MAX; 4];
    /// The greatest reduced number.
    const GREATEST_REDUCED: [u64; 4] = [(1 << 11) - 1, 0, 0, 1 << 63];

    type Wide = ruint::Uint<576, 9>;

    fn wide(words: [u64; 4]) -> Wide {
        Wide::from_limbs_slice(&words)
    }

    fn modulus() -> Wide {
        (Wide::from(1) << 255) - Wide::from(19)
    }

    /// A result is the expected number, whatever it is plus.
    fn assert_same(result: Field, expected: Wide) {
        assert_eq!(wide(result.0) % modulus(), expected % modulus());
    }

    fn assert_product(a: [u64; 4], b: [u64; 4]) {
        let product = Field(a).times(&Field(b));
        assert!(wide(product.0) <= wide(GREATEST_REDUCED), "{a:?} {b:?}");
        assert_eq!(product.to_bytes(), wide(a).mul_mod(wide(b), modulus()).to_le_bytes::<72>()[..32]);
    }

    fn assert_sums(any: [u64; 4], reduced: [u64; 4]) {
        let twice_modulus = modulus() << 1;
        assert_same(Field(any).plus_reduced(&Field(reduced)), wide(any) + wide(reduced));
        assert_same(
            Field(any).minus(&Field(reduced)),
            wide(any) + twice_modulus + twice_modulus - wide(reduced),
        );
    }

    #[test]
    fn results_of_the_greatest_operands_are_right() {
        let near = |words: [u64; 4], below: u64| [words[0] - below, words[1], words[2], words[3]];
        for below in 0..80 {
            assert_product(near(GREATEST, below), GREATEST);
            assert_product(near(GREATEST, below), near(GREATEST_REDUCED, below));
            assert_sums(near(GREATEST, below), GREATEST_REDUCED);
            assert_sums([below, 0, 0, 0], GREATEST_REDUCED);
            assert_sums([below, 0, 0, 0], [80, 0, 0, 0]);
        }
        assert_product([0, 0, 0, u64::MAX], GREATEST);
        assert_same(
            Field(GREATEST_REDUCED).plus(&Field(GREATEST_REDUCED).minus(&Field([1 << 12, 0, 0, 0]))),
            wide(GREATEST_REDUCED) * Wide::from(2) - Wide::from(1 << 12),
        );
    }

    proptest! {
        #[test]
        fn results_are_those_of_great_numbers(a: [u64; 4], b: [u64; 4]) {
            assert_product(a, b);
            let reduced = [b[0], b[1], b[2], b[3] >> 1];
            assert_sums(a, reduced);
            let other = [a[0], a[1], a[2], a[3] >> 1];
            assert_same(Field(other).plus(&Field(reduced)), wide(other) + wide(reduced));
        }
    }

    #[test]
    fn numbers_around_the_modulus_are_brought_below_it() {
        let one = [1].into_iter().chain([0; 31]).collect::<Vec<u8>>();
        assert_eq!(MINUS_ONE.plus(&Field::ONE).to_bytes(), [0; 32]);
        assert_eq!(MINUS_ONE.plus(&Field::TWO).to_bytes()[..], one[..]);
        assert_eq!(MINUS_ONE.squared().to_bytes()[..], one[..]);
        assert_eq!(Field::ZERO.minus(&Field::ONE).times(&Field::ONE).to_bytes(), MINUS_ONE.to_bytes());
        // The greatest number that can be brought below the modulus: twice the modulus less 1.
        assert_eq!(Field([u64::MAX - 38, u64::MAX, u64::MAX, u64::MAX]).to_bytes(), MINUS_ONE.to_bytes());
    }

    #[test]
    fn a_number_times_its_inverse_is_one() {
        for number in [Field::ONE, MINUS_ONE, Field([5, 4, 3, 2]), Field(GREATEST)] {
            assert_eq!(number.times(&number.inverted()).to_bytes(), Field::ONE.to_bytes());
        }
        assert_eq!(Field::ZERO.inverted().to_bytes(), [0; 32]);
    }
}
