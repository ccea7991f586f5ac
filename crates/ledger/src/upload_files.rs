//! Accepted uploads on disk, each exactly as it was sent: the truth that everything else can be made from again.
//!
//! A file is called `paylog_<newest time of a good line>_<id>.bin` (rule R-P19). Its modification time is set to the
//! moment of acceptance before it is synced, so that reading it again judges its lines by the same clock.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use wire::EventId;

use crate::UnixMillis;

/// What to do with uploads that are older than twice the history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Retention {
    /// Delete them.
    #[default]
    Delete,
    /// Move them into this folder.
    Archive(PathBuf),
}

/// A stored upload, by what its directory entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredUpload {
    /// First 16 bytes of SHA-256 of the file.
    pub id: EventId,
    /// Newest time of a good line.
    pub newest: UnixMillis,
    /// When it was accepted.
    pub accepted_at: UnixMillis,
}

impl StoredUpload {
    /// The name of its file.
    pub fn file_name(&self) -> String {
        name(self.newest, self.id)
    }
}

/// The folder of accepted uploads.
#[derive(Debug)]
pub(crate) struct UploadFiles {
    folder: PathBuf,
    retention: Retention,
}

impl UploadFiles {
    /// Opens the folder, makes it if absent, and removes what an interrupted write has left.
    pub(crate) fn open(folder: &Path, retention: Retention) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        if let Retention::Archive(archive) = &retention {
            fs::create_dir_all(archive)?;
        }
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { folder: folder.to_owned(), retention })
    }

    /// All uploads, in the order of their acceptance.
    pub(crate) fn list(&self) -> io::Result<Vec<StoredUpload>> {
        let mut uploads = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if let Some((newest, id)) = entry.file_name().to_str().and_then(parse_name) {
                let modified = entry.metadata()?.modified()?.duration_since(SystemTime::UNIX_EPOCH);
                let accepted_at = UnixMillis(modified.map_or(0, |since| since.as_millis() as u64));
                uploads.push(StoredUpload { id, newest, accepted_at });
            }
        }
        uploads.sort_unstable_by_key(|upload| (upload.accepted_at, upload.newest, upload.id));
        Ok(uploads)
    }

    /// Stores an upload; when this returns, no crash can lose it (rule R-P5).
    pub(crate) fn store(&self, upload: &StoredUpload, body: &[u8]) -> io::Result<()> {
        let path = self.path(upload.newest, upload.id);
        let written = path.with_extension("tmp");
        let mut file = File::create(&written)?;
        file.write_all(body)?;
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(upload.accepted_at.0))?;
        file.sync_all()?;
        fs::rename(&written, &path)?;
        File::open(&self.folder)?.sync_all()
    }

    pub(crate) fn read(&self, upload: &StoredUpload) -> io::Result<Vec<u8>> {
        fs::read(self.path(upload.newest, upload.id))
    }

    /// Deletes or archives an upload that nobody will ask for any more.
    pub(crate) fn retire(&self, newest: UnixMillis, id: EventId) -> io::Result<()> {
        let path = self.path(newest, id);
        match &self.retention {
            Retention::Delete => fs::remove_file(path),
            Retention::Archive(archive) => fs::rename(path, archive.join(name(newest, id))),
        }
    }

    fn path(&self, newest: UnixMillis, id: EventId) -> PathBuf {
        self.folder.join(name(newest, id))
    }
}

fn name(newest: UnixMillis, id: EventId) -> String {
    format!("paylog_{newest}_{id}.bin")
}

fn parse_name(name: &str) -> Option<(UnixMillis, EventId)> {
    let (newest, id) = name.strip_prefix("paylog_")?.strip_suffix(".bin")?.split_once('_')?;
    Some((UnixMillis(newest.parse().ok()?), id.parse().ok()?))
}
