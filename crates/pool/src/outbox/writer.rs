//! The thread that writes: it gathers what waits, writes it in one piece, syncs once, and answers everybody.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;

use super::record::{MAGIC, Record};
use super::segment::{self, Segment, State};
use super::{OutboxConfig, OutboxError, Shared};
use crate::metrics::{Metrics, SECONDS};

/// Bytes gathered for one sync.
const GROUP_BYTES: usize = 4 << 20;
/// File size at which a segment is closed even if its events are few: the rest are keys.
const SEGMENT_FILE_BYTES: u64 = 64 << 20;
/// Pause between attempts to close a segment that the disk did not let close.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

type Done = Box<dyn FnOnce(Result<(), OutboxError>) + Send>;

/// What the writer is asked.
pub(super) enum Command {
    /// Store a record, then say how it went.
    Append { record: Record, done: Done },
    /// Close the open segment, then answer.
    Rotate(oneshot::Sender<()>),
}

/// Starts the thread. It ends, and closes its segment, when the last sender is dropped; `guard` goes with it.
pub(super) fn start(
    config: &OutboxConfig,
    next_number: u64,
    shared: Arc<Shared>,
    metrics: &Metrics,
    guard: DropGuard,
) -> Result<Sender<Command>, OutboxError> {
    let (commands, queue) = crossbeam_channel::bounded(config.queue);
    let writer = Writer {
        queue,
        shared,
        next_number,
        segment_time: config.segment_time,
        segment_event_bytes: config.segment_event_bytes,
        gather_time: config.gather_time,
        crowded: false,
        open: None,
        unclosed: Vec::new(),
        events: metrics.counter("outbox_events", "Events made durable"),
        failures: metrics.counter("outbox_failures", "Events that could not be made durable"),
        sync_seconds: metrics.histogram("outbox_sync_seconds", "Time of one write and sync", SECONDS),
    };
    std::thread::Builder::new()
        .name("outbox".to_owned())
        .spawn(move || {
            let _guard = guard;
            writer.run();
        })
        .map_err(|fault| OutboxError::disk("starting the writer of", &config.dir, &fault))?;
    Ok(commands)
}

struct Writer {
    queue: Receiver<Command>,
    shared: Arc<Shared>,
    next_number: u64,
    segment_time: Duration,
    segment_event_bytes: u64,
    gather_time: Duration,
    /// Whether the last sync had more than one record.
    crowded: bool,
    open: Option<OpenSegment>,
    /// Segments that are complete but could not be cut or renamed yet.
    unclosed: Vec<OpenSegment>,
    events: Counter,
    failures: Counter,
    sync_seconds: Histogram,
}

/// The segment being written.
struct OpenSegment {
    number: u64,
    path: PathBuf,
    file: File,
    /// Bytes that are synced and acknowledged; anything behind them is to be cut.
    good_bytes: u64,
    event_bytes: u64,
    records: u64,
    greatest_scope: u32,
    opened: Instant,
}

/// Records that share one sync.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    event_bytes: u64,
    greatest_scope: u32,
    waiting: Vec<Done>,
}

