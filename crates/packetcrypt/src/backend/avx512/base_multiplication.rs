//! Multiples of Curve25519's base point, eight at once: a comb over 32 signed digits of eight bits.
//!
//! CC_SMUL multiplies the base point by the product of two known numbers (`State::multiply_scalars` says why one
//! multiplication is enough). Nothing is secret, so digits index the table directly. The product modulo the
//! order is written with digits -128..=127; digit `i` selects a multiple of `256^i · B` from the table, and the
//! 32 points are added up: 32 mixed additions of seven multiplications, then one inversion for the whole batch.

use core::arch::x86_64::{__m512i, _mm512_loadu_si512, _mm512_setzero_si512};
use std::sync::LazyLock;

use curve25519_dalek::Scalar;
use curve25519_dalek::scalar::clamp_integer;

use super::field::{Field, LANES};
use super::poly1305::transpose;
use crate::backend::states::BATCH;

const DIGITS: usize = 32;
/// Multiples of each power of 256 in the table: 0 to 128.
const MULTIPLES: usize = 129;

/// The base point's coordinates.
const BASE_X: [u64; 5] = [
    1_738_742_601_995_546,
    1_146_398_526_822_698,
    2_070_867_633_025_821,
    562_264_141_797_630,
    587_772_402_128_613,
];
const BASE_Y: [u64; 5] = [
    1_801_439_850_948_184,
    1_351_079_888_211_148,
    450_359_962_737_049,
    900_719_925_474_099,
    1_801_439_850_948_198,
];
/// 2·d, where d = -121665/121666.
const TWICE_D: [u64; 5] = [
    1_859_910_466_990_425,
    932_731_440_258_426,
    1_072_319_116_312_658,
    1_815_898_335_770_999,
    633_789_495_995_903,
];
const ONE: [u64; 5] = [1, 0, 0, 0, 0];
const ZERO: [u64; 5] = [0; 5];

/// A table entry: limbs of y + x, of y - x and of 2dxy, and a word that only fills two registers.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Entry([u64; 16]);

/// `table[i * MULTIPLES + k]` is `k · 256^i · B`.
static TABLE: LazyLock<Box<[Entry]>> = LazyLock::new(|| {
    // SAFETY: only this backend uses the table, and it runs only where the processor has these features.
    unsafe { build_table() }
});

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
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn identity() -> Self {
        let (zero, one) = (Field::splat(ZERO), Field::splat(ONE));
        Self { x: zero, y: one, z: one, t: zero }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn plus(&self, other: &Prepared) -> Self {
        self.plus_signed(other, 0)
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
        let d = self.z.plus(&self.z);
        let (difference, sum) = (d.minus(&c), d.plus(&c));
        let e = b.minus(&a);
        let f = difference.or(negative, &sum);
        let g = sum.or(negative, &difference);
        let h = b.plus(&a);
        Self { x: e.times(&f), y: g.times(&h), z: f.times(&g), t: e.times(&h) }
    }

    /// Twice the point. The letters are those of the published formulas.
    #[allow(clippy::many_single_char_names)]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn doubled(&self) -> Self {
        let a = self.x.squared();
        let b = self.y.squared();
        let z_squared = self.z.squared();
        let h = a.plus(&b);
        let e = h.minus(&self.x.plus(&self.y).squared());
        let g = a.minus(&b);
        let f = z_squared.plus(&z_squared).plus(&g);
        Self { x: e.times(&f), y: g.times(&h), z: f.times(&g), t: e.times(&h) }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn prepared(&self) -> Prepared {
        let inverse = self.z.inverted();
        let (x, y) = (self.x.times(&inverse), self.y.times(&inverse));
        Prepared {
            y_plus_x: y.plus(&x),
            y_minus_x: y.minus(&x),
            twice_d_x_y: x.times(&y).times(&Field::splat(TWICE_D)),
        }
    }
}

/// Builds the table: row by row, the powers in all lanes alike, the multiples eight rows at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")]
fn build_table() -> Box<[Entry]> {
    let (x, y) = (Field::splat(BASE_X), Field::splat(BASE_Y));
    let mut power = Point { x, y, z: Field::splat(ONE), t: x.times(&y) };
    let mut rows = [Entry([0; 16]); DIGITS];
    for row in &mut rows {
        store(&power.prepared(), core::slice::from_mut(row), 1);
        for _ in 0..8 {
            power = power.doubled();
        }
    }
    let mut table = vec![Entry([0; 16]); DIGITS * MULTIPLES].into_boxed_slice();
    for (first, rows) in rows.chunks_exact(LANES).enumerate() {
        let base = prepared_of(&core::array::from_fn(|lane| &rows[lane]));
        let mut multiple = Point::identity();
        for k in 0..MULTIPLES {
            store(&multiple.prepared(), &mut table[first * LANES * MULTIPLES + k..], MULTIPLES);
            multiple = multiple.plus(&base);
        }
    }
    table
}

