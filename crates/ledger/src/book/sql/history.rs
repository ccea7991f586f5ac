//! What the website shows of the past: blocks of the pool, what they paid, and payout tables, page by page.

use sqlx::Row;
use wire::PktAddress;
use wire::who_to_pay::PaidWindow;

use super::{Fields, SqlBook, UNKNOWN, millis, parse_json};
use crate::UnixMillis;
use crate::book::{BookError, PayoutOutcome, PayoutTableNumber, WonBlock};

/// A block of the pool with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedWin {
    /// The share that it was.
    pub won: WonBlock,
    /// Its height, if a handler has told of it.
    pub height: Option<u32>,
    /// Work since the block before, in millionths of what a block takes on average.
    pub effort_millionths: Option<u64>,
    /// What it pays miners and pool, in units of 2⁻³⁰ PKT.
    pub reward: Option<i64>,
    /// The payout table that was in force.
    pub payout_table: Option<PayoutTableNumber>,
}

/// A payout table without its payees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutTableSummary {
    /// Its place in the book.
    pub number: PayoutTableNumber,
    /// When it was made.
    pub made_at: UnixMillis,
    /// The newest event that it takes into account.
    pub newest_event: Option<UnixMillis>,
    /// The window over shares.
    pub share_window: PaidWindow,
    /// The window over announcements.
    pub announcement_window: PaidWindow,
    /// How many addresses it pays.
    pub payee_count: u64,
    /// What the node made of it, as far as it has answered.
    pub outcome: Option<PayoutOutcome>,
}

/// What [`recorded_win`] reads.
pub(super) const WIN: &str = "SELECT share_id, hash, pay_to, won_at_ms, effort_millionths, reward, payout_table, \
                   (SELECT height FROM blocks_seen WHERE blocks_seen.hash = blocks_won.hash LIMIT 1)";

impl SqlBook {
    /// Blocks of the pool that were won before `before`, newest first.
    pub async fn wins_before(&self, before: UnixMillis, limit: u32) -> Result<Vec<RecordedWin>, BookError> {
        let doing = "reading blocks of the pool";
        let sql =
            format!("{WIN} FROM blocks_won WHERE won_at_ms < $1 ORDER BY won_at_ms DESC, share_id LIMIT $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(millis(before))
            .bind(i64::from(limit))
            .fetch_all(&self.reader)
            .await
            .map_err(|source| BookError::Database { doing, source })?;
        rows.iter().map(|row| recorded_win(row, doing)).collect()
    }

    /// Blocks of the pool won since a time, of one finder or of all; at most 20,000.
    pub async fn wins_since(
        &self,
        since: UnixMillis,
        finder: Option<PktAddress>,
    ) -> Result<Vec<RecordedWin>, BookError> {
        let doing = "reading blocks of the pool";
        let sql = format!(
            "{WIN} FROM blocks_won WHERE won_at_ms >= $1 AND ($2 = '' OR pay_to = $2) \
             ORDER BY won_at_ms DESC LIMIT 20000"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(millis(since))
            .bind(finder.map(|address| address.to_string()).unwrap_or_default())
            .fetch_all(&self.reader)
            .await
            .map_err(|source| BookError::Database { doing, source })?;
        rows.iter().map(|row| recorded_win(row, doing)).collect()
    }

    /// How many blocks the pool has won since `since`.
    pub async fn count_wins(&self, since: UnixMillis) -> Result<u64, BookError> {
        let doing = "counting blocks of the pool";
        let row = sqlx::query("SELECT COUNT(*) FROM blocks_won WHERE won_at_ms >= $1")
            .bind(millis(since))
            .fetch_one(&self.reader)
            .await
            .map_err(|source| BookError::Database { doing, source })?;
        Ok(Fields { row: &row, doing }.number(0)?.max(0) as u64)
    }

    /// Notes what is known of a block besides its share; what is noted already stays.
    pub async fn describe_win(&self, win: &RecordedWin) -> Result<(), BookError> {
        sqlx::query(
            "UPDATE blocks_won SET effort_millionths = COALESCE(effort_millionths, $1), \
             reward = COALESCE(reward, $2), payout_table = COALESCE(payout_table, $3) WHERE share_id = $4",
        )
        .bind(win.effort_millionths.map(|effort| i64::try_from(effort).unwrap_or(i64::MAX)))
        .bind(win.reward)
        .bind(win.payout_table.map(|table| table.0))
        .bind(win.won.share_id.as_bytes().to_vec())
        .execute(&self.pool)
        .await
        .map(|_| ())
        .map_err(|source| BookError::Database { doing: "describing a block of the pool", source })
    }

    /// The payout table in force at a time: the newest that the node had taken by then.
    pub async fn table_in_force(&self, at: UnixMillis) -> Result<Option<PayoutTableNumber>, BookError> {
        let doing = "looking up the payout table of a time";
        let row = sqlx::query(
            "SELECT number FROM payout_outcomes WHERE outcome = 'configured' AND at_ms <= $1 \
             ORDER BY number DESC LIMIT 1",
        )
        .bind(millis(at))
        .fetch_optional(&self.reader)
        .await
        .map_err(|source| BookError::Database { doing, source })?;
        row.map(|row| Ok(PayoutTableNumber(Fields { row: &row, doing }.number(0)?))).transpose()
    }

    /// Payout tables with a smaller number than `before`, newest first.
    pub async fn payout_tables_before(
        &self,
        before: PayoutTableNumber,
        limit: u32,
    ) -> Result<Vec<PayoutTableSummary>, BookError> {
        let doing = "reading payout tables";
        let failed = |source| BookError::Database { doing, source };
        let rows = sqlx::query(
            "SELECT number, made_at_ms, newest_event_ms, windows, payee_count FROM payout_tables WHERE number < $1 \
             ORDER BY number DESC LIMIT $2",
        )
        .bind(before.0)
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await
        .map_err(failed)?;
        let mut tables = Vec::with_capacity(rows.len());
        for row in &rows {
            let fields = Fields { row, doing };
            let number = PayoutTableNumber(fields.number(0)?);
            let [share_window, announcement_window]: [PaidWindow; 2] = parse_json(&fields.text(3)?)?;
            let newest = fields.number(2)?;
            let outcome = sqlx::query(
                "SELECT outcome, detail FROM payout_outcomes WHERE number = $1 ORDER BY at_ms DESC LIMIT 1",
            )
            .bind(number.0)
            .fetch_optional(&self.reader)
            .await
            .map_err(failed)?;
            tables.push(PayoutTableSummary {
                number,
                made_at: fields.time(1)?,
                newest_event: (newest != UNKNOWN).then(|| fields.time(2)).transpose()?,
                share_window,
                announcement_window,
                payee_count: fields.number(4)?.max(0) as u64,
                outcome: outcome.map(|row| Fields { row: &row, doing }.outcome()).transpose()?,
            });
        }
        Ok(tables)
    }
}

pub(super) fn recorded_win(row: &sqlx::any::AnyRow, doing: &'static str) -> Result<RecordedWin, BookError> {
    let optional = |index| -> Result<Option<i64>, BookError> {
        row.try_get(index).map_err(|source| BookError::Database { doing, source })
    };
    Ok(RecordedWin {
        won: Fields { row, doing }.won_block()?,
        effort_millionths: optional(4)?.map(|effort| effort.max(0) as u64),
        reward: optional(5)?,
        payout_table: optional(6)?.map(PayoutTableNumber),
        height: optional(7)?.and_then(|height| u32::try_from(height).ok()),
    })
}
