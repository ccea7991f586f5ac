//! A ledger that survives: accepted uploads on disk before anybody is told "accepted" (rule R-P5).
//!
//! The order for each upload: read and judged → stored and synced under its name → its events counted → appended to a
//! segment → answered. A process killed at any point loses nothing that was answered, and counts nothing twice:
//! * before the file has its name, the upload does not exist, and nobody was told otherwise;
//! * afterwards it is counted at the next start, by the clock of its acceptance, unless a segment holds it already.
//!
//! One process at a time: the folder is locked.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::Utf8Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use wire::{Event, EventId, Refusal};

use crate::segment::{MAGIC, SegmentEncoder};
use crate::upload_files::{Retention, StoredUpload, UploadFiles};
use crate::{Ledger, Receipt, Rules, UnixMillis, Warnings};

/// Events after which a segment is closed.
const SEGMENT_EVENTS: usize = 1_000_000;
/// Parts of the history after which a segment is closed, so that old ones can go.
const SEGMENTS_PER_HISTORY: u64 = 8;
/// Uploads are kept for so many times the history (rule R-P19).
const UPLOADS_KEPT_FOR: u64 = 2;

/// Why an upload was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The body is no text, so its id would never be what its sender computed; or no line of it is good.
    #[error("{refusal}")]
    Refused {
        /// The reason.
        refusal: Refusal,
        /// What is wrong with its lines.
        warnings: Warnings,
    },
    /// The disk refused; to be sent again.
    #[error("the upload could not be stored")]
    Disk(#[source] io::Error),
}

/// Why a folder cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process does.
    #[error("{0} is in use by another PayMaker")]
    InUse(PathBuf),
    /// The disk refused.
    #[error("{path}: {source}")]
    Disk {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// An accepted upload.
#[derive(Debug)]
pub struct Accepted {
    /// First 16 bytes of SHA-256 of the body: what the sender waits for.
    pub id: EventId,
    /// When, by the clock that judged it.
    pub accepted_at: UnixMillis,
    /// Newest time of a good line.
    pub newest: UnixMillis,
    /// What became of its lines; empty if the upload was known.
    pub receipt: Receipt,
    /// Events that are kept from now on.
    pub kept: Vec<Event>,
    /// The same upload had been accepted before: there was nothing to do.
    pub was_known: bool,
    /// How long each step took.
    pub times: AcceptTimes,
}

/// How long the steps of accepting an upload took; nothing where it was known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AcceptTimes {
    /// Reading and judging its lines.
    pub check: Duration,
    /// Writing it to disk.
    pub store: Duration,
    /// Entering its events into the ledger, where those that had counted before are found.
    pub duplicate: Duration,
}

/// How a ledger came up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Uploads whose events came from segments.
    pub from_segments: usize,
    /// Uploads that had to be read again.
    pub from_uploads: usize,
    /// Uploads that could not be read, or whose bytes have changed since. What they held is not counted.
    pub damaged: usize,
}

/// A [`Ledger`] with its files.
#[derive(Debug)]
pub struct DurableLedger {
    ledger: RwLock<Ledger>,
    intake: Mutex<Intake>,
    changes: AtomicU64,
    _lock: File,
}

/// What only one upload at a time may touch.
#[derive(Debug)]
struct Intake {
    uploads: UploadFiles,
    segments: Segments,
    known: HashSet<EventId>,
    /// The same, in the order in which they become superfluous.
    by_age: BTreeSet<(UnixMillis, EventId)>,
    last_accepted_at: UnixMillis,
}

impl DurableLedger {
    /// Opens the ledger in `folder`, or makes an empty one.
    pub fn open(folder: &Path, rules: Rules, retention: Retention) -> Result<(Self, OpenReport), OpenError> {
        LedgerFolder::lock(folder)?.load(rules, retention)
    }

    /// Accepts an upload; when this returns, it is durable and counted. Blocks: not for an async thread.
    pub fn accept(&self, body: &[u8], now: UnixMillis) -> Result<Accepted, AcceptError> {
        let text = str::from_utf8(body).map_err(not_utf8)?;
        let id = EventId::of_upload(body);
        let mut intake = self.intake.lock().unwrap_or_else(PoisonError::into_inner);
        if intake.known.contains(&id) {
            return Ok(known_upload(id, now));
        }
        // Strictly growing, so that the order of acceptance can be seen from the files.
        let accepted_at = now.max(intake.last_accepted_at.plus(1));
        let examining = Instant::now();
        let examined = self.read().examine(text, accepted_at);
        let check = examining.elapsed();
        let Some(newest) = examined.newest_time() else {
            let warnings = examined.faults().clone();
            return Err(AcceptError::Refused { refusal: Refusal::NoEvents, warnings });
        };
        let upload = StoredUpload { id, newest, accepted_at };
        let storing = Instant::now();
        intake.uploads.store(&upload, body).map_err(AcceptError::Disk)?;
        let store = storing.elapsed();
        intake.last_accepted_at = accepted_at;
        intake.known.insert(id);
        intake.by_age.insert((newest, id));
        let entering = Instant::now();
        let (receipt, kept) = {
            let mut ledger = self.ledger.write().unwrap_or_else(PoisonError::into_inner);
            let admitted = ledger.admit(examined);
            self.changes.store(ledger.changes(), Ordering::Release);
            admitted
        };
        let times = AcceptTimes { check, store, duplicate: entering.elapsed() };
        intake.segments.append(&upload, &kept, self.read().oldest_wanted());
        intake.retire(&self.read());
        Ok(Accepted { id, accepted_at, newest, receipt, kept, was_known: false, times })
    }