/// Writes lane `l` of `point` to `entries[l * stride]`, for as many lanes as there are entries.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn store(point: &Prepared, entries: &mut [Entry], stride: usize) {
    let numbers = [point.y_plus_x.lanes(), point.y_minus_x.lanes(), point.twice_d_x_y.lanes()];
    for (lane, entry) in entries.iter_mut().step_by(stride).take(LANES).enumerate() {
        for (number, limbs) in numbers.iter().enumerate() {
            for (limb, lanes) in limbs.iter().enumerate() {
                entry.0[5 * number + limb] = lanes[lane];
            }
        }
    }
}

/// Eight entries as lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")]
#[inline]
fn prepared_of(entries: &[&Entry; LANES]) -> Prepared {
    let half = |offset: usize| {
        let mut words: [__m512i; 8] = [_mm512_setzero_si512(); 8];
        for (word, entry) in words.iter_mut().zip(entries) {
            // SAFETY: eight of an entry's sixteen words.
            *word = unsafe { _mm512_loadu_si512(entry.0[offset..offset + 8].as_ptr().cast()) };
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

/// The digits of the product of two clamped private keys, least significant first, -128..=127 each.
fn digits_of_product(ours: &[u8; 32], theirs: &[u8; 32]) -> [i16; DIGITS] {
    let product = Scalar::from_bytes_mod_order(clamp_integer(*ours))
        * Scalar::from_bytes_mod_order(clamp_integer(*theirs));
    let mut carry = 0;
    product.to_bytes().map(|byte| {
        let digit = i16::from(byte) + carry;
        carry = i16::from(digit > 127);
        digit - 256 * carry
    })
}

/// For each state given by its first 64 bytes (two private keys), the X25519 secret that the two share.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")]
pub(super) fn shared_secrets<'a>(count: usize, keys_of: impl Fn(usize) -> &'a [u8; 64]) -> [[u8; 32]; BATCH] {
    let groups = count.div_ceil(LANES);
    let one = Field::splat(ONE);
    // u = (Z + Y) / (Z - Y): numerators, denominators, and the products of the denominators before each.
    let mut numerators = [one; BATCH / LANES];
    let mut denominators = [one; BATCH / LANES];
    let mut products = [one; BATCH / LANES];
    let mut product = one;
    for group in 0..groups {
        let digits = core::array::from_fn(|lane| {
            let keys = keys_of((group * LANES + lane).min(count - 1));
            let (ours, theirs) = keys.split_at(32);
            digits_of_product(ours.try_into().expect("32 bytes"), theirs.try_into().expect("32 bytes"))
        });
        let point = multiple_of_base(&digits);
        numerators[group] = point.z.plus(&point.y);
        denominators[group] = point.z.minus(&point.y);
        products[group] = product;
        product = product.times(&denominators[group]);
    }
    // A clamped key is no multiple of the order, so no point is the identity and no denominator 0.
    let mut inverse = product.inverted();
    let mut secrets = [[0; 32]; BATCH];
    for group in (0..groups).rev() {
        let u = numerators[group].times(&inverse).times(&products[group]);
        inverse = inverse.times(&denominators[group]);
        secrets[group * LANES..(group + 1) * LANES].copy_from_slice(&u.to_bytes());
    }
    secrets
}

/// The base point times each lane's number.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")]
#[inline]
fn multiple_of_base(digits: &[[i16; DIGITS]; LANES]) -> Point {
    let table = &**TABLE;
    let mut sum = Point::identity();
    for (digit, row) in table.chunks_exact(MULTIPLES).enumerate() {
        let entries = core::array::from_fn(|lane| &row[usize::from(digits[lane][digit].unsigned_abs())]);
        let negative = (0..LANES).fold(0u8, |mask, lane| mask | u8::from(digits[lane][digit] < 0) << lane);
        sum = sum.plus_signed(&prepared_of(&entries), negative);
    }
    sum
}
