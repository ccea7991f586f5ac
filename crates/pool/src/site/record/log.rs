//! The record on disk: a file of lines that is only added to, until the oldest are dropped for want of room.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use nimiq::PrivateKey;
use zeroize::Zeroizing;

use super::signed_line::{LineFault, Place, SignedLine};
use crate::site::facts::{Moment, SignedStatement, Stated, Statement};
use crate::whole_file;

const FILE: &str = "statements.log";
const KEY_FILE: &str = "statements.key";
/// Statements that are kept: of a pool without trouble for a lifetime, of one with as much as there may be for three months.
const MOST: usize = 20_000;
/// How many of them are dropped at once when there are more.
const DROPPED: usize = 2_000;

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// A file cannot be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The key is none.
    #[error("{}: expected 64 hexadecimal digits, the private key that statements are signed with", file.display())]
    Key {
        /// Where it stands.
        file: PathBuf,
    },
}

/// The record of a pool.
#[derive(Debug)]
pub(super) struct Log {
    file: PathBuf,
    key: PrivateKey,
    /// Oldest first.
    lines: Vec<(SignedLine, SignedStatement)>,
    next: Place,
    most: usize,
}

impl Log {
    /// Opens or begins the record in a folder, and checks all of it. What a crash left of a last line is cut off; a record
    /// that somebody has changed is set aside, and another one begun.
    pub(super) fn open(folder: &Path) -> Result<Self, LogFault> {
        let (file, key) = (folder.join(FILE), own_key(&folder.join(KEY_FILE))?);
        let failed = |source| LogFault::File { file: file.clone(), source };
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        if whole.len() < text.len() {
            whole_file::write(&file, whole.as_bytes()).map_err(failed)?;
        }
        let (lines, next) = match checked(whole) {
            Ok(record) => record,
            Err((number, fault)) => {
                // Mining does not wait for somebody to look at it, and those who kept a copy see that it was broken off.
                let aside = folder.join(format!("{FILE}.broken-{}", Moment::now().0));
                std::fs::rename(&file, &aside).map_err(failed)?;
                tracing::error!(
                    file = %file.display(), line = number, %fault, aside = %aside.display(),
                    "the record of statements was changed; it is set aside, and a new one begins"
                );
                (Vec::new(), Place::FIRST)
            }
        };
        Ok(Self { file, key, lines, next, most: MOST })
    }

    /// Signs and stores a statement, and gives its number.
    pub(super) fn add(&mut self, at: Moment, stated: Stated) -> io::Result<u64> {
        let statement = Statement {
            number: self.next.number,
            at,
            previous: hex::encode(self.next.previous),
            key: self.key(),
            stated,
        };
        let line = SignedLine::sign(&self.key, &statement)?;
        let (signed, next) = line.follow(Some(self.next), None).map_err(io::Error::other)?;
        self.append(&format!("{line}\n"))?;
        let number = self.next.number;
        self.lines.push((line, signed));
        self.next = next;
        if self.lines.len() > self.most {
            self.drop_oldest()?;
        }
        Ok(number)
    }

    /// Adds a whole line, or nothing.
    fn append(&self, line: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file)?;
        let before = file.metadata()?.len();
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
        if written.is_err() {
            file.set_len(before)?;
        }
        written
    }

    fn drop_oldest(&mut self) -> io::Result<()> {
        let kept = &self.lines[self.lines.len().min(DROPPED.min(self.most / 2))..];
        let text = SignedLine::together(kept.iter().map(|(line, _)| line));
        whole_file::write(&self.file, text.as_bytes())?;
        self.lines = kept.to_vec();
        Ok(())
    }

    /// Statements with a smaller number than `before`, newest first.
    pub(super) fn before(&self, before: u64) -> impl Iterator<Item = SignedStatement> + '_ {
        self.statements().rev().filter(move |signed| signed.statement.number < before).cloned()
    }

    /// All that are kept, oldest first.
    pub(super) fn statements(&self) -> impl DoubleEndedIterator<Item = &SignedStatement> {
        self.lines.iter().map(|(_, signed)| signed)
    }

    /// All lines, as they stand in the file.
    pub(super) fn text(&self) -> Bytes {
        SignedLine::together(self.lines.iter().map(|(line, _)| line)).into()
    }

    /// The public key in hexadecimal digits.
    pub(super) fn key(&self) -> String {
        hex::encode(self.key.public_key().0)
    }
}

