//! The service's figures.

use std::collections::HashMap;

use ledger::UnixMillis;
use ledger::nimiq::found_block::FoundState;
use ledger::nimiq::store::Compacted;
use ledger::nimiq::{Accounts, AccountsError, Settled};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::ServiceFault;
use super::following::Look;
use crate::metrics::{Metrics, Stage, StageTimes};

/// The names of the book's accounts, for labels.
const ACCOUNTS: [&str; 11] = [
    "reward",
    "import",
    "immature",
    "immature_fee",
    "immature_undistributed",
    "mature",
    "fee",
    "undistributed",
    "outgoing",
    "paid",
    "network_fees",
];

pub(super) struct Figures {
    /// Makes what is not known from the start.
    metrics: Metrics,
    blocks: [(FoundState, Gauge); FoundState::ALL.len()],
    book: [(&'static str, Gauge); ACCOUNTS.len()],
    node_up: Gauge,
    settled: Counter,
    window_shares: Gauge,
    window_miners: Gauge,
    reorganised: Counter,
    compacted: Counter,
    failures: HashMap<&'static str, Counter>,
    /// Looks.
    pub(super) round: StageTimes,
    /// Distributing rewards in the accounts.
    pub(super) store: StageTimes,
}

impl Figures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let blocks = |state: FoundState| {
            metrics.with_label("state", state.name()).gauge("nimiq_blocks", "Blocks of the pool, by state")
        };
        let account = |name| {
            metrics.with_label("account", name).gauge(
                "nimiq_book_luna",
                "Sums of the book by account, in luna: mature is due to miners, reward is minus all that was earned",
            )
        };
        let failures = |what| {
            let counter =
                metrics.with_label("of", what).counter("nimiq_failures", "Looks that failed, by what failed");
            (what, counter)
        };
        Self {
            metrics: metrics.clone(),
            blocks: FoundState::ALL.map(|state| (state, blocks(state))),
            book: ACCOUNTS.map(|name| (name, account(name))),
            node_up: metrics.gauge("nimiq_node_up", "1 if a node with consensus answered the last look"),
            settled: metrics.counter("nimiq_blocks_settled", "Blocks whose reward was distributed"),
            window_shares: metrics.gauge("nimiq_window_shares", "Shares that the last settled block pays"),
            window_miners: metrics.gauge("nimiq_window_miners", "Miners that the last settled block pays"),
            reorganised: metrics
                .counter("nimiq_blocks_orphaned", "Blocks of the pool that left the main chain"),
            compacted: metrics.counter("nimiq_shares_compacted", "Old shares that became part of sums"),
            failures: ["node", "accounts"].map(failures).into(),
            round: metrics.stage(Stage::Round),
            store: metrics.stage(Stage::Store),
        }
    }

    pub(super) fn looked(&self, look: &Look, settled: &[Settled], now: UnixMillis) {
        self.node_up.set(1);
        self.reorganised.inc_by(look.followed.orphaned.len() as u64);
        if let Some(last) = settled.last() {
            self.settled.inc_by(settled.len() as u64);
            let help = "When a block was settled last, since 1970";
            let last_settle = self.metrics.gauge("nimiq_last_settle_timestamp_seconds", help);
            last_settle.set((now.0 / 1000) as i64);
            self.window_shares.set(last.window.parts.values().map(|part| part.shares as i64).sum());
            self.window_miners.set(last.window.parts.len() as i64);
        }
    }

    pub(super) fn compacted(&self, compacted: Compacted) {
        self.compacted.inc_by(compacted.shares);
    }

    pub(super) fn failed(&self, fault: &ServiceFault) {
        let what = match fault {
            ServiceFault::Node(_) | ServiceFault::NoConsensus => {
                self.node_up.set(0);
                "node"
            }
            ServiceFault::Accounts(_) => "accounts",
        };
        if let Some(counter) = self.failures.get(what) {
            counter.inc();
        }
    }

    /// Reads what stands in the accounts.
    pub(super) async fn read(&self, accounts: &Accounts) -> Result<(), AccountsError> {
        let counts = accounts.blocks_by_state().await?;
        for (state, gauge) in &self.blocks {
            gauge.set(counts.get(state).copied().unwrap_or_default() as i64);
        }
        let totals = accounts.totals().await?;
        for (name, gauge) in &self.book {
            gauge.set(totals.get(*name).copied().unwrap_or_default());
        }
        if let Some(newest) = accounts.found_blocks(1).await?.first() {
            let help = "When the pool's last block was seen, since 1970";
            let last_block = self.metrics.gauge("nimiq_last_block_timestamp_seconds", help);
            last_block.set((newest.seen_at.0 / 1000) as i64);
        }
        Ok(())
    }
}
