//! The work that shares are for: the current one, and the one it replaced, for a moment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use packetcrypt::block::share::ShareWork;
use packetcrypt::{BlockHash, Height};
use tokio::sync::watch;
use tokio::time::Instant;
use wire::template::BlockTemplate;
use wire::work::WorkFile;

use super::{BlockNode, Shared};
use crate::backoff::Backoff;
use crate::master_client::{MasterClient, PoolView};

/// Work, and what belongs to it.
pub(super) struct Work {
    pub file: Arc<WorkFile>,
    /// The node's template that the work was made of, once fetched.
    pub template: watch::Sender<Option<Arc<BlockTemplate>>>,
    /// The newest blocks of the branch that the work is on.
    blocks: Mutex<Arc<PoolView>>,
    /// Whether the node has taken a block that this handler made of this work.
    pub block_accepted: watch::Sender<bool>,
}

impl Work {
    fn new(file: Arc<WorkFile>, view: Arc<PoolView>) -> Self {
        let (template, block_accepted) = (watch::Sender::new(None), watch::Sender::new(false));
        Self { file, template, blocks: Mutex::new(view), block_accepted }
    }

    /// As the share check wants it.
    pub(super) fn share_work(&self) -> ShareWork<'_> {
        ShareWork {
            header: &self.file.header,
            height: self.file.height,
            share_target: self.file.share_target,
            coinbase: &self.file.coinbase,
            branch: &self.file.branch,
        }
    }

    /// The hash of a block below, where the Master told it.
    pub(super) fn hash_at(&self, height: Height) -> Option<BlockHash> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).hash_at(height)
    }

    fn is(&self, file: &WorkFile) -> bool {
        *self.file == *file
    }
}

/// Work that a share was found to be for.
pub(super) struct FoundWork {
    pub work: Arc<Work>,
    /// Whether it is the current one; else shares are still credited, but make no block (rule R-K10).
    pub is_current: bool,
}

/// Why no work was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoWork {
    /// There is none at all yet.
    NotReady,
    /// The share is on another block than this.
    Other(BlockHash),
}

#[derive(Default)]
struct State {
    current: Option<Arc<Work>>,
    replaced: Option<(Arc<Work>, Instant)>,
}

/// The current work and the one before.
pub(super) struct Works {
    grace: Duration,
    state: Mutex<State>,
}

impl Works {
    pub(super) fn new(grace: Duration) -> Self {
        Self { grace, state: Mutex::default() }
    }

    /// Takes over what the Master says; `true` if there is new work.
    pub(super) fn take_over(&self, view: &Arc<PoolView>) -> bool {
        let Some(file) = &view.work else { return false };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.current {
            Some(current) if current.is(file) => {
                *current.blocks.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(view);
                false
            }
            _ => {
                let new = Arc::new(Work::new(Arc::clone(file), Arc::clone(view)));
                state.replaced = state.current.replace(new).map(|old| (old, Instant::now()));
                true
            }
        }
    }

    pub(super) fn current(&self) -> Option<Arc<Work>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).current.clone()
    }

    /// The work on top of a block: the current one, or for a moment the one it replaced.
    pub(super) fn on(&self, previous: BlockHash) -> Result<FoundWork, NoWork> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(current) = &state.current else { return Err(NoWork::NotReady) };
        let expected = current.file.header.previous;
        if expected == previous {
            return Ok(FoundWork { work: Arc::clone(current), is_current: true });
        }
        state.replaced.take_if(|(_, when)| when.elapsed() > self.grace);
        match &state.replaced {
            Some((work, _)) if work.file.header.previous == previous => {
                Ok(FoundWork { work: Arc::clone(work), is_current: false })
            }
            _ => Err(NoWork::Other(expected)),
        }
    }
}

impl<Node: BlockNode> Shared<Node> {
    /// Fetches the template of the current work, so that it is there when a block is found.
    pub(super) fn fetch_template(self: &Arc<Self>, master: &MasterClient) {
        let Some(work) = self.works.current() else { return };
        let (shared, master) = (Arc::clone(self), master.clone());
        tokio::spawn(async move {
            let fetching = template_of(&shared, &work, &master);
            shared.shutdown.run_until_cancelled(fetching).await;
        });
    }
}

/// Tries until the template is there or the work is of no use any more.
async fn template_of<Node: BlockNode>(shared: &Shared<Node>, work: &Arc<Work>, master: &MasterClient) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    while shared.works.current().is_some_and(|current| Arc::ptr_eq(&current, work)) {
        match master.template(work.file.height).await {
            Ok(template) if belongs(&template, &work.file) => {
                work.template.send_replace(Some(Arc::new(template)));
                return;
            }
            Ok(_) => {
                tracing::warn!(height = %work.file.height, "the Master's template is not that of its work");
            }
            Err(fault) => tracing::warn!(%fault, "the block template cannot be fetched, trying again"),
        }
        tokio::time::sleep(backoff.after_failure()).await;
    }
}

/// Coinbase, branch and header must come from one template (pitfall 9.10 of the block specification).
fn belongs(template: &BlockTemplate, work: &WorkFile) -> bool {
    template.header == work.header
        && template.coinbase_no_witness == work.coinbase
        && template.branch == work.branch
        && !template.transactions.is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::tests::recorded::Chain;
    use super::*;

    #[test]
    fn pitfall_9_10_a_template_of_another_answer_of_the_node_is_not_used() {
        let chain = Chain::at_114926();
        let work = WorkFile::parse(&chain.work).unwrap();
        let template = BlockTemplate::parse(&chain.template).unwrap();
        assert!(belongs(&template, &work));
        let others: [fn(&mut BlockTemplate); 4] = [
            |template| template.header.time += 1,
            |template| template.coinbase_no_witness[60] ^= 1,
            |template| template.branch.push([0; 32]),
            |template| template.transactions.clear(),
        ];
        for change in others {
            let mut other = template.clone();
            change(&mut other);
            assert!(!belongs(&other, &work));
        }
    }
}
