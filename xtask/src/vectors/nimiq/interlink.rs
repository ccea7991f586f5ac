//! `interlink.json`: the interlink that a next block must carry, over changing targets.

use std::path::Path;

use anyhow::anyhow;
use nimiq::share::NextBlock;
use nimiq::{CompactTarget, LightBlock, Network, ProofOfWork};
use serde::Deserialize;

use super::super::Tally;
use super::{array, bytes, difference, first, read, same_bytes, shown};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    network: String,
    #[serde(default, rename = "about")]
    _about: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    block_hash: String,
    pow: String,
    n_bits: u32,
    light_block: String,
    interlink: Vec<String>,
    next_compact: u32,
    next_interlink: Vec<String>,
    next_interlink_serialized: String,
    next_interlink_hash: String,
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let file: File = read(path)?;
    let network: Network = file.network.parse()?;
    let mut tally = Tally::default();
    for (number, case) in file.cases.iter().enumerate() {
        tally.row(format_args!("case {number}"), case.check(network)?);
    }
    Ok(tally)
}

/// The entries as the file writes them.
pub(super) fn texts(interlink: &nimiq::Interlink) -> Vec<String> {
    interlink.hashes().iter().map(ToString::to_string).collect()
}

impl Case {
    fn check(&self, network: Network) -> anyhow::Result<Option<String>> {
        let block = LightBlock::parse(&bytes(&self.light_block)?).map_err(|error| anyhow!("{error}"))?;
        let next = CompactTarget(self.next_compact);
        let next = NextBlock::on(&block, ProofOfWork(array(&self.pow)?), next, &network.genesis_hash());
        Ok(first([
            shown("hash", &self.block_hash, block.header.hash()),
            difference("nBits", self.n_bits, block.header.target.0),
            same_bytes("light block", &self.light_block, block.to_bytes()),
            difference("interlink", &self.interlink, &texts(&block.interlink)),
            difference("next interlink", &self.next_interlink, &texts(&next.interlink)),
            same_bytes(
                "next interlink, serialised",
                &self.next_interlink_serialized,
                next.interlink.to_bytes(),
            ),
            shown("next interlink hash", &self.next_interlink_hash, next.interlink_hash),
        ]))
    }
}
