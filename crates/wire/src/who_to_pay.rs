//! `/whotopay`: who is paid by the next block, and why (`docs/protocol/packetcrypt-pool.md` 11.6 and 11.10).

use std::fmt;

use packetcrypt::BlockHash;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
};

use crate::{Decimal, EventId, FormatError, PktAddress, event::MOST_ENCRYPTIONS, json};

/// The largest document that is read: some hundred thousand addresses.
pub const LIMIT: usize = 64 << 20;

const DOCUMENT: &str = "who-to-pay document";

/// A part of the whole reward, in units of 10⁻¹². All parts of a distribution sum exactly to
/// [`WHOLE`](Self::WHOLE).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Portion(u64);

impl Portion {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The whole reward.
    pub const WHOLE: Self = Self(1_000_000_000_000);

    /// From units of 10⁻¹²; `None` above the whole.
    pub fn from_units(units: u64) -> Option<Self> {
        (units <= Self::WHOLE.0).then_some(Self(units))
    }

    /// From a fraction of 1; what lies behind the twelfth decimal is cut off. `None` below 0 and above 1.
    pub fn cut_from(fraction: &Decimal) -> Option<Self> {
        let units = Decimal::new(fraction.mantissa(), fraction.exponent().saturating_add(12)).ok()?;
        let units = u64::try_from(units.floor_saturating()).ok()?;
        if fraction.is_negative() { None } else { Self::from_units(units) }
    }

    /// In units of 10⁻¹².
    pub fn units(self) -> u64 {
        self.0
    }

    /// As a fraction of 1, with at most twelve decimals (11.10.5).
    pub fn to_decimal(self) -> Decimal {
        // At most 13 digits: within the bounds.
        Decimal::new(u128::from(self.0), -12).unwrap_or_default()
    }
}

impl fmt::Display for Portion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_decimal().fmt(formatter)
    }
}

impl Serialize for Portion {
    /// As a fraction of 1, the form that the node's `configureminingpayouts` takes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_decimal().serialize(serializer)
    }
}

/// Something for each of many addresses: a JSON object that keeps its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByAddress<T>(pub Vec<(PktAddress, T)>);

impl<T> Default for ByAddress<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<(PktAddress, T)> for ByAddress<T> {
    fn from_iter<I: IntoIterator<Item = (PktAddress, T)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<T> ByAddress<T> {
    /// What stands for an address, searched from the start.
    pub fn get(&self, address: &PktAddress) -> Option<&T> {
        self.0.iter().find(|(one, _)| one == address).map(|(_, value)| value)
    }
}

impl<T: Serialize> Serialize for ByAddress<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(address, value)| (address, value)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByAddress<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = ByAddress<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object with addresses as keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(ByAddress(entries))
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

/// The document. Members are spelt as in the reference; the last three are additions of this pool, which
/// other readers ignore.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WhoToPay {
    /// Why nobody can be paid; the node is then told to pay the error address.
    pub error: Vec<String>,
    /// What the operator should know.
    pub warn: Vec<String>,
    /// Announcements received, kilobits per second.
    pub total_kbps: u64,
    /// Blocks of the chain in each of the last 24 hours of UTC, oldest first.
    pub blocks_per_hour: Vec<u64>,
    /// Blocks of this pool in each of the last 24 hours of UTC, oldest first.
    pub wins_per_hour: Vec<u64>,
    /// Estimated hash operations per second of all miners.
    #[serde(deserialize_with = "whole")]
    pub total_encryptions_per_second: u128,
    /// From the oldest share in the window to `latestPayout`, milliseconds.
    pub blk_payout_warmup_period: Option<i64>,
    /// From the oldest announcement slot in the window to `latestPayout`, milliseconds.
    pub ann_payout_warmup_period: Option<i64>,
    /// When the document was made, milliseconds since 1970.
    pub generated_at: u64,
    /// Newest share or announcement slot, milliseconds since 1970; 0 if there is none.
    pub latest_payout: u64,
    /// The block that this pool won last.
    #[serde(with = "last_won_block")]
    pub last_won_block: Option<BlockHash>,
    /// When this pool won it, milliseconds since 1970; −1 if it never did.
    pub last_won_block_time: i64,
    /// Announcement miners with work in at least two paid slots.
    pub ann_miner_stats: ByAddress<AnnMinerStats>,
    /// Block miners with a share in the window.
    pub blk_miner_stats: ByAddress<BlkMinerStats>,
    /// Each address's part of the reward, as a fraction of 1.
    pub result: ByAddress<Decimal>,
    /// The pool's part.
    pub pool_fee: Decimal,
    /// The block miners' part.
    pub block_miners: Decimal,
    /// The announcement miners' part.
    pub ann_miners: Decimal,
    /// `result` in whole units of 10⁻¹², which sum to 10¹². Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<ByAddress<u64>>,
    /// Exact bounds of the window over shares. Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_window: Option<PaidWindow>,
    /// Exact bounds of the window over announcements. Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ann_window: Option<PaidWindow>,
}

