//! The service: follows the chain and distributes the rewards of the pool's blocks (`docs/protocol/nimiq-pool.md` 4.3).
//!
//! One look after the other: what the chain has lost and gained since the accounts looked last is booked, blocks whose
//! shares are there are settled, and now and then old shares become sums. All that is remembered is in the accounts,
//! so after a stop of any length, a crash or a reorganisation the next look just goes on. One process at a time
//! ([`duty`](super::duty)).

mod figures;
mod following;

use std::time::Duration;

use ledger::nimiq::{Accounts, AccountsError, CreditRules, RetentionRule, ServiceLease};
use nimiq::Address;
use node::{NimiqClient, NodeError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::figures::Figures;
use self::following::{Following, Look};
use super::duty::{Duty, DutyRole, DutyTerms, FAILURES, WORK, Work};
use crate::health::Health;
use crate::metrics::Metrics;

/// How often new shares are counted for charts.
const RECORD_EVERY: Duration = Duration::from_secs(20);
/// How often everything is looked at though the node has no other block: its consensus, shares that came late.
const RESTING_LOOK_EVERY: Duration = Duration::from_secs(5);
/// Time after which figures are read again although nothing has happened.
const FIGURES_EVERY: Duration = Duration::from_secs(15);
/// Steps of compaction in one go, so that the chain is not kept waiting.
const COMPACTION_STEPS: u32 = 20;

/// What a service is started with.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// Where the pool's blocks collect their rewards.
    pub pool_address: Address,
    /// How blocks are distributed.
    pub rules: CreditRules,
    /// Which shares stay as they are.
    pub retention: RetentionRule,
    /// How the duty is held.
    pub duty: DutyTerms,
    /// Pause between two looks at the node.
    pub poll: Duration,
    /// How often old shares are turned into sums.
    pub compact_every: Duration,
}

impl ServiceConfig {
    /// The usual times.
    pub fn new(pool_address: Address, rules: CreditRules, duty: DutyTerms) -> Self {
        Self {
            pool_address,
            rules,
            retention: RetentionRule::default(),
            duty,
            poll: Duration::from_secs(1),
            compact_every: Duration::from_hours(1),
        }
    }
}

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
enum ServiceFault {
    #[error("the node fails: {0}")]
    Node(#[from] NodeError),
    #[error("no node has consensus with its network")]
    NoConsensus,
    #[error("the accounts fail: {0}")]
    Accounts(#[from] AccountsError),
}

/// Starts a service. It is ready when it has followed the chain up to the node's head, or stands by.
pub fn start(
    config: ServiceConfig,
    accounts: Accounts,
    node: NimiqClient,
    metrics: &Metrics,
    shutdown: &CancellationToken,
) -> DutyRole {
    let metrics = metrics.for_role("nimiq_service", "");
    let health = Health::starting("nimiq_service", "");
    let duty = Duty::new(accounts.clone(), config.duty.clone(), health.clone(), &metrics);
    let looks = Looks {
        following: Following::new(&config, accounts.clone(), &metrics),
        figures: Figures::new(&metrics),
        health,
        compact_at: Instant::now() + config.compact_every,
        record_at: Instant::now(),
        figures_at: Instant::now(),
        accounts,
        node,
        config,
    };
    DutyRole::start(duty, looks, shutdown)
}

/// The service's work: looks at the chain.
struct Looks {
    config: ServiceConfig,
    accounts: Accounts,
    node: NimiqClient,
    following: Following,
    figures: Figures,
    health: Health,
    compact_at: Instant,
    record_at: Instant,
    figures_at: Instant,
}

impl Work<ServiceLease> for Looks {
    async fn until_lost(&mut self, lease: &ServiceLease) {
        let mut failures = FAILURES;
        self.following.forget();
        loop {
            match self.look(lease).await {
                Ok(look) => {
                    failures.reset();
                    self.health.solved(WORK);
                    if look.behind == 0 {
                        self.health.ready();
                    }
                    let catching_up = look.changed && look.behind > 0;
                    if !catching_up {
                        self.rest().await;
                    }
                }
                Err(ServiceFault::Accounts(AccountsError::LeaseLost(_))) => return,
                Err(fault) => {
                    tracing::warn!(
                        fault = &fault as &dyn std::error::Error,
                        "the service could not look at the chain"
                    );
                    self.figures.failed(&fault);
                    self.health.trouble_of(WORK, fault.to_string());
                    self.following.forget();
                    tokio::time::sleep(failures.after_failure()).await;
                }
            }
        }
    }
}

impl Looks {
    /// After a good look, until the next one that may find something: the node is asked for its newest block alone, as
    /// long as that is the known one.
    async fn rest(&self) {
        let end = Instant::now() + RESTING_LOOK_EVERY;
        tokio::time::sleep(self.config.poll).await;
        // What waits for shares that may come, or accounts that do not answer, are for the look.
        if !matches!(self.accounts.waits_for_settlement().await, Ok(false)) {
            return;
        }
        while Instant::now() < end && self.has_seen_newest_block().await {
            tokio::time::sleep(self.config.poll).await;
        }
    }

    async fn has_seen_newest_block(&self) -> bool {
        let known = self.following.newest();
        known.is_some() && self.node.newest_block().await.ok() == known
    }

    async fn look(&mut self, lease: &ServiceLease) -> Result<Look, ServiceFault> {
        let looking = std::time::Instant::now();
        let node = self.node.with_consensus().await?.ok_or(ServiceFault::NoConsensus)?;
        let look = self.following.look(lease, &node).await?;
        let now = (self.config.duty.clock)();
        let settling = std::time::Instant::now();
        let settled = self.accounts.settle(lease, &self.config.rules, now).await?;
        self.figures.store.since(settling);
        if !settled.is_empty() {
            // A block that was settled late may be deep enough already.
            self.following.mature(lease).await?;
        }
        self.figures.looked(&look, &settled, now);
        self.compact(lease).await?;
        self.record(lease).await?;
        if look.changed || !settled.is_empty() || self.figures_at <= Instant::now() {
            self.figures.read(&self.accounts).await?;
            self.figures_at = Instant::now() + FIGURES_EVERY;
        }
        self.figures.round.since(looking);
        Ok(look)
    }

    /// Counts new shares for charts, now and then; many at once are counted in several rounds.
    async fn record(&mut self, lease: &ServiceLease) -> Result<(), ServiceFault> {
        if Instant::now() >= self.record_at {
            let more = self.accounts.record_series(lease, (self.config.duty.clock)()).await?;
            self.record_at = if more { Instant::now() } else { Instant::now() + RECORD_EVERY };
        }
        Ok(())
    }

    async fn compact(&mut self, lease: &ServiceLease) -> Result<(), ServiceFault> {
        if Instant::now() < self.compact_at {
            return Ok(());
        }
        for _ in 0..COMPACTION_STEPS {
            let now = (self.config.duty.clock)();
            let compacted = self.accounts.compact_shares(lease, self.config.retention, now).await?;
            self.figures.compacted(compacted);
            if !compacted.more {
                self.compact_at = Instant::now() + self.config.compact_every;
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
