//! `shares_valid.json` and `shares_altered.json`: whole shares with the verdicts of both peers.

use std::path::Path;

use anyhow::{Context, anyhow};
use packetcrypt::block::check::{ProofChecker, ProofClaim, Reaches, Verdict};
use packetcrypt::block::commitment::{COMMITMENT_SIZE, Commitment, find_in};
use packetcrypt::block::header::{HEADER_SIZE, Header, MerkleRoot};
use packetcrypt::block::share::{Share, ShareWork};
use packetcrypt::block::{Elements, Transaction};
use packetcrypt::check::Rules;
use packetcrypt::{BlockHash, CompactTarget, Height};
use serde::Deserialize;

use super::super::Tally;
use super::{array, bytes, difference, read, target};

#[derive(Deserialize)]
struct Case {
    name: String,
    height: u32,
    share_target: String,
    block_top: String,
    coinbase_commit: String,
    coinbase: String,
    template_coinbase: Option<String>,
    merkle_branch: Vec<String>,
    #[serde(default = "yes")]
    merkle_ok: bool,
    ann_parent_hashes: Vec<String>,
    verdict: Peers,
    /// Altered ones only.
    expected: Option<String>,
    /// Valid ones only, as all that follows.
    #[serde(default)]
    indexes: Vec<u64>,
    #[serde(default)]
    ann_count: u64,
    #[serde(default)]
    least_work: String,
    /// `null` without a share target.
    effective_share_target: Option<String>,
    effective_block_target: Option<String>,
    #[serde(default)]
    work_hash: String,
}

#[derive(Deserialize)]
struct Peers {
    pktd: String,
}

fn yes() -> bool {
    true
}

pub fn run_valid(path: &Path) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for case in read::<Vec<Case>>(path)? {
        let problem = case.check_valid(&mut ProofChecker::new(Rules::PKT))?;
        tally.row(&case.name, problem);
        tally.row(format_args!("{}, as an upload", case.name), case.check_upload()?);
    }
    Ok(tally)
}

pub fn run_altered(path: &Path) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for case in read::<Vec<Case>>(path)? {
        tally.row(&case.name, case.check_altered()?);
    }
    Ok(tally)
}

impl Case {
    fn top(&self) -> anyhow::Result<([u8; HEADER_SIZE], Vec<u8>)> {
        let mut header = bytes(&self.block_top)?;
        anyhow::ensure!(header.len() >= HEADER_SIZE, "a block top without a header");
        let elements = header.split_off(HEADER_SIZE);
        Ok((header.try_into().map_err(|_| anyhow!("no header"))?, elements))
    }

    fn branch(&self) -> anyhow::Result<Vec<[u8; 32]>> {
        self.merkle_branch.iter().map(|digits| array(digits)).collect()
    }

    /// Hash of the parent at a height, as the four announcements need it.
    fn parents(&self, elements: &Elements) -> anyhow::Result<impl Fn(Height) -> Option<BlockHash> + use<>> {
        let heights = elements.proof.announcements.iter().map(packetcrypt::Announcement::parent_height);
        let hashes = self.ann_parent_hashes.iter().map(|digits| Ok(BlockHash::from_internal(array(digits)?)));
        let known: Vec<(Height, BlockHash)> =
            heights.zip(hashes.collect::<anyhow::Result<Vec<_>>>()?).collect();
        Ok(move |height| known.iter().find(|(known, _)| *known == height).map(|(_, hash)| *hash))
    }

    /// Our verdict on the share as a node would see it: all elements, and the commitment where the coinbase has it.
    fn judge(&self, checker: &mut ProofChecker) -> anyhow::Result<Result<(Verdict, Commitment), String>> {
        let (header, rest) = self.top()?;
        let header = Header::from_bytes(&header);
        let elements = match Elements::read(&rest) {
            Ok((elements, length)) if length == rest.len() => elements,
            Ok(_) => return Ok(Err("bytes behind the end".into())),
            Err(fault) => return Ok(Err(fault.to_string())),
        };
        let coinbase = bytes(&self.coinbase)?;
        let coinbase = Transaction::from_bytes(&coinbase).context("coinbase")?;
        if self.merkle_ok && MerkleRoot::of_coinbase(coinbase.id(), &self.branch()?) != header.merkle_root {
            return Ok(Err("merkle root mismatch".into()));
        }
        let commitment = match find_in(&coinbase) {
            Ok(bytes) => Commitment::from_bytes(&bytes),
            Err(fault) => return Ok(Err(fault.to_string())),
        };
        let commitment = match commitment {
            Ok(commitment) => commitment,
            Err(fault) => return Ok(Err(fault.to_string())),
        };
        let claim = ProofClaim {
            header: &header,
            proof: &elements.proof,
            commitment: &commitment,
            height: Height(self.height),
        };
        let parents = self.parents(&elements)?;
        let verdict = checker.check_share(&claim, target(&self.share_target)?, parents);
        Ok(match (verdict, elements.check_signatures()) {
            (Ok(verdict), Ok(())) => Ok((verdict, commitment)),
            (Err(fault), _) => Err(fault.to_string()),
            (_, Err(fault)) => Err(fault.to_string()),
        })
    }

