//! Sending closed segments to the PayMaker until it confirms them (rule R-L1).

use std::path::Path;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::EventId;

use super::segment::{self, Segment, State};
use super::{Outbox, OutboxError, reading};
use crate::backoff::Backoff;
use crate::http_client::{self, HttpFault};
use crate::metrics::{Metrics, Stage, StageTimes};
use crate::nudge::Nudge;

/// A segment that was refused this often is moved aside.
const REFUSALS_ALLOWED: u32 = 10;
/// Longest reply that is read.
const REPLY_BYTES: usize = 64 * 1024;

/// Where events go.
pub struct UploadConfig {
    /// Base URL of the PayMaker (`paymakerUrl` of the pool's configuration), once known.
    pub paymaker_url: watch::Receiver<Option<String>>,
    /// Password of its `/events`.
    pub password: String,
    /// Time for one upload.
    pub timeout: Duration,
    /// Has what is there uploaded at once.
    pub now: Nudge,
}

/// Uploads closed segments, oldest first, until `shutdown`.
pub async fn upload(
    outbox: Outbox,
    config: UploadConfig,
    http: reqwest::Client,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let uploader = Uploader {
        outbox,
        authorization: authorization(&config.password),
        paymaker_url: config.paymaker_url,
        timeout: config.timeout,
        now: config.now,
        http,
        uploads: metrics.counter("outbox_uploads", "Segments confirmed by the PayMaker"),
        failed: metrics.counter("outbox_upload_failures", "Uploads that failed and are repeated"),
        refused: metrics.counter("outbox_segments_refused", "Segments moved aside because they were refused"),
        delivering: metrics.stage(Stage::Deliver),
        unconfirmed: metrics.gauge("outbox_unconfirmed_events", "Events waiting for the PayMaker"),
    };
    tokio::select! {
        () = uploader.run() => {}
        () = shutdown.cancelled() => {}
    }
}

struct Uploader {
    outbox: Outbox,
    paymaker_url: watch::Receiver<Option<String>>,
    authorization: HeaderValue,
    timeout: Duration,
    now: Nudge,
    http: reqwest::Client,
    uploads: Counter,
    failed: Counter,
    refused: Counter,
    unconfirmed: Gauge,
    delivering: StageTimes,
}

