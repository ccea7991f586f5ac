//! Payment addresses: what the chain can pay, and the narrower set that a pool credits.
//!
//! The node refuses a *whole* payout table because of one address that it cannot decode, so an address is
//! fully decoded before anything is credited to it (`docs/protocol/packetcrypt-pool.md` 11.3, rule R-P1;
//! `docs/protocol/packetcrypt-blocks.md` 7.7).

use std::{fmt, str::FromStr};

use bech32::{Bech32, Hrp, primitives::decode::CheckedHrpstring, segwit};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Human-readable prefix of the main network's bech32 addresses.
const PREFIX: &str = "pkt";
/// First byte of a base58check address that pays to a public key hash (`p…`).
const PUBLIC_KEY_HASH_VERSION: u8 = 0x75;
/// First byte of a base58check address that pays to a script hash (`P…`).
const SCRIPT_HASH_VERSION: u8 = 0x38;
/// The longest text that the reference PayMaker reads as an address.
const LONGEST_TEXT: usize = 64;

/// An address that the chain can pay: one of the four rows of `packetcrypt-blocks.md` 7.7.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainAddress {
    /// `pkt1q…`, 20 bytes: hash of a public key.
    WitnessPublicKeyHash([u8; 20]),
    /// `pkt1q…`, 32 bytes: hash of a script.
    WitnessScriptHash([u8; 32]),
    /// `p…`: hash of a public key, before witnesses.
    PublicKeyHash([u8; 20]),
    /// `P…`: hash of a script, before witnesses.
    ScriptHash([u8; 20]),
}

/// An address that a pool credits and pays (rule R-P1): a [`ChainAddress`] in its canonical spelling that is
/// no `P…`, because a PayMaker of the reference in the same pool would silently drop work for any other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PktAddress(ChainAddress);

/// Why a text is no address that can be paid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// Nothing was given.
    #[error("it is empty")]
    Empty,
    /// Longer than any address.
    #[error("it is longer than {LONGEST_TEXT} characters")]
    TooLong,
    /// A character that no address has, often a space or a line end.
    #[error("it contains a character that no address has: {0:?}")]
    Character(char),
    /// Neither `pkt1…` nor `p…`.
    #[error("it starts neither with \"pkt1\" nor with \"p\"")]
    Form,
    /// Upper and lower case in one bech32 address.
    #[error("it mixes upper and lower case")]
    MixedCase,
    /// A bech32 address in upper case, which the reference PayMaker does not pay.
    #[error("it must be written in lower case")]
    UpperCase,
    /// A typing error somewhere.
    #[error("its checksum is wrong, so there is a typing error in it")]
    Checksum,
    /// A bech32 address of another network.
    #[error("it is an address of another network (prefix {0:?} instead of \"pkt\")")]
    OtherNetwork(String),
    /// A base58check address of another network.
    #[error("it is an address of another network (version byte 0x{0:02x} instead of 0x75)")]
    OtherVersionByte(u8),
    /// A witness version that the chain cannot pay.
    #[error("its witness version is {0}, and only version 0 can be paid")]
    WitnessVersion(u8),
    /// No witness version at all.
    #[error("it has no content")]
    NoContent,
    /// A hash of a length that the chain does not know.
    #[error("it holds {0} bytes, and only 20 or 32 can be paid")]
    Length(usize),
    /// Bits behind the hash that must be zero.
    #[error("the unused bits at its end are not zero")]
    Padding,
    /// `P…`: the chain could pay it, but a reference PayMaker in the same pool would drop it.
    #[error("script addresses (\"P…\") are not paid by pools of this protocol")]
    ScriptHash,
}

impl ChainAddress {
    /// Reads any address that the node can pay, in lower or upper case.
    pub fn parse(text: &str) -> Result<Self, AddressFault> {
        if text.is_empty() {
            return Err(AddressFault::Empty);
        }
        if let Some(character) = text.chars().find(|character| !character.is_ascii_alphanumeric()) {
            return Err(AddressFault::Character(character));
        }
        if text.len() > LONGEST_TEXT {
            return Err(AddressFault::TooLong);
        }
        match text.rfind('1') {
            Some(separator) if is_bech32_prefix(text.get(..separator).unwrap_or_default()) => {
                parse_bech32(text)
            }
            _ if text.starts_with(['p', 'P']) => parse_base58(text),
            _ => Err(AddressFault::Form),
        }
    }

    /// The output script that pays this address.
    pub fn script(&self) -> Vec<u8> {
        match self {
            Self::WitnessPublicKeyHash(hash) => [&[0x00, 0x14], &hash[..]].concat(),
            Self::WitnessScriptHash(hash) => [&[0x00, 0x20], &hash[..]].concat(),
            Self::PublicKeyHash(hash) => [&[0x76, 0xa9, 0x14], &hash[..], &[0x88, 0xac]].concat(),
            Self::ScriptHash(hash) => [&[0xa9, 0x14], &hash[..], &[0x87]].concat(),
        }
    }

