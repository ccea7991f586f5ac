//! The envelope of every answer to a post (`docs/protocol/packetcrypt-pool.md` 2.5).

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{FormatError, Refusal, json};

/// The largest reply that a client reads.
pub const LIMIT: usize = 1 << 20;

const DOCUMENT: &str = "reply";

/// What a handler or the PayMaker answers to a post: exactly these three members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<T> {
    /// What the sender should know although the post was taken.
    pub warn: Vec<String>,
    /// Why the post was refused; empty if it was not.
    pub error: Vec<String>,
    /// What came of the post.
    pub result: Option<T>,
}

/// How a role writes a result that is not there; clients of that role expect it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyResult {
    /// `null`: announcement handlers.
    Null,
    /// `""`: block handlers and the PayMaker.
    EmptyText,
}

impl<T> Reply<T> {
    /// The post was taken.
    pub fn accepted(result: T) -> Self {
        Self { warn: Vec::new(), error: Vec::new(), result: Some(result) }
    }

    /// The post was refused.
    pub fn refused(refusal: &Refusal) -> Self {
        Self { warn: Vec::new(), error: vec![refusal.to_string()], result: None }
    }

    /// The same reply with one more warning.
    #[must_use]
    pub fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warn.push(warning.into());
        self
    }
}

impl<T: Serialize> Reply<T> {
    /// The JSON text, on one line.
    pub fn to_json(&self, empty: EmptyResult) -> String {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum AnyResult<'a, T> {
            Present(&'a T),
            Text(&'static str),
            Null(()),
        }
        #[derive(Serialize)]
        struct Text<'a, T> {
            warn: &'a [String],
            error: &'a [String],
            result: AnyResult<'a, T>,
        }
        json::compact(&Text {
            warn: &self.warn,
            error: &self.error,
            result: match (&self.result, empty) {
                (Some(result), _) => AnyResult::Present(result),
                (None, EmptyResult::EmptyText) => AnyResult::Text(""),
                (None, EmptyResult::Null) => AnyResult::Null(()),
            },
        })
    }
}

impl<T: DeserializeOwned> Reply<T> {
    /// Reads a reply of any role. A missing member counts as empty; a `result` that is no object is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        #[derive(Deserialize)]
        struct Text {
            #[serde(default)]
            warn: Vec<String>,
            #[serde(default)]
            error: Vec<String>,
            #[serde(default)]
            result: Value,
        }
        let text: Text = json::parse(DOCUMENT, bytes, LIMIT)?;
        let result = match text.result {
            object @ Value::Object(_) => Some(serde_json::from_value(object).map_err(|error| {
                FormatError::Json { document: DOCUMENT, reason: format!("`result`: {error}") }
            })?),
            _ => None,
        };
        Ok(Self { warn: text.warn, error: text.error, result })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{AnnsEvent, arbitrary, refusal::Role};

    type AnyReply = Reply<serde_json::Map<String, Value>>;

    #[test]
    fn a_refusal_has_all_three_members() {
        let refused = AnyReply::refused(&Refusal::Overloaded { role: Role::AnnHandler });
        assert_eq!(refused.to_json(EmptyResult::Null), r#"{"warn":[],"error":["overloaded"],"result":null}"#);
        assert_eq!(
            refused.to_json(EmptyResult::EmptyText),
            r#"{"warn":[],"error":["overloaded"],"result":""}"#
        );
    }

    #[test]
    fn a_result_that_is_no_object_is_none() {
        for text in [r#"{"result":null}"#, r#"{"result":""}"#, "{}", r#"{"result":7,"warn":[],"new":1}"#] {
            let reply = AnyReply::parse(text.as_bytes()).unwrap();
            assert_eq!((reply.result, reply.warn, reply.error), (None, vec![], vec![]), "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(event in arbitrary::anns_event(), warn: Vec<String>, error: Vec<String>) {
            let reply = Reply { warn, error, result: Some(event) };
            prop_assert_eq!(Reply::<AnnsEvent>::parse(reply.to_json(EmptyResult::Null).as_bytes()), Ok(reply));
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>) {
            let _ = AnyReply::parse(&bytes);
        }
    }
}
