//! How long each stage of a role's work takes: one histogram for all roles, told apart by the label `stage`.
//!
//! A stage is observed once for each post, share, upload or look, never for each announcement.

use std::time::{Duration, Instant};

use prometheus_client::metrics::histogram::Histogram;

use super::Metrics;

/// The name of the histogram, without the prefix.
pub(super) const STAGE_SECONDS: &str = "stage_seconds";
/// Upper bounds in seconds: from a look into a table to a client that is waited for.
pub(super) const BUCKETS: &[f64] =
    &[0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// A stage of the work of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A body is read, or a message parsed.
    Receive,
    /// What was received waits for a thread.
    Wait,
    /// It is checked: proof of work, or the events of an upload.
    Check,
    /// It is looked for among what has been accepted before, and entered there.
    Duplicate,
    /// It is made durable.
    Store,
    /// All of the above: from the request to the reply.
    Reply,
    /// What is durable is handed to the PayMaker or the accounts.
    Deliver,
    /// From a new block of the node to its work being published.
    Publish,
    /// From the publication of work to one client's having it.
    TemplateToClient,
    /// A who-to-pay document is made.
    Document,
    /// One look at the chain with all that follows from it, or one round of payouts.
    Round,
}

impl Stage {
    /// All of them, as work goes through them.
    pub const ALL: [Self; 11] = [
        Self::Receive,
        Self::Wait,
        Self::Check,
        Self::Duplicate,
        Self::Store,
        Self::Reply,
        Self::Deliver,
        Self::Publish,
        Self::TemplateToClient,
        Self::Document,
        Self::Round,
    ];

    /// The value of the label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Wait => "wait",
            Self::Check => "check",
            Self::Duplicate => "duplicate",
            Self::Store => "store",
            Self::Reply => "reply",
            Self::Deliver => "deliver",
            Self::Publish => "publish",
            Self::TemplateToClient => "template_to_client",
            Self::Document => "document",
            Self::Round => "round",
        }
    }
}

/// The times of one stage of one role; clones share them.
#[derive(Debug, Clone)]
pub struct StageTimes(Histogram);

impl StageTimes {
    /// The stage began at `started` and ends now.
    pub fn since(&self, started: Instant) {
        self.took(started.elapsed());
    }

    /// The stage took `time`.
    pub fn took(&self, time: Duration) {
        self.0.observe(time.as_secs_f64());
    }
}

impl Metrics {
    /// The times of a stage.
    pub fn stage(&self, stage: Stage) -> StageTimes {
        let of_stage = self.with_label("stage", stage.name());
        StageTimes(of_stage.histogram(STAGE_SECONDS, "Time that a stage of the work takes", BUCKETS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_series_of_one_family() {
        let metrics = Metrics::new().for_role("ann_handler", "a");
        metrics.stage(Stage::Store).took(Duration::from_millis(2));
        metrics.stage(Stage::Store).took(Duration::from_micros(20));
        metrics.stage(Stage::Reply).took(Duration::from_secs(60));
        let text = metrics.text();
        let series = |stage: &str, bound: &str| {
            let labels = format!("role=\"ann_handler\",name=\"a\",stage=\"{stage}\"");
            text.contains(&format!("headframe_stage_seconds_bucket{{le=\"{bound}\",{labels}"))
        };
        assert!(series("store", "0.003") && series("reply", "+Inf"), "{text}");
        assert!(
            text.contains(r#"headframe_stage_seconds_count{role="ann_handler",name="a",stage="store"} 2"#)
        );
        assert_eq!(text.matches("# TYPE headframe_stage_seconds ").count(), 1);
    }
}
