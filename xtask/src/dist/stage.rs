//! The files of an installed Headframe, each at its place below one folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use super::materials::{self, Part};

/// Completions: how `headframe completions` calls the shell, and where the shell looks for them.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/headframe"),
    ("zsh", "usr/share/zsh/vendor-completions/_headframe"),
    ("fish", "usr/share/fish/vendor_completions.d/headframe.fish"),
];
/// What holds for all units of a kind.
const SHARED: [&str; 2] = ["headframe-.service.d", "headframe-.socket.d"];
/// Where the units keep everything.
const DATA: &str = "/var/lib/headframe";

/// Fills `root`, which is emptied before, and gives it back; `parts` is what the program is made of.
pub fn fill(program: &Path, parts: &BTreeSet<Part>, root: &Path) -> anyhow::Result<PathBuf> {
    if root.exists() {
        std::fs::remove_dir_all(root).with_context(|| format!("cannot empty {}", root.display()))?;
    }
    put_file(program, &root.join("usr/bin/headframe"), "0755")?;
    run(Command::new("strip").arg(root.join("usr/bin/headframe")))?;
    configuration(program, root)?;
    manual(program, root)?;
    for (shell, place) in COMPLETIONS {
        put(&output(program, &["completions", shell])?, &root.join(place))?;
    }
    units(root)?;
    documents(root)?;
    put(materials::bill(parts)?.as_bytes(), &root.join("usr/share/doc/headframe/headframe.cdx.json"))?;
    let licenses = root.join("usr/share/doc/headframe/third-party-licenses");
    put(materials::licenses(parts)?.as_bytes(), &licenses)?;
    compress(&licenses)?;
    Ok(root.to_owned())
}

/// What is read, and what is copied from, in the order of the source: so links from one to the other hold.
fn documents(root: &Path) -> anyhow::Result<()> {
    let installed = root.join("usr/share/doc/headframe");
    for part in [
        "README.md",
        "ARCHITECTURE.md",
        "LICENSE-MIT",
        "docs",
        "deploy/nginx.conf",
        "deploy/prometheus",
        "deploy/grafana",
    ] {
        for file in files_below(Path::new(part))? {
            put_file(&file, &installed.join(&file), "0644")?;
        }
    }
    put_file(Path::new("deploy/debian/copyright"), &installed.join("copyright"), "0644")?;
    put_file(Path::new("CHANGELOG.md"), &installed.join("changelog"), "0644")?;
    compress(&installed.join("changelog"))
}

/// Every key with its default, as a comment; set is where the units may write.
fn configuration(program: &Path, root: &Path) -> anyhow::Result<()> {
    let example = String::from_utf8(output(program, &["config", "example"])?)?;
    let default = "# data = \"./headframe-data\"";
    anyhow::ensure!(example.contains(default), "the example has no line {default:?}");
    let installed = example.replace(default, &format!("data = \"{DATA}\""));
    put(installed.as_bytes(), &root.join("etc/headframe/pool.toml"))
}

fn manual(program: &Path, root: &Path) -> anyhow::Result<()> {
    let folder = root.join("usr/share/man/man1");
    run(Command::new(program).arg("manual").arg(&folder))?;
    for page in files(&folder)? {
        compress(&page)?;
    }
    Ok(())
}

/// With what may be ordered of them, by whom.
fn units(root: &Path) -> anyhow::Result<()> {
    let folder = Path::new("deploy/systemd");
    let installed = root.join("usr/lib/systemd/system");
    let shared = SHARED.map(|shared| files(&folder.join(shared)));
    for file in
        files(folder)?.into_iter().chain(shared.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat())
    {
        let place = file.strip_prefix(folder).context("a unit is in its folder")?;
        put_file(&file, &installed.join(place), "0644")?;
    }
    let rules = root.join("usr/share/polkit-1/rules.d/60-headframe.rules");
    put_file(Path::new("deploy/polkit/60-headframe.rules"), &rules, "0644")
}

/// The files of a folder, without those of its folders.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

/// The file itself, or all files of a folder and of its folders.
fn files_below(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = files(path)?;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?.path();
        if entry.is_dir() {
            found.extend(files_below(&entry)?);
        }
    }
    Ok(found)
}

/// Puts a file in its place, and makes the folders above it.
pub(super) fn put_file(from: &Path, to: &Path, mode: &str) -> anyhow::Result<()> {
    run(Command::new("install").args(["-D", "-m", mode]).arg(from).arg(to))
}

fn put(content: &[u8], to: &Path) -> anyhow::Result<()> {
    let parent = to.parent().context("a file is in a folder")?;
    std::fs::create_dir_all(parent)
        .and_then(|()| std::fs::write(to, content))
        .with_context(|| format!("cannot write {}", to.display()))
}

/// Without name and time of the file, so that two builds are equal.
fn compress(file: &Path) -> anyhow::Result<()> {
    run(Command::new("gzip").args(["-9", "-n"]).arg(file))
}

fn output(program: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    anyhow::ensure!(output.status.success(), "{} {} failed", program.display(), arguments.join(" "));
    Ok(output.stdout)
}

/// Runs a program that must succeed.
pub(super) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    anyhow::ensure!(status.success(), "{command:?} failed");
    Ok(())
}
