//! Shares on a block that the board does not have: a head that is on its way, a block that has lost, or nothing.
//!
//! A client that follows the network by itself may hear of a block before the pool's node does, so such a share waits a
//! little. Only the first one on a block does: a client whose block has lost against another at the same height sends
//! shares on it until the next block, and if each of them waited, those that it sends afterwards would come too late.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nimiq::BlockHash;
use nimiq::share::Refusal;
use node::NimiqClient;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::board::Board;

/// Questions under way at once.
const QUESTIONS: usize = 4;
/// How long a share may wait for a head that the node has and the board has not.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause before the second question about a block; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Blocks that are remembered as none that will come.
const REMEMBERED: usize = 256;

/// Asks the node about blocks that the board does not have.
pub(super) struct UnknownHeads {
    node: NimiqClient,
    questions: Semaphore,
    node_time: Duration,
    in_vain: Mutex<VecDeque<InVain>>,
}

/// A block that was waited for in vain.
struct InVain {
    block: BlockHash,
    refusal: Refusal,
    /// When it is worth another question.
    until: Option<Instant>,
}

impl UnknownHeads {
    /// A node may hear of a block up to `node_time` later than a client that follows the network by itself.
    pub(super) fn new(node: NimiqClient, node_time: Duration) -> Self {
        Self { node, questions: Semaphore::new(QUESTIONS), node_time, in_vain: Mutex::default() }
    }

    /// Waits for `block` to come on the board, if the node has it or hears of it. Otherwise why a share on it is refused:
    /// it is late if the node has the block and another head, and on no block of the chain if the node does not have it.
    pub(super) async fn wait_for(
        &self,
        block: BlockHash,
        board: &mut watch::Receiver<Arc<Board>>,
    ) -> Result<(), Refusal> {
        if let Some(refusal) = self.remembered(&block) {
            return Err(refusal);
        }
        let (refusal, until) = if self.node_hears_of(&block).await {
            let has_come =
                |board: &Arc<Board>| board.heads.newest().is_some_and(|next| next.previous == block);
            let waiting = tokio::time::timeout(PATIENCE, board.wait_for(has_come));
            if waiting.await.is_ok_and(|came| came.is_ok()) {
                return Ok(());
            }
            (Refusal::Expired, None)
        } else {
            (Refusal::BadPrevious, Some(Instant::now() + self.node_time))
        };
        self.remember(InVain { block, refusal, until });
        Err(refusal)
    }

    fn remembered(&self, block: &BlockHash) -> Option<Refusal> {
        let mut in_vain = self.in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        in_vain.retain(|one| one.until.is_none_or(|until| until > now));
        in_vain.iter().find(|one| one.block == *block).map(|one| one.refusal)
    }

    fn remember(&self, one: InVain) {
        let mut in_vain = self.in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        if in_vain.len() == REMEMBERED {
            in_vain.pop_front();
        }
        in_vain.push_back(one);
    }

    async fn node_hears_of(&self, block: &BlockHash) -> bool {
        let until = Instant::now() + self.node_time;
        let mut pause = FIRST_PAUSE;
        while !self.node_has(block).await {
            let again_at = Instant::now() + pause;
            if again_at > until {
                return false;
            }
            tokio::time::sleep_until(again_at).await;
            pause *= 2;
        }
        true
    }

    async fn node_has(&self, block: &BlockHash) -> bool {
        let Ok(_question) = self.questions.acquire().await else { return false };
        matches!(self.node.block(block).await, Ok(Some(_)))
    }
}
