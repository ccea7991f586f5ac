//! What is known of the pool that is shown.

use pool::site::facts::PoolFacts;
use serde::Deserialize;

/// What the sources said last.
#[derive(Debug, Clone)]
pub struct Board {
    /// Who is asked.
    pub site: String,
    /// The pool; nothing before the first answer.
    pub facts: Option<PoolFacts>,
    /// Why the last question was not answered.
    pub fault: Option<String>,
    /// What waits somewhere, by its name.
    pub queues: Vec<(&'static str, f64)>,
    /// What the monitor says, if it may be asked.
    pub monitor: Option<MonitorState>,
}

/// The part of `/monitor/state` that is shown.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MonitorState {
    /// What ought to move.
    pub motions: Vec<Motion>,
    /// What was said of late, the newest first.
    pub messages: Vec<Said>,
}

/// Something that ought to move.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Motion {
    /// What.
    pub motion: String,
    /// Whether it stands still.
    pub stalled: bool,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// Milliseconds since 1970.
    pub at: u64,
    /// About what.
    pub subject: String,
    /// The sentence.
    pub text: String,
    /// Whether it tells the end of something bad.
    pub resolved: bool,
}

impl Board {
    /// Nothing is known yet.
    pub fn of(site: &str) -> Self {
        Self { site: site.to_owned(), facts: None, fault: None, queues: Vec::new(), monitor: None }
    }
}
