//! Multiples of Curve25519's base point: a comb over 23 signed digits of eleven bits.
//!
//! CC_SMUL multiplies the base point by the product of two known numbers (`State::multiply_scalars` says why one
//! multiplication is enough). Nothing is secret, so digits index the table directly. The product modulo the
//! order is written with [digits] -1024..=1024; digit `i` selects a multiple of `2048^i · B` from the table, and the
//! 23 points are added up: 22 mixed additions of seven multiplications, then one inversion for the whole batch.

mod digits;
mod field;
mod table;

use std::sync::LazyLock;

pub(crate) use digits::{DIGITS, Digits, digits_of_product};
pub(crate) use field::Field;
use table::MULTIPLES;
pub(crate) use table::{ENTRY_WORDS, Entry, Table};

/// The base point's coordinates.
const BASE_X: Field =
    Field([0xc956_2d60_8f25_d51a, 0x692c_c760_9525_a7b2, 0xc0a4_e231_fdd6_dc5c, 0x2169_36d3_cd6e_53fe]);
const BASE_Y: Field =
    Field([0x6666_6666_6666_6658, 0x6666_6666_6666_6666, 0x6666_6666_6666_6666, 0x6666_6666_6666_6666]);
/// 2·d, where d = -121665/121666.
const TWICE_D: Field =
    Field([0xebd6_9b94_26b2_f159, 0x00e0_149a_8283_b156, 0x198e_80f2_eef3_d130, 0x2406_d9dc_56df_fce7]);

/// A point with Z = 1: y + x, y - x and 2·d·x·y, all canonical.
pub(crate) struct Affine {
    pub y_plus_x: Field,
    pub y_minus_x: Field,
    pub twice_d_x_y: Field,
}

/// What an addition needs of a point or its opposite. An entry of the table has both, so that what a digit's sign changes
/// is read and not computed: y + x and y - x, which change places, and 2·d·x·y of each.
struct Prepared {
    y_plus_x: Field,
    y_minus_x: Field,
    twice_d_x_y: Field,
}

impl Prepared {
    fn entry_of(point: &Affine) -> [u64; ENTRY_WORDS] {
        let opposite = Field::ZERO.minus(&point.twice_d_x_y).times(&Field::ONE);
        let mut words = [0; ENTRY_WORDS];
        let numbers = [point.y_plus_x, point.y_minus_x, point.twice_d_x_y, opposite];
        for (words, number) in words.as_chunks_mut().0.iter_mut().zip(numbers) {
            *words = number.0;
        }
        words
    }

    #[inline]
    fn read(entry: &Entry, is_opposite: bool) -> Self {
        let number = |which: usize| {
            let words = &entry.as_chunks::<32>().0[which];
            Field(std::array::from_fn(|k| u64::from_ne_bytes(words.as_chunks().0[k])))
        };
        let opposite = usize::from(is_opposite);
        Self {
            y_plus_x: number(opposite),
            y_minus_x: number(1 - opposite),
            twice_d_x_y: number(2 + opposite),
        }
    }

    /// The entry that a digit at a place selects.
    #[inline]
    fn of_digit(table: &Table, place: usize, digit: i16) -> Self {
        Self::read(table.entry(place, digit), digit < 0)
    }
}

impl From<Affine> for Prepared {
    fn from(Affine { y_plus_x, y_minus_x, twice_d_x_y }: Affine) -> Self {
        Self { y_plus_x, y_minus_x, twice_d_x_y }
    }
}

/// Made at the first use.
static TABLE: LazyLock<Table> = LazyLock::new(|| build_table(Prepared::entry_of));

