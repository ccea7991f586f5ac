//! The chain on disk: one file to which blocks are only ever appended.
//!
//! A line of text that names the rules, then records: magic, origin, length, CRC-32 over the last two and the
//! block, block; all integers little-endian. A block is in the file, and synchronised, before anybody is told
//! that it was accepted. What a crash left half written at the end is cut off at the next start.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use tracing::warn;

/// Name of the file inside the chain's folder.
const FILE_NAME: &str = "blocks.dat";
/// First words of the file.
const FORMAT: &str = "headframe dev chain 1: ";
/// First bytes of a record.
const MAGIC: [u8; 4] = *b"HFBK";
/// Bytes of a record before the block.
const RECORD_HEAD: usize = 4 + 1 + 4 + 4;
/// The longest block that is read back.
const LONGEST_BLOCK: u32 = 8 << 20;
/// The longest first line.
const LONGEST_FIRST_LINE: u64 = 1024;

/// How a block came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By proof of work.
    Mined,
    /// By a command to this dev chain, without proof of work.
    Commanded,
}

impl Origin {
    fn code(self) -> u8 {
        match self {
            Self::Mined => 0,
            Self::Commanded => 1,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Mined, Self::Commanded].into_iter().find(|origin| origin.code() == code)
    }
}

/// Where a block stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    offset: u64,
    length: u32,
}

#[cfg(test)]
impl Location {
    /// A place for a block that is never read back.
    pub fn for_tests(offset: u64) -> Self {
        Self { offset, length: 0 }
    }
}

/// Why the chain cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The system refuses.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        reason: io::Error,
    },
    /// Another process has it open.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{} is no chain of this program (it begins with {found:?})", path.display())]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// Its first line.
        found: String,
    },
    /// It was made under other rules.
    #[error("{} was made under other rules ({found}; now: {expected}): use another folder", path.display())]
    OtherRules {
        /// The file.
        path: PathBuf,
        /// Its rules.
        found: String,
        /// Today's.
        expected: String,
    },
}

/// The open file.
#[derive(Debug)]
pub struct Store {
    file: File,
    path: PathBuf,
    /// Where the next record goes.
    end: u64,
}

impl Store {
    /// Opens or makes the chain in `folder`, and hands every stored block, in the order in which they came, to
    /// `each`.
    pub fn open(
        folder: &Path,
        rules: &str,
        mut each: impl FnMut(Origin, Location, &[u8]),
    ) -> Result<Self, StoreFault> {
        let path = folder.join(FILE_NAME);
        let io_fault = |reason| StoreFault::Io { path: path.clone(), reason };
        std::fs::create_dir_all(folder).map_err(io_fault)?;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(io_fault)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreFault::InUse { path }),
            Err(TryLockError::Error(reason)) => return Err(io_fault(reason)),
        }
        let mut store = Self { file, path, end: 0 };
        store.end = store.read_first_line(rules)?;
        store.read_records(&mut each)?;
        Ok(store)
    }

    /// Checks the first line, or writes it into an empty file; gives its length.
    fn read_first_line(&mut self, rules: &str) -> Result<u64, StoreFault> {
        let expected = format!("{FORMAT}{rules}\n");
        let mut start = Vec::new();
        let read = (&self.file).take(LONGEST_FIRST_LINE).read_to_end(&mut start);
        read.map_err(|reason| self.io_fault(reason))?;
        if start.len() < expected.len() && expected.as_bytes().starts_with(&start) {
            // New, or the very first write was cut short.
            self.cut_to(0)?;
            self.write_at(expected.as_bytes(), 0)?;
            self.sync_folder()?;
            return Ok(expected.len() as u64);
        }
        let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        match line.strip_prefix(FORMAT) {
            Some(found) if found == rules => Ok(expected.len() as u64),
            Some(found) => {
                let (found, expected) = (found.to_owned(), rules.to_owned());
                Err(StoreFault::OtherRules { path: self.path.clone(), found, expected })
            }
            None => {
                let found = line.chars().take(60).collect();
                Err(StoreFault::OtherFile { path: self.path.clone(), found })
            }
        }
    }

    fn read_records(&mut self, each: &mut impl FnMut(Origin, Location, &[u8])) -> Result<(), StoreFault> {
        let length = self.file.metadata().map_err(|reason| self.io_fault(reason))?.len();
        let mut reader = BufReader::with_capacity(1 << 20, ReadFrom { file: &self.file, offset: self.end });
        let mut end = self.end;
        while let Some((origin, block)) = read_record(&mut reader).map_err(|reason| self.io_fault(reason))? {
            let location = Location { offset: end + RECORD_HEAD as u64, length: block.len() as u32 };
            each(origin, location, &block);
            end = location.offset + block.len() as u64;
        }
        self.end = end;
        if end < length {
            let bytes = length - end;
            warn!(file = %self.path.display(), bytes, "cut off what was left half written at the end of the chain");
            self.cut_to(end)?;
        }
        Ok(())
    }

    /// Appends a block; when this returns it is on the disk.
    pub fn append(&mut self, origin: Origin, block: &[u8]) -> Result<Location, StoreFault> {
        let length = u32::try_from(block.len()).ok().filter(|length| *length <= LONGEST_BLOCK);
        let length = length.ok_or_else(|| self.io_fault(io::ErrorKind::FileTooLarge.into()))?;
        let mut record = Vec::with_capacity(RECORD_HEAD + block.len());
        record.extend(MAGIC);
        record.push(origin.code());
        record.extend(length.to_le_bytes());
        record.extend(checksum(origin, length, block).to_le_bytes());
        record.extend(block);
        if let Err(fault) = self.write_at(&record, self.end) {
            // Whatever arrived of it must not stand before the next record.
            let _ = self.cut_to(self.end);
            return Err(fault);
        }
        let location = Location { offset: self.end + RECORD_HEAD as u64, length };
        self.end += record.len() as u64;
        Ok(location)
    }

    /// Reads a block back.
    pub fn read(&self, location: Location) -> Result<Vec<u8>, StoreFault> {
        let mut block = vec![0; location.length as usize];
        self.file.read_exact_at(&mut block, location.offset).map_err(|reason| self.io_fault(reason))?;
        Ok(block)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), StoreFault> {
        let written = self.file.write_all_at(bytes, offset).and_then(|()| self.file.sync_data());
        written.map_err(|reason| self.io_fault(reason))
    }

    fn cut_to(&self, length: u64) -> Result<(), StoreFault> {
        let cut = self.file.set_len(length).and_then(|()| self.file.sync_all());
        cut.map_err(|reason| self.io_fault(reason))
    }

    /// A new file is only safe when its name is.
    fn sync_folder(&self) -> Result<(), StoreFault> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|reason| self.io_fault(reason))
    }

    fn io_fault(&self, reason: io::Error) -> StoreFault {
        StoreFault::Io { path: self.path.clone(), reason }
    }
}

