//! Decimal numbers as the peers calculate with them: exact, except that a division is rounded to ten places.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.3 and 2.4. Difficulties are such numbers, and consensus depends on their last
//! digit.

use std::fmt;
use std::str::FromStr;

use ruint::Uint;

use byte_reader::excerpt;

/// Large enough for every intermediate of the chain's arithmetic.
pub type Number = Uint<512, 8>;

/// Places behind the point that are kept: ten of a division, and seventeen more of a factor in its shortest form.
const PLACES: usize = 30;

/// 10^30, in limbs of 64 bits, the lowest first.
const UNIT: Number = Number::from_limbs([0x4674_edea_4000_0000, 0xc_9f2c_9cd0, 0, 0, 0, 0, 0, 0]);

/// A division is rounded to ten places: 10^10.
const DIVISION_UNIT: Number = Number::from_limbs([10_000_000_000, 0, 0, 0, 0, 0, 0, 0]);

/// The most bits of the whole part, so that it fits with its places, and divided.
const LARGEST_BITS: usize = 300;

/// The longest text that is read.
const LONGEST_TEXT: usize = 200;

/// A decimal number, never negative, with up to thirty places behind the point.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(Number);

/// Why a text is no decimal number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a decimal number below 2^{LARGEST_BITS} with at most {PLACES} places, not \"{found}\"")]
pub struct ParseDecimalError {
    /// The text, cut to a readable length.
    pub found: String,
}

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self(Number::ZERO);

    /// One.
    pub const ONE: Self = Self(UNIT);

    /// From a whole number; `None` where it is too large.
    pub fn from_number(number: Number) -> Option<Self> {
        (number.bit_len() <= LARGEST_BITS).then(|| Self(number * UNIT))
    }

    /// From a whole number.
    pub fn from_u64(number: u64) -> Self {
        Self(Number::from(number) * UNIT)
    }

    /// The number without its places.
    pub fn whole(&self) -> Number {
        self.0 / UNIT
    }

    /// The sum, unless it is too large.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(Self::bounded)
    }

    /// The difference, unless `other` is larger.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The product, cut to thirty places, unless it is too large.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        self.0.checked_mul(other.0).map(|product| product / UNIT).and_then(Self::bounded)
    }

    /// The quotient, rounded half up to ten places, unless `other` is zero or the quotient is too large.
    pub fn checked_div(self, other: Self) -> Option<Self> {
        let two = Number::from(2);
        let doubled = self.0.checked_mul(DIVISION_UNIT)?.checked_mul(two)?;
        let rounded = doubled.checked_add(other.0)?.checked_div(other.0.checked_mul(two)?)?;
        rounded.checked_mul(UNIT / DIVISION_UNIT).and_then(Self::bounded)
    }

    /// The nearest double, ties to even.
    pub fn to_f64(self) -> f64 {
        // The parser of the standard library rounds correctly, whatever the length.
        self.to_string().parse().unwrap_or(f64::INFINITY)
    }

    /// A double as its shortest decimal form; `None` for what is not finite, negative or too large.
    pub fn from_f64(number: f64) -> Option<Self> {
        number.to_string().parse().ok()
    }

    fn bounded(units: Number) -> Option<Self> {
        (units / UNIT).bit_len().le(&LARGEST_BITS).then_some(Self(units))
    }

    /// From digits without a point, of which the last `places` stand behind it.
    fn from_digits(digits: &str, places: i64) -> Option<Self> {
        let digits = digits.trim_start_matches('0');
        let shift = PLACES as i64 - places;
        let (kept, zeros) = if let Ok(zeros) = usize::try_from(shift) {
            (digits, zeros)
        } else {
            let dropped = usize::try_from(-shift).ok()?.min(digits.len());
            let (kept, rest) = digits.split_at(digits.len() - dropped);
            (rest.bytes().all(|digit| digit == b'0')).then_some((kept, 0))?
        };
        if kept.is_empty() {
            return Some(Self::ZERO);
        }
        let power = Number::from(10).checked_pow(Number::from(zeros))?;
        Number::from_str_radix(kept, 10).ok()?.checked_mul(power).and_then(Self::bounded)
    }
}

/// Reads `12`, `12.5` and `1.25e+1`.
impl FromStr for Decimal {
    type Err = ParseDecimalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (mantissa, exponent) = match text.split_once(['e', 'E']) {
                Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().ok()?),
                None => (text, 0),
            };
            let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
            let digits = format!("{whole}{part}");
            let is_number = !whole.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
            is_number.then_some(())?;
            Self::from_digits(&digits, part.len() as i64 - i64::from(exponent))
        };
        let short = text.len() <= LONGEST_TEXT;
        short.then(read).flatten().ok_or_else(|| ParseDecimalError { found: excerpt(text) })
    }
}

/// Plain digits, without zeros at the end.
impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / UNIT, self.0 % UNIT);
        if part == Number::ZERO {
            return write!(formatter, "{whole}");
        }
        let places = format!("{:0>PLACES$}", part.to_string());
        write!(formatter, "{whole}.{}", places.trim_end_matches('0'))
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Decimal({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn the_units_are_powers_of_ten() {
        assert_eq!(UNIT, Number::from(10).pow(Number::from(PLACES)));
        assert_eq!(DIVISION_UNIT, Number::from(10).pow(Number::from(10)));
    }

    #[test]
    fn a_division_is_rounded_half_up_to_ten_places() {
        assert_eq!(decimal("1").checked_div(decimal("3")), Some(decimal("0.3333333333")));
        assert_eq!(decimal("2").checked_div(decimal("3")), Some(decimal("0.6666666667")));
        assert_eq!(decimal("0.0000000001").checked_div(decimal("2")), Some(decimal("0.0000000001")));
        assert_eq!(decimal("1").checked_div(Decimal::ZERO), None);
    }

    #[test]
    fn exponents_are_read() {
        assert_eq!(decimal("1.25e+1"), decimal("12.5"));
        assert_eq!(decimal("1e-9"), decimal("0.000000001"));
        assert_eq!(decimal("12.50").to_string(), "12.5");
        for wrong in ["", ".", ".5", "-1", "+1", "1e", "1e99999", "1e400", "1e-31", "0x1", "1.2.3", "١"] {
            assert!(wrong.parse::<Decimal>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_too_large_is_none() {
        let largest = Decimal::from_number(Number::MAX >> (512 - LARGEST_BITS)).unwrap();
        assert_eq!(largest.checked_add(Decimal::ONE), None);
        assert_eq!(largest.checked_mul(largest), None);
        assert_eq!(largest.checked_div(decimal("0.0000000001")), None);
        assert_eq!(Decimal::ONE.checked_sub(largest), None);
        assert_eq!(Decimal::from_f64(f64::NAN), None);
        assert_eq!(Decimal::from_f64(-1.0), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read(whole: u64, part in 0u64..10_000_000_000) {
            let text = format!("{whole}.{part:010}");
            let value = decimal(&text);
            prop_assert_eq!(decimal(&value.to_string()), value);
            prop_assert_eq!(value.to_f64().to_bits(), text.parse::<f64>().unwrap().to_bits());
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9.eE+-]{0,40}") {
            if let Ok(value) = text.parse::<Decimal>() {
                prop_assert_eq!(value.to_f64().to_bits(), text.parse::<f64>().unwrap().to_bits());
            }
        }
    }
}
