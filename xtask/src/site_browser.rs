//! The tests of the website in a real browser, and what they need: Chromium and its driver from Debian, and the
//! accessibility audit axe-core (MPL-2.0), which lands in a folder below `target/` and is part of nothing that is shipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::reference::target_folder;
use crate::test::{answers, in_ci, install_package, programs};

/// The folder with the pinned version of the audit.
const MANIFESTS: &str = "crates/headframe/tests/site_browser/axe";
/// The variable in which the tests find the folder with the installed packages.
const VARIABLE: &str = "AXE_CORE_FOLDER";
/// Each program with the Debian package that has it.
const PROGRAMS: [(&str, &str); 3] =
    [("chromium", "chromium"), ("chromedriver", "chromium-driver"), ("npm", "npm")];

/// The step of `cargo xtask test`. One test after the other: each has a browser and a pool, and this may be a small machine.
pub fn run() -> anyhow::Result<()> {
    let packages = match install() {
        Ok(packages) => packages,
        Err(error) if in_ci() => return Err(error.context("needed for the tests in a browser")),
        Err(error) => {
            println!("SKIPPED: the tests in a browser: {error:#}");
            return Ok(());
        }
    };
    programs::named("site_browser")?.run(&["--test-threads=1"], &[(VARIABLE, packages.as_os_str())])?;
    println!("screenshots: {}", target_folder().join("screenshots").display());
    Ok(())
}

/// Installs what is missing, and gives the folder of the packages.
fn install() -> anyhow::Result<PathBuf> {
    for (program, package) in PROGRAMS {
        if !answers(program, &["--version"]) {
            install_package(program, package)?;
        }
    }
    let folder = target_folder().join("axe-core");
    let packages = folder.join("node_modules");
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(MANIFESTS);
    let lock = "package-lock.json";
    let wanted = std::fs::read(manifests.join(lock)).with_context(|| format!("cannot read {MANIFESTS}"))?;
    let is_there = std::fs::read(folder.join(lock)).is_ok_and(|installed| installed == wanted);
    if is_there && packages.join("axe-core/axe.min.js").exists() {
        return Ok(packages);
    }
    std::fs::create_dir_all(&folder)?;
    for manifest in ["package.json", lock] {
        std::fs::copy(manifests.join(manifest), folder.join(manifest))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
    let output = npm.output().context("cannot start npm")?;
    let reason = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "npm ci failed (is the package registry in reach?): {}",
        reason.trim()
    );
    Ok(packages)
}