/// The lines of a record, and where it goes on; or which line, from 1 on, does not belong there.
#[allow(clippy::type_complexity)]
fn checked(text: &str) -> Result<(Vec<(SignedLine, SignedStatement)>, Place), (usize, LineFault)> {
    let (mut lines, mut place) = (Vec::new(), None);
    for (index, line) in text.lines().enumerate() {
        let line: SignedLine = line.parse().map_err(|fault| (index + 1, fault))?;
        let (statement, next) = line.follow(place, None).map_err(|fault| (index + 1, fault))?;
        lines.push((line, statement));
        place = Some(next);
    }
    Ok((lines, place.unwrap_or(Place::FIRST)))
}

/// The pool's own key for this; a new one if there is none.
fn own_key(file: &Path) -> Result<PrivateKey, LogFault> {
    let failed = |source| LogFault::File { file: file.to_owned(), source };
    match std::fs::read_to_string(file).map(Zeroizing::new) {
        Ok(digits) => {
            let mut seed = Zeroizing::new([0; 32]);
            hex::decode_to_slice(digits.trim(), &mut *seed)
                .map_err(|_| LogFault::Key { file: file.to_owned() })?;
            Ok(PrivateKey::new(&seed))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let seed: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
            new_key(file, &Zeroizing::new(hex::encode(*seed))).map_err(failed)?;
            Ok(PrivateKey::new(&seed))
        }
        Err(error) => Err(failed(error)),
    }
}

fn new_key(file: &Path, digits: &str) -> io::Result<()> {
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    written.write_all(digits.as_bytes())?;
    written.sync_all()?;
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::site::facts::IncidentEnd;

    fn end(began: u64) -> Stated {
        Stated::IncidentEnded(IncidentEnd { began, ended_at: Moment(2) })
    }

    fn numbers(log: &Log) -> Vec<u64> {
        log.statements().map(|signed| signed.statement.number).collect()
    }

    #[test]
    fn statements_stay_and_a_torn_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path()).unwrap();
        assert_eq!((log.add(Moment(1), end(7)).unwrap(), log.add(Moment(2), end(8)).unwrap()), (1, 2));
        let (key, file) = (log.key(), folder.path().join(FILE));
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, &text[..text.len() - 9]).unwrap();
        let mut log = Log::open(folder.path()).unwrap();
        assert_eq!((numbers(&log), log.key()), (vec![1], key), "with the same key");
        assert_eq!(log.add(Moment(3), end(9)).unwrap(), 2);
        let log = Log::open(folder.path()).unwrap();
        assert_eq!(numbers(&log), [1, 2]);
        assert_eq!(log.text(), std::fs::read(&file).unwrap());
        assert_eq!(log.before(2).map(|signed| signed.statement.number).collect::<Vec<_>>(), [1]);
        let mode = std::fs::metadata(folder.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_record_that_was_changed_is_set_aside_and_not_continued() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path()).unwrap();
        for number in 1..=3 {
            log.add(Moment(number), end(number)).unwrap();
        }
        let file = folder.path().join(FILE);
        let text = std::fs::read_to_string(&file).unwrap();
        let without_second: Vec<&str> =
            text.lines().enumerate().filter(|(index, _)| *index != 1).map(|(_, line)| line).collect();
        let without_second = without_second.join("\n") + "\n";
        assert!(matches!(checked(&without_second), Err((2, LineFault::Number { expected: 2, got: 3 }))));
        std::fs::write(&file, &without_second).unwrap();
        let mut log = Log::open(folder.path()).unwrap();
        assert_eq!((numbers(&log), log.add(Moment(9), end(9)).unwrap()), (vec![], 1), "another record");
        let aside = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let aside = aside.filter(|path| path.to_str().unwrap().contains(".broken-"));
        let kept: Vec<_> = aside.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        assert_eq!(kept, [without_second]);
        std::fs::write(folder.path().join(KEY_FILE), "secret").unwrap();
        let fault = Log::open(folder.path()).unwrap_err().to_string();
        assert!(fault.contains("64 hexadecimal digits") && !fault.contains("secret"), "{fault}");
    }

    #[test]
    fn the_oldest_make_room_and_the_rest_still_follow_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path()).unwrap();
        log.most = 6;
        for number in 1..=7 {
            log.add(Moment(number), end(number)).unwrap();
        }
        assert_eq!(numbers(&log), [4, 5, 6, 7]);
        let mut log = Log::open(folder.path()).unwrap();
        assert_eq!(numbers(&log), [4, 5, 6, 7]);
        assert_eq!(log.add(Moment(8), end(8)).unwrap(), 8);
    }
}
