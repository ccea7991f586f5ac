//! A copy of a pool's data folder, made while the pool runs: everything that was acknowledged before it began is in it.
//!
//! Accepted work moves one way: journals of handlers and servers → PayMaker or accounts → chain. The copy follows it
//! ([`Stage`]), so what leaves a place during the copy is found in the next one; what is then in both counts once, as after
//! any crash. Files that are only appended to may be cut in the middle of a record, which their owners cut off at the next
//! start; SQLite files are copied as of one transaction, and accounts on PostgreSQL by `pg_dump`.
//!
//! A backup is a folder of files and the [`manifest`] of their lengths and hashes, which is written last: without it there
//! is no backup. Keys are not copied, nor locks.

mod files;
pub mod manifest;
mod postgres;
mod restore;
mod sqlite;
mod taking;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use manifest::{Manifest, ManifestFault};
pub use restore::{Checked, check, restore};
pub use taking::{Taken, take};

/// The name of the manifest.
pub const MANIFEST: &str = "MANIFEST";
/// In a data folder while it is restored: nothing may start from it.
pub const UNFINISHED: &str = "RESTORE-IS-UNFINISHED";
/// Where accounts lie in a data folder.
const ACCOUNTS: &str = "nimiq/accounts.db";
/// What PostgreSQL's dump is called in a backup.
pub const POSTGRES_DUMP: &str = "accounts.pgdump";

/// Why a backup was not made, is not good, or was not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The disk refused.
    #[error("{doing} {path}")]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A database could not be copied.
    #[error("copying the database {path}")]
    Database {
        /// Its file.
        path: PathBuf,
        /// What it says.
        #[source]
        source: sqlx::Error,
    },
    /// A folder that must be empty is not.
    #[error("{0} is not empty")]
    NotEmpty(PathBuf),
    /// A folder without a manifest.
    #[error("{0} is no backup: it has no {MANIFEST}; perhaps making it was interrupted")]
    NoManifest(PathBuf),
    /// The manifest is no manifest.
    #[error("the manifest of the backup")]
    Manifest(#[from] ManifestFault),
    /// A name that no manifest can hold.
    #[error("{0} has a name that a backup cannot hold")]
    Name(PathBuf),
    /// The restored accounts cannot be opened.
    #[error("the restored accounts")]
    Accounts(#[from] crate::nimiq::AccountsError),
    /// `pg_dump` or `pg_restore` did not do its work.
    #[error("{program} {outcome}")]
    Program {
        /// Which.
        program: &'static str,
        /// How it ended, and what it said.
        outcome: String,
    },
    /// Files of a backup are not what the manifest says.
    #[error("the backup is damaged: {}", .0.join("; "))]
    Damaged(Vec<String>),
}

impl BackupError {
    fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { doing, path, source }
    }
}

/// When a file is copied: upstream first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Accepted work on its way: segments of outboxes.
    Journals,
    /// What can be made again from uploads, and is copied before them so that it never knows more.
    DerivedFromUploads,
    /// Uploads that the PayMaker has accepted.
    Uploads,
    /// SQLite files: the book, which may lag behind the uploads, and the accounts.
    Databases,
    /// Everything else, the embedded chains among it.
    Rest,
}

impl Stage {
    const ALL: [Self; 5] =
        [Self::Journals, Self::DerivedFromUploads, Self::Uploads, Self::Databases, Self::Rest];
}
