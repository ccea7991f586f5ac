//! What a client sends: one object, told apart by its member `message` (`docs/protocol/nimiq-pool.md` 1.3).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Number;
use serde_json::value::RawValue;

use super::{PayoutRequest, PayoutThreshold, Register, Share};
use crate::FormatError;
use byte_reader::excerpt;

/// The most bytes of a frame that a server reads.
pub const LARGEST_CLIENT_MESSAGE: usize = 256 << 10;

const DOCUMENT: &str = "client message";

/// A message of a client.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientMessage {
    /// Who wants to mine.
    Register(Register),
    /// Work done.
    Share(Box<Share>),
    /// Asks to be paid.
    Payout(PayoutRequest),
    /// Says from which balance on it wants to be paid.
    Threshold(PayoutThreshold),
}

/// What a message says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientMessageKind {
    /// `register`.
    Register,
    /// `share`.
    Share,
    /// `payout`.
    Payout,
    /// `payout-threshold`.
    Threshold,
}

/// Why a frame is no message. Before a client has registered, all but the first kind are answered alike.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientMessageError {
    /// It is too long, no JSON, or an object without `message`.
    #[error(transparent)]
    NoMessage(FormatError),
    /// It is of a kind that no client sends.
    #[error(
        "client message: `message`: expected register, share, payout or payout-threshold, found \"{found}\""
    )]
    UnknownKind {
        /// The kind, cut to a readable length.
        found: String,
    },
    /// It is not what its kind must be.
    #[error("{error}")]
    Malformed {
        /// Its kind.
        kind: ClientMessageKind,
        /// What is wrong with it.
        error: FormatError,
    },
}

/// The members of all kinds of messages. Those whose type may vary are kept as they were written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Members<'a> {
    message: Cow<'a, str>,
    #[serde(default)]
    pub(super) mode: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) address: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(super) device_id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(super) device_data: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(super) device_name: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(super) device_label: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(super) start_difficulty: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) genesis_hash: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) block_header: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) miner_addr_proof: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) extra_data_proof: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) block: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) nonce: Option<Number>,
    #[serde(default)]
    pub(super) threshold: Option<Number>,
    #[serde(default, borrow)]
    pub(super) proof: Option<&'a RawValue>,
}

impl ClientMessageKind {
    fn named(name: &str) -> Option<Self> {
        match name {
            "register" => Some(Self::Register),
            "share" => Some(Self::Share),
            "payout" => Some(Self::Payout),
            "payout-threshold" => Some(Self::Threshold),
            _ => None,
        }
    }
}

impl ClientMessage {
    /// Reads a text frame.
    pub fn parse(frame: &[u8]) -> Result<Self, ClientMessageError> {
        FormatError::check_length(DOCUMENT, frame.len(), LARGEST_CLIENT_MESSAGE)
            .map_err(ClientMessageError::NoMessage)?;
        let members: Members<'_> = match serde_json::from_slice(frame) {
            Ok(members) => members,
            Err(error) => return Err(unread(frame, &error)),
        };
        let Some(kind) = ClientMessageKind::named(&members.message) else {
            return Err(ClientMessageError::UnknownKind { found: excerpt(&members.message) });
        };
        let message = match kind {
            ClientMessageKind::Register => Register::read(&members).map(Self::Register),
            ClientMessageKind::Share => Share::read(&members).map(Box::new).map(Self::Share),
            ClientMessageKind::Payout => Ok(Self::Payout(PayoutRequest::read(members.proof))),
            ClientMessageKind::Threshold => {
                PayoutThreshold::read(members.threshold.as_ref(), members.proof).map(Self::Threshold)
            }
        };
        message.map_err(|error| ClientMessageError::Malformed { kind, error })
    }

    /// The text frame.
    pub fn to_text(&self) -> String {
        match self {
            Self::Register(register) => register.to_text(),
            Self::Share(share) => share.to_text(),
            Self::Payout(request) => request.to_text(),
            Self::Threshold(threshold) => threshold.to_text(),
        }
    }
}

