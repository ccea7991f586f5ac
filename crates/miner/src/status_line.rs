//! Where a miner's figures go: a line for people, JSON for programs, metrics for monitoring.
//!
//! A miner hands out a [`Status`] every few seconds; a [`StatusOutput`] does something with it. [`StatusLine`] is for
//! a terminal or a log, [`StatusMetrics`] for a Prometheus registry; [`Status`] itself serialises to JSON.

mod metrics;

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

pub use metrics::StatusMetrics;

use crate::{announcements::AnnouncementStatus, blocks::BlockStatus, nimiq::NimiqStatus};

/// The figures of one miner at one moment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Of an announcement miner.
    Announcements(AnnouncementStatus),
    /// Of a block miner.
    Blocks(BlockStatus),
    /// Of a Nimiq miner.
    Nimiq(NimiqStatus),
}

impl Status {
    /// The figures in one line for people, without a line end.
    pub fn line(&self) -> String {
        match self {
            Self::Announcements(status) => status.line(),
            Self::Blocks(status) => status.line(),
            Self::Nimiq(status) => status.line(),
        }
    }
}

/// Something that wants to know a miner's figures. Called every few seconds; must not block for long.
pub trait StatusOutput: Send + Sync {
    /// The newest figures.
    fn status(&self, status: &Status);
}

/// Nobody wants to know.
impl StatusOutput for () {
    fn status(&self, _: &Status) {}
}

/// Several want to know.
impl StatusOutput for Vec<Arc<dyn StatusOutput>> {
    fn status(&self, status: &Status) {
        for output in self {
            output.status(status);
        }
    }
}

/// How [`StatusLine`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One line that is written over by the next one.
    Terminal,
    /// A line each, beginning with unix seconds, for logs and scripts.
    Plain,
    /// A JSON object each.
    Json,
}

/// Writes the figures as text.
pub struct StatusLine<W> {
    style: Style,
    state: Mutex<LineState<W>>,
}

struct LineState<W> {
    output: W,
    line_is_open: bool,
}

/// Back to the start of the line, and clear it.
const CLEAR_LINE: &str = "\r\x1b[2K";

impl<W: Write + Send> StatusLine<W> {
    /// Writes to `output`.
    pub fn new(output: W, style: Style) -> Self {
        Self { style, state: Mutex::new(LineState { output, line_is_open: false }) }
    }

    /// Removes the status line from a terminal, so that something else can be printed there; the next status
    /// brings it back.
    pub fn clear(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.line_is_open) {
            // A terminal that is gone is no reason to stop mining.
            let _ = state.output.write_all(CLEAR_LINE.as_bytes()).and_then(|()| state.output.flush());
        }
    }

    fn text(&self, status: &Status) -> String {
        match self.style {
            Style::Terminal => format!("{CLEAR_LINE}{}", status.line()),
            Style::Plain => format!("{} {}\n", unix_seconds(), status.line()),
            Style::Json => match serde_json::to_string(status) {
                Ok(json) => format!("{json}\n"),
                Err(error) => format!("{{\"error\":\"{error}\"}}\n"),
            },
        }
    }
}

impl<W: Write + Send> StatusOutput for StatusLine<W> {
    fn status(&self, status: &Status) {
        let text = self.text(status);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.line_is_open = self.style == Style::Terminal;
        let _ = state.output.write_all(text.as_bytes()).and_then(|()| state.output.flush());
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `text`, filled up with spaces to `width` characters.
pub(crate) fn padded(width: usize, text: &str) -> String {
    format!("{text:<width$}")
}

/// A rate with a letter for its thousands, as the reference miner prints it: an integer below 10 000.
pub(crate) fn in_thousands(mut value: u128) -> String {
    let mut letter = "";
    for next in ["K", "M", "G", "T", "P", "E", "Z", "Y"] {
        if value < 10_000 {
            break;
        }
        value /= 1000;
        letter = next;
    }
    format!("{value} {letter}")
}

/// A bandwidth in kbit/s, as the reference miner prints it: two decimals, cut off.
pub(crate) fn bandwidth(kilobits_per_second: u64) -> String {
    let mut hundredths = u128::from(kilobits_per_second) * 100;
    let mut letter = "K";
    for next in ["M", "G", "T", "P", "E", "Z", "Y"] {
        if hundredths < 1000 * 100 {
            break;
        }
        hundredths /= 1024;
        letter = next;
    }
    format!("{}.{:02}{letter}b/s", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_those_of_the_reference() {
        assert_eq!(bandwidth(450 * 8), "3.51Mb/s");
        assert_eq!(bandwidth(999), "999.00Kb/s");
        assert_eq!(bandwidth(1000), "0.97Mb/s");
        assert_eq!(bandwidth(0), "0.00Kb/s");
        assert_eq!(in_thousands(3150), "3150 ");
        assert_eq!(in_thousands(9999), "9999 ");
        assert_eq!(in_thousands(10_000), "10 K");
        assert_eq!(in_thousands(12_345_678), "12 M");
        assert!(in_thousands(u128::MAX).ends_with(" Y"));
        assert!(bandwidth(u64::MAX).ends_with("b/s"));
    }

    fn written(style: Style) -> String {
        let line = StatusLine::new(Vec::new(), style);
        let status = Status::Announcements(AnnouncementStatus::default());
        line.status(&status);
        line.status(&status);
        line.clear();
        line.clear();
        String::from_utf8(line.state.into_inner().unwrap().output).unwrap()
    }

    #[test]
    fn a_terminal_has_one_line_and_a_log_has_many() {
        let terminal = written(Style::Terminal);
        assert_eq!(terminal.matches(CLEAR_LINE).count(), 3);
        assert_eq!(terminal.matches('\n').count(), 0);
        let plain = written(Style::Plain);
        assert_eq!(plain.lines().filter(|line| line.contains("goodrate")).count(), 2);
        assert!(plain.lines().all(|line| line.split(' ').next().unwrap().parse::<u64>().is_ok()));
    }

    #[test]
    fn json_has_an_object_in_each_line() {
        for line in written(Style::Json).lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value["announcements"]["pools"].is_array(), "{value}");
        }
    }
}
