//! Posts of shares with their replies, and the calls of the node that follow from them.

use packetcrypt::Height;
use packetcrypt::block::elements::Signature;
use packetcrypt::block::{Elements, Header};
use serde::Deserialize;
use serde_json::Value;
use wire::reply::EmptyResult;
use wire::share_post::{ShareHeaders, ShareId, SharePost, ShareReply};
use wire::signing_key::PrivateSeed;
use wire::template::BlockTemplate;
use wire::work::WorkFile;
use wire::{Refusal, Reply, var_int};

use super::{Case, Tally, VectorFile, Verdict, each, holds, same, single};

pub(super) fn check(file: &VectorFile<'_>) -> Option<anyhow::Result<Tally>> {
    match file.name {
        "submit.json" => Some(posts(file)),
        "peer_crashes.json" => Some(crashes(file)),
        "node_answers.json" => Some(node_answers(file)),
        "checkpcshare.json" => Some(check_pc_share(file)),
        "winning_share.json" => Some(winning_share(file)),
        "signed.json" => Some(signed(file)),
        "context.json" => Some(Ok(Tally::companion("submit.json"))),
        _ => None,
    }
}

/// What the handler knew when the posts were recorded.
#[derive(Deserialize)]
struct Context {
    work: String,
    block_template: String,
}

impl Context {
    fn read(file: &VectorFile<'_>) -> anyhow::Result<Self> {
        Ok(serde_json::from_slice(&file.beside("context.json")?)?)
    }

    fn work(&self, file: &VectorFile<'_>) -> anyhow::Result<WorkFile> {
        Ok(WorkFile::parse(&file.beside(&self.work)?)?)
    }

    fn template(&self, file: &VectorFile<'_>) -> anyhow::Result<BlockTemplate> {
        Ok(BlockTemplate::parse(&file.beside(&self.block_template)?)?)
    }
}

fn posts(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    let cases: Vec<Case> = file.json()?;
    let work = Context::read(file)?.work(file)?;
    let mut tally = Tally::default();
    for case in cases.iter().filter(|case| case.request.method == "POST") {
        let body = case.body(file)?;
        tally.row(&case.name, post(case, &body, &work).err());
    }
    Ok(tally)
}

fn post(case: &Case, body: &[u8], work: &WorkFile) -> Verdict {
    let judged = ShareHeaders::read(|name| case.header(name)).and_then(|headers| {
        let share = SharePost::parse(body)?;
        if share.header.previous == work.header.previous {
            return Ok((headers, share));
        }
        Err(Refusal::WrongWork { expected: work.header.previous, got: share.header.previous })
    });
    match (case.response.status, judged) {
        (Some(200), Ok((headers, share))) => credited(case, &headers, &share, work),
        (Some(200), Err(refusal)) => {
            // Refused here on purpose: R-K5, R-K2 (exact commitment, nothing behind the proof).
            let stricter = matches!(
                refusal,
                Refusal::InvalidPayTo { .. }
                    | Refusal::InvalidCommitment { .. }
                    | Refusal::MalformedShare { .. }
            );
            holds(&format!("taken by the reference, refused here: {refusal}"), stricter)
        }
        // A path prefix or a query string (R-H1), or a fault that only the proof of work or the chain shows.
        (_, Ok(_)) => Ok(()),
        (_, Err(refusal)) => refused(case, &refusal),
    }
}

/// The event has the id of the share after replacement of the header (R-K1), and the figures of the commitment.
fn credited(case: &Case, headers: &ShareHeaders, share: &SharePost, work: &WorkFile) -> Verdict {
    let reply = ShareReply::parse(case.response.body.as_bytes()).map_err(|fault| fault.to_string())?;
    let event = reply.result.ok_or("the reply has no event")?;
    let id = |header: &Header| ShareId::new(header, share.proof.nonce2).event_id();
    same("event id of the reference", &event.event_id, &id(&share.header))?;
    if share.header == share.header_on(&work.header) {
        same("event id", &event.event_id, &id(&share.header_on(&work.header)))?;
    } else {
        holds("one share with two names", event.event_id != id(&share.header_on(&work.header)))?;
    }
    same("pay to", &headers.pay_to, &event.pay_to)?;
    same("target", &work.share_target, &event.target)?;
    same("announcement count", &share.commitment.count.get(), &event.announcement_count)?;
    let least_work = share.commitment.least_work.compact();
    same("announcement least work", &least_work, &event.announcement_min_work)?;
    let count = event.announcement_count;
    let estimate = wire::work_number::estimated_encryptions(event.target, least_work, count);
    same("encryptions", &estimate, &event.encryptions)
}

