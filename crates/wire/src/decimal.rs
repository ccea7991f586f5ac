//! Decimal numbers, kept exactly as they are written.
//!
//! A difficulty, a fee or a constant decides money. Through a double the same text could give two programs two
//! numbers; as mantissa and power of ten it cannot (`docs/protocol/packetcrypt-pool.md` 11.10).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

/// An exact decimal number: `mantissa · 10^exponent`.
///
/// Always in lowest terms (the mantissa does not end in a zero digit, and zero is `0 · 10^0`), so equal
/// numbers are equal values. Bounds: 30 significant digits, and an exponent from
/// [`MIN_EXPONENT`](Self::MIN_EXPONENT) to [`MAX_EXPONENT`](Self::MAX_EXPONENT), which holds every double as
/// programs print it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Decimal {
    negative: bool,
    mantissa: u128,
    exponent: i16,
}

/// Why a text is no [`Decimal`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecimalFault {
    /// It is not spelt as JSON spells numbers.
    #[error("a decimal number is spelt like 12, -0.5 or 1.5e-7, not {0:?}")]
    Spelling(String),
    /// More significant digits than any program of the field writes.
    #[error("a decimal number has at most {limit} significant digits", limit = Decimal::MAX_DIGITS)]
    TooManyDigits,
    /// Too far from 1 to mean anything.
    #[error(
        "the last digit of a decimal number must lie between 10^{least} and 10^{greatest}",
        least = Decimal::MIN_EXPONENT, greatest = Decimal::MAX_EXPONENT
    )]
    OutOfRange,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { negative: false, mantissa: 0, exponent: 0 };
    /// One.
    pub const ONE: Self = Self { negative: false, mantissa: 1, exponent: 0 };
    /// Significant digits at most.
    pub const MAX_DIGITS: usize = 30;
    /// The least power of ten.
    pub const MIN_EXPONENT: i16 = -400;
    /// The greatest power of ten.
    pub const MAX_EXPONENT: i16 = 400;

    /// `mantissa · 10^exponent`, not negative.
    pub fn new(mantissa: u128, exponent: i16) -> Result<Self, DecimalFault> {
        Self::from_parts(false, mantissa, i32::from(exponent))
    }

    /// The whole number `value`.
    pub fn from_u64(value: u64) -> Self {
        // At most 20 digits and a small exponent: within the bounds.
        Self::from_parts(false, u128::from(value), 0).unwrap_or_default()
    }

    /// The double nearest to what is wanted, for figures that are only looked at. `None` if it is not finite
    /// or outside the bounds.
    pub fn from_f64(value: f64) -> Option<Self> {
        value.is_finite().then(|| format!("{value:e}").parse().ok()).flatten()
    }

    /// The digits, without sign: the number is this times ten to the power of [`exponent`](Self::exponent).
    pub fn mantissa(&self) -> u128 {
        self.mantissa
    }

    /// The power of ten that the mantissa is multiplied with.
    pub fn exponent(&self) -> i16 {
        self.exponent
    }

    /// Whether the number is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether the number is zero.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// Whether the number is above zero.
    pub fn is_positive(&self) -> bool {
        !self.negative && self.mantissa != 0
    }

    /// The largest whole number not above this one, at most `u128::MAX`; 0 for a negative one.
    pub fn floor_saturating(&self) -> u128 {
        if self.negative {
            return 0;
        }
        let power = 10u128.checked_pow(u32::from(self.exponent.unsigned_abs()));
        match (self.exponent >= 0, power) {
            (true, Some(power)) => self.mantissa.saturating_mul(power),
            (true, None) if self.mantissa == 0 => 0,
            (true, None) => u128::MAX,
            (false, Some(power)) => self.mantissa / power,
            (false, None) => 0,
        }
    }

    /// The nearest double, for figures that are only looked at.
    pub fn to_f64(&self) -> f64 {
        let magnitude = format!("{}e{}", self.mantissa, self.exponent).parse().unwrap_or(f64::INFINITY);
        if self.negative { -magnitude } else { magnitude }
    }

    fn from_parts(negative: bool, mut mantissa: u128, mut exponent: i32) -> Result<Self, DecimalFault> {
        if mantissa == 0 {
            return Ok(Self::ZERO);
        }
        while mantissa.is_multiple_of(10) {
            mantissa /= 10;
            exponent += 1;
        }
        if mantissa >= 10u128.pow(Self::MAX_DIGITS as u32) {
            return Err(DecimalFault::TooManyDigits);
        }
        let exponent = i16::try_from(exponent)
            .ok()
            .filter(|exponent| (Self::MIN_EXPONENT..=Self::MAX_EXPONENT).contains(exponent))
            .ok_or(DecimalFault::OutOfRange)?;
        Ok(Self { negative, mantissa, exponent })
    }
}

impl FromStr for Decimal {
    type Err = DecimalFault;

