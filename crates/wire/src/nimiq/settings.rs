//! `settings`: what a client's block must pay and carry, and what a share must meet (`docs/protocol/nimiq-pool.md` 1.4).

use nimiq::{Address, CompactTarget, Decimal, ExtraData, PayoutNonce, ShareTarget};
use serde::Serialize;
use serde_json::Number;

use super::members::{self, to_base64};
use super::server_message::Members;
use crate::{FormatError, json};

const DOCUMENT: &str = "settings";

/// A share target as decimal text, perhaps with an exponent: kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetText(String);

/// What a client is to mine with from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The pool's address: whom the block pays.
    pub address: Address,
    /// What the block carries.
    pub extra_data: ExtraData,
    /// The share target again, for clients that do not know compact ones.
    pub target: Option<TargetText>,
    /// The share target.
    pub target_compact: CompactTarget,
    /// What a payout request must sign.
    pub nonce: Option<PayoutNonce>,
    /// The part of every reward that the pool keeps: 0.01 is 1 %.
    pub pool_fee: Option<Decimal>,
}

impl TargetText {
    /// As a plain whole number, which agrees exactly with the compact form.
    pub fn of(target: &ShareTarget) -> Self {
        Self(target.target().to_string())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number.
    pub fn to_decimal(&self) -> Decimal {
        self.0.parse().unwrap_or_default()
    }

    fn parse(text: &str) -> Result<Self, FormatError> {
        let number = text.parse::<Decimal>();
        number.map_err(|error| FormatError::field(DOCUMENT, "target", error.to_string(), text))?;
        Ok(Self(text.to_owned()))
    }
}

impl Settings {
    /// What a pool sends.
    pub fn new(
        address: Address,
        extra_data: ExtraData,
        target: &ShareTarget,
        nonce: PayoutNonce,
        pool_fee: Decimal,
    ) -> Self {
        Self {
            address,
            extra_data,
            target: Some(TargetText::of(target)),
            target_compact: target.compact(),
            nonce: Some(nonce),
            pool_fee: Some(pool_fee),
        }
    }

    pub(super) fn read(members: &Members<'_>) -> Result<Self, FormatError> {
        let extra_data = members::base64(DOCUMENT, "extraData", members.extra_data.as_deref())?;
        let extra_data = ExtraData::new(extra_data).filter(|data| !data.as_bytes().is_empty());
        let target = members.target.as_deref().map(TargetText::parse).transpose()?;
        let compact = match (&members.target_compact, &target) {
            (Some(number), _) if number.as_u64() != Some(0) => {
                CompactTarget(members::u32(DOCUMENT, "targetCompact", Some(number))?)
            }
            (_, Some(text)) if text.to_decimal() >= Decimal::ONE => CompactTarget::nearest(text.to_decimal()),
            _ => members::required(DOCUMENT, "targetCompact", "a compact target", None)?,
        };
        Ok(Self {
            address: members::address(DOCUMENT, "address", members.address.as_deref())?,
            extra_data: members::required(DOCUMENT, "extraData", "1 to 255 bytes", extra_data)?,
            target,
            target_compact: compact,
            nonce: members.nonce.as_ref().and_then(Number::as_u64).and_then(PayoutNonce::new),
            pool_fee: members.pool_fee.as_ref().and_then(|fee| fee.to_string().parse().ok()),
        })
    }

    pub(super) fn to_text(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Text<'a> {
            message: &'static str,
            address: String,
            extra_data: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            target: Option<&'a str>,
            target_compact: u32,
            #[serde(skip_serializing_if = "Option::is_none")]
            nonce: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            pool_fee: Option<Number>,
        }
        json::compact(&Text {
            message: DOCUMENT,
            address: self.address.to_string(),
            extra_data: to_base64(self.extra_data.as_bytes()),
            target: self.target.as_ref().map(TargetText::as_str),
            target_compact: self.target_compact.0,
            nonce: self.nonce.map(PayoutNonce::get),
            pool_fee: self.pool_fee.and_then(|fee| fee.to_string().parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServerMessage;
    use super::*;

    fn settings(more: &str) -> Result<Settings, FormatError> {
        let text = format!(
            r#"{{"message":"settings","address":"NQ32 QPH1 MCE9 XQ12 T0E3 N9F3 8DNB FUEY EYUN","extraData":"AA=="{more}}}"#
        );
        match ServerMessage::parse(text.as_bytes())? {
            ServerMessage::Settings(settings) => Ok(settings),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_two_targets_of_a_pool_agree_exactly() {
        let target = ShareTarget::new(CompactTarget(0x1f10_aaaa)).unwrap();
        let (address, extra_data) = (Address([1; 20]), ExtraData::cut(b"x"));
        let fee = "0.01".parse().unwrap();
        let settings = Settings::new(address, extra_data, &target, PayoutNonce::new(7).unwrap(), fee);
        let text = ServerMessage::Settings(settings).to_text();
        assert!(text.ends_with(r#""targetCompact":521185962,"nonce":7,"poolFee":0.01}"#), "{text}");
        let whole = format!(r#""target":"{}""#, target.target());
        assert!(text.contains(&whole), "{text}");
    }

    #[test]
    fn the_decimal_target_is_used_where_the_compact_one_is_missing() {
        let compact = |more: &str| settings(more).map(|settings| settings.target_compact.0);
        let decimal =
            r#","target":"3.533694129556768659166595001485837031654967793751237916243212402585239552e+73""#;
        assert_eq!(compact(decimal), Ok(521_404_416));
        assert_eq!(compact(&format!(r#"{decimal},"targetCompact":0"#)), Ok(521_404_416));
        assert_eq!(compact(&format!(r#"{decimal},"targetCompact":520159232"#)), Ok(520_159_232));
        assert!(compact("").is_err());
        assert!(compact(r#","target":"0""#).is_err());
        assert!(compact(r#","target":"none""#).is_err());
        assert!(compact(r#","targetCompact":4294967296"#).is_err());
    }
}
