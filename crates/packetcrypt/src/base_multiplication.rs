//! Multiples of Curve25519's base point: a comb over 23 signed digits of eleven bits.
//!
//! CC_SMUL multiplies the base point by the product of two known numbers (`State::multiply_scalars` says why one
//! multiplication is enough). Nothing is secret, so digits index the table directly. The product modulo the
//! order is written with [digits] -1024..=1024; digit `i` selects a multiple of `2048^i · B` from the table, and the
//! 23 points are added up: 22 mixed additions of seven multiplications, then one inversion for the whole batch.

mod digits;
mod field;

use std::sync::LazyLock;

pub(crate) use digits::{DIGITS, Digits, digits_of_product};
pub(crate) use field::Field;

use crate::backend::ahead::prefetch;

/// Multiples of each power of 2048 in the table: 0 to 1024.
const MULTIPLES: usize = digits::GREATEST + 1;

/// The base point's coordinates.
const BASE_X: Field =
    Field([0xc956_2d60_8f25_d51a, 0x692c_c760_9525_a7b2, 0xc0a4_e231_fdd6_dc5c, 0x2169_36d3_cd6e_53fe]);
const BASE_Y: Field =
    Field([0x6666_6666_6666_6658, 0x6666_6666_6666_6666, 0x6666_6666_6666_6666, 0x6666_6666_6666_6666]);
/// 2·d, where d = -121665/121666.
const TWICE_D: Field =
    Field([0xebd6_9b94_26b2_f159, 0x00e0_149a_8283_b156, 0x198e_80f2_eef3_d130, 0x2406_d9dc_56df_fce7]);

/// A point with Z = 1, prepared for additions: y + x, y - x and 2·d·x·y, all canonical.
pub(crate) struct Affine {
    pub y_plus_x: Field,
    pub y_minus_x: Field,
    pub twice_d_x_y: Field,
}

/// An entry of the table: a point and its opposite, so that what a digit's sign changes is read and not computed.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Prepared {
    /// y + x and y - x. Of the opposite it is the other way round.
    y_and_x: [Field; 2],
    /// 2·d·x·y and the opposite's.
    twice_d_x_y: [Field; 2],
}

impl From<Affine> for Prepared {
    fn from(point: Affine) -> Self {
        let Affine { y_plus_x, y_minus_x, twice_d_x_y } = point;
        let opposite = Field::ZERO.minus(&twice_d_x_y).times(&Field::ONE);
        Self { y_and_x: [y_plus_x, y_minus_x], twice_d_x_y: [twice_d_x_y, opposite] }
    }
}

/// The multiples of the base point that digits select, as each backend wants them: 3 MB, made in some milliseconds.
pub(crate) struct Table<Entry>(Box<[Entry]>);

/// Made at the first use.
static TABLE: LazyLock<Table<Prepared>> = LazyLock::new(Table::build);

impl<Entry: From<Affine>> Table<Entry> {
    /// Row after row: the multiples of a power of 2048, of which the last is half the next power.
    pub(crate) fn build() -> Self {
        let mut power = Point { x: BASE_X, y: BASE_Y, z: Field::ONE, t: BASE_X.times(&BASE_Y) };
        let mut table = Vec::with_capacity(DIGITS * MULTIPLES);
        for _ in 0..DIGITS {
            let step = Prepared::from(power.affine(&power.z.inverted()));
            let mut multiples = vec![Point::IDENTITY];
            for k in 1..MULTIPLES {
                multiples.push(multiples[k - 1].plus(&step, false));
            }
            let half = multiples[MULTIPLES - 1];
            power = half.plus(&half.affine(&half.z.inverted()).into(), false);
            let denominators: Vec<Field> = multiples.iter().map(|multiple| multiple.z).collect();
            let inverses = inverses(&denominators);
            table.extend(multiples.iter().zip(inverses).map(|(point, z)| Entry::from(point.affine(&z))));
        }
        Self(table.into_boxed_slice())
    }
}

impl<Entry> Table<Entry> {
    /// The entry for a digit at a place; whether it is to be subtracted is said by the digit's sign.
    #[inline]
    pub(crate) fn entry(&self, place: usize, digit: i16) -> &Entry {
        &self.0[place * MULTIPLES + usize::from(digit.unsigned_abs())]
    }

    /// Asks for all entries of a number: there are too many to stay in the nearest caches.
    #[inline]
    fn fetch(&self, digits: &Digits) {
        for (place, &digit) in digits.iter().enumerate() {
            prefetch(self.entry(place, digit));
        }
    }
}

/// A point of the Edwards curve in extended coordinates, reduced: x = X/Z, y = Y/Z, xy = T/Z.
#[derive(Clone, Copy)]
struct Point {
    x: Field,
    y: Field,
    z: Field,
    t: Field,
}

/// What the coordinates of a sum are products of, in pairs. The letters are those of the published formulas.
struct Factors {
    e: Field,
    f: Field,
    g: Field,
    h: Field,
}

impl Point {
    const IDENTITY: Self = Self { x: Field::ZERO, y: Field::ONE, z: Field::ONE, t: Field::ZERO };

    /// An entry's point or its opposite.
    #[inline]
    fn from_entry(entry: &Prepared, is_opposite: bool) -> Self {
        let [plus, minus] = [usize::from(is_opposite), usize::from(!is_opposite)];
        let twice_x = entry.y_and_x[plus].minus(&entry.y_and_x[minus]);
        let twice_y = entry.y_and_x[plus].plus(&entry.y_and_x[minus]);
        Self {
            x: twice_x.times(&Field::TWO),
            y: twice_y.times(&Field::TWO),
            z: Field::FOUR,
            t: twice_x.times(&twice_y),
        }
    }

