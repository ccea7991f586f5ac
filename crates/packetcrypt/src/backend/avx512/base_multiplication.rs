//! Multiples of Curve25519's base point, eight at once: the comb of `base_multiplication`, over the same table.

use core::arch::x86_64::{__m512i, _MM_HINT_T0, _mm_prefetch, _mm512_loadu_si512, _mm512_setzero_si512};

use super::blake2b::transpose;
use super::field::{Field, LANES};
use crate::base_multiplication::{self as plain, DIGITS, MULTIPLES, TABLE, digits_of_product};

const ONE: [u64; 5] = plain::Field::ONE.0;
const FOUR: [u64; 5] = [4, 0, 0, 0, 0];

/// A point of the Edwards curve in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.
#[derive(Clone, Copy)]
struct Point {
    x: Field,
    y: Field,
    z: Field,
    t: Field,
}

/// A point with Z = 1, prepared for additions.
#[derive(Clone, Copy)]
struct Prepared {
    y_plus_x: Field,
    y_minus_x: Field,
    twice_d_x_y: Field,
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

    /// Adds `other`, or in the lanes of `negative` subtracts it. The letters are those of the published formulas.
    #[allow(clippy::many_single_char_names)]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn plus_signed(&self, other: &Prepared, negative: u8) -> Self {
        let y_minus_x = other.y_minus_x.or(negative, &other.y_plus_x);
        let y_plus_x = other.y_plus_x.or(negative, &other.y_minus_x);
        let a = self.y.minus(&self.x).times(&y_minus_x);
        let b = self.y.plus(&self.x).times(&y_plus_x);
        let c = self.t.times(&other.twice_d_x_y);
        let d = self.z.doubled();
        let (difference, sum) = (d.minus(&c), d.plus(&c));
        let e = b.minus(&a);
        let f = difference.or(negative, &sum);
        let g = sum.or(negative, &difference);
        let h = b.plus(&a);
        Self { x: e.times(&f), y: g.times(&h), z: f.times(&g), t: e.times(&h) }
    }
}

/// Eight entries as lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")]
#[inline]
fn prepared_of(entries: &[&plain::Prepared; LANES]) -> Prepared {
    let half = |offset: usize| {
        let mut words: [__m512i; 8] = [_mm512_setzero_si512(); 8];
        for (word, entry) in words.iter_mut().zip(entries) {
            let entry: *const plain::Prepared = *entry;
            // SAFETY: eight of an entry's sixteen words, which stand one behind the other.
            *word = unsafe { _mm512_loadu_si512(entry.cast::<u64>().add(offset).cast()) };
        }
        transpose(&mut words);
        words
    };
    let [a0, a1, a2, a3, a4, b0, b1, b2] = half(0);
    let [b3, b4, c0, c1, c2, c3, c4, _] = half(8);
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
        let point = multiple_of_base(&digits);
        let (numerator, denominator) = (point.z.plus(&point.y), point.z.minus(&point.y));
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

/// The base point times each lane's number.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")]
#[inline]
fn multiple_of_base(digits: &[[i16; DIGITS]; LANES]) -> Point {
    let entries_of = |digit: usize| -> [&plain::Prepared; LANES] {
        let row = &TABLE[digit * MULTIPLES..(digit + 1) * MULTIPLES];
        core::array::from_fn(|lane| &row[usize::from(digits[lane][digit].unsigned_abs())])
    };
    let negative = |digit: usize| {
        digits.iter().enumerate().fold(0u8, |mask, (lane, digits)| mask | u8::from(digits[digit] < 0) << lane)
    };
    let mut sum = Point::signed(&prepared_of(&entries_of(0)), negative(0));
    let mut next = entries_of(1);
    for digit in 1..DIGITS {
        let entries = next;
        if digit + 1 < DIGITS {
            next = entries_of(digit + 1);
            // The table lies in the second cache.
            for lines in next.map(|entry| core::ptr::from_ref(entry).cast::<i8>()) {
                _mm_prefetch::<_MM_HINT_T0>(lines);
                _mm_prefetch::<_MM_HINT_T0>(lines.wrapping_add(64));
            }
        }
        sum = sum.plus_signed(&prepared_of(&entries), negative(digit));
    }
    sum
}
