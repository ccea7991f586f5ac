//! `balance`: what the pool owes a miner (`docs/protocol/nimiq-pool.md` 1.4).

use nimiq::Luna;
use serde::Serialize;
use serde_json::Number;

use super::members;
use super::server_message::Members;
use crate::{FormatError, json};

const DOCUMENT: &str = "balance";

/// What the pool owes a miner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// All credits on main-chain blocks, less what was paid.
    pub balance: Luna,
    /// The part of it that enough blocks confirm.
    pub confirmed_balance: Luna,
    /// Whether a request to be paid is waiting.
    pub payout_request_active: bool,
    /// Above which confirmed balance the miner is paid without asking, which only our pools say.
    pub payout_threshold: Option<Luna>,
}

impl Balance {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            balance: luna("balance", members.balance.as_ref())?,
            confirmed_balance: luna("confirmedBalance", members.confirmed_balance.as_ref())?,
            payout_request_active: members.payout_request_active.unwrap_or(false),
            payout_threshold: members.payout_threshold.as_ref().and_then(Number::as_u64).map(Luna),
        })
    }

    pub(super) fn to_text(self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Text {
            message: &'static str,
            balance: u64,
            confirmed_balance: u64,
            payout_request_active: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            payout_threshold: Option<u64>,
        }
        json::compact(&Text {
            message: DOCUMENT,
            balance: self.balance.0,
            confirmed_balance: self.confirmed_balance.0,
            payout_request_active: self.payout_request_active,
            payout_threshold: self.payout_threshold.map(|threshold| threshold.0),
        })
    }
}

/// Whole luna. Pools of the reference calculate in floating point, so what is not whole or below nothing is cut.
fn luna(field: &'static str, number: Option<&Number>) -> Result<Luna, FormatError> {
    let number = members::required(DOCUMENT, field, "an amount in luna", number)?;
    let whole = number.as_u64().or_else(|| number.as_f64().map(|number| number as u64));
    whole
        .map(Luna)
        .ok_or_else(|| FormatError::field(DOCUMENT, field, "an amount in luna", number.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::ServerMessage;

    #[test]
    fn amounts_of_any_pool_are_read() {
        let balance = |number: &str| {
            let text = format!(r#"{{"message":"balance","balance":{number},"confirmedBalance":0}}"#);
            match ServerMessage::parse(text.as_bytes()) {
                Ok(ServerMessage::Balance(balance)) => Some(balance.balance.0),
                _ => None,
            }
        };
        assert_eq!(balance("4790222350"), Some(4_790_222_350));
        assert_eq!(balance("9007199254740993"), Some(9_007_199_254_740_993));
        assert_eq!(balance("12.75"), Some(12));
        assert_eq!(balance("-3"), Some(0));
        assert_eq!(balance("null"), None);
    }
}
