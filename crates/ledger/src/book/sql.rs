//! The book in a database: one text for SQLite and PostgreSQL.

mod history;
mod paid;
mod series;

use std::path::Path;
use std::time::Duration;

use packetcrypt::BlockHash;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions, AnyRow};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyPool, AssertSqlSafe, ConnectOptions, Connection, Row, SqlSafeStr};
use wire::who_to_pay::{ByAddress, PaidWindow};
use wire::{EventId, PktAddress};

use super::{
    Book, BookError, PayoutOutcome, PayoutTable, PayoutTableNumber, SeenBlock, UploadCounts, UploadEntry,
    WonBlock,
};
pub use history::{PayoutTableSummary, RecordedWin};
pub use paid::Paid;
pub use series::RecordedMinute;

use crate::UnixMillis;

/// Rows of one INSERT: few enough for every engine's limit on parameters.
const ROWS_PER_STATEMENT: usize = 500;
/// Connections that only read.
const READERS: u32 = 2;
/// Stands for counts that are not known, and for "no event".
const UNKNOWN: i64 = -1;

/// A book in a database.
#[derive(Debug, Clone)]
pub struct SqlBook {
    pool: AnyPool,
    /// For what the website asks: it does not wait for what is being written, nor the other way round.
    reader: AnyPool,
}

impl SqlBook {
    /// Opens the book in a SQLite file, or makes an empty one.
    pub async fn open_sqlite(path: &Path) -> Result<Self, BookError> {
        sqlx::any::install_default_drivers();
        let doing = "opening the book";
        let options: AnyConnectOptions = format!("sqlite://{}?mode=rwc", path.display())
            .parse()
            .map_err(|source| BookError::Database { doing, source })?;
        let options = options.disable_statement_logging();
        let pool =
            connect(options.clone(), 1).await.map_err(|source| BookError::Database { doing, source })?;
        migrator().run(&pool).await.map_err(BookError::Migration)?;
        let reader =
            connect(options, READERS).await.map_err(|source| BookError::Database { doing, source })?;
        Ok(Self { pool, reader })
    }
}

async fn connect(options: AnyConnectOptions, most: u32) -> Result<AnyPool, sqlx::Error> {
    AnyPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(Duration::from_secs(30))
        .after_connect(|connection, _| {
            Box::pin(async move {
                for pragma in
                    ["PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA busy_timeout=10000"]
                {
                    sqlx::query(pragma).execute(&mut *connection).await?;
                }
                Ok(())
            })
        })
        // A question more for each one, to a file that cannot hang up.
        .test_before_acquire(false)
        // Where SQLite finds no room, it ends a transaction by itself; such a connection would begin no other one.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(options)
        .await
}

fn migrator() -> Migrator {
    let texts = [
        ("book", include_str!("../../migrations/0001_book.sql")),
        ("book wins", include_str!("../../migrations/0002_book_wins.sql")),
        ("book series", include_str!("../../migrations/0003_book_series.sql")),
        ("book paid", include_str!("../../migrations/0004_book_paid.sql")),
    ];
    let migration = |(version, (name, text)): (i64, (&'static str, &'static str))| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    Migrator::with_migrations((1..).zip(texts).map(migration).collect())
}

