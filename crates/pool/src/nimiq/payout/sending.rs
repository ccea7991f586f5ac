//! Giving the stored transactions to a node, exactly as they are stored, until they are mined or can no longer be.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt;
use ledger::UnixMillis;
use ledger::nimiq::payout_state::{PayoutState, PayoutTerms, PayoutTurn};
use ledger::nimiq::{Accounts, PayoutId, PayoutLease, PayoutRow};
use nimiq::{Height, Transaction};
use node::nimiq::SendOutcome;
use node::{NimiqClient, NodeError};
use tokio::time::Instant;

use super::PayoutFault;
use super::figures::Sends;

/// Transactions that are sent at once: a node takes seconds for each, until a peer has it.
const AT_ONCE: usize = 4;

pub(super) struct Sending {
    resend: Duration,
    accounts: Accounts,
    clock: fn() -> UnixMillis,
    sends: Sends,
    /// When each payout under way was sent last by this process.
    sent: HashMap<PayoutId, Instant>,
}

impl Sending {
    pub(super) fn new(resend: Duration, accounts: Accounts, clock: fn() -> UnixMillis, sends: Sends) -> Self {
        Self { resend, accounts, clock, sends, sent: HashMap::new() }
    }

    /// Sends what is prepared at once, and what the node has lost again after a while.
    pub(super) async fn send(
        &mut self,
        lease: &PayoutLease,
        node: &NimiqClient,
        head: Height,
        confirmations: u32,
    ) -> Result<(), PayoutFault> {
        let under_way = self.accounts.payouts_under_way().await?;
        let ids: HashSet<PayoutId> = under_way.iter().map(|payout| payout.id).collect();
        self.sent.retain(|id, _| ids.contains(id));
        let due: Vec<PayoutRow> = under_way
            .into_iter()
            .filter(|payout| {
                let terms = PayoutTerms { validity_start: payout.validity_start, confirmations };
                self.is_due(payout) && terms.is_to_be_sent(head)
            })
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        // What waits in the node's mempool is spread by the node itself.
        let waiting: HashSet<_> = node.waiting().await?.into_iter().collect();
        let sends = due.into_iter().map(|payout| {
            let waits = waiting.contains(&payout.hash);
            send_one(node, payout, waits)
        });
        let mut results = futures_util::stream::iter(sends).buffer_unordered(AT_ONCE);
        let mut failed = None;
        while let Some((payout, outcome)) = results.next().await {
            self.sends.count(&outcome);
            match outcome {
                Ok(outcome) => {
                    note(&payout, &outcome);
                    self.sent.insert(payout.id, Instant::now());
                    self.book(lease, &payout, &outcome, confirmations).await?;
                }
                // The node may have it or not; the next round sends it again.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn is_due(&self, payout: &PayoutRow) -> bool {
        let unmined = matches!(payout.state, PayoutState::Prepared | PayoutState::Broadcast);
        unmined && self.sent.get(&payout.id).is_none_or(|sent| sent.elapsed() >= self.resend)
    }

    async fn book(
        &self,
        lease: &PayoutLease,
        payout: &PayoutRow,
        outcome: &SendOutcome,
        confirmations: u32,
    ) -> Result<(), PayoutFault> {
        let turn = match outcome {
            SendOutcome::Mined(receipt) => PayoutTurn::Mine { height: receipt.height },
            _ if payout.state == PayoutState::Prepared => PayoutTurn::Send,
            _ => return Ok(()),
        };
        self.accounts.turn_payout(lease, payout.id, turn, confirmations, (self.clock)()).await?;
        Ok(())
    }
}

async fn send_one(
    node: &NimiqClient,
    payout: PayoutRow,
    waits: bool,
) -> (PayoutRow, Result<SendOutcome, NodeError>) {
    if waits {
        return (payout, Ok(SendOutcome::Waiting));
    }
    let outcome = match Transaction::parse(&payout.signed) {
        Ok(transaction) => node.send(&transaction).await,
        Err(error) => Ok(SendOutcome::Refused(format!("its stored bytes are no transaction: {error}"))),
    };
    (payout, outcome)
}

fn note(payout: &PayoutRow, outcome: &SendOutcome) {
    let (id, hash) = (payout.id.0, payout.hash);
    match outcome {
        SendOutcome::Waiting => tracing::debug!(id, %hash, "a payout waits for a block"),
        SendOutcome::Mined(receipt) => {
            tracing::info!(id, %hash, height = %receipt.height, "a payout is mined");
        }
        SendOutcome::Dropped => {
            tracing::warn!(id, %hash, "the node took a payout and forgot it: is its fee too low?");
        }
        SendOutcome::Refused(reason) => tracing::error!(id, %hash, reason, "the node refuses a payout"),
    }
}
