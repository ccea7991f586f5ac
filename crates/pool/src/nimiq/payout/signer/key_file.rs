//! The signing key in a file that nobody but its owner can read.
//!
//! One line of hexadecimal digits: the private key (64), or the node's `wallet.seed` (130;
//! `docs/protocol/nimiq-pool.md` 2.9).

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nimiq::PrivateKey;
use nimiq::signature::WalletSeedError;
use zeroize::Zeroizing;

/// The longest file that can be one: 130 digits and a line's end, with room for blanks.
const LONGEST: u64 = 160;

/// Why a file gives no key. None of it tells what is in the file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileFault {
    /// It cannot be read.
    #[error("the key file {} cannot be read: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It cannot be made.
    #[error("the key file {} cannot be made: {source}", path.display())]
    Make {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is a folder, a pipe or the like.
    #[error("the key file {} is no ordinary file", .0.display())]
    Kind(PathBuf),
    /// Others can read or write it.
    #[error(
        "the key file {path} has mode {mode:04o}: only its owner may have access (chmod 600 {path})",
        path = path.display()
    )]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds something else.
    #[error("the key file {} holds no key: {fault}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        fault: WalletSeedError,
    },
}

/// Reads the key. What was read is wiped from memory.
pub fn read(path: &Path) -> Result<PrivateKey, KeyFileFault> {
    let unreadable = |source| KeyFileFault::Read { path: path.to_owned(), source };
    let ordinary = |metadata: Metadata| {
        if metadata.is_file() { Ok(metadata) } else { Err(KeyFileFault::Kind(path.to_owned())) }
    };
    // Before it is opened, since to open a pipe is to wait for its other end.
    ordinary(std::fs::metadata(path).map_err(unreadable)?)?;
    // And of the file that is open, so that it cannot be exchanged in between.
    let file = File::open(path).map_err(unreadable)?;
    let metadata = ordinary(file.metadata().map_err(unreadable)?)?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileFault::Mode { path: path.to_owned(), mode });
    }
    // Of its full length from the start: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(LONGEST as usize + 1));
    file.take(LONGEST).read_to_string(&mut text).map_err(unreadable)?;
    PrivateKey::from_wallet_seed(text.trim())
        .map_err(|fault| KeyFileFault::Content { path: path.to_owned(), fault })
}

/// Reads the key of an embedded chain's account; draws one where there is none yet.
pub fn read_or_draw(path: &Path) -> Result<PrivateKey, KeyFileFault> {
    let draw = |mut file: File| {
        let digits = Zeroizing::new(hex::encode(rand::random::<[u8; 32]>()));
        file.write_all(digits.as_bytes()).and_then(|()| file.sync_all())
    };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(draw) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(KeyFileFault::Make { path: path.to_owned(), source })
        }
        _ => read(path),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written(folder: &Path, text: &str, mode: u32) -> PathBuf {
        let path = folder.join(format!("key-{mode:o}-{}", text.len()));
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_key_is_read_if_only_its_owner_can() {
        let folder = tempfile::tempdir().unwrap();
        let (digits, key) = (hex::encode([7; 32]), PrivateKey::new(&[7; 32]));
        for mode in [0o600, 0o400] {
            let path = written(folder.path(), &format!("{digits}\n"), mode);
            assert_eq!(read(&path).unwrap().public_key(), key.public_key());
        }
        for mode in [0o640, 0o604, 0o660, 0o644, 0o610] {
            let fault = read(&written(folder.path(), &digits, mode)).unwrap_err();
            assert!(matches!(fault, KeyFileFault::Mode { mode: found, .. } if found == mode), "{fault}");
        }
    }

    #[test]
    fn a_key_is_drawn_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool.key");
        let drawn = read_or_draw(&path).unwrap().public_key();
        assert_eq!(read_or_draw(&path).unwrap().public_key(), drawn);
        assert!(matches!(read_or_draw(&folder.path().join("no/key")), Err(KeyFileFault::Make { .. })));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let folder = tempfile::tempdir().unwrap();
        let digits = hex::encode([7; 32]);
        for text in ["", &digits[1..], &digits.replace('0', "x"), &digits.repeat(9)] {
            let fault = read(&written(folder.path(), text, 0o600)).unwrap_err();
            assert!(matches!(fault, KeyFileFault::Content { .. }), "{fault}");
            assert!(text.is_empty() || !format!("{fault} {fault:?}").contains(text), "{fault}");
        }
        assert!(matches!(read(folder.path()), Err(KeyFileFault::Kind(_))));
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status().unwrap();
        assert!(made.success());
        assert!(matches!(read(&pipe), Err(KeyFileFault::Kind(_))), "nobody writes into it");
        assert!(matches!(read(&folder.path().join("none")), Err(KeyFileFault::Read { .. })));
    }
}
