//! How figures are written for people: short enough to read, the unit beside the number, money never rounded away.

use std::fmt;

use super::super::facts::{Amount, Coin, Moment, Part, Unit};
use super::super::texts::Texts;

/// Between groups of three digits: narrow, and never at the end of a line.
const GROUP: char = '\u{202f}';
/// What stands where nothing is known.
pub const UNKNOWN: &str = "–";

/// A number and what it is counted in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    /// The number.
    pub number: String,
    /// The unit, with its prefix; empty if there is none.
    pub unit: String,
}

impl Quantity {
    fn new(number: impl Into<String>, unit: impl Into<String>) -> Self {
        Self { number: number.into(), unit: unit.into() }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.number)?;
        match self.unit.as_str() {
            "" => Ok(()),
            unit => write!(formatter, "\u{a0}{unit}"),
        }
    }
}

/// What can be shown as a quantity.
pub trait Shown: Copy {
    /// For people.
    fn shown(self, unit: Unit) -> Quantity;
}

impl Shown for f64 {
    fn shown(self, unit: Unit) -> Quantity {
        match unit {
            Unit::EncryptionsPerSecond | Unit::HashesPerSecond => prefixed(self, unit.symbol()),
            Unit::KilobitsPerSecond => prefixed(self * 1000.0, "bit/s"),
            // Digits for as long as they can be read: a prefix alone looks like a unit.
            Unit::Difficulty if self < 1e9 => Quantity::new(significant(self), ""),
            Unit::Difficulty => prefixed(self, ""),
            Unit::Percent => Quantity::new(significant(self), "%"),
            Unit::Seconds => {
                let (number, unit) = duration(self as u64);
                Quantity::new(number.to_string(), unit)
            }
            // What coins there are; of everything else the label says what is counted.
            _ => Quantity::new(
                if self.fract() == 0.0 && self >= 0.0 { grouped(self as u64) } else { significant(self) },
                if matches!(unit, Unit::Pkt | Unit::Nim) { unit.symbol() } else { "" },
            ),
        }
    }
}

impl Shown for u64 {
    fn shown(self, unit: Unit) -> Quantity {
        match unit {
            Unit::Seconds => (self as f64).shown(unit),
            // The label says what is counted.
            Unit::Miners
            | Unit::Connections
            | Unit::Blocks
            | Unit::Shares
            | Unit::Announcements
            | Unit::Payments
            | Unit::Credits => Quantity::new(grouped(self), ""),
            _ => Quantity::new(grouped(self), unit.symbol()),
        }
    }
}

impl Shown for u32 {
    fn shown(self, unit: Unit) -> Quantity {
        u64::from(self).shown(unit)
    }
}

impl Shown for Amount {
    fn shown(self, _: Unit) -> Quantity {
        money(self)
    }
}

/// An amount, with as many decimals as matter: all of them below one coin, four (PKT) or five (NIM) above.
pub fn money(amount: Amount) -> Quantity {
    let exact = amount.coins();
    let (sign, exact) = exact.strip_prefix('-').map_or(("", exact.as_str()), |positive| ("−", positive));
    let (whole, decimals) = exact.split_once('.').unwrap_or((exact, ""));
    let shown = match amount.coin {
        Coin::Pkt if whole != "0" => decimals.get(..4).unwrap_or(decimals).trim_end_matches('0'),
        _ => decimals,
    };
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    let point = if shown.is_empty() { "" } else { "." };
    Quantity::new(format!("{sign}{whole}{point}{shown}"), amount.coin.name())
}

/// An amount that is only estimated: to three digits, so that it does not look exact.
pub fn estimate(amount: Amount) -> Quantity {
    let coins = amount.to_coins();
    let rounded = match coins.abs() {
        size if size >= 1000.0 => {
            let step = 10_f64.powi(size.log10().floor() as i32 - 2);
            (coins / step).round() * step
        }
        _ => coins,
    };
    Quantity::new(significant(rounded), amount.coin.name())
}

/// A part of a whole in percent.
pub fn percent(part: Part) -> Quantity {
    part.percent().shown(Unit::Percent)
}

/// Whole digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(GROUP);
        }
        text.push(digit);
    }
    text
}

/// Three significant digits; whole ones above a thousand.
fn significant(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if size == 0.0 || size >= 99.95 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.01 => 2,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if size >= 999.5 {
        let sign = if value < 0.0 { "−" } else { "" };
        return format!("{sign}{}", grouped(size.round() as u64));
    }
    text.replace('-', "−")
}

fn prefixed(value: f64, unit: &str) -> Quantity {
    const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let (mut value, mut prefix) = (value, 0);
    while value.abs() >= 999.5 && prefix + 1 < PREFIXES.len() {
        value /= 1000.0;
        prefix += 1;
    }
    Quantity::new(significant(value), format!("{}{unit}", PREFIXES[prefix]))
}

/// A length of time in the largest unit of which there are two or more.
pub fn duration(seconds: u64) -> (u64, &'static str) {
    match seconds {
        0..120 => (seconds, "s"),
        120..7200 => (seconds / 60, "min"),
        7200..172_800 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, "d"),
    }
}

