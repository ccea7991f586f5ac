//! Log lines: to standard error, for people or as JSON, filtered.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::cli::{CommandLine, LogFormat};

/// What is logged when nobody says otherwise.
const USUAL: &str = "info,hyper=warn,reqwest=warn,sqlx=warn";

/// Starts logging for the whole process. `RUST_LOG` works as in the reference programs.
pub fn start(command_line: &CommandLine) -> anyhow::Result<()> {
    let filter = match (&command_line.log, std::env::var("RUST_LOG")) {
        (Some(filter), _) => filter.clone(),
        (None, _) if command_line.verbose => format!("debug,{USUAL}").replace(",info", ""),
        (None, Ok(filter)) => filter,
        (None, Err(_)) => USUAL.to_owned(),
    };
    let filter = EnvFilter::try_new(&filter).with_context(|| format!("log filter {filter:?}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match command_line.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
