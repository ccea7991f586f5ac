//! The product of two private keys as signed digits.

use curve25519_dalek::scalar::clamp_integer;

use super::field::{difference, masked, sum};

/// Bits of a digit.
pub(crate) const WINDOW: usize = 11;
/// Digits of a number between -2^252 and 2^252.
pub(crate) const DIGITS: usize = 253usize.div_ceil(WINDOW);
/// The greatest digit.
pub(crate) const GREATEST: usize = 1 << (WINDOW - 1);

/// The digits of a number, least significant first.
pub(crate) type Digits = [i16; DIGITS];

/// The order of the base point is 2^252 and this.
const ORDER_LOW: [u64; 2] = [0x5812_631a_5cf5_d3ed, 0x14de_f9de_a2f7_9cd6];
const ORDER: [u64; 4] = [ORDER_LOW[0], ORDER_LOW[1], 0, 1 << 60];

/// Half a digit's range at the place of every digit but the last. Adding it makes signed digits of bits, without a carry
/// from one digit to the next.
const HALVES: [u64; 4] = {
    let mut halves = [0; 4];
    let mut digit = 0;
    while digit + 1 < DIGITS {
        let bit = WINDOW * digit + WINDOW - 1;
        halves[bit / 64] |= 1 << (bit % 64);
        digit += 1;
    }
    halves
};

/// The digits of the product of two clamped private keys or of a number that differs by a multiple of the order: from
/// -[`GREATEST`] to [`GREATEST`] each.
pub(crate) fn digits_of_product(keys: &[u8; 64]) -> Digits {
    let key = |half: usize| -> [u64; 4] {
        let bytes = clamp_integer(std::array::from_fn(|index| keys[32 * half + index]));
        std::array::from_fn(|k| u64::from_le_bytes(bytes.as_chunks().0[k]))
    };
    // With 2^252 = -ORDER_LOW: below 2^510, 2^383, 2^256 and 2^129.
    let product: [u64; 8] = product(key(0), key(1));
    let once: [u64; 7] = self::product(above_252::<8, 5>(product), ORDER_LOW);
    let twice: [u64; 5] = self::product(above_252::<7, 3>(once), ORDER_LOW);
    let thrice: [u64; 3] = self::product(above_252::<5, 1>(twice), ORDER_LOW);
    // Between -2^252 - 2^129 and 2^253, the sign in the highest bit.
    let number = difference(below_252(&product), below_252(&once)).0;
    let number = sum(number, below_252(&twice)).0;
    let number = difference(number, [thrice[0], thrice[1], thrice[2], 0]).0;
    let is_great = number[3] as i64 >= 1 << 60;
    // Below 2^252.
    let number = difference(number, ORDER.map(|word| masked(word, is_great))).0;
    digits_of(sum(number, HALVES).0)
}

/// The digits of a number to which [`HALVES`] were added.
#[inline]
fn digits_of(number: [u64; 4]) -> Digits {
    std::array::from_fn(|digit| {
        let (word, bit) = (WINDOW * digit / 64, WINDOW * digit % 64);
        if digit + 1 == DIGITS {
            return (number[word] as i64 >> bit) as i16;
        }
        let upper = if bit + WINDOW > 64 { number[word + 1] << (64 - bit) } else { 0 };
        let bits = (number[word] >> bit | upper) & ((1 << WINDOW) - 1);
        bits as i16 - GREATEST as i16
    })
}

/// The product of two numbers, least significant word first.
#[inline]
fn product<const A: usize, const B: usize, const BOTH: usize>(one: [u64; A], other: [u64; B]) -> [u64; BOTH] {
    const { assert!(A + B == BOTH) };
    let mut product = [0; BOTH];
    for (i, &a) in one.iter().enumerate() {
        let mut carry = 0;
        for (j, &b) in other.iter().enumerate() {
            (product[i + j], carry) = a.carrying_mul_add(b, product[i + j], carry);
        }
        product[i + B] = carry;
    }
    product
}

/// The bits of a number from 252 on, as many words as can have some.
#[inline]
fn above_252<const WORDS: usize, const ABOVE: usize>(number: [u64; WORDS]) -> [u64; ABOVE] {
    std::array::from_fn(|k| number[3 + k] >> 60 | number.get(4 + k).map_or(0, |next| next << 4))
}

/// The lowest 252 bits.
#[inline]
fn below_252(number: &[u64]) -> [u64; 4] {
    [number[0], number[1], number[2], number[3] & (u64::MAX >> 4)]
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::Scalar;

    use super::*;
    use crate::hash::expand;

    /// What digits stand for, modulo the order.
    fn value(digits: &Digits) -> Scalar {
        let number = |digit: i16| Scalar::from(u64::from(digit.unsigned_abs()));
        digits.iter().rev().fold(Scalar::ZERO, |sum, &digit| {
            let sum = sum * Scalar::from(1u64 << WINDOW);
            if digit < 0 { sum - number(digit) } else { sum + number(digit) }
        })
    }

    fn assert_between_the_limits(digits: &Digits) {
        assert!(digits.iter().all(|digit| usize::from(digit.unsigned_abs()) <= GREATEST), "{digits:?}");
    }

    #[test]
    fn every_digit_is_between_the_limits_and_counts() {
        let mut all = vec![[0; 64], [0xff; 64], [0x80; 64], [0x7f; 64], [1; 64]];
        all.extend((0..200).map(|number| {
            let mut keys = [0; 64];
            expand(&[14; 32], number, &mut keys);
            keys
        }));
        for keys in all {
            let digits = digits_of_product(&keys);
            assert_between_the_limits(&digits);
            let [ours, theirs] = keys.as_chunks::<32>().0 else { panic!("two keys") };
            let product = Scalar::from_bytes_mod_order(clamp_integer(*ours))
                * Scalar::from_bytes_mod_order(clamp_integer(*theirs));
            assert_eq!(value(&digits), product);
        }
    }

    #[test]
    fn numbers_at_the_ends_of_the_range_have_digits_between_the_limits() {
        let least = difference([0; 4], [0, 0, 2, 1 << 60]).0;
        for (number, expected) in [
            ([u64::MAX, u64::MAX, u64::MAX, (1 << 60) - 1], -value_of_order_low() - Scalar::ONE),
            (least, value_of_order_low() - Scalar::from(2u64) * two_to_128()),
            ([0; 4], Scalar::ZERO),
            ([u64::MAX; 4], -Scalar::ONE),
        ] {
            let digits = digits_of(sum(number, HALVES).0);
            assert_between_the_limits(&digits);
            assert_eq!(value(&digits), expected);
        }
    }

    fn two_to_128() -> Scalar {
        let two_to_64 = Scalar::from(u64::MAX) + Scalar::ONE;
        two_to_64 * two_to_64
    }

    /// -2^252 modulo the order.
    fn value_of_order_low() -> Scalar {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&ORDER_LOW[0].to_le_bytes());
        bytes[8..16].copy_from_slice(&ORDER_LOW[1].to_le_bytes());
        Scalar::from_bytes_mod_order(bytes)
    }
}
