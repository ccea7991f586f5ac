//! Files of accepted announcements for block miners (`docs/protocol/packetcrypt-pool.md` 6.1, rules R-D1 to R-D4).
//!
//! Announcements collect per parent height; 1024 of them, or what has waited for five seconds, become a file that never
//! changes. The newest files are kept in memory; the oldest makes room. A post of 1024 becomes a file as it is, without
//! a copy, whatever else is waiting.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use packetcrypt::{BlockHash, Height};
use wire::batch::{BatchIndex, BatchName, MAX_ANNOUNCEMENTS};

use super::batch_numbers::BatchNumbers;
use super::buffers::Buffers;

const ANNOUNCEMENT_BYTES: usize = 1024;
const FILE_BYTES: usize = MAX_ANNOUNCEMENTS * ANNOUNCEMENT_BYTES;
/// Rule R-D2.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// All files of this handler, and what is to become files.
pub(super) struct Batches {
    files_to_keep: usize,
    /// Where the memory of old files goes.
    buffers: Arc<Buffers>,
    state: Mutex<State>,
}

struct State {
    numbers: BatchNumbers,
    waiting: BTreeMap<Height, Waiting>,
    files: VecDeque<(BatchName, BlockHash, Bytes)>,
    /// The index as it is served; made again after a change.
    index: Option<Bytes>,
}

/// Accepted announcements of one parent block that are in no file yet.
struct Waiting {
    parent: BlockHash,
    handler: u32,
    parts: Vec<Bytes>,
    bytes: usize,
    since: Instant,
}

impl Batches {
    pub(super) fn new(files_to_keep: usize, numbers: BatchNumbers, buffers: Arc<Buffers>) -> Self {
        let (waiting, files) = (BTreeMap::new(), VecDeque::new());
        let state = State { numbers, waiting, files, index: None };
        Self { files_to_keep, buffers, state: Mutex::new(state) }
    }

    /// Takes whole announcements whose parent is `parent` at `height`.
    pub(super) fn add(
        &self,
        height: Height,
        parent: BlockHash,
        handler: u32,
        mut announcements: Bytes,
        now: Instant,
    ) {
        let mut state = self.state();
        // A full file's worth goes past what waits: joined with that, everything would have to be copied.
        while announcements.len() >= FILE_BYTES {
            let file = announcements.split_to(FILE_BYTES);
            state.publish(height, parent, handler, file);
        }
        if !announcements.is_empty() {
            state.wait(height, parent, handler, announcements, now);
        }
        self.make_room(&mut state);
    }

    /// Makes files of what has waited long enough.
    pub(super) fn flush(&self, now: Instant) {
        let mut state = self.state();
        let due: Vec<Height> = state
            .waiting
            .iter()
            .filter(|(_, waiting)| now.saturating_duration_since(waiting.since) >= LONGEST_WAIT)
            .map(|(height, _)| *height)
            .collect();
        for height in due {
            if let Some(mut waiting) = state.waiting.remove(&height) {
                let file = waiting.take(waiting.bytes);
                state.publish(height, waiting.parent, waiting.handler, file);
            }
        }
        self.make_room(&mut state);
    }

    fn make_room(&self, state: &mut State) {
        let surplus = state.files.len().saturating_sub(self.files_to_keep);
        state.files.drain(..surplus).for_each(|(.., file)| self.buffers.give_back(file));
    }

    /// Drops what was made for blocks that are no longer part of the chain, as far as `is_abandoned` knows.
    pub(super) fn drop_abandoned(&self, is_abandoned: impl Fn(Height, &BlockHash) -> bool) {
        let mut state = self.state();
        state.waiting.retain(|height, waiting| !is_abandoned(*height, &waiting.parent));
        let before = state.files.len();
        state.files.retain(|(name, parent, _)| !is_abandoned(name.parent_height, parent));
        if state.files.len() != before {
            state.index = None;
        }
    }

    /// `index.json`.
    pub(super) fn index(&self) -> Bytes {
        let mut state = self.state();
        let State { files, index, .. } = &mut *state;
        let current = index.get_or_insert_with(|| {
            let names: Vec<BatchName> = files.iter().map(|(name, ..)| *name).collect();
            BatchIndex::of(&names).to_json().into()
        });
        current.clone()
    }

