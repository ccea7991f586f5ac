//! The reference programs of PacketCrypt (LGPL), installed with cargo.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::target_folder;

/// The published package with the announcement miner and the announcement handler.
const PACKAGE: &str = "packetcrypt";
/// Its version.
const VERSION: &str = "0.3.1";

/// The variable in which the interoperability tests find the program.
pub const VARIABLE: &str = "PACKETCRYPT_PROGRAM";

/// What is remembered of a program that was compiled quickly.
const QUICKLY: &str = "0.3.1, compiled quickly";

/// Installs the program as it is published, unless it is there, and gives its path.
pub fn install() -> anyhow::Result<PathBuf> {
    install_as(VERSION, &[VERSION])
}

/// The same where only its messages matter, not how fast they come: compiling takes half the time.
pub fn install_quickly() -> anyhow::Result<PathBuf> {
    install_as(QUICKLY, &[QUICKLY, VERSION])
}

fn install_as(wanted: &str, enough: &[&str]) -> anyhow::Result<PathBuf> {
    let root = target_folder().join("reference");
    let program = root.join("bin").join(PACKAGE);
    if installed_version(&root).is_some_and(|version| enough.contains(&&*version)) && program.exists() {
        return Ok(program);
    }
    println!(
        "installing {PACKAGE} {VERSION} (the reference programs) into {}; once, some minutes",
        root.display()
    );
    let mut cargo = Command::new(env!("CARGO"));
    if wanted == QUICKLY {
        cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    }
    let status = cargo
        .args(["install", &format!("{PACKAGE}@{VERSION}"), "--quiet", "--force", "--root"])
        .arg(&root)
        // Its build must not share a folder with ours: another profile, other flags.
        .env("CARGO_TARGET_DIR", root.join("build"))
        .status()
        .context("cannot start cargo")?;
    anyhow::ensure!(
        status.success(),
        "cargo install {PACKAGE}@{VERSION} failed (is the package registry in reach?)"
    );
    std::fs::remove_dir_all(root.join("build")).context("cannot remove the build folder")?;
    std::fs::write(root.join("version"), wanted)?;
    Ok(program)
}

/// The program as it is published, if it has been installed or [`VARIABLE`] names it.
pub fn installed() -> Option<PathBuf> {
    let root = target_folder().join("reference");
    let ours = (installed_version(&root).as_deref() == Some(VERSION)).then(|| root.join("bin").join(PACKAGE));
    std::env::var_os(VARIABLE).map(PathBuf::from).or(ours).filter(|program| program.exists())
}

fn installed_version(root: &Path) -> Option<String> {
    std::fs::read_to_string(root.join("version")).ok()
}
