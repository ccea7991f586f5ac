//! The head of the chain, with its light block and a template on it, whenever one of them changes.
//!
//! Source: `docs/protocol/nimiq-pool.md` 3.5. The node tells of no change by itself, so it is asked often which block is the
//! newest, and only now and then for a template on the same one: that costs it milliseconds. While nobody works on the head
//! it is asked seldom. Its block object lacks the interlink that nano clients need; that follows from the template before,
//! or is put together from ancestors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nimiq::light_block_recovery::{Ancestor, Bootstrap, bootstrap, chained};
use nimiq::share::NextBlock;
use nimiq::{AccountsHash, Address, Body, LightBlock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{BlockInfo, NimiqClient, NodeTemplate};
use crate::json_rpc::NodeError;

/// How often a node is asked anew whether it has consensus, and for a template, though its head is the same.
const FULL_LOOK_EVERY: Duration = Duration::from_secs(2);

/// How the head is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowSettings {
    /// Pause between two looks while anybody works on the head.
    pub poll: Duration,
    /// The same while nobody does.
    pub idle_poll: Duration,
    /// A head that is older than this is not worth mining on; `None`: every one is.
    pub oldest_head: Option<Duration>,
}

impl Default for FollowSettings {
    fn default() -> Self {
        Self { poll: Duration::from_millis(400), idle_poll: Duration::from_secs(2), oldest_head: None }
    }
}

/// What there is to mine on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The head.
    pub block: BlockInfo,
    /// The same as nano clients want it; `None` where it could not be put together.
    pub light: Option<LightBlock>,
    /// What the block on top must be.
    pub next: NextBlock,
    /// Root of the accounts after the block on top.
    pub accounts_hash: AccountsHash,
    /// The body that the node proposes for the block on top.
    pub body: Body,
}

impl NimiqClient {
    /// Follows the head for a pool that is paid at `miner`, until `stop`; `workers` says how many work on it. Gives `None`
    /// until the first is known, and while no node has consensus and a head that is young enough.
    pub fn follow(
        &self,
        miner: Address,
        settings: FollowSettings,
        workers: watch::Receiver<usize>,
        stop: CancellationToken,
    ) -> watch::Receiver<Option<Arc<Head>>> {
        let (published, receiver) = watch::channel(None);
        let follower = Follower { client: self.clone(), miner, settings, workers, last: None, looked: None };
        tokio::spawn(async move { stop.run_until_cancelled(follower.run(published)).await });
        receiver
    }
}

struct Follower {
    client: NimiqClient,
    miner: Address,
    settings: FollowSettings,
    workers: watch::Receiver<usize>,
    /// Kept while nothing is published, since the next head may follow from it.
    last: Option<Arc<Head>>,
    /// When the last look was a full one, if what it found is published.
    looked: Option<Instant>,
}

impl Follower {
    async fn run(mut self, published: watch::Sender<Option<Arc<Head>>>) {
        let mut failing = false;
        loop {
            let looked = self.look().await;
            match &looked {
                Err(error) if !failing => warn!(%error, "the Nimiq node fails"),
                Ok(_) if failing => info!("the Nimiq node answers again"),
                _ => {}
            }
            failing = looked.is_err();
            let now = looked.unwrap_or_default();
            published.send_if_modified(|published| {
                let changed = *published != now;
                *published = now;
                changed
            });
            self.pause().await;
        }
    }

    /// Until the next look: at once if somebody begins to work.
    async fn pause(&mut self) {
        let is_idle = *self.workers.borrow_and_update() == 0;
        let pause = if is_idle { self.settings.idle_poll } else { self.settings.poll };
        let begun = async {
            // Whoever counted them may have ended before us.
            if !is_idle || self.workers.wait_for(|workers| *workers > 0).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(pause, begun).await;
    }

    /// What there is to mine on now; `None` where it is not worth it.
    async fn look(&mut self) -> Result<Option<Arc<Head>>, NodeError> {
        if let (Some(looked), Some(last)) = (self.looked.take(), &self.last)
            && looked.elapsed() < FULL_LOOK_EVERY
            && self.client.newest_block().await?.hash == last.block.facts.hash
        {
            self.looked = Some(looked);
            return Ok(self.is_young_enough(last).then(|| Arc::clone(last)));
        }
        if !self.client.has_consensus().await? {
            return Ok(None);
        }
        let template = self.client.template(&self.miner).await?;
        let head = match self.last.as_deref() {
            Some(last) if last.next.previous == template.previous => Head {
                next: next_block(&template, &last.block),
                accounts_hash: template.accounts_hash,
                body: template.body,
                ..last.clone()
            },
            last => self.new_head(template, last).await?,
        };
        let head = Arc::new(head);
        self.last = Some(head.clone());
        self.looked = Some(Instant::now());
        Ok(self.is_young_enough(&head).then_some(head))
    }

    async fn new_head(&self, template: NodeTemplate, last: Option<&Head>) -> Result<Head, NodeError> {
        let hash = template.previous;
        let block = self.client.block(&hash).await?;
        let block =
            block.filter(|block| block.facts.hash == hash && block.facts.height.next() == template.height);
        let block =
            block.ok_or_else(|| NodeError::bad_reply(format!("no block {hash}, though it is the head")))?;
        let next = next_block(&template, &block);
        let light = match last.and_then(|last| chained(&block.facts, &last.next)) {
            Some(light) => Some(light),
            None => self.light_block_from_ancestors(&block, &next).await?,
        };
        info!(height = %block.facts.height, %hash, light = light.is_some(), "new head of the Nimiq chain");
        Ok(Head { block, light, next, accounts_hash: template.accounts_hash, body: template.body })
    }

    async fn light_block_from_ancestors(
        &self,
        head: &BlockInfo,
        next: &NextBlock,
    ) -> Result<Option<LightBlock>, NodeError> {
        let mut ancestors = Vec::new();
        loop {
            match bootstrap(&head.facts, next, &ancestors, self.client.network()) {
                Bootstrap::Found(light) => return Ok(Some(light)),
                Bootstrap::Impossible => return Ok(None),
                Bootstrap::Ask(height) => {
                    let Some(block) = self.client.block_at(height).await? else { return Ok(None) };
                    let (hash, proof_of_work) = (block.facts.hash, block.facts.proof_of_work);
                    ancestors.push(Ancestor { hash, proof_of_work });
                }
            }
        }
    }

    fn is_young_enough(&self, head: &Head) -> bool {
        let Some(oldest) = self.settings.oldest_head else { return true };
        let mined = std::time::UNIX_EPOCH + Duration::from_secs(head.block.facts.timestamp.0.into());
        // A head from the future is young.
        mined.elapsed().map_or(true, |age| age <= oldest)
    }
}

fn next_block(template: &NodeTemplate, head: &BlockInfo) -> NextBlock {
    NextBlock {
        previous: template.previous,
        height: template.height,
        target: template.target,
        interlink: template.interlink.clone(),
        interlink_hash: template.interlink_hash,
        earliest: head.facts.timestamp,
    }
}
