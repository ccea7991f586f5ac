//! Vectors of blocks and shares: difficulty, attempts, trees, selection, whole shares, and the chain's arithmetic.

mod attempts;
mod chain;
mod difficulty;
mod selection;
mod shares;
mod trees;

use std::path::Path;

use anyhow::{Context, anyhow};
use packetcrypt::CompactTarget;
use packetcrypt::target::Number;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Tally;

/// Runs one file of this family; `None` for files of others.
pub fn check(path: &Path) -> Option<anyhow::Result<Tally>> {
    if path.parent()?.file_name()? != "blocks" {
        return None;
    }
    match path.file_name()?.to_str()? {
        "difficulty.json" => Some(difficulty::run(path)),
        "attempts.json" => Some(attempts::run(path)),
        "trees.json" => Some(trees::run(path)),
        "selection.json" => Some(selection::run(path)),
        "shares_valid.json" => Some(shares::run_valid(path)),
        "shares_altered.json" => Some(shares::run_altered(path)),
        "chain.json" => Some(chain::run(path)),
        "addresses.json" => Some(chain::run_addresses(path)),
        _ => None,
    }
}

/// Reads a whole file of cases.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

/// `None` where two things are the same, else what was expected and what came.
// By value, since both are mostly made on the spot.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn difference<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, got: T) -> Option<String> {
    (expected != got).then(|| format!("{what}: expected {expected:?}, got {got:?}"))
}

/// Bytes from hexadecimal digits.
pub(super) fn bytes(digits: &str) -> anyhow::Result<Vec<u8>> {
    hex::decode(digits).with_context(|| format!("{digits:?} is no hexadecimal text"))
}

/// Exactly `N` bytes from hexadecimal digits.
pub(super) fn array<const N: usize>(digits: &str) -> anyhow::Result<[u8; N]> {
    bytes(digits)?.try_into().map_err(|_| anyhow!("{digits:?} are not {N} bytes"))
}

/// A compact target from eight hexadecimal digits.
pub(super) fn target(digits: &str) -> anyhow::Result<CompactTarget> {
    u32::from_str_radix(digits, 16)
        .map(CompactTarget)
        .with_context(|| format!("{digits:?} is no compact target"))
}

/// A row of columns whose meaning is in the name of its table.
struct Row(Vec<Value>);

impl Row {
    /// All rows of a table.
    fn all(tables: &Value, name: &str) -> anyhow::Result<Vec<Self>> {
        let rows =
            tables.get(name).and_then(Value::as_array).with_context(|| format!("no table {name:?}"))?;
        Ok(rows.iter().map(|row| Self(row.as_array().cloned().unwrap_or_default())).collect())
    }

    fn value(&self, column: usize) -> anyhow::Result<&Value> {
        self.0.get(column).with_context(|| format!("no column {column} in {:?}", self.0))
    }

    fn text(&self, column: usize) -> anyhow::Result<&str> {
        self.value(column)?.as_str().with_context(|| format!("column {column} of {:?} is no text", self.0))
    }

    fn flag(&self, column: usize) -> anyhow::Result<bool> {
        self.value(column)?.as_bool().with_context(|| format!("column {column} of {:?} is no bool", self.0))
    }

    fn target(&self, column: usize) -> anyhow::Result<CompactTarget> {
        target(self.text(column)?)
    }

    /// A whole number, as such or as decimal text.
    fn decimal<T: std::str::FromStr>(&self, column: usize) -> anyhow::Result<T> {
        let text = match self.value(column)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        text.parse().map_err(|_| anyhow!("column {column} of {:?} is no such number", self.0))
    }

    /// A large number in hexadecimal digits.
    fn number(&self, column: usize) -> anyhow::Result<Number> {
        let digits = self.text(column)?;
        Number::from_str_radix(digits, 16).map_err(|_| anyhow!("{digits:?} is no hexadecimal number"))
    }
}
