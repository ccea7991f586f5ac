//! Multiples of Curve25519's base point, four at once: the comb of `base_multiplication`, over the same table.

use core::arch::x86_64::{__m256i, _mm256_loadu_si256, _mm256_set_epi64x, _mm256_setzero_si256};

use super::field::{Field, LANES};
use super::poly1305::transposed;
use crate::backend::states::BATCH;
use crate::base_multiplication::{self as plain, DIGITS, MULTIPLES, TABLE, digits_of_product, u_coordinates};

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
    #[target_feature(enable = "avx2")]
    #[inline]
    fn identity() -> Self {
        let (zero, one) = (Field::splat(plain::Field::ZERO), Field::splat(plain::Field::ONE));
        Self { x: zero, y: one, z: one, t: zero }
    }

    /// Adds `other`, or in the lanes of `negative` subtracts it. The letters are those of the published formulas. The
    /// order of operands matters: a difference of a sum has to come first (see [`Field`]).
    #[allow(clippy::many_single_char_names)]
    #[target_feature(enable = "avx2")]
    #[inline]
    fn plus_signed(&self, other: &Prepared, negative: __m256i) -> Self {
        let y_minus_x = other.y_minus_x.or(negative, &other.y_plus_x);
        let y_plus_x = other.y_plus_x.or(negative, &other.y_minus_x);
        let a = self.y.minus(&self.x).times(&y_minus_x);
        let b = self.y.plus(&self.x).times(&y_plus_x);
        let c = self.t.times(&other.twice_d_x_y);
        let d = self.z.plus(&self.z);
        let (difference, sum) = (d.minus(&c), d.plus(&c));
        let e = b.minus(&a);
        let f = difference.or(negative, &sum);
        let g = sum.or(negative, &difference);
        let h = b.plus(&a);
        Self { x: f.times(&e), y: g.times(&h), z: difference.times(&sum), t: e.times(&h) }
    }
}

/// Four entries as lanes.
#[target_feature(enable = "avx2")]
#[inline]
fn prepared_of(entries: [&plain::Prepared; LANES]) -> Prepared {
    let quarter = |offset: usize| {
        let mut words = [_mm256_setzero_si256(); LANES];
        for (word, entry) in words.iter_mut().zip(entries) {
            let entry: *const plain::Prepared = entry;
            // SAFETY: four of an entry's sixteen words, which stand one behind the other.
            *word = unsafe { _mm256_loadu_si256(entry.cast::<u64>().add(offset).cast()) };
        }
        transposed(words)
    };
    let ([a0, a1, a2, a3], [a4, b0, b1, b2]) = (quarter(0), quarter(4));
    let ([b3, b4, c0, c1], [c2, c3, c4, _]) = (quarter(8), quarter(12));
    Prepared {
        y_plus_x: Field::from_limbs_of_51([a0, a1, a2, a3, a4]),
        y_minus_x: Field::from_limbs_of_51([b0, b1, b2, b3, b4]),
        twice_d_x_y: Field::from_limbs_of_51([c0, c1, c2, c3, c4]),
    }
}

/// For each state given by its first 64 bytes (two private keys), the X25519 secret that the two share.
#[target_feature(enable = "avx2")]
pub(super) fn shared_secrets<'a>(count: usize, keys_of: impl Fn(usize) -> &'a [u8; 64]) -> [[u8; 32]; BATCH] {
    let mut points = [[plain::Field::ONE; 2]; BATCH];
    for (group, points) in points.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        if group * LANES >= count {
            break;
        }
        // Lanes without a state repeat the last one.
        let digits =
            core::array::from_fn(|lane| digits_of_product(keys_of((group * LANES + lane).min(count - 1))));
        let point = multiple_of_base(&digits);
        for (place, (y, z)) in points.iter_mut().zip(point.y.lanes().into_iter().zip(point.z.lanes())) {
            *place = [y, z];
        }
    }
    u_coordinates(&points[..count])
}

/// The base point times each lane's number.
#[target_feature(enable = "avx2")]
#[inline]
fn multiple_of_base(digits: &[[i16; DIGITS]; LANES]) -> Point {
    let mut sum = Point::identity();
    for (digit, row) in TABLE.as_chunks::<MULTIPLES>().0.iter().enumerate() {
        let [d0, d1, d2, d3] = digits.map(|digits| digits[digit]);
        let entries = [d0, d1, d2, d3].map(|digit| &row[usize::from(digit.unsigned_abs())]);
        let sign = |digit: i16| i64::from(digit >> 15);
        let negative = _mm256_set_epi64x(sign(d3), sign(d2), sign(d1), sign(d0));
        sum = sum.plus_signed(&prepared_of(entries), negative);
    }
    sum
}
