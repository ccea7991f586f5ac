//! Accepted shares on their way from the outbox into the accounts: a segment at a time, until the accounts have it.
//!
//! Neither checks nor clients wait for this. What is not delivered stays on disk, so a backlog takes no memory.

use std::time::{Duration, Instant};

use ledger::nimiq::{Accounts, AccountsError, IntakeReport, NewShare, ServerId};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;

use super::journal;
use crate::backoff::Backoff;
use crate::health::Health;
use crate::metrics::{Metrics, Stage, StageTimes};
use crate::outbox::{Delivery, Outbox, OutboxError};

/// Under what `/healthz` names the accounts.
const PART: &str = "accounts";
/// Shares of one transaction.
const TOGETHER: usize = 8192;
/// Pauses between tries.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));

/// Carries shares for as long as the server runs.
pub(super) struct Deliverer {
    outbox: Outbox,
    accounts: Accounts,
    server: ServerId,
    health: Health,
    delivered: Counter,
    repeated: Counter,
    set_aside: Counter,
    failures: Counter,
    undelivered: Gauge,
    delivering: StageTimes,
}

/// Why a segment stays where it is.
#[derive(Debug, thiserror::Error)]
enum DeliveryFault {
    #[error("the accounts took no shares")]
    Accounts(#[from] AccountsError),
    #[error(transparent)]
    Disk(#[from] OutboxError),
    #[error("reading shares from disk did not end: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Deliverer {
    pub(super) fn new(
        outbox: Outbox,
        accounts: Accounts,
        server: ServerId,
        health: Health,
        metrics: &Metrics,
    ) -> Self {
        Self {
            outbox,
            accounts,
            server,
            health,
            delivered: metrics.counter("nimiq_shares_delivered", "Shares that the accounts have taken"),
            repeated: metrics.counter("nimiq_shares_repeated", "Shares that the accounts had already"),
            set_aside: metrics
                .counter("nimiq_shares_set_aside", "Shares that the accounts refuse, kept with the reason"),
            failures: metrics.counter(
                "nimiq_delivery_failures",
                "Deliveries to the accounts that failed and are repeated",
            ),
            delivering: metrics.stage(Stage::Deliver),
            undelivered: metrics
                .gauge("nimiq_undelivered_shares", "Shares in closed segments that wait for the accounts"),
        }
    }

    /// Delivers until `shutdown`.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let delivering = async {
            let mut pauses = PAUSES;
            loop {
                self.undelivered.set(self.outbox.unconfirmed() as i64);
                let delivery = self.outbox.next_delivery().await;
                self.undelivered.set(self.outbox.unconfirmed() as i64);
                let began = Instant::now();
                match self.deliver(delivery).await {
                    Ok(()) => {
                        self.delivering.since(began);
                        self.health.solved(PART);
                        pauses.reset();
                    }
                    Err(fault) => {
                        self.failures.inc();
                        let causes = with_causes(&fault);
                        tracing::warn!(fault = causes, "shares wait for the accounts, trying again");
                        self.health.trouble_of(PART, causes);
                        tokio::time::sleep(pauses.after_failure()).await;
                    }
                }
            }
        };
        shutdown.run_until_cancelled(delivering).await;
    }

    async fn deliver(&self, delivery: Delivery) -> Result<(), DeliveryFault> {
        let reading = move || {
            let shares = delivery.read(journal::from_record)?;
            Ok::<_, OutboxError>((delivery, shares))
        };
        let (delivery, shares) = tokio::task::spawn_blocking(reading).await??;
        let shares: Vec<NewShare> = shares.into_iter().flatten().collect();
        for part in shares.chunks(TOGETHER) {
            let report = self.accounts.accept_shares(self.server, part).await?;
            self.count(&report);
        }
        Ok(tokio::task::spawn_blocking(move || delivery.confirm()).await??)
    }

    fn count(&self, report: &IntakeReport) {
        self.delivered.inc_by(report.credited);
        self.repeated.inc_by(report.repeated);
        self.set_aside.inc_by(report.set_aside.len() as u64);
        for share in &report.set_aside {
            tracing::error!(share = share.server_sequence, reason = share.reason, "a share is not credited");
        }
    }
}

/// The error with its causes, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
