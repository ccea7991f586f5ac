//! Vectors of blocks that a node accepted, with the shares and work they came from.

use std::path::Path;

use anyhow::{Context, anyhow};
use packetcrypt::block::check::{ProofChecker, ProofClaim, Reaches};
use packetcrypt::block::commitment::find_in;
use packetcrypt::block::header::{HEADER_SIZE, Header, double_sha256};
use packetcrypt::block::share::{Share, ShareFault, ShareWork};
use packetcrypt::block::tree_proof::TreeProofFault;
use packetcrypt::block::{Commitment, Elements, Proof, Transaction, check::ProofFault};
use packetcrypt::check::Rules;
use packetcrypt::{BlockHash, Height};
use serde::Deserialize;
use wire::template::BlockTemplate;
use wire::work::WorkFile;
use wire::{share_post::SharePost, var_int};

use super::Tally;
use super::blocks::{array, bytes, difference, read, target};

/// Runs one file of this family; `None` for files of others.
pub fn check(path: &Path) -> Option<anyhow::Result<Tally>> {
    let folder = path.parent()?.file_name()?.to_str()?;
    let name = path.file_name()?.to_str()?;
    match folder {
        "even-count" => Some(one_row(name, || read::<EvenCount>(path)?.check())),
        "blocks-real" if name.starts_with("share-") => {
            Some(read(path).and_then(|case: ShareCase| case.run()))
        }
        "blocks-real" => Some(read(path).and_then(|case: BlockCase| case.run())),
        _ => None,
    }
}

fn one_row(name: &str, check: impl FnOnce() -> anyhow::Result<Option<String>>) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    tally.row(name, check()?);
    Ok(tally)
}

#[derive(Deserialize)]
struct Committed {
    hex: String,
    ann_min_target: String,
    root: String,
    ann_count: u64,
}

impl Committed {
    fn read(&self) -> anyhow::Result<Commitment> {
        Ok(Commitment::from_bytes(&array(&self.hex)?)?)
    }

    fn check(&self) -> anyhow::Result<Option<String>> {
        let commitment = self.read()?;
        let parts = (commitment.least_work.compact(), hex::encode(commitment.root.0), commitment.count.get());
        let expected = (target(&self.ann_min_target)?, self.root.clone(), self.ann_count);
        Ok(difference("commitment", expected, parts))
    }
}

#[derive(Deserialize)]
struct UsedAnnouncement {
    parent_height: u32,
    parent_hash: String,
    work_target: String,
}