    #[inline]
    fn factors(&self, entry: &Prepared, is_opposite: bool) -> Factors {
        let [plus, minus] = [usize::from(is_opposite), usize::from(!is_opposite)];
        let a = self.y.minus(&self.x).times(&entry.y_and_x[minus]);
        let b = self.y.plus(&self.x).times(&entry.y_and_x[plus]);
        let c = self.t.times(&entry.twice_d_x_y[plus]);
        let d = self.z.plus(&self.z);
        Factors { e: b.minus(&a), f: d.minus(&c), g: d.plus_reduced(&c), h: b.plus(&a) }
    }

    /// Adds an entry's point or its opposite.
    #[inline]
    fn plus(&self, entry: &Prepared, is_opposite: bool) -> Self {
        let Factors { e, f, g, h } = self.factors(entry, is_opposite);
        Self { x: e.times(&f), y: g.times(&h), z: f.times(&g), t: e.times(&h) }
    }

    /// Only the coordinates Y and Z of [`Point::plus`].
    #[inline]
    fn y_and_z_of_sum(&self, entry: &Prepared, is_opposite: bool) -> [Field; 2] {
        let Factors { f, g, h, .. } = self.factors(entry, is_opposite);
        [g.times(&h), f.times(&g)]
    }

    /// The point itself, given 1/Z.
    fn affine(&self, inverse: &Field) -> Affine {
        let (x, y) = (self.x.times(inverse), self.y.times(inverse));
        let canonical = |number: Field| number.times(&Field::ONE).canonical();
        Affine {
            y_plus_x: canonical(y.plus(&x)),
            y_minus_x: canonical(y.minus(&x)),
            twice_d_x_y: canonical(x.times(&y).times(&TWICE_D)),
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

/// The coordinates Y and Z of the base point times a number.
#[inline]
fn multiple_of_base(table: &Table<Prepared>, digits: &Digits) -> [Field; 2] {
    const LAST: usize = DIGITS - 1;
    let entry = |place: usize| (table.entry(place, digits[place]), digits[place] < 0);
    let (first, is_opposite) = entry(0);
    let mut sum = Point::from_entry(first, is_opposite);
    for (entry, is_opposite) in (1..LAST).map(entry) {
        sum = sum.plus(entry, is_opposite);
    }
    let (last, is_opposite) = entry(LAST);
    sum.y_and_z_of_sum(last, is_opposite)
}

/// For each state given by its first 64 bytes (two private keys), the X25519 secret that the two share.
pub(crate) fn shared_secrets<'a>(count: usize, keys_of: impl Fn(usize) -> &'a [u8; 64]) -> Vec<[u8; 32]> {
    let table = &*TABLE;
    let digits_of = |index: usize| {
        let digits = digits_of_product(keys_of(index));
        table.fetch(&digits);
        digits
    };
    // The entries of a number are on their way while the one before is multiplied.
    let mut next = (count > 0).then(|| digits_of(0));
    let mut fractions = Vec::with_capacity(count);
    for index in 1..=count {
        let Some(digits) = next.take() else { break };
        next = (index < count).then(|| digits_of(index));
        let [y, z] = multiple_of_base(table, &digits);
        // u = (Z + Y) / (Z - Y). A clamped key is no multiple of the order, so no point is the identity and no
        // denominator 0.
        fractions.push([z.plus(&y), z.minus(&y)]);
    }
    let denominators: Vec<Field> = fractions.iter().map(|[_, denominator]| *denominator).collect();
    let inverses = inverses(&denominators);
    fractions
        .iter()
        .zip(&inverses)
        .map(|([numerator, _], inverse)| numerator.times(inverse).to_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
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
        assert!(shared_secrets(0, |index| &keys[index]).is_empty());
        for keys in keys.chunks(64) {
            let secrets = shared_secrets(keys.len(), |index| &keys[index]);
            assert_eq!(secrets.len(), keys.len());
            for (key, secret) in keys.iter().zip(secrets) {
                let mut state = State::default();
                state.as_bytes_mut()[..64].copy_from_slice(key);
                state.multiply_scalars();
                assert_eq!(state.as_bytes()[64..96], secret, "keys {}", hex::encode(key));
            }
        }
    }

    #[test]
    fn sums_with_every_sign_are_those_of_their_parts() {
        // k + l and k - l of the first row, for digits that the row has.
        let table = &*TABLE;
        for (k, l) in [(1i16, 1i16), (2, 1), (700, 324), (1000, 3), (512, 512)] {
            let start = Point::from_entry(table.entry(0, k), false);
            let [y, z] = start.y_and_z_of_sum(table.entry(0, l), false);
            let expected = table.entry(0, k + l);
            let twice_y = expected.y_and_x[0].plus(&expected.y_and_x[1]);
            // y/z = twice_y/2
            assert_eq!(y.plus(&y).times(&Field::ONE).to_bytes(), twice_y.times(&z).to_bytes(), "{k} + {l}");
            let whole = start.plus(table.entry(0, l), false).plus(table.entry(0, l), true);
            assert_eq!(
                whole.x.times(&start.z).to_bytes(),
                start.x.times(&whole.z).to_bytes(),
                "{k} + {l} - {l}"
            );
        }
    }
}
