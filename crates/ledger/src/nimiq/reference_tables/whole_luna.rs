//! Amounts as the reference's DOUBLE columns are written out: decimal, perhaps with a fraction or an exponent. They are
//! read as they stand, never through floating point.

use super::MOST_LUNA;

/// The amount, if it is a whole number of luna from 0 to 2^53: `440597534`, `440597534.0`, `4.4e8`.
pub(super) fn whole_luna(text: &str) -> Option<i64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = !(whole.is_empty() && fraction.is_empty())
        && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if !is_number {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // How many zeros follow the significant digits; less than none is a fraction.
    let zeros = i64::from(exponent) - fraction.len() as i64 + (digits.len() - significant.len()) as i64;
    let zeros = u32::try_from(zeros).ok()?;
    let amount = significant.parse::<i64>().ok()?.checked_mul(10i64.checked_pow(zeros)?)?;
    (amount <= MOST_LUNA).then_some(amount)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_whole_is_read_as_it_stands() {
        for (text, amount) in [
            ("0", 0),
            ("0.0", 0),
            ("-0", -1),
            ("440597534", 440_597_534),
            ("440597534.000", 440_597_534),
            ("1e15", 1_000_000_000_000_000),
            ("4.40597534E8", 440_597_534),
            ("120e-1", 12),
            (".5e+1", 5),
            ("9007199254740992", MOST_LUNA),
            ("9007199254740993", -1),
            ("1.5", -1),
            ("1e-1", -1),
            ("1e400", -1),
            ("1e99999999999", -1),
            ("-5", -1),
            ("", -1),
            (".", -1),
            ("1e", -1),
            ("nan", -1),
            ("0x10", -1),
            ("1 2", -1),
        ] {
            assert_eq!(whole_luna(text), (amount >= 0).then_some(amount), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_way_to_write_an_amount_is_read(amount in 0..=MOST_LUNA) {
            prop_assert_eq!(whole_luna(&amount.to_string()), Some(amount));
            prop_assert_eq!(whole_luna(&format!("{:e}", amount as f64)), Some(amount));
            prop_assert_eq!(whole_luna(&format!("{}", amount as f64)), Some(amount));
            prop_assert_eq!(whole_luna(&format!("{amount}.5")), None);
        }

        #[test]
        fn any_text_is_an_amount_or_is_not(text in ".{0,40}") {
            whole_luna(&text);
        }
    }
}