/// Hash of the parent at a height, as four announcements name them.
fn parents(
    announcements: &[UsedAnnouncement],
) -> anyhow::Result<impl Fn(Height) -> Option<BlockHash> + use<>> {
    let known = announcements
        .iter()
        .map(|one| Ok((Height(one.parent_height), BlockHash::from_display_hex(&one.parent_hash)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(move |height| known.iter().find(|(known, _)| *known == height).map(|(_, hash)| *hash))
}

fn check_announcements(proof: &Proof, expected: &[UsedAnnouncement]) -> anyhow::Result<Option<String>> {
    let expected = expected.iter().map(|one| Ok((Height(one.parent_height), target(&one.work_target)?)));
    let expected = expected.collect::<anyhow::Result<Vec<_>>>()?;
    let got = proof.announcements.iter().map(|one| (one.parent_height(), one.work_bits())).collect();
    Ok(difference("announcements", expected, got))
}

/// A whole block, cut into its parts.
struct Block {
    header: Header,
    elements: Elements,
    transactions: Vec<Vec<u8>>,
}

impl Block {
    fn read(bytes: &[u8]) -> anyhow::Result<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_SIZE>().context("a block without a header")?;
        let (elements, length) = Elements::read(rest)?;
        let mut rest = rest.get(length..).unwrap_or_default();
        let (count, length) = var_int::read(rest).context("a block without transactions")?;
        rest = rest.get(length..).unwrap_or_default();
        let mut transactions = Vec::new();
        for _ in 0..count {
            let (_, length) = Transaction::read(rest)?;
            let (transaction, more) = rest.split_at(length);
            transactions.push(transaction.to_vec());
            rest = more;
        }
        anyhow::ensure!(rest.is_empty(), "{} bytes behind the block", rest.len());
        Ok(Self { header: Header::from_bytes(header), elements, transactions })
    }

    fn coinbase(&self) -> anyhow::Result<Transaction<'_>> {
        Ok(Transaction::from_bytes(self.transactions.first().context("a block without a coinbase")?)?)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.to_bytes().to_vec();
        bytes.extend(self.elements.to_bytes());
        var_int::write(&mut bytes, self.transactions.len() as u64);
        self.transactions.iter().for_each(|transaction| bytes.extend(transaction));
        bytes
    }
}

#[derive(Deserialize)]
struct BlockCase {
    height: u32,
    block_hash: String,
    prev_hash: String,
    bits: String,
    time: u32,
    commit: Committed,
    announcements: Vec<UsedAnnouncement>,
    block: String,
    getblock: NodeBlock,
    work_file: Option<String>,
    template_file: Option<String>,
    share_post: Option<Posted>,
    checkpcshare: Option<NodeCheck>,
}

#[derive(Deserialize)]
struct NodeBlock {
    tx: Vec<String>,
    packetcryptblkbits: String,
}

#[derive(Deserialize)]
struct Posted {
    body: String,
}

#[derive(Deserialize)]
struct NodeCheck {
    params: Vec<NodeCheckParameters>,
    result: Option<String>,
}

#[derive(Deserialize)]
struct NodeCheckParameters {
    hexblock: String,
    coinbase: String,
    sharetarget: u32,
}

impl BlockCase {
    fn run(&self) -> anyhow::Result<Tally> {
        let block = Block::read(&bytes(&self.block)?)?;
        let mut tally = Tally::default();
        tally.row("the bytes written back", difference("block", bytes(&self.block)?, block.to_bytes()));
        tally.row("header", self.check_header(&block.header)?);
        tally.row("commitment", self.commit.check()?);
        tally.row("announcements", check_announcements(&block.elements.proof, &self.announcements)?);
        tally.row("transactions", self.check_transactions(&block)?);
        tally.row("proof of work", self.check_proof(&block)?);
        if let (Some(work), Some(template), Some(post)) =
            (&self.work_file, &self.template_file, &self.share_post)
        {
            let whole = whole_block(
                &WorkFile::parse(&bytes(work)?)?,
                &BlockTemplate::parse(&bytes(template)?)?,
                post,
            )?;
            tally.row(
                "block from work, template and share",
                difference("block", block.to_bytes(), whole.to_bytes()),
            );
            if let Some(check) = &self.checkpcshare {
                tally.row("the node's share check", check.check(&whole)?);
            }
        }
        Ok(tally)
    }

    fn check_header(&self, header: &Header) -> anyhow::Result<Option<String>> {
        let steps = [
            difference("block hash", self.block_hash.clone(), header.block_hash().to_string()),
            difference("previous hash", self.prev_hash.clone(), header.previous.to_string()),
            difference("bits", target(&self.bits)?, header.bits),
            difference("time", self.time, header.time),
        ];
        Ok(steps.into_iter().flatten().next())
    }

    fn check_transactions(&self, block: &Block) -> anyhow::Result<Option<String>> {
        let ids = block.transactions.iter().map(|bytes| Ok(Transaction::from_bytes(bytes)?.id()));
        let ids = ids.collect::<anyhow::Result<Vec<_>>>()?;
        let shown = ids.iter().map(|id| BlockHash::from_internal(*id).to_string()).collect();
        let root = difference("merkle root", merkle_root(ids), block.header.merkle_root.0);
        Ok(difference("transaction ids", self.getblock.tx.clone(), shown).or(root))
    }

    fn check_proof(&self, block: &Block) -> anyhow::Result<Option<String>> {
        let coinbase = block.coinbase()?;
        let commitment = Commitment::from_bytes(&find_in(&coinbase)?)?;
        let mut checker = ProofChecker::new(Rules::NEW_CHAIN);
        let parents = parents(&self.announcements)?;
        let verdict =
            checker.check_block(&block.header, &block.elements, &coinbase, Height(self.height), parents);
        Ok(match verdict {
            Err(fault) => Some(format!("expected to be valid, got {fault}")),
            Ok(verdict) => {
                let target = target(&self.getblock.packetcryptblkbits)?;
                difference("effective target", target, verdict.effective_block_target).or(difference(
                    "commitment",
                    self.commit.read()?,
                    commitment,
                ))
            }
        })
    }
}

/// Root over transaction ids; the last one of an odd level stands twice.
fn merkle_root(mut level: Vec<[u8; 32]>) -> [u8; 32] {
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| double_sha256(&[&pair[0], &pair[pair.len() - 1]])).collect();
    }
    level.first().copied().unwrap_or_default()
}

/// The block that a share makes, by the work and template it is for.
fn whole_block(work: &WorkFile, template: &BlockTemplate, post: &Posted) -> anyhow::Result<Block> {
    let post = SharePost::parse(post.body.as_bytes()).map_err(|refusal| anyhow!("{refusal}"))?;
    let share = open(work, &post)?;
    let mut transactions = template.transactions.clone();
    let coinbase = transactions.first_mut().context("a template without a coinbase")?;
    share.commitment.place_into(coinbase).context("a coinbase without a place for the commitment")?;
    Ok(Block {
        header: share.header,
        elements: Elements { proof: share.proof, signatures: Vec::new() },
        transactions,
    })
}

fn share_work(work: &WorkFile) -> ShareWork<'_> {
    ShareWork {
        header: &work.header,
        height: work.height,
        share_target: work.share_target,
        coinbase: &work.coinbase,
        branch: &work.branch,
    }
}