/// Row after row: the multiples of a power of 2048, of which the last is half the next power. Each backend says what it
/// wants to know of a point. Takes some milliseconds.
pub(crate) fn build_table(entry_of: impl Fn(&Affine) -> [u64; ENTRY_WORDS]) -> Table {
    let mut power = Point { x: BASE_X, y: BASE_Y, z: Field::ONE, t: BASE_X.times(&BASE_Y) };
    let mut entries = Vec::with_capacity(DIGITS * MULTIPLES);
    for _ in 0..DIGITS {
        let step = Prepared::from(power.affine(&power.z.inverted()));
        let mut multiples = vec![Point::IDENTITY];
        for k in 1..MULTIPLES {
            multiples.push(multiples[k - 1].plus(&step));
        }
        let half = multiples[MULTIPLES - 1];
        power = half.plus(&half.affine(&half.z.inverted()).into());
        let denominators: Vec<Field> = multiples.iter().map(|multiple| multiple.z).collect();
        let inverses = inverses(&denominators);
        entries.extend(multiples.iter().zip(inverses).map(|(point, z)| entry_of(&point.affine(&z))));
    }
    Table::of(entries.into_iter())
}

/// A point of the Edwards curve in extended coordinates, reduced: x = X/Z, y = Y/Z, xy = T/Z.
#[derive(Clone, Copy)]
struct Point {
    x: Field,
    y: Field,
    z: Field,
    t: Field,
}

/// The letters are those of the published formulas.
struct Factors {
    e: Field,
    f: Field,
    g: Field,
    h: Field,
}

impl Point {
    const IDENTITY: Self = Self { x: Field::ZERO, y: Field::ONE, z: Field::ONE, t: Field::ZERO };

    /// The point `other`; Z = 4.
    #[inline]
    fn from_prepared(other: &Prepared) -> Self {
        let twice_x = other.y_plus_x.minus(&other.y_minus_x);
        let twice_y = other.y_plus_x.plus(&other.y_minus_x);
        Self {
            x: twice_x.times(&Field::TWO),
            y: twice_y.times(&Field::TWO),
            z: Field::FOUR,
            t: twice_x.times(&twice_y),
        }
    }

    /// What the coordinates of the sum with `other` are products of.
    #[allow(clippy::many_single_char_names)]
    #[inline]
    fn factors(&self, other: &Prepared) -> Factors {
        let a = self.y.minus(&self.x).times(&other.y_minus_x);
        let b = self.y.plus(&self.x).times(&other.y_plus_x);
        let c = self.t.times(&other.twice_d_x_y);
        let d = self.z.plus(&self.z);
        Factors { e: b.minus(&a), f: d.minus(&c), g: d.plus_reduced(&c), h: b.plus(&a) }
    }

    /// Adds a point.
    #[inline]
    fn plus(&self, other: &Prepared) -> Self {
        let Factors { e, f, g, h } = self.factors(other);
        Self { x: e.times(&f), y: g.times(&h), z: f.times(&g), t: e.times(&h) }
    }

    /// Only the coordinates Y and Z of [`Point::plus`].
    #[inline]
    fn y_and_z_of_sum(&self, other: &Prepared) -> [Field; 2] {
        let Factors { f, g, h, .. } = self.factors(other);
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
fn multiple_of_base(table: &Table, digits: &Digits) -> [Field; 2] {
    const LAST: usize = DIGITS - 1;
    let prepared = |place: usize| Prepared::of_digit(table, place, digits[place]);
    let mut sum = Point::from_prepared(&prepared(0));
    for place in 1..LAST {
        sum = sum.plus(&prepared(place));
    }
    sum.y_and_z_of_sum(&prepared(LAST))
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
    fn sums_and_differences_of_entries_are_entries() {
        let prepared = |digit: i16| Prepared::of_digit(&TABLE, 0, digit);
        for (k, l) in [(1, 1), (2, 1), (700, 324), (-700, -324), (1000, -3), (-1024, 1), (512, -512)] {
            let [y, z] = Point::from_prepared(&prepared(k)).y_and_z_of_sum(&prepared(l));
            let expected = prepared(k + l);
            let twice_y = expected.y_plus_x.plus(&expected.y_minus_x);
            // y/z = twice_y/2
            assert_eq!(y.times(&Field::TWO).to_bytes(), twice_y.times(&z).to_bytes(), "{k} + {l}");
            let (start, whole) = (Point::from_prepared(&prepared(k)), prepared(-l));
            let back = start.plus(&prepared(l)).plus(&whole);
            assert_eq!(
                back.x.times(&start.z).to_bytes(),
                start.x.times(&back.z).to_bytes(),
                "{k} + {l} - {l}"
            );
        }
    }
}
