//! A line of the record: the signature, a space, the text that was signed. Each text names the hash of the one before it, so
//! none can be changed, left out or put in without every later signature.

use std::str::FromStr;

use nimiq::{PrivateKey, PublicKey, Signature};
use sha2::{Digest, Sha256};

use crate::site::facts::{SignedStatement, Statement};

/// A longer line is none.
const LONGEST: usize = 8192;
/// What the first statement names as the hash of the one before it.
const BEGINNING: [u8; 32] = [0; 32];

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedLine {
    text: String,
    signature: Signature,
}

/// Where the next statement continues a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The number of the statement that comes next.
    pub number: u64,
    /// The hash that it names.
    pub previous: [u8; 32],
}

/// Why a line is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// It has another form.
    #[error("expected a signature of 128 hexadecimal digits, a space, and JSON")]
    Form,
    /// Its text is no statement.
    #[error("its text is no statement: {0}")]
    Text(String),
    /// Its key did not make its signature.
    #[error("the signature is not that of its key over its text")]
    Signature,
    /// Another key signed it than the one that is trusted.
    #[error("it is signed with the key {0}, which is not the expected one")]
    Key(String),
    /// It is not the one that follows.
    #[error("it is number {got}, where number {expected} follows")]
    Number {
        /// What follows.
        expected: u64,
        /// What it is.
        got: u64,
    },
    /// It follows another one.
    #[error("it follows a statement with the hash {got}; the one before it has {expected}")]
    Previous {
        /// The hash of the one before it.
        expected: String,
        /// What it names.
        got: String,
    },
}

impl Place {
    /// Before the first statement.
    pub const FIRST: Self = Self { number: 1, previous: BEGINNING };
}

impl SignedLine {
    /// Signs a statement.
    pub(crate) fn sign(key: &PrivateKey, statement: &Statement) -> Result<Self, serde_json::Error> {
        let text = serde_json::to_string(statement)?;
        let signature = key.sign(text.as_bytes());
        Ok(Self { text, signature })
    }

    /// Lines as they stand in a record.
    pub(crate) fn together<'l>(lines: impl Iterator<Item = &'l Self>) -> String {
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.to_string());
            text.push('\n');
        }
        text
    }

    /// SHA-256 of the text.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.text).into()
    }

    /// What it states, and that it was signed with the key that it names.
    pub fn open(&self) -> Result<Statement, LineFault> {
        let statement: Statement =
            serde_json::from_str(&self.text).map_err(|error| LineFault::Text(error.to_string()))?;
        let mut key = [0; 32];
        hex::decode_to_slice(&statement.key, &mut key).map_err(|error| LineFault::Text(error.to_string()))?;
        if PublicKey(key).verifies(self.text.as_bytes(), &self.signature) {
            Ok(statement)
        } else {
            Err(LineFault::Signature)
        }
    }

    /// The same, and that it follows what is before it. Without a place it may be the oldest that is kept. A `key` in
    /// hexadecimal digits must be the one that signed it.
    pub fn follow(
        &self,
        place: Option<Place>,
        key: Option<&str>,
    ) -> Result<(SignedStatement, Place), LineFault> {
        let statement = self.open()?;
        if let Some(place) = place {
            if statement.number != place.number {
                return Err(LineFault::Number { expected: place.number, got: statement.number });
            }
            let expected = hex::encode(place.previous);
            if statement.previous != expected {
                return Err(LineFault::Previous { expected, got: statement.previous });
            }
        }
        if key.is_some_and(|key| !key.eq_ignore_ascii_case(&statement.key)) {
            return Err(LineFault::Key(statement.key));
        }
        let next = Place { number: statement.number.saturating_add(1), previous: self.hash() };
        let signed = SignedStatement {
            statement,
            hash: hex::encode(next.previous),
            signature: hex::encode(self.signature.0),
        };
        Ok((signed, next))
    }
}

