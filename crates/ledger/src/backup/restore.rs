//! Checking a backup, and making a data folder of it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use wire::EventId;

use super::manifest::{FileRecord, Manifest};
use super::postgres::{run, without_password};
use super::{ACCOUNTS, BackupError, MANIFEST, POSTGRES_DUMP, UNFINISHED, files};
use crate::UnixMillis;
use crate::nimiq::{Accounts, AccountsError};

/// A backup that is as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// When it was begun.
    pub begun: UnixMillis,
    /// How many files it has.
    pub files: usize,
    /// How long they are together.
    pub bytes: u64,
    /// The SQLite file with the accounts of the Nimiq pool in it, if they are there.
    pub accounts: Option<PathBuf>,
    /// The dump of accounts that are on PostgreSQL.
    pub postgres_dump: Option<PathBuf>,
    /// Uploads that the PayMaker had accepted.
    pub uploads: usize,
}

/// Reads a whole backup and compares it with its manifest. Changes nothing.
pub fn check(backup: &Path) -> Result<Checked, BackupError> {
    let manifest = manifest(backup)?;
    let mut faults = Vec::new();
    for (path, expected) in &manifest.files {
        match files::record(&backup.join(path)) {
            Ok(found) => faults.extend(difference(path, expected, &found)),
            Err(BackupError::Disk { source, .. }) if source.kind() == ErrorKind::NotFound => {
                faults.push(format!("{path} is missing"));
            }
            Err(error) => return Err(error),
        }
    }
    let present = |path: &str| manifest.files.contains_key(path).then(|| backup.join(path));
    faults.extend(uploads(&manifest).filter_map(|(path, file)| misnamed(path, file)));
    if !faults.is_empty() {
        return Err(BackupError::Damaged(faults));
    }
    Ok(Checked {
        begun: manifest.begun,
        files: manifest.files.len(),
        bytes: manifest.files.values().map(|file| file.bytes).sum(),
        accounts: present(ACCOUNTS),
        postgres_dump: present(POSTGRES_DUMP),
        uploads: uploads(&manifest).count(),
    })
}

/// Makes `data`, which must be empty, what it was; accounts on PostgreSQL go to the empty database `accounts`. Everything is
/// checked before the first file is made. Until it ends, [`UNFINISHED`] is in the folder.
///
/// Restored accounts do not know what was paid since the backup, so nobody may pay from them until somebody says so
/// ([`Accounts::release_payouts`]).
pub async fn restore(backup: &Path, data: &Path, accounts: Option<&str>) -> Result<Checked, BackupError> {
    if !files::is_empty(data)? {
        return Err(BackupError::NotEmpty(data.to_owned()));
    }
    let checked = check(backup)?;
    let unfinished = data.join(UNFINISHED);
    fs::create_dir_all(data).map_err(BackupError::disk("making", data))?;
    File::create_new(&unfinished)
        .and_then(|file| file.sync_all())
        .map_err(BackupError::disk("making", &unfinished))?;
    files::sync_folders(data)?;
    let manifest = manifest(backup)?;
    for (path, expected) in manifest.files.iter().filter(|(path, _)| *path != POSTGRES_DUMP) {
        let from = backup.join(path);
        let copied = files::copy(&from, &data.join(path))?;
        let fault = copied
            .map_or_else(|| Some(format!("{path} is missing")), |found| difference(path, expected, &found));
        if let Some(fault) = fault {
            return Err(BackupError::Damaged(vec![fault]));
        }
        set_time(&data.join(path), expected.modified)?;
    }
    if let (Some(dump), Some(url)) = (&checked.postgres_dump, accounts) {
        let (url, password) = without_password(url);
        let mut command = std::process::Command::new("pg_restore");
        command.args([
            "--exit-on-error",
            "--single-transaction",
            "--no-owner",
            "--no-privileges",
            "--dbname",
        ]);
        run("pg_restore", command.arg(url).arg(dump), password)?;
    }
    files::sync_folders(data)?;
    let file = checked.accounts.is_some().then(|| format!("sqlite://{}", data.join(ACCOUNTS).display()));
    let restored = file.as_deref().or(accounts.filter(|_| checked.postgres_dump.is_some()));
    if let Some(url) = restored {
        hold_payouts(url, checked.begun).await?;
    }
    fs::remove_file(&unfinished).map_err(BackupError::disk("removing", &unfinished))?;
    files::sync_folders(data)?;
    Ok(checked)
}

async fn hold_payouts(url: &str, begun: UnixMillis) -> Result<(), AccountsError> {
    let accounts = Accounts::open(url).await?;
    accounts.hold_payouts(&format!("they were restored from a backup of {begun}")).await?;
    accounts.close().await;
    Ok(())
}

fn manifest(backup: &Path) -> Result<Manifest, BackupError> {
    let path = backup.join(MANIFEST);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Manifest::parse(&text)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(BackupError::NoManifest(backup.to_owned())),
        Err(error) => Err(BackupError::disk("reading", &path)(error)),
    }
}

/// The time is not compared: other programs that copy files set it anew, and the manifest knows it.
fn difference(path: &str, expected: &FileRecord, found: &FileRecord) -> Option<String> {
    if found.bytes != expected.bytes {
        return Some(format!("{path} has {} bytes, not {}", found.bytes, expected.bytes));
    }
    (found.sha256 != expected.sha256).then(|| format!("{path} has other bytes than were copied"))
}

fn uploads(manifest: &Manifest) -> impl Iterator<Item = (&String, &FileRecord)> {
    let is_upload = |path: &str| path.rsplit('/').next().is_some_and(|name| name.starts_with("paylog_"));
    manifest.files.iter().filter(move |(path, _)| is_upload(path))
}

/// An upload is called by the hash of its bytes, so its name tells whether they are those that were accepted.
fn misnamed(path: &str, file: &FileRecord) -> Option<String> {
    let id = path.strip_suffix(".bin").and_then(|path| path.rsplit('_').next()?.parse::<EventId>().ok());
    let is_same = id.is_some_and(|id| file.sha256.starts_with(id.as_bytes()));
    (!is_same).then(|| format!("{path} holds other bytes than the PayMaker accepted"))
}

fn set_time(path: &Path, modified: UnixMillis) -> Result<(), BackupError> {
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(modified.0);
    let set = || {
        let file = File::options().write(true).open(path)?;
        file.set_modified(time)?;
        file.sync_all()
    };
    set().map_err(BackupError::disk("setting the time of", path))
}
