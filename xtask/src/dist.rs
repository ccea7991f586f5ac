//! `cargo xtask dist`: what is handed to operators, in `target/dist`: the program, linked statically where that is wished,
//! manual, completions, and a Debian package of all that with the systemd units of `deploy/`.

mod debian;
mod stage;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::reference::target_folder;
use crate::test::{answers, install_package};

/// For a program that needs no library of the system.
const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

/// What to make.
#[derive(Debug, clap::Args)]
pub struct Dist {
    /// How to build the program
    #[arg(long, default_value = "release")]
    profile: String,
    /// Links the program statically (x86-64): it then runs on any Linux
    #[arg(long = "static")]
    is_static: bool,
}

/// How the files are packed.
#[derive(Debug, Clone, Copy)]
pub enum Packing {
    /// To be downloaded: as small as may be, which takes most of a minute.
    Small,
    /// To be installed here, at once.
    Quick,
}

/// Makes all, and says where it is.
pub fn run(dist: &Dist) -> anyhow::Result<()> {
    std::env::set_current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?;
    println!("package: {}", package(&build(dist)?, dist.is_static, Packing::Small)?.display());
    Ok(())
}

/// Makes all of a program that is there, and gives back where the package is. To be called in the root of the project.
pub fn package(program: &Path, is_static: bool, packing: Packing) -> anyhow::Result<PathBuf> {
    let folder = target_folder().join("dist");
    let stage = stage::fill(program, &folder.join("stage"))?;
    debian::package(&stage, program, &folder, is_static, packing)
}

fn build(dist: &Dist) -> anyhow::Result<PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--locked", "--package", "headframe", "--profile", &dist.profile]);
    let mut folder = target_folder();
    if dist.is_static {
        if !answers("musl-gcc", &["--version"]) {
            install_package("a C compiler for static programs", "musl-tools")?;
        }
        command.args(["--target", STATIC_TARGET]);
        folder.push(STATIC_TARGET);
    }
    let status = command.status().context("cannot start cargo")?;
    anyhow::ensure!(
        status.success(),
        "the program does not build; for a static one: rustup target add {STATIC_TARGET}"
    );
    let profile = if dist.profile == "dev" { "debug" } else { &dist.profile };
    Ok(folder.join(profile).join("headframe"))
}
