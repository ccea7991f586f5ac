//! Work and templates on disk, so that a restart changes nothing for miners.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use packetcrypt::{BlockHash, Height};
use wire::template::{self, BlockTemplate};
use wire::work::{self, WorkFile, WorkId};

use crate::whole_file;

/// Heights after which files are deleted: an announcement is worthless 260 blocks after its parent.
const KEPT_HEIGHTS: u32 = 300;

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}: {fault}")]
pub struct WorkFilesFault {
    doing: &'static str,
    path: PathBuf,
    fault: io::Error,
}

/// The folder of work and template files. All methods keep off the async threads.
#[derive(Clone)]
pub(super) struct WorkFiles {
    dir: Arc<PathBuf>,
}

/// A work file and its template, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredWork {
    pub work: Bytes,
    pub template: Bytes,
}

impl WorkFiles {
    pub(super) async fn open(dir: PathBuf) -> Result<Self, WorkFilesFault> {
        let made = tokio::fs::create_dir_all(&dir).await;
        made.map_err(|fault| WorkFilesFault { doing: "making", path: dir.clone(), fault })?;
        Ok(Self { dir: Arc::new(dir) })
    }

    /// Stores work and template of a height, durably and each at once.
    pub(super) async fn store(&self, height: Height, stored: StoredWork) -> Result<(), WorkFilesFault> {
        self.blocking(move |dir| {
            write(dir, &template::file_name(height), &stored.template)?;
            write(dir, &work::file_name(height), &stored.work)
        })
        .await
    }

    /// What is stored for exactly this work; `None` if it is missing, malformed or for another block.
    pub(super) async fn load(&self, id: WorkId) -> Option<StoredWork> {
        self.blocking(move |dir| {
            let work = read(&dir.join(work::file_name(id.height)), work::LIMIT)?;
            let template = read(&dir.join(template::file_name(id.height)), template::LIMIT)?;
            let same = WorkFile::parse(&work).is_ok_and(|work| work.id() == id)
                && BlockTemplate::parse(&template).is_ok_and(|template| {
                    template.height == id.height && template.header.previous == id.previous
                });
            same.then_some(StoredWork { work, template })
        })
        .await
    }

    /// The work file of a height, if it builds on `previous` (or that is not known).
    pub(super) async fn work(&self, height: Height, previous: Option<BlockHash>) -> Option<Bytes> {
        self.blocking(move |dir| work_on(dir, height, previous)).await
    }

    /// The template of a height, if the work of that height builds on `previous` (or that is not known).
    pub(super) async fn template(&self, height: Height, previous: Option<BlockHash>) -> Option<Bytes> {
        self.blocking(move |dir| {
            work_on(dir, height, previous)?;
            read(&dir.join(template::file_name(height)), template::LIMIT)
        })
        .await
    }

    /// Deletes what is too old, and what lies above the current height on an abandoned branch (rules R-M2, R-M3).
    pub(super) async fn keep_around(&self, current: Height) -> Result<(), WorkFilesFault> {
        self.blocking(move |dir| {
            let fault = |fault| WorkFilesFault { doing: "listing", path: dir.to_owned(), fault };
            for entry in fs::read_dir(dir).map_err(fault)? {
                let entry = entry.map_err(fault)?;
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                let height = work::parse_file_name(name).or_else(|| template::parse_file_name(name));
                let wanted =
                    height.is_none_or(|height| height <= current && current.0 - height.0 <= KEPT_HEIGHTS);
                if !wanted {
                    let path = entry.path();
                    fs::remove_file(&path).map_err(|fault| WorkFilesFault {
                        doing: "deleting",
                        path,
                        fault,
                    })?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn blocking<T: Send + 'static>(&self, action: impl FnOnce(&Path) -> T + Send + 'static) -> T {
        let dir = Arc::clone(&self.dir);
        match tokio::task::spawn_blocking(move || action(&dir)).await {
            Ok(done) => done,
            Err(fault) => std::panic::resume_unwind(fault.into_panic()),
        }
    }
}

fn work_on(dir: &Path, height: Height, previous: Option<BlockHash>) -> Option<Bytes> {
    let bytes = read(&dir.join(work::file_name(height)), work::LIMIT)?;
    let work = WorkFile::parse(&bytes).ok()?;
    let same = work.height == height && previous.is_none_or(|previous| work.header.previous == previous);
    same.then_some(bytes)
}

/// A file of at most `limit` bytes; `None` if there is none.
fn read(path: &Path, limit: usize) -> Option<Bytes> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(limit as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes.into())
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), WorkFilesFault> {
    let path = dir.join(name);
    whole_file::write(&path, bytes).map_err(|fault| WorkFilesFault { doing: "writing", path, fault })
}
