//! Opening the accounts: the engine, its connections, the tables of this version.

use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, AssertSqlSafe, ConnectOptions, Connection, Row, SqlSafeStr, Transaction};

use super::intake::Known;
use super::leases::Duty;
use crate::nimiq::found_block::ImpossibleTurn;
use crate::nimiq::journal::LinesFault;
use crate::nimiq::payout_state::ImpossiblePayoutTurn;

/// Newest version of the tables.
const VERSION: i64 = 4;
/// How often the tables are begun, where others begin them too.
const TRIES_TO_PREPARE: u32 = 50;
/// Pause between two tries: about the time that it takes.
const PREPARE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What differs between the engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A file of one machine.
    Sqlite,
    /// A server that several machines share.
    Postgres,
}

/// The accounts of a pool: shares, blocks, the book, payouts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Accounts {
    pub(super) dialect: Dialect,
    pub(super) writer: AnyPool,
    pub(super) reader: AnyPool,
    pub(super) known: std::sync::Arc<Mutex<Known>>,
}

/// Why the accounts could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The URL names no store.
    #[error("a store is sqlite://FILE or postgres://USER@HOST/DATABASE, not {0:?}")]
    Url(String),
    /// The database says so.
    #[error("{doing}")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// What it says.
        #[source]
        source: sqlx::Error,
    },
    /// Its tables are not, and cannot be made, those of this version.
    #[error("preparing the tables of the accounts")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// Its tables are those of a later version.
    #[error("the tables of the accounts have version {found}; this program knows versions up to {known}")]
    TooNew {
        /// Of the tables.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// A row that this program has not written.
    #[error("the accounts hold {0}")]
    Foreign(String),
    /// Another process has taken over; nothing was written.
    #[error("the duty {} has been taken over by another process", .0.name())]
    LeaseLost(Duty),
    /// A number that no column holds.
    #[error("{what} {number} does not fit the accounts")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// The number.
        number: u64,
    },
    /// An entry that does not balance; nothing was written.
    #[error(transparent)]
    Lines(#[from] LinesFault),
    /// A found block cannot do that; nothing was written.
    #[error(transparent)]
    FoundBlock(#[from] ImpossibleTurn),
    /// A payout cannot do that; nothing was written.
    #[error(transparent)]
    Payout(#[from] ImpossiblePayoutTurn),
    /// The update does not continue the chain that is stored; nothing was written.
    #[error("height {height} of the main chain is taken by another block than the one that joins")]
    ChainConflict {
        /// The height of both.
        height: u32,
    },
    /// A block that is to leave is not on the main chain; nothing was written.
    #[error("block {0} is to leave the main chain, but is not on it")]
    NotOnMainChain(nimiq::BlockHash),
    /// A balance no longer covers a payout that was planned; nothing was written.
    #[error("the balance of {balance} luna does not cover the payout of {debit} luna to {recipient}")]
    BalanceTooSmall {
        /// What there is.
        balance: i64,
        /// What was to be taken.
        debit: u64,
        /// Where it was to go.
        recipient: String,
    },
    /// More unconfirmed payouts than a node holds; nothing was written.
    #[error("{0} payouts would be unconfirmed at once; a node refuses more than 500 of one sender")]
    TooManyPending(usize),
    /// Another pool's accounts can only be the beginning; nothing was written.
    #[error(
        "the accounts are not empty: they hold {0}; another pool's balances can only be where they begin"
    )]
    NotEmpty(&'static str),
    /// There is no such payout.
    #[error("there is no payout {0}")]
    NoSuchPayout(u64),
}

impl Accounts {
    /// Opens `sqlite://FILE` (made if it is missing) or `postgres://USER@HOST/DATABASE`, and prepares the tables if
    /// they are missing or old. On PostgreSQL only their owner can do that; the roles for the duties can open
    /// them once they are there.
    pub async fn open(url: &str) -> Result<Self, AccountsError> {
        sqlx::any::install_default_drivers();
        let (dialect, url) = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            (Dialect::Postgres, url.to_owned())
        } else if url.starts_with("sqlite://") {
            let separator = if url.contains('?') { '&' } else { '?' };
            (Dialect::Sqlite, format!("{url}{separator}mode=rwc"))
        } else {
            return Err(AccountsError::Url(url.to_owned()));
        };
        let options = AnyConnectOptions::from_str(&url)
            .map_err(failed("reading the URL of the accounts"))?
            .disable_statement_logging();
        let (writer, reader) = match dialect {
            Dialect::Postgres => {
                let pool = connect(dialect, options, 8).await?;
                (pool.clone(), pool)
            }
            // SQLite lets one write at a time; waiting here is cheaper than asking the file again and again.
            Dialect::Sqlite => {
                (connect(dialect, options.clone(), 1).await?, connect(dialect, options, 4).await?)
            }
        };
        let accounts = Self { dialect, writer, reader, known: std::sync::Arc::default() };
        accounts.prepare_tables().await?;
        Ok(accounts)
    }

    /// Which engine it is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The connections to read with.
    pub(crate) fn reader(&self) -> &AnyPool {
        &self.reader
    }

    /// Closes all connections, after what they are doing.
    pub async fn close(&self) {
        self.writer.close().await;
        self.reader.close().await;
    }

    /// Makes the roles of `docs/protocol/nimiq-pool.md` 4.2 and grants each what its duty needs. PostgreSQL only:
    /// SQLite has no users, and answers with `false`.
    pub async fn grant_roles(&self) -> Result<bool, AccountsError> {
        if self.dialect == Dialect::Sqlite {
            return Ok(false);
        }
        sqlx::raw_sql(Self::ROLES).execute(&self.writer).await.map_err(failed("making the roles"))?;
        Ok(true)
    }

    /// The statements of [`Accounts::grant_roles`], for those who would rather run them themselves.
    pub const ROLES: &str = include_str!("../../../migrations/accounts/roles_postgres.sql");

    /// Several roles may begin on new accounts at once. SQLite has no lock for that: whoever comes second fails, and
    /// looks again.
    async fn prepare_tables(&self) -> Result<(), AccountsError> {
        let mut tries = TRIES_TO_PREPARE;
        loop {
            match self.version_of_tables().await {
                Some(VERSION) => return Ok(()),
                Some(found) if found > VERSION => {
                    return Err(AccountsError::TooNew { found, known: VERSION });
                }
                _ => {}
            }
            tries -= 1;
            match migrator(self.dialect).run(&self.writer).await {
                Ok(()) => return Ok(()),
                Err(fault) if tries == 0 => return Err(AccountsError::Migration(fault)),
                Err(_) => tokio::time::sleep(PREPARE_AGAIN_AFTER).await,
            }
        }
    }

    /// `None` while there are no tables.
    async fn version_of_tables(&self) -> Option<i64> {
        let newest = sqlx::query("SELECT CAST(MAX(version) AS BIGINT) FROM _sqlx_migrations WHERE success");
        newest.fetch_one(&self.writer).await.ok()?.try_get(0).ok()
    }

    /// Starts a transaction that only reads, and sees the accounts as they are at its first look however long it takes.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Any>, AccountsError> {
        let statement = match self.dialect {
            Dialect::Sqlite => "BEGIN DEFERRED",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.reader.begin_with(statement).await.map_err(failed("starting to read"))
    }

    /// Starts a transaction that will write.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Any>, AccountsError> {
        let statement = match self.dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        };
        self.writer.begin_with(statement).await.map_err(failed("starting a transaction"))
    }
}

