//! Shares on their way to the pool: newest first, stale ones dropped, never more than a few waiting (rule R-B1).

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use packetcrypt::BlockHash;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use wire::{
    PktAddress,
    share_post::{ShareHeaders, ShareId, SharePost, ShareReply},
};

use super::status::ShareCounts;
use crate::{
    http_client::{Answer, HttpClient},
    pool_client::{CurrentWork, FollowedPool},
    trouble::Trouble,
};

/// Shares that wait to be sent.
const MOST_WAITING: usize = 64;
const REPLY_LIMIT: usize = 1 << 16;
/// The post rules that all public miners follow.
const SHARE_VERSION: u32 = 1;
/// Pause before a failed upload is repeated.
const BEFORE_REPETITION: Duration = Duration::from_secs(1);
/// Time to wait for answers when the miner stops.
const DRAIN: Duration = Duration::from_secs(5);
/// What every handler says about a share for work that is no longer current (section 14).
const STALE_TEXT: &str = "Share is for wrong work, expecting previous hash";
/// What handlers answer when they have too much to do; the share may be sent once more.
const OVERLOADED_TEXT: &str = "overloaded";

/// A share that passed the check here.
#[derive(Debug, Clone)]
pub struct FoundShare {
    /// The work it is for.
    pub work: CurrentWork,
    /// What is sent.
    pub post: SharePost,
    /// Whether it was sent before.
    pub repeated: bool,
}

/// What became of shares, since the start.
#[derive(Debug, Default)]
pub struct ShareTotals {
    found: AtomicU64,
    accepted: AtomicU64,
    blocks: AtomicU64,
    stale: AtomicU64,
    rejected: AtomicU64,
    overflow: AtomicU64,
    lost: AtomicU64,
    faulty: AtomicU64,
}

impl ShareTotals {
    /// A mining thread found one.
    pub fn found(&self) {
        self.found.fetch_add(1, Relaxed);
    }

    /// It did not pass the check here.
    pub fn faulty(&self) {
        self.faulty.fetch_add(1, Relaxed);
    }

    /// The totals now.
    pub fn now(&self) -> ShareCounts {
        ShareCounts {
            found: self.found.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            blocks: self.blocks.load(Relaxed),
            stale: self.stale.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            overflow: self.overflow.load(Relaxed),
            lost: self.lost.load(Relaxed),
            faulty: self.faulty.load(Relaxed),
        }
    }

    fn count(&self, outcome: &Outcome) {
        let total = match outcome {
            Outcome::Accepted { block } => {
                self.blocks.fetch_add(block.is_some().into(), Relaxed);
                &self.accepted
            }
            Outcome::Stale => &self.stale,
            Outcome::Rejected { .. } => &self.rejected,
            Outcome::Failed { .. } => &self.lost,
        };
        total.fetch_add(1, Relaxed);
    }
}

/// Shares that wait, and a signal that there are some.
pub struct ShareQueue {
    waiting: Mutex<VecDeque<FoundShare>>,
    added: Notify,
    current: watch::Receiver<Option<CurrentWork>>,
    totals: ShareTotals,
}

impl ShareQueue {
    /// `current` says which work is not stale.
    pub fn new(current: watch::Receiver<Option<CurrentWork>>) -> Self {
        Self { waiting: Mutex::default(), added: Notify::new(), current, totals: ShareTotals::default() }
    }

    /// What became of the shares.
    pub fn counts(&self) -> &ShareTotals {
        &self.totals
    }

    /// Whether another share would displace one that was not sent. Then finding more is of no use.
    pub fn is_full(&self) -> bool {
        self.lock().len() >= MOST_WAITING
    }

    /// Adds a share, in place of the oldest if there are too many.
    pub fn add(&self, share: FoundShare) {
        let mut waiting = self.lock();
        waiting.push_back(share);
        if waiting.len() > MOST_WAITING {
            waiting.pop_front();
            self.totals.overflow.fetch_add(1, Relaxed);
        }
        drop(waiting);
        self.added.notify_one();
    }

    /// The newest share that is not stale; stale ones are counted and forgotten.
    pub fn take_newest(&self) -> Option<FoundShare> {
        let current = self.current.borrow().as_ref().map(|work| work.id());
        let mut waiting = self.lock();
        while let Some(share) = waiting.pop_back() {
            if Some(share.work.id()) == current {
                return Some(share);
            }
            debug!(height = %share.work.height, "stale share dropped");
            self.totals.stale.fetch_add(1, Relaxed);
        }
        None
    }

