//! Refusals in the metrics of a role: a counter for each code of the closed list, from its start on.

use hashbrown::HashMap;
use prometheus_client::metrics::counter::Counter;
use wire::Refusal;

use crate::metrics::Metrics;

/// How often a role has refused something, by code.
#[derive(Debug)]
pub(crate) struct Refusals {
    counters: HashMap<&'static str, Counter>,
}

impl Refusals {
    /// Counters at zero, with the labels of `metrics`.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let counter = |code: &&'static str| {
            let counter = metrics.with_label("reason", code);
            (*code, counter.counter("refusals", "Requests and events refused, by reason"))
        };
        Self { counters: Refusal::CODES.iter().map(counter).collect() }
    }

    /// Counts one, and logs it.
    pub(crate) fn count(&self, refusal: &Refusal) {
        tracing::debug!(code = refusal.code(), %refusal, "refused");
        self.count_code(refusal.code(), 1);
    }

    /// Counts several of a code of the closed list.
    pub(crate) fn count_code(&self, code: &'static str, count: u32) {
        if let Some(counter) = self.counters.get(code) {
            counter.inc_by(count.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_series_from_the_start() {
        let metrics = Metrics::new().for_role("master", "");
        let refusals = Refusals::new(&metrics);
        refusals.count(&Refusal::NotFound);
        refusals.count_code("bad_event", 3);
        let text = metrics.text();
        for code in Refusal::CODES {
            let count = match *code {
                "not_found" => 1,
                "bad_event" => 3,
                _ => 0,
            };
            let line = format!("headframe_refusals_total{{role=\"master\",reason=\"{code}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
    }
}
