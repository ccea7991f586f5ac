//! Segment files: names, states, and what is found at start.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use super::reading::{self, Extent};
use super::{OutboxError, record};

/// Where a segment is on its way. The file's extension says it, so that a restart knows it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Being written.
    Open,
    /// Complete, waiting to be uploaded.
    Closed,
    /// Confirmed by the PayMaker; kept for its keys.
    Confirmed,
    /// Refused by the PayMaker again and again; kept for the operator.
    Refused,
    /// Confirmed, but something unreadable follows its good records; kept for the operator.
    Damaged,
}

impl State {
    const ALL: [Self; 5] = [Self::Open, Self::Closed, Self::Confirmed, Self::Refused, Self::Damaged];

    const fn extension(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
            Self::Damaged => "damaged",
        }
    }
}

/// A segment that grows no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub number: u64,
    pub state: State,
    pub records: u64,
    pub greatest_scope: u32,
    /// Whether something unreadable follows the good records.
    pub torn: bool,
}

pub(super) fn path(dir: &Path, number: u64, state: State) -> PathBuf {
    dir.join(format!("events_{number:012}.{}", state.extension()))
}

/// Number and state from a file's name; `None`: no segment.
fn parse_name(name: &str) -> Option<(u64, State)> {
    let (number, extension) = name.strip_prefix("events_")?.split_once('.')?;
    let state = State::ALL.into_iter().find(|state| state.extension() == extension)?;
    Some((number.parse().ok()?, state))
}

/// Changes a segment's state on disk, durably.
pub(super) fn rename(dir: &Path, number: u64, from: State, to: State) -> Result<(), OutboxError> {
    let (from, to) = (path(dir, number, from), path(dir, number, to));
    fs::rename(&from, &to).map_err(|fault| OutboxError::disk("renaming", &from, &fault))?;
    sync_dir(dir)
}

/// Makes new and renamed files of `dir` survive a crash of the machine.
pub(super) fn sync_dir(dir: &Path) -> Result<(), OutboxError> {
    File::open(dir)
        .and_then(|folder| folder.sync_all())
        .map_err(|fault| OutboxError::disk("syncing", dir, &fault))
}

/// All segments in `dir`, ascending; each record's scope and keys go to `replay`. Segments that were open when the
/// last process ended are cut behind their last whole record and closed; empty ones are removed.
pub(super) fn recover(dir: &Path, mut replay: impl FnMut(u32, &[u8])) -> Result<Vec<Segment>, OutboxError> {
    let mut found = Vec::new();
    let entries = fs::read_dir(dir).map_err(|fault| OutboxError::disk("listing", dir, &fault))?;
    for entry in entries {
        let entry = entry.map_err(|fault| OutboxError::disk("listing", dir, &fault))?;
        found.extend(entry.file_name().to_str().and_then(parse_name));
    }
    found.sort_unstable_by_key(|&(number, _)| number);
    let mut segments = Vec::with_capacity(found.len());
    for (number, state) in found {
        segments.extend(recover_one(dir, number, state, &mut replay)?);
    }
    Ok(segments)
}

fn recover_one(
    dir: &Path,
    number: u64,
    state: State,
    replay: &mut impl FnMut(u32, &[u8]),
) -> Result<Option<Segment>, OutboxError> {
    let path = path(dir, number, state);
    let (mut records, mut greatest_scope) = (0, 0);
    let extent = reading::read(&path, |stored: record::Stored<'_>| {
        records += 1;
        greatest_scope = greatest_scope.max(stored.scope);
        replay(stored.scope, stored.keys);
    })
    .map_err(|fault| OutboxError::disk("reading", &path, &fault))?;
    let mut segment = Segment { number, state, records, greatest_scope, torn: extent.torn };
    if state != State::Open {
        if extent.torn {
            tracing::error!(path = %path.display(), at = extent.good_bytes, "a closed segment is damaged");
        }
        return Ok(Some(segment));
    }
    if records == 0 {
        fs::remove_file(&path).map_err(|fault| OutboxError::disk("removing", &path, &fault))?;
        return Ok(None);
    }
    cut(&path, extent)?;
    rename(dir, number, State::Open, State::Closed)?;
    segment.state = State::Closed;
    segment.torn = false;
    Ok(Some(segment))
}

/// Removes what follows the last whole record: it was never acknowledged.
fn cut(path: &Path, extent: Extent) -> Result<(), OutboxError> {
    if !extent.torn {
        return Ok(());
    }
    tracing::info!(path = %path.display(), at = extent.good_bytes, "cutting an unfinished record");
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| file.set_len(extent.good_bytes).and_then(|()| file.sync_all()))
        .map_err(|fault| OutboxError::disk("cutting", path, &fault))
}
