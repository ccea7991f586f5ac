//! Uploading to one announcement handler: fills batches, sends them, and counts what the handler says.

use std::{sync::Arc, time::Duration};

use packetcrypt::Height;
use rand::RngExt;
use reqwest::StatusCode;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use wire::{
    PktAddress,
    announcement_post::{AnnouncementReply, PostHeaders},
};

use super::{
    UploadSettings,
    batch::{Batch, OpenBatch, WaitingBatches},
    counts::Counts,
};
use crate::{
    announcements::Found,
    backoff::Backoff,
    http_client::{Answer, HttpClient, HttpSetupFault},
    pool_client::{FollowedPool, TRACKED_HEIGHTS},
    trouble::Trouble,
};

/// Closed batches that wait for one handler (7.3).
const MOST_WAITING: usize = 100;
/// Pause after an answer that says `overloaded` (rule R-N2), in milliseconds.
const OVERLOADED_PAUSE_MS: std::ops::Range<u64> = 1000..5000;
/// Pause before a handler is tried whose pool can be reached again, in milliseconds.
const AFTER_RETURN_MS: std::ops::Range<u64> = 500..2500;
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
const REPLY_LIMIT: usize = 1 << 16;
/// The post rules that all public miners follow: assignment by hash (5.2).
const SHARE_VERSION: u32 = 1;

/// The two ways to reach a handler.
#[derive(Debug, Clone)]
pub struct UploadClients {
    /// Connections are used again.
    usual: HttpClient,
    /// For a second try, which must not meet the connection that failed (rule R-N2).
    fresh: HttpClient,
}

impl UploadClients {
    /// `timeout` is for a whole upload.
    pub fn new(timeout: Duration) -> Result<Self, HttpSetupFault> {
        Ok(Self { usual: HttpClient::new(timeout)?, fresh: HttpClient::without_reuse(timeout)? })
    }
}

/// What became of one upload.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The handler took the batch.
    Answered { accepted: u64, duplicate: u64 },
    /// The handler does not want it, now or ever.
    Refused { reason: String },
    /// The handler has too much to do.
    Overloaded,
    /// No answer, or none that can be understood, or a handler that is not ready.
    Failed { reason: String },
}

/// The uploads to one handler.
pub struct HandlerUploads {
    url: Arc<str>,
    pay_to: PktAddress,
    most_uploads: usize,
    drain: Duration,
    clients: UploadClients,
    pool: FollowedPool,
    counts: Arc<Counts>,
    open: OpenBatch,
    waiting: WaitingBatches,
    in_flight: JoinSet<(Batch, Outcome)>,
    /// Announcements of the uploads in flight.
    sent_unanswered: u64,
    backoff: Backoff,
    pause_until: Option<Instant>,
    trouble: Trouble,
}