impl Book for SqlBook {
    async fn add(
        &self,
        uploads: &[UploadEntry],
        seen: &[SeenBlock],
        won: &[WonBlock],
    ) -> Result<(), BookError> {
        let doing = "adding to the book";
        let failed = |source| BookError::Database { doing, source };
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        for rows in uploads.chunks(ROWS_PER_STATEMENT) {
            let sql = insert(
                "uploads (id, newest_event_ms, accepted_at_ms, credited, repeated, refused)",
                6,
                rows.len(),
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for row in rows {
                let count = |count: fn(UploadCounts) -> u32| {
                    row.counts.map_or(UNKNOWN, |counts| count(counts).into())
                };
                query = query
                    .bind(row.id.as_bytes().to_vec())
                    .bind(millis(row.newest_event))
                    .bind(millis(row.accepted_at))
                    .bind(count(|counts| counts.credited))
                    .bind(count(|counts| counts.repeated))
                    .bind(count(|counts| counts.refused));
            }
            query.execute(&mut *transaction).await.map_err(failed)?;
        }
        for rows in seen.chunks(ROWS_PER_STATEMENT) {
            let sql = insert("blocks_seen (event_id, hash, height, seen_at_ms)", 4, rows.len());
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for row in rows {
                query = query
                    .bind(row.event_id.as_bytes().to_vec())
                    .bind(row.hash.map(|hash| hash.to_string()).unwrap_or_default())
                    .bind(i64::from(row.height))
                    .bind(millis(row.seen_at));
            }
            query.execute(&mut *transaction).await.map_err(failed)?;
        }
        for rows in won.chunks(ROWS_PER_STATEMENT) {
            let sql = insert("blocks_won (share_id, hash, pay_to, won_at_ms)", 4, rows.len());
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for row in rows {
                query = query
                    .bind(row.share_id.as_bytes().to_vec())
                    .bind(row.hash.to_string())
                    .bind(row.pay_to.to_string())
                    .bind(millis(row.won_at));
            }
            query.execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn has_upload(&self, id: EventId) -> Result<bool, BookError> {
        let row = sqlx::query("SELECT 1 FROM uploads WHERE id = $1").bind(id.as_bytes().to_vec());
        let found = row.fetch_optional(&self.pool).await;
        found
            .map(|row| row.is_some())
            .map_err(|source| BookError::Database { doing: "looking up an upload", source })
    }

    async fn newest_uploads(&self, limit: u32) -> Result<Vec<UploadEntry>, BookError> {
        let doing = "reading the newest uploads";
        let rows = sqlx::query(
            "SELECT id, newest_event_ms, accepted_at_ms, credited, repeated, refused FROM uploads \
             ORDER BY accepted_at_ms DESC, id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(|source| BookError::Database { doing, source })?;
        rows.iter().map(|row| Fields { row, doing }.upload()).collect()
    }

    async fn newest_wins(&self, limit: u32) -> Result<Vec<WonBlock>, BookError> {
        let doing = "reading the newest blocks of the pool";
        let rows = sqlx::query(
            "SELECT share_id, hash, pay_to, won_at_ms FROM blocks_won ORDER BY won_at_ms DESC, share_id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(|source| BookError::Database { doing, source })?;
        rows.iter().map(|row| Fields { row, doing }.won_block()).collect()
    }

    async fn add_payout_table(
        &self,
        table: &PayoutTable,
        keep_since: UnixMillis,
    ) -> Result<PayoutTableNumber, BookError> {
        let failed = |source| BookError::Database { doing: "adding a payout table", source };
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        let row = sqlx::query("SELECT CAST(COALESCE(MAX(number), 0) AS BIGINT) FROM payout_tables")
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        let number = row.try_get::<i64, _>(0).map_err(failed)? + 1;
        for sql in [
            "DELETE FROM payout_outcomes WHERE number IN (SELECT number FROM payout_tables WHERE made_at_ms < $1)",
            "DELETE FROM payout_tables WHERE made_at_ms < $1",
        ] {
            sqlx::query(sql).bind(millis(keep_since)).execute(&mut *transaction).await.map_err(failed)?;
        }
        let windows = [&table.share_window, &table.announcement_window];
        let payees: ByAddress<u64> = table.payees.iter().copied().collect();
        sqlx::query("INSERT INTO payout_tables (number, made_at_ms, newest_event_ms, windows, payees, payee_count) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(number)
            .bind(millis(table.made_at))
            .bind(table.newest_event.map_or(UNKNOWN, millis))
            .bind(to_json(&windows)?)
            .bind(to_json(&payees)?)
            .bind(payees.0.len() as i64)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(PayoutTableNumber(number))
    }

    async fn add_outcome(
        &self,
        number: PayoutTableNumber,
        at: UnixMillis,
        outcome: &PayoutOutcome,
    ) -> Result<(), BookError> {
        let (name, detail) = match outcome {
            PayoutOutcome::Configured => ("configured", ""),
            PayoutOutcome::Refused(why) => ("refused", why.as_str()),
            PayoutOutcome::PaidAsSent => ("paid_as_sent", ""),
            PayoutOutcome::PaidOtherwise(how) => ("paid_otherwise", how.as_str()),
        };
        sqlx::query("INSERT INTO payout_outcomes (number, at_ms, outcome, detail) VALUES ($1, $2, $3, $4)")
            .bind(number.0)
            .bind(millis(at))
            .bind(name)
            .bind(detail)
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(|source| BookError::Database { doing: "adding the outcome of a payout table", source })
    }

    async fn newest_payout_table(
        &self,
    ) -> Result<Option<(PayoutTableNumber, PayoutTable, Vec<PayoutOutcome>)>, BookError> {
        let doing = "reading the newest payout table";
        let failed = |source| BookError::Database { doing, source };
        let row = sqlx::query(
            "SELECT number, made_at_ms, newest_event_ms, windows, payees FROM payout_tables ORDER BY number DESC LIMIT 1",
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let (number, table) = Fields { row: &row, doing }.payout_table()?;
        let outcomes =
            sqlx::query("SELECT outcome, detail FROM payout_outcomes WHERE number = $1 ORDER BY at_ms")
                .bind(number.0)
                .fetch_all(&self.pool)
                .await
                .map_err(failed)?;
        let outcomes: Result<_, _> = outcomes.iter().map(|row| Fields { row, doing }.outcome()).collect();
        Ok(Some((number, table, outcomes?)))
    }
}

/// `INSERT INTO <table (columns)> VALUES ($1, …), …`, which leaves rows alone that are there already.
fn insert(table: &str, columns: usize, rows: usize) -> String {
    let rows: Vec<String> = (0..rows)
        .map(|row| {
            let places: Vec<String> =
                (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
            format!("({})", places.join(", "))
        })
        .collect();
    format!("INSERT INTO {table} VALUES {} ON CONFLICT DO NOTHING", rows.join(", "))
}

fn millis(time: UnixMillis) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn to_json(value: &impl serde::Serialize) -> Result<String, BookError> {
    serde_json::to_string(value).map_err(|error| foreign(format!("what is no JSON: {error}")))
}

fn foreign(what: String) -> BookError {
    BookError::Foreign { what }
}

/// The fields of a row, in the order of its SELECT.
struct Fields<'a> {
    row: &'a AnyRow,
    doing: &'static str,
}

impl Fields<'_> {
    fn number(&self, index: usize) -> Result<i64, BookError> {
        self.row.try_get(index).map_err(|source| BookError::Database { doing: self.doing, source })
    }

    fn text(&self, index: usize) -> Result<String, BookError> {
        self.row.try_get(index).map_err(|source| BookError::Database { doing: self.doing, source })
    }

    fn time(&self, index: usize) -> Result<UnixMillis, BookError> {
        let number = self.number(index)?;
        u64::try_from(number).map(UnixMillis).map_err(|_| foreign(format!("the time {number}")))
    }

    fn event_id(&self, index: usize) -> Result<EventId, BookError> {
        let bytes: Vec<u8> =
            self.row.try_get(index).map_err(|source| BookError::Database { doing: self.doing, source })?;
        let bytes = bytes
            .try_into()
            .map_err(|bytes| foreign(format!("an id of other than 16 bytes: {bytes:02x?}")))?;
        Ok(EventId::from_bytes(bytes))
    }

    fn upload(&self) -> Result<UploadEntry, BookError> {
        let count = |index| Ok::<_, BookError>(u32::try_from(self.number(index)?).unwrap_or_default());
        let counts = UploadCounts { credited: count(3)?, repeated: count(4)?, refused: count(5)? };
        let is_known = self.number(3)? != UNKNOWN;
        Ok(UploadEntry {
            id: self.event_id(0)?,
            newest_event: self.time(1)?,
            accepted_at: self.time(2)?,
            counts: is_known.then_some(counts),
        })
    }

    fn won_block(&self) -> Result<WonBlock, BookError> {
        let (hash, pay_to) = (self.text(1)?, self.text(2)?);
        let address: Result<PktAddress, _> = pay_to.parse();
        Ok(WonBlock {
            share_id: self.event_id(0)?,
            hash: BlockHash::from_display_hex(&hash)
                .map_err(|_| foreign(format!("the block hash {hash}")))?,
            pay_to: address.map_err(|_| foreign(format!("the address {pay_to}")))?,
            won_at: self.time(3)?,
        })
    }

    fn payout_table(&self) -> Result<(PayoutTableNumber, PayoutTable), BookError> {
        let newest = self.number(2)?;
        let [share_window, announcement_window]: [PaidWindow; 2] = parse_json(&self.text(3)?)?;
        let payees: ByAddress<u64> = parse_json(&self.text(4)?)?;
        let newest_event = (newest != UNKNOWN).then(|| self.time(2)).transpose()?;
        let table = PayoutTable {
            made_at: self.time(1)?,
            newest_event,
            share_window,
            announcement_window,
            payees: payees.0,
        };
        Ok((PayoutTableNumber(self.number(0)?), table))
    }

    fn outcome(&self) -> Result<PayoutOutcome, BookError> {
        let detail = self.text(1)?;
        match self.text(0)?.as_str() {
            "configured" => Ok(PayoutOutcome::Configured),
            "refused" => Ok(PayoutOutcome::Refused(detail)),
            "paid_as_sent" => Ok(PayoutOutcome::PaidAsSent),
            "paid_otherwise" => Ok(PayoutOutcome::PaidOtherwise(detail)),
            other => Err(foreign(format!("the outcome {other}"))),
        }
    }
}

fn parse_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, BookError> {
    serde_json::from_str(text)
        .map_err(|error| foreign(format!("a payout table that cannot be read: {error}")))
}
