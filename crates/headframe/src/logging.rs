//! Log lines: to standard error, for people, for systemd's journal or as JSON, filtered. And what a long-lived program says of
//! itself at its start, to standard output. A line that a request causes names it.
//!
//! Whoever reads either may go away, as a pipe's reader or a closed terminal does: the program goes on.

mod journal;
mod requests;
#[cfg(test)]
mod written_lines;

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use anyhow::Context;
use tracing_subscriber::fmt::{FormatEvent, FormatFields, MakeWriter, SubscriberBuilder, format};
use tracing_subscriber::{EnvFilter, Registry};

use crate::cli::{CommandLine, LogFormat};
use crate::config::Log;
use requests::{Place, RequestLines};

/// Replaces the filter; there is none where the command line or the environment decides.
static REPLACE: OnceLock<Replace> = OnceLock::new();

type Replace = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// Starts logging for the whole process. `RUST_LOG` works as in the reference programs.
pub fn start(command_line: &CommandLine) -> anyhow::Result<()> {
    let said = match (&command_line.log, std::env::var("RUST_LOG")) {
        (Some(filter), _) => Some(filter.clone()),
        (None, _) if command_line.verbose => Some(format!("debug,{}", Log::USUAL).replace(",info", "")),
        (None, said) => said.ok(),
    };
    let filter = said.as_deref().unwrap_or(Log::USUAL);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("log filter {filter:?}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Otherwise a line that cannot be written is told of by one that cannot either, and whoever logged it dies.
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let replace = match command_line.log_format {
        LogFormat::Text if journal::reads_us() => {
            let format = format().without_time().with_level(false).with_ansi(false);
            begin(builder.event_format(RequestLines::new(journal::JournalLines(format), Place::End)))
        }
        LogFormat::Text => {
            // Said to the format too, since a line with a request is first written into memory.
            let format = format().with_ansi(std::io::stderr().is_terminal());
            begin(builder.event_format(RequestLines::new(format, Place::End)))
        }
        LogFormat::Json => {
            begin(builder.json().map_event_format(|json| RequestLines::new(json, Place::Member)))
        }
    };
    if said.is_none() {
        REPLACE.get_or_init(|| replace);
    }
    Ok(())
}

/// Says a line to whoever reads, if anybody does.
pub fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Logs from now on, until the filter is replaced by what this gives back.
fn begin<N, E, W>(builder: SubscriberBuilder<N, E, EnvFilter, W>) -> Replace
where
    N: for<'writer> FormatFields<'writer> + Send + Sync + 'static,
    E: FormatEvent<Registry, N> + Send + Sync + 'static,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let builder = builder.with_filter_reloading();
    let handle = builder.reload_handle();
    builder.init();
    // It fails only when nothing is logged any more.
    Box::new(move |filter| drop(handle.reload(filter)))
}

/// Logs what the configuration says, unless the command line or the environment has decided. The text has been checked.
pub fn use_filter(filter: &str) {
    if let (Some(replace), Ok(filter)) = (REPLACE.get(), EnvFilter::try_new(filter)) {
        replace(filter);
    }
}
