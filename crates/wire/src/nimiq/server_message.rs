//! What a server sends: one object, told apart by its member `message` (`docs/protocol/nimiq-pool.md` 1.4).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::{Balance, NewBlock, Reason, Settings};
use crate::{FormatError, json};

/// The most bytes of a frame that a client reads.
pub const LARGEST_SERVER_MESSAGE: usize = 64 << 10;

const DOCUMENT: &str = "server message";

/// A message of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage {
    /// The client may mine.
    Registered,
    /// With what.
    Settings(Settings),
    /// What, if it does not build blocks itself.
    NewBlock(Box<NewBlock>),
    /// What it is owed.
    Balance(Balance),
    /// What went wrong.
    Error {
        /// The words, which are for people.
        reason: String,
    },
    /// Something newer than this program, to be ignored.
    Unknown {
        /// Its kind.
        kind: String,
    },
}

/// The members of all kinds of messages.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Members<'a> {
    message: Cow<'a, str>,
    #[serde(default)]
    pub(super) address: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) extra_data: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) target: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) target_compact: Option<Number>,
    #[serde(default)]
    pub(super) nonce: Option<Number>,
    #[serde(default)]
    pub(super) pool_fee: Option<Number>,
    #[serde(default)]
    pub(super) body_hash: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) accounts_hash: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) previous_block: Option<Cow<'a, str>>,
    #[serde(default, rename = "nBits")]
    pub(super) next_target: Option<Number>,
    #[serde(default)]
    pub(super) block_header: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) balance: Option<Number>,
    #[serde(default)]
    pub(super) confirmed_balance: Option<Number>,
    #[serde(default)]
    pub(super) payout_request_active: Option<bool>,
    #[serde(default)]
    pub(super) payout_threshold: Option<Number>,
    #[serde(default)]
    reason: Option<Cow<'a, str>>,
}

impl ServerMessage {
    /// Reads a text frame.
    pub fn parse(frame: &[u8]) -> Result<Self, FormatError> {
        FormatError::check_length(DOCUMENT, frame.len(), LARGEST_SERVER_MESSAGE)?;
        let members: Members<'_> = serde_json::from_slice(frame)
            .map_err(|error| FormatError::Json { document: DOCUMENT, reason: error.to_string() })?;
        Ok(match &*members.message {
            "registered" => Self::Registered,
            "settings" => Self::Settings(Settings::read(&members)?),
            "new-block" => Self::NewBlock(Box::new(NewBlock::read(&members)?)),
            "balance" => Self::Balance(Balance::read(&members)?),
            "error" => Self::Error { reason: printable(members.reason.as_deref().unwrap_or_default()) },
            kind => Self::Unknown { kind: kind.to_owned() },
        })
    }

    /// The text frame.
    pub fn to_text(&self) -> String {
        #[derive(Serialize)]
        struct Text<'a> {
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'a str>,
        }
        match self {
            Self::Registered => json::compact(&Text { message: "registered", reason: None }),
            Self::Settings(settings) => settings.to_text(),
            Self::NewBlock(block) => block.to_text(),
            Self::Balance(balance) => balance.to_text(),
            Self::Error { reason } => json::compact(&Text { message: "error", reason: Some(reason) }),
            Self::Unknown { kind } => json::compact(&Text { message: kind, reason: None }),
        }
    }
}

/// Words of a stranger, short enough for a log line and without control characters.
fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

impl From<Reason> for ServerMessage {
    fn from(reason: Reason) -> Self {
        Self::Error { reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nimiq::arbitrary::server_message;
    use proptest::prelude::*;

    #[test]
    fn a_newer_servers_messages_are_ignored() {
        let message = ServerMessage::parse(br#"{"message":"maintenance","at":[1]}"#);
        assert_eq!(message, Ok(ServerMessage::Unknown { kind: "maintenance".to_owned() }));
        assert!(ServerMessage::parse(b"{}").is_err());
        assert!(ServerMessage::parse(&vec![b' '; LARGEST_SERVER_MESSAGE + 1]).is_err());
    }

    #[test]
    fn an_error_is_short_and_printable() {
        let text = format!(r#"{{"message":"error","reason":"a\u001b{}"}}"#, "x".repeat(500));
        let Ok(ServerMessage::Error { reason }) = ServerMessage::parse(text.as_bytes()) else {
            panic!("{text}")
        };
        assert_eq!(reason, format!("a{}", "x".repeat(199)));
    }

    proptest! {
        #[test]
        fn what_is_built_is_read(message in server_message()) {
            let text = message.to_text();
            prop_assert_eq!(ServerMessage::parse(text.as_bytes()), Ok(message));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = ServerMessage::parse(&bytes);
        }
    }
}
