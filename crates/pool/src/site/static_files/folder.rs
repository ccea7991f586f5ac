//! The operator's folder: read as a whole, looked at again when it may have changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::SiteFile;
use crate::site::texts::TextsError;

/// How many files a site may have.
const MOST_FILES: usize = 2_000;
/// How many bytes all of them may have.
const MOST_BYTES: u64 = 64 << 20;
/// How deep folders may lie in folders.
const DEEPEST: usize = 8;
/// How long what was read is taken as true.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Why a folder cannot be the site's.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It, or something in it, cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is too large to be kept in memory.
    #[error(
        "{0}: a site may have {MOST_FILES} files with 64 MiB in all, {DEEPEST} folders deep; this has more"
    )]
    TooLarge(PathBuf),
    /// Its texts are no texts.
    #[error("texts/en.toml: {0}")]
    Texts(TextsError),
}

/// What tells whether a file is still the one that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    changed: Option<SystemTime>,
}

#[derive(Debug, Default)]
struct Known {
    files: BTreeMap<String, (Stamp, Arc<SiteFile>)>,
    looked_at: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    known: Mutex<Known>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let folder = Self { path: path.to_owned(), known: Mutex::default() };
        folder.look_again()?;
        Ok(folder)
    }

    /// The files as they were read last.
    pub(super) fn files(&self) -> BTreeMap<String, Arc<SiteFile>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.files.iter().map(|(name, (_, file))| (name.clone(), Arc::clone(file))).collect()
    }

    /// Whether it is time to look again, and nobody does.
    pub(super) fn is_due(&self) -> bool {
        let known = self.known.try_lock();
        known.is_ok_and(|known| known.looked_at.is_none_or(|looked_at| looked_at.elapsed() > TRUSTED_FOR))
    }

    /// Reads what is new; `None` if nothing has changed.
    pub(super) fn look_again(&self) -> Result<Option<BTreeMap<String, Arc<SiteFile>>>, FolderError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.looked_at = Some(Instant::now());
        let mut found = Vec::new();
        list(&self.path, "", 0, &mut found)?;
        let bytes: u64 = found.iter().map(|(_, _, stamp)| stamp.bytes).sum();
        if found.len() > MOST_FILES || bytes > MOST_BYTES {
            return Err(FolderError::TooLarge(self.path.clone()));
        }
        let mut files = BTreeMap::new();
        let mut has_changed = found.len() != known.files.len();
        for (name, path, stamp) in found {
            let file = match known.files.get(&name) {
                Some((before, file)) if *before == stamp => Arc::clone(file),
                _ => {
                    has_changed = true;
                    let content = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
                    Arc::new(SiteFile::new(&name, content))
                }
            };
            files.insert(name, (stamp, file));
        }
        known.files = files;
        drop(known);
        Ok(has_changed.then(|| self.files()))
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> FolderError {
    FolderError::Unreadable { path: path.to_owned(), error }
}

/// All files below `folder`, by their names with `/`. Hidden ones are left out, and links: they could lead anywhere.
fn list(
    folder: &Path,
    prefix: &str,
    depth: usize,
    found: &mut Vec<(String, PathBuf, Stamp)>,
) -> Result<(), FolderError> {
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let entry = entry.map_err(|error| unreadable(folder, error))?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let about = entry.metadata().map_err(|error| unreadable(&path, error))?;
        if about.is_dir() {
            if depth >= DEEPEST {
                return Err(FolderError::TooLarge(path));
            }
            list(&path, &format!("{prefix}{name}/"), depth + 1, found)?;
        } else if about.is_file() {
            let stamp = Stamp { bytes: about.len(), changed: about.modified().ok() };
            found.push((format!("{prefix}{name}"), path, stamp));
        }
        if found.len() > MOST_FILES {
            return Err(FolderError::TooLarge(folder.to_owned()));
        }
    }
    Ok(())
}
