//! What the chain shows of the payouts, booked.

use ledger::UnixMillis;
use ledger::nimiq::payout_state::{PayoutState, PayoutTerms};
use ledger::nimiq::{Accounts, PayoutLease, PayoutRow};
use nimiq::Height;
use node::NimiqClient;
use node::nimiq::BlockId;

use super::{PayoutConfig, PayoutFault};

/// How far below the head settled payouts are looked at again after a reorganisation, and at the start.
const DEPTH: u32 = 2000;

pub(super) struct Following {
    accounts: Accounts,
    confirmations: u32,
    clock: fn() -> UnixMillis,
    /// The newest block at the last look; `None`: nothing is known.
    seen: Option<BlockId>,
}

impl Following {
    pub(super) fn new(config: &PayoutConfig, accounts: Accounts) -> Self {
        Self { accounts, confirmations: config.confirmations, clock: config.duty.clock, seen: None }
    }

    /// The chain may have been reorganised since.
    pub(super) fn forget(&mut self) {
        self.seen = None;
    }

    /// Turns every payout to where the node's chain has it. `head` was read from this node before.
    pub(super) async fn look(
        &mut self,
        lease: &PayoutLease,
        node: &NimiqClient,
        head: Height,
    ) -> Result<(), PayoutFault> {
        let newest = node.block_at(head).await?.map(|block| BlockId { height: head, hash: block.facts.hash });
        if newest.is_some() && newest == self.seen {
            return Ok(());
        }
        let seen = self.seen.take();
        let goes_on = match seen {
            Some(seen) => node.is_in_chain(seen.height, &seen.hash).await?,
            None => false,
        };
        let mut payouts = self.accounts.payouts_under_way().await?;
        if !goes_on {
            let from = Height(head.0.saturating_sub(DEPTH));
            payouts.extend(self.accounts.payouts_settled_since(from).await?);
        }
        for payout in payouts {
            self.turn(lease, node, head, &payout).await?;
        }
        // Where the chain changed under these looks, the next round looks at everything again.
        let stayed = match newest {
            Some(block) => node.is_in_chain(block.height, &block.hash).await?,
            None => false,
        };
        self.seen = newest.filter(|_| stayed);
        Ok(())
    }

    async fn turn(
        &self,
        lease: &PayoutLease,
        node: &NimiqClient,
        head: Height,
        payout: &PayoutRow,
    ) -> Result<(), PayoutFault> {
        let receipt = node.receipt(&payout.hash).await?;
        // A block that came after `head` is for the next round.
        let seen = receipt.map(|receipt| receipt.height);
        let terms = PayoutTerms { validity_start: payout.validity_start, confirmations: self.confirmations };
        let mut state = payout.state;
        while let Some(turn) = state.turn_towards(seen, head, terms) {
            state =
                self.accounts.turn_payout(lease, payout.id, turn, self.confirmations, (self.clock)()).await?;
            note(payout, state);
        }
        Ok(())
    }
}

fn note(payout: &PayoutRow, state: PayoutState) {
    let (id, hash, recipient, value) = (payout.id.0, payout.hash, payout.recipient, payout.value);
    match state {
        PayoutState::Mined { height } => tracing::info!(id, %hash, %height, "a payout is mined"),
        PayoutState::Confirmed { height } => tracing::info!(id, %hash, %height, "a payout is final"),
        PayoutState::Broadcast => tracing::warn!(id, %hash, "a payout has left the chain; it is sent again"),
        PayoutState::Expired => {
            tracing::warn!(id, %hash, %recipient, %value, "a payout can no longer be mined; it is back in the balance");
        }
        PayoutState::Review => tracing::error!(
            id, %hash, %recipient, %value,
            "a payout that was taken for expired is in the chain after all: its debit must be settled by hand"
        ),
        PayoutState::Prepared => {}
    }
}