fn refused(case: &Case, refusal: &Refusal) -> Verdict {
    let ours = refusal.to_string();
    // The node's words come only where the node is asked.
    let by_node = |theirs: &String| theirs.starts_with("Failed validation of share");
    let matches = |theirs: &String| ours.contains(theirs.as_str()) || by_node(theirs);
    same("status", &case.response.status, &Some(refusal.status()))?;
    holds(&format!("{ours:?} does not say {:?}", case.errors()), case.errors().iter().all(matches))
}

/// What ends the reference's process is refused here with status 400.
fn crashes(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    let cases: Vec<Case> = file.json()?;
    let mut tally = Tally::default();
    for case in &cases {
        let row = match SharePost::parse(&case.body(file)?) {
            Ok(_) => holds("ends the reference, taken here", case.process_after != "ended"),
            Err(refusal) => same("status", &400, &refusal.status()),
        };
        tally.row(&case.name, row.err());
    }
    Ok(tally)
}

fn node_answers(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        status: u16,
        body: String,
    }
    let rows: Vec<Row> = file.json()?;
    Ok(each(
        &rows,
        |row| row.name.clone(),
        |row| {
            let reply = ShareReply::parse(row.body.as_bytes()).map_err(|fault| fault.to_string())?;
            let Some(text) = reply.error.first() else {
                let event = reply.result.ok_or("neither an error nor an event")?;
                let members =
                    |text: &str| serde_json::from_str::<Value>(text).map_err(|fault| fault.to_string());
                let ours = Reply::accepted(event).to_json(EmptyResult::EmptyText);
                return same("written back", &members(&row.body)?, &members(&ours)?);
            };
            let words = text
                .split_once('[')
                .and_then(|(_, rest)| rest.strip_suffix(']'))
                .unwrap_or_default()
                .to_owned();
            let ours = [
                Refusal::AlreadyHaveBlock,
                Refusal::NodeRefusedBlock { reason: words.clone() },
                Refusal::NodeRefusedShare { reason: words.clone() },
                Refusal::UnexpectedNodeAnswer { answer: words },
            ];
            let said = ours.iter().find(|refusal| refusal.to_string().contains(text.as_str()));
            let refusal = said.ok_or_else(|| format!("no refusal says {text:?}"))?;
            same("status", &row.status, &refusal.status())
        },
    ))
}

/// A call of the node as it was recorded.
#[derive(Deserialize)]
struct Call {
    request: CallRequest,
}

#[derive(Deserialize)]
struct CallRequest {
    method: String,
    params: Vec<Value>,
}

/// The object that `checkpcshare` is asked with.
#[derive(Deserialize)]
struct ShareToCheck {
    height: u32,
    sharetarget: u32,
    hexblock: String,
    coinbase: String,
    merklebranch: Vec<String>,
}

/// The call is what the share of the case "good" becomes on the recorded work.
fn check_pc_share(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    let call: Call = file.json()?;
    let context = Context::read(file)?;
    let cases: Vec<Case> = serde_json::from_slice(&file.beside("submit.json")?)?;
    let good = cases.iter().find(|case| case.name == "good");
    let body = good.ok_or_else(|| anyhow::anyhow!("submit.json has no case \"good\""))?.body(file)?;
    Ok(single(share_call(&call, &body, &context.work(file)?, &context.template(file)?)))
}

fn share_call(call: &Call, body: &[u8], work: &WorkFile, template: &BlockTemplate) -> Verdict {
    same("method", &"checkpcshare", &call.request.method.as_str())?;
    let params = call.request.params.first().cloned().unwrap_or_default();
    let asked: ShareToCheck = serde_json::from_value(params).map_err(|fault| fault.to_string())?;
    let share = SharePost::parse(body).map_err(|refusal| refusal.to_string())?;
    let block = [header_and_elements(&share, work), vec![0]].concat();
    same("height", &Height(asked.height), &work.height)?;
    same("share target", &asked.sharetarget, &work.share_target.0)?;
    same("block", &asked.hexblock, &hex::encode(block))?;
    same("coinbase", &asked.coinbase, &hex::encode(filled_coinbase(&share, template)?))?;
    same("branch", &asked.merklebranch, &work.branch.iter().map(hex::encode).collect())
}