    /// The address that an output script pays; `None` for scripts that no address stands for.
    pub fn from_script(script: &[u8]) -> Option<Self> {
        Some(match script {
            [0x00, 0x14, hash @ ..] => Self::WitnessPublicKeyHash(hash.try_into().ok()?),
            [0x00, 0x20, hash @ ..] => Self::WitnessScriptHash(hash.try_into().ok()?),
            [0x76, 0xa9, 0x14, hash @ .., 0x88, 0xac] => Self::PublicKeyHash(hash.try_into().ok()?),
            [0xa9, 0x14, hash @ .., 0x87] => Self::ScriptHash(hash.try_into().ok()?),
            _ => return None,
        })
    }
}

/// Whether the part before the last `1` can be meant as a network prefix of bech32: base58 addresses may
/// contain the digit too, but have more before it than any network's name, or begin otherwise.
fn is_bech32_prefix(prefix: &str) -> bool {
    ["pkt", "tpk", "bc", "tb", "bcrt", "sb"].iter().any(|known| prefix.eq_ignore_ascii_case(known))
        || prefix.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("pkt1"))
}

fn parse_bech32(text: &str) -> Result<ChainAddress, AddressFault> {
    let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
    if upper && text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(AddressFault::MixedCase);
    }
    let mut parsed = CheckedHrpstring::new::<Bech32>(text).map_err(|_| AddressFault::Checksum)?;
    let prefix = parsed.hrp().to_lowercase();
    if prefix != PREFIX {
        return Err(AddressFault::OtherNetwork(prefix));
    }
    let version = parsed.remove_witness_version().ok_or(AddressFault::NoContent)?;
    if version != segwit::VERSION_0 {
        return Err(AddressFault::WitnessVersion(version.to_u8()));
    }
    parsed.validate_segwit_padding().map_err(|_| AddressFault::Padding)?;
    let hash: Vec<u8> = parsed.byte_iter().collect();
    match hash.len() {
        20 => Ok(ChainAddress::WitnessPublicKeyHash(exactly(&hash)?)),
        32 => Ok(ChainAddress::WitnessScriptHash(exactly(&hash)?)),
        length => Err(AddressFault::Length(length)),
    }
}

fn parse_base58(text: &str) -> Result<ChainAddress, AddressFault> {
    let bytes = bs58::decode(text).with_check(None).into_vec().map_err(|error| match error {
        bs58::decode::Error::InvalidCharacter { character, .. } => AddressFault::Character(character),
        _ => AddressFault::Checksum,
    })?;
    match bytes.split_first() {
        Some((&PUBLIC_KEY_HASH_VERSION, hash)) => Ok(ChainAddress::PublicKeyHash(exactly(hash)?)),
        Some((&SCRIPT_HASH_VERSION, hash)) => Ok(ChainAddress::ScriptHash(exactly(hash)?)),
        Some((&version, _)) => Err(AddressFault::OtherVersionByte(version)),
        None => Err(AddressFault::NoContent),
    }
}

fn exactly<const N: usize>(hash: &[u8]) -> Result<[u8; N], AddressFault> {
    hash.try_into().map_err(|_| AddressFault::Length(hash.len()))
}

impl fmt::Display for ChainAddress {
    /// The canonical spelling.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let witness = |formatter: &mut fmt::Formatter<'_>, hash: &[u8]| {
            segwit::encode_lower_to_fmt_unchecked(
                formatter,
                Hrp::parse_unchecked(PREFIX),
                segwit::VERSION_0,
                hash,
            )
        };
        let base58 = |formatter: &mut fmt::Formatter<'_>, version: u8, hash: &[u8]| {
            formatter.write_str(&bs58::encode(hash).with_check_version(version).into_string())
        };
        match self {
            Self::WitnessPublicKeyHash(hash) => witness(formatter, hash),
            Self::WitnessScriptHash(hash) => witness(formatter, hash),
            Self::PublicKeyHash(hash) => base58(formatter, PUBLIC_KEY_HASH_VERSION, hash),
            Self::ScriptHash(hash) => base58(formatter, SCRIPT_HASH_VERSION, hash),
        }
    }
}

impl fmt::Debug for ChainAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl PktAddress {
    /// Reads an address by rule R-P1: canonical spelling only, no script addresses.
    pub fn parse(text: &str) -> Result<Self, AddressFault> {
        match ChainAddress::parse(text)? {
            ChainAddress::ScriptHash(_) => Err(AddressFault::ScriptHash),
            ChainAddress::WitnessPublicKeyHash(_) | ChainAddress::WitnessScriptHash(_)
                if text.bytes().any(|byte| byte.is_ascii_uppercase()) =>
            {
                Err(AddressFault::UpperCase)
            }
            address => Ok(Self(address)),
        }
    }

