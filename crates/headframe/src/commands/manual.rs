//! `headframe manual` and `headframe completions`: made from the definitions of the command line, so that neither says
//! anything else than `--help`.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::CommandLine;

/// A page has no date: it is of the version that it names. The empty text would be left out, and the version taken for it.
const NO_DATE: &str = " ";

/// Writes a page for the program and one for each of its commands.
pub fn pages(folder: &Path) -> anyhow::Result<()> {
    let mut program = CommandLine::command().disable_help_subcommand(true);
    program.build();
    std::fs::create_dir_all(folder)
        .and_then(|()| page_and_those_below(&program, folder))
        .with_context(|| format!("cannot write the manual to {}", folder.display()))
}

fn page_and_those_below(command: &Command, folder: &Path) -> std::io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        page_and_those_below(below, folder)?;
    }
    let page = Man::new(command.clone()).date(NO_DATE);
    page.source(concat!("headframe ", env!("CARGO_PKG_VERSION")))
        .manual("Headframe")
        .generate_to(folder)
        .map(drop)
}

/// Prints the script for a shell.
pub fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "headframe", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}
