//! `headframe config import-reference`: our configuration from those of the reference programs, and a list of what it does
//! not say. Formats: docs/protocol/packetcrypt-pool.md 13, docs/protocol/nimiq-pool.md 4.5.

mod draft;
mod literal;
mod nimiq_conf;
mod pool_js;
mod pool_toml;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::config::{Config, Files, Problems};
use draft::Draft;

/// No configuration of a pool is longer, in bytes.
const LONGEST: usize = 1 << 20;

/// Prints the configuration; says on standard error what was not carried over, and what is still wrong with the result.
pub fn run(files: &[PathBuf]) -> anyhow::Result<()> {
    let mut draft = Draft::default();
    for file in files {
        read(file, &mut draft)?;
    }
    let text = draft.render();
    write!(std::io::stdout(), "{text}")?;
    for note in draft.notes() {
        eprintln!("not carried over: {note}");
    }
    let result = Path::new("the result");
    if let Err(Problems(problems)) = Config::load(Some((result, &text)), [], &[], Files::MayBeElsewhere) {
        for problem in problems {
            eprintln!("to be mended: {problem}");
        }
    }
    Ok(())
}

/// What a file is, is told by its name.
fn read(file: &Path, draft: &mut Draft) -> anyhow::Result<()> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    anyhow::ensure!(text.len() <= LONGEST, "{shown} is larger than any configuration ({LONGEST} bytes)");
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    draft.begin(&name);
    let extension = file.extension().unwrap_or_default().to_string_lossy();
    match extension.as_ref() {
        "toml" => pool_toml::read(&text, draft),
        "js" => pool_js::read(&text, draft),
        "conf" | "json" | "json5" => nimiq_conf::read(&text, draft),
        _ => anyhow::bail!("expected pool.toml, pool.js or a .conf of the Nimiq pool"),
    }
    .with_context(|| format!("cannot import {shown}"))
}

#[cfg(test)]
mod tests;
