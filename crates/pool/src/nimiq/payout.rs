//! The payout: pays the miners, each debit exactly once (`docs/protocol/nimiq-pool.md` 4.4).
//!
//! One round after the other: what the chain shows of the payouts under way is booked ([`following`]), those that no
//! node has are given to one ([`sending`]), and whoever is due is paid ([`planning`], [`signer`]): planned, signed,
//! stored together with the debit, and only then sent. A round remembers nothing that matters; after a crash at any
//! point the next one goes on from what is stored, and nothing is signed again while its first transaction can still
//! be mined. One process at a time ([`duty`](super::duty)).

mod figures;
mod following;
pub mod planning;
mod schedule;
mod sending;
pub mod signer;

use std::time::{Duration, Instant};

use ledger::nimiq::payout_plan::{PayoutRules, PlannedPayment, ReserveTooSmall};
use ledger::nimiq::{Accounts, AccountsError, PayoutId, PayoutLease, SignedPayment};
use nimiq::transaction::Payment;
use nimiq::{Address, Height, Luna, Transaction};
use node::{NimiqClient, NodeError};
use tokio_util::sync::CancellationToken;

use self::figures::Figures;
use self::following::Following;
use self::planning::{Due, Planning};
use self::schedule::Schedule;
use self::sending::Sending;
use self::signer::{SignFault, Signer};
use super::duty::{Duty, DutyRole, DutyTerms, FAILURES, WORK, Work};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::nudge::Nudge;

/// The part of the role's health that says whether the pool's address holds enough.
const RESERVE: &str = "reserve";

/// How often a round is made though nobody asks, none is due and nothing is under way: for the figures, and to see blocks
/// that left the chain.
const RESTING_ROUND_EVERY: Duration = Duration::from_secs(10);

/// The operator's share, paid by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerPayout {
    /// Where to.
    pub recipient: Address,
    /// The fee account is paid out once it holds more than this.
    pub above: Luna,
}

/// What a payout is started with.
#[derive(Debug, Clone)]
pub struct PayoutConfig {
    /// Whom to pay, and who bears the network's fee. The fee is raised to what the node demands.
    pub rules: PayoutRules,
    /// Blocks on top of a payout's block that make it final.
    pub confirmations: u32,
    /// How often balances above the limit are paid: at the start and then at each multiple of this since 1970; zero:
    /// whenever there is one. Requests are answered at once.
    pub every: Duration,
    /// Paying the operator.
    pub owner: Option<OwnerPayout>,
    /// What must stay at the pool's address.
    pub reserve: Luna,
    /// How the duty is held.
    pub duty: DutyTerms,
    /// Pause between two rounds.
    pub poll: Duration,
    /// How long a transaction that the node does not have waits until it is sent again.
    pub resend: Duration,
    /// Payments that are signed, stored and sent together.
    pub batch: usize,
    /// Ends the pause before the next round, which is long after a failure; that round pays everybody who is due, whatever the
    /// schedule says.
    pub rounds: Nudge,
}

impl PayoutConfig {
    /// The usual times: automatic payouts every three hours.
    pub fn new(rules: PayoutRules, duty: DutyTerms) -> Self {
        Self {
            rules,
            confirmations: 10,
            every: Duration::from_hours(3),
            owner: None,
            reserve: Luna::ZERO,
            duty,
            poll: Duration::from_secs(1),
            resend: Duration::from_mins(1),
            batch: 100,
            rounds: Nudge::default(),
        }
    }

    /// What a plan is made by.
    pub fn planning(&self) -> Planning {
        Planning { rules: self.rules.clone(), owner: self.owner, reserve: self.reserve }
    }
}