    /// The ledger, to be asked; uploads wait meanwhile.
    pub fn read(&self) -> RwLockReadGuard<'_, Ledger> {
        self.ledger.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Grows with every upload that changed something; asked without waiting for one.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The uploads on disk, in the order of their acceptance.
    pub fn stored_uploads(&self) -> io::Result<Vec<StoredUpload>> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner).uploads.list()
    }
}

/// The folder of a ledger, ours alone until this or the ledger loaded from it is dropped.
#[derive(Debug)]
pub struct LedgerFolder {
    path: PathBuf,
    lock: File,
}

impl LedgerFolder {
    /// Makes the folder if it is absent, and locks it. Quick.
    pub fn lock(path: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(path).map_err(|source| OpenError::Disk { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), lock: lock(path)? })
    }

    /// Reads what the folder holds. Takes seconds where there are millions of events.
    pub fn load(self, rules: Rules, retention: Retention) -> Result<(DurableLedger, OpenReport), OpenError> {
        let folder = self.path.as_path();
        let at_folder = |source| OpenError::Disk { path: folder.to_owned(), source };
        let uploads = UploadFiles::open(&folder.join("uploads"), retention).map_err(at_folder)?;
        let stored = uploads.list().map_err(at_folder)?;
        let newest_of: HashMap<_, _> = stored.iter().map(|upload| (upload.id, upload.newest)).collect();
        let (ledger, mut segments, restored) =
            Segments::open(folder.join("segments"), &rules, &newest_of).map_err(at_folder)?;
        let mut intake = Intake {
            uploads,
            known: stored.iter().map(|upload| upload.id).collect(),
            by_age: stored.iter().map(|upload| (upload.newest, upload.id)).collect(),
            last_accepted_at: stored.last().map(|upload| upload.accepted_at).unwrap_or_default(),
            segments: Segments::default(),
        };
        let (mut ledger, missing) = match missing(&stored, &restored, &ledger) {
            Missing::AtTheEnd(missing) => (ledger, missing),
            Missing::InBetween => {
                segments.discard().map_err(at_folder)?;
                let oldest =
                    newest_of.values().max().copied().unwrap_or_default().minus(rules.history_depth_ms);
                (Ledger::new(rules), stored.iter().filter(|upload| upload.newest >= oldest).collect())
            }
        };
        intake.segments = segments;
        let mut report = OpenReport { from_segments: stored.len() - missing.len(), ..OpenReport::default() };
        for upload in missing {
            match intake.read_again(upload, &mut ledger) {
                Ok(()) => report.from_uploads += 1,
                Err(error) => {
                    report.damaged += 1;
                    tracing::error!(upload = %upload.id, %error, "an accepted upload cannot be read again");
                }
            }
        }
        intake.retire(&ledger);
        let durable = DurableLedger {
            changes: AtomicU64::new(ledger.changes()),
            ledger: RwLock::new(ledger),
            intake: Mutex::new(intake),
            _lock: self.lock,
        };
        Ok((durable, report))
    }
}

fn not_utf8(error: Utf8Error) -> AcceptError {
    let refusal = Refusal::NotUtf8 { offset: error.valid_up_to() };
    AcceptError::Refused { refusal, warnings: Warnings::default() }
}

fn known_upload(id: EventId, now: UnixMillis) -> Accepted {
    Accepted {
        id,
        accepted_at: now,
        newest: UnixMillis(0),
        receipt: Receipt::default(),
        kept: Vec::new(),
        was_known: true,
        times: AcceptTimes::default(),
    }
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|source| OpenError::Disk { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(OpenError::Disk { path, source }),
    }
}

/// Uploads that no segment holds.
enum Missing<'a> {
    /// They are newer than all that segments hold, so that reading them gives what would have been.
    AtTheEnd(Vec<&'a StoredUpload>),
    /// A segment is damaged or gone: all has to be read again, in order.
    InBetween,
}

fn missing<'a>(
    stored: &'a [StoredUpload],
    restored: &HashMap<EventId, UnixMillis>,
    ledger: &Ledger,
) -> Missing<'a> {
    let last_restored = restored.values().max().copied().unwrap_or_default();
    let oldest = ledger.oldest_wanted();
    let missing: Vec<_> = stored
        .iter()
        .filter(|upload| !restored.contains_key(&upload.id) && upload.newest >= oldest)
        .collect();
    if missing.iter().any(|upload| upload.accepted_at <= last_restored) {
        Missing::InBetween
    } else {
        Missing::AtTheEnd(missing)
    }
}

