//! Events on their way to the PayMaker: on disk before anybody is told "accepted", uploaded until confirmed.
//!
//! Three nouns. A [`Record`] is one event line, with opaque *keys* (what its sender needs to recognise repetitions
//! after a restart) and a *scope* (a height, which says until when the keys are needed). A *segment* is a file of
//! records; the newest is open and grows, the others are closed and never change. The [`upload`] sends closed
//! segments as newline-delimited JSON, oldest first, one at a time; a [`Delivery`] hands one to any other taker.
//!
//! Invariants (rules R-A7, R-A11, R-L1):
//! * an append that was answered `Ok` is synced to disk, whatever kills the process afterwards;
//! * an append that was answered with an error is not on disk and will not be uploaded;
//! * a segment is uploaded until the PayMaker confirms it by its id, always with the same bytes;
//! * its keys are replayed at start until they are neither unconfirmed nor needed.
//!
//! Many appends share one sync (group commit). What it does not do: look into events or keys.

mod delivery;
mod reading;
mod record;
mod segment;
mod upload;
mod writer;

use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::DropGuard;

pub use delivery::Delivery;
pub use record::Record;
pub use upload::{UploadConfig, upload};

use crate::metrics::Metrics;
use segment::{Segment, State};
use writer::Command;

/// Where and how an outbox keeps its segments.
#[derive(Debug, Clone)]
pub struct OutboxConfig {
    /// Folder of its own; made if absent. One process at a time.
    pub dir: PathBuf,
    /// Age at which a segment that holds something is closed, and so uploaded.
    pub segment_time: Duration,
    /// Bytes of event lines at which a segment is closed, so that no upload is larger.
    pub segment_event_bytes: u64,
    /// Appends waiting for the disk at once.
    pub queue: usize,
    /// How long a sync waits for more appends, where the one before had many: so much later they are answered, and so many
    /// fewer syncs there are.
    pub gather_time: Duration,
}

impl OutboxConfig {
    /// The usual limits: closed after 10 s or 8 MiB (rule R-L1).
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_time: Duration::from_secs(10),
            segment_event_bytes: 8 << 20,
            queue: 4096,
            gather_time: Duration::ZERO,
        }
    }
}

/// Why an outbox did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OutboxError {
    /// The disk refused.
    #[error("{doing} {path}: {reason}")]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Another process uses the same folder.
    #[error("{dir} is in use by another process")]
    InUse {
        /// The outbox's folder.
        dir: PathBuf,
    },
    /// More appends are waiting than the outbox holds.
    #[error("the disk does not keep up with the events")]
    Full,
    /// The outbox is being closed.
    #[error("the outbox is closed")]
    Closed,
    /// The record is larger than any sensible one.
    #[error("a record of {bytes} bytes is larger than {limit}")]
    TooLarge {
        /// Size of the record.
        bytes: usize,
        /// Largest size.
        limit: usize,
    },
}

impl OutboxError {
    fn disk(doing: &'static str, path: impl Into<PathBuf>, fault: &io::Error) -> Self {
        Self::Disk { doing, path: path.into(), reason: fault.to_string() }
    }
}

/// A durable journal; clones share it.
#[derive(Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
    commands: crossbeam_channel::Sender<Command>,
}

/// What writer, uploader and users share.
struct Shared {
    dir: PathBuf,
    /// Closed segments, ascending by number.
    segments: Mutex<Vec<Segment>>,
    /// Keys of smaller scopes are needed no more.
    needed_from: AtomicU32,
    /// Told whenever a segment has been closed.
    closed: Notify,

    /// Held for as long as the folder is used.
    _lock: File,
}

impl Outbox {
    /// Opens the folder: cuts a torn tail, gives every kept record's `(scope, keys)` to `replay`, starts the writer, whose
    /// thread holds `guard` as long as it lives: without it nothing can be accepted.
    pub fn open(
        config: &OutboxConfig,
        metrics: &Metrics,
        guard: DropGuard,
        replay: impl FnMut(u32, &[u8]),
    ) -> Result<Self, OutboxError> {
        std::fs::create_dir_all(&config.dir)
            .map_err(|fault| OutboxError::disk("making", &config.dir, &fault))?;
        let lock = lock(config)?;
        let segments = segment::recover(&config.dir, replay)?;
        let next_number = segments.last().map_or(1, |last| last.number + 1);
        let shared = Arc::new(Shared {
            dir: config.dir.clone(),
            segments: Mutex::new(segments),
            needed_from: AtomicU32::new(0),
            closed: Notify::new(),
            _lock: lock,
        });
        let commands = writer::start(config, next_number, Arc::clone(&shared), metrics, guard)?;
        Ok(Self { shared, commands })
    }