/// The error for an object that has a member of a wrong type: its kind still matters to the answer.
fn unread(frame: &[u8], error: &serde_json::Error) -> ClientMessageError {
    #[derive(Deserialize)]
    struct Kind<'a> {
        message: Cow<'a, str>,
    }
    let error = FormatError::Json { document: DOCUMENT, reason: error.to_string() };
    match serde_json::from_slice::<Kind<'_>>(frame) {
        Err(_) => ClientMessageError::NoMessage(error),
        Ok(Kind { message }) => match ClientMessageKind::named(&message) {
            Some(kind) => ClientMessageError::Malformed { kind, error },
            None => ClientMessageError::UnknownKind { found: excerpt(&message) },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nimiq::PayoutProof;
    use crate::nimiq::arbitrary::client_message;
    use proptest::prelude::*;

    fn error(text: &str) -> ClientMessageError {
        ClientMessage::parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_no_message_at_all_is_told_from_a_malformed_one() {
        for text in ["{nope", "7", "[]", "null", "{}", r#"{"message":7}"#, ""] {
            assert!(matches!(error(text), ClientMessageError::NoMessage(_)), "{text}");
        }
        let too_long = format!(r#"{{"message":"share","block":"{}"}}"#, "A".repeat(LARGEST_CLIENT_MESSAGE));
        assert!(matches!(error(&too_long), ClientMessageError::NoMessage(FormatError::TooLong { .. })));
        assert_eq!(
            error(r#"{"message":"hello"}"#),
            ClientMessageError::UnknownKind { found: "hello".to_owned() }
        );
        for (kind, texts) in [
            (
                ClientMessageKind::Register,
                &[r#"{"message":"register"}"#, r#"{"message":"register","mode":7}"#][..],
            ),
            (
                ClientMessageKind::Share,
                &[
                    r#"{"message":"share"}"#,
                    r#"{"message":"share","block":"AA=="}"#,
                    r#"{"message":"share","block":"?"}"#,
                    r#"{"message":"share","nonce":-1}"#,
                    r#"{"message":"share","nonce":1.5}"#,
                    r#"{"message":"share","nonce":4294967296}"#,
                    r#"{"message":"share","blockHeader":"AA=="}"#,
                ],
            ),
            (
                ClientMessageKind::Threshold,
                &[
                    r#"{"message":"payout-threshold"}"#,
                    r#"{"message":"payout-threshold","threshold":-1}"#,
                    r#"{"message":"payout-threshold","threshold":1.5}"#,
                    r#"{"message":"payout-threshold","threshold":"5"}"#,
                ],
            ),
        ] {
            for text in texts {
                let found = error(text);
                assert!(
                    matches!(&found, ClientMessageError::Malformed { kind: one, .. } if *one == kind),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn an_error_names_the_member_at_fault() {
        assert_eq!(
            error(r#"{"message":"register","mode":"turbo"}"#).to_string(),
            "register: `mode`: expected smart, nano or dumb, found turbo"
        );
        assert_eq!(
            error(r#"{"message":"share","block":"AA=="}"#).to_string(),
            "share: `block`: expected light block, byte 0: version: expected 2 bytes, found 1, found other bytes"
        );
    }

    #[test]
    fn a_payout_may_come_without_a_proof_or_with_nonsense() {
        let proof = |text: &str| match ClientMessage::parse(text.as_bytes()) {
            Ok(ClientMessage::Payout(request)) => request.proof,
            other => panic!("{other:?}"),
        };
        assert_eq!(proof(r#"{"message":"payout"}"#), PayoutProof::Absent);
        assert_eq!(proof(r#"{"message":"payout","proof":null}"#), PayoutProof::Absent);
        assert_eq!(proof(r#"{"message":"payout","proof":[1]}"#), PayoutProof::Undecodable);
        assert_eq!(proof(r#"{"message":"payout","proof":"?"}"#), PayoutProof::Undecodable);
        assert_eq!(proof(r#"{"message":"payout","proof":"AAE="}"#), PayoutProof::Bytes(vec![0, 1]));
    }

    proptest! {
        #[test]
        fn what_is_built_is_read(message in client_message()) {
            let text = message.to_text();
            prop_assert_eq!(ClientMessage::parse(text.as_bytes()), Ok(message));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = ClientMessage::parse(&bytes);
        }
    }
}