    fn check_valid(&self, checker: &mut ProofChecker) -> anyhow::Result<Option<String>> {
        let (verdict, commitment) = match self.judge(checker)? {
            Ok(verdict) => verdict,
            Err(fault) => return Ok(Some(format!("expected to be valid, got {fault}"))),
        };
        let expected = if self.verdict.pktd == "RESUBMIT_AS_BLOCK" { Reaches::Block } else { Reaches::Share };
        let hash = hex::encode(verdict.outcome.work_hash.0);
        let effective_share = self.effective_share_target.as_deref().unwrap_or("00000000");
        let effective_share = target(effective_share)?;
        let effective_block = self.effective_block_target.as_deref().map(target).transpose()?;
        let steps = [
            difference("verdict", expected, verdict.reaches),
            difference("indexes", self.indexes.clone(), verdict.indexes(&commitment).to_vec()),
            difference("count", self.ann_count, commitment.count.get()),
            difference("least work", target(&self.least_work)?, commitment.least_work.compact()),
            difference("share target", effective_share, verdict.effective_share_target),
            effective_block.and_then(|it| difference("block target", it, verdict.effective_block_target)),
            difference("work hash", self.work_hash.as_str(), hash.as_str()),
        ];
        Ok(steps.into_iter().flatten().next())
    }

    /// The same as a miner uploads it, against the work it got.
    fn check_upload(&self) -> anyhow::Result<Option<String>> {
        let (header, rest) = self.top()?;
        let header = Header::from_bytes(&header);
        let (elements, _) = Elements::read(&rest)?;
        let commitment = array::<COMMITMENT_SIZE>(&self.coinbase_commit)?;
        let coinbase = bytes(self.template_coinbase.as_ref().context("a share without its template")?)?;
        let branch = self.branch()?;
        let work = ShareWork {
            header: &Header { merkle_root: MerkleRoot::default(), nonce: 0, ..header },
            height: Height(self.height),
            share_target: target(&self.share_target)?,
            coinbase: &coinbase,
            branch: &branch,
        };
        let sent = Header { time: !header.time, bits: CompactTarget(7), version: -1, ..header };
        let share = Share::open(&work, &sent, elements.proof.clone(), Commitment::from_bytes(&commitment)?)?;
        let verdict = share.check(&work, &mut ProofChecker::new(Rules::PKT), self.parents(&elements)?);
        let as_node = self.judge(&mut ProofChecker::new(Rules::PKT))?.map(|(verdict, _)| verdict);
        let header = difference("header", header, share.header);
        Ok(header.or(difference("verdict", as_node, verdict.map_err(|fault| fault.to_string()))))
    }

    fn check_altered(&self) -> anyhow::Result<Option<String>> {
        let expected = self.expected.as_deref().context("an altered share without `expected`")?;
        let judged = |rules| {
            let verdict = self.judge(&mut ProofChecker::new(rules))?;
            anyhow::Ok(verdict.map(|_| "accepted").map_err(|fault| format!("refused: {fault}")))
        };
        let (public, new) = (judged(Rules::PKT)?, judged(Rules::NEW_CHAIN)?);
        let as_expected = match expected {
            "accept" => public.is_ok() && new.is_ok(),
            "either" => true,
            // A sentence starts with what we must do.
            _ if expected.starts_with("reject") => public.is_err() && new.is_err(),
            _ if expected.starts_with("accept where version 1 announcements are allowed") => {
                public.is_err() && new.is_ok()
            }
            _ => anyhow::bail!("{expected:?} is no expectation that is known"),
        };
        Ok((!as_expected).then(|| format!("expected {expected}, got {public:?}, on a new chain {new:?}")))
    }
}
