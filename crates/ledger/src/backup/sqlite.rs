//! A SQLite file as of one transaction, while others write to it.

use std::fs::File;
use std::path::Path;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Connection};

use super::BackupError;

/// Copies it into a new file, durably. Its writers need not wait.
pub(super) async fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    sqlx::any::install_default_drivers();
    let failed = |source| BackupError::Database { path: from.to_owned(), source };
    let options: AnyConnectOptions =
        format!("sqlite://{}?mode=rw", from.display()).parse().map_err(failed)?;
    let target = to.to_str().ok_or_else(|| BackupError::Name(to.to_owned()))?;
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(BackupError::disk("making", parent))?;
    }
    let mut connection =
        AnyConnection::connect_with(&options.disable_statement_logging()).await.map_err(failed)?;
    sqlx::query("PRAGMA busy_timeout=30000").execute(&mut connection).await.map_err(failed)?;
    sqlx::query("VACUUM INTO $1").bind(target.to_owned()).execute(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    File::open(to).and_then(|file| file.sync_all()).map_err(BackupError::disk("syncing", to))
}
