//! Vectors of the Nimiq chain and its pool protocol, in any folder: the files are known by their names.
//!
//! Every field of every case is read, and one that no check knows makes the whole file fail.

mod addresses;
mod chain;
mod compact;
mod headers;
mod interlink;
mod merkle;
mod rewards;
mod rpc;
mod transactions;
mod transcripts;

use std::path::Path;

use anyhow::anyhow;
use nimiq::argon2d::Hasher;
use nimiq::{Address, ProofOfWork};

use super::Tally;
use super::blocks::{array, bytes, difference, read};

/// Runs one file of this family; `None` for files of others.
pub fn check(path: &Path) -> Option<anyhow::Result<Tally>> {
    match path.file_name()?.to_str()? {
        // The addresses of the other chain's blocks have a file of the same name.
        "addresses.json" if path.parent()?.file_name()? != "blocks" => Some(addresses::run(path)),
        "chain-dev.json" => Some(chain::run(path)),
        "compact.json" => Some(compact::run(path)),
        "genesis.json" => Some(headers::run_genesis(path)),
        "headers-random.json" => Some(headers::run(path)),
        "interlink.json" => Some(interlink::run(path)),
        "merkle.json" => Some(merkle::run(path)),
        "policy.json" => Some(rewards::run(path)),
        "rpc.json" => Some(rpc::run(path)),
        "transactions.json" => Some(transactions::run(path)),
        "transcripts.json" => Some(transcripts::run(path)),
        _ => None,
    }
}

/// The first of several comparisons that fails.
fn first(problems: impl IntoIterator<Item = Option<String>>) -> Option<String> {
    problems.into_iter().flatten().next()
}

/// Compares a thing, shown as text, with the text of the file.
fn shown(what: &str, expected: &str, got: impl std::fmt::Display) -> Option<String> {
    difference(what, expected, &got.to_string())
}

/// Compares bytes with the hexadecimal digits of the file.
fn same_bytes(what: &str, expected: &str, got: impl AsRef<[u8]>) -> Option<String> {
    difference(what, expected, &hex::encode(got))
}

/// An address of the file, which must be well written.
fn address(text: &str) -> anyhow::Result<Address> {
    Address::parse_any(text).map_err(|error| anyhow!("{text:?}: {error}"))
}

/// Argon2d of the header at the start of `bytes`.
fn proof_of_work(bytes: &[u8]) -> anyhow::Result<ProofOfWork> {
    let header = bytes.first_chunk().ok_or_else(|| anyhow!("{} bytes are no header", bytes.len()))?;
    Ok(Hasher::new().hash(header))
}
