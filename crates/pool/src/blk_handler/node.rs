//! What a block handler asks of a node, so that tests can be one.

use std::future::Future;

use node::pktd::{ShareOpinion, ShareToCheck, SubmitOutcome};
use node::{NodeError, PktdClient};
use packetcrypt::{BlockHash, Height};

/// A node, seen by a block handler.
pub trait BlockNode: Clone + Send + Sync + 'static {
    /// What the node thinks of a share.
    fn check_share(
        &self,
        share: ShareToCheck,
    ) -> impl Future<Output = Result<ShareOpinion, NodeError>> + Send;
    /// Hands a block to the node.
    fn submit_block(&self, block: &[u8]) -> impl Future<Output = Result<SubmitOutcome, NodeError>> + Send;
    /// The block at a height of the best chain.
    fn block_hash(&self, height: Height) -> impl Future<Output = Result<BlockHash, NodeError>> + Send;
}

impl BlockNode for PktdClient {
    async fn check_share(&self, share: ShareToCheck) -> Result<ShareOpinion, NodeError> {
        PktdClient::check_share(self, &share).await
    }

    async fn submit_block(&self, block: &[u8]) -> Result<SubmitOutcome, NodeError> {
        PktdClient::submit_block(self, block).await
    }

    async fn block_hash(&self, height: Height) -> Result<BlockHash, NodeError> {
        PktdClient::block_hash(self, height).await
    }
}
