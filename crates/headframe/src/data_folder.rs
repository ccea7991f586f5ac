//! The folder that everything is kept in, held by one program at a time.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};

/// A folder that no other program uses as long as this value lives. Several roles that run alone may share one
/// folder, since each keeps its things in a subfolder: so it is the subfolder that is locked.
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder where it is missing and locks it for `purpose`, which a second program is told.
    pub fn lock(path: &Path, purpose: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot make the data folder {}", path.display()))?;
        let lock_path = path.join("lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&lock_path)
            .with_context(|| format!("cannot open {}", lock_path.display()))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            anyhow::bail!(
                "the data folder {} is in use by {}; stop it first, or choose another folder with --data",
                path.display(),
                holder.trim_end()
            );
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "headframe {purpose} (process {})", std::process::id())?;
        Ok(Self { path: path.to_owned(), _lock: file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_program_is_told_who_holds_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataFolder::lock(folder.path(), "up").unwrap();
        let error = DataFolder::lock(folder.path(), "up").err().unwrap().to_string();
        assert!(error.contains("in use by headframe up (process "), "{error}");
        drop(held);
        DataFolder::lock(folder.path(), "up").unwrap();
    }
}
