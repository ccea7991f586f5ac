//! Multiples of Curve25519's base point: a comb over 32 signed digits of eight bits.
//!
//! CC_SMUL multiplies the base point by the product of two known numbers (`State::multiply_scalars` says why one
//! multiplication is enough). Nothing is secret, so digits index the table directly. The product modulo the
//! order is written with digits -128..=127; digit `i` selects a multiple of `256^i · B` from the table, and the
//! 32 points are added up: 32 mixed additions of seven multiplications, then one inversion for the whole batch.

mod field;

use std::sync::LazyLock;

use curve25519_dalek::scalar::clamp_integer;

pub(crate) use field::Field;

pub(crate) const DIGITS: usize = 32;
/// Multiples of each power of 256 in the table: 0 to 128.
pub(crate) const MULTIPLES: usize = 129;

/// The base point's coordinates.
const BASE_X: Field = Field([
    1_738_742_601_995_546,
    1_146_398_526_822_698,
    2_070_867_633_025_821,
    562_264_141_797_630,
    587_772_402_128_613,
]);
const BASE_Y: Field = Field([
    1_801_439_850_948_184,
    1_351_079_888_211_148,
    450_359_962_737_049,
    900_719_925_474_099,
    1_801_439_850_948_198,
]);
/// 2·d, where d = -121665/121666.
const TWICE_D: Field = Field([
    1_859_910_466_990_425,
    932_731_440_258_426,
    1_072_319_116_312_658,
    1_815_898_335_770_999,
    633_789_495_995_903,
]);

/// A point with Z = 1, prepared for additions.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Prepared {
    pub y_plus_x: Field,
    pub y_minus_x: Field,
    pub twice_d_x_y: Field,
    /// Fills the entry up to two cache lines.
    pub padding: u64,
}

/// `TABLE[i * MULTIPLES + k]` is `k · 256^i · B`. 528 kB, made in a few milliseconds at the first use.
pub(crate) static TABLE: LazyLock<Box<[Prepared]>> = LazyLock::new(build_table);

/// A point of the Edwards curve in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.
#[derive(Clone, Copy)]
struct Point {
    x: Field,
    y: Field,
    z: Field,
    t: Field,
}

impl Point {
    const IDENTITY: Self = Self { x: Field::ZERO, y: Field::ONE, z: Field::ONE, t: Field::ZERO };

    /// Adds a point. The letters are those of the published formulas.
    #[allow(clippy::many_single_char_names)]
    #[inline]
    fn plus(&self, other: &Prepared) -> Self {
        let a = self.y.minus(&self.x).times(&other.y_minus_x);
        let b = self.y.plus(&self.x).times(&other.y_plus_x);
        let c = self.t.times(&other.twice_d_x_y);
        let d = self.z.plus(&self.z);
        let (e, f, g, h) = (b.minus(&a), d.minus(&c), d.plus(&c), b.plus(&a));
        Self { x: e.times(&f), y: g.times(&h), z: f.times(&g), t: e.times(&h) }
    }

    /// Subtracts a point: x and t change their signs.
    #[allow(clippy::many_single_char_names)]
    #[inline]
    fn minus(&self, other: &Prepared) -> Self {
        let a = self.y.minus(&self.x).times(&other.y_plus_x);
        let b = self.y.plus(&self.x).times(&other.y_minus_x);
        let c = self.t.times(&other.twice_d_x_y);
        let d = self.z.plus(&self.z);
        let (e, f, g, h) = (b.minus(&a), d.plus(&c), d.minus(&c), b.plus(&a));
        Self { x: e.times(&f), y: g.times(&h), z: f.times(&g), t: e.times(&h) }
    }

    /// Ready to be added, given 1/Z.
    fn prepared(&self, inverse: &Field) -> Prepared {
        // Products are reduced.
        let (x, y) = (self.x.times(inverse), self.y.times(inverse));
        Prepared {
            y_plus_x: y.plus(&x).times(&Field::ONE),
            y_minus_x: y.minus(&x).times(&Field::ONE),
            twice_d_x_y: x.times(&y).times(&TWICE_D),
            padding: 0,
        }
    }
}

