//! What becomes of the pool's blocks: how deep they are, what they pay, how much work they took.
//!
//! The node is asked about the newest blocks until each is deep enough; what is found is shown on the website and, where
//! it does not change any more, noted in the book.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger::book::{RecordedWin, SqlBook};
use ledger::{DurableLedger, UnixMillis};
use packetcrypt::BlockHash;
use tokio_util::sync::CancellationToken;

use super::payout_node::{ChainPlace, PayoutNode};

/// Blocks of a coinbase's depth at which it can be spent.
pub(super) const MATURE_AT: u32 = 100;
/// Blocks that are looked after.
const WATCHED: u32 = 100;
/// Blocks that the node is asked about in one round.
const ASKED_AT_ONCE: usize = 16;
/// Pause between two rounds.
const ROUND: Duration = Duration::from_secs(5);

/// What is known of the pool's blocks and of the next one.
#[derive(Default)]
pub(super) struct WonBlocks {
    places: Mutex<HashMap<BlockHash, ChainPlace>>,
    next_reward: Mutex<Option<(i64, UnixMillis)>>,
}

impl WonBlocks {
    /// Where the node says that a block is.
    pub(super) fn place(&self, hash: &BlockHash) -> Option<ChainPlace> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).get(hash).copied()
    }

    /// What the next block pays miners and pool, in units of 2⁻³⁰ PKT, and when the node said so.
    pub(super) fn next_reward(&self) -> Option<(i64, UnixMillis)> {
        *self.next_reward.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_next_reward(&self, reward: i64, at: UnixMillis) {
        *self.next_reward.lock().unwrap_or_else(PoisonError::into_inner) = Some((reward, at));
    }

    fn set_place(&self, hash: BlockHash, place: ChainPlace) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(hash, place);
    }

    /// Forgets blocks that are watched no more.
    fn keep_only(&self, wins: &[RecordedWin]) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|hash, _| wins.iter().any(|win| win.won.hash == *hash));
    }

    /// Looks after the blocks until the stop signal.
    pub(super) async fn follow(
        self: Arc<Self>,
        ledger: Arc<DurableLedger>,
        node: impl PayoutNode,
        book: SqlBook,
        shutdown: CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                () = shutdown.cancelled() => return,
            }
            match book.wins_before(UnixMillis(u64::MAX), WATCHED).await {
                Ok(wins) => {
                    self.keep_only(&wins);
                    self.ask_for_places(self.unsettled(&wins), &node).await;
                    self.describe(wins, Arc::clone(&ledger), book.clone()).await;
                    if let Err(error) = book.note_payees().await {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "whom a block of the pool paid could not be noted in the book");
                    }
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the pool's blocks cannot be read from the book");
                }
            }
        }
    }

    async fn ask_for_places(&self, hashes: Vec<BlockHash>, node: &impl PayoutNode) {
        for hash in hashes {
            match node.place_of(&hash).await {
                Ok(place) => self.set_place(hash, place),
                Err(error) => {
                    tracing::debug!(%error, %hash, "the node does not say where a block is");
                    return;
                }
            }
        }
    }

    /// The blocks to ask about in this round: first those that nobody has asked about yet.
    fn unsettled(&self, wins: &[RecordedWin]) -> Vec<BlockHash> {
        let is_final = |place: ChainPlace| matches!(place, ChainPlace::Main { confirmations, .. } if confirmations >= MATURE_AT);
        let hashes = wins.iter().map(|win| win.won.hash);
        let unsettled = hashes.filter(|hash| !self.place(hash).is_some_and(is_final));
        let (asked, never): (Vec<_>, Vec<_>) = unsettled.partition(|hash| self.place(hash).is_some());
        never.into_iter().chain(asked).take(ASKED_AT_ONCE).collect()
    }

    /// Notes effort, reward and payout table of blocks that lack them.
    async fn describe(&self, wins: Vec<RecordedWin>, ledger: Arc<DurableLedger>, book: SqlBook) {
        if wins.iter().all(|win| win.effort_millionths.is_some() && win.payout_table.is_some()) {
            return;
        }
        let efforts = tokio::task::spawn_blocking(move || ledger.read().efforts());
        let Ok(efforts) = efforts.await else { return };
        let efforts: HashMap<BlockHash, Option<f64>> = efforts.1.into_iter().collect();
        let lacks = |win: &RecordedWin| win.effort_millionths.is_none() || win.payout_table.is_none();
        for win in wins.into_iter().filter(lacks) {
            let effort = efforts.get(&win.won.hash).copied().flatten();
            let described = RecordedWin {
                effort_millionths: effort.map(|effort| (effort * 1e6) as u64),
                payout_table: book.table_in_force(win.won.won_at).await.ok().flatten(),
                reward: self.next_reward().map(|(reward, _)| reward),
                ..win.clone()
            };
            let is_news = (described.effort_millionths.is_some() && win.effort_millionths.is_none())
                || (described.payout_table.is_some() && win.payout_table.is_none());
            if is_news && let Err(error) = book.describe_win(&described).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a block of the pool could not be described in the book");
            }
        }
    }
}
