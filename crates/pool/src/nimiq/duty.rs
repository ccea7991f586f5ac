//! A duty that one process performs at a time: taken, kept while the work goes on, given back at the end.
//!
//! Whoever does not get it stands by and asks again. A former holder that wakes up late can write nothing
//! (`ledger::nimiq`), so the times here decide only how soon a standby takes over.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use ledger::UnixMillis;
use ledger::nimiq::store::{self, Lease};
use ledger::nimiq::{Accounts, AccountsError};
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::parts::Parts;

/// How long giving a duty back may take; after that its lease runs out by itself.
const RELEASE_TIME: Duration = Duration::from_secs(5);
/// Pauses after failures of what a duty stands on: 1, 2, 4 … 30 s.
pub(super) const FAILURES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));

/// The part of a role's health that says whether its work succeeds.
pub(super) const WORK: &str = "work";

/// How a process holds a duty.
#[derive(Debug, Clone)]
pub struct DutyTerms {
    /// This process's name among all that may have the duty. The same name takes the duty back at once after a restart,
    /// so no two processes may share one ([`holder_name`]).
    pub holder: String,
    /// How long after a crash a standby takes over. It is renewed three times as often.
    pub lease: Duration,
    /// The time, in milliseconds since 1970.
    pub clock: fn() -> UnixMillis,
}

impl DutyTerms {
    /// Half a minute by this machine's clock.
    pub fn new(holder: impl Into<String>) -> Self {
        let clock = crate::pay_maker::system_clock;
        Self { holder: holder.into(), lease: Duration::from_secs(30), clock }
    }

    fn until(&self) -> UnixMillis {
        (self.clock)().plus(self.lease.as_millis() as u64)
    }
}