/// The inverses of numbers of which none is 0, made with one inversion: the running products are inverted backwards.
fn inverses(numbers: &[Field]) -> Vec<Field> {
    let mut product = Field::ONE;
    let mut inverses: Vec<Field> = numbers
        .iter()
        .map(|number| {
            let before = product;
            product = product.times(number);
            before
        })
        .collect();
    let mut inverse = product.inverted();
    for (before, number) in inverses.iter_mut().zip(numbers).rev() {
        *before = before.times(&inverse);
        inverse = inverse.times(number);
    }
    inverses
}

/// Row after row: the multiples of a power of 256, of which the last is half the next power.
fn build_table() -> Box<[Prepared]> {
    let mut power = Point { x: BASE_X, y: BASE_Y, z: Field::ONE, t: BASE_X.times(&BASE_Y) };
    let mut table = Vec::with_capacity(DIGITS * MULTIPLES);
    for _ in 0..DIGITS {
        let step = power.prepared(&power.z.inverted());
        let mut multiples = vec![Point::IDENTITY];
        for k in 1..MULTIPLES {
            multiples.push(multiples[k - 1].plus(&step));
        }
        let half = multiples[MULTIPLES - 1];
        power = half.plus(&half.prepared(&half.z.inverted()));
        let denominators: Vec<Field> = multiples.iter().map(|multiple| multiple.z).collect();
        table.extend(multiples.iter().zip(inverses(&denominators)).map(|(point, z)| point.prepared(&z)));
    }
    table.into_boxed_slice()
}

/// The order of the base point is 2^252 and this.
const ORDER_LOW: [u64; 2] = [0x5812_631a_5cf5_d3ed, 0x14de_f9de_a2f7_9cd6];

/// The digits of the product of two clamped private keys or of a number that differs by a multiple of the order, least
/// significant first, -128..=127 each.
pub(crate) fn digits_of_product(keys: &[u8; 64]) -> [i16; DIGITS] {
    let key = |half: usize| -> [u64; 4] {
        let bytes = clamp_integer(std::array::from_fn(|index| keys[32 * half + index]));
        std::array::from_fn(|k| u64::from_le_bytes(bytes.as_chunks().0[k]))
    };
    // With 2^252 = -ORDER_LOW: below 2^510, 2^383, 2^256 and 2^129.
    let product: [u64; 8] = product(key(0), key(1));
    let once: [u64; 7] = self::product(above_252::<8, 5>(product), ORDER_LOW);
    let twice: [u64; 5] = self::product(above_252::<7, 3>(once), ORDER_LOW);
    let thrice: [u64; 3] = self::product(above_252::<5, 1>(twice), ORDER_LOW);
    // Between -2^253 and 2^253, the sign in the highest bit. The 128 in each byte make digits of bytes.
    let mut number = [0x8080_8080_8080_8080; 4];
    add(&mut number, below_252(&product));
    subtract(&mut number, below_252(&once));
    add(&mut number, below_252(&twice));
    subtract(&mut number, [thrice[0], thrice[1], thrice[2], 0]);
    let mut digits = [0; DIGITS];
    for (digits, word) in digits.as_chunks_mut().0.iter_mut().zip(number) {
        *digits = word.to_le_bytes().map(|byte| i16::from(byte) - 128);
    }
    digits
}

