//! Posts of announcements with their replies, and announcements served by HTTP.

use packetcrypt::Announcement;
use serde::Deserialize;
use serde_json::Value;
use wire::announcement_post::{AnnouncementReply, PostHeaders, announcements};
use wire::batch::{BatchIndex, BatchName};
use wire::reply::EmptyResult;
use wire::{AnnsEvent, EventId, Refusal, Reply, refusal::Role};

use super::{Case, Tally, VectorFile, Verdict, each, holds, master, same, single};

pub(super) fn check(file: &VectorFile<'_>) -> Option<anyhow::Result<Tally>> {
    match file.name.rsplit_once('.')? {
        ("config", "json") => Some(file.bytes().map(|bytes| single(master::config(&bytes)))),
        ("index", "json") => Some(file.bytes().map(|bytes| single(index(&bytes)))),
        ("anns_http", "json") => Some(downloads(file)),
        ("overload", "json") => Some(overload(file)),
        ("miner_upload", "json") => Some(miner_upload(file)),
        (stem, "json") if stem.starts_with("submit") => Some(posts(file)),
        (stem, "bin") if stem.starts_with("anns_") => Some(batch(file)),
        (stem, "bin") if stem.starts_with("miner_upload") => Some(Ok(Tally::companion("miner_upload.json"))),
        _ => None,
    }
}

fn posts(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    let cases: Vec<Case> = file.json()?;
    // A pool with one handler takes every hash; the file with two was recorded by number 0.
    let handlers = if file.name.contains("two_handlers") { 2 } else { 1 };
    let mut tally = Tally::default();
    for case in &cases {
        let body = case.body(file)?;
        tally.row(&case.name, post(case, &body, handlers).err());
    }
    Ok(tally)
}

/// What a body and its headers deserve by themselves, without knowing which announcements were seen before and
/// without their proof of work.
fn post(case: &Case, body: &[u8], handlers: usize) -> Verdict {
    if case.request.method != "POST" || case.response.status == Some(404) {
        return Ok(());
    }
    let judged = judge(case, body, handlers);
    match (case.response.status, judged) {
        (Some(200), Ok(())) => accepted(case, body),
        (Some(200), Err(Refusal::InvalidPayTo { .. })) if case.name.starts_with("payto_") => Ok(()),
        (Some(200), Err(refusal)) => Err(format!("taken by the reference, refused here: {refusal}")),
        (_, Err(refusal)) => refused(case, &refusal),
        // What is left depends on the chain, on the pool's key or on the proof of work.
        (_, Ok(())) => {
            let ours_to_judge =
                ["payto", "size", "bytes not", "elsewhere", "wrong parent", "Missing", "Invalid"];
            holds(
                "refused by the reference, taken here",
                !case.errors().iter().any(|text| ours_to_judge.iter().any(|start| text.contains(start))),
            )
        }
    }
}

fn judge(case: &Case, body: &[u8], handlers: usize) -> Result<(), Refusal> {
    let headers = PostHeaders::read(|name| case.header(name))?;
    for (index, bytes) in announcements(body)?.iter().enumerate() {
        let announcement = Announcement::from_bytes(bytes);
        let got = announcement.parent_height();
        if let Some(want) = headers.parent_height().filter(|want| *want != got) {
            return Err(Refusal::WrongParentHeight { index, want, got: i64::from(got.0) });
        }
        let hash = announcement.announcement_hash();
        // Bodies that a defect of the reference lets pass are told by their notes.
        let elsewhere = headers.assignment().handler(&announcement, &hash, handlers) != Some(0);
        if elsewhere && !case.note.contains("DEFECT") {
            return Err(Refusal::SubmitElsewhere { index });
        }
    }
    Ok(())
}

/// The reply says what follows from the body.
fn accepted(case: &Case, body: &[u8]) -> Verdict {
    let reply = AnnouncementReply::parse(case.response.body.as_bytes()).map_err(|fault| fault.to_string())?;
    let event = reply.result.ok_or("the reply has no event")?;
    same("event id", &EventId::of_announcement_post(body), &event.event_id)?;
    same("written back", &case.response.body, &Reply::accepted(event.clone()).to_json(EmptyResult::Null))?;
    // The reference's arithmetic wraps where announcements repeat; ours counts each of them.
    let wrapped = event.duplicate > u32::MAX / 2;
    let all = body.len() as u64 / 1024;
    same("accepted and duplicates", &all, &if wrapped { all } else { count(&event) })
}

fn count(event: &AnnsEvent) -> u64 {
    u64::from(event.accepted) + u64::from(event.duplicate)
}

