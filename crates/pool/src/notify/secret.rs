//! A text that is never shown, from the configuration or from a file that nobody but its owner can read.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest secret.
const LONGEST: u64 = 4096;

/// A password, a token, or an address with one in it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Arc<str>);

/// Why a file gives no secret. None of it tells what is in the file.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileFault {
    /// It cannot be read.
    #[error("the file {} cannot be read: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others can read or write it.
    #[error(
        "the file {path} has mode {mode:04o}: only its owner may have access (chmod 600 {path})",
        path = path.display()
    )]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// There is nothing in it.
    #[error("the file {} is empty", .0.display())]
    Empty(PathBuf),
}

impl SecretText {
    /// Wraps a text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Reads the first line of a file, which nobody but its owner may have access to.
    pub fn read(path: &Path) -> Result<Self, SecretFileFault> {
        let unreadable = |source| SecretFileFault::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        // Of the file that is open, so that it cannot be exchanged in between.
        let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(SecretFileFault::Mode { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).map_err(unreadable)?;
        match text.lines().next().map(str::trim) {
            None | Some("") => Err(SecretFileFault::Empty(path.to_owned())),
            Some(line) => Ok(Self::new(line)),
        }
    }

    /// The text itself; the name says that the caller has a reason.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_that_others_can_read_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "hunter2\n").unwrap();
        let with_mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            SecretText::read(&path)
        };
        let fault = with_mode(0o640).unwrap_err().to_string();
        assert!(fault.contains("mode 0640") && !fault.contains("hunter2"), "{fault}");
        let secret = with_mode(0o600).unwrap();
        assert_eq!(secret.reveal(), "hunter2");
        assert_eq!(format!("{secret:?}"), "(secret)");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(SecretText::read(&path), Err(SecretFileFault::Empty(_))));
        assert!(matches!(SecretText::read(&folder.path().join("none")), Err(SecretFileFault::Read { .. })));
    }
}
