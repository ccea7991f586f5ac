//! The tests of the website in a real browser, and what they need: Chromium and its driver from Debian, the accessibility
//! audit axe-core (MPL-2.0) from npm, and schemathesis (MIT) from PyPI, which compares the API with its document. The last
//! two land in folders below `target/` and are part of nothing that is shipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::reference::target_folder;
use crate::test::{ahead, answers, in_ci, install_package, programs};

/// The folder with the pinned version of the audit.
const MANIFESTS: &str = "crates/headframe/tests/site_browser/axe";
/// The variable in which the tests find the folder with the installed packages.
const VARIABLE: &str = "AXE_CORE_FOLDER";
/// The file with the pinned version of schemathesis.
const REQUIREMENTS: &str = "crates/headframe/tests/site_browser/schemathesis/requirements.txt";
/// The variable in which the tests find it.
const SCHEMATHESIS: &str = "SCHEMATHESIS";
/// Each program with the Debian package that has it.
const PROGRAMS: [(&str, &str); 3] =
    [("chromium", "chromium"), ("chromedriver", "chromium-driver"), ("npm", "npm")];

/// The step of `cargo xtask test`. Two tests at once: each has a browser and a pool, and waits more than it computes.
pub fn run() -> anyhow::Result<()> {
    let needed = || {
        tools()?;
        Ok((ahead::AXE.get()?, ahead::SCHEMATHESIS.get()?))
    };
    let (packages, schemathesis) = match needed() {
        Ok(installed) => installed,
        Err(error) if in_ci() => {
            return Err(anyhow::Error::context(error, "needed for the tests in a browser"));
        }
        Err(error) => {
            println!("SKIPPED: the tests in a browser: {error:#}");
            return Ok(());
        }
    };
    let environment = [(VARIABLE, packages.as_os_str()), (SCHEMATHESIS, schemathesis.as_os_str())];
    programs::named("site_browser")?.run(&["--test-threads=2"], &environment)?;
    println!("screenshots: target/screenshots");
    Ok(())
}

/// What is installed with Debian's package manager.
pub fn tools() -> anyhow::Result<()> {
    for (program, package) in PROGRAMS {
        if !answers(program, &["--version"]) {
            install_package(program, package)?;
        }
    }
    if !answers("python3", &["-c", "import ensurepip, venv"]) {
        install_package("Python with its module venv", "python3-venv")?;
    }
    Ok(())
}

/// Installs the audit, and gives the folder of its packages.
pub fn axe() -> anyhow::Result<PathBuf> {
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

/// Installs schemathesis into a folder of its own, and gives its path.
pub fn schemathesis() -> anyhow::Result<PathBuf> {
    let folder = target_folder().join("schemathesis");
    let (program, noted) = (folder.join("bin/schemathesis"), folder.join("requirements.txt"));
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(REQUIREMENTS);
    let wanted = std::fs::read(&requirements).with_context(|| format!("cannot read {REQUIREMENTS}"))?;
    if program.exists() && std::fs::read(&noted).is_ok_and(|installed| installed == wanted) {
        return Ok(program);
    }
    println!("installing schemathesis into {}", folder.display());
    let place = folder.to_str().context("the path of the target folder is not UTF-8")?;
    anyhow::ensure!(answers("python3", &["-m", "venv", "--clear", place]), "python3 -m venv failed");
    let mut install = Command::new(folder.join("bin/pip"));
    let status = install.args(["install", "--quiet", "--requirement"]).arg(&requirements).status();
    anyhow::ensure!(
        status.is_ok_and(|status| status.success()),
        "schemathesis cannot be installed from PyPI"
    );
    std::fs::write(noted, wanted)?;
    Ok(program)
}