    /// A file, if it is still there.
    pub(super) fn file(&self, name: &BatchName) -> Option<Bytes> {
        let state = self.state();
        let found =
            state.files.binary_search_by_key(&name.file_number, |(name, ..)| name.file_number).ok()?;
        state.files.get(found).filter(|(found, ..)| found == name).map(|(_, _, file)| file.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds less than a file's worth to what waits, and makes a file of that when there is enough.
    fn wait(&mut self, height: Height, parent: BlockHash, handler: u32, announcements: Bytes, now: Instant) {
        let waiting = self.waiting.entry(height).or_insert_with(|| Waiting::new(parent, handler, now));
        if waiting.parent != parent {
            *waiting = Waiting::new(parent, handler, now);
        }
        waiting.bytes += announcements.len();
        waiting.parts.push(announcements);
        if waiting.bytes < FILE_BYTES {
            return;
        }
        let file = waiting.take(FILE_BYTES);
        waiting.since = now;
        if waiting.bytes == 0 {
            self.waiting.remove(&height);
        }
        self.publish(height, parent, handler, file);
    }

    fn publish(&mut self, parent_height: Height, parent: BlockHash, handler: u32, file: Bytes) {
        let name = BatchName { file_number: self.numbers.take(), parent_height, handler };
        self.files.push_back((name, parent, file));
        self.index = None;
    }
}

impl Waiting {
    fn new(parent: BlockHash, handler: u32, since: Instant) -> Self {
        Self { parent, handler, parts: Vec::new(), bytes: 0, since }
    }

    /// Takes the first `bytes`, which must be there.
    fn take(&mut self, bytes: usize) -> Bytes {
        self.bytes -= bytes;
        if self.parts.first().is_some_and(|part| part.len() == bytes) {
            return self.parts.remove(0);
        }
        let mut file = BytesMut::with_capacity(bytes);
        while let Some(part) = self.parts.first_mut().filter(|_| file.len() < bytes) {
            let taken = part.split_to(part.len().min(bytes - file.len()));
            file.extend_from_slice(&taken);
            if part.is_empty() {
                self.parts.remove(0);
            }
        }
        file.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: BlockHash = BlockHash::from_internal([7; 32]);

    fn announcements(count: usize, mark: u8) -> Bytes {
        vec![mark; count * ANNOUNCEMENT_BYTES].into()
    }

    /// No files yet; the first gets this number.
    fn batches(files_to_keep: usize, first_number: u64) -> Batches {
        let folder = tempfile::tempdir().unwrap();
        let numbers = BatchNumbers::open(folder.path(), first_number).unwrap();
        Batches::new(files_to_keep, numbers, Arc::default())
    }

    fn names(batches: &Batches) -> Vec<BatchName> {
        BatchIndex::parse(&batches.index()).unwrap().names().collect()
    }

    #[test]
    fn a_whole_post_becomes_a_file_without_a_copy() {
        let batches = batches(8, 100);
        let post = announcements(1024, 1);
        batches.add(Height(65), PARENT, 2, post.clone(), Instant::now());
        let [name] = names(&batches).try_into().unwrap();
        assert_eq!(name.to_string(), "anns_65_2_100.bin");
        assert_eq!(batches.file(&name).unwrap().as_ptr(), post.as_ptr());
    }

    #[test]
    fn what_waits_does_not_make_whole_posts_be_copied() {
        let (batches, now) = (batches(8, 100), Instant::now());
        batches.add(Height(65), PARENT, 0, announcements(1, 1), now);
        let post = announcements(2049, 2);
        batches.add(Height(65), PARENT, 0, post.clone(), now + LONGEST_WAIT / 2);
        let [one, other] = names(&batches).try_into().unwrap();
        let (one, other) = (batches.file(&one).unwrap(), batches.file(&other).unwrap());
        assert_eq!((one.as_ptr(), other.as_ptr()), (post.as_ptr(), post[FILE_BYTES..].as_ptr()));
        batches.flush(now + LONGEST_WAIT);
        let rest = batches.file(names(&batches).last().unwrap()).unwrap();
        assert_eq!((rest.len(), rest[0], rest[ANNOUNCEMENT_BYTES]), (2 * ANNOUNCEMENT_BYTES, 1, 2));
    }

    #[test]
    fn parts_are_joined_and_the_rest_waits() {
        let (batches, now) = (batches(8, 0), Instant::now());
        for mark in 0..3 {
            batches.add(Height(65), PARENT, 0, announcements(400, mark), now);
        }
        let [name] = names(&batches).try_into().unwrap();
        let file = batches.file(&name).unwrap();
        assert_eq!((file.len(), file[0], file[FILE_BYTES - 1]), (FILE_BYTES, 0, 2));
        batches.flush(now + LONGEST_WAIT);
        let rest = batches.file(names(&batches).last().unwrap()).unwrap();
        assert_eq!((rest.len(), rest[0]), (176 * ANNOUNCEMENT_BYTES, 2));
    }

    #[test]
    fn r_d2_a_partial_batch_does_not_wait_for_another_post() {
        let (batches, now) = (batches(8, 0), Instant::now());
        batches.add(Height(65), PARENT, 0, announcements(3, 1), now);
        batches.flush(now + LONGEST_WAIT / 2);
        assert_eq!(names(&batches), []);
        batches.flush(now + LONGEST_WAIT);
        assert_eq!(names(&batches).len(), 1);
        assert!(batches.state().waiting.is_empty());
    }

    #[test]
    fn the_oldest_file_makes_room() {
        let batches = batches(3, 0);
        for mark in 0..5 {
            batches.add(Height(65), PARENT, 0, announcements(1024, mark), Instant::now());
        }
        assert_eq!(names(&batches).iter().map(|name| name.file_number).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(batches.file(&"anns_65_0_1.bin".parse().unwrap()), None);
        assert_eq!(batches.file(&"anns_64_0_2.bin".parse().unwrap()), None, "the whole name counts");
        assert_eq!(batches.file(&"anns_65_0_2.bin".parse().unwrap()).unwrap()[0], 2);
    }

    #[test]
    fn what_was_made_for_an_abandoned_block_is_dropped() {
        let (batches, now, other) = (batches(8, 0), Instant::now(), BlockHash::from_internal([8; 32]));
        batches.add(Height(65), PARENT, 0, announcements(1030, 1), now);
        batches.drop_abandoned(|height, parent| height == Height(65) && *parent != other);
        assert_eq!(names(&batches), []);
        batches.add(Height(65), other, 0, announcements(2, 2), now);
        batches.add(Height(65), PARENT, 0, announcements(1, 1), now);
        batches.flush(now + LONGEST_WAIT);
        assert_eq!(batches.file(&names(&batches)[0]).unwrap().len(), ANNOUNCEMENT_BYTES, "never mixed");
    }
}