/// A length of time that somebody has chosen, exactly: "1 h", "24 h", "10 min".
pub fn span_text(seconds: u64) -> String {
    let (number, unit) = match seconds {
        _ if seconds > 86_400 && seconds.is_multiple_of(86_400) => (seconds / 86_400, "d"),
        _ if seconds > 0 && seconds.is_multiple_of(3600) => (seconds / 3600, "h"),
        _ if seconds > 0 && seconds.is_multiple_of(60) => (seconds / 60, "min"),
        _ => (seconds, "s"),
    };
    format!("{number}\u{a0}{unit}")
}

/// A length of time as text.
pub fn duration_text(seconds: u64) -> String {
    let (number, unit) = duration(seconds);
    format!("{number}\u{a0}{unit}")
}

/// "3 s ago".
pub fn ago(texts: &Texts, moment: Moment, now: Moment) -> String {
    texts.fill("time.ago", &[("time", &duration_text(moment.age_seconds(now)))])
}

/// A moment as machines read it.
pub fn iso(moment: Moment) -> String {
    let time = jiff::Timestamp::from_second(moment.seconds() as i64).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.to_string()
}

/// A moment as people read it.
pub fn date(moment: Moment) -> String {
    let iso = iso(moment);
    let (day, time) = (iso.get(..10).unwrap_or_default(), iso.get(11..16).unwrap_or_default());
    format!("{day} {time} UTC")
}

/// An address or hash with its middle left out.
pub fn shortened(text: &str) -> String {
    let characters: Vec<char> = text.chars().filter(|character| *character != ' ').collect();
    if characters.len() <= 20 {
        return characters.into_iter().collect();
    }
    let (start, end) = (&characters[..10], &characters[characters.len() - 6..]);
    format!("{}…{}", start.iter().collect::<String>(), end.iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_have_three_digits_and_a_prefix() {
        let shown = |value: f64, unit| value.shown(unit).to_string().replace('\u{a0}', " ");
        assert_eq!(shown(0.0, Unit::EncryptionsPerSecond), "0 e/s");
        assert_eq!(shown(12.345, Unit::EncryptionsPerSecond), "12.3 e/s");
        assert_eq!(shown(1_234_567.0, Unit::EncryptionsPerSecond), "1.23 Me/s");
        assert_eq!(shown(999_600.0, Unit::HashesPerSecond), "1 MH/s");
        assert_eq!(shown(1500.0, Unit::KilobitsPerSecond), "1.5 Mbit/s");
        assert_eq!(shown(0.004, Unit::Percent), "0.004 %");
        assert_eq!(shown(123.4, Unit::Percent), "123 %");
        assert_eq!(shown(1_175.4, Unit::Percent), "1\u{202f}175 %");
        assert_eq!(shown(48_213.75, Unit::Difficulty), "48\u{202f}214");
        assert_eq!(shown(4.2e12, Unit::Difficulty), "4.2 T");
    }

    #[test]
    fn what_is_counted_has_no_plural() {
        for unit in [Unit::Blocks, Unit::Shares, Unit::Payments, Unit::Credits, Unit::Miners] {
            assert_eq!(1.0.shown(unit).to_string(), "1", "{unit:?}");
            assert_eq!(1_u64.shown(unit).to_string(), "1", "{unit:?}");
        }
        assert_eq!(0.5.shown(Unit::Nim).to_string(), "0.5\u{a0}NIM");
    }

    #[test]
    fn money_keeps_what_matters() {
        let shown = |amount| money(amount).to_string().replace('\u{a0}', " ");
        assert_eq!(shown(Amount::luna(123_456_789)), "1\u{202f}234.56789 NIM");
        assert_eq!(shown(Amount::luna(-50_000)), "−0.5 NIM");
        assert_eq!(shown(Amount::pkt_units((5 << 30) + 7)), "5 PKT");
        assert_eq!(shown(Amount::pkt_units(3)), "0.000000002 PKT");
        assert_eq!(shown(Amount::pkt_units(0)), "0 PKT");
        assert_eq!(estimate(Amount::luna(123_456_789)).number, "1\u{202f}230");
        assert_eq!(estimate(Amount::luna(10_266_343_100_000)).number, "103\u{202f}000\u{202f}000");
        assert_eq!(estimate(Amount::luna(0)).number, "0");
        assert_eq!(estimate(Amount::luna(123_456)).number, "1.23");
    }

    #[test]
    fn times_are_in_the_unit_that_one_would_say() {
        assert_eq!(duration(119), (119, "s"));
        assert_eq!(duration(600), (10, "min"));
        assert_eq!(duration(86_400), (24, "h"));
        assert_eq!(duration(604_800), (7, "d"));
        let spans =
            [60, 600, 3600, 86_400, 604_800, 90].map(span_text).map(|text| text.replace('\u{a0}', " "));
        assert_eq!(spans, ["1 min", "10 min", "1 h", "24 h", "7 d", "90 s"]);
        assert_eq!(date(Moment(1_700_000_000_000)), "2023-11-14 22:13 UTC");
        assert_eq!(ago(&Texts::default(), Moment(1000), Moment(4000)), "3\u{a0}s ago");
    }

    #[test]
    fn long_addresses_show_both_ends() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened("NQ76 2NH6 LDHV UJ2C MATR VLDH J5TG JGQA CNQ9"), "NQ762NH6LD…QACNQ9");
    }
}
