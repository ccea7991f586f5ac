//! What was found about one thing.

use std::fmt;

/// One line of the report, and one more for a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    subject: String,
    verdict: Verdict,
}

/// What it is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good(String),
    /// Not so.
    Fault {
        /// What is wrong.
        what: String,
        /// What mends it.
        fix: String,
    },
    /// It cannot be seen now, and why.
    Unseen(String),
}

impl Finding {
    /// It is as it should be.
    pub fn good(subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Good(what.into()) }
    }

    /// It is not.
    pub fn fault(subject: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Fault { what: what.into(), fix: fix.into() } }
    }

    /// It cannot be seen now.
    pub fn unseen(subject: impl Into<String>, why: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Unseen(why.into()) }
    }

    /// Whether something is to be mended.
    pub fn is_fault(&self) -> bool {
        matches!(self.verdict, Verdict::Fault { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = &self.subject;
        match &self.verdict {
            Verdict::Good(what) => write!(formatter, "ok     {subject}: {what}"),
            Verdict::Fault { what, fix } => write!(formatter, "FAULT  {subject}: {what}\n       fix: {fix}"),
            Verdict::Unseen(why) => write!(formatter, "unseen {subject}: {why}"),
        }
    }
}
