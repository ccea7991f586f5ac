//! The Debian package in a fresh root, as a machine of its own: systemd is booted there, the package installed, a pool
//! started from its units, and done with it what operators do.

mod alone;
mod callers;
mod changed_root;
mod guide;
mod installed;
mod machine;
mod root;

use std::path::PathBuf;
use std::time::Instant;

use guide::Guide;
use machine::Machine;

use super::{answers, in_ci, install_package, programs};
use crate::dist::{self, Packing};
use crate::reference::target_folder;

/// Runs it all.
pub fn run() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        anyhow::ensure!(!in_ci(), "a fresh root is made by root");
        println!("SKIPPED: the package in a fresh root, which only root can make");
        return Ok(());
    }
    tools()?;
    let program = programs::headframe()?;
    // Not where the package is that is handed out.
    let folder = target_folder().join("package");
    let make = || dist::package(&program, false, Packing::Quick, &folder);
    let package = make()?;
    let bytes = std::fs::read(&package)?;
    anyhow::ensure!(std::fs::read(make()?)? == bytes, "two packages of one program differ");
    let root = root::fresh()?;
    let machine = match Machine::boot(&root) {
        Ok(machine) => machine,
        Err(error) => {
            println!("SKIPPED: whatever needs systemd, which cannot be started in the root: {error:#}");
            return changed_root::run(&root::fresh()?, &package);
        }
    };
    let mut guide = Guide::open(&machine, "install.md")?;
    let installing = Instant::now();
    installed::install(&machine, &mut guide, &package)?;
    installed::first_block(&machine, &mut guide, installing)?;
    installed::units_are_sound(&machine)?;
    installed::reload(&machine, &mut guide)?;
    installed::upgrade(&machine)?;
    installed::low_port(&machine, &mut guide)?;
    guide.close()?;
    installed::monitor(&machine)?;
    installed::backup(&machine)?;
    alone::start(&machine)?;
    installed::remove(&machine)
}

/// What makes the root.
pub fn tools() -> anyhow::Result<()> {
    if !answers("debootstrap", &["--version"]) {
        install_package("debootstrap", "debootstrap")?;
    }
    Ok(())
}

/// The root of which each run takes a copy.
pub fn root() -> anyhow::Result<PathBuf> {
    root::make()
}
