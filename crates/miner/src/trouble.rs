//! Says once that something does not work, and once that it works again.

use std::fmt::Display;

use tracing::{debug, info, warn};

/// The state of something that is tried again and again, such as a pool that does not answer.
///
/// The first failure and every one with a new reason is a warning; repetitions are for debugging only.
#[derive(Debug)]
pub struct Trouble {
    what: String,
    reason: Option<String>,
}

impl Trouble {
    /// `what` names the thing at the start of each line.
    pub fn with(what: impl Into<String>) -> Self {
        Self { what: what.into(), reason: None }
    }

    /// It did not work.
    pub fn happened(&mut self, reason: impl Display) {
        let reason = reason.to_string();
        self.happened_as(&reason, &reason);
    }

    /// It did not work, for a `kind` of reason that is worth one warning, however the details differ.
    pub fn happened_as(&mut self, kind: &str, reason: impl Display) {
        if self.reason.as_deref() == Some(kind) {
            debug!("{}: still {reason}", self.what);
        } else {
            warn!("{}: {reason}", self.what);
            self.reason = Some(kind.to_owned());
        }
    }

    /// It worked.
    pub fn over(&mut self) {
        if self.reason.take().is_some() {
            info!("{}: works again", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_lasts_until_it_is_over() {
        let mut trouble = Trouble::with("pool");
        assert_eq!(trouble.reason, None);
        trouble.happened("no answer");
        trouble.happened("bad answer");
        trouble.happened_as("bad answer", "bad answer number 2");
        assert_eq!(trouble.reason.as_deref(), Some("bad answer"));
        trouble.over();
        assert_eq!(trouble.reason, None);
    }
}
