//! `merkle.json`: trees with their paths, bodies with their proofs, and the forgery that must be noticed.

use std::path::Path;

use anyhow::{Context, anyhow};
use nimiq::account::PrunedAccount;
use nimiq::merkle::root;
use nimiq::share::smart::PoolLeaf;
use nimiq::share::{Announced, Refusal, SmartShare};
use nimiq::work::BodyTemplate;
use nimiq::{
    Address, Body, BodyHash, CompactTarget, ExtraData, Header, MerkleHash, MerklePath, Network, ShareTarget,
    Transaction,
};
use serde::Deserialize;

use super::super::Tally;
use super::{array, bytes, difference, first, read, same_bytes, shown};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    trees: Vec<Tree>,
    bodies: Vec<BodyRow>,
    forged: Vec<Forged>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tree {
    leaves: Vec<String>,
    root: String,
    paths: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct BodyRow {
    miner_addr: String,
    extra_data: String,
    transactions: Vec<String>,
    tx_hashes: Vec<String>,
    pruned_accounts: Vec<String>,
    body: String,
    body_hash: String,
    miner_addr_proof: String,
    extra_data_proof: String,
    template_merkle_hashes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Forged {
    pool_address: String,
    expected_extra_data: String,
    actual_miner_addr: String,
    actual_extra_data: String,
    body_hash: String,
    miner_addr_proof: String,
    extra_data_proof: String,
    plain_root_check_passes: bool,
    must_be: String,
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let file: File = read(path)?;
    let mut tally = Tally::default();
    for tree in &file.trees {
        tree.check(&mut tally)?;
    }
    for (number, body) in file.bodies.iter().enumerate() {
        tally.row(format_args!("body {number}"), body.check()?);
    }
    for (number, forged) in file.forged.iter().enumerate() {
        tally.row(format_args!("forged {number}"), forged.check()?);
    }
    Ok(tally)
}

fn path(digits: &str) -> anyhow::Result<MerklePath> {
    MerklePath::parse(&bytes(digits)?).map_err(|error| anyhow!("{error}"))
}

fn extra_data(digits: &str) -> anyhow::Result<ExtraData> {
    ExtraData::new(bytes(digits)?).context("more extra data than a block takes")
}

impl Tree {
    fn check(&self, tally: &mut Tally) -> anyhow::Result<()> {
        let leaves: anyhow::Result<Vec<_>> =
            self.leaves.iter().map(|leaf| Ok(MerkleHash::of_leaf(&bytes(leaf)?))).collect();
        let leaves = leaves?;
        let count = leaves.len();
        let whole = root(&leaves);
        tally.row(
            format_args!("tree of {count}"),
            first([shown("root", &self.root, whole), difference("paths", count, self.paths.len())]),
        );
        for (index, digits) in self.paths.iter().enumerate() {
            let built = MerklePath::of(&leaves, index).context("a path for each leaf")?;
            let problem = first([
                same_bytes("path", digits, built.to_bytes()),
                difference("parsed path", &built, &path(digits)?),
                difference("root of the path", whole, built.fold(leaves[index])),
            ]);
            tally.row(format_args!("path {index} of {count}"), problem);
        }
        Ok(())
    }
}

impl BodyRow {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let body = Body::parse(&bytes(&self.body)?).map_err(|error| anyhow!("{error}"))?;
        let miner = Address(array(&self.miner_addr)?);
        let extra_data = extra_data(&self.extra_data)?;
        let transactions: Vec<_> =
            body.transactions.iter().map(|transaction| hex::encode(transaction.to_bytes())).collect();
        let hashes: Vec<_> =
            body.transactions.iter().map(|transaction| transaction.hash().to_string()).collect();
        let pruned: Vec<_> =
            body.pruned_accounts.iter().map(|account| hex::encode(account.to_bytes())).collect();
        let siblings: anyhow::Result<Vec<_>> =
            self.template_merkle_hashes.iter().map(|digits| Ok(MerkleHash(array(digits)?))).collect();
        let above = body.miner_proof().siblings()[1..].iter().map(|sibling| sibling.hash).collect::<Vec<_>>();
        let siblings = siblings?;
        let from_template = BodyTemplate::new(&miner, siblings.clone()).body_hash(&extra_data);
        Ok(first([
            self.parts_alone()?,
            difference("miner", miner, body.miner),
            difference("extra data", &extra_data, &body.extra_data),
            difference("transactions", &self.transactions, &transactions),
            difference("transaction hashes", &self.tx_hashes, &hashes),
            difference("pruned accounts", &self.pruned_accounts, &pruned),
            same_bytes("body", &self.body, body.to_bytes()),
            shown("body hash", &self.body_hash, body.hash()),
            shown("body hash from the template", &self.body_hash, from_template),
            same_bytes("miner proof", &self.miner_addr_proof, body.miner_proof().to_bytes()),
            same_bytes("extra data proof", &self.extra_data_proof, body.extra_data_proof().to_bytes()),
            difference("siblings of the template", siblings, above),
        ]))
    }

    /// Transactions and accounts are read alone as well.
    fn parts_alone(&self) -> anyhow::Result<Option<String>> {
        let mut problems = Vec::new();
        for digits in &self.transactions {
            let transaction = Transaction::parse(&bytes(digits)?).map_err(|error| anyhow!("{error}"))?;
            problems.push(same_bytes("transaction", digits, transaction.to_bytes()));
        }
        for digits in &self.pruned_accounts {
            let account = PrunedAccount::parse(&bytes(digits)?).map_err(|error| anyhow!("{error}"))?;
            problems.push(same_bytes("pruned account", digits, account.to_bytes()));
        }
        Ok(first(problems))
    }
}

impl Forged {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let pool = Address(array(&self.pool_address)?);
        let expected = extra_data(&self.expected_extra_data)?;
        let share = SmartShare {
            header: Header {
                body_hash: BodyHash(array(&self.body_hash)?),
                ..Network::Dev.genesis_block().header
            },
            miner_proof: path(&self.miner_addr_proof)?,
            extra_data_proof: path(&self.extra_data_proof)?,
            block: None,
        };
        let root = MerkleHash(share.header.body_hash.0);
        let plain = share.miner_proof.fold(MerkleHash::of_leaf(&pool.0)) == root
            && share.extra_data_proof.fold(MerkleHash::of_leaf(expected.as_bytes())) == root;
        // What the body really holds: the two forged steps hide its leaves, the steps above them are its own.
        let above = share.miner_proof.siblings().iter().skip(2).map(|sibling| sibling.hash).collect();
        let actual = BodyTemplate::new(&Address(array(&self.actual_miner_addr)?), above);
        let target = ShareTarget::new(CompactTarget::EASIEST).context("difficulty 1 has a weight")?;
        let announced = [Announced::new(&expected, target)];
        let verdict = share.check_proofs(&PoolLeaf::new(&pool), &announced);
        Ok(first([
            difference("plain root check", self.plain_root_check_passes, plain),
            shown("body hash", &self.body_hash, actual.body_hash(&extra_data(&self.actual_extra_data)?)),
            difference(
                "verdict",
                self.must_be.as_str(),
                if verdict.is_err() { "rejected" } else { "accepted" },
            ),
            difference("refusal", Some(Refusal::ForgedProof), verdict.err()),
        ]))
    }
}