impl std::fmt::Display for SignedLine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", hex::encode(self.signature.0), self.text)
    }
}

impl FromStr for SignedLine {
    type Err = LineFault;

    fn from_str(line: &str) -> Result<Self, LineFault> {
        let (signature, text) =
            line.split_once(' ').filter(|_| line.len() <= LONGEST).ok_or(LineFault::Form)?;
        let mut bytes = [0; 64];
        hex::decode_to_slice(signature, &mut bytes).map_err(|_| LineFault::Form)?;
        Ok(Self { text: text.to_owned(), signature: Signature(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::site::facts::{Chain, Moment, Part, Stated, Terms};

    fn statement(key: &PrivateKey, place: Place) -> Statement {
        Statement {
            number: place.number,
            at: Moment(1_793_534_400_000),
            previous: hex::encode(place.previous),
            key: hex::encode(key.public_key().0),
            stated: Stated::Terms(Terms {
                chain: Chain::Nimiq,
                fee: Part(10_000_000_000),
                rule: "PPLNS".to_owned(),
                block_miners_part: None,
                announcement_miners_part: None,
                confirmations: Some(10),
                automatic_above: None,
            }),
        }
    }

    fn two_lines() -> (PrivateKey, Vec<String>) {
        let key = PrivateKey::new(&[7; 32]);
        let first = SignedLine::sign(&key, &statement(&key, Place::FIRST)).unwrap();
        let (_, next) = first.follow(Some(Place::FIRST), None).unwrap();
        let second = SignedLine::sign(&key, &statement(&key, next)).unwrap();
        (key, vec![first.to_string(), second.to_string()])
    }

    fn check(lines: &[String], key: Option<&str>) -> Result<u64, LineFault> {
        let mut place = None;
        for line in lines {
            let (_, next) = line.parse::<SignedLine>()?.follow(place, key)?;
            place = Some(next);
        }
        Ok(place.map_or(0, |place| place.number - 1))
    }

    #[test]
    fn what_was_signed_is_taken_and_what_was_changed_is_not() {
        let (key, lines) = two_lines();
        let public = hex::encode(key.public_key().0);
        assert_eq!(check(&lines, Some(&public)), Ok(2));
        assert_eq!(check(&lines[1..], None), Ok(2), "the oldest may have been dropped");
        let other = "ab".repeat(32);
        assert_eq!(check(&lines, Some(&other)), Err(LineFault::Key(public)));
        let changed = vec![lines[0].replace("0.01", "0.02"), lines[1].clone()];
        assert_eq!(check(&changed, None), Err(LineFault::Signature));
        let twice = vec![lines[0].clone(), lines[0].clone()];
        assert_eq!(check(&twice, None), Err(LineFault::Number { expected: 2, got: 1 }));
        let forged = PrivateKey::new(&[8; 32]);
        let elsewhere = Place { number: 2, previous: [1; 32] };
        let forged = SignedLine::sign(&forged, &statement(&forged, elsewhere)).unwrap();
        let fault = check(&[lines[0].clone(), forged.to_string()], None).unwrap_err();
        assert!(matches!(fault, LineFault::Previous { .. }), "{fault}");
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "\\PC{0,200}", signature in "[0-9a-f]{128}", text in "\\PC{0,80}") {
            for line in [line, format!("{signature} {text}")] {
                if let Ok(line) = line.parse::<SignedLine>() {
                    prop_assert!(line.follow(Some(Place::FIRST), None).is_err());
                }
            }
        }

        #[test]
        fn no_changed_byte_is_missed(place in 0_usize..400, byte in 32_u8..127) {
            let (_, lines) = two_lines();
            let mut bytes = lines[0].clone().into_bytes();
            let place = place % bytes.len();
            prop_assume!(!bytes[place].eq_ignore_ascii_case(&byte) && bytes[place] != b' ');
            bytes[place] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert!(check(&[changed], None).is_err());
        }
    }
}
