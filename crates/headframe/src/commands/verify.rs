//! `headframe verify`: checks bytes offline. One JSON line for each announcement, share, block or statement: valid, or
//! exactly why not.

mod statements;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use node::dev_chain::submitted_block::SubmittedBlock;
use packetcrypt::block::check::{ProofChecker, Reaches, Verdict};
use packetcrypt::block::share::{Share, ShareWork};
use packetcrypt::check::{AnnouncementToCheck, Checker, ProofVersion, Rules};
use packetcrypt::{Announcement, BlockHash, Height};
use serde_json::{Map, Value, json};
use wire::share_post::SharePost;
use wire::work::WorkFile;

use crate::cli::{Parent, VerifiedChain, Verify, VerifyAnnouncement, VerifyBlock, VerifyShare};

/// Announcements that are checked at a time.
const BATCH: usize = 1024;

/// Why something is not valid.
struct Fault {
    code: String,
    reason: String,
}

/// What is known of something valid, for its line.
type Facts = Map<String, Value>;

/// Checks all files; fails if anything in them is invalid.
pub fn run(verify: &Verify) -> anyhow::Result<ExitCode> {
    let mut report = Report { invalid: 0 };
    match verify {
        Verify::Announcement(arguments) => announcements(arguments, &mut report)?,
        Verify::Share(arguments) => shares(arguments, &mut report)?,
        Verify::Block(arguments) => blocks(arguments, &mut report)?,
        Verify::Statements(arguments) => statements::check(arguments, &mut report)?,
    }
    Ok(if report.invalid == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes the lines and counts.
struct Report {
    invalid: usize,
}

impl Report {
    fn line(
        &mut self,
        file: &Path,
        index: Option<usize>,
        verdict: Result<Facts, Fault>,
    ) -> anyhow::Result<()> {
        let mut line = Map::new();
        line.insert("file".to_owned(), json!(file.display().to_string()));
        line.extend(index.map(|index| ("index".to_owned(), json!(index))));
        line.insert("valid".to_owned(), json!(verdict.is_ok()));
        match verdict {
            Ok(facts) => line.extend(facts),
            Err(Fault { code, reason }) => {
                self.invalid += 1;
                line.insert("code".to_owned(), json!(code));
                line.insert("reason".to_owned(), json!(reason));
            }
        }
        writeln!(std::io::stdout(), "{}", Value::Object(line))?;
        Ok(())
    }
}

fn announcements(arguments: &VerifyAnnouncement, report: &mut Report) -> anyhow::Result<()> {
    let mut checker = Checker::new(rules(&arguments.chain));
    let version = ProofVersion(arguments.proof_version);
    let parent = arguments.parent_hash.0;
    let other_order = reversed(&parent);
    for file in &arguments.files {
        let bytes = read(file)?;
        let (chunks, rest) = bytes.as_chunks::<{ packetcrypt::announcement::ANNOUNCEMENT_SIZE }>();
        let announcements: Vec<Announcement> = chunks.iter().map(Announcement::from_bytes).collect();
        for (number, batch) in announcements.chunks(BATCH).enumerate() {
            let to_check: Vec<_> = batch
                .iter()
                .map(|announcement| AnnouncementToCheck { announcement, parent: &parent })
                .collect();
            let verdicts = checker.check(&to_check, version);
            for (index, (announcement, verdict)) in batch.iter().zip(verdicts).enumerate() {
                let again = [AnnouncementToCheck { announcement, parent: &other_order }];
                let verdict = verdict
                    .or_else(|fault| checker.check(&again, version).pop().and_then(Result::ok).ok_or(fault))
                    .map(|work_hash| announcement_facts(announcement, &hex::encode(work_hash.0)))
                    .map_err(|fault| Fault { code: fault.name().to_owned(), reason: fault.to_string() });
                report.line(file, Some(number * BATCH + index), verdict)?;
            }
        }
        if chunks.is_empty() || !rest.is_empty() {
            let reason =
                format!("expected announcements of 1024 bytes each, the file has {} bytes", bytes.len());
            report.line(file, Some(chunks.len()), Err(Fault { code: "LENGTH".to_owned(), reason }))?;
        }
    }
    Ok(())
}

fn announcement_facts(announcement: &Announcement, work_hash: &str) -> Facts {
    facts(json!({
        "announcement_hash": hex::encode(announcement.announcement_hash().0),
        "work_hash": work_hash,
        "version": announcement.version(),
        "parent_height": announcement.parent_height().0,
        "work_bits": announcement.work_bits().to_string(),
    }))
}

fn shares(arguments: &VerifyShare, report: &mut Report) -> anyhow::Result<()> {
    let bytes = read(&arguments.work)?;
    let file = WorkFile::parse(&bytes).with_context(|| arguments.work.display().to_string())?;
    let work = ShareWork {
        header: &file.header,
        height: file.height,
        share_target: file.share_target,
        coinbase: &file.coinbase,
        branch: &file.branch,
    };
    let parents = parents(&arguments.parents);
    let mut checker = ProofChecker::new(rules(&arguments.chain));
    for file in &arguments.files {
        let verdict = share(&read(file)?, &work, &mut checker, &parents);
        report.line(file, None, verdict)?;
    }
    Ok(())
}

fn share(
    body: &[u8],
    work: &ShareWork<'_>,
    checker: &mut ProofChecker,
    parents: &HashMap<Height, BlockHash>,
) -> Result<Facts, Fault> {
    let post = SharePost::parse(body)
        .map_err(|refusal| Fault { code: refusal.code().to_owned(), reason: refusal.to_string() })?;
    let fault = |fault: packetcrypt::block::share::ShareFault| Fault {
        code: fault.code().to_owned(),
        reason: fault.to_string(),
    };
    let share = Share::open(work, &post.header, post.proof, post.commitment).map_err(fault)?;
    let verdict = share
        .check(work, checker, |height| parents.get(&height).copied())
        .or_else(|fault| share.check(work, checker, in_other_order(parents)).map_err(|_| fault))
        .map_err(fault)?;
    Ok(proof_facts(&share.header.block_hash(), &verdict))
}

fn blocks(arguments: &VerifyBlock, report: &mut Report) -> anyhow::Result<()> {
    let parents = parents(&arguments.parents);
    let mut checker = ProofChecker::new(rules(&arguments.chain));
    for file in &arguments.files {
        let verdict = block(&read(file)?, Height(arguments.height), &mut checker, &parents);
        report.line(file, None, verdict)?;
    }
    Ok(())
}

/// The proof of work of a block, and that its transactions are those of its header. What money the coinbase pays
/// to whom is for a node to judge, who knows the chain.
fn block(
    text: &[u8],
    height: Height,
    checker: &mut ProofChecker,
    parents: &HashMap<Height, BlockHash>,
) -> Result<Facts, Fault> {
    let fault = |code: &str, reason: String| Fault { code: code.to_owned(), reason };
    let bytes =
        hex::decode(text.trim_ascii()).map_err(|error| fault("not_hexadecimal", error.to_string()))?;
    let block =
        SubmittedBlock::decode(&bytes).map_err(|error| fault("malformed_block", error.to_string()))?;
    let Some(coinbase) = block.transactions.first() else {
        return Err(fault("no_coinbase", "the block has no transactions".to_owned()));
    };
    let (expected, got) = (block.merkle_root(), block.header.merkle_root);
    if expected != got {
        let (expected, got) = (hex::encode(expected.0), hex::encode(got.0));
        let reason = format!("its transactions give the Merkle root {expected}, the header has {got}");
        return Err(fault("other_merkle_root", reason));
    }
    let verdict = checker
        .check_block(&block.header, &block.elements, coinbase, height, |height| parents.get(&height).copied())
        .or_else(|fault| {
            let parents = in_other_order(parents);
            checker.check_block(&block.header, &block.elements, coinbase, height, parents).map_err(|_| fault)
        })
        .map_err(|error| fault(block_code(&error), error.to_string()))?;
    Ok(proof_facts(&block.header.block_hash(), &verdict))
}

fn block_code(fault: &packetcrypt::block::check::BlockFault) -> &'static str {
    use packetcrypt::block::check::BlockFault;
    match fault {
        BlockFault::NoCommitment(_) => "no_commitment",
        BlockFault::Commitment(_) => "invalid_commitment",
        BlockFault::Proof(fault) => fault.code(),
    }
}

fn proof_facts(hash: &BlockHash, verdict: &Verdict) -> Facts {
    facts(json!({
        "block_hash": hash.to_string(),
        "work_hash": hex::encode(verdict.outcome.work_hash.0),
        "is_block": verdict.reaches == Reaches::Block,
        "effective_share_target": verdict.effective_share_target.to_string(),
        "effective_block_target": verdict.effective_block_target.to_string(),
    }))
}

fn facts(object: Value) -> Facts {
    match object {
        Value::Object(facts) => facts,
        _ => Facts::new(),
    }
}

fn rules(chain: &VerifiedChain) -> Rules {
    if chain.dev_chain { Rules::NEW_CHAIN } else { Rules::PKT }
}

fn parents(parents: &[Parent]) -> HashMap<Height, BlockHash> {
    parents.iter().map(|parent| (Height(parent.height), parent.hash)).collect()
}

/// Block hashes are written in two orders. A hash in the wrong one fits nothing by accident, so both are taken.
fn reversed(hash: &BlockHash) -> BlockHash {
    let mut bytes = *hash.as_internal();
    bytes.reverse();
    BlockHash::from_internal(bytes)
}

fn in_other_order(parents: &HashMap<Height, BlockHash>) -> impl Fn(Height) -> Option<BlockHash> {
    |height| parents.get(&height).map(reversed)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}
