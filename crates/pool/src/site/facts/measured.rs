//! A figure with its unit, its window and its age; money and moments.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A figure. `value` is `None` as long as it is not known: that is never the same as 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Measured<T> {
    /// The figure; `None`: not known.
    pub value: Option<T>,
    /// What it is counted in.
    pub unit: Unit,
    /// Length of the time that it was measured over, in seconds; `None`: it is of one moment.
    pub window_seconds: Option<u64>,
    /// The moment, or the end of the window.
    pub as_of: Moment,
}

impl<T> Measured<T> {
    /// What is so at one moment.
    pub fn at(value: impl Into<Option<T>>, unit: Unit, as_of: Moment) -> Self {
        Self { value: value.into(), unit, window_seconds: None, as_of }
    }

    /// What was measured over the last `window_seconds`.
    pub fn over(value: impl Into<Option<T>>, unit: Unit, window_seconds: u64, as_of: Moment) -> Self {
        Self { value: value.into(), unit, window_seconds: Some(window_seconds), as_of }
    }

    /// The same with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Measured<U> {
        Measured {
            value: self.value.map(change),
            unit: self.unit,
            window_seconds: self.window_seconds,
            as_of: self.as_of,
        }
    }
}

/// What a figure is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Unit {
    /// Encryptions per second: work of PacketCrypt.
    #[serde(rename = "e/s")]
    EncryptionsPerSecond,
    /// Hashes per second: work of Nimiq.
    #[serde(rename = "H/s")]
    HashesPerSecond,
    /// Bandwidth: thousands of bits per second.
    #[serde(rename = "kbit/s")]
    KilobitsPerSecond,
    /// Addresses that mine.
    #[serde(rename = "miners")]
    Miners,
    /// Open connections.
    #[serde(rename = "connections")]
    Connections,
    /// Announcements.
    #[serde(rename = "announcements")]
    Announcements,
    /// Shares.
    #[serde(rename = "shares")]
    Shares,
    /// Blocks.
    #[serde(rename = "blocks")]
    Blocks,
    /// Payments.
    #[serde(rename = "payments")]
    Payments,
    /// Times the difficulty of the easiest block.
    #[serde(rename = "difficulty")]
    Difficulty,
    /// Hundredths of a whole that the figure's description names.
    #[serde(rename = "%")]
    Percent,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Credits of the PPLNS windows, each worth one block's reward divided by the window.
    #[serde(rename = "credits")]
    Credits,
    /// Coins of PacketCrypt.
    #[serde(rename = "PKT")]
    Pkt,
    /// Coins of Nimiq.
    #[serde(rename = "NIM")]
    Nim,
}

impl Unit {
    /// As it is written behind a number.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::EncryptionsPerSecond => "e/s",
            Self::HashesPerSecond => "H/s",
            Self::KilobitsPerSecond => "kbit/s",
            Self::Miners => "miners",
            Self::Connections => "connections",
            Self::Announcements => "announcements",
            Self::Shares => "shares",
            Self::Blocks => "blocks",
            Self::Payments => "payments",
            Self::Difficulty => "difficulty",
            Self::Percent => "%",
            Self::Seconds => "s",
            Self::Credits => "credits",
            Self::Pkt => "PKT",
            Self::Nim => "NIM",
        }
    }
}

/// Milliseconds since 1970, by UTC.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// The clock of this machine.
    pub fn now() -> Self {
        crate::pay_maker::system_clock().into()
    }

    /// Whole seconds from then to `now`; 0 if `now` is earlier.
    pub fn age_seconds(self, now: Self) -> u64 {
        now.0.saturating_sub(self.0) / 1000
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

impl From<ledger::UnixMillis> for Moment {
    fn from(time: ledger::UnixMillis) -> Self {
        Self(time.0)
    }
}

/// A coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Coin {
    /// PacketCrypt's: 2³⁰ units each.
    #[serde(rename = "PKT")]
    Pkt,
    /// Nimiq's: 100,000 luna each.
    #[serde(rename = "NIM")]
    Nim,
}

/// An amount of money. In JSON: `{"units": "1234567", "coins": "12.34567", "coin": "NIM"}`, where `coins` is exact
/// for Nimiq and cut after nine decimals for PacketCrypt, and `units` is a text because it may exceed what a
/// JavaScript number holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// In the smallest units; negative for a debt.
    pub units: i64,
    /// Of which coin.
    pub coin: Coin,
}

impl Amount {
    /// An amount of Nimiq.
    pub fn luna(units: i64) -> Self {
        Self { units, coin: Coin::Nim }
    }

    /// An amount of PacketCrypt, in units of 2⁻³⁰ PKT.
    pub fn pkt_units(units: i64) -> Self {
        Self { units, coin: Coin::Pkt }
    }

