//! Multiples of Curve25519's base point, eight at once: the comb of `base_multiplication`.

use std::sync::LazyLock;

use core::arch::x86_64::{__m512i, _mm512_loadu_si512, _mm512_setzero_si512};

use super::blake2b::transpose;
use super::field::{Field, LANES, limbs_of};
use crate::backend::ahead::prefetch;
use crate::base_multiplication::{
    Affine, DIGITS, Digits, ENTRY_WORDS, Entry, Table, build_table, digits_of_product,
};

const ONE: [u64; 5] = [1, 0, 0, 0, 0];
/// Places whose entries are on their way.
const AHEAD: usize = 3;
const FOUR: [u64; 5] = [4, 0, 0, 0, 0];

/// A point of the Edwards curve in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.
#[derive(Clone, Copy)]
struct Point {
    x: Field,
    y: Field,
    z: Field,
    t: Field,
}

/// Made at the first use.
static TABLE: LazyLock<Table> = LazyLock::new(|| build_table(entry_of));

/// The limbs of y + x, y - x and 2·d·x·y, and one word more.
fn entry_of(point: &Affine) -> [u64; ENTRY_WORDS] {
    let mut words = [0; ENTRY_WORDS];
    let numbers = [point.y_plus_x, point.y_minus_x, point.twice_d_x_y];
    for (words, number) in words.as_chunks_mut().0.iter_mut().zip(&numbers) {
        *words = limbs_of(number);
    }
    words
}

/// Points with Z = 1, prepared for additions.
#[derive(Clone, Copy)]
struct Prepared {
    y_plus_x: Field,
    y_minus_x: Field,
    twice_d_x_y: Field,
}

/// The letters are those of the published formulas.
struct Factors {
    e: Field,
    f: Field,
    g: Field,
    h: Field,
}

impl Point {
    /// The point `other`, or in the lanes of `negative` its opposite; Z = 4.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn signed(other: &Prepared, negative: u8) -> Self {
        let y_minus_x = other.y_minus_x.or(negative, &other.y_plus_x);
        let y_plus_x = other.y_plus_x.or(negative, &other.y_minus_x);
        let (twice_x, twice_y) = (y_plus_x.minus(&y_minus_x), y_plus_x.plus(&y_minus_x));
        Self {
            x: twice_x.plus(&twice_x),
            y: twice_y.plus(&twice_y),
            z: Field::splat(FOUR),
            t: twice_x.times(&twice_y),
        }
    }

    /// What the coordinates of the sum with `other`, or in the lanes of `negative` of the difference, are products of.
    #[allow(clippy::many_single_char_names)]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn factors(&self, other: &Prepared, negative: u8) -> Factors {
        let y_minus_x = other.y_minus_x.or(negative, &other.y_plus_x);
        let y_plus_x = other.y_plus_x.or(negative, &other.y_minus_x);
        let a = self.y.minus(&self.x).times(&y_minus_x);
        let b = self.y.plus(&self.x).times(&y_plus_x);
        let c = self.t.times(&other.twice_d_x_y);
        let d = self.z.doubled();
        let (difference, sum) = (d.minus(&c), d.plus(&c));
        let (f, g) = (difference.or(negative, &sum), sum.or(negative, &difference));
        Factors { e: b.minus(&a), f, g, h: b.plus(&a) }
    }

    /// Adds `other`, or in the lanes of `negative` subtracts it.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn plus_signed(&self, other: &Prepared, negative: u8) -> Self {
        let Factors { e, f, g, h } = self.factors(other, negative);
        Self { x: e.times(&f), y: g.times(&h), z: f.times(&g), t: e.times(&h) }
    }

    /// Only the coordinates Y and Z of [`Point::plus_signed`].
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn y_and_z_of_sum(&self, other: &Prepared, negative: u8) -> [Field; 2] {
        let Factors { f, g, h, .. } = self.factors(other, negative);
        [g.times(&h), f.times(&g)]
    }
}

/// Eight entries as lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")]
#[inline]
fn prepared_of(entries: &[&Entry; LANES]) -> Prepared {
    let half = |half: usize| {
        let mut words: [__m512i; 8] = [_mm512_setzero_si512(); 8];
        for (word, entry) in words.iter_mut().zip(entries) {
            let bytes: &[u8; 64] = &entry.as_chunks().0[half];
            // SAFETY: eight words, any alignment.
            *word = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
        }
        transpose(&mut words);
        words
    };
    let [a0, a1, a2, a3, a4, b0, b1, b2] = half(0);
    let [b3, b4, c0, c1, c2, c3, c4, _] = half(1);
    Prepared {
        y_plus_x: Field([a0, a1, a2, a3, a4]),
        y_minus_x: Field([b0, b1, b2, b3, b4]),
        twice_d_x_y: Field([c0, c1, c2, c3, c4]),
    }
}

/// For each state given by its first 64 bytes (two private keys), the X25519 secret that the two share.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")]
pub(super) fn shared_secrets<'a>(count: usize, keys_of: impl Fn(usize) -> &'a [u8; 64]) -> Vec<[u8; 32]> {
    let groups = count.div_ceil(LANES);
    let one = Field::splat(ONE);
    // u = (Z + Y) / (Z - Y): numerators, denominators, and the products of the denominators before each.
    let (mut fractions, mut product) = (Vec::with_capacity(groups), one);
    for group in 0..groups {
        let digits =
            core::array::from_fn(|lane| digits_of_product(keys_of((group * LANES + lane).min(count - 1))));
        let [y, z] = multiple_of_base(&digits);
        let (numerator, denominator) = (z.plus(&y), z.minus(&y));
        fractions.push((numerator, denominator, product));
        product = product.times(&denominator);
    }
    // A clamped key is no multiple of the order, so no point is the identity and no denominator 0.
    let mut inverse = product.inverted();
    let mut secrets = vec![[0; 32]; groups * LANES];
    let places = secrets.as_chunks_mut().0;
    for (place, (numerator, denominator, before)) in places.iter_mut().zip(&fractions).rev() {
        *place = numerator.times(&inverse).times(before).to_bytes();
        inverse = inverse.times(denominator);
    }
    secrets.truncate(count);
    secrets
}

/// The coordinates Y and Z of the base point times each lane's number.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")]
#[inline]
fn multiple_of_base(digits: &[Digits; LANES]) -> [Field; 2] {
    const LAST: usize = DIGITS - 1;
    let table = &*TABLE;
    let entries_of = |place: usize| -> [&Entry; LANES] {
        core::array::from_fn(|lane| table.entry(place, digits[lane][place]))
    };
    // The table is too large for the nearest caches.
    let fetch = |place: usize| {
        if place < DIGITS {
            entries_of(place).into_iter().for_each(prefetch);
        }
    };
    let negative = |place: usize| {
        digits.iter().enumerate().fold(0u8, |mask, (lane, digits)| mask | u8::from(digits[place] < 0) << lane)
    };
    (0..AHEAD).for_each(fetch);
    let mut sum = Point::signed(&prepared_of(&entries_of(0)), negative(0));
    for place in 1..LAST {
        fetch(place + AHEAD - 1);
        sum = sum.plus_signed(&prepared_of(&entries_of(place)), negative(place));
    }
    sum.y_and_z_of_sum(&prepared_of(&entries_of(LAST)), negative(LAST))
}
