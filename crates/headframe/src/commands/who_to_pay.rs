//! `headframe who-to-pay`: a distribution from event logs, to the last digit what the PayMaker with the same rules
//! had.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use ledger::{Rules, UnixMillis};

use crate::cli::WhoToPay;
use crate::commands::config;
use crate::config::Files;
use crate::roles;

/// Reads the logs in the order given (it makes no difference) and prints the document.
pub fn run(arguments: &WhoToPay) -> anyhow::Result<()> {
    let config = config::load(&arguments.configuration, Vec::new(), Files::MayBeElsewhere)?;
    let rules = Rules::new(&roles::rules(&config)?)?;
    let read = |file: &PathBuf| {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
    };
    let logs = arguments.events.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    // Logs of the past: nothing in them is in the future.
    let end_of_time = UnixMillis(u64::MAX);
    let (ledger, receipts) = ledger::replay(rules, logs.iter().map(String::as_str), end_of_time);
    for (file, receipt) in arguments.events.iter().zip(receipts) {
        for warning in receipt.warnings.texts() {
            eprintln!("{}: {warning}", file.display());
        }
    }
    let at = arguments.at.as_deref().map(moment).transpose()?;
    let now = at.or(ledger.newest_event()).unwrap_or_default();
    writeln!(std::io::stdout(), "{}", ledger.who_to_pay(now, at).to_json())?;
    Ok(())
}

/// Milliseconds since 1970, or a time as in RFC 3339.
fn moment(text: &str) -> anyhow::Result<UnixMillis> {
    if let Ok(millis) = text.parse() {
        return Ok(UnixMillis(millis));
    }
    let time: jiff::Timestamp = text.parse().with_context(|| {
        format!("--at {text}: expected milliseconds since 1970, or a time such as 2026-11-21T00:00:00Z")
    })?;
    let millis =
        u64::try_from(time.as_millisecond()).with_context(|| format!("--at {text}: is before 1970"))?;
    Ok(UnixMillis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_write_a_moment() {
        assert_eq!(moment("1600000000000").unwrap(), UnixMillis(1_600_000_000_000));
        assert_eq!(moment("2020-09-13T12:26:40Z").unwrap(), UnixMillis(1_600_000_000_000));
        assert!(moment("yesterday").unwrap_err().to_string().contains("expected milliseconds"));
    }
}
