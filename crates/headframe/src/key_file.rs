//! The private key of the pool's Nimiq account in a file that nobody else may read.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;
use nimiq::PrivateKey;

/// Longest file that is read: a wallet seed is 130 digits.
const LONGEST: u64 = 256;

/// Reads a key: 64 hexadecimal digits, or the wallet seed of a node. Refuses a file that others can read.
pub fn read(path: &Path) -> anyhow::Result<PrivateKey> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read the key file {shown}"))?;
    // Nobody but the owner: the six lowest bits are those of the group and of others.
    let mode = file.metadata()?.mode() & 0o777;
    anyhow::ensure!(
        mode.trailing_zeros() >= 6,
        "the key file {shown} has mode {mode:04o}, so others can read the pool's key; set it with: chmod 600 {shown}"
    );
    let mut digits = String::new();
    file.take(LONGEST)
        .read_to_string(&mut digits)
        .with_context(|| format!("the key file {shown} is no text"))?;
    PrivateKey::from_wallet_seed(digits.trim()).with_context(|| format!("the key file {shown}"))
}

/// Reads the key of an embedded chain's account; draws one where there is none yet.
pub fn read_or_draw(path: &Path) -> anyhow::Result<PrivateKey> {
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match options {
        Ok(mut file) => {
            let digits = hex::encode(rand::random::<[u8; 32]>());
            writeln!(file, "{digits}").and_then(|()| file.sync_all()).context("cannot write a key file")?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot make the key file {}", path.display()));
        }
    }
    read(path)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_drawn_once_and_only_the_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool.key");
        let drawn = read_or_draw(&path).unwrap().public_key();
        assert_eq!(read_or_draw(&path).unwrap().public_key(), drawn);
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("has mode 0640"), "{error}");
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool.key");
        drop(read_or_draw(&path).unwrap());
        std::fs::write(&path, "0123456789").unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("64 hexadecimal digits") && !error.contains("0123456789"), "{error}");
    }
}