impl HandlerUploads {
    /// Uploads to the handler at `url` of a pool.
    pub fn new(
        url: &str,
        settings: &UploadSettings,
        clients: UploadClients,
        pool: FollowedPool,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            url: url.into(),
            pay_to: settings.pay_to,
            most_uploads: settings.uploaders.get(),
            drain: settings.drain,
            clients,
            pool,
            counts,
            open: OpenBatch::new(settings.batch_age),
            waiting: WaitingBatches::new(MOST_WAITING),
            in_flight: JoinSet::new(),
            sent_unanswered: 0,
            backoff: Backoff::new(FIRST_BACKOFF, LONGEST_BACKOFF),
            pause_until: None,
            trouble: Trouble::with(format!("announcement handler {url}")),
        }
    }

    /// Sends what comes in until the channel is closed, then what is left, as far as the time for that allows.
    pub async fn run(mut self, mut incoming: mpsc::Receiver<Found>) {
        let mut reachable = self.pool.reachability();
        loop {
            self.start_uploads();
            tokio::select! {
                Ok(()) = reachable.changed() => self.pool_is_reachable(*reachable.borrow_and_update()),
                found = incoming.recv() => match found {
                    Some(found) => self.take(&found),
                    None => break,
                },
                () = at(self.open.closes_at()) => self.close_open(),
                Some(Ok((batch, outcome))) = self.in_flight.join_next() => self.settle(batch, outcome),
                () = at(self.pause_until) => self.pause_until = None,
            }
        }
        self.close_open();
        if tokio::time::timeout(self.drain, self.send_the_rest()).await.is_err() {
            self.trouble.happened("stopped before everything was sent");
        }
        self.count_the_rest_as_lost();
    }

    async fn send_the_rest(&mut self) {
        loop {
            self.start_uploads();
            if self.waiting.is_empty() && self.in_flight.is_empty() {
                return;
            }
            tokio::select! {
                Some(Ok((batch, outcome))) = self.in_flight.join_next() => self.settle(batch, outcome),
                () = at(self.pause_until) => self.pause_until = None,
            }
        }
    }

    fn count_the_rest_as_lost(&mut self) {
        self.in_flight.abort_all();
        self.counts.lost(self.sent_unanswered);
        self.counts.upload_ended(self.sent_unanswered);
        while let Some(batch) = self.take_newest() {
            self.counts.lost(batch.announcements);
        }
    }

    fn take(&mut self, found: &Found) {
        for batch in self.open.add(found, Instant::now()) {
            self.wait(batch);
        }
    }

    fn close_open(&mut self) {
        if let Some(batch) = self.open.close() {
            self.wait(batch);
        }
    }

    fn wait(&mut self, batch: Batch) {
        self.counts.began_to_wait(batch.announcements);
        if let Some(dropped) = self.waiting.add(batch) {
            self.counts.stopped_waiting(dropped.announcements);
            self.counts.overflowed(dropped.announcements);
        }
    }

    fn take_newest(&mut self) -> Option<Batch> {
        let newest = self.waiting.take_newest()?;
        self.counts.stopped_waiting(newest.announcements);
        Some(newest)
    }

    /// Sends waiting batches, newest first, while the handler takes them.
    fn start_uploads(&mut self) {
        while self.pause_until.is_none() && self.in_flight.len() < self.most_uploads {
            let Some(batch) = self.take_newest() else { return };
            if !self.still_wanted(&batch) {
                self.counts.lost(batch.announcements);
                continue;
            }
            self.counts.upload_started(batch.announcements);
            self.sent_unanswered += batch.announcements;
            let client = if batch.repeated { &self.clients.fresh } else { &self.clients.usual };
            let (client, url, pay_to) = (client.clone(), Arc::clone(&self.url), self.pay_to);
            self.in_flight.spawn(async move {
                let outcome = upload(&client, &url, pay_to, &batch).await;
                (batch, outcome)
            });
        }
    }

    /// Whether handlers still take announcements with this batch's parent.
    fn still_wanted(&self, batch: &Batch) -> bool {
        let Some(view) = self.pool.view() else { return true };
        let (Height(tip), _) = view.tip();
        tip < batch.job.parent_height.0.saturating_add(TRACKED_HEIGHTS)
    }

    fn settle(&mut self, batch: Batch, outcome: Outcome) {
        self.sent_unanswered -= batch.announcements;
        self.counts.upload_ended(batch.announcements);
        match outcome {
            Outcome::Answered { accepted, duplicate } => {
                self.works();
                self.counts.answered(batch.announcements, accepted, duplicate);
            }
            Outcome::Refused { reason } => {
                self.backoff.worked();
                let code = reason_code(&reason);
                self.trouble.happened_as(code, format_args!("announcements refused: {reason}"));
                self.counts.rejected(code, batch.announcements);
            }
            Outcome::Overloaded => {
                self.trouble.happened("overloaded");
                self.pause(Duration::from_millis(rand::rng().random_range(OVERLOADED_PAUSE_MS)));
                self.repeat_or(batch, Counts::overloaded);
            }
            Outcome::Failed { reason } => {
                self.trouble.happened(reason);
                let pause = self.backoff.failed();
                self.pause(pause);
                self.repeat_or(batch, Counts::lost);
            }
        }
    }

    fn works(&mut self) {
        self.trouble.over();
        self.backoff.worked();
    }

    /// A pool that can be reached again has handlers that can be, perhaps: they are tried soon, not after a long pause.
    fn pool_is_reachable(&mut self, reachable: bool) {
        if reachable && let Some(until) = self.pause_until {
            let soon = Duration::from_millis(rand::rng().random_range(AFTER_RETURN_MS));
            self.pause_until = Some(until.min(Instant::now() + soon));
            self.backoff.worked();
        }
    }

    fn pause(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        self.pause_until = Some(self.pause_until.map_or(until, |earlier| earlier.max(until)));
    }

    /// A first failure is tried once more (rule R-N2), a second one is final.
    fn repeat_or(&mut self, batch: Batch, count: impl FnOnce(&Counts, u64)) {
        if batch.repeated || !self.still_wanted(&batch) {
            count(&self.counts, batch.announcements);
        } else {
            self.counts.repeated(batch.announcements);
            self.wait(Batch { repeated: true, ..batch });
        }
    }
}

async fn upload(client: &HttpClient, url: &str, pay_to: PktAddress, batch: &Batch) -> Outcome {
    let Ok(parent) = i32::try_from(batch.job.parent_height.0) else {
        return Outcome::Refused { reason: "parent_height_too_high".into() };
    };
    let headers = PostHeaders { share_version: SHARE_VERSION, work_number: parent.saturating_add(1), pay_to }
        .to_pairs();
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    match client.post(url, &headers, batch.body.clone(), REPLY_LIMIT).await {
        Ok(answer) => understand(&answer),
        Err(fault) => Outcome::Failed { reason: fault.to_string() },
    }
}

