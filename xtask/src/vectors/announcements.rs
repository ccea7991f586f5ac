//! Vectors of announcements: from the hash functions to whole announcements, one JSON object in each line.

mod programs;
mod proofs;
mod states;

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use packetcrypt::hash::{blake2b_256, expand};
use serde_json::Value;

use super::Tally;

/// Runs one file of this family; `None` for files of others.
pub fn check(path: &Path) -> Option<anyhow::Result<Tally>> {
    if path.parent()?.file_name()? != "announcements" {
        return None;
    }
    let run_row: fn(&Row) -> anyhow::Result<()> = match path.file_name()?.to_str()? {
        "hash.jsonl" => states::hash,
        "cryptocycle.jsonl" => states::crypto_cycle,
        "randgen.jsonl" => programs::rand_gen,
        "randgen_full.jsonl" => programs::rand_gen_full,
        "opcodes.jsonl" => programs::opcode,
        "randhash.jsonl" => programs::rand_hash,
        "randhash_limits.jsonl" => programs::rand_hash_limit,
        "items.jsonl" => proofs::item,
        "merkle.jsonl" => proofs::merkle,
        "work.jsonl" => proofs::work,
        "trace.jsonl" => proofs::trace,
        "anns_valid.jsonl" => proofs::valid,
        "anns_invalid.jsonl" => proofs::invalid,
        _ => return None,
    };
    Some(run(path, run_row))
}

fn run(path: &Path, run_row: fn(&Row) -> anyhow::Result<()>) -> anyhow::Result<Tally> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut tally = Tally::default();
    for (index, line) in text.lines().enumerate() {
        let outcome =
            serde_json::from_str(line).map_err(anyhow::Error::from).and_then(|value| run_row(&Row(value)));
        tally.row(format_args!("line {}", index + 1), outcome.err().map(|error| format!("{error:#}")));
    }
    Ok(tally)
}

/// One line of a file: inputs to take out, and outputs to compare with.
struct Row(Value);

impl Row {
    fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some()
    }

    fn value(&self, key: &str) -> anyhow::Result<&Value> {
        self.0.get(key).ok_or_else(|| anyhow!("{key} is missing"))
    }

    fn text(&self, key: &str) -> anyhow::Result<&str> {
        self.value(key)?.as_str().ok_or_else(|| anyhow!("{key} is no text"))
    }

    fn number(&self, key: &str) -> anyhow::Result<u64> {
        self.value(key)?.as_u64().ok_or_else(|| anyhow!("{key} is no whole number"))
    }

    fn flag(&self, key: &str) -> anyhow::Result<bool> {
        self.value(key)?.as_bool().ok_or_else(|| anyhow!("{key} is neither true nor false"))
    }

    fn list(&self, key: &str) -> anyhow::Result<&[Value]> {
        self.value(key)?.as_array().map(Vec::as_slice).ok_or_else(|| anyhow!("{key} is no list"))
    }

    /// A number written as hexadecimal digits, most significant first.
    fn hex_number(&self, key: &str) -> anyhow::Result<u64> {
        u64::from_str_radix(self.text(key)?, 16).with_context(|| key.to_owned())
    }

    fn bytes(&self, key: &str) -> anyhow::Result<Vec<u8>> {
        hex::decode(self.text(key)?).with_context(|| key.to_owned())
    }

    fn array<const N: usize>(&self, key: &str) -> anyhow::Result<[u8; N]> {
        self.bytes(key)?.try_into().map_err(|_| anyhow!("{key} is not of {N} bytes"))
    }

    /// A list of 32-bit words, each of eight hexadecimal digits.
    fn words(&self, key: &str) -> anyhow::Result<Vec<u32>> {
        let word = |value: &Value| u32::from_str_radix(value.as_str().unwrap_or("no text"), 16);
        self.list(key)?.iter().map(word).collect::<Result<_, _>>().with_context(|| key.to_owned())
    }

    /// `EXPAND` of the seed and number under two keys.
    fn expanded<const N: usize>(&self, seed: &str, number: &str) -> anyhow::Result<[u8; N]> {
        expanded(&self.array(seed)?, self.number(number)?)
    }

    /// Fails unless the row says the same under `key`.
    fn same(&self, key: &str, got: impl Into<Value>) -> anyhow::Result<()> {
        let (expected, got) = (self.value(key)?, got.into());
        if *expected != got {
            bail!("{key}: expected {expected}, got {got}");
        }
        Ok(())
    }

    fn same_bytes(&self, key: &str, got: &[u8]) -> anyhow::Result<()> {
        self.same(key, hex::encode(got))
    }

    /// Fails unless the row gives the digest of `data` under `key`.
    fn same_digest(&self, key: &str, data: &[u8]) -> anyhow::Result<()> {
        self.same_bytes(key, &blake2b_256(data))
    }
}

fn expanded<const N: usize>(seed: &[u8; 32], number: u64) -> anyhow::Result<[u8; N]> {
    let mut out = [0; N];
    expand(seed, u32::try_from(number)?, &mut out);
    Ok(out)
}

/// Words as little-endian bytes.
fn bytes_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
