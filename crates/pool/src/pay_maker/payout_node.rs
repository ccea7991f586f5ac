//! What the PayMaker asks of a node, so that tests can be one.

use std::future::Future;

use node::{NodeError, PktdClient};
use packetcrypt::BlockHash;
use wire::template::BlockTemplate;
use wire::{Decimal, PktAddress};

/// A node, seen by the PayMaker.
pub trait PayoutNode: Clone + Send + Sync + 'static {
    /// Replaces the payout table: parts of 1. A node that was restarted is told again by whoever implements this.
    fn configure(
        &self,
        table: &[(PktAddress, Decimal)],
    ) -> impl Future<Output = Result<(), NodeError>> + Send;

    /// The block that would be mined now, made after the last table was configured.
    fn template(&self) -> impl Future<Output = Result<BlockTemplate, NodeError>> + Send;

    /// Where a block of the pool is.
    fn place_of(&self, hash: &BlockHash) -> impl Future<Output = Result<ChainPlace, NodeError>> + Send;
}

/// Where a block is, seen from a node's best chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainPlace {
    /// On it.
    Main {
        /// Its height.
        height: u32,
        /// Blocks from it to the newest one, both counted.
        confirmations: u32,
    },
    /// Beside it.
    Side,
}

impl PayoutNode for PktdClient {
    async fn configure(&self, table: &[(PktAddress, Decimal)]) -> Result<(), NodeError> {
        self.configure_mining_payouts(table).await
    }

    async fn template(&self) -> Result<BlockTemplate, NodeError> {
        self.raw_block_template().await
    }

    async fn place_of(&self, hash: &BlockHash) -> Result<ChainPlace, NodeError> {
        if !self.is_in_main_chain(hash).await? {
            return Ok(ChainPlace::Side);
        }
        let block = self.block_header(hash).await?;
        let confirmations = u32::try_from(block.confirmations).unwrap_or_default();
        Ok(ChainPlace::Main { height: block.header.height.0, confirmations })
    }
}