    /// In coins, for charts: not for anything that must be exact.
    pub fn to_coins(self) -> f64 {
        self.units as f64 / self.coin.units() as f64
    }

    /// The number of coins without the name of the coin.
    pub fn coins(self) -> String {
        let decimals = self.coin.decimals();
        let (whole, scale) = (u128::from(self.coin.units()), 10u128.pow(decimals));
        let all = u128::from(self.units.unsigned_abs()) * scale / whole;
        let sign = if self.units < 0 { "-" } else { "" };
        let text = format!("{sign}{}.{:0width$}", all / scale, all % scale, width = decimals as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl Coin {
    /// Smallest units of one coin.
    pub fn units(self) -> u64 {
        match self {
            Self::Pkt => 1 << 30,
            Self::Nim => 100_000,
        }
    }

    /// Decimals that are shown.
    fn decimals(self) -> u32 {
        match self {
            Self::Pkt => 9,
            Self::Nim => 5,
        }
    }

    /// Its name on the market.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pkt => "PKT",
            Self::Nim => "NIM",
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.coins(), self.coin.name())
    }
}

/// The form of an [`Amount`] in JSON.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Amount, example = json!({"units": "1234567", "coins": "12.34567", "coin": "NIM"}))]
struct WrittenAmount {
    /// In the smallest units.
    #[schema(pattern = "^-?[0-9]+$")]
    units: String,
    /// In coins, for people.
    coins: String,
    coin: Coin,
}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        WrittenAmount::schema()
    }
}

impl ToSchema for Amount {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Amount")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        WrittenAmount::schemas(schemas);
    }
}

impl Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = WrittenAmount { units: self.units.to_string(), coins: self.coins(), coin: self.coin };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = WrittenAmount::deserialize(deserializer)?;
        let units = written.units.parse().map_err(serde::de::Error::custom)?;
        Ok(Self { units, coin: written.coin })
    }
}

/// A part of a whole, in units of 10⁻¹²: whole numbers, because they are money. In JSON a fraction of 1 as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part(pub u64);

impl Part {
    /// All of it.
    pub const WHOLE: Self = Self(1_000_000_000_000);

    /// In percent, for people.
    pub fn percent(self) -> f64 {
        self.0 as f64 / 1e10
    }
}

impl fmt::Display for Part {
    /// As a fraction of 1 with at most twelve decimals.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:012}", self.0 / Self::WHOLE.0, self.0 % Self::WHOLE.0);
        formatter.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl PartialSchema for Part {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(r"^[01](\.[0-9]{1,12})?$"))
            .description(Some("A part of a whole: a fraction of 1 with at most twelve decimals"))
            .examples(["0.25"])
            .into()
    }
}

impl ToSchema for Part {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Part")
    }
}

impl Serialize for Part {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fraction: wire::Decimal = text.parse().map_err(serde::de::Error::custom)?;
        wire::who_to_pay::Portion::cut_from(&fraction)
            .map(|portion| Self(portion.units()))
            .ok_or_else(|| serde::de::Error::custom(format!("{text} is no part of a whole")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_shown_in_coins_and_kept_in_units() {
        assert_eq!(Amount::luna(1_234_567).to_string(), "12.34567 NIM");
        assert_eq!(Amount::luna(-5).to_string(), "-0.00005 NIM");
        assert_eq!(Amount::luna(100_000).to_string(), "1 NIM");
        assert_eq!(Amount::pkt_units(3 << 29).to_string(), "1.5 PKT");
        assert_eq!(Amount::pkt_units(1).coins(), "0");
        let json = serde_json::to_value(Amount::luna(1_234_567)).unwrap();
        assert_eq!(json, serde_json::json!({"units": "1234567", "coins": "12.34567", "coin": "NIM"}));
    }

    #[test]
    fn what_is_not_known_is_null() {
        let unknown: Measured<f64> = Measured::over(None, Unit::HashesPerSecond, 600, Moment(5000));
        let json = serde_json::to_value(unknown).unwrap();
        let expected =
            serde_json::json!({"value": null, "unit": "H/s", "window_seconds": 600, "as_of": 5000});
        assert_eq!(json, expected);
    }

    proptest! {
        #[test]
        fn amounts_and_parts_survive_json(units: i64, part in 0u64..=1_000_000_000_000) {
            for amount in [Amount::luna(units), Amount::pkt_units(units)] {
                let json = serde_json::to_string(&amount).unwrap();
                prop_assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), amount);
            }
            let json = serde_json::to_string(&Part(part)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Part>(&json).unwrap(), Part(part));
        }
    }
}