/// A name that no other process has: drawn at random at the first start, and kept in the role's own folder, which one
/// process holds at a time.
pub fn holder_name(folder: &Path) -> io::Result<String> {
    let file = folder.join("holder");
    match std::fs::read_to_string(&file) {
        Ok(name) if !name.trim().is_empty() => return Ok(name.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let name = hex::encode(rand::random::<[u8; 8]>());
    std::fs::write(&file, format!("{name}\n"))?;
    Ok(name)
}

/// What is done while the duty is held.
pub(super) trait Work<L>: Send {
    /// Goes on until another process has taken over. May be dropped at any point, as by a crash.
    fn until_lost(&mut self, lease: &L) -> impl Future<Output = ()> + Send;
}

/// A running role that performs a duty while this process has it, and stands by otherwise.
pub struct DutyRole {
    health: Health,
    pub(super) parts: Parts,
}

impl DutyRole {
    /// Starts to ask for the duty, and to perform it.
    pub(super) fn start<L: Lease + Send + Sync + 'static>(
        duty: Duty,
        mut work: impl Work<L> + 'static,
        shutdown: &CancellationToken,
    ) -> Self {
        let health = duty.health.clone();
        let mut parts = Parts::until(shutdown);
        let stop = parts.stop();
        parts.run("duty", async move { duty.perform(&mut work, stop).await });
        Self { health, parts }
    }

    /// Whether its work succeeds, or it stands by.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Returns when it has ended after the stop signal, or since it died.
    pub async fn stopped(self) {
        self.parts.ended().await;
    }
}

/// A duty, seen by the process that wants it.
pub(super) struct Duty {
    accounts: Accounts,
    terms: DutyTerms,
    health: Health,
    held: Gauge,
}

impl Duty {
    pub(super) fn new(accounts: Accounts, terms: DutyTerms, health: Health, metrics: &Metrics) -> Self {
        let held =
            metrics.gauge("nimiq_duty_held", "1 while this process performs the duty, 0 while it stands by");
        Self { accounts, terms, health, held }
    }

    /// Performs the duty whenever this process has it, until the stop signal.
    pub(super) async fn perform<L: Lease + Send + Sync>(
        &self,
        work: &mut impl Work<L>,
        shutdown: CancellationToken,
    ) {
        while let Some(lease) = shutdown.run_until_cancelled(self.take::<L>()).await {
            self.held.set(1);
            tracing::info!(duty = L::DUTY.name(), holder = self.terms.holder, "this process has the duty");
            let stopped = tokio::select! {
                () = work.until_lost(&lease) => false,
                () = self.keep(&lease) => false,
                () = shutdown.cancelled() => true,
            };
            self.held.set(0);
            if stopped {
                return self.release(lease).await;
            }
            tracing::warn!(duty = L::DUTY.name(), "another process has taken the duty over");
        }
    }

    /// Asks until the duty is this process's.
    async fn take<L: Lease>(&self) -> L {
        let mut failures = FAILURES;
        let mut standing_by = false;
        loop {
            match self.try_to_take().await {
                Ok(Some(lease)) => return lease,
                Ok(None) => {
                    if !standing_by {
                        self.say_who_has_it(L::DUTY).await;
                    }
                    standing_by = true;
                    failures.reset();
                    // Standing by is all that this process has to do now.
                    self.health.solved(WORK);
                    self.health.ready();
                    tokio::time::sleep(self.terms.lease / 3).await;
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the accounts cannot be asked for the duty"
                    );
                    tokio::time::sleep(failures.after_failure()).await;
                }
            }
        }
    }

    /// Why nobody may pay, if that is so.
    pub(super) async fn payouts_held(&self) -> Result<Option<String>, AccountsError> {
        self.accounts.payouts_held().await
    }

    async fn say_who_has_it(&self, duty: store::Duty) {
        let held = if duty == store::Duty::Payout { self.payouts_held().await } else { Ok(None) };
        if let Ok(Some(why)) = held {
            tracing::warn!(why, "payouts are held until `headframe ledger release-payouts`; standing by");
        } else {
            tracing::info!(duty = duty.name(), "another process has the duty; standing by");
        }
    }

    /// Asks once.
    pub(super) async fn try_to_take<L: Lease>(&self) -> Result<Option<L>, AccountsError> {
        let taken =
            self.accounts.take_lease(&self.terms.holder, (self.terms.clock)(), self.terms.until()).await;
        match &taken {
            Ok(_) => self.health.solved("accounts"),
            Err(error) => self.health.trouble_of("accounts", format!("the accounts do not answer: {error}")),
        }
        taken
    }

    /// Renews the lease until it is lost.
    async fn keep<L: Lease + Sync>(&self, lease: &L) {
        let mut failures = FAILURES;
        let mut pause = self.terms.lease / 3;
        let mut ends = self.terms.until();
        loop {
            tokio::time::sleep(pause).await;
            let until = self.terms.until();
            match self.accounts.renew_lease(lease, until).await {
                Ok(()) => {
                    ends = until;
                    self.held.set(1);
                    failures.reset();
                    pause = self.terms.lease / 3;
                }
                Err(AccountsError::LeaseLost(_)) => return,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a lease could not be renewed");
                    // Anybody may have it by now.
                    if (self.terms.clock)() >= ends {
                        self.held.set(0);
                    }
                    pause = failures.after_failure().min(self.terms.lease / 3);
                }
            }
        }
    }

    /// Gives the duty back, so that a standby need not wait.
    pub(super) async fn release<L: Lease>(&self, lease: L) {
        let released = tokio::time::timeout(RELEASE_TIME, self.accounts.release_lease(lease)).await;
        if !matches!(released, Ok(Ok(()))) {
            tracing::info!(duty = L::DUTY.name(), "the duty could not be given back; its lease runs out");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_keeps_its_name_and_shares_it_with_nobody() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [first, second] = folders.each_ref().map(|folder| holder_name(folder.path()).unwrap());
        assert_ne!(first, second);
        assert_eq!(holder_name(folders[0].path()).unwrap(), first);
        // A crash in the middle of writing it.
        std::fs::write(folders[0].path().join("holder"), "").unwrap();
        assert_ne!(holder_name(folders[0].path()).unwrap(), "");
    }
}