/// The product of two numbers, least significant word first.
#[inline]
fn product<const A: usize, const B: usize, const BOTH: usize>(one: [u64; A], other: [u64; B]) -> [u64; BOTH] {
    const { assert!(A + B == BOTH) };
    let mut product = [0u64; BOTH];
    for (i, &a) in one.iter().enumerate() {
        let mut carry = 0;
        for (j, &b) in other.iter().enumerate() {
            let sum = u128::from(a) * u128::from(b) + u128::from(product[i + j]) + u128::from(carry);
            (product[i + j], carry) = (sum as u64, (sum >> 64) as u64);
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

/// Adds modulo 2^256.
#[inline]
fn add(number: &mut [u64; 4], other: [u64; 4]) {
    let mut carry = false;
    for (word, other) in number.iter_mut().zip(other) {
        (*word, carry) = word.carrying_add(other, carry);
    }
}

/// Subtracts modulo 2^256.
#[inline]
fn subtract(number: &mut [u64; 4], other: [u64; 4]) {
    let mut borrow = false;
    for (word, other) in number.iter_mut().zip(other) {
        (*word, borrow) = word.borrowing_sub(other, borrow);
    }
}

/// The base point times a number.
fn multiple_of_base(digits: &[i16; DIGITS]) -> Point {
    let rows = TABLE.as_chunks::<MULTIPLES>().0;
    let mut sum = Point::IDENTITY;
    for (&digit, row) in digits.iter().zip(rows) {
        let entry = &row[usize::from(digit.unsigned_abs())];
        match digit {
            0 => {}
            1.. => sum = sum.plus(entry),
            ..0 => sum = sum.minus(entry),
        }
    }
    sum
}

/// For each state given by its first 64 bytes (two private keys), the X25519 secret that the two share.
pub(crate) fn shared_secrets<'a>(count: usize, keys_of: impl Fn(usize) -> &'a [u8; 64]) -> Vec<[u8; 32]> {
    let points: Vec<Point> =
        (0..count).map(|index| multiple_of_base(&digits_of_product(keys_of(index)))).collect();
    // u = (Z + Y) / (Z - Y). A clamped key is no multiple of the order, so no point is the identity and no
    // denominator 0.
    let denominators: Vec<Field> = points.iter().map(|point| point.z.minus(&point.y)).collect();
    let inverses = inverses(&denominators);
    points
        .iter()
        .zip(&inverses)
        .map(|(point, inverse)| point.z.plus(&point.y).times(inverse).to_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::Scalar;

    use super::*;
    use crate::crypto_cycle::State;
    use crate::hash::expand;

    #[test]
    fn secrets_of_any_two_keys_are_those_of_the_library() {
        let mut keys = vec![[0; 64], [0xff; 64], [0x80; 64], [0x7f; 64], [1; 64]];
        for number in 0..200 {
            let mut key = [0; 64];
            expand(&[13; 32], number, &mut key);
            keys.push(key);
        }
        for keys in keys.chunks(64) {
            let secrets = shared_secrets(keys.len(), |index| &keys[index]);
            for (key, secret) in keys.iter().zip(secrets) {
                let mut state = State::default();
                state.as_bytes_mut()[..64].copy_from_slice(key);
                state.multiply_scalars();
                assert_eq!(state.as_bytes()[64..96], secret, "keys {}", hex::encode(key));
            }
        }
    }

    #[test]
    fn every_digit_is_between_the_limits_and_counts() {
        for number in 0..200 {
            let mut keys = [0; 64];
            expand(&[14; 32], number, &mut keys);
            let digits = digits_of_product(&keys);
            assert!(digits.iter().all(|digit| (-128..=127).contains(digit)));
            let number = |digit: i16| Scalar::from(u64::from(digit.unsigned_abs()));
            let sum = digits.iter().rev().fold(Scalar::ZERO, |sum, &digit| {
                let sum = sum * Scalar::from(256u64);
                if digit < 0 { sum - number(digit) } else { sum + number(digit) }
            });
            let [ours, theirs] = keys.as_chunks::<32>().0 else { panic!("two keys") };
            let product = Scalar::from_bytes_mod_order(clamp_integer(*ours))
                * Scalar::from_bytes_mod_order(clamp_integer(*theirs));
            assert_eq!(sum, product);
        }
    }
}
