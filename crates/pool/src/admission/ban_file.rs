//! Bans on disk: a journal of lines, each with a checksum, so that they outlive a restart.
//!
//! A line is `CRC-32 in hexadecimal`, a space, and JSON: `{"ban":{…}}` or `{"lift":"subject"}`. Lines are appended as
//! things happen and handed to the disk once a second; when most of them say nothing any more the file is written
//! anew. A damaged line (the last one after a power failure) is skipped: it costs a ban, never the start.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ledger::UnixMillis;
use serde::{Deserialize, Serialize};

use super::bans::{Ban, BanBook, Subject};
use crate::whole_file;

/// Longer lines are damaged.
const LONGEST_LINE: usize = 4096;
/// Lines beyond twice the bans after which the file is written anew.
const SUPERFLUOUS: usize = 1000;

/// What happened to a ban.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    Ban(Ban),
    Lift(Subject),
}

/// The file of a process.
pub struct BanFile {
    path: PathBuf,
    file: File,
    lines: usize,
    is_synced: bool,
}

impl BanFile {
    /// Opens it, or makes it, and reads what holds or has ended lately. Says how many lines were damaged.
    pub fn open(path: &Path, now: UnixMillis) -> io::Result<(Self, BanBook, usize)> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let (mut book, mut lines, mut damaged) = (BanBook::default(), 0, 0);
        let text = std::fs::read(path)?;
        let is_whole = text.last().is_none_or(|last| *last == b'\n');
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            lines += 1;
            match parse(line) {
                Some(Entry::Ban(ban)) => drop(book.put(ban)),
                Some(Entry::Lift(subject)) => drop(book.lift(&subject)),
                None => damaged += 1,
            }
        }
        book.forget(now);
        let mut opened = Self { path: path.to_owned(), file, lines, is_synced: true };
        if damaged > 0 || !is_whole {
            opened.rewrite(&book)?;
        }
        Ok((opened, book, damaged))
    }

    /// Notes a ban.
    pub fn ban(&mut self, ban: &Ban) -> io::Result<()> {
        self.append(&Entry::Ban(ban.clone()))
    }

    /// Notes that a ban was lifted.
    pub fn lift(&mut self, subject: &Subject) -> io::Result<()> {
        self.append(&Entry::Lift(subject.clone()))
    }

    /// Sees to it that everything is on the disk, in not much more than it takes.
    pub fn tidy(&mut self, book: &BanBook) -> io::Result<()> {
        if self.lines > 2 * book.all().count() + SUPERFLUOUS {
            return self.rewrite(book);
        }
        if !self.is_synced {
            self.file.sync_data()?;
            self.is_synced = true;
        }
        Ok(())
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        self.file.write_all(&line(entry)?)?;
        self.lines += 1;
        self.is_synced = false;
        Ok(())
    }

    fn rewrite(&mut self, book: &BanBook) -> io::Result<()> {
        let mut text = Vec::new();
        for ban in book.all() {
            text.extend(line(&Entry::Ban(ban.clone()))?);
        }
        whole_file::write(&self.path, &text)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        (self.lines, self.is_synced) = (book.all().count(), true);
        Ok(())
    }
}

fn line(entry: &Entry) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(entry)?;
    Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())).into_bytes())
}

fn parse(line: &[u8]) -> Option<Entry> {
    let line = str::from_utf8(line).ok().filter(|line| line.len() <= LONGEST_LINE)?;
    let (checksum, json) = line.split_once(' ')?;
    let checksum = u32::from_str_radix(checksum, 16).ok()?;
    if crc32fast::hash(json.as_bytes()) != checksum {
        return None;
    }
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn subject(number: u32) -> Subject {
        Subject::Network(std::net::IpAddr::from(number.to_be_bytes()).into())
    }

    fn ban(number: u32) -> Ban {
        Ban::by_operator(subject(number), "flood", NOW, Duration::from_mins(5))
    }

    fn holding(path: &Path, now: UnixMillis) -> (Vec<Ban>, usize) {
        let (_, book, damaged) = BanFile::open(path, now).unwrap();
        (book.holding(now), damaged)
    }

    #[test]
    fn bans_and_lifted_bans_outlive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bans");
        let (mut file, book, _) = BanFile::open(&path, NOW).unwrap();
        (1..=3).for_each(|number| file.ban(&ban(number)).unwrap());
        file.lift(&subject(2)).unwrap();
        file.tidy(&book).unwrap();
        assert_eq!(holding(&path, NOW), (vec![ban(1), ban(3)], 0));
        assert_eq!(holding(&path, NOW.plus(300_000)), (vec![], 0));
    }

    #[test]
    fn a_torn_or_damaged_line_costs_that_ban_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bans");
        let (mut file, ..) = BanFile::open(&path, NOW).unwrap();
        (1..=3).for_each(|number| file.ban(&ban(number)).unwrap());
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (bans, damaged) = holding(&path, NOW);
            assert!(bans.len() + damaged <= 3 && damaged <= 1, "cut at {cut}");
            assert_eq!(holding(&path, NOW), (bans, 0), "it was mended");
        }
        let mut flipped = whole.clone();
        flipped[20] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        assert_eq!(holding(&path, NOW), (vec![ban(2), ban(3)], 1));
    }

    #[test]
    fn what_says_nothing_any_more_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bans");
        let (mut file, mut book, _) = BanFile::open(&path, NOW).unwrap();
        book.put(ban(7)).unwrap();
        for _ in 0..=SUPERFLUOUS + 2 {
            file.ban(&ban(7)).unwrap();
        }
        file.tidy(&book).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
        file.ban(&ban(8)).unwrap();
        assert_eq!(holding(&path, NOW).0.len(), 2);
    }
}