async fn connect(dialect: Dialect, options: AnyConnectOptions, most: u32) -> Result<AnyPool, AccountsError> {
    let settings: &[&str] = match dialect {
        Dialect::Sqlite => &[
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "PRAGMA busy_timeout=30000",
            "PRAGMA foreign_keys=ON",
            "PRAGMA cache_size=-65536",
        ],
        // Whatever the server's default is: accepted means durable.
        Dialect::Postgres => &["SET synchronous_commit = on"],
    };
    AnyPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(Duration::from_secs(30))
        .after_connect(move |connection, _| {
            Box::pin(async move {
                for setting in settings {
                    sqlx::query(*setting).execute(&mut *connection).await?;
                }
                Ok(())
            })
        })
        // A server may have hung up meanwhile; a file cannot, and the question would be one more for each that matters.
        .test_before_acquire(dialect == Dialect::Postgres)
        // Where SQLite finds no room, it ends the transaction by itself. The connection does not notice, and would begin no
        // other one: it makes way for a new one.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(options)
        .await
        .map_err(failed("opening the accounts"))
}

fn migrator(dialect: Dialect) -> Migrator {
    let guards = match dialect {
        Dialect::Sqlite => include_str!("../../../migrations/accounts/guards_sqlite.sql"),
        Dialect::Postgres => include_str!("../../../migrations/accounts/guards_postgres.sql"),
    };
    let tables = |text: &str| match dialect {
        // Only a column of exactly this type is SQLite's own row number.
        Dialect::Sqlite => text.replace("BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY"),
        Dialect::Postgres => text.to_owned(),
    };
    let entry_kinds = match dialect {
        Dialect::Sqlite => include_str!("../../../migrations/accounts/0004_entry_kinds_sqlite.sql"),
        Dialect::Postgres => include_str!("../../../migrations/accounts/0004_entry_kinds_postgres.sql"),
    };
    let imports = tables(include_str!("../../../migrations/accounts/0004_imports.sql"));
    let accounts = tables(include_str!("../../../migrations/accounts/0001_accounts.sql"));
    let steps = [
        ("accounts", format!("{accounts}\n{guards}")),
        (
            "payout thresholds",
            tables(include_str!("../../../migrations/accounts/0002_payout_thresholds.sql")),
        ),
        ("series", tables(include_str!("../../../migrations/accounts/0003_series.sql"))),
        ("imports", format!("{imports}\n{entry_kinds}")),
    ];
    let migrations = (1..).zip(steps).map(|(version, (name, text))| {
        Migration::new(version, name.into(), MigrationType::Simple, AssertSqlSafe(text).into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Says what was being done when the database failed.
pub(super) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> AccountsError {
    move |source| AccountsError::Database { doing, source }
}

impl AccountsError {
    /// Whether a row is at fault, rather than the database or the way to it: the same row would fail again.
    pub fn is_fault_of_row(&self) -> bool {
        match self {
            Self::TooLarge { .. } => true,
            Self::Database { source: sqlx::Error::Database(error), .. } => {
                let is_bad_value = error.code().is_some_and(|code| code.len() == 5 && code.starts_with("22"));
                error.is_check_violation()
                    || error.is_foreign_key_violation()
                    || error.is_unique_violation()
                    || is_bad_value
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SQLite has then rolled back by itself, which its connection does not know.
    #[tokio::test]
    async fn a_transaction_that_ended_by_itself_keeps_nobody_from_beginning_another() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("accounts.db").display());
        let accounts = Accounts::open(&url).await.unwrap();
        let mut transaction = accounts.begin().await.unwrap();
        sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        drop(transaction);
        accounts.server("main").await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn roles_that_begin_together_on_new_accounts_all_open_them() {
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}", folder.path().join("accounts.db").display());
            let opening: Vec<_> = (0..4)
                .map(|_| {
                    let url = url.clone();
                    tokio::spawn(async move { Accounts::open(&url).await })
                })
                .collect();
            for opened in opening {
                opened.await.unwrap().unwrap().close().await;
            }
        }
    }
}
