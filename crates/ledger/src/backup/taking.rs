//! Making a backup.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::manifest::{FileRecord, Manifest, is_path};
use super::postgres::{run, without_password};
use super::{ACCOUNTS, BackupError, MANIFEST, POSTGRES_DUMP, Stage, files, sqlite};
use crate::UnixMillis;

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// How many files it has.
    pub files: usize,
    /// How long they are together.
    pub bytes: u64,
}

/// Copies the data folder `data` to `into`, which must be empty. `accounts` is the URL of accounts that lie elsewhere:
/// another SQLite file, or PostgreSQL. Blocks: for a program that does nothing else.
pub async fn take(
    data: &Path,
    accounts: Option<&str>,
    into: &Path,
    begun: UnixMillis,
) -> Result<Taken, BackupError> {
    if !files::is_empty(into)? {
        return Err(BackupError::NotEmpty(into.to_owned()));
    }
    fs::create_dir_all(into).map_err(BackupError::disk("making", into))?;
    let mut backup = Backup { data, into, files: BTreeMap::new() };
    for stage in Stage::ALL {
        match stage {
            Stage::Journals => backup.journals()?,
            Stage::Databases => {
                for path in files::list(data, stage)? {
                    backup.database(&path, &backup.name(&path)?).await?;
                }
                backup.accounts_elsewhere(accounts).await?;
            }
            Stage::DerivedFromUploads | Stage::Uploads | Stage::Rest => {
                for path in files::list(data, stage)? {
                    backup.file(&path)?;
                }
            }
        }
    }
    backup.finish(begun)
}

struct Backup<'a> {
    data: &'a Path,
    into: &'a Path,
    files: BTreeMap<String, FileRecord>,
}

impl Backup<'_> {
    /// A file's path in the data folder, as the manifest has it.
    fn name(&self, path: &Path) -> Result<String, BackupError> {
        let name = path.strip_prefix(self.data).ok().and_then(Path::to_str).filter(|name| is_path(name));
        name.map(str::to_owned).ok_or_else(|| BackupError::Name(path.to_owned()))
    }

    /// Copies a file; `false` if it is gone.
    fn file(&mut self, path: &Path) -> Result<bool, BackupError> {
        let name = self.name(path)?;
        let Some(record) = files::copy(path, &self.into.join(&name))? else { return Ok(false) };
        self.files.insert(name, record);
        Ok(true)
    }

    /// Segments of outboxes. One that is renamed meanwhile, because it was closed or confirmed, is looked for again; one
    /// that is deleted has been delivered. Each is copied once: its records only grow in number, and those of before the
    /// backup are in it whatever it is called.
    fn journals(&mut self) -> Result<(), BackupError> {
        let mut copied = BTreeSet::new();
        loop {
            let mut is_complete = true;
            for path in files::list(self.data, Stage::Journals)? {
                let segment = path.with_extension("");
                if !copied.contains(&segment) {
                    let is_there = self.file(&path)?;
                    is_complete &= is_there;
                    if is_there {
                        copied.insert(segment);
                    }
                }
            }
            if is_complete {
                return Ok(());
            }
        }
    }

    async fn database(&mut self, path: &Path, name: &str) -> Result<(), BackupError> {
        let copy = self.into.join(name);
        sqlite::copy(path, &copy).await?;
        self.files.insert(name.to_owned(), files::record(&copy)?);
        Ok(())
    }

    async fn accounts_elsewhere(&mut self, accounts: Option<&str>) -> Result<(), BackupError> {
        let Some(url) = accounts else { return Ok(()) };
        match url.strip_prefix("sqlite://").map(|rest| rest.split('?').next().unwrap_or_default()) {
            Some(path) if Path::new(path).starts_with(self.data) || !Path::new(path).exists() => Ok(()),
            Some(path) => self.database(&PathBuf::from(path), ACCOUNTS).await,
            None => self.postgres(url),
        }
    }

    /// By PostgreSQL's own program, which copies as of one transaction.
    fn postgres(&mut self, url: &str) -> Result<(), BackupError> {
        let copy = self.into.join(POSTGRES_DUMP);
        let (url, password) = without_password(url);
        let mut command = std::process::Command::new("pg_dump");
        command.args(["--format=custom", "--no-owner", "--no-privileges", "--file"]).arg(&copy).arg(url);
        run("pg_dump", &mut command, password)?;
        File::open(&copy).and_then(|file| file.sync_all()).map_err(BackupError::disk("syncing", &copy))?;
        self.files.insert(POSTGRES_DUMP.to_owned(), files::record(&copy)?);
        Ok(())
    }

    fn finish(self, begun: UnixMillis) -> Result<Taken, BackupError> {
        files::sync_folders(self.into)?;
        let manifest = Manifest { begun, files: self.files };
        let path = self.into.join(MANIFEST);
        let write = || {
            let mut file = File::create_new(&path)?;
            file.write_all(manifest.to_text().as_bytes())?;
            file.sync_all()?;
            File::open(self.into)?.sync_all()
        };
        write().map_err(BackupError::disk("writing", &path))?;
        let bytes = manifest.files.values().map(|file| file.bytes).sum();
        Ok(Taken { files: manifest.files.len(), bytes })
    }
}