    /// The output script that pays this address.
    pub fn script(&self) -> Vec<u8> {
        self.0.script()
    }

    /// The same address among all that the chain can pay.
    pub fn chain_address(&self) -> ChainAddress {
        self.0
    }
}

impl FromStr for PktAddress {
    type Err = AddressFault;

    fn from_str(text: &str) -> Result<Self, AddressFault> {
        Self::parse(text)
    }
}

impl fmt::Display for PktAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for PktAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for PktAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PktAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|fault| {
            D::Error::custom(format_args!("{:?} cannot be paid: {fault}", byte_reader::excerpt(&text)))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;

    const KEY_HASH: &str = "pkt1qap720cstv7tl9sp6xv7kyy37avu04un88sntja";
    const OLD_KEY_HASH: &str = "pSjrJSrQGyG8h9g8YNoRSoh2Rm9USynaQW";
    const SCRIPT_HASH: &str = "PY2622XspDpDBkRpa6myWNk1EwM7FtKAJ8";

    #[test]
    fn r_p1_one_spelling_of_an_address_is_paid() {
        assert_eq!(PktAddress::parse(KEY_HASH).unwrap().to_string(), KEY_HASH);
        assert_eq!(PktAddress::parse(&KEY_HASH.to_uppercase()), Err(AddressFault::UpperCase));
        assert_eq!(PktAddress::parse(OLD_KEY_HASH).unwrap().to_string(), OLD_KEY_HASH);
        assert_eq!(PktAddress::parse(SCRIPT_HASH), Err(AddressFault::ScriptHash));
    }

    #[test]
    fn the_chain_pays_upper_case_and_script_addresses_too() {
        assert_eq!(ChainAddress::parse(&KEY_HASH.to_uppercase()).unwrap().to_string(), KEY_HASH);
        assert_eq!(ChainAddress::parse(SCRIPT_HASH).unwrap().to_string(), SCRIPT_HASH);
    }

    /// The reference accepts this one, and the node then refuses everybody's payouts.
    #[test]
    fn r_p1_an_address_without_content_is_refused() {
        assert_eq!(PktAddress::parse("pkt1sj0s7u"), Err(AddressFault::NoContent));
    }

    #[test]
    fn the_reason_of_a_refusal_is_the_first_thing_to_mend() {
        for (text, fault) in [
            ("", AddressFault::Empty),
            (" pkt1qap720cstv7tl9sp6xv7kyy37avu04un88sntja", AddressFault::Character(' ')),
            ("pkt1qap720cstv7tl9sp6xv7kyy37avu04un88sntja\n", AddressFault::Character('\n')),
            ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", AddressFault::Form),
            ("pkt1qap720CSTV7TL9SP6XV7KYY37AVU04UN88SNTJA", AddressFault::MixedCase),
            ("pkt1qap720cstv7tl9sp6xv7kyy37avu04un88sntjq", AddressFault::Checksum),
            ("pSjrJSrQGyG8h9g8YNoRSoh2Rm9USynaQ1", AddressFault::Checksum),
            ("pSjrJSrQGyG8h9g8YNoRSoh2Rm9USynaQl", AddressFault::Character('l')),
            ("tpk1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpts37j6", AddressFault::OtherNetwork("tpk".into())),
            ("pkt1pqyqszqgpqyqszqgpqyqszqgpqyqszqgpnt6qua", AddressFault::WitnessVersion(1)),
            ("pkt1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqhgtkz", AddressFault::Length(21)),
        ] {
            assert_eq!(PktAddress::parse(text), Err(fault), "{text:?}");
        }
        assert_eq!(PktAddress::parse(&"p".repeat(65)), Err(AddressFault::TooLong));
    }

    proptest! {
        #[test]
        fn text_round_trip(address in arbitrary::chain_address()) {
            prop_assert_eq!(ChainAddress::parse(&address.to_string()), Ok(address));
        }

        #[test]
        fn script_round_trip(address in arbitrary::chain_address()) {
            prop_assert_eq!(ChainAddress::from_script(&address.script()), Some(address));
        }

        #[test]
        fn one_wrong_character_is_noticed(address in arbitrary::pkt_address(), at: prop::sample::Index, to in "[0-9a-z]") {
            let mut text = address.to_string();
            let at = at.index(text.len());
            text.replace_range(at..=at, &to);
            prop_assert!(text == address.to_string() || PktAddress::parse(&text).is_err());
        }

        #[test]
        fn any_text_is_answered(text: String, tail in "[pPkKtT1]{0,4}[0-9a-zA-Z]{0,80}") {
            let _ = ChainAddress::parse(&text);
            let _ = PktAddress::parse(&tail);
        }
    }
}