    /// Reads what JSON calls a number: `12`, `-0.5`, `1.5e-7`.
    fn from_str(text: &str) -> Result<Self, DecimalFault> {
        let spelling = || DecimalFault::Spelling(text.chars().take(40).collect());
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (digits, power) = match rest.split_once(['e', 'E']) {
            Some((digits, power)) => (digits, parse_power(power).ok_or_else(spelling)?),
            None => (rest, 0),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(spelling()),
            None => (digits, ""),
        };
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return Err(spelling());
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0').trim_end_matches('0');
        if significant.len() > Self::MAX_DIGITS {
            return Err(DecimalFault::TooManyDigits);
        }
        let mantissa =
            if significant.is_empty() { 0 } else { significant.parse().map_err(|_| spelling())? };
        let zeros_behind = all.len() - all.trim_end_matches('0').len();
        let shift = |count: usize| i32::try_from(count).map_err(|_| DecimalFault::OutOfRange);
        let exponent = power.saturating_sub(shift(fraction.len())?).saturating_add(shift(zeros_behind)?);
        Self::from_parts(negative, mantissa, exponent)
    }
}

/// The number behind the `e`: a sign or none, and at least one digit. Absurdly great ones are cut to a
/// million, which is out of range as well.
fn parse_power(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let power = digits.parse::<i32>().unwrap_or(i32::MAX).min(1_000_000);
    Some(if text.starts_with('-') { -power } else { power })
}

impl fmt::Display for Decimal {
    /// Without exponent as long as that stays readable: `0.000000000001`, `16.00022889`; `1e+30` beyond.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            formatter.write_str("-")?;
        }
        let digits = self.mantissa.to_string();
        let places = usize::from(self.exponent.unsigned_abs());
        match self.exponent {
            0 => formatter.write_str(&digits),
            1..=24 => write!(formatter, "{digits}{}", "0".repeat(places)),
            -40..0 if digits.len() > places => {
                let (whole, fraction) = digits.split_at(digits.len() - places);
                write!(formatter, "{whole}.{fraction}")
            }
            -40..0 => write!(formatter, "0.{}{digits}", "0".repeat(places - digits.len())),
            _ => write!(formatter, "{digits}e{:+}", self.exponent),
        }
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::Number::from_str(&self.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Numbers keep their text here: the workspace builds serde_json with `arbitrary_precision`.
        serde_json::Number::deserialize(deserializer)?.as_str().parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_difficulty_is_not_rounded() {
        let difficulty = decimal("16.00022889");
        assert_eq!((difficulty.mantissa(), difficulty.exponent()), (1_600_022_889, -8));
        let longer_than_a_double = decimal("0.1234567890123456789012345");
        assert_eq!(longer_than_a_double.to_string(), "0.1234567890123456789012345");
    }

    #[test]
    fn equal_numbers_are_equal_however_written() {
        for text in ["1500", "1500.0", "1.5e3", "1.5E+3", "15e2", "150000e-2"] {
            assert_eq!(decimal(text), Decimal::new(15, 2).unwrap(), "{text}");
        }
        for text in ["0", "-0", "0.000", "0e99999999999999"] {
            assert_eq!(decimal(text), Decimal::ZERO, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".5", "5.", "1e", "1e+", "+1", "0x10", "1 ", "NaN", "Infinity", "1_000", "١"] {
            assert!(matches!(text.parse::<Decimal>(), Err(DecimalFault::Spelling(_))), "{text}");
        }
        assert_eq!("1".repeat(31).parse::<Decimal>(), Err(DecimalFault::TooManyDigits));
        assert_eq!("1e401".parse::<Decimal>(), Err(DecimalFault::OutOfRange));
        assert_eq!("1e-99999999999".parse::<Decimal>(), Err(DecimalFault::OutOfRange));
    }

    #[test]
    fn floor_of_great_small_and_negative_numbers() {
        for (text, floor) in
            [("2.9", 2), ("1e3", 1000), ("0.999", 0), ("-5", 0), ("1e-300", 0), ("1e300", u128::MAX)]
        {
            assert_eq!(decimal(text).floor_saturating(), floor, "{text}");
        }
    }

    #[test]
    fn json_keeps_every_digit() {
        let text = "[0.000000000001,6.02e-7,12345678901234567890.123456789,1e+30]";
        let numbers: Vec<Decimal> = serde_json::from_str(text).unwrap();
        let again = serde_json::to_string(&numbers).unwrap();
        assert_eq!(again, "[0.000000000001,0.000000602,12345678901234567890.123456789,1e+30]");
    }

    proptest! {
        #[test]
        fn text_round_trip(mantissa in 0..10u128.pow(30), exponent in -300i16..300, negative: bool) {
            let number = Decimal::from_parts(negative, mantissa, i32::from(exponent)).unwrap();
            prop_assert_eq!(number.to_string().parse::<Decimal>().unwrap(), number);
        }

        #[test]
        fn every_double_can_be_read(value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO) {
            let number = decimal(&value.to_string());
            prop_assert_eq!(number.to_f64().to_bits() << 1, value.to_bits() << 1);
        }

        #[test]
        fn any_text_is_answered(text: String) {
            let _ = text.parse::<Decimal>();
        }
    }
}