/// Why a round failed, or nothing is paid.
#[derive(Debug, thiserror::Error)]
pub enum PayoutFault {
    /// The node gives no usable answer.
    #[error("the node fails: {0}")]
    Node(#[from] NodeError),
    /// Nodes answer, but have no peers.
    #[error("no node has consensus with its network")]
    NoConsensus,
    /// The accounts could not be read or written.
    #[error("the accounts fail: {0}")]
    Accounts(#[from] AccountsError),
    /// The pool's address holds too little.
    #[error(transparent)]
    Reserve(#[from] ReserveTooSmall),
    /// A payment was not signed.
    #[error("a payout is not signed: {0}")]
    Sign(#[from] SignFault),
    /// Another process pays.
    #[error("another process has the duty to pay")]
    StandBy,
    /// Nobody may pay until an operator says so.
    #[error("payouts are held, because {0}; `headframe ledger release-payouts` lets them go on")]
    Held(String),
}

/// What a single round came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoundReport {
    /// Payouts that were stored, in the order of the plan.
    pub prepared: Vec<(PayoutId, PlannedPayment)>,
}

/// Starts a payout. It is ready after its first round, or when it stands by.
pub fn start(
    config: PayoutConfig,
    signer: Signer,
    accounts: Accounts,
    node: NimiqClient,
    metrics: &Metrics,
    shutdown: &CancellationToken,
) -> DutyRole {
    let (duty, rounds) = Rounds::prepare(config, signer, accounts, node, metrics);
    DutyRole::start(duty, rounds, shutdown)
}

/// One round, whatever the schedule says; what it stored is sent, and followed by the next round of anybody.
pub async fn once(
    config: PayoutConfig,
    signer: Signer,
    accounts: Accounts,
    node: NimiqClient,
    metrics: &Metrics,
) -> Result<RoundReport, PayoutFault> {
    let (duty, mut rounds) = Rounds::prepare(config, signer, accounts, node, metrics);
    let Some(lease) = duty.try_to_take().await? else {
        let held = duty.payouts_held().await?;
        return Err(held.map_or(PayoutFault::StandBy, PayoutFault::Held));
    };
    let report = rounds.round(&lease).await;
    duty.release::<PayoutLease>(lease).await;
    report
}

/// The payout's work: rounds.
struct Rounds {
    config: PayoutConfig,
    signer: Signer,
    accounts: Accounts,
    node: NimiqClient,
    following: Following,
    sending: Sending,
    schedule: Schedule,
    /// What was said last of a reserve that is too small.
    reserve_short: Option<ReserveTooSmall>,
    figures: Figures,
    health: Health,
}

impl Work<PayoutLease> for Rounds {
    async fn until_lost(&mut self, lease: &PayoutLease) {
        let mut failures = FAILURES;
        self.following.forget();
        loop {
            let pause = match self.round(lease).await {
                Ok(_) => {
                    failures.reset();
                    self.health.solved(WORK);
                    self.health.ready();
                    self.rest().await;
                    continue;
                }
                Err(PayoutFault::Accounts(AccountsError::LeaseLost(_))) => return,
                // All that is under way has been seen to; what is missing is money.
                Err(PayoutFault::Reserve(short)) => {
                    self.note_reserve(short);
                    failures.reset();
                    self.config.poll
                }
                Err(fault) => {
                    tracing::error!(fault = &fault as &dyn std::error::Error, "a round of payouts failed");
                    self.figures.failed(&fault);
                    self.health.trouble_of(WORK, fault.to_string());
                    failures.after_failure()
                }
            };
            if self.config.rounds.pause(pause).await {
                self.schedule.order();
            }
        }
    }
}

impl Rounds {
    /// After a good round, until the next one that may have something to do.
    async fn rest(&mut self) {
        let end = Instant::now() + RESTING_ROUND_EVERY;
        loop {
            if self.config.rounds.pause(self.config.poll).await {
                self.schedule.order();
            }
            let is_due = self.schedule.is_due((self.config.duty.clock)());
            // Accounts that do not answer are for the round to complain of.
            if is_due || Instant::now() >= end || !self.has_nothing_to_see_to().await {
                return;
            }
        }
    }

    async fn has_nothing_to_see_to(&self) -> bool {
        matches!(self.accounts.wants_payouts_seen_to().await, Ok(false))
    }

    fn prepare(
        config: PayoutConfig,
        signer: Signer,
        accounts: Accounts,
        node: NimiqClient,
        metrics: &Metrics,
    ) -> (Duty, Self) {
        let metrics = metrics.for_role("nimiq_payout", "");
        let health = Health::starting("nimiq_payout", "");
        let duty = Duty::new(accounts.clone(), config.duty.clone(), health.clone(), &metrics);
        let figures = Figures::new(&metrics);
        let rounds = Self {
            following: Following::new(&config, accounts.clone()),
            sending: Sending::new(config.resend, accounts.clone(), config.duty.clock, figures.sends()),
            schedule: Schedule::new(config.every),
            reserve_short: None,
            figures,
            health,
            config,
            signer,
            accounts,
            node,
        };
        (duty, rounds)
    }

    async fn round(&mut self, lease: &PayoutLease) -> Result<RoundReport, PayoutFault> {
        let began = Instant::now();
        let node = self.node.with_consensus().await?.ok_or(PayoutFault::NoConsensus)?;
        let head = node.head_height().await?;
        let confirmations = self.config.confirmations;
        self.following.look(lease, &node, head).await?;
        self.sending.send(lease, &node, head, confirmations).await?;
        let paid = self.pay(lease, &node, head).await;
        self.figures.read(&self.accounts, (self.config.duty.clock)()).await?;
        self.figures.round.since(began);
        paid
    }

    /// Pays whoever is due.
    async fn pay(
        &mut self,
        lease: &PayoutLease,
        node: &NimiqClient,
        head: Height,
    ) -> Result<RoundReport, PayoutFault> {
        let now = (self.config.duty.clock)();
        let due = if self.schedule.is_due(now) { Due::Everybody } else { Due::Requests };
        let planned = self.config.planning().plan(&self.accounts, node, head, due).await?;
        self.figures.planned(&planned, now);
        let plan = planned.outcome?;
        self.reserve_short = None;
        self.health.solved(RESERVE);
        let answered: Vec<_> = planned.answered;
        let mut report = RoundReport::default();
        let mut batches: Vec<_> = plan.payments.chunks(self.config.batch.max(1)).collect();
        if batches.is_empty() && !answered.is_empty() {
            batches.push(&[]);
        }
        for (index, batch) in batches.into_iter().enumerate() {
            let answered = if index == 0 { answered.as_slice() } else { &[] };
            let signed = self.sign(batch).await?;
            let storing = Instant::now();
            let ids =
                self.accounts.prepare_payouts(lease, &signed, answered, (self.config.duty.clock)()).await?;
            self.figures.store.since(storing);
            for (id, signed) in ids.iter().zip(&signed) {
                let PlannedPayment { recipient, value, kind, .. } = signed.payment;
                let (id, hash, kind) = (id.0, signed.hash, kind.name());
                tracing::info!(id, %recipient, %value, kind, %hash, "a payout is prepared");
            }
            report.prepared.extend(ids.into_iter().zip(batch.iter().copied()));
            self.sending.send(lease, node, head, self.config.confirmations).await?;
        }
        // Only now: a failure leaves everybody due.
        self.schedule.done(now);
        Ok(report)
    }

    async fn sign(&self, batch: &[PlannedPayment]) -> Result<Vec<SignedPayment>, PayoutFault> {
        let mut signed = Vec::with_capacity(batch.len());
        for payment in batch {
            let unsigned = Payment {
                recipient: payment.recipient,
                value: payment.value,
                fee: payment.network_fee,
                validity_start: payment.validity_start,
                network: self.node.network().id(),
            };
            let transaction = self.signer.sign(&unsigned, self.config.rules.pool_address).await?;
            let transaction = Transaction::Basic(transaction);
            signed.push(SignedPayment {
                payment: *payment,
                hash: transaction.hash(),
                signed: transaction.to_bytes(),
            });
        }
        Ok(signed)
    }

    /// Says that nothing is paid, once.
    fn note_reserve(&mut self, short: ReserveTooSmall) {
        if self.reserve_short != Some(short) {
            tracing::error!(holds = %short.on_chain, needed = %short.needed, "the reserve is too small: {short}");
        }
        self.reserve_short = Some(short);
        self.health.solved(WORK);
        self.health.ready();
        self.health.trouble_of(RESERVE, short.to_string());
    }
}

#[cfg(test)]
mod tests;
