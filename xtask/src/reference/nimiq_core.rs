//! The published library of the Nimiq node (Apache-2.0), with its stock miners, installed with npm.
//!
//! Which version, and which versions of what it needs, is pinned by the lock file beside the programs that use it. Parts
//! of it are compiled here, for this processor and this version of node, so both are part of what is remembered.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::target_folder;

/// The folder with the programs that use it, and with the lock file.
const PEERS: &str = "crates/headframe/tests/nimiq_network/peers";
/// What npm needs to know.
const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];
/// The oldest version of node that the library supports.
const OLDEST_NODE: u32 = 18;

/// The variable in which the tests find the folder with the installed packages.
pub const VARIABLE: &str = "NIMIQ_CORE_FOLDER";

/// The programs that installing takes, each with the Debian package that has it and how it is asked whether it is there.
pub const TOOLS: [(&str, &str, &str); 5] = [
    ("node", "nodejs", "--version"),
    ("npm", "npm", "--version"),
    ("c++", "g++", "--version"),
    ("make", "make", "--version"),
    ("python3", "python3", "--version"),
];

/// Installs the library, unless it is there, and gives the folder of the packages.
pub fn install() -> anyhow::Result<PathBuf> {
    let folder = target_folder().join("reference/nimiq-core");
    let packages = folder.join("node_modules");
    let node = Node::find()?;
    let wanted = node.fingerprint()?;
    let remembered = folder.join("installed");
    if std::fs::read_to_string(&remembered).is_ok_and(|installed| installed == wanted) {
        return Ok(packages);
    }
    println!("installing the Nimiq library into {}; once, about a minute", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("cannot remove what was installed before")?;
    }
    std::fs::create_dir_all(&folder)?;
    for manifest in MANIFESTS {
        std::fs::copy(peers().join(manifest), folder.join(manifest))
            .with_context(|| format!("cannot copy {manifest}"))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
    if let Some(headers) = &node.prefix_with_headers {
        npm.env("npm_config_nodedir", headers);
    }
    let output = npm.output().context("cannot start npm")?;
    anyhow::ensure!(
        output.status.success(),
        "npm ci failed (is the package registry in reach?): {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    // An installation whose compiled parts were left out ends well, and fails only here.
    node.run("require('@nimiq/core')", &packages).context("the installed Nimiq library does not load")?;
    std::fs::write(remembered, wanted)?;
    Ok(packages)
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PEERS)
}

/// The node that runs JavaScript here.
struct Node {
    version: String,
    /// Where `include/node` is, if it is on this machine; otherwise npm fetches the headers.
    prefix_with_headers: Option<PathBuf>,
}

impl Node {
    fn find() -> anyhow::Result<Self> {
        let by_hand = format!("node {OLDEST_NODE} or later is needed: apt-get install nodejs npm");
        let output =
            Command::new("node").args(["--print", "process.version + ' ' + process.execPath"]).output();
        let output = output.context(by_hand.clone())?;
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let (version, program) = answer.split_once(' ').context(by_hand.clone())?;
        let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
        anyhow::ensure!(
            major.is_some_and(|major: u32| major >= OLDEST_NODE),
            "{by_hand}; this one is {version}"
        );
        let prefix = Path::new(program).parent().and_then(Path::parent).map(Path::to_owned);
        let prefix_with_headers = prefix.filter(|prefix| prefix.join("include/node/node.h").exists());
        Ok(Self { version: version.to_owned(), prefix_with_headers })
    }

    /// All that an installation depends on.
    fn fingerprint(&self) -> anyhow::Result<String> {
        let mut fingerprint = format!("{}\n", self.version);
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        fingerprint.extend(processor.lines().find(|line| line.starts_with("model name")));
        fingerprint.push('\n');
        for manifest in MANIFESTS {
            let text = std::fs::read_to_string(peers().join(manifest));
            fingerprint.push_str(&text.with_context(|| format!("cannot read {PEERS}/{manifest}"))?);
        }
        Ok(fingerprint)
    }

    /// Runs a script that must end well.
    fn run(&self, script: &str, packages: &Path) -> anyhow::Result<()> {
        let output = Command::new("node").args(["--eval", script]).env("NODE_PATH", packages).output()?;
        anyhow::ensure!(
            output.status.success(),
            "node {}: {}",
            self.version,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }
}
