//! One service and one payout at a time, on however many machines: whoever holds the lease writes, a standby takes
//! over when it runs out.
//!
//! Clocks decide only who may *try*. Every write of a duty names the token of its lease in its own transaction, and a
//! token is spent when the duty changes hands; so a former holder that wakes up late writes nothing.

use sqlx::{Any, Transaction};

use super::connection::{Accounts, AccountsError, failed};
use super::rows::{Fields, millis};
use crate::UnixMillis;

/// How the holder of a duty begins that nobody may have. A process draws another name.
const HELD: &str = "held: ";

/// A duty that one process has at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duty {
    /// Follows the chain, books rewards.
    Service,
    /// Pays.
    Payout,
}

impl Duty {
    /// Its name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Payout => "payout",
        }
    }
}

/// The right to follow the chain and book rewards.
#[derive(Debug)]
pub struct ServiceLease(i64);

/// The right to pay.
#[derive(Debug)]
pub struct PayoutLease(i64);

/// A lease, for what is the same for both.
pub trait Lease {
    /// What it is a right to.
    const DUTY: Duty;

    /// The lease with this token.
    #[doc(hidden)]
    fn with_token(token: i64) -> Self;

    /// Its token.
    #[doc(hidden)]
    fn token(&self) -> i64;
}

impl Lease for ServiceLease {
    const DUTY: Duty = Duty::Service;

    fn with_token(token: i64) -> Self {
        Self(token)
    }

    fn token(&self) -> i64 {
        self.0
    }
}

impl Lease for PayoutLease {
    const DUTY: Duty = Duty::Payout;

    fn with_token(token: i64) -> Self {
        Self(token)
    }

    fn token(&self) -> i64 {
        self.0
    }
}

impl Accounts {
    /// Takes a duty if nobody has it, if its lease has run out, or if `holder` had it before (a restart). `None`:
    /// another process has it; ask again later.
    pub async fn take_lease<L: Lease>(
        &self,
        holder: &str,
        now: UnixMillis,
        until: UnixMillis,
    ) -> Result<Option<L>, AccountsError> {
        let doing = "taking a duty";
        let mut transaction = self.begin().await?;
        let row = sqlx::query(
            "INSERT INTO leases (duty, holder, token, until_ms) VALUES ($1, $2, 1, $3) \
             ON CONFLICT (duty) DO UPDATE SET holder = excluded.holder, token = leases.token + 1, \
             until_ms = excluded.until_ms WHERE leases.until_ms <= $4 OR leases.holder = excluded.holder \
             RETURNING token",
        )
        .bind(L::DUTY.name())
        .bind(holder)
        .bind(millis(until))
        .bind(millis(now))
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        row.map(|row| Fields { row: &row, doing }.signed(0).map(L::with_token)).transpose()
    }

    /// Keeps a duty for longer.
    pub async fn renew_lease<L: Lease + Sync>(
        &self,
        lease: &L,
        until: UnixMillis,
    ) -> Result<(), AccountsError> {
        let mut transaction = self.begin().await?;
        hold(&mut transaction, lease, Some(until)).await?;
        transaction.commit().await.map_err(failed("renewing a lease"))
    }

    /// Gives a duty up, so that a standby need not wait.
    pub async fn release_lease<L: Lease>(&self, lease: L) -> Result<(), AccountsError> {
        let mut transaction = self.begin().await?;
        hold(&mut transaction, &lease, Some(UnixMillis(0))).await?;
        transaction.commit().await.map_err(failed("releasing a lease"))
    }

    /// Takes the duty to pay from whoever has it, and gives it to nobody: payouts stand still, over restarts too, until
    /// [`Accounts::release_payouts`].
    pub async fn hold_payouts(&self, why: &str) -> Result<(), AccountsError> {
        let doing = "holding payouts";
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO leases (duty, holder, token, until_ms) VALUES ($1, $2, 1, $3) ON CONFLICT (duty) \
             DO UPDATE SET holder = excluded.holder, token = leases.token + 1, until_ms = excluded.until_ms",
        )
        .bind(Duty::Payout.name())
        .bind(format!("{HELD}{why}"))
        .bind(i64::MAX)
        .execute(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))
    }

    /// Why payouts are held, if they are.
    pub async fn payouts_held(&self) -> Result<Option<String>, AccountsError> {
        let doing = "looking whether payouts are held";
        let row = sqlx::query("SELECT holder FROM leases WHERE duty = $1")
            .bind(Duty::Payout.name())
            .fetch_optional(&self.reader)
            .await
            .map_err(failed(doing))?;
        let holder = row.map(|row| Fields { row: &row, doing }.text(0)).transpose()?;
        Ok(holder.and_then(|holder| holder.strip_prefix(HELD).map(str::to_owned)))
    }

    /// Lets payouts go on; `false` if they were not held.
    pub async fn release_payouts(&self) -> Result<bool, AccountsError> {
        let doing = "releasing payouts";
        let mut transaction = self.begin().await?;
        let sql = "UPDATE leases SET holder = '', until_ms = 0 WHERE duty = $1 AND holder LIKE $2";
        let done = sqlx::query(sql)
            .bind(Duty::Payout.name())
            .bind(format!("{HELD}%"))
            .execute(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Ok(done.rows_affected() == 1)
    }

    /// Starts a transaction that only the holder of the duty can finish.
    pub(super) async fn begin_as<L: Lease>(
        &self,
        lease: &L,
    ) -> Result<Transaction<'static, Any>, AccountsError> {
        let mut transaction = self.begin().await?;
        hold(&mut transaction, lease, None).await?;
        Ok(transaction)
    }
}

/// Locks the row of the duty, if the lease still holds.
async fn hold<L: Lease>(
    transaction: &mut Transaction<'static, Any>,
    lease: &L,
    until: Option<UnixMillis>,
) -> Result<(), AccountsError> {
    let done =
        sqlx::query("UPDATE leases SET until_ms = COALESCE($1, until_ms) WHERE duty = $2 AND token = $3")
            .bind(until.map(millis))
            .bind(L::DUTY.name())
            .bind(lease.token())
            .execute(&mut **transaction)
            .await
            .map_err(failed("showing a lease"))?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(AccountsError::LeaseLost(L::DUTY)) }
}
