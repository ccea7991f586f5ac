//! Batches of announcements for block miners, fetched by HTTP (`docs/protocol/packetcrypt-pool.md` 6.1).
//!
//! A batch is concatenated announcements and nothing else; its name says which.

use std::{fmt, str::FromStr};

use packetcrypt::Height;
use serde::{Deserialize, Serialize};

use crate::{FormatError, json};

/// The largest index that is read.
pub const INDEX_LIMIT: usize = 4 << 20;
/// Announcements in a batch at most.
pub const MAX_ANNOUNCEMENTS: usize = 1024;
/// The path, behind the handler's URL, of the index.
pub const INDEX_PATH: &str = "/anns/index.json";
/// Header with the password for batches; the index needs none.
pub const PASSWORD_HEADER: &str = "x-pc-passwd";
/// The path, behind the handler's URL, that batch names are appended to.
pub const FOLDER_PATH: &str = "/anns/";

const DOCUMENT: &str = "announcement index";

/// The name of a batch: `anns_<parentHeight>_<handlerNumber>_<fileNumber>.bin`.
///
/// A name is never used for other content (rule R-D3), so names order as the files were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchName {
    /// Counts up over all heights of the handler.
    pub file_number: u64,
    /// Parent height of all announcements in it.
    pub parent_height: Height,
    /// Position of the handler in the pool's list.
    pub handler: u32,
}

impl fmt::Display for BatchName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "anns_{}_{}_{}.bin", self.parent_height, self.handler, self.file_number)
    }
}

/// A text that is no batch name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a batch is named anns_<parent height>_<handler number>_<file number>.bin, not {0:?}")]
pub struct BatchNameFault(String);

impl FromStr for BatchName {
    type Err = BatchNameFault;

    fn from_str(text: &str) -> Result<Self, BatchNameFault> {
        parse_name(text).ok_or_else(|| BatchNameFault(byte_reader::excerpt(text)))
    }
}

fn parse_name(text: &str) -> Option<BatchName> {
    let mut numbers = text.strip_prefix("anns_")?.strip_suffix(".bin")?.split('_');
    let name = BatchName {
        parent_height: Height(number(numbers.next()?)?),
        handler: number(numbers.next()?)?,
        file_number: number(numbers.next()?)?,
    };
    numbers.next().is_none().then_some(name)
}

/// A number in its only spelling, so that one batch has one name.
fn number<T: FromStr>(digits: &str) -> Option<T> {
    let canonical = digits == "0" || !digits.starts_with(['0', '+']);
    digits.parse().ok().filter(|_| canonical)
}

/// `index.json`: which batches can be fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchIndex {
    /// Number of the newest file; 0 also where there is none.
    #[serde(rename = "highestAnnFile")]
    pub highest_file: u64,
    /// All names that can be fetched, oldest first. Handlers from before 2020 do not send them.
    #[serde(default)]
    pub files: Vec<String>,
}

impl BatchIndex {
    /// The index of these batches, oldest first.
    pub fn of(names: &[BatchName]) -> Self {
        Self {
            highest_file: names.last().map_or(0, |newest| newest.file_number),
            files: names.iter().map(ToString::to_string).collect(),
        }
    }

    /// Reads an index.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        json::parse(DOCUMENT, bytes, INDEX_LIMIT)
    }

    /// The text to serve, on one line.
    pub fn to_json(&self) -> String {
        json::compact(self)
    }

    /// The names that follow our pattern, oldest first; others cannot be told apart and are left out.
    pub fn names(&self) -> impl Iterator<Item = BatchName> + '_ {
        self.files.iter().filter_map(|name| name.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = BatchName> {
        (any::<u64>(), any::<u32>(), any::<u32>()).prop_map(|(file_number, parent_height, handler)| {
            BatchName { file_number, parent_height: Height(parent_height), handler }
        })
    }

    #[test]
    fn a_batch_has_one_name() {
        for wrong in [
            "anns_65_0.bin",
            "anns_65_0_1",
            "anns_065_0_1.bin",
            "anns_65_0_1_2.bin",
            "anns_65_+0_1.bin",
            "anns_-1_0_1.bin",
            "anns_65_0_99999999999999999999.bin",
            "../anns_65_0_1.bin",
        ] {
            assert!(wrong.parse::<BatchName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_index_from_before_names_were_listed_can_be_read() {
        let index = BatchIndex::parse(br#"{"highestAnnFile":12}"#).unwrap();
        assert_eq!((index.highest_file, index.names().count()), (12, 0));
    }

    proptest! {
        #[test]
        fn name_round_trip(name in name()) {
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }

        #[test]
        fn index_round_trip(names in prop::collection::vec(name(), 0..5)) {
            let index = BatchIndex::parse(BatchIndex::of(&names).to_json().as_bytes()).unwrap();
            prop_assert_eq!(index.names().collect::<Vec<_>>(), names);
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>, name: String) {
            let _ = BatchIndex::parse(&bytes);
            let _ = name.parse::<BatchName>();
        }
    }
}
