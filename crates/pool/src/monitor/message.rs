//! What people are told: one sentence about one thing, and how much it matters.

use std::fmt;

use serde::Serialize;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nobody needs to do anything.
    Info,
    /// Somebody should look today.
    Warning,
    /// Miners are harmed, or money waits.
    Critical,
}

impl Severity {
    /// As it stands in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One sentence about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// What it is about: `ann_handler main`, `packetcrypt chain`.
    pub subject: String,
    /// How much it matters; of good news: how much that mattered which is over.
    pub severity: Severity,
    /// Whether it tells the end of something bad.
    pub resolved: bool,
    /// The sentence.
    pub text: String,
}

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.subject, self.text)
    }
}
