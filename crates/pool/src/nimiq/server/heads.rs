//! The node's heads on the board that all connections look at.

use std::sync::Arc;
use std::time::Duration;

use ledger::nimiq::Accounts;
use nimiq::{CompactTarget, ShareTarget, ShareWeight};
use node::nimiq::Head;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::board::{Board, Work};
use super::clock;
use super::journal::Replay;
use super::seen::Seen;
use crate::health::Health;
use crate::metrics::{Metrics, Original};
use crate::outbox::Outbox;

/// Under what `/healthz` names the node.
const PART: &str = "node";
/// How long the accounts may take at the start.
const ACCOUNTS_TIME: Duration = Duration::from_secs(5);

/// Puts every head that the node tells of on the board.
pub(super) struct HeadKeeper {
    pub heads: watch::Receiver<Option<Arc<Head>>>,
    pub board: watch::Sender<Arc<Board>>,
    pub seen: Arc<Seen>,
    pub outbox: Outbox,
    pub accounts: Accounts,
    pub health: Health,
    pub height: Gauge,
    pub next_work: Gauge,
    pub metrics: Metrics,
    /// Another body for the same head is posted no more often.
    pub body_time: Duration,
}

impl HeadKeeper {
    /// The gauge of the height, which the reference shows too.
    pub(super) fn height(metrics: &Metrics) -> Gauge {
        let height = metrics.gauge("nimiq_head_height", "Height of the newest block");
        let original = Original::Gauge(height.clone());
        metrics.alias("chain_head_height", "Height of the newest block", original);
        height
    }

    /// The gauge of what the next block costs the pool.
    pub(super) fn next_work(metrics: &Metrics) -> Gauge {
        metrics.gauge("nimiq_next_block_hashes", "Hashes that the next block takes on average")
    }

    /// Keeps the board until `shutdown`. `replay` is what was accepted before the start.
    pub(super) async fn run(mut self, replay: Replay, shutdown: CancellationToken) {
        let mut replay = Some(replay);
        let keeping = async {
            self.health.trouble_of(PART, "the node has given no work yet");
            let mut refresh_at = Instant::now();
            loop {
                let head = self.heads.borrow_and_update().clone();
                let again_at = match head {
                    None => {
                        self.without_work();
                        None
                    }
                    Some(head) if self.is_early(&head, refresh_at) => Some(refresh_at),
                    Some(head) => {
                        if let Some(replay) = replay.take() {
                            self.remember(&head, replay).await;
                        }
                        if self.post(&head) {
                            refresh_at = Instant::now() + self.body_time;
                        }
                        None
                    }
                };
                let changed = async {
                    match again_at {
                        // In time means: whatever there is then is posted.
                        Some(at) => tokio::time::timeout_at(at, self.heads.changed()).await.unwrap_or(Ok(())),
                        None => self.heads.changed().await,
                    }
                };
                // An error means that whoever follows the node has ended, which happens only with the stop signal.
                if changed.await.is_err() {
                    return;
                }
            }
        };
        shutdown.run_until_cancelled(keeping).await;
    }

    /// Whether it is only another body for the head that everybody works on, and too soon for that.
    fn is_early(&self, head: &Head, refresh_at: Instant) -> bool {
        let board = self.board.borrow();
        let on_same = board.work.as_ref().is_some_and(|work| work.next.previous == head.next.previous);
        // Once its light block is known, nano clients have waited long enough.
        let same_light = board.work.as_ref().is_some_and(|work| work.head.is_some() == head.light.is_some());
        on_same && same_light && Instant::now() < refresh_at
    }

    fn without_work(&self) {
        if self.board.borrow().work.is_some() {
            self.health.trouble_of(PART, "no node has consensus and a head that is young enough");
            self.board.send_modify(|board| *board = Arc::new(board.without_work()));
        }
    }

    /// Whether the board is another one now.
    fn post(&self, head: &Head) -> bool {
        let body = head.body.clone();
        let work = Work::new(head.next.clone(), head.light.clone(), head.accounts_hash, body);
        self.health.solved(PART);
        if self.board.borrow().work.as_ref().is_some_and(|present| present.is_like(&work)) {
            return false;
        }
        self.seen.turn_to(head.next.previous);
        let height = head.next.height;
        self.board.send_modify(|board| *board = Arc::new(board.with(Arc::new(work))));
        self.height.set(i64::from(head.block.facts.height.0));
        // Not there before there is work.
        let help = "When the template that miners work on was posted, since 1970";
        let posted = self.metrics.gauge("nimiq_template_timestamp_seconds", help);
        posted.set((clock::unix_millis().0 / 1000).cast_signed());
        self.next_work.set(expected_hashes(head.next.target));
        // Shares on the head and on the one before may come again.
        self.outbox.keys_needed_from(height.0.saturating_sub(1));
        true
    }

    /// Before anybody is given work: the shares on this head that have counted already.
    async fn remember(&self, head: &Head, replay: Replay) {
        self.seen.turn_to(head.block.facts.previous);
        self.seen.turn_to(head.next.previous);
        replay.enter(&self.seen);
        let on_head = self.accounts.share_hashes(head.next.previous);
        match tokio::time::timeout(ACCOUNTS_TIME, on_head).await {
            Ok(Ok(hashes)) => {
                for hash in hashes {
                    self.seen.enter(head.next.previous, hash);
                }
            }
            // Those of this server are in its outbox.
            Ok(Err(error)) => tracing::warn!(%error, "the accounts do not say which shares they have"),
            Err(_) => tracing::warn!("the accounts do not say in time which shares they have"),
        }
    }
}

/// Hashes that a block of this target takes on average; 0 for a target that no chain has.
fn expected_hashes(target: CompactTarget) -> i64 {
    let weight = ShareTarget::new(target).map_or(0, |target| target.weight().0);
    (weight / ShareWeight::PER_HASH).cast_signed()
}
