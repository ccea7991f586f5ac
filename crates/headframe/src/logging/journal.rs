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
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_begins_with_its_level_and_has_no_time() {
        let lines = Lines::default();
        let format = tracing_subscriber::fmt::format().without_time().with_level(false).with_ansi(false);
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().event_format(JournalLines(format));
        let log = log.with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(log, || {
            tracing::warn!("the disk is nearly full");
            tracing::info!(height = 7, "new work");
        });
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let own = module_path!();
        assert_eq!(written, format!("<4>{own}: the disk is nearly full\n<6>{own}: new work height=7\n"));
    }
}
