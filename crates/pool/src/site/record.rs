//! What the website keeps of its own: a signed record of statements, and levels for charts.
//!
//! Both are made from the pictures of the pool as they are gathered, so nobody is asked for them. The record is for good and
//! can be checked by anybody; levels are for people to look at, and a crash may cost some minutes of them.

mod incidents;
mod levels;
mod log;
pub mod signed_line;
mod statements;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::Facts;
use super::facts::{Incident, Moment, PoolFacts, Series, SeriesQuery, SignedStatement};
use levels::Levels;
use log::LogFault;
use statements::Statements;

/// How often it is looked whether there is a newer picture.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How often levels are stored.
const STORE_EVERY_MS: u64 = 120_000;

/// What is kept, by whoever keeps it and whoever shows it.
#[derive(Debug)]
pub(super) struct Record {
    statements: Mutex<Statements>,
    levels: Mutex<Levels>,
}

/// Why the record cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum RecordFault {
    /// The folder or a file in it.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// What the record holds.
    #[error(transparent)]
    Log(#[from] LogFault),
}

impl Record {
    /// Opens it, or begins it, in a folder that only its owner can read: the key that signs is in it.
    pub(super) fn open(folder: &Path) -> Result<Self, RecordFault> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let levels = Levels::open(folder);
        let statements = Statements::open(folder, levels.stored_at())?;
        Ok(Self { statements: Mutex::new(statements), levels: Mutex::new(levels) })
    }

    /// Looks at the pictures of the pool until the stop signal.
    pub(super) async fn keep(self: Arc<Self>, facts: Facts, shutdown: CancellationToken) {
        let (mut seen, mut stored) = (Moment(0), Moment::now());
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let picture = facts.newest();
            if picture.gathered_at <= seen {
                continue;
            }
            seen = picture.gathered_at;
            let is_due = seen.0.saturating_sub(stored.0) >= STORE_EVERY_MS;
            let record = Arc::clone(&self);
            // Files are written, seldom.
            let look = tokio::task::spawn_blocking(move || {
                record.look(&picture);
                if is_due {
                    record.store_levels();
                }
            });
            if look.await.is_err() {
                return;
            }
            if is_due {
                stored = seen;
            }
        }
        self.store_levels();
    }

    fn look(&self, picture: &PoolFacts) {
        self.levels().look(picture);
        self.statements().look(picture);
    }

    fn store_levels(&self) {
        // The others look on while the file is written.
        let (file, text) = self.levels().to_be_stored(Moment::now());
        if let Err(error) = crate::whole_file::write(&file, &text) {
            tracing::warn!(%error, file = %file.display(), "levels for charts cannot be stored");
        }
    }

    /// The past of a level; `None` if it is none that is kept here.
    pub(super) fn series(&self, query: &SeriesQuery, now: Moment) -> Option<Series> {
        self.levels().series(query, now)
    }

    /// Statements with a smaller number than `before`, of one kind or of all, newest first.
    pub(super) fn statements_before(
        &self,
        before: Option<u64>,
        kind: Option<&str>,
        limit: u32,
    ) -> Vec<SignedStatement> {
        let statements = self.statements();
        let wanted =
            |signed: &SignedStatement| kind.is_none_or(|kind| kind == signed.statement.stated.kind());
        statements.log().before(before.unwrap_or(u64::MAX)).filter(wanted).take(limit as usize).collect()
    }

    /// Incidents whose beginning has a smaller number than `before`, newest first.
    pub(super) fn incidents_before(&self, before: Option<u64>, limit: u32) -> Vec<Incident> {
        self.statements().incidents_before(before.unwrap_or(u64::MAX), limit as usize)
    }

    /// The whole record, as it was signed.
    pub(super) fn log(&self) -> Bytes {
        self.statements().log().text()
    }

    /// The key that its newest statements are signed with.
    pub(super) fn key(&self) -> String {
        self.statements().log().key()
    }

    fn statements(&self) -> MutexGuard<'_, Statements> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn levels(&self) -> MutexGuard<'_, Levels> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