/// Our words contain those of the reference.
fn refused(case: &Case, refusal: &Refusal) -> Verdict {
    let ours = refusal.to_string();
    // Parent heights by the header are checked against the tracked blocks first, which is not for formats to say.
    let other_first = |theirs: &str| theirs.contains("out of range") || theirs == "server not ready";
    let replaced = |theirs: &str| theirs == "bytes not aligned" || theirs == "payto too long";
    let matches = |theirs: &String| ours.contains(theirs.as_str()) || replaced(theirs) || other_first(theirs);
    same("status", &case.response.status, &Some(refusal.status()))?;
    holds(&format!("{ours:?} does not say {:?}", case.errors()), case.errors().iter().all(matches))
}

/// Replies alone.
fn overload(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    #[derive(Deserialize)]
    struct Row {
        status: u16,
        body: String,
    }
    let rows: Vec<Row> = file.json()?;
    let overloaded = Refusal::Overloaded { role: Role::AnnHandler };
    Ok(each(
        &rows,
        |row| row.status.to_string(),
        |row| {
            let reply = AnnouncementReply::parse(row.body.as_bytes()).map_err(|fault| fault.to_string())?;
            if row.status == 200 {
                return holds("an event", reply.result.is_some());
            }
            same("status", &row.status, &overloaded.status())?;
            same("body", &row.body, &AnnouncementReply::refused(&overloaded).to_json(EmptyResult::Null))
        },
    ))
}

fn miner_upload(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    #[derive(Deserialize)]
    struct Upload {
        request_headers: Vec<(String, String)>,
        body_bytes: usize,
        body_blake2b_256: String,
        first_announcements_file: String,
        response: String,
    }
    let upload: Upload = file.json()?;
    let first = file.beside(&upload.first_announcements_file)?;
    let row = || {
        let get = |name: &str| {
            upload.request_headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_bytes())
        };
        let headers = PostHeaders::read(get).map_err(|refusal| refusal.to_string())?;
        let mut sent = headers.to_pairs().into_iter();
        let as_recorded = |(name, value): (&str, String)| get(name) == Some(value.as_bytes());
        holds("headers differ from those that our miner sends", sent.all(as_recorded))?;
        for bytes in announcements(&first).map_err(|refusal| refusal.to_string())? {
            let parent = Announcement::from_bytes(bytes).parent_height();
            same("parent height", &headers.parent_height(), &Some(parent))?;
        }
        let reply =
            AnnouncementReply::parse(upload.response.as_bytes()).map_err(|fault| fault.to_string())?;
        let event = reply.result.ok_or("the reply has no event")?;
        same("accepted", &(upload.body_bytes / 1024), &(event.accepted as usize))?;
        same("event id", &upload.body_blake2b_256.get(..32), &Some(event.event_id.to_string().as_str()))
    };
    Ok(single(row()))
}

fn index(bytes: &[u8]) -> Verdict {
    let index = BatchIndex::parse(bytes).map_err(|fault| fault.to_string())?;
    same("written back", &String::from_utf8_lossy(bytes).as_ref(), &index.to_json().as_str())?;
    let names: Vec<BatchName> = index.names().collect();
    same("names", &index.files.len(), &names.len())?;
    same("index of the names", &index, &BatchIndex::of(&names))
}

/// A batch holds announcements of one parent height, which its name says.
fn batch(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    let bytes = file.bytes()?;
    let row = || {
        let name: BatchName =
            file.name.parse().map_err(|fault: wire::batch::BatchNameFault| fault.to_string())?;
        for bytes in announcements(&bytes).map_err(|refusal| refusal.to_string())? {
            same("parent height", &name.parent_height, &Announcement::from_bytes(bytes).parent_height())?;
        }
        Ok(())
    };
    Ok(single(row()))
}

fn downloads(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    #[derive(Deserialize)]
    struct Recording {
        exchanges: Vec<Exchange>,
    }
    #[derive(Deserialize)]
    struct Exchange {
        note: String,
        path: String,
        status: u16,
        body: Option<Value>,
    }
    let recording: Recording = file.json()?;
    Ok(each(
        &recording.exchanges,
        |exchange| exchange.note.clone(),
        |exchange| {
            let body = exchange.body.as_ref().and_then(Value::as_str).unwrap_or_default();
            let name = exchange.path.rsplit('/').next().unwrap_or_default();
            match name {
                "index.json" => index(body.as_bytes()),
                name => holds("a batch name", name.parse::<BatchName>().is_ok() || exchange.status != 200),
            }
        },
    ))
}
