//! `headframe manual` and `headframe completions`: made from the definitions of the command line, so that neither says
//! anything else than `--help`.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::CommandLine;

/// Writes a page for the program and one for each of its commands.
pub fn pages(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(CommandLine::command(), folder))
        .with_context(|| format!("cannot write the manual to {}", folder.display()))
}

/// Prints the script for a shell.
pub fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "headframe", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}