/// An announcement miner in [`WhoToPay::ann_miner_stats`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnnMinerStats {
    /// Kilobits per second, an announcement counting as 1 kB.
    pub kbps: u64,
    /// How far the miner's work fills the window; `null` if the window is a single slot.
    pub warmup_percent: Option<i64>,
    /// Estimated hash operations per second.
    #[serde(deserialize_with = "whole")]
    pub current_encryptions_per_second: u128,
    /// Newest slot with work of the miner, milliseconds since 1970.
    pub last_seen: u64,
    /// Part of the reward before the fee.
    pub credits: Decimal,
}

/// A block miner in [`WhoToPay::blk_miner_stats`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlkMinerStats {
    /// Estimated hash operations per second over ten minutes.
    #[serde(deserialize_with = "whole")]
    pub current_encryptions_per_second: u128,
    /// Newest share of the miner, milliseconds since 1970.
    pub last_seen: u64,
    /// Part of the reward before the fee.
    pub credits: Decimal,
}

/// The part of the recorded work that a distribution pays: what an auditor needs to compute it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaidWindow {
    /// Time of the newest share, or end of the newest slot, that is paid; milliseconds since 1970.
    pub newest_time: Option<u64>,
    /// Time of the oldest share, or end of the oldest slot, that is paid.
    pub oldest_time: Option<u64>,
    /// Id of the oldest share that is paid. Slots have none.
    pub oldest_event_id: Option<EventId>,
    /// Whether the credits reach: if not, the default address gets what is left.
    pub full: bool,
    /// Width of the window in units of 2⁻⁹⁶ (11.10.2), as a decimal text: too long for many JSON readers.
    pub width: String,
    /// Credits inside the window, same unit.
    pub credits: String,
    /// Credits of the oldest share or slot of the window, of which only a part may be inside; same unit.
    pub oldest_credits: String,
    /// How much of the oldest share or slot is inside, same unit.
    pub oldest_credits_paid: String,
}

impl WhoToPay {
    /// Reads the document of any PayMaker.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        json::parse(DOCUMENT, bytes, LIMIT)
    }

    /// Pays these units, in `result` as in `units`.
    pub fn set_units(&mut self, units: Vec<(PktAddress, u64)>) {
        let part = |units: u64| Portion::from_units(units).unwrap_or_default().to_decimal();
        self.result = units.iter().map(|(address, units)| (*address, part(*units))).collect();
        self.units = Some(ByAddress(units));
    }

    /// The text to serve, indented by tabs.
    pub fn to_json(&self) -> String {
        json::tabbed(self)
    }
}

/// A whole number that other programs may write with an exponent, as JavaScript does from 10²¹ on.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
    Decimal::deserialize(deserializer).map(|number| number.floor_saturating().min(MOST_ENCRYPTIONS))
}

/// A block hash, or an empty text for none.
#[allow(clippy::ref_option)] // the signatures that serde calls
mod last_won_block {
    use super::{BlockHash, Deserialize, Deserializer, Serializer};
    use serde::de::Error;

