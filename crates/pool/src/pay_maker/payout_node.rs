//! What the PayMaker asks of a node, so that tests can be one.

use std::future::Future;

use node::{NodeError, PktdClient};
use wire::template::BlockTemplate;
use wire::{Decimal, PktAddress};

/// A node, seen by the PayMaker.
pub trait PayoutNode: Send + Sync + 'static {
    /// Replaces the payout table: parts of 1. A node that was restarted is told again by whoever implements this.
    fn configure(
        &self,
        table: &[(PktAddress, Decimal)],
    ) -> impl Future<Output = Result<(), NodeError>> + Send;

    /// The block that would be mined now, made after the last table was configured.
    fn template(&self) -> impl Future<Output = Result<BlockTemplate, NodeError>> + Send;
}

impl PayoutNode for PktdClient {
    async fn configure(&self, table: &[(PktAddress, Decimal)]) -> Result<(), NodeError> {
        self.configure_mining_payouts(table).await
    }

    async fn template(&self) -> Result<BlockTemplate, NodeError> {
        self.raw_block_template().await
    }
}
