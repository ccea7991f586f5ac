//! Uploads of events to the PayMaker, with their receipts.

use serde::Deserialize;
use serde_json::Value;
use wire::pay_maker::UploadReceipt;
use wire::{Event, EventId, Refusal, Reply};

use super::{Tally, VectorFile, Verdict, each, holds, same, single};

pub(super) fn check(file: &VectorFile<'_>) -> Option<anyhow::Result<Tally>> {
    match file.name.rsplit_once('.')? {
        ("http", "json") => Some(exchanges(file)),
        (_, "json") => Some(upload(file)),
        (_, "ndjson") => Some(lines(file)),
        _ => None,
    }
}

/// Each recorded line is an event, and is written back byte for byte.
fn lines(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    let bytes = file.bytes()?;
    let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').enumerate().collect();
    Ok(each(
        &lines,
        |(number, _)| format!("line {}", number + 1),
        |(_, line)| {
            let event = Event::parse_line(line).map_err(|fault| fault.to_string())?;
            same("written back", &String::from_utf8_lossy(line).as_ref(), &event.to_line().as_str())
        },
    ))
}

/// The receipt names the file that was uploaded.
fn upload(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    #[derive(Deserialize)]
    struct Upload {
        body: String,
        status: u16,
        response: String,
    }
    let upload: Upload = file.json()?;
    let body = file.beside(&upload.body)?;
    Ok(single(answered(&body, upload.status, &upload.response)))
}

fn answered(body: &[u8], status: u16, response: &str) -> Verdict {
    let reply = Reply::<UploadReceipt>::parse(response.as_bytes()).map_err(|fault| fault.to_string())?;
    if status != 200 {
        let ours = Refusal::NoEvents.to_string();
        return holds(
            "our words contain those of the reference",
            reply.error.iter().all(|text| ours.contains(text)),
        );
    }
    let receipt = reply.result.ok_or("the reply has no receipt")?;
    same("event id", &EventId::of_upload(body), &receipt.event_id)
}

#[derive(Deserialize)]
struct Exchange {
    note: String,
    request_body: Option<String>,
    status: Option<u16>,
    body: Value,
}

/// Requests that were posted and answered with the envelope; the others are about paths and passwords.
fn exchanges(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    let exchanges: Vec<Exchange> = file.json()?;
    let posted = |exchange: &Exchange| {
        let envelope = exchange.body.as_str().is_some_and(|body| body.starts_with("{\"result\""));
        (exchange.request_body.is_some() && envelope).then_some(exchange.status).flatten()
    };
    let posts: Vec<_> = exchanges.iter().filter_map(|exchange| Some((exchange, posted(exchange)?))).collect();
    Ok(each(
        &posts,
        |(exchange, _)| exchange.note.clone(),
        |(exchange, status)| {
            let body = exchange.request_body.as_deref().unwrap_or_default();
            if exchange.note.contains("not UTF-8") {
                // Kept in base64, and answered for a text that was never sent; here such a body is refused.
                return same("status", &400, &Refusal::NotUtf8 { offset: 0 }.status());
            }
            answered(body.as_bytes(), *status, exchange.body.as_str().unwrap_or_default())
        },
    ))
}
