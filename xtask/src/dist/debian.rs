//! The Debian package: the staged files with what `dpkg` wants to know of them.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::Packing;
use super::stage::{put_file, run};
use crate::test::{answers, install_package};

/// Whom to ask about the package.
const MAINTAINER: &str = "Headframe developers <headframe@localhost>";
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Makes the package from `stage` into `folder`.
pub fn package(
    stage: &Path,
    program: &Path,
    folder: &Path,
    is_static: bool,
    packing: Packing,
) -> anyhow::Result<PathBuf> {
    if !answers("dpkg-shlibdeps", &["--version"]) {
        install_package("dpkg-shlibdeps", "dpkg-dev")?;
    }
    let architecture = said_by(Command::new("dpkg").arg("--print-architecture"))?;
    let libraries = if is_static { String::new() } else { libraries(program)? };
    let about = stage.join("DEBIAN");
    for script in SCRIPTS {
        put_file(&Path::new("deploy/debian").join(script), &about.join(script), "0755")?;
    }
    std::fs::write(about.join("conffiles"), "/etc/headframe/pool.toml\n")?;
    std::fs::write(about.join("control"), control(&architecture, &libraries, size(stage)?))?;
    let version = env!("CARGO_PKG_VERSION");
    let file = folder.join(format!("headframe_{version}_{architecture}.deb"));
    let mut build = Command::new("dpkg-deb");
    let compression = match packing {
        Packing::Small => "-Zxz",
        Packing::Quick => "-Zzstd",
    };
    build.args([compression, "--root-owner-group", "--build"]).arg(stage).arg(&file);
    // The time of the last change, not of the build: two builds of one source are equal. An archive of the source has none.
    if let Ok(time) = said_by(Command::new("git").args(["log", "-1", "--format=%ct"])) {
        build.env("SOURCE_DATE_EPOCH", time);
    }
    run(&mut build)?;
    Ok(file)
}

fn control(architecture: &str, libraries: &str, kibibytes: u64) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        "Package: headframe\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {MAINTAINER}\n\
         Section: net\nPriority: optional\nInstalled-Size: {kibibytes}\n"
    );
    let depends = [libraries, "adduser", "ca-certificates"]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "Depends: {}", depends.join(", "));
    text.push_str(
        "Suggests: nginx, polkitd, postgresql, prometheus\n\
         Description: mining pool for PacketCrypt and Nimiq\n \
         All roles of a mining pool in one program: work, checks of announcements and\n \
         shares, ledger, payouts, website, and chains of its own to try it with.\n",
    );
    text
}

/// Which packages have the libraries that the program is linked with.
fn libraries(program: &Path) -> anyhow::Result<String> {
    // The tool wants to see the source of a package around it.
    let source = tempfile::tempdir()?;
    let about = source.path().join("debian");
    std::fs::create_dir(&about)?;
    std::fs::write(about.join("control"), "Source: headframe\n\nPackage: headframe\nArchitecture: any\n")?;
    let program = std::fs::canonicalize(program)?;
    let said = said_by(Command::new("dpkg-shlibdeps").current_dir(source.path()).arg("-O").arg(program))?;
    let libraries = said.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    Ok(libraries.context("dpkg-shlibdeps names no library")?.to_owned())
}

/// How much room the files take, in KiB.
fn size(stage: &Path) -> anyhow::Result<u64> {
    let said = said_by(Command::new("du").args(["-sk", "--apparent-size"]).arg(stage))?;
    let number = said.split_whitespace().next().context("du says nothing")?;
    Ok(number.parse()?)
}

fn said_by(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
