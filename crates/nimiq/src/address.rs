//! Addresses: 20 bytes, and the texts in which people and programs write them.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.1. Parsing is stricter than the peers': spaces and case do not matter,
//! everything else must be exactly what [`Address`] displays. A foreign letter or an alias of the check digits, which
//! the peers take for somebody's address, is an error here.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::hash::blake2b_256;
use byte_reader::excerpt;

/// Bytes of an address.
pub const ADDRESS_SIZE: usize = 20;

/// The 32 symbols of five bits each: digits and letters, without I, O, W and Z.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKLMNPQRSTUVXY";

const COUNTRY: &str = "NQ";
const SYMBOLS: usize = 32;
const FRIENDLY_LENGTH: usize = COUNTRY.len() + 2 + SYMBOLS;

/// Who owns coins, or is paid for work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; ADDRESS_SIZE]);

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// Too short, too long, or not in a form that is read here.
    #[error("an address has 36 characters without its spaces, \"{found}\" has {length}")]
    Length {
        /// The text, cut to a readable length.
        found: String,
        /// Its characters, spaces not counted.
        length: usize,
    },
    /// It does not begin with `NQ`.
    #[error("an address begins with NQ, not with \"{found}\"")]
    Country {
        /// What it begins with.
        found: String,
    },
    /// A character that stands for nothing.
    #[error(
        "character {position} of an address is a digit or a letter other than I, O, W and Z, not '{found}'"
    )]
    Symbol {
        /// Which character it is, from 1, spaces not counted.
        position: usize,
        /// What stands there.
        found: char,
    },
    /// A slip of the pen.
    #[error("the check digits of this address are {expected}, not {found}: is it written correctly?")]
    CheckDigits {
        /// What they should be.
        expected: String,
        /// What they are.
        found: String,
    },
}

impl Address {
    /// The address of an Ed25519 public key: the first 20 bytes of its hash.
    pub fn of_public_key(public_key: &[u8; 32]) -> Self {
        Self::from_hash(&blake2b_256(&[public_key]))
    }

    /// The first 20 bytes of a hash.
    pub fn from_hash(hash: &[u8; 32]) -> Self {
        let mut bytes = [0; ADDRESS_SIZE];
        bytes.copy_from_slice(&hash[..ADDRESS_SIZE]);
        Self(bytes)
    }

    /// Reads the user-friendly form: `NQ`, two check digits, 32 symbols. Spaces may stand anywhere.
    pub fn parse(text: &str) -> Result<Self, ParseAddressError> {
        let symbols: Vec<char> = text
            .chars()
            .filter(|c| *c != ' ')
            .map(|c| c.to_ascii_uppercase())
            .take(FRIENDLY_LENGTH + 1)
            .collect();
        if symbols.len() != FRIENDLY_LENGTH {
            let length = text.chars().filter(|c| *c != ' ').count();
            return Err(ParseAddressError::Length { found: excerpt(text), length });
        }
        let country: String = symbols[..2].iter().collect();
        if country != COUNTRY {
            return Err(ParseAddressError::Country { found: excerpt(&country) });
        }
        let address = Self::decode_symbols(&symbols[4..])?;
        let (expected, found) = (address.check_digits(), symbols[2..4].iter().collect::<String>());
        if expected != found {
            return Err(ParseAddressError::CheckDigits { expected, found: excerpt(&found) });
        }
        Ok(address)
    }

    /// Reads what RPC parameters may hold: the user-friendly form, 40 hexadecimal digits, or base64.
    pub fn parse_any(text: &str) -> Result<Self, ParseAddressError> {
        let mut bytes = [0; ADDRESS_SIZE];
        if hex::decode_to_slice(text, &mut bytes).is_ok() {
            return Ok(Self(bytes));
        }
        match STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => Ok(Self(bytes)),
            None => Self::parse(text),
        }
    }

    /// 40 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Standard base64, as the reference's database holds addresses.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// The user-friendly form without spaces.
    pub fn to_compact(&self) -> String {
        format!("{COUNTRY}{}{}", self.check_digits(), self.symbols())
    }

    fn decode_symbols(symbols: &[char]) -> Result<Self, ParseAddressError> {
        let mut bytes = [0; ADDRESS_SIZE];
        for (index, symbol) in symbols.iter().enumerate() {
            let Some(value) = ALPHABET.iter().position(|known| char::from(*known) == *symbol) else {
                return Err(ParseAddressError::Symbol { position: index + 5, found: *symbol });
            };
            for bit in 0..5 {
                let place = index * 5 + bit;
                bytes[place / 8] |= ((value >> (4 - bit) & 1) as u8) << (7 - place % 8);
            }
        }
        Ok(Self(bytes))
    }

    fn symbols(&self) -> String {
        let bit = |place: usize| usize::from(self.0[place / 8] >> (7 - place % 8) & 1);
        (0..SYMBOLS)
            .map(|index| (0..5).fold(0, |value, offset| value << 1 | bit(index * 5 + offset)))
            .map(|value| char::from(ALPHABET[value]))
            .collect()
    }

    /// As in an IBAN: 98 minus the rest of the number, read as decimal text, by 97.
    fn check_digits(&self) -> String {
        let text = format!("{}{COUNTRY}00", self.symbols());
        let rest = text.bytes().fold(0u32, |rest, character| match character {
            b'0'..=b'9' => (rest * 10 + u32::from(character - b'0')) % 97,
            letter => (rest * 100 + u32::from(letter - 55)) % 97,
        });
        format!("{:02}", 98 - rest)
    }
}

/// The user-friendly form, in groups of four.
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, character) in self.to_compact().chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                formatter.write_str(" ")?;
            }
            write!(formatter, "{character}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Address({self})")
    }
}

impl std::str::FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POOL: &str = "NQ32 QPH1 MCE9 XQ12 T0E3 N9F3 8DNB FUEY EYUN";

    #[test]
    fn a_key_has_the_address_of_its_hash() {
        let key = hex::decode("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c").unwrap();
        assert_eq!(Address::of_public_key(&key.try_into().unwrap()).to_string(), POOL);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let message = |text: &str| Address::parse(text).unwrap_err().to_string();
        assert_eq!(
            message("NQ32 QPH1"),
            "an address has 36 characters without its spaces, \"NQ32 QPH1\" has 8"
        );
        assert_eq!(message(&POOL.replace("NQ", "DE")), "an address begins with NQ, not with \"DE\"");
        assert!(message(&POOL.replace("QPH1", "QPHI")).starts_with("character 8 of an address is"));
        assert!(message(&POOL.replace("32", "33")).contains("are 32, not 33"));
    }

    #[test]
    fn aliases_of_check_digits_are_refused() {
        for alias in
            ["NQ00 VSXT YAGJ 3LNC 7PG1 08XQ QCUY J7FR X79A", "NQ01 83LG S9T2 4K8K 3RAG T4S5 C5H4 HY1G FE09"]
        {
            assert!(matches!(Address::parse(alias), Err(ParseAddressError::CheckDigits { .. })), "{alias}");
        }
    }

    proptest! {
        #[test]
        fn every_form_names_the_same_address(bytes: [u8; 20]) {
            let address = Address(bytes);
            prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
            prop_assert_eq!(Address::parse(&address.to_compact().to_lowercase()), Ok(address));
            for form in [address.to_hex(), address.to_base64(), address.to_string()] {
                prop_assert_eq!(Address::parse_any(&form), Ok(address));
            }
        }

        #[test]
        fn any_text_is_parsed_or_refused(text: String) {
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(address.to_compact(), text.replace(' ', "").to_ascii_uppercase());
            }
        }
    }
}
