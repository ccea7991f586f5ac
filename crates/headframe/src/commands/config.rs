//! `headframe config`: the commented example, and the check of a file.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use crate::cli::{Configuration, NamedRole, NimiqPayout, NimiqServerRole, Role, Up};
use crate::config::{Config, Files, Override};
use crate::serve::LoadConfig;

/// Prints every key.
pub fn example() -> anyhow::Result<()> {
    std::io::stdout().write_all(Config::example().as_bytes())?;
    Ok(())
}

/// Prints that a file is good, or fails with every problem. Looks at the file and at what it names, not at the
/// environment.
pub fn check(file: &Path, elsewhere: bool) -> anyhow::Result<()> {
    let text = read(file)?;
    let files = if elsewhere { Files::MayBeElsewhere } else { Files::MustBeHere };
    Config::load(Some((file, &text)), [], &[], files)?;
    writeln!(std::io::stdout(), "{}: no errors", file.display())?;
    Ok(())
}

/// Loads all layers for a command that runs with them.
pub fn load(arguments: &Configuration, more: Vec<Override>, files: Files) -> anyhow::Result<Config> {
    let mut overrides = arguments.set.iter().map(|set| split(set)).collect::<anyhow::Result<Vec<_>>>()?;
    let flag = |key: &str, value: String, flag: &str| Override { key: key.into(), value, flag: flag.into() };
    overrides.extend(arguments.listen.map(|listen| flag("http.listen", listen.to_string(), "--listen")));
    // In quotes, so that a folder named `1` stays a text.
    let data = arguments.data.as_ref().map(|data| format!("{:?}", data.display().to_string()));
    overrides.extend(data.map(|data| flag("pool.data", data, "--data")));
    overrides.extend(more);
    let text = arguments.config.as_deref().map(read).transpose()?;
    let file = arguments.config.as_deref().zip(text.as_deref());
    Ok(Config::load(file, std::env::vars(), &overrides, files)?)
}

fn split(set: &str) -> anyhow::Result<Override> {
    let (key, value) =
        set.split_once('=').with_context(|| format!("--set {set}: expected SECTION.KEY=VALUE"))?;
    Ok(Override { key: key.trim().to_owned(), value: value.trim().to_owned(), flag: format!("--set {key}") })
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read the configuration {}", file.display()))
}

impl Up {
    /// How its configuration is read, now and at each SIGHUP.
    pub fn load(self) -> LoadConfig {
        Arc::new(move || {
            let dev_chain = self.dev_chain_listen.map(|listen| Override {
                key: "dev_chain.listen".to_owned(),
                value: listen.to_string(),
                flag: "--dev-chain-listen".to_owned(),
            });
            load(&self.configuration, dev_chain.into_iter().collect(), Files::MustBeHere)
        })
    }
}

impl Role {
    /// How its configuration is read, now and at each SIGHUP.
    pub fn load(self) -> LoadConfig {
        Arc::new(move || load(&self.configuration, Vec::new(), Files::MayBeElsewhere))
    }
}

impl NimiqPayout {
    /// How its configuration is read, now and at each SIGHUP.
    pub fn load(self) -> LoadConfig {
        Arc::new(move || load(&self.configuration, Vec::new(), Files::MayBeElsewhere))
    }
}

impl NimiqServerRole {
    /// How its configuration is read.
    pub fn load(self) -> LoadConfig {
        Arc::new(move || load(&self.configuration, Vec::new(), Files::MayBeElsewhere))
    }
}

impl NamedRole {
    /// How its configuration is read.
    pub fn load(self) -> LoadConfig {
        Arc::new(move || load(&self.configuration, Vec::new(), Files::MayBeElsewhere))
    }
}