fn open(work: &WorkFile, post: &SharePost) -> Result<Share, ShareFault> {
    Share::open(&share_work(work), &post.header, post.proof.clone(), post.commitment)
}

impl NodeCheck {
    /// What the handler sends to the node for a share.
    fn check(&self, block: &Block) -> anyhow::Result<Option<String>> {
        let parameters = self.params.first().context("a call without parameters")?;
        let mut top = block.header.to_bytes().to_vec();
        top.extend(block.elements.to_bytes());
        top.push(0);
        let coinbase = block.coinbase()?.to_plain_bytes();
        Ok(difference("block top", bytes(&parameters.hexblock)?, top).or(difference(
            "coinbase",
            bytes(&parameters.coinbase)?,
            coinbase,
        )))
    }
}

#[derive(Deserialize)]
struct ShareCase {
    share_post: Posted,
    prev_hash: String,
    announcements: Vec<UsedAnnouncement>,
    commit: Committed,
    work_file: Option<String>,
    template_file: Option<String>,
    checkpcshare: Option<NodeCheck>,
}

impl ShareCase {
    fn run(&self) -> anyhow::Result<Tally> {
        let post =
            SharePost::parse(self.share_post.body.as_bytes()).map_err(|refusal| anyhow!("{refusal}"))?;
        let mut tally = Tally::default();
        tally.row("previous", difference("hash", self.prev_hash.clone(), post.header.previous.to_string()));
        tally.row("commitment", self.commit.check()?);
        tally.row("commitment sent", difference("commitment", self.commit.read()?, post.commitment));
        tally.row("announcements", check_announcements(&post.proof, &self.announcements)?);
        if let (Some(work), Some(template), Some(node)) =
            (&self.work_file, &self.template_file, &self.checkpcshare)
        {
            let work = WorkFile::parse(&bytes(work)?)?;
            let template = BlockTemplate::parse(&bytes(template)?)?;
            let whole = whole_block(&work, &template, &self.share_post)?;
            tally.row("the node's share check", node.check(&whole)?);
            tally.row("verdict", self.check_verdict(&work, &post, node)?);
        }
        Ok(tally)
    }

    fn check_verdict(
        &self,
        work: &WorkFile,
        post: &SharePost,
        node: &NodeCheck,
    ) -> anyhow::Result<Option<String>> {
        let parameters = node.params.first().context("a call without parameters")?;
        if parameters.sharetarget != work.share_target.0 {
            return Ok(difference("share target", parameters.sharetarget, work.share_target.0));
        }
        let share = open(work, post)?;
        let mut checker = ProofChecker::new(Rules::NEW_CHAIN);
        let verdict = share.check(&share_work(work), &mut checker, parents(&self.announcements)?);
        let expected = match node.result.as_deref() {
            Some("OK") => Some(Reaches::Share),
            Some("RESUBMIT_AS_BLOCK") => Some(Reaches::Block),
            _ => None,
        };
        let got = verdict.as_ref().ok().map(|verdict| verdict.reaches);
        Ok(difference("verdict", expected, got).map(|text| format!("{text} ({verdict:?})")))
    }
}

/// A small set, where the two peers disagree on the last announcement of an even count.
#[derive(Deserialize)]
struct EvenCount {
    height: u32,
    share_target: String,
    parent_height: u32,
    parent_hash: String,
    ann_indexes: [u64; 4],
    commit: Committed,
    block: String,
    reference_miner_verdict: String,
    node_verdict: String,
}

impl EvenCount {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let block = Block::read(&bytes(&self.block)?)?;
        let commitment = self.commit.read()?;
        let parent = BlockHash::from_display_hex(&self.parent_hash)?;
        let claim = ProofClaim {
            header: &block.header,
            proof: &block.elements.proof,
            commitment: &commitment,
            height: Height(self.height),
        };
        let verdict =
            ProofChecker::new(Rules::NEW_CHAIN).check_share(&claim, target(&self.share_target)?, |height| {
                (height == Height(self.parent_height)).then_some(parent)
            });
        Ok(match (&verdict, self.node_verdict.as_str()) {
            (Ok(verdict), "accepted") => {
                let hash = hex::encode(verdict.outcome.work_hash.0);
                let expected = format!("accepted, work hash {hash}");
                difference("indexes", self.ann_indexes, verdict.indexes(&commitment)).or(difference(
                    "work hash",
                    self.reference_miner_verdict.clone(),
                    expected,
                ))
            }
            (Err(ProofFault::TreeProof(TreeProofFault::LastOfEvenCount { .. })), node)
                if node.starts_with("refused: Validate_checkBlock_PCP_INVAL") =>
            {
                None
            }
            _ => Some(format!("expected {:?}, got {verdict:?}", self.node_verdict)),
        })
    }
}
