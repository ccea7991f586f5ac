//! Files of a data folder: which of them are copied, when, and how.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::manifest::FileRecord;
use super::{BackupError, Stage};
use crate::UnixMillis;

/// What a SQLite file begins with.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// The files of a folder and the folders in it that belong to a stage, by their paths, in order. What comes or goes
/// meanwhile is there or is not.
pub(super) fn list(folder: &Path, stage: Stage) -> Result<Vec<PathBuf>, BackupError> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let listing = |source| BackupError::Disk { doing: "listing", path: folder.clone(), source };
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(listing)?,
        };
        for entry in entries {
            let entry = entry.map_err(listing)?;
            let kind = entry.file_type().map_err(listing)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && stage_of(&entry.path()) == Some(stage) {
                files.push(entry.path());
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// When a file is copied; `None`: never.
pub(super) fn stage_of(path: &Path) -> Option<Stage> {
    let name = path.file_name()?.to_str()?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let is_left_out = name == "lock"
        || ["tmp", "key", "pem"].contains(&extension)
        || ["-wal", "-shm", "-journal"].iter().any(|end| name.ends_with(end));
    if is_left_out {
        return None;
    }
    Some(match (name, extension) {
        _ if name.starts_with("events_") => Stage::Journals,
        (_, "seg") => Stage::DerivedFromUploads,
        _ if name.starts_with("paylog_") => Stage::Uploads,
        _ if is_sqlite(path) => Stage::Databases,
        _ => Stage::Rest,
    })
}

fn is_sqlite(path: &Path) -> bool {
    let mut start = [0; SQLITE.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok_and(|()| start == *SQLITE)
}

/// Whether a folder holds nothing; one that is not there holds nothing.
pub(super) fn is_empty(folder: &Path) -> Result<bool, BackupError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(BackupError::disk("listing", folder)(error)),
    }
}

/// Copies a file as far as it reaches now, with its time; `None` if it is not there. Durable when this returns, but for
/// the folder's own entry.
pub(super) fn copy(from: &Path, to: &Path) -> Result<Option<FileRecord>, BackupError> {
    let source = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        source => source.map_err(BackupError::disk("opening", from))?,
    };
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(BackupError::disk("making", parent))?;
    }
    let target = File::create_new(to).map_err(BackupError::disk("making", to))?;
    let modified = modified(&source).map_err(BackupError::disk("reading", from))?;
    let (sha256, bytes) = pass(source, Some(&target)).map_err(BackupError::disk("copying", from))?;
    let finish = || {
        target.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(modified.0))?;
        target.sync_all()
    };
    finish().map_err(BackupError::disk("writing", to))?;
    Ok(Some(FileRecord { sha256, bytes, modified }))
}

/// What a file is.
pub(super) fn record(path: &Path) -> Result<FileRecord, BackupError> {
    let open = || {
        let file = File::open(path)?;
        let modified = modified(&file)?;
        let (sha256, bytes) = pass(file, None)?;
        Ok(FileRecord { sha256, bytes, modified })
    };
    open().map_err(BackupError::disk("reading", path))
}

fn modified(file: &File) -> io::Result<UnixMillis> {
    let since_1970 = file.metadata()?.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(UnixMillis(since_1970.as_millis() as u64))
}

/// Hashes what is read, and writes it on.
fn pass(mut source: File, mut target: Option<&File>) -> io::Result<([u8; 32], u64)> {
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let length = source.read(&mut buffer)?;
        if length == 0 {
            return Ok((hash.finalize().into(), bytes));
        }
        hash.update(&buffer[..length]);
        bytes += length as u64;
        if let Some(target) = &mut target {
            target.write_all(&buffer[..length])?;
        }
    }
}

/// Makes the entries of a folder and of all folders in it durable.
pub(super) fn sync_folders(folder: &Path) -> Result<(), BackupError> {
    let sync = || {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                sync_folders(&entry.path()).map_err(io::Error::other)?;
            }
        }
        File::open(folder)?.sync_all()
    };
    sync().map_err(BackupError::disk("syncing", folder))
}
