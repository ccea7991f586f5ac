//! Lines for systemd's journal, which has the time of each already, and takes its level from a number in front
//! (`man sd-daemon`): so `journalctl --priority=warning` shows what somebody should look at.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// In which variable systemd says which stream is the journal's.
const STREAM: &str = "JOURNAL_STREAM";

/// Whether standard error goes straight to the journal.
pub fn reads_us() -> bool {
    let Ok(stream) = std::env::var(STREAM) else { return false };
    rustix::fs::fstat(std::io::stderr()).is_ok_and(|own| stream == format!("{}:{}", own.st_dev, own.st_ino))
}

/// Puts the level in front of what the other format writes.
pub struct JournalLines<F>(pub F);

impl<S, N, F> FormatEvent<S, N> for JournalLines<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// syslog's numbers.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::written_lines::{plain, written};

    #[test]
    fn a_line_begins_with_its_level_and_has_no_time() {
        let lines = written(JournalLines(plain()), || {
            tracing::warn!("the disk is nearly full");
            tracing::info!(height = 7, "new work");
        });
        let own = module_path!();
        let expected = [format!("<4>{own}: the disk is nearly full"), format!("<6>{own}: new work height=7")];
        assert_eq!(lines, expected);
    }
}