    /// Appends one record and calls `done` on the writer's thread once it is on disk, or cannot be.
    /// Waits while the queue is full: for threads, not for tasks.
    pub fn append_then(&self, record: Record, done: impl FnOnce(Result<(), OutboxError>) + Send + 'static) {
        let sent = self.commands.send(Command::Append { record, done: Box::new(done) });
        if let Err(crossbeam_channel::SendError(Command::Append { done, .. })) = sent {
            done(Err(OutboxError::Closed));
        }
    }

    /// Appends one record; returns when it is on disk.
    pub async fn append(&self, record: Record) -> Result<(), OutboxError> {
        let (told, outcome) = oneshot::channel();
        // The receiver is only gone if the caller gave up; the record stays appended all the same.
        let done = Box::new(move |result| drop(told.send(result)));
        match self.commands.try_send(Command::Append { record, done }) {
            Ok(()) => outcome.await.unwrap_or(Err(OutboxError::Closed)),
            Err(crossbeam_channel::TrySendError::Full(_)) => Err(OutboxError::Full),
            Err(crossbeam_channel::TrySendError::Disconnected(_)) => Err(OutboxError::Closed),
        }
    }

    /// Keys of scopes below `scope` are needed no more: confirmed segments that hold no others are deleted.
    pub fn keys_needed_from(&self, scope: u32) {
        self.shared.needed_from.store(scope, Ordering::Relaxed);
        self.shared.sweep();
    }

    /// Events that the PayMaker has not confirmed yet, in closed segments.
    pub fn unconfirmed(&self) -> u64 {
        let segments = self.shared.segments.lock().unwrap_or_else(PoisonError::into_inner);
        segments.iter().filter(|segment| segment.state == State::Closed).map(|segment| segment.records).sum()
    }

    /// The oldest closed segment that is not confirmed, as soon as there is one.
    async fn next_closed(&self) -> Segment {
        loop {
            if let Some(segment) = self.shared.oldest_closed() {
                return segment;
            }
            self.shared.closed.notified().await;
        }
    }

    /// Closes the open segment now, so that it can be uploaded. Returns when that is done.
    pub async fn rotate(&self) {
        let (told, done) = oneshot::channel();
        if self.commands.try_send(Command::Rotate(told)).is_ok() {
            // An error means that the writer has ended, and it rotates when it ends.
            let _ = done.await;
        }
    }
}

impl Shared {
    /// The oldest segment that waits for its upload.
    fn oldest_closed(&self) -> Option<Segment> {
        let segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        segments.iter().find(|segment| segment.state == State::Closed).cloned()
    }

    /// A segment has been closed by the writer.
    fn add_closed(&self, segment: Segment) {
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        segments.push(segment);
        segments.sort_by_key(|segment| segment.number);
        drop(segments);
        self.closed.notify_one();
    }

    /// Marks a segment, on disk and in memory.
    fn mark(&self, number: u64, state: State) -> Result<(), OutboxError> {
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(segment) = segments.iter_mut().find(|segment| segment.number == number) else {
            return Ok(());
        };
        segment::rename(&self.dir, number, segment.state, state)?;
        segment.state = state;
        drop(segments);
        self.sweep();
        Ok(())
    }

    /// Deletes confirmed segments whose keys nobody needs.
    fn sweep(&self) {
        let needed_from = self.needed_from.load(Ordering::Relaxed);
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        segments.retain(|segment| {
            if segment.state != State::Confirmed || segment.greatest_scope >= needed_from {
                return true;
            }
            let path = segment::path(&self.dir, segment.number, segment.state);
            match std::fs::remove_file(&path) {
                Ok(()) => false,
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a confirmed segment could not be deleted");
                    true
                }
            }
        });
    }
}

fn lock(config: &OutboxConfig) -> Result<File, OutboxError> {
    let path = config.dir.join("lock");
    let lock = File::create(&path).map_err(|fault| OutboxError::disk("opening", &path, &fault))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OutboxError::InUse { dir: config.dir.clone() }),
        Err(TryLockError::Error(fault)) => Err(OutboxError::disk("locking", &path, &fault)),
    }
}

#[cfg(test)]
mod tests;