    async fn next(&self) -> FoundShare {
        loop {
            if let Some(share) = self.take_newest() {
                return share;
            }
            self.added.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<FoundShare>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of an upload.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The pool credits it; it may be a block.
    Accepted { block: Option<BlockHash> },
    /// The pool has newer work.
    Stale,
    /// The pool does not want it.
    Rejected { reason: String },
    /// No answer, or none that can be understood.
    Failed { reason: String },
}

/// Uploads shares until `shutdown`.
pub struct ShareUploader {
    /// Where shares wait.
    pub queue: Arc<ShareQueue>,
    /// Where they go.
    pub pool: FollowedPool,
    /// Whom they are credited to.
    pub pay_to: PktAddress,
    /// Uploads at the same time.
    pub uploaders: NonZeroUsize,
    /// For the uploads.
    pub client: HttpClient,
}

impl ShareUploader {
    /// Sends the newest share whenever there is one.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut uploads = JoinSet::new();
        let mut trouble = Trouble::with(format!("shares for pool {}", self.pool.url()));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                share = self.queue.next(), if uploads.len() < self.uploaders.get() => {
                    uploads.spawn(self.upload(share));
                }
                Some(uploaded) = uploads.join_next() => if let Ok((share, outcome)) = uploaded {
                    self.settle(share, &outcome, &mut trouble);
                },
            }
        }
        let the_rest = async {
            while let Some(uploaded) = uploads.join_next().await {
                if let Ok((_, outcome)) = uploaded {
                    self.queue.totals.count(&outcome);
                }
            }
        };
        if tokio::time::timeout(DRAIN, the_rest).await.is_err() {
            debug!("stopped before every share was answered");
        }
    }

    fn upload(&self, share: FoundShare) -> impl Future<Output = (FoundShare, Outcome)> + Send + use<> {
        let (client, pay_to) = (self.client.clone(), self.pay_to);
        let url = self.handler_of(&share.post);
        async move {
            if share.repeated {
                tokio::time::sleep(BEFORE_REPETITION).await;
            }
            let outcome = match url {
                Some(url) => post(&client, &url, pay_to, &share.post).await,
                None => Outcome::Failed { reason: "the pool has no block handler".into() },
            };
            (share, outcome)
        }
    }

    /// The handler that the share's id selects (8.3).
    fn handler_of(&self, post: &SharePost) -> Option<String> {
        let view = self.pool.view()?;
        let urls = &view.config.submit_block_urls;
        let number = ShareId::new(&post.header, post.proof.nonce2).handler(urls.len())?;
        urls.get(number).cloned()
    }

    fn settle(&self, share: FoundShare, outcome: &Outcome, trouble: &mut Trouble) {
        let height = share.work.height;
        match outcome {
            Outcome::Accepted { block } => {
                trouble.over();
                if let Some(hash) = block {
                    info!(%height, block = %hash, "BLOCK found");
                }
            }
            Outcome::Stale => {
                warn!(%height, "Stale share");
                self.pool.read_now();
            }
            Outcome::Rejected { reason } => trouble.happened(format_args!("refused: {reason}")),
            Outcome::Failed { reason } if share.repeated => trouble.happened(format_args!("lost: {reason}")),
            Outcome::Failed { reason } => {
                debug!(%height, "share is sent again: {reason}");
                self.queue.add(FoundShare { repeated: true, ..share });
                return;
            }
        }
        self.queue.totals.count(outcome);
    }
}

async fn post(client: &HttpClient, url: &str, pay_to: PktAddress, post: &SharePost) -> Outcome {
    let headers = ShareHeaders { pay_to, share_version: Some(SHARE_VERSION) }.to_pairs();
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    match client.post(url, &headers, Bytes::from(post.to_json()), REPLY_LIMIT).await {
        Ok(answer) => understand(&answer),
        Err(fault) => Outcome::Failed { reason: fault.to_string() },
    }
}

/// What a handler's answer means (8.3). A result counts whatever the status: a share that another handler's block
/// made worthless as a block is still credited (rule R-K6).
fn understand(answer: &Answer) -> Outcome {
    let reply = match ShareReply::parse(&answer.body) {
        Ok(reply) => reply,
        Err(fault) => {
            return Outcome::Failed { reason: format!("status {}: {fault}", answer.status.as_u16()) };
        }
    };
    for warning in &reply.warn {
        warn!("the pool warns: {warning}");
    }
    if let Some(event) = reply.result {
        return Outcome::Accepted { block: event.won_block };
    }
    match reply.error.first() {
        Some(_) if reply.error.iter().any(|error| error.contains(STALE_TEXT)) => Outcome::Stale,
        Some(error) if error == OVERLOADED_TEXT || answer.status.is_server_error() => {
            Outcome::Failed { reason: error.clone() }
        }
        Some(error) => Outcome::Rejected { reason: error.clone() },
        None => Outcome::Failed { reason: "the reply has neither a result nor an error".into() },
    }
}

#[cfg(test)]
mod tests;
