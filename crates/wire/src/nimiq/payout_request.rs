//! `payout`: a miner asks to be paid at once (`docs/protocol/nimiq-pool.md` 1.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use super::members::to_base64;
use crate::json;

/// A request to be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutRequest {
    /// That the miner itself asks.
    pub proof: PayoutProof,
}

/// The proof of a request, as far as it can be told without the nonce that it is for.
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
        let proof = proof.map(|raw| serde_json::from_str::<Option<String>>(raw.get()));
        let proof = match proof {
            None | Some(Ok(None)) => PayoutProof::Absent,
            Some(Ok(Some(text))) => {
                STANDARD.decode(text).map_or(PayoutProof::Undecodable, PayoutProof::Bytes)
            }
            Some(Err(_)) => PayoutProof::Undecodable,
        };
        Self { proof }
    }

    pub(super) fn to_text(&self) -> String {
        #[derive(Serialize)]
        struct Text {
            message: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            proof: Option<String>,
        }
        let proof = match &self.proof {
            PayoutProof::Absent => None,
            PayoutProof::Undecodable => Some("?".to_owned()),
            PayoutProof::Bytes(bytes) => Some(to_base64(bytes)),
        };
        json::compact(&Text { message: "payout", proof })
    }
}