/// Why an upload was not confirmed.
#[derive(Debug, thiserror::Error)]
enum UploadFault {
    #[error("the pool's configuration names no PayMaker yet")]
    NoPayMaker,
    #[error("refused with status 400: {reply}")]
    Refused { reply: String },
    #[error("status {status} instead of 200: {reply}")]
    Status { status: StatusCode, reply: String },
    #[error("confirmed as {found:?} instead of {expected}")]
    OtherId { found: Option<String>, expected: String },
    #[error(transparent)]
    Http(#[from] HttpFault),
    #[error("the upload could not be prepared: {0}")]
    Task(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Disk(#[from] OutboxError),
}

/// The part of the PayMaker's reply that counts.
#[derive(Deserialize)]
struct Reply {
    result: serde_json::Value,
    #[serde(default)]
    warn: Vec<String>,
}

impl Uploader {
    async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));
        let mut refusals = (0, 0);
        loop {
            self.unconfirmed.set(self.outbox.unconfirmed() as i64);
            let segment = self.next().await;
            self.unconfirmed.set(self.outbox.unconfirmed() as i64);
            let sending = Instant::now();
            match self.send(&segment).await {
                Ok(()) => {
                    self.delivering.since(sending);
                    self.uploads.inc();
                    backoff.reset();
                    continue;
                }
                Err(UploadFault::NoPayMaker) => {
                    // An error means that the role which tells the URL has ended: there is nothing to wait for.
                    if self.paymaker_url.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
                Err(fault @ UploadFault::Refused { .. }) => {
                    refusals = if refusals.0 == segment.number {
                        (segment.number, refusals.1 + 1)
                    } else {
                        (segment.number, 1)
                    };
                    tracing::error!(segment = segment.number, attempt = refusals.1, %fault, "events not confirmed");
                    if refusals.1 >= REFUSALS_ALLOWED && self.set_aside(&segment) {
                        continue;
                    }
                }
                Err(fault) => {
                    tracing::warn!(segment = segment.number, %fault, "events not confirmed, trying again");
                }
            }
            self.failed.inc();
            self.now.pause(backoff.after_failure()).await;
        }
    }

    /// The oldest segment that is closed, or that is closed since it shall be uploaded now.
    async fn next(&self) -> Segment {
        loop {
            tokio::select! {
                segment = self.outbox.next_closed() => return segment,
                () = self.now.told() => self.outbox.rotate().await,
            }
        }
    }

    /// Sends one segment and marks it confirmed.
    async fn send(&self, segment: &Segment) -> Result<(), UploadFault> {
        let base = self.paymaker_url.borrow().clone().ok_or(UploadFault::NoPayMaker)?;
        let path = segment::path(&self.outbox.shared.dir, segment.number, State::Closed);
        let events = tokio::task::spawn_blocking(move || event_lines(&path)).await??;
        let expected = EventId::of_upload(&events).to_string();
        let request = self
            .http
            .post(format!("{}/events", base.trim_end_matches('/')))
            .header(AUTHORIZATION, self.authorization.clone())
            .body(events);
        let answer = http_client::ask(request, REPLY_BYTES, self.timeout).await?;
        let reply = String::from_utf8_lossy(&answer.body);
        match answer.status {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST => return Err(UploadFault::Refused { reply: answer.said() }),
            status => return Err(UploadFault::Status { status, reply: answer.said() }),
        }
        check_reply(&reply, expected)?;
        let state = if segment.torn { State::Damaged } else { State::Confirmed };
        Ok(self.outbox.shared.mark(segment.number, state)?)
    }

    /// Moves a segment out of the way of the others; `false` if the disk does not let it.
    fn set_aside(&self, segment: &Segment) -> bool {
        match self.outbox.shared.mark(segment.number, State::Refused) {
            Ok(()) => {
                let path = segment::path(&self.outbox.shared.dir, segment.number, State::Refused);
                tracing::error!(path = %path.display(), events = segment.records, "events moved aside: not paid");
                self.refused.inc();
                true
            }
            Err(error) => {
                tracing::error!(%error, "refused events could not be moved aside");
                false
            }
        }
    }
}

/// The upload of a segment: its event lines, always the same bytes.
fn event_lines(path: &Path) -> Result<Vec<u8>, OutboxError> {
    let mut lines = Vec::new();
    reading::read(path, |stored| {
        lines.extend_from_slice(stored.event);
        lines.push(b'\n');
    })
    .map_err(|fault| OutboxError::disk("reading", path, &fault))?;
    Ok(lines)
}

/// Whether the PayMaker names the upload by its id.
fn check_reply(reply: &str, expected: String) -> Result<(), UploadFault> {
    let parsed = serde_json::from_str::<Reply>(reply).ok();
    let found = parsed.as_ref().and_then(|reply| reply.result.get("eventId")?.as_str().map(str::to_owned));
    if found.as_ref() != Some(&expected) {
        return Err(UploadFault::OtherId { found, expected });
    }
    for warning in parsed.into_iter().flat_map(|reply| reply.warn).take(20) {
        tracing::warn!(%warning, "the PayMaker accepted events with a warning");
    }
    Ok(())
}

fn authorization(password: &str) -> HeaderValue {
    use base64::Engine;
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("x:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {credentials}"))
        .unwrap_or_else(|_| HeaderValue::from_static("Basic eDo="));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w10_a_confirmation_is_no_fault_and_a_fault_is_no_confirmation() {
        let id = "00112233445566778899aabbccddeeff".to_owned();
        let confirmed = format!(r#"{{"result":{{"eventId":"{id}"}},"warn":["line 3"],"error":[]}}"#);
        assert!(check_reply(&confirmed, id.clone()).is_ok(), "warnings do not matter");
        for other in [
            r#"{"result":"","warn":[],"error":["no"]}"#,
            r#"{"result":{"eventId":"ffff"},"warn":[],"error":[]}"#,
            r#"{"result":null}"#,
            "{}",
            "",
            "<html>",
        ] {
            let fault = check_reply(other, id.clone()).unwrap_err();
            assert!(fault.to_string().contains(&id), "{other}: {fault}");
        }
    }
}
