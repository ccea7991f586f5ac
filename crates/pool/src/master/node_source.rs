//! What the Master asks of a node, so that tests can be one.

use std::future::Future;

use node::{NodeError, PktdClient, Tip};
use packetcrypt::BlockHash;
use tokio::sync::watch;
use wire::block_info::BlockInfoHeader;
use wire::template::BlockTemplate;

/// A node, seen by the Master. Replies are validated (rule R-M6).
pub trait NodeSource: Send + Sync + 'static {
    /// The newest block, as soon as it is noticed.
    fn tip(&self) -> watch::Receiver<Option<Tip>>;
    /// What to mine next.
    fn template(&self) -> impl Future<Output = Result<BlockTemplate, NodeError>> + Send;
    /// The header of a block.
    fn header(&self, hash: BlockHash) -> impl Future<Output = Result<BlockInfoHeader, NodeError>> + Send;
}

impl NodeSource for PktdClient {
    fn tip(&self) -> watch::Receiver<Option<Tip>> {
        self.tip()
    }

    async fn template(&self) -> Result<BlockTemplate, NodeError> {
        self.raw_block_template().await
    }

    async fn header(&self, hash: BlockHash) -> Result<BlockInfoHeader, NodeError> {
        Ok(self.block_header(&hash).await?.header)
    }
}
