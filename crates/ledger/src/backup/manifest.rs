//! What a backup consists of: a line for each file with its hash, length, time and path, and a hash of all lines.
//!
//! ```text
//! headframe backup 1
//! begun 1764477000000
//! file 9f86…0a08 1024 1764476999123 pay-maker/ledger/uploads/paylog_….bin
//! end 2cf2…9824
//! ```
//! Times are milliseconds since 1970; a file's is its modification time, which for uploads is when they were accepted.

use std::collections::BTreeMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::UnixMillis;

const FIRST_LINE: &str = "headframe backup 1";
/// Files of a backup at most.
const MOST_FILES: usize = 10_000_000;

/// The files of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// When it was begun: what was acknowledged before is in it.
    pub begun: UnixMillis,
    /// By path, with `/` between folders.
    pub files: BTreeMap<String, FileRecord>,
}

/// A file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRecord {
    /// Of its bytes.
    pub sha256: [u8; 32],
    /// How many there are.
    pub bytes: u64,
    /// When it was last changed.
    pub modified: UnixMillis,
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// A line of another form.
    #[error("line {line}: expected {expected}")]
    Line {
        /// Which, counted from 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// It was changed, or cut off.
    #[error("its hash is not that of its lines")]
    Hash,
}

impl Manifest {
    /// Its text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nbegun {}\n", self.begun);
        for (path, file) in &self.files {
            let FileRecord { sha256, bytes, modified } = file;
            // Writing to a string does not fail.
            let _ = writeln!(text, "file {} {bytes} {modified} {path}", hex(sha256));
        }
        let hash = hex(&Sha256::digest(&text).into());
        text + "end " + &hash + "\n"
    }

    /// Reads a text.
    pub fn parse(text: &str) -> Result<Self, ManifestFault> {
        let fault = |line, expected| ManifestFault::Line { line, expected };
        let mut lines = text.split_inclusive('\n').zip(1..);
        if lines.next().is_none_or(|(line, _)| line.trim_end() != FIRST_LINE) {
            return Err(fault(1, "\"headframe backup 1\""));
        }
        let begun =
            lines.next().and_then(|(line, _)| line.trim_end().strip_prefix("begun ").and_then(number));
        let begun = UnixMillis(begun.ok_or(fault(2, "begun, and a time"))?);
        let (mut files, mut length) = (BTreeMap::new(), 0);
        for (line, number) in lines {
            if let Some(hash) = line.trim_end().strip_prefix("end ") {
                length = text.len() - line.len();
                if number < text.split_inclusive('\n').count() || unhex(hash) != Some(digest(text, length)) {
                    return Err(ManifestFault::Hash);
                }
                break;
            }
            let (path, file) = file(line.trim_end()).ok_or(fault(number, "a file, or the end"))?;
            if files.len() == MOST_FILES || files.insert(path, file).is_some() {
                return Err(fault(number, "each file once"));
            }
        }
        if length == 0 { Err(ManifestFault::Hash) } else { Ok(Self { begun, files }) }
    }
}

/// Whether a file of a backup may be called so: below its folder, whatever system it is restored on.
pub(super) fn is_path(path: &str) -> bool {
    let is_name = |name: &str| !["", ".", ".."].contains(&name);
    path.split('/').all(is_name) && !path.contains(['\n', '\r', '\\', '\0']) && path.trim() == path
}

fn digest(text: &str, length: usize) -> [u8; 32] {
    Sha256::digest(text.get(..length).unwrap_or_default()).into()
}

fn file(line: &str) -> Option<(String, FileRecord)> {
    let mut words = line.strip_prefix("file ")?.splitn(4, ' ');
    let (sha256, bytes, modified) = (unhex(words.next()?)?, number(words.next()?)?, number(words.next()?)?);
    let path = words.next().filter(|path| is_path(path))?;
    Some((path.to_owned(), FileRecord { sha256, bytes, modified: UnixMillis(modified) }))
}

/// As it is written out, and in no other way.
fn number(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).concat()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 32];
    if !rest.is_empty() || pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    // A hash has one spelling, so that a manifest has one text.
    (hex(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn manifests() -> impl Strategy<Value = Manifest> {
        let record = (any::<[u8; 32]>(), any::<u64>(), any::<u64>()).prop_map(|(sha256, bytes, modified)| {
            FileRecord { sha256, bytes, modified: UnixMillis(modified) }
        });
        let path = "[a-z ]{0,3}[a-z]/[a-z]{1,9}(\\.[a-z]{1,3})?".prop_filter("a path", |path| is_path(path));
        (any::<u64>(), proptest::collection::btree_map(path, record, 0..8))
            .prop_map(|(begun, files)| Manifest { begun: UnixMillis(begun), files })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(manifest in manifests()) {
            prop_assert_eq!(Manifest::parse(&manifest.to_text()), Ok(manifest));
        }

        #[test]
        fn what_was_changed_or_cut_is_refused(manifest in manifests(), at: usize, byte in 0u8..128) {
            let text = manifest.to_text();
            let at = at % text.len();
            let mut changed = text.clone().into_bytes();
            changed[at] = byte;
            let changed = String::from_utf8(changed).unwrap();
            // The end of the last line is the one place that says nothing.
            if changed != text && at + 1 < text.len() {
                prop_assert!(Manifest::parse(&changed).is_err());
            }
            if at + 1 < text.len() {
                prop_assert!(Manifest::parse(&text[..at]).is_err());
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = Manifest::parse(&text);
        }
    }

    #[test]
    fn a_hash_is_written_in_small_letters() {
        let text = Manifest { begun: UnixMillis(1), files: BTreeMap::new() }.to_text();
        let (before, hash) = text.split_at(text.rfind(' ').unwrap());
        let capital = format!("{before}{}", hash.to_uppercase());
        assert_ne!(capital, text);
        assert_eq!(Manifest::parse(&capital), Err(ManifestFault::Hash));
    }

    #[test]
    fn no_file_lies_outside() {
        for path in ["/etc/passwd", "../x", "a/../b", "a//b", "a/./b", "", "a\\b", "a\nb", " a"] {
            assert!(!is_path(path), "{path:?}");
        }
        assert!(is_path("nimiq/server/main/shares/events_000000000001.open"));
    }
}
