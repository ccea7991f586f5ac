//! What a miner orders with its signature: to be paid at once, or another threshold (`docs/protocol/nimiq-pool.md` 1.3).

use ledger::nimiq::RequestOutcome;
use nimiq::{Luna, PayoutNonce};
use wire::nimiq::{PayoutProof, Reason};

use super::{Registered, Step, clock};

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// To be paid at once.
    Payout,
    /// From which confirmed balance on to be paid without asking.
    Threshold(Luna),
}

impl Order {
    /// What is said where it comes without a proof.
    fn without_proof(self) -> Reason {
        match self {
            Self::Payout => Reason::PayoutWithoutProof,
            Self::Threshold(_) => Reason::ThresholdWithoutProof,
        }
    }
}

impl Registered {
    /// Carries an order out. Its nonce is good once, whether or not it comes to something.
    pub(super) async fn carry_out(&mut self, order: Order, proof: PayoutProof) -> Step {
        let shared = std::sync::Arc::clone(&self.connection.shared);
        let (nonce, address) = (self.session.payout_nonce(), self.session.address());
        let proof = match proof {
            PayoutProof::Absent => {
                return self.connection.refuse(order.without_proof()).await.without_end();
            }
            PayoutProof::Undecodable => Vec::new(),
            PayoutProof::Bytes(bytes) => bytes,
        };
        let proved = match order {
            Order::Payout => nonce.check(&proof, &address),
            Order::Threshold(luna) => nonce.check_threshold(luna, &proof, &address),
        };
        if let Err(error) = proved {
            tracing::debug!(%error, payee = %address, ?order, "an order is refused");
            return Err(self.connection.refuse(Reason::InvalidPayoutProof).await);
        }
        let now = clock::unix_millis();
        let stored = match order {
            Order::Payout => {
                shared.figures.payout_requests.inc();
                shared.accounts.request_payout(address, nonce.get(), &proof, now).await
            }
            Order::Threshold(luna) if !shared.config.terms.thresholds.allow(luna) => {
                return self.connection.refuse(Reason::ThresholdOutOfRange).await.without_end();
            }
            Order::Threshold(luna) => {
                shared.accounts.choose_threshold(address, luna, nonce.get(), &proof, now).await
            }
        };
        match stored {
            Ok(RequestOutcome::Stored) => {}
            Ok(RequestOutcome::NonceUsed) => {
                return Err(self.connection.refuse(Reason::InvalidPayoutProof).await);
            }
            Err(error) => {
                // Without an answer the client may order again, with the same nonce.
                tracing::error!(%error, payee = %address, ?order, "an order is not stored");
                shared.figures.refused("order_not_stored");
                return Ok(());
            }
        }
        let settings = self.session.renew_payout_nonce(PayoutNonce::from_random(rand::random()));
        self.connection.say(settings).await?;
        self.ask_balance();
        Ok(())
    }
}
