//! The payout's figures.

use std::collections::HashMap;

use ledger::UnixMillis;
use ledger::nimiq::payout_state::PayoutState;
use ledger::nimiq::{Accounts, AccountsError};
use nimiq::Luna;
use node::NodeError;
use node::nimiq::SendOutcome;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::PayoutFault;
use super::planning::Planned;
use crate::metrics::{Metrics, Stage, StageTimes};

const FAILURES: [&str; 3] = ["node", "accounts", "signer"];

pub(super) struct Figures {
    /// Makes what is not known from the start.
    metrics: Metrics,
    states: [(&'static str, Gauge, Gauge); PayoutState::NAMES.len()],
    oldest: Gauge,
    reserve_short: Gauge,
    node_up: Gauge,
    sends: Sends,
    failures: HashMap<&'static str, Counter>,
    /// Rounds.
    pub(super) round: StageTimes,
    /// Storing signed payouts with their debits.
    pub(super) store: StageTimes,
}

/// Transactions that were given to a node, by what came of it.
#[derive(Clone)]
pub(super) struct Sends([Counter; 5]);

impl Figures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let state = |name| {
            let of_state = metrics.with_label("state", name);
            let count = of_state.gauge("nimiq_payouts", "Payouts, by state");
            let value = of_state.gauge("nimiq_payouts_luna", "Value of the payouts in luna, by state");
            (name, count, value)
        };
        let failure = |of| {
            let counter =
                metrics.with_label("of", of).counter("nimiq_failures", "Looks that failed, by what failed");
            (of, counter)
        };
        let send = |outcome| {
            metrics
                .with_label("outcome", outcome)
                .counter("nimiq_payout_sends", "Payout transactions given to a node, by what came of it")
        };
        Self {
            metrics: metrics.clone(),
            states: PayoutState::NAMES.map(state),
            oldest: metrics.gauge(
                "nimiq_payout_oldest_unconfirmed_seconds",
                "Age of the oldest payout that is neither final nor expired; 0 if there is none",
            ),
            reserve_short: metrics.gauge(
                "nimiq_payout_reserve_short",
                "1 while nothing is paid because the pool's address holds too little",
            ),
            node_up: metrics.gauge("nimiq_node_up", "1 if a node with consensus answered the last look"),
            sends: Sends(["waiting", "mined", "dropped", "refused", "failed"].map(send)),
            failures: FAILURES.map(failure).into(),
            round: metrics.stage(Stage::Round),
            store: metrics.stage(Stage::Store),
        }
    }

    pub(super) fn sends(&self) -> Sends {
        self.sends.clone()
    }

    pub(super) fn planned(&self, planned: &Planned, now: UnixMillis) {
        self.node_up.set(1);
        let luna = |amount: Luna| i64::try_from(amount.0).unwrap_or(i64::MAX);
        let seconds = (now.0 / 1000) as i64;
        for (name, help, value) in [
            (
                "nimiq_payout_last_plan_timestamp_seconds",
                "When payouts were planned last, since 1970",
                seconds,
            ),
            (
                "nimiq_payout_address_luna",
                "What the pool's address holds for payouts, in luna",
                luna(planned.on_chain),
            ),
            (
                "nimiq_payout_outstanding_luna",
                "Payouts under way with their fees, in luna",
                luna(planned.outstanding),
            ),
        ] {
            self.metrics.gauge(name, help).set(value);
        }
        self.reserve_short.set(i64::from(planned.outcome.is_err()));
    }

    pub(super) fn failed(&self, fault: &PayoutFault) {
        let of = match fault {
            PayoutFault::Node(_) | PayoutFault::NoConsensus => {
                self.node_up.set(0);
                "node"
            }
            PayoutFault::Accounts(_) | PayoutFault::StandBy | PayoutFault::Held(_) => "accounts",
            PayoutFault::Sign(_) => "signer",
            // It has a figure of its own.
            PayoutFault::Reserve(_) => return,
        };
        if let Some(counter) = self.failures.get(of) {
            counter.inc();
        }
    }

    /// Reads what stands in the accounts.
    pub(super) async fn read(&self, accounts: &Accounts, now: UnixMillis) -> Result<(), AccountsError> {
        let figures = accounts.payout_figures().await?;
        for (name, count, value) in &self.states {
            let of_state = figures.by_state.get(*name).copied().unwrap_or_default();
            count.set(of_state.0 as i64);
            value.set(i64::try_from(of_state.1.0).unwrap_or(i64::MAX));
        }
        self.oldest.set(figures.oldest_under_way.map_or(0, |oldest| (now.since(oldest) / 1000) as i64));
        Ok(())
    }
}

impl Sends {
    pub(super) fn count(&self, outcome: &Result<SendOutcome, NodeError>) {
        let Self([waiting, mined, dropped, refused, failed]) = self;
        let counter = match outcome {
            Ok(SendOutcome::Waiting) => waiting,
            Ok(SendOutcome::Mined(_)) => mined,
            Ok(SendOutcome::Dropped) => dropped,
            Ok(SendOutcome::Refused(_)) => refused,
            Err(_) => failed,
        };
        counter.inc();
    }
}
