//! `payout`: a miner asks to be paid at once; `payout-threshold`: it says from which balance on it wants to be paid without
//! asking (`docs/protocol/nimiq-pool.md` 1.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nimiq::Luna;
use serde::Serialize;
use serde_json::Number;
use serde_json::value::RawValue;

use super::members::{self, to_base64};
use crate::{FormatError, json};

const DOCUMENT: &str = "payout-threshold";

/// A request to be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutRequest {
    /// That the miner itself asks.
    pub proof: PayoutProof,
}

/// Another threshold for automatic payouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutThreshold {
    /// A confirmed balance above this shall be paid; nothing: the pool's own threshold.
    pub threshold: Luna,
    /// That the miner itself says so.
    pub proof: PayoutProof,
}

/// The proof of an order, as far as it can be told without the nonce that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayoutProof {
    /// None: the stock client's requests have none.
    Absent,
    /// Something that is no base64 text.
    Undecodable,
    /// Bytes for [`PayoutNonce::check`](nimiq::PayoutNonce::check).
    Bytes(Vec<u8>),
}

impl PayoutRequest {
    pub(super) fn read(proof: Option<&RawValue>) -> Self {
        Self { proof: PayoutProof::read(proof) }
    }

    pub(super) fn to_text(&self) -> String {
        json::compact(&Text { message: "payout", threshold: None, proof: self.proof.to_text() })
    }
}

impl PayoutThreshold {
    pub(super) fn read(threshold: Option<&Number>, proof: Option<&RawValue>) -> Result<Self, FormatError> {
        let expected = "a whole number of luna";
        let number = members::required(DOCUMENT, "threshold", expected, threshold)?;
        let threshold = number
            .as_u64()
            .ok_or_else(|| FormatError::field(DOCUMENT, "threshold", expected, number.to_string()))?;
        Ok(Self { threshold: Luna(threshold), proof: PayoutProof::read(proof) })
    }

    pub(super) fn to_text(&self) -> String {
        let (threshold, proof) = (Some(self.threshold.0), self.proof.to_text());
        json::compact(&Text { message: DOCUMENT, threshold, proof })
    }
}

#[derive(Serialize)]
struct Text {
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

impl PayoutProof {
    fn read(proof: Option<&RawValue>) -> Self {
        match proof.map(|raw| serde_json::from_str::<Option<String>>(raw.get())) {
            None | Some(Ok(None)) => Self::Absent,
            Some(Ok(Some(text))) => STANDARD.decode(text).map_or(Self::Undecodable, Self::Bytes),
            Some(Err(_)) => Self::Undecodable,
        }
    }

    fn to_text(&self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Undecodable => Some("?".to_owned()),
            Self::Bytes(bytes) => Some(to_base64(bytes)),
        }
    }
}
