//! What operators did: a file of JSON lines that is only ever added to.
//!
//! `{"time":"2026-01-01T00:00:00Z","who":"127.0.0.1","act":"ban","asked":{…},"dry_run":false,"done":true,"result":…}`

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::acts::Act;

/// How much of the end of the file is read.
const READ_BACK: u64 = 256 << 10;
/// Acts that are shown at most.
const SHOWN: usize = 100;

/// The file.
pub(super) struct AuditLog {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl AuditLog {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { path: path.to_owned(), file: Arc::new(Mutex::new(file)) })
    }

    /// Writes an act down; returns when it is on the disk.
    pub(super) async fn note(&self, who: &str, act: &Act, done: bool, result: &Value) -> io::Result<()> {
        let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (asked, dry_run) = (json!(act), act.is_dry_run());
        let line = json!({
            "time": time, "who": who, "act": act.name(), "asked": asked, "dry_run": dry_run,
            "done": done && !dry_run, "result": result,
        });
        let file = Arc::clone(&self.file);
        let writing = tokio::task::spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_data()
        });
        writing.await.map_err(io::Error::other)?
    }

    /// The last acts, newest first.
    pub(super) async fn last(&self) -> io::Result<Value> {
        let path = self.path.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let mut file = File::open(path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(READ_BACK)))?;
            let mut end = Vec::new();
            file.take(READ_BACK).read_to_end(&mut end)?;
            Ok::<_, io::Error>(end)
        });
        let end: Vec<u8> = reading.await.map_err(io::Error::other)??;
        // The first line may have been cut.
        let lines = end.rsplit(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        Ok(Value::Array(lines.take(SHOWN).collect()))
    }
}
