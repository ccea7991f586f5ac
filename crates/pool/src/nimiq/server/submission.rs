//! Blocks on their way to the node: submitted at once, and again until it is known what became of each.
//!
//! Each lies in a file until then, so that no block is lost with the process: a restart submits what it finds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nimiq::{Block, BlockHash, Height};
use node::NimiqClient;
use node::nimiq::SubmitOutcome;
use prometheus_client::metrics::counter::Counter;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backoff::Backoff;
use crate::metrics::{Metrics, Original};
use crate::request_context::carry;

/// Pauses while no node answers.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
/// Tries after which nobody can want the block any more: more than half an hour.
const TRIES: u32 = 200;

/// The way of blocks to the node; clones share it.
#[derive(Clone)]
pub(super) struct Submissions {
    node: NimiqClient,
    folder: PathBuf,
    under_way: TaskTracker,
    shutdown: CancellationToken,
    outcomes: Arc<Outcomes>,
}

struct Outcomes {
    found: Counter,
    accepted: Counter,
    lost: Counter,
    failures: Counter,
}

impl Submissions {
    /// Makes the folder, and submits what an earlier run left in it.
    pub(super) fn start(
        node: NimiqClient,
        folder: PathBuf,
        under_way: TaskTracker,
        shutdown: CancellationToken,
        metrics: &Metrics,
    ) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let outcomes = Outcomes {
            found: metrics.counter("nimiq_blocks_found", "Shares that were blocks with their bodies"),
            accepted: metrics.counter("nimiq_blocks_accepted", "Blocks that the node took"),
            lost: metrics.counter("nimiq_blocks_lost", "Blocks that the node did not take"),
            failures: metrics
                .counter("nimiq_submission_failures", "Submissions that failed and are repeated"),
        };
        let mined = Original::Counter(outcomes.accepted.clone());
        metrics.alias("pool_blocks_mined", "Blocks that the node took since the start", mined);
        let submissions = Self { node, folder, under_way, shutdown, outcomes: Arc::new(outcomes) };
        for entry in std::fs::read_dir(&submissions.folder)? {
            let path = entry?.path();
            match Block::parse(&std::fs::read(&path)?) {
                Ok(block) => submissions.spawn(block, path, None),
                // Cut short by a crash: its share was never accepted.
                Err(error) => tracing::warn!(path = %path.display(), %error, "a block file is no block"),
            }
        }
        Ok(submissions)
    }

    /// Submits a block that was just found.
    pub(super) fn submit(&self, block: Block) {
        self.outcomes.found.inc();
        let hash = block.header.hash();
        tracing::info!(height = %block.header.height, %hash, "a block was found");
        let path = self.folder.join(hash.to_string());
        let (kept, bytes) = (path.clone(), block.to_bytes());
        let keeping = tokio::task::spawn_blocking(move || {
            if let Err(error) = keep(&kept, &bytes) {
                tracing::error!(path = %kept.display(), %error, "a block could not be written down");
            }
        });
        self.spawn(block, path, Some(keeping));
    }

    fn spawn(&self, block: Block, path: PathBuf, keeping: Option<JoinHandle<()>>) {
        let submissions = self.clone();
        self.under_way.spawn(carry(async move {
            let (hash, height) = (block.header.hash(), block.header.height);
            let known = submissions.try_until_known(&block, hash, height).await;
            if let Some(keeping) = keeping {
                // It has logged what went wrong.
                let _ = keeping.await;
            }
            if known {
                forget(&path);
            }
        }));
    }

    /// Whether it is known what became of the block. After the stop signal there is no further try: the file is for the
    /// next start.
    async fn try_until_known(&self, block: &Block, hash: BlockHash, height: Height) -> bool {
        let mut pauses = PAUSES;
        for _ in 0..TRIES {
            match self.node.submit(block).await {
                Ok(SubmitOutcome::Accepted) => {
                    self.outcomes.accepted.inc();
                    tracing::info!(%height, %hash, "the node took the block");
                    return true;
                }
                Ok(SubmitOutcome::NotTaken) => {
                    self.outcomes.lost.inc();
                    tracing::warn!(%height, %hash, "the node did not take the block: another has won");
                    return true;
                }
                Ok(SubmitOutcome::Refused(reason)) => {
                    self.outcomes.lost.inc();
                    tracing::error!(%height, %hash, reason, "the node cannot read the block");
                    return true;
                }
                Err(error) => {
                    self.outcomes.failures.inc();
                    tracing::warn!(%height, %hash, %error, "the block is not submitted yet, trying again");
                    let pause = tokio::time::sleep(pauses.after_failure());
                    if self.shutdown.run_until_cancelled(pause).await.is_none() {
                        return false;
                    }
                }
            }
        }
        self.outcomes.lost.inc();
        tracing::error!(%height, %hash, "no node has answered for too long: the block is given up");
        true
    }
}

fn keep(path: &Path, block: &[u8]) -> std::io::Result<()> {
    std::fs::write(path, block)?;
    std::fs::File::open(path)?.sync_all()
}

fn forget(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "the file of a submitted block stays");
        }
        _ => {}
    }
}
