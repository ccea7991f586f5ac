//! `headers-random.json` and `genesis.json`: headers field by field, their hashes, and their proofs of work.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;
use nimiq::{Block, Header, Network};
use serde::Deserialize;

use super::super::Tally;
use super::{bytes, difference, first, proof_of_work, read, same_bytes, shown};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Row {
    header: String,
    version: u16,
    prev_hash: String,
    interlink_hash: String,
    body_hash: String,
    accounts_hash: String,
    n_bits: u32,
    height: u32,
    timestamp: u32,
    nonce: u32,
    hash: String,
    pow: String,
    valid: bool,
}

/// The fields of a header as the files spell them: four hashes (previous block, interlink, body, accounts), and four
/// numbers (target, height, timestamp, nonce).
pub(super) fn check_fields(header: &Header, hashes: [&str; 4], numbers: [u32; 4]) -> Option<String> {
    first([
        shown("prevHash", hashes[0], header.previous),
        shown("interlinkHash", hashes[1], header.interlink_hash),
        shown("bodyHash", hashes[2], header.body_hash),
        shown("accountsHash", hashes[3], header.accounts_hash),
        difference("nBits", numbers[0], header.target.0),
        difference("height", numbers[1], header.height.0),
        difference("timestamp", numbers[2], header.timestamp.0),
        difference("nonce", numbers[3], header.nonce),
    ])
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let rows: Vec<Row> = read(path)?;
    let mut tally = Tally::default();
    for (number, row) in rows.iter().enumerate() {
        tally.row(format_args!("header {number}"), row.check()?);
    }
    Ok(tally)
}

impl Row {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let serialised = bytes(&self.header)?;
        let header = Header::parse(&serialised).map_err(|error| anyhow!("{error}"))?;
        let work = proof_of_work(&serialised)?;
        Ok(first([
            difference("version", self.version, nimiq::header::VERSION),
            check_fields(
                &header,
                [&self.prev_hash, &self.interlink_hash, &self.body_hash, &self.accounts_hash],
                [self.n_bits, self.height, self.timestamp, self.nonce],
            ),
            same_bytes("header", &self.header, header.to_bytes()),
            shown("hash", &self.hash, header.hash()),
            shown("pow", &self.pow, work),
            difference("valid", self.valid, header.target.target().is_met_by(&work)),
        ]))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Genesis {
    network_id: u8,
    hash: String,
    hash_base64: String,
    pow: String,
    header: String,
    block: String,
    timestamp: u32,
    nonce: u32,
    extra_data: String,
}

pub fn run_genesis(path: &Path) -> anyhow::Result<Tally> {
    let rows: BTreeMap<String, Genesis> = read(path)?;
    let mut tally = Tally::default();
    for (name, row) in &rows {
        tally.row(name, row.check(name)?);
    }
    Ok(tally)
}

impl Genesis {
    fn check(&self, name: &str) -> anyhow::Result<Option<String>> {
        let network: Network = name.parse()?;
        let block = network.genesis_block();
        let parsed = Block::parse(&bytes(&self.block)?).map_err(|error| anyhow!("{error}"))?;
        Ok(first([
            difference("block", &parsed, &block),
            difference("network", self.network_id, network.id().0),
            shown("hash", &self.hash, network.genesis_hash()),
            shown("hash of the header", &self.hash, block.header.hash()),
            shown("hash in base64", &self.hash_base64, network.genesis_hash().to_base64()),
            shown("pow", &self.pow, proof_of_work(&block.header.to_bytes())?),
            same_bytes("header", &self.header, block.header.to_bytes()),
            same_bytes("serialised block", &self.block, block.to_bytes()),
            difference("timestamp", self.timestamp, block.header.timestamp.0),
            difference("nonce", self.nonce, block.header.nonce),
            same_bytes("extra data", &self.extra_data, block.body.extra_data.as_bytes()),
        ]))
    }
}
