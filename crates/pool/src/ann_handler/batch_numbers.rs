//! The numbers of batch files: none is given twice, however often the handler restarts and whatever the clock says
//! (`docs/protocol/packetcrypt-pool.md` 6.1, rule R-D3).
//!
//! A file on disk holds a number that is above all that may have been given. It is written anew once in a million
//! batches, so it costs nothing.

use std::path::{Path, PathBuf};
use std::{fs, io};

const FILE_NAME: &str = "batch_numbers";
/// How far ahead numbers are reserved; more are while half of them are left, so that a disk that fails for a while does
/// no harm.
const RESERVED: u64 = 1 << 20;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BatchNumbersFault {
    /// The disk refused.
    #[error("{path}: {fault}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        fault: io::Error,
    },
    /// It is not what this program writes.
    #[error(
        "{path} is damaged: it should hold one number. Without it batches may get names that were used before; remove it if the clock of this machine was not set back"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// What is left of the numbers.
#[derive(Debug)]
pub(super) struct BatchNumbers {
    path: PathBuf,
    next: u64,
    reserved_to: u64,
}

impl BatchNumbers {
    /// Goes on in a handler's folder: from the current time, or from where numbers went before if that is later.
    pub(super) fn open(folder: &Path, now_ms: u64) -> Result<Self, BatchNumbersFault> {
        let path = folder.join(FILE_NAME);
        let reserved = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| BatchNumbersFault::Damaged { path: path.clone() })?,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => 0,
            Err(fault) => return Err(BatchNumbersFault::Disk { path, fault }),
        };
        let next = now_ms.max(reserved);
        let mut numbers = Self { path, next, reserved_to: next };
        numbers.reserve().map_err(|fault| BatchNumbersFault::Disk { path: numbers.path.clone(), fault })?;
        Ok(numbers)
    }

    /// The next number.
    pub(super) fn take(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        if self.reserved_to.saturating_sub(self.next) < RESERVED / 2
            && let Err(fault) = self.reserve()
        {
            tracing::error!(path = %self.path.display(), %fault, "numbers of batches cannot be reserved, trying again");
        }
        number
    }

    fn reserve(&mut self) -> io::Result<()> {
        let reserved_to = self.next.saturating_add(RESERVED);
        crate::whole_file::write(&self.path, reserved_to.to_string().as_bytes())?;
        self.reserved_to = reserved_to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn r_d3_no_number_is_given_twice_when_the_clock_is_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut numbers = BatchNumbers::open(folder.path(), NOW).unwrap();
        assert_eq!((numbers.take(), numbers.take()), (NOW, NOW + 1));
        let last = (0..3 * RESERVED).map(|_| numbers.take()).last().unwrap();
        for now in [NOW - 5, 0] {
            let mut again = BatchNumbers::open(folder.path(), now).unwrap();
            assert!(again.take() > last, "started at {now}");
        }
        let later = BatchNumbers::open(folder.path(), 2 * NOW).unwrap().take();
        assert_eq!(later, 2 * NOW, "by the clock, where that is ahead");
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for damaged in ["", "12a", "-1"] {
            fs::write(folder.path().join(FILE_NAME), damaged).unwrap();
            let fault = BatchNumbers::open(folder.path(), NOW).unwrap_err();
            assert!(matches!(fault, BatchNumbersFault::Damaged { .. }), "{damaged:?}");
        }
    }
}
