//! `trees.json`: roots, proofs, hashes that a tree cannot hold, and altered proofs.

use std::path::Path;

use anyhow::Context;
use packetcrypt::AnnouncementHash;
use packetcrypt::block::order::arrange;
use packetcrypt::block::proof_tree::{ProofTree, indexes_of};
use packetcrypt::block::tree_proof::{TreeProofFault, verify};
use packetcrypt::block::{AnnouncementCount, TreeRoot};
use packetcrypt::hash::blake2b_256;
use serde::Deserialize;

use super::super::Tally;
use super::{array, bytes, difference, read};

#[derive(Deserialize)]
struct File {
    trees: Vec<Tree>,
    special: Vec<Special>,
    bad: Vec<Altered>,
}

#[derive(Deserialize)]
struct Tree {
    seed: String,
    n: u64,
    root: String,
    proofs: Vec<Proved>,
}

#[derive(Deserialize)]
struct Proved {
    idx: [u64; 4],
    raw: [String; 4],
    proof: String,
    pktd: bool,
}

#[derive(Deserialize)]
struct Special {
    name: String,
    input: Vec<String>,
    kept: Vec<String>,
    root: String,
}

#[derive(Deserialize)]
struct Altered {
    kind: String,
    n: String,
    raw: [String; 4],
    ann_hashes: [String; 4],
    proof: String,
    root: String,
    expected: String,
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let file: File = read(path)?;
    let mut tally = Tally::default();
    for tree in &file.trees {
        tree.check(&mut tally)?;
    }
    for special in &file.special {
        tally.row(&special.name, special.check()?);
    }
    for (number, altered) in file.bad.iter().enumerate() {
        tally.row(format_args!("bad {number}, {}", altered.kind), altered.check()?);
    }
    Ok(tally)
}

/// The tree over hashes in any order.
fn tree_of(mut hashes: Vec<AnnouncementHash>) -> anyhow::Result<ProofTree> {
    arrange(&mut hashes, |hash| hash);
    Ok(ProofTree::build(hashes)?)
}

fn hashes(digits: &[String]) -> anyhow::Result<Vec<AnnouncementHash>> {
    digits.iter().map(|digits| Ok(AnnouncementHash(array(digits)?))).collect()
}

fn numbers(texts: &[String; 4]) -> anyhow::Result<[u64; 4]> {
    let numbers = texts.iter().map(|text| text.parse()).collect::<Result<Vec<u64>, _>>()?;
    numbers.try_into().map_err(|_| anyhow::anyhow!("not four numbers"))
}

impl Tree {
    fn check(&self, tally: &mut Tally) -> anyhow::Result<()> {
        let hash = |number| AnnouncementHash(blake2b_256(format!("{}/{number}", self.seed).as_bytes()));
        let tree = tree_of((0..self.n).map(hash).collect())?;
        let root = TreeRoot(array(&self.root)?);
        tally.row(&self.seed, difference("root", root, tree.root()));
        for (number, proved) in self.proofs.iter().enumerate() {
            tally.row(format_args!("{} proof {number}", self.seed), proved.check(&tree, root)?);
        }
        Ok(())
    }
}

impl Proved {
    fn check(&self, tree: &ProofTree, root: TreeRoot) -> anyhow::Result<Option<String>> {
        let numbers = numbers(&self.raw)?;
        let indexes = indexes_of(tree.count(), numbers);
        let proof = tree.prove(indexes).context("an index outside the tree")?;
        let drawn = indexes.map(|index| tree.announcement(index).copied());
        let [Some(a), Some(b), Some(c), Some(d)] = drawn else { anyhow::bail!("an index outside the tree") };
        let verdict = verify(&[a, b, c, d], tree.count(), numbers, &proof);
        let as_expected = match verdict {
            Ok(proved) => self.pktd && proved == root,
            Err(TreeProofFault::LastOfEvenCount { .. }) => !self.pktd,
            Err(_) => false,
        };
        let steps = [
            difference("indexes", self.idx, indexes),
            difference("proof", self.proof.clone(), hex::encode(&proof)),
            (!as_expected).then(|| format!("verdict: the node accepts: {}, got {verdict:?}", self.pktd)),
        ];
        Ok(steps.into_iter().flatten().next())
    }
}

impl Special {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let mut arranged = hashes(&self.input)?;
        arrange(&mut arranged, |hash| hash);
        let tree = tree_of(hashes(&self.input)?)?;
        let kept = difference("kept", hashes(&self.kept)?, arranged);
        Ok(kept.or(difference("root", TreeRoot(array(&self.root)?), tree.root())))
    }
}

impl Altered {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let drawn = hashes(&self.ann_hashes)?.try_into().map_err(|_| anyhow::anyhow!("not four hashes"))?;
        let verdict = match AnnouncementCount::new(self.n.parse()?) {
            Some(count) => verify(&drawn, count, numbers(&self.raw)?, &bytes(&self.proof)?).ok(),
            None => None,
        };
        let expected = match self.expected.as_str() {
            "error" => None,
            "same" => Some(TreeRoot(array(&self.root)?)),
            other => Some(TreeRoot(array(other)?)),
        };
        Ok(difference("root", expected, verdict))
    }
}