    pub(super) fn serialize<S: Serializer>(
        hash: &Option<BlockHash>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match hash {
            Some(hash) => serializer.collect_str(hash),
            None => serializer.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<BlockHash>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        BlockHash::from_display_hex(&text).map(Some).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Portion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a part of the reward is a number from 0 to 1 with at most twelve decimals";
        let fraction = Decimal::deserialize(deserializer)?;
        let portion = Self::cut_from(&fraction).filter(|_| fraction.exponent() >= -12);
        portion.ok_or_else(|| D::Error::custom(EXPECTED))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;

    fn window() -> impl Strategy<Value = PaidWindow> {
        (
            prop::option::of(any::<u64>()),
            prop::option::of(arbitrary::event_id()),
            any::<bool>(),
            "[0-9]{1,40}",
        )
            .prop_map(|(time, oldest_event_id, full, number)| PaidWindow {
                newest_time: time,
                oldest_time: time,
                oldest_event_id,
                full,
                width: number.clone(),
                credits: number.clone(),
                oldest_credits: number.clone(),
                oldest_credits_paid: number,
            })
    }

    fn document() -> impl Strategy<Value = WhoToPay> {
        let address = arbitrary::pkt_address;
        let decimal = arbitrary::positive_decimal;
        let result = prop::collection::vec((address(), decimal()), 0..4);
        let units = prop::option::of(prop::collection::vec((address(), any::<u64>()), 0..4));
        let last_won_block = prop::option::of(arbitrary::block_hash());
        (any::<Vec<String>>(), any::<[u64; 3]>(), last_won_block, result, units, decimal(), window())
            .prop_map(|(warn, numbers, last_won_block, result, units, fraction, window)| WhoToPay {
                warn,
                total_kbps: numbers[0],
                blocks_per_hour: numbers.to_vec(),
                total_encryptions_per_second: u128::from(numbers[1]),
                generated_at: numbers[2],
                last_won_block,
                last_won_block_time: -1,
                ann_miner_stats: result
                    .iter()
                    .map(|(address, credits)| {
                        (*address, AnnMinerStats { credits: *credits, ..AnnMinerStats::default() })
                    })
                    .collect(),
                result: ByAddress(result),
                pool_fee: fraction,
                units: units.map(ByAddress),
                share_window: Some(window),
                ..WhoToPay::default()
            })
    }

    #[test]
    fn units_are_written_with_at_most_twelve_decimals_and_no_exponent() {
        for (units, text) in [
            (0, "0"),
            (1, "0.000000000001"),
            (781_250, "0.00000078125"),
            (200_000_000_000, "0.2"),
            (1_000_000_000_000, "1"),
        ] {
            assert_eq!(Portion::from_units(units).unwrap().to_string(), text);
        }
        assert_eq!(Portion::from_units(1_000_000_000_001), None);
    }

    #[test]
    fn a_fraction_of_any_program_is_cut_to_units() {
        for (fraction, units) in [
            ("0.30000000000000004", Some(300_000_000_000)),
            ("7.8125e-7", Some(781_250)),
            ("1e-13", Some(0)),
            ("1", Some(1_000_000_000_000)),
            ("1.000000000001", None),
            ("-0.1", None),
            ("1e399", None),
        ] {
            let portion = Portion::cut_from(&fraction.parse().unwrap());
            assert_eq!(portion.map(Portion::units), units, "{fraction}");
        }
    }

    #[test]
    fn figures_that_javascript_writes_with_an_exponent_can_be_read() {
        let text = r#"{"currentEncryptionsPerSecond":1.5e21,"lastSeen":1,"credits":7.8125e-7}"#;
        let stats: BlkMinerStats = serde_json::from_str(text).unwrap();
        assert_eq!(stats.current_encryptions_per_second, 1_500_000_000_000_000_000_000);
        assert_eq!(stats.credits.to_string(), "0.00000078125");
    }

    proptest! {
        #[test]
        fn round_trip(document in document()) {
            prop_assert_eq!(WhoToPay::parse(document.to_json().as_bytes()), Ok(document));
        }

        #[test]
        fn portion_round_trip(units in 0..=1_000_000_000_000u64) {
            let portion = Portion::from_units(units).unwrap();
            prop_assert_eq!(serde_json::from_str::<Portion>(&serde_json::to_string(&portion).unwrap()).unwrap(), portion);
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>) {
            let _ = WhoToPay::parse(&bytes);
        }
    }
}