impl Writer {
    fn run(mut self) {
        loop {
            match self.next() {
                Ok(Command::Append { record, done }) => self.append(&record, done),
                Ok(Command::Rotate(told)) => {
                    self.close();
                    let _ = told.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.close_what_is_due(),
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
        }
    }

    /// The next command; a timeout when a segment is to be closed.
    fn next(&self) -> Result<Command, RecvTimeoutError> {
        let due = self.open.as_ref().map(|open| open.opened + self.segment_time);
        let retry = (!self.unclosed.is_empty()).then(|| Instant::now() + RETRY_PAUSE);
        match due.into_iter().chain(retry).min() {
            Some(deadline) => self.queue.recv_deadline(deadline),
            None => self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn close_what_is_due(&mut self) {
        if self.open.as_ref().is_some_and(|open| open.opened.elapsed() >= self.segment_time) {
            self.close();
        } else {
            self.close_unclosed();
        }
    }

    /// Stores this record and all that wait behind it with one sync.
    fn append(&mut self, record: &Record, done: Done) {
        let mut group = Group::default();
        group.add(record, done);
        if self.crowded && !self.gather_time.is_zero() {
            std::thread::sleep(self.gather_time);
        }
        let mut rotate = None;
        while group.bytes.len() < GROUP_BYTES {
            match self.queue.try_recv() {
                Ok(Command::Append { record, done }) => group.add(&record, done),
                Ok(Command::Rotate(told)) => {
                    rotate = Some(told);
                    break;
                }
                Err(_) => break,
            }
        }
        self.crowded = group.waiting.len() > 1;
        self.commit(group);
        if let Some(told) = rotate {
            self.close();
            let _ = told.send(());
        }
    }

    fn commit(&mut self, group: Group) {
        if group.waiting.is_empty() {
            return;
        }
        let started = Instant::now();
        let stored = self.store(&group);
        self.sync_seconds.observe(started.elapsed().as_secs_f64());
        match &stored {
            Ok(()) => self.events.inc_by(group.waiting.len() as u64),
            Err(error) => {
                tracing::error!(%error, events = group.waiting.len(), "events refused: they could not be stored");
                self.failures.inc_by(group.waiting.len() as u64)
            }
        };
        group.waiting.into_iter().for_each(|done| done(stored.clone()));
        let full = |open: &OpenSegment| {
            open.event_bytes >= self.segment_event_bytes
                || open.good_bytes >= SEGMENT_FILE_BYTES
                || open.opened.elapsed() >= self.segment_time
        };
        if self.open.as_ref().is_some_and(full) {
            self.close();
        }
    }

    fn store(&mut self, group: &Group) -> Result<(), OutboxError> {
        let past_limit = |open: &OpenSegment| {
            open.records > 0 && open.event_bytes + group.event_bytes > self.segment_event_bytes
        };
        if self.open.as_ref().is_some_and(past_limit) {
            self.close();
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(OpenSegment::create(&self.shared, &mut self.next_number)?),
        };
        let written = open.file.write_all(&group.bytes).and_then(|()| open.file.sync_data());
        if let Err(fault) = written {
            let error = OutboxError::disk("writing", &open.path, &fault);
            self.give_up();
            return Err(error);
        }
        open.good_bytes += group.bytes.len() as u64;
        open.event_bytes += group.event_bytes;
        open.records += group.waiting.len() as u64;
        open.greatest_scope = open.greatest_scope.max(group.greatest_scope);
        Ok(())
    }

    /// After a failed write nothing more is written to the segment: what it holds past its good bytes is unknown.
    fn give_up(&mut self) {
        self.unclosed.extend(self.open.take());
        self.close_unclosed();
    }

    fn close(&mut self) {
        self.unclosed.extend(self.open.take());
        self.close_unclosed();
    }

    fn close_unclosed(&mut self) {
        for open in std::mem::take(&mut self.unclosed) {
            match open.close(&self.shared) {
                Ok(segment) => segment.into_iter().for_each(|segment| self.shared.add_closed(segment)),
                Err(error) => {
                    tracing::error!(%error, "a segment could not be closed, trying again");
                    self.unclosed.push(open);
                }
            }
        }
    }
}

impl Group {
    fn add(&mut self, record: &Record, done: Done) {
        match record.encode(&mut self.bytes) {
            Ok(()) => {
                self.event_bytes += record.event.len() as u64 + 1;
                self.greatest_scope = self.greatest_scope.max(record.scope);
                self.waiting.push(done);
            }
            Err(error) => done(Err(error)),
        }
    }
}

impl OpenSegment {
    fn create(shared: &Shared, next_number: &mut u64) -> Result<Self, OutboxError> {
        let number = *next_number;
        let path = segment::path(&shared.dir, number, State::Open);
        *next_number += 1;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|fault| OutboxError::disk("making", &path, &fault))?;
        let begun = file
            .write_all(MAGIC)
            .map_err(|fault| OutboxError::disk("writing", &path, &fault))
            .and_then(|()| segment::sync_dir(&shared.dir));
        if let Err(error) = begun {
            // A full disk would otherwise collect an empty file for each try; what stays is empty, and cut at the next start.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        let good_bytes = MAGIC.len() as u64;
        let opened = Instant::now();
        Ok(Self { number, path, file, good_bytes, event_bytes: 0, records: 0, greatest_scope: 0, opened })
    }

    /// Cuts what was not acknowledged and gives the file its final name; `None` if nothing is left.
    fn close(&self, shared: &Shared) -> Result<Option<Segment>, OutboxError> {
        if self.records == 0 {
            std::fs::remove_file(&self.path)
                .map_err(|fault| OutboxError::disk("removing", &self.path, &fault))?;
            return Ok(None);
        }
        self.file
            .set_len(self.good_bytes)
            .and_then(|()| self.file.sync_all())
            .map_err(|fault| OutboxError::disk("cutting", &self.path, &fault))?;
        segment::rename(&shared.dir, self.number, State::Open, State::Closed)?;
        Ok(Some(Segment {
            number: self.number,
            state: State::Closed,
            records: self.records,
            greatest_scope: self.greatest_scope,
            torn: false,
        }))
    }
}
