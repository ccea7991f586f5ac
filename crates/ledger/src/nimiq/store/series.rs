//! Figures in the accounts: the service counts each share once, in the transaction that says up to where it counted.

use nimiq::ShareWeight;

use super::CHAIN;
use super::connection::{Accounts, AccountsError, failed};
use super::leases::ServiceLease;
use super::rows::{Fields, millis};
use crate::UnixMillis;
use crate::nimiq::UserId;
use crate::series::store::{self, SeriesFault};
use crate::series::{Grain, Owner, Point};

/// Shares counted in one transaction.
const AT_ONCE: u64 = 50_000;

impl Accounts {
    /// Counts shares that have not been counted for charts; `true`: there are more. Minutes without a share are noted,
    /// too: nothing is not unknown.
    pub async fn record_series(&self, lease: &ServiceLease, now: UnixMillis) -> Result<bool, AccountsError> {
        let doing = "counting shares for charts";
        let mut transaction = self.begin_as(lease).await?;
        let row = sqlx::query(
            "SELECT share, (SELECT CAST(COALESCE(MAX(id), 0) AS BIGINT) FROM shares) FROM series_counted",
        )
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        let fields = Fields { row: &row, doing };
        let (counted, newest) = (fields.number(0)?, fields.number(1)?);
        let last = newest.min(counted.saturating_add(AT_ONCE));
        let rows = sqlx::query(
            "SELECT user_id, accepted_at_ms / 60000, COUNT(*), CAST(SUM(weight >> 4) AS BIGINT) FROM shares \
             WHERE id > $1 AND id <= $2 GROUP BY user_id, accepted_at_ms / 60000",
        )
        .bind(counted as i64)
        .bind(last as i64)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        let mut points = vec![(Owner::POOL, now, Point::default())];
        for row in &rows {
            let fields = Fields { row, doing };
            let (user, minute) = (fields.number(0)?, UnixMillis(fields.number(1)? * 60_000));
            let point =
                Point { shares: fields.number(2)?, share_work: fields.number(3)?, ..Point::default() };
            points.push((Owner(user), minute, point));
            points.push((Owner::POOL, minute, point));
        }
        store::add(&mut transaction, points, now).await.map_err(of_series)?;
        store::forget_old(&mut transaction, now).await.map_err(of_series)?;
        sqlx::query("UPDATE series_counted SET share = $1")
            .bind(last as i64)
            .execute(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Ok(last < newest)
    }

    /// The points of a user, or of the whole pool: `count` of them from `from` on.
    pub async fn series(
        &self,
        user: Option<UserId>,
        grain: Grain,
        from: UnixMillis,
        count: usize,
    ) -> Result<Vec<Option<Point>>, AccountsError> {
        let owner = user.map_or(Owner::POOL, |user| Owner(user.0));
        store::read(&self.reader, owner, grain, from, count).await.map_err(of_series)
    }

    /// Credits of a user, or of everybody, booked since a time: when, and how much; reversals are negative.
    pub async fn credits_since(
        &self,
        user: Option<UserId>,
        since: UnixMillis,
    ) -> Result<Vec<(UnixMillis, i64)>, AccountsError> {
        let doing = "reading credits for a chart";
        let sql = match user {
            // The index over a user's lines, newest entries first, as far as the chart reaches.
            Some(_) => {
                "SELECT entries.at_ms, CAST(lines.amount AS BIGINT) FROM lines JOIN entries ON entries.id = lines.entry \
                 WHERE lines.account = 'immature' AND lines.user_id = $1 AND entries.at_ms >= $2 \
                 AND (entries.kind = 'reward' OR (entries.kind = 'reversal' AND lines.amount < 0)) \
                 ORDER BY lines.entry DESC LIMIT 20000"
            }
            None => {
                "SELECT blocks.seen_at_ms, found_blocks.reward + found_blocks.fees FROM found_blocks \
                 JOIN blocks ON blocks.id = found_blocks.block WHERE $1 = 0 AND blocks.seen_at_ms >= $2 \
                 AND found_blocks.state IN ('immature', 'mature')"
            }
        };
        let rows = sqlx::query(sql)
            .bind(user.map_or(0, |user| user.0 as i64))
            .bind(millis(since))
            .fetch_all(&self.reader)
            .await
            .map_err(failed(doing))?;
        amounts(&rows, doing)
    }

    /// Payouts prepared since a time that have not expired: when, and their values.
    pub async fn payouts_since(
        &self,
        user: Option<UserId>,
        since: UnixMillis,
    ) -> Result<Vec<(UnixMillis, i64)>, AccountsError> {
        let doing = "reading payouts for a chart";
        let rows = sqlx::query(
            "SELECT prepared_at_ms, CAST(SUM(value) AS BIGINT) FROM payouts WHERE chain = $1 \
             AND prepared_at_ms >= $2 AND ($3 = 0 OR user_id = $3) AND state <> 'expired' GROUP BY prepared_at_ms",
        )
        .bind(CHAIN)
        .bind(millis(since))
        .bind(user.map_or(0, |user| user.0 as i64))
        .fetch_all(&self.reader)
        .await
        .map_err(failed(doing))?;
        amounts(&rows, doing)
    }
}

fn amounts(rows: &[sqlx::any::AnyRow], doing: &'static str) -> Result<Vec<(UnixMillis, i64)>, AccountsError> {
    rows.iter()
        .map(|row| {
            let fields = Fields { row, doing };
            Ok((UnixMillis(fields.number(0)?), fields.signed(1)?))
        })
        .collect()
}

fn of_series(fault: SeriesFault) -> AccountsError {
    match fault {
        SeriesFault::Database { doing, source } => AccountsError::Database { doing, source },
        SeriesFault::Row(fault) => AccountsError::Foreign(fault.to_string()),
    }
}

/// A share's weight is its hashes times 2⁴.
const _: () = assert!(ShareWeight::PER_HASH == 1 << 4);
