//! The miner's own view of the chain, where it has a node.

use std::sync::Arc;

use nimiq::{Address, Block};
use node::NimiqClient;
use node::nimiq::{FollowSettings, Head, SubmitOutcome};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

/// A node whose head is followed, with templates that pay the pool.
#[derive(Debug)]
pub struct Chain {
    client: NimiqClient,
    following: Option<Following>,
}

#[derive(Debug)]
struct Following {
    pool: Address,
    heads: watch::Receiver<Option<Arc<Head>>>,
    _stop: DropGuard,
}

impl Chain {
    /// Nothing is followed before [`follow`](Self::follow).
    pub fn new(client: NimiqClient) -> Self {
        Self { client, following: None }
    }

    /// Follows the head with templates that pay `pool`.
    pub fn follow(&mut self, pool: Address) {
        if self.following.as_ref().is_some_and(|following| following.pool == pool) {
            return;
        }
        let stop = CancellationToken::new();
        let one = watch::channel(1).1;
        let heads = self.client.follow(pool, FollowSettings::default(), one, stop.clone());
        self.following = Some(Following { pool, heads, _stop: stop.drop_guard() });
    }

    /// The head, if one is known.
    pub fn head(&self) -> Option<Arc<Head>> {
        self.following.as_ref().and_then(|following| following.heads.borrow().clone())
    }

    /// Waits until the head changes. May be dropped while it waits.
    pub async fn changed(&mut self) {
        if let Some(following) = &mut self.following
            && following.heads.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    /// Hands a block to the node, beside the pool.
    pub fn submit(&self, block: Block) {
        let client = self.client.clone();
        tokio::spawn(async move {
            let (height, hash) = (block.header.height, block.header.hash());
            match client.submit(&block).await {
                Ok(SubmitOutcome::Accepted) => info!(%height, %hash, "the node took the block"),
                Ok(outcome) => warn!(%height, %hash, ?outcome, "the node did not take the block"),
                Err(error) => warn!(%height, %hash, %error, "the block could not be given to the node"),
            }
        });
    }
}
