//! The error object of a call: pktd's codes and texts.

use serde_json::{Value, json};

use super::VERSION;

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// pktd leaves it out for faults in transactions.
    pub code: Option<i64>,
    /// The text, beginning with the version.
    pub message: String,
}

impl Refusal {
    /// An error with a name and a number.
    fn typed(name: &str, code: i64, text: impl AsRef<str>) -> Self {
        Self { code: Some(code), message: format!("{VERSION} {name}({code}): {}", text.as_ref()) }
    }

    /// An error without a name.
    pub fn untyped(text: impl AsRef<str>) -> Self {
        Self { code: Some(-32603), message: format!("{VERSION} {}", text.as_ref()) }
    }

    /// An error that has not even a number: a transaction that cannot be read.
    pub fn without_code(text: impl AsRef<str>) -> Self {
        Self { code: None, message: format!("{VERSION} {}", text.as_ref()) }
    }

    /// Unknown method.
    pub fn method_not_found() -> Self {
        Self::typed("ErrRPCMethodNotFound", -32601, "Method not found")
    }

    /// Too many, too few or other parameters.
    pub fn invalid_params(text: impl AsRef<str>) -> Self {
        Self::typed("ErrRPCInvalidParams", -32602, text)
    }

    /// Something inside fails.
    pub fn internal(text: impl AsRef<str>) -> Self {
        Self::typed("ErrRPCInternal", -32603, text)
    }

    /// No block of that hash.
    pub fn block_not_found() -> Self {
        Self::typed("ErrRPCBlockNotFound", -5, "Block not found")
    }

    /// No block at that height.
    pub fn height_out_of_range() -> Self {
        Self::typed("ErrBlockHeightOutOfRange", -8, "Block number out of range")
    }

    /// A parameter that should be hexadecimal.
    pub fn not_hex(text: &str) -> Self {
        let text: String = text.chars().take(100).collect();
        let message = format!("Argument must be hexadecimal string (not \"{text}\")");
        Self::typed("ErrRPCDecodeHexString", -22, message)
    }

    /// Bytes that are no block.
    pub fn deserialization(text: impl AsRef<str>) -> Self {
        Self::typed("ErrRPCDeserialization", -22, text)
    }

    /// A share that does not fit together.
    pub fn share_verification(text: impl AsRef<str>) -> Self {
        Self::typed("ErrRPCVerify", -25, format!("Share validation failed: {}", text.as_ref()))
    }

    /// The error object. Like pktd's it has a call stack, which nobody should read.
    pub fn to_json(&self) -> Value {
        let stack = ["  headframe dev chain"];
        match self.code {
            Some(code) => json!({"code": code, "message": self.message, "stack": stack}),
            None => json!({"message": self.message, "stack": stack}),
        }
    }
}