impl Intake {
    /// Counts an upload that was stored but is in no segment, by the clock of its acceptance.
    fn read_again(&mut self, upload: &StoredUpload, ledger: &mut Ledger) -> io::Result<()> {
        let body = self.uploads.read(upload)?;
        if EventId::of_upload(&body) != upload.id {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its bytes are not those that were accepted",
            ));
        }
        let text =
            str::from_utf8(&body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let (_, kept) = ledger.admit(ledger.examine(text, upload.accepted_at));
        self.segments.append(upload, &kept, ledger.oldest_wanted());
        Ok(())
    }

    /// Lets go of uploads that lie twice the history back.
    fn retire(&mut self, ledger: &Ledger) {
        let kept_for = ledger.rules().history_depth_ms.saturating_mul(UPLOADS_KEPT_FOR);
        let oldest = ledger.newest_event().unwrap_or_default().minus(kept_for);
        while let Some((newest, id)) = self.by_age.first().copied()
            && newest < oldest
        {
            if let Err(error) = self.uploads.retire(newest, id) {
                tracing::warn!(upload = %id, %error, "an old upload could not be put away");
            }
            self.by_age.remove(&(newest, id));
            self.known.remove(&id);
        }
    }
}

/// The segment files: `<number>.seg`, the one with the highest number grows.
#[derive(Debug, Default)]
struct Segments {
    folder: PathBuf,
    closed: Vec<Closed>,
    next_number: u64,
    open: Option<OpenSegment>,
    /// Age span after which a segment is closed, in milliseconds.
    span_ms: u64,
}

#[derive(Debug)]
struct Closed {
    path: PathBuf,
    newest: UnixMillis,
}

#[derive(Debug)]
struct OpenSegment {
    path: PathBuf,
    file: File,
    encoder: SegmentEncoder,
    events: usize,
    opened_at: UnixMillis,
    newest: UnixMillis,
}

impl Segments {
    /// Restores a ledger from the segments; also gives the uploads that they hold. `newest_of` tells the newest
    /// time of each upload that is still stored.
    fn open(
        folder: PathBuf,
        rules: &Rules,
        newest_of: &HashMap<EventId, UnixMillis>,
    ) -> io::Result<(Ledger, Self, HashMap<EventId, UnixMillis>)> {
        fs::create_dir_all(&folder)?;
        let mut numbers: Vec<u64> = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            numbers.extend(path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        let span_ms = rules.history_depth_ms / SEGMENTS_PER_HISTORY;
        let mut segments = Self { span_ms, ..Self::default() };
        let mut ledger = Ledger::new(rules.clone());
        let mut uploads = HashMap::new();
        let mut newest = None;
        for number in numbers {
            let path = folder.join(format!("{number:010}.seg"));
            let restored = ledger.restore(&fs::read(&path)?);
            newest = newest.max(restored.newest);
            let ids = restored.uploads.iter().filter_map(|(id, _)| newest_of.get(id).copied());
            segments.closed.push(Closed { path, newest: ids.max().unwrap_or_default() });
            uploads.extend(restored.uploads);
            segments.next_number = number + 1;
        }
        ledger.finish_restoring(newest);
        segments.folder = folder;
        Ok((ledger, segments, uploads))
    }

    fn discard(&mut self) -> io::Result<()> {
        self.closed.drain(..).try_for_each(|closed| fs::remove_file(closed.path))
    }

    /// Adds an upload's events. A segment that cannot be written to is left as it is: the uploads are the truth.
    fn append(&mut self, upload: &StoredUpload, events: &[Event], oldest_wanted: UnixMillis) {
        if let Err(error) = self.try_append(upload, events) {
            tracing::warn!(%error, "a segment could not be written; the next start reads uploads instead");
            self.close();
        }
        let is_full = self.open.as_ref().is_some_and(|open| {
            open.events >= SEGMENT_EVENTS || upload.accepted_at.since(open.opened_at) >= self.span_ms
        });
        if is_full {
            self.close();
            self.remove_expired(oldest_wanted);
        }
    }

    fn try_append(&mut self, upload: &StoredUpload, events: &[Event]) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.start(upload.accepted_at)?,
        };
        let record = open.encoder.encode(upload.id, upload.accepted_at, events);
        open.events += events.len();
        open.newest = open.newest.max(upload.newest);
        let written = open.file.write_all(&record);
        self.open = Some(open);
        written
    }

    fn start(&mut self, now: UnixMillis) -> io::Result<OpenSegment> {
        let path = self.folder.join(format!("{:010}.seg", self.next_number));
        self.next_number += 1;
        let mut file = File::create_new(&path)?;
        file.write_all(MAGIC)?;
        let encoder = SegmentEncoder::default();
        Ok(OpenSegment { path, file, encoder, events: 0, opened_at: now, newest: UnixMillis(0) })
    }

    fn close(&mut self) {
        self.closed.extend(self.open.take().map(|open| Closed { path: open.path, newest: open.newest }));
    }

    fn remove_expired(&mut self, oldest: UnixMillis) {
        self.closed.retain(|closed| closed.newest >= oldest || fs::remove_file(&closed.path).is_err());
    }
}
