//! Old shares become sums by user, device and day, so that the table of shares stays as long as the windows need.

use sqlx::{Any, Transaction};

use super::connection::{Accounts, AccountsError, failed};
use super::leases::ServiceLease;
use super::rows::{Fields, column, millis};
use crate::UnixMillis;
use crate::nimiq::Sequence;

/// What must stay as single shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionRule {
    /// At least so many of the newest shares; with a window of N shares, several times N.
    pub shares: u64,
    /// All shares of at least so long: a server must not deliver a share again after that.
    pub millis: u64,
}

impl Default for RetentionRule {
    /// A million shares, a week.
    fn default() -> Self {
        Self { shares: 1_000_000, millis: 7 * 86_400_000 }
    }
}

/// What was thinned out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Shares that became part of sums.
    pub shares: u64,
    /// Whether there are more to do.
    pub more: bool,
}

/// Shares of one step, so that none takes long.
const STEP: u64 = 50_000;
/// A nonce that was used so long ago is remembered no more: no session lasts that long.
const NONCES_MILLIS: u64 = 366 * 86_400_000;

impl Accounts {
    /// Turns the oldest shares that the rule does not keep into sums: one step, to be called again while there is
    /// more; nonces that nobody can use again are forgotten on the way. Windows reach at least as far back again as the longest window of a block that is not mature, or of
    /// the newest settled block, whatever the rule says.
    pub async fn compact_shares(
        &self,
        lease: &ServiceLease,
        rule: RetentionRule,
        now: UnixMillis,
    ) -> Result<Compacted, AccountsError> {
        let doing = "thinning out shares";
        let mut transaction = self.begin_as(lease).await?;
        sqlx::query("DELETE FROM used_nonces WHERE used_at_ms < $1")
            .bind(millis(now.minus(NONCES_MILLIS)))
            .execute(&mut *transaction)
            .await
            .map_err(failed("forgetting old nonces"))?;
        let Some((oldest, end)) = removable(&mut transaction, rule, now).await? else {
            transaction.commit().await.map_err(failed(doing))?;
            return Ok(Compacted::default());
        };
        let last = end.0.min(oldest.0.saturating_add(STEP - 1));
        sqlx::query(
            "INSERT INTO share_sums (user_id, device, day_ms, shares, weight_high, weight_low) \
             SELECT user_id, device, accepted_at_ms / 86400000 * 86400000, COUNT(*), \
             CAST(SUM(weight >> 32) AS BIGINT), CAST(SUM(weight & 4294967295) AS BIGINT) FROM shares \
             WHERE id <= $1 GROUP BY user_id, device, accepted_at_ms / 86400000 * 86400000 \
             ON CONFLICT (user_id, device, day_ms) DO UPDATE SET shares = share_sums.shares + excluded.shares, \
             weight_high = share_sums.weight_high + excluded.weight_high, \
             weight_low = share_sums.weight_low + excluded.weight_low",
        )
        .bind(column("sequence number", last)?)
        .execute(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        let removed = sqlx::query("DELETE FROM shares WHERE id <= $1")
            .bind(column("sequence number", last)?)
            .execute(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Ok(Compacted { shares: removed.rows_affected(), more: last < end.0 })
    }
}

/// The oldest share and the newest one that no rule keeps, if there are such.
async fn removable(
    transaction: &mut Transaction<'static, Any>,
    rule: RetentionRule,
    now: UnixMillis,
) -> Result<Option<(Sequence, Sequence)>, AccountsError> {
    let ends =
        "SELECT CAST(COALESCE(MIN(id), 0) AS BIGINT), CAST(COALESCE(MAX(id), 0) AS BIGINT) FROM shares";
    let (oldest, newest) = pair(transaction, sqlx::query(ends)).await?;
    if newest == 0 {
        return Ok(None);
    }
    let young = sqlx::query(
        "SELECT CAST(COALESCE(MIN(id), 0) AS BIGINT), CAST(0 AS BIGINT) FROM shares WHERE accepted_at_ms >= $1",
    );
    let (young, _) = pair(transaction, young.bind(millis(now.minus(rule.millis)))).await?;
    let windows = "SELECT CAST(COALESCE(MIN(window_first), 0) AS BIGINT), \
                   CAST(COALESCE(MAX(window_last), 0) AS BIGINT) FROM found_blocks WHERE state = 'immature' \
                   OR block = (SELECT MAX(block) FROM found_blocks WHERE window_last IS NOT NULL)";
    let (first, last) = pair(transaction, sqlx::query(windows)).await?;
    // An unsettled block needs its window whole, and nobody knows yet how long that is.
    let unsettled = "SELECT COUNT(*), CAST(0 AS BIGINT) FROM found_blocks WHERE state = 'found'";
    let (unsettled, _) = pair(transaction, sqlx::query(unsettled)).await?;
    let mut end = newest.saturating_sub(rule.shares);
    if young > 0 {
        end = end.min(young - 1);
    }
    if last > 0 {
        let length = last - first + 1;
        end = end.min((first - 1).saturating_sub(length));
    }
    let some = end >= oldest && unsettled == 0;
    Ok(some.then_some((Sequence(oldest), Sequence(end))))
}

async fn pair(
    transaction: &mut Transaction<'static, Any>,
    query: super::rows::Statement<'_>,
) -> Result<(u64, u64), AccountsError> {
    let doing = "looking for shares that nothing needs";
    let row = query.fetch_one(&mut **transaction).await.map_err(failed(doing))?;
    let fields = Fields { row: &row, doing };
    Ok((fields.number(0)?, fields.number(1)?))
}