/// What a handler's answer means. The texts are those of section 14 of the protocol.
fn understand(answer: &Answer) -> Outcome {
    let overloaded =
        [StatusCode::SERVICE_UNAVAILABLE, StatusCode::NOT_IMPLEMENTED, StatusCode::TOO_MANY_REQUESTS];
    if overloaded.contains(&answer.status) {
        return Outcome::Overloaded;
    }
    match AnnouncementReply::parse(&answer.body) {
        Ok(reply) => match (reply.error.first(), reply.result) {
            (Some(_), _) if reply.error.iter().any(|error| error == "overloaded") => Outcome::Overloaded,
            (Some(error), _) if error.contains("not ready") => Outcome::Failed { reason: error.clone() },
            (Some(error), _) => Outcome::Refused { reason: error.clone() },
            (None, Some(event)) => {
                Outcome::Answered { accepted: event.accepted.into(), duplicate: event.duplicate.into() }
            }
            (None, None) => Outcome::Failed { reason: "the reply has neither a result nor an error".into() },
        },
        // The reference answers a bad request header with plain text.
        Err(_) if answer.status == StatusCode::BAD_REQUEST => {
            Outcome::Refused { reason: String::from_utf8_lossy(&answer.body).chars().take(200).collect() }
        }
        Err(fault) => Outcome::Failed { reason: format!("status {}: {fault}", answer.status.as_u16()) },
    }
}

/// The code at the start of our handlers' texts, or the reference's whole text.
fn reason_code(reason: &str) -> &str {
    match reason.split_once(": ") {
        Some((code, _)) if wire::Refusal::CODES.contains(&code) => code,
        _ => reason,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{blocks::test_chain::followed, fake_pool::PAY_TO};

    fn answer(status: u16, body: &str) -> Outcome {
        understand(&Answer { status: StatusCode::from_u16(status).unwrap(), body: body.to_owned().into() })
    }

    const EVENT: &str = r#"{"type":"anns","accepted":3,"dup":1,"inval":0,"badHash":0,"runt":0,"internalErr":0,
        "payTo":"pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2","unsigned":4,"totalLen":0,
        "target":538968063,"time":1600000000000,"eventId":"00112233445566778899aabbccddeeff"}"#;

    #[test]
    fn answers_mean_what_the_protocol_says() {
        assert_eq!(
            answer(200, &format!(r#"{{"warn":[],"error":[],"result":{EVENT}}}"#)),
            Outcome::Answered { accepted: 3, duplicate: 1 }
        );
        for (status, body) in [
            (503, "busy"),
            (501, "overloaded"),
            (429, ""),
            (400, r#"{"warn":[],"error":["overloaded"],"result":null}"#),
        ] {
            assert_eq!(answer(status, body), Outcome::Overloaded, "{status} {body}");
        }
        assert_eq!(
            answer(400, r#"{"warn":[],"error":["submit elsewhere"],"result":null}"#),
            Outcome::Refused { reason: "submit elsewhere".into() }
        );
        assert_eq!(
            answer(400, "Missing request header \"x-pc-sver\""),
            Outcome::Refused { reason: "Missing request header \"x-pc-sver\"".into() }
        );
    }

    #[test]
    fn what_cannot_be_understood_is_a_failure_and_may_be_tried_again() {
        for (status, body) in [
            (200, ""),
            (200, "<html>welcome</html>"),
            (200, r#"{"warn":[],"error":[],"result":null}"#),
            (502, "bad gateway"),
            (400, r#"{"warn":[],"error":["server not ready"],"result":null}"#),
        ] {
            assert!(matches!(answer(status, body), Outcome::Failed { .. }), "{status} {body}");
        }
    }

    #[tokio::test]
    async fn when_the_pool_can_be_reached_again_its_handlers_are_tried_soon() {
        let (_fake, pool, _guard) = followed(2).await;
        let settings = UploadSettings {
            pay_to: PktAddress::parse(PAY_TO).unwrap(),
            uploaders: std::num::NonZeroUsize::MIN,
            timeout: Duration::from_secs(1),
            batch_age: Duration::from_secs(1),
            drain: Duration::ZERO,
        };
        let clients = UploadClients::new(settings.timeout).unwrap();
        let mut uploads = HandlerUploads::new("http://a", &settings, clients, pool, Arc::default());
        uploads.pool_is_reachable(true);
        assert_eq!(uploads.pause_until, None);
        uploads.pause(Duration::from_hours(1));
        let long = uploads.pause_until;
        uploads.pool_is_reachable(false);
        assert_eq!(uploads.pause_until, long);
        uploads.pool_is_reachable(true);
        assert!(uploads.pause_until.unwrap() < Instant::now() + Duration::from_secs(3));
    }

    #[test]
    fn reasons_are_counted_by_code_where_there_is_one() {
        assert_eq!(reason_code("submit_elsewhere: submit elsewhere: announcement 3"), "submit_elsewhere");
        assert_eq!(reason_code("submit elsewhere"), "submit elsewhere");
        assert_eq!(reason_code("check_ann() -> INVAL: x"), "check_ann() -> INVAL: x");
    }
}