/// Reads a file from some offset on, without moving its own position.
struct ReadFrom<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for ReadFrom<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// The next whole record; `None` at the end and where the rest is none.
fn read_record(reader: &mut impl Read) -> io::Result<Option<(Origin, Vec<u8>)>> {
    let mut head = [0; RECORD_HEAD];
    if !fill(reader, &mut head)? {
        return Ok(None);
    }
    let [m0, m1, m2, m3, code, l0, l1, l2, l3, c0, c1, c2, c3] = head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    let Some(origin) = Origin::from_code(code) else { return Ok(None) };
    if [m0, m1, m2, m3] != MAGIC || length > LONGEST_BLOCK {
        return Ok(None);
    }
    let mut block = vec![0; length as usize];
    let whole = fill(reader, &mut block)?;
    let sound = u32::from_le_bytes([c0, c1, c2, c3]) == checksum(origin, length, &block);
    Ok((whole && sound).then_some((origin, block)))
}

/// Fills the buffer; `false` if the end came first.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn checksum(origin: Origin, length: u32, block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[origin.code()]);
    hasher.update(&length.to_le_bytes());
    hasher.update(block);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "some rules";

    fn open(folder: &Path) -> (Store, Vec<(Origin, Vec<u8>)>) {
        let mut blocks = Vec::new();
        let store = Store::open(folder, RULES, |origin, _, block| blocks.push((origin, block.to_vec())));
        (store.unwrap(), blocks)
    }

    fn bytes(folder: &Path) -> Vec<u8> {
        std::fs::read(folder.join(FILE_NAME)).unwrap()
    }

    #[test]
    fn blocks_are_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, blocks) = open(folder.path());
        assert!(blocks.is_empty());
        let location = store.append(Origin::Mined, b"first").unwrap();
        store.append(Origin::Commanded, b"second block").unwrap();
        assert_eq!(store.read(location).unwrap(), b"first");
        drop(store);
        let (store, blocks) = open(folder.path());
        let expected = [(Origin::Mined, b"first".to_vec()), (Origin::Commanded, b"second block".to_vec())];
        assert_eq!(blocks, expected);
        assert_eq!(store.read(location).unwrap(), b"first");
    }

    #[test]
    fn a_torn_tail_is_cut_wherever_it_was_torn() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = open(folder.path());
        store.append(Origin::Mined, b"first").unwrap();
        let whole = bytes(folder.path()).len();
        store.append(Origin::Mined, b"second").unwrap();
        drop(store);
        let all = bytes(folder.path());
        for length in whole..all.len() {
            std::fs::write(folder.path().join(FILE_NAME), &all[..length]).unwrap();
            let (mut store, blocks) = open(folder.path());
            assert_eq!(blocks, [(Origin::Mined, b"first".to_vec())], "cut to {length}");
            store.append(Origin::Mined, b"third").unwrap();
            drop(store);
            let (_, blocks) = open(folder.path());
            assert_eq!(blocks[1].1, b"third", "cut to {length}");
        }
    }

    #[test]
    fn an_altered_record_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = open(folder.path());
        store.append(Origin::Mined, b"first").unwrap();
        drop(store);
        let mut all = bytes(folder.path());
        *all.last_mut().unwrap() ^= 1;
        std::fs::write(folder.path().join(FILE_NAME), &all).unwrap();
        assert!(open(folder.path()).1.is_empty());
    }

    #[test]
    fn a_first_line_that_was_cut_short_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()));
        let line = bytes(folder.path());
        for length in 0..line.len() {
            std::fs::write(folder.path().join(FILE_NAME), &line[..length]).unwrap();
            drop(open(folder.path()));
            assert_eq!(bytes(folder.path()), line, "cut to {length}");
        }
    }

    #[test]
    fn another_file_and_other_rules_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()));
        let other = Store::open(folder.path(), "other", |_, _, _| {});
        assert!(matches!(other, Err(StoreFault::OtherRules { .. })));
        let text = "something of somebody else, longer than the line that is expected here, and more\n";
        std::fs::write(folder.path().join(FILE_NAME), text).unwrap();
        let other = Store::open(folder.path(), RULES, |_, _, _| {});
        assert!(matches!(other, Err(StoreFault::OtherFile { .. })));
        assert_eq!(bytes(folder.path()), text.as_bytes());
    }

    #[test]
    fn two_processes_cannot_write_one_chain() {
        let folder = tempfile::tempdir().unwrap();
        let (_store, _) = open(folder.path());
        let second = Store::open(folder.path(), RULES, |_, _, _| {});
        assert!(matches!(second, Err(StoreFault::InUse { .. })));
    }
}
