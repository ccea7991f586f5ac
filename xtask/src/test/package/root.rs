//! A fresh minimal Debian that can be started. What is downloaded, and the root that is made of it, are kept: it is the same
//! one each time, and only the first run waits for it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::reference::target_folder;
use crate::test::ahead;

const SUITE: &str = "bookworm";
/// What a minimal Debian lacks of an operator's machine: systemd and who decides there what an account may order, and what
/// the package depends on.
const NEEDED: &str = "ca-certificates,systemd,systemd-sysv,dbus,libpam-systemd,polkitd";

/// A root that nothing has been done in yet.
pub fn fresh() -> anyhow::Result<PathBuf> {
    let (kept, root) = (ahead::DEBIAN.get()?, folder()?.join("root"));
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    std::fs::create_dir(&root)?;
    let mut unpack = Command::new("tar");
    unpack.args(["--numeric-owner", "--extract", "--file"]).arg(kept).arg("--directory").arg(&root);
    expect_success(&mut unpack)?;
    Ok(root)
}

/// Makes the root, if nobody has, and says where it is kept.
pub fn make() -> anyhow::Result<PathBuf> {
    let folder = folder()?;
    // A root of other packages has another name.
    let kept = folder.join(format!("{SUITE}-{}.tar", NEEDED.replace(',', "-")));
    if kept.exists() {
        return Ok(kept);
    }
    let (made, half) = (folder.join("made"), folder.join("half.tar"));
    if made.exists() {
        std::fs::remove_dir_all(&made)?;
    }
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", &format!("--include={NEEDED}"), SUITE]).arg(&made);
    expect_success(debootstrap.stdout(Stdio::null()))?;
    let mut pack = Command::new("tar");
    pack.args(["--numeric-owner", "--exclude=./var/cache/apt/archives/*.deb", "--create", "--file"])
        .arg(&half);
    expect_success(pack.arg("--directory").arg(&made).arg("."))?;
    std::fs::rename(half, &kept)?;
    std::fs::remove_dir_all(&made)?;
    Ok(kept)
}

fn folder() -> anyhow::Result<PathBuf> {
    let folder = std::path::absolute(target_folder().join("package"))?;
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn expect_success(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    anyhow::ensure!(status.success(), "{command:?} failed");
    Ok(())
}