fn header_and_elements(share: &SharePost, work: &WorkFile) -> Vec<u8> {
    let elements = Elements { proof: share.proof.clone(), signatures: Vec::new() };
    [&share.header_on(&work.header).to_bytes()[..], &elements.to_bytes()].concat()
}

/// The first transaction of the template with the commitment in its place.
fn filled_coinbase(share: &SharePost, template: &BlockTemplate) -> Result<Vec<u8>, String> {
    let mut coinbase = template.transactions.first().cloned().ok_or("the template has no coinbase")?;
    share.commitment.place_into(&mut coinbase).ok_or("the coinbase has no place for a commitment")?;
    Ok(coinbase)
}

fn winning_share(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    #[derive(Deserialize)]
    struct Winner {
        request: Value,
        response: String,
        checkpcshare: Call,
        submitblock: Call,
    }
    let winner: Winner = file.json()?;
    let context = Context::read(file)?;
    let (work, template) = (context.work(file)?, context.template(file)?);
    let body = winner.request.to_string();
    let mut tally = Tally::default();
    tally.row("checkpcshare", share_call(&winner.checkpcshare, body.as_bytes(), &work, &template).err());
    let submitted = || {
        let share = SharePost::parse(body.as_bytes()).map_err(|refusal| refusal.to_string())?;
        let mut block = header_and_elements(&share, &work);
        var_int::write(&mut block, template.transactions.len() as u64);
        block.extend(filled_coinbase(&share, &template)?);
        template.transactions.iter().skip(1).for_each(|transaction| block.extend(transaction));
        let recorded = winner.submitblock.request.params.first().and_then(Value::as_str);
        same("block", &recorded, &Some(hex::encode(block).as_str()))?;
        let reply = ShareReply::parse(winner.response.as_bytes()).map_err(|fault| fault.to_string())?;
        let won = reply.result.and_then(|event| event.won_block);
        same("hash of the block", &won, &Some(share.header_on(&work.header).block_hash()))
    };
    tally.row("submitblock", submitted().err());
    Ok(tally)
}

/// Shares with signed announcements: the handler adds the signatures.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedShares {
    private_seed: String,
    work: String,
    cases: Vec<SignedShare>,
}

#[derive(Deserialize)]
struct SignedShare {
    name: String,
    request: Value,
    status: u16,
    hexblock_after_header_and_proof: Option<String>,
    header_in_hexblock: Option<String>,
}

fn signed(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    let shares: SignedShares = file.json()?;
    let work = WorkFile::parse(&file.beside(&shares.work)?)?;
    let seed = PrivateSeed::new(shares.private_seed.as_str()).ok_or_else(|| anyhow::anyhow!("no seed"))?;
    Ok(each(&shares.cases, |share| share.name.clone(), |share| signed_share(share, &seed, &work)))
}

fn signed_share(recorded: &SignedShare, seed: &PrivateSeed, work: &WorkFile) -> Verdict {
    let share =
        SharePost::parse(recorded.request.to_string().as_bytes()).map_err(|refusal| refusal.to_string())?;
    let mut signatures = Vec::new();
    for (position, key) in share.proof.signing_keys() {
        let announcement = &share.proof.announcements[position];
        let height = announcement.parent_height().checked_add(1).ok_or("parent height out of range")?;
        if seed.signing_key(height) != Some(key) {
            return same("status for another key", &recorded.status, &400);
        }
        signatures.push(Signature(seed.sign(height, announcement.as_bytes())));
    }
    same("status", &recorded.status, &200)?;
    let elements = Elements { proof: share.proof.clone(), signatures };
    elements.check_signatures().map_err(|fault| fault.to_string())?;
    let behind_proof = elements.to_bytes().split_off(share.proof.to_upload().len());
    same("signatures", &recorded.hexblock_after_header_and_proof, &Some(hex::encode(behind_proof) + "00"))?;
    let header = share.header_on(&work.header).to_bytes();
    same("header", &recorded.header_in_hexblock, &Some(hex::encode(header)))
}
