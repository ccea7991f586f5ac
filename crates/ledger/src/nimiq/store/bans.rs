//! Who may not connect, and until when: kept over restarts and shared by all servers.

use super::connection::{Accounts, AccountsError, failed};
use super::rows::{Fields, column, millis, read_all};
use crate::UnixMillis;

/// A ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Whom it is for: an IP address, a prefix, or a payout address, as the server writes it.
    pub subject: String,
    /// A refusal code.
    pub reason: String,
    /// When it was spoken.
    pub since: UnixMillis,
    /// When it ends.
    pub until: UnixMillis,
    /// How many bans this subject has had, this one included.
    pub times: u64,
}

impl Accounts {
    /// Bans a subject, or bans it again, and says how many times that has happened.
    pub async fn ban(
        &self,
        subject: &str,
        reason: &str,
        since: UnixMillis,
        until: UnixMillis,
    ) -> Result<u64, AccountsError> {
        let doing = "storing a ban";
        let mut transaction = self.begin().await?;
        let row = sqlx::query(
            "INSERT INTO bans (subject, reason, since_ms, until_ms, times) VALUES ($1, $2, $3, $4, 1) \
             ON CONFLICT (subject) DO UPDATE SET reason = excluded.reason, since_ms = excluded.since_ms, \
             until_ms = excluded.until_ms, times = bans.times + 1 RETURNING times",
        )
        .bind(subject)
        .bind(reason)
        .bind(millis(since))
        .bind(millis(until))
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Fields { row: &row, doing }.number(0)
    }

    /// The bans that hold at `now`, newest first, at most `limit`.
    pub async fn bans(&self, now: UnixMillis, limit: u32) -> Result<Vec<Ban>, AccountsError> {
        let doing = "reading bans";
        let query = sqlx::query(
            "SELECT subject, reason, since_ms, until_ms, times FROM bans WHERE until_ms > $1 \
             ORDER BY since_ms DESC, subject LIMIT $2",
        )
        .bind(millis(now))
        .bind(i64::from(limit));
        read_all(&self.reader, doing, query, |fields| {
            Ok(Ban {
                subject: fields.text(0)?,
                reason: fields.text(1)?,
                since: UnixMillis(fields.number(2)?),
                until: UnixMillis(fields.number(3)?),
                times: fields.number(4)?,
            })
        })
        .await
    }

    /// Ends a ban and forgets that there was one. Says whether there was.
    pub async fn lift_ban(&self, subject: &str) -> Result<bool, AccountsError> {
        self.remove_bans("DELETE FROM bans WHERE subject = $1", subject).await.map(|count| count > 0)
    }

    /// Forgets bans that ended before `before`, and with them how often those subjects had been banned.
    pub async fn forget_bans(&self, before: UnixMillis) -> Result<u64, AccountsError> {
        column("time", before.0)?;
        self.remove_bans("DELETE FROM bans WHERE until_ms < $1", millis(before)).await
    }

    async fn remove_bans<'q, T>(&self, sql: &'static str, value: T) -> Result<u64, AccountsError>
    where
        T: sqlx::Encode<'q, sqlx::Any> + sqlx::Type<sqlx::Any> + Send + 'q,
    {
        let doing = "removing bans";
        let mut transaction = self.begin().await?;
        let done = sqlx::query(sql).bind(value).execute(&mut *transaction).await.map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Ok(done.rows_affected())
    }
}
