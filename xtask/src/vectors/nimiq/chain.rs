//! `chain-dev.json`: consecutive blocks of a real chain, each by itself and on top of the one before it; and each put
//! together again from what a node says of it.

use std::path::Path;

use anyhow::anyhow;
use nimiq::difficulty::Window;
use nimiq::light_block_recovery::{Ancestor, BlockFacts, Bootstrap, bootstrap, chained};
use nimiq::share::NextBlock;
use nimiq::transaction::block_order;
use nimiq::{Block, Decimal, LightBlock, Network, ProofOfWork, Timestamp, reward};
use serde::Deserialize;

use super::super::Tally;
use super::headers::check_fields;
use super::interlink::texts;
use super::{bytes, difference, first, proof_of_work, read, same_bytes, shown};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    network: String,
    #[serde(default, rename = "about")]
    _about: String,
    blocks: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Row {
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
    interlink: Vec<String>,
    miner_addr: String,
    extra_data: String,
    tx_hashes: Vec<String>,
    fees: u64,
    reward: u64,
    pruned_accounts: usize,
    light: String,
    block: String,
}

/// A block with its proof of work.
struct Mined {
    block: Block,
    proof_of_work: ProofOfWork,
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let file: File = read(path)?;
    let network: Network = file.network.parse()?;
    let mut tally = Tally::default();
    let mut chain: Vec<Mined> = Vec::new();
    for row in &file.blocks {
        let block = Block::parse(&bytes(&row.block)?).map_err(|error| anyhow!("{error}"))?;
        let proof_of_work = proof_of_work(&block.header.to_bytes())?;
        let mined = Mined { block, proof_of_work };
        let height = mined.block.header.height;
        tally.row(format_args!("block {height}"), row.check(&mined, network)?);
        if let Some(below) = chain.last() {
            tally.row(
                format_args!("block {height} on the one before"),
                on_top(below, &mined, &chain, network),
            );
            tally
                .row(format_args!("block {height} from its template"), from_template(below, &mined, network));
        }
        chain.push(mined);
    }
    for index in 0..chain.len().saturating_sub(1) {
        // Where the file begins in the middle of the chain, ancestors may be missing.
        if let Some(found) = from_ancestors(&chain, index, network) {
            let block = &chain[index].block;
            let problem = difference("search", Bootstrap::Found(block.to_light()), found);
            tally.row(format_args!("block {} from its ancestors", block.header.height), problem);
        }
    }
    Ok(tally)
}

impl Row {
    fn check(&self, mined: &Mined, network: Network) -> anyhow::Result<Option<String>> {
        let Block { header, interlink, body } = &mined.block;
        let light = LightBlock::parse(&bytes(&self.light)?).map_err(|error| anyhow!("{error}"))?;
        let hashes: Vec<_> =
            body.transactions.iter().map(|transaction| transaction.hash().to_string()).collect();
        let ordered = body
            .transactions
            .is_sorted_by(|first, second| block_order(&first.content(), &second.content()).is_lt());
        let is_genesis = header.hash() == network.genesis_hash();
        let valid = body.transactions.iter().all(|transaction| {
            transaction.check(network.id()).is_ok() && transaction.content().is_valid_at(header.height)
        });
        Ok(first([
            check_fields(
                header,
                [&self.prev_hash, &self.interlink_hash, &self.body_hash, &self.accounts_hash],
                [self.n_bits, self.height, self.timestamp, self.nonce],
            ),
            shown("hash", &self.hash, header.hash()),
            shown("pow", &self.pow, mined.proof_of_work),
            difference("proof of work is met", true, header.target.target().is_met_by(&mined.proof_of_work)),
            difference("interlink", &self.interlink, &texts(interlink)),
            difference(
                "interlink hash",
                is_genesis,
                interlink.hash(&network.genesis_hash()) != header.interlink_hash,
            ),
            same_bytes("miner", &self.miner_addr, body.miner.0),
            same_bytes("extra data", &self.extra_data, body.extra_data.as_bytes()),
            difference("transactions", &self.tx_hashes, &hashes),
            difference("transactions are in order", true, ordered),
            difference("transactions are valid", true, valid),
            difference("fees", Some(self.fees), body.fees().map(|fees| fees.0)),
            difference("reward", self.reward, reward::block_reward(header.height).0),
            difference("pruned accounts", self.pruned_accounts, body.pruned_accounts.len()),
            difference("body is the header's", true, mined.block.has_its_body()),
            same_bytes("block", &self.block, mined.block.to_bytes()),
            same_bytes("light block", &self.light, light.to_bytes()),
            difference("light block of the block", &mined.block.to_light(), &light),
        ]))
    }
}

/// What must be on top of a block, if what is on top of it has the right target.
fn next(below: &Mined, above: &Mined, network: Network) -> NextBlock {
    let target = above.block.header.target;
    NextBlock::on(&below.block.to_light(), below.proof_of_work, target, &network.genesis_hash())
}

fn on_top(below: &Mined, above: &Mined, chain: &[Mined], network: Network) -> Option<String> {
    let expected = next(below, above, network);
    let now = Timestamp(above.block.header.timestamp.0);
    let target = window(chain)
        .map(|window| difference("next target", Some(above.block.header.target), window.next_target()));
    first([
        difference("rules of the next block", Ok(()), expected.check(&above.block.header, now)),
        difference("interlink", &expected.interlink, &above.block.interlink),
        target.flatten(),
    ])
}

/// What the next target depends on; nothing where the file does not hold the whole window.
fn window(chain: &[Mined]) -> Option<Window> {
    let head = chain.last()?.block.header;
    let tail = Window::tail(head.height);
    let window: Vec<_> = chain.iter().skip_while(|mined| mined.block.header.height < tail).collect();
    let tail = window.first().map(|mined| mined.block.header).filter(|header| header.height == tail)?;
    let difficulties = window[1..].iter().map(|mined| mined.block.header.target.difficulty().to_decimal());
    let difficulty = difficulties.into_iter().try_fold(Decimal::ZERO, Decimal::checked_add)?;
    let (head_timestamp, tail_timestamp) = (head.timestamp, tail.timestamp);
    Some(Window { head: head.height, head_timestamp, tail_timestamp, difficulty })
}

fn facts(mined: &Mined) -> BlockFacts {
    let header = mined.block.header;
    BlockFacts {
        height: header.height,
        hash: header.hash(),
        previous: header.previous,
        proof_of_work: mined.proof_of_work,
        difficulty: header.target.difficulty(),
        body_hash: header.body_hash,
        accounts_hash: header.accounts_hash,
        timestamp: header.timestamp,
        nonce: header.nonce,
    }
}

fn from_template(below: &Mined, above: &Mined, network: Network) -> Option<String> {
    let found = chained(&facts(above), &next(below, above, network));
    difference("light block", Some(above.block.to_light()), found)
}

/// How the search for a head ends; nothing where it needs an ancestor that the file does not hold.
fn from_ancestors(chain: &[Mined], index: usize, network: Network) -> Option<Bootstrap> {
    let head = &chain[index];
    let template = next(head, &chain[index + 1], network);
    let mut ancestors = Vec::new();
    loop {
        match bootstrap(&facts(head), &template, &ancestors, network) {
            Bootstrap::Ask(height) => {
                let mined = chain.iter().find(|mined| mined.block.header.height == height)?;
                ancestors
                    .push(Ancestor { hash: mined.block.header.hash(), proof_of_work: mined.proof_of_work });
            }
            end => return Some(end),
        }
    }
}
