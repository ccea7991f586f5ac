//! Which roles of this process do their work: what `/healthz` says, for alerts.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::{Labels, Metrics};
use crate::health::Health;

#[derive(Debug)]
struct Readiness(Vec<Health>);

impl Collector for Readiness {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "1 if the role does its work, 0 if /healthz says why it does not";
        let mut family = encoder.encode_descriptor("role_ready", help, None, MetricType::Gauge)?;
        for state in self.0.iter().map(Health::state) {
            let mut labels: Labels = vec![("role".to_owned(), state.role.to_owned())];
            if !state.name.is_empty() {
                labels.push(("name".to_owned(), state.name));
            }
            family.encode_family(&labels)?.encode_gauge(&i64::from(state.ready))?;
        }
        Ok(())
    }
}

impl Metrics {
    /// Shows whether these roles are ready.
    pub fn show_readiness_of(&self, roles: Vec<Health>) {
        self.collect("readiness", Readiness(roles));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_shown_as_healthz_shows_it() {
        let metrics = Metrics::new();
        let (master, handler) = (Health::starting("master", ""), Health::starting("ann_handler", "a"));
        metrics.show_readiness_of(vec![master.clone(), handler]);
        master.ready();
        let text = metrics.text();
        assert!(text.contains("headframe_role_ready{role=\"master\"} 1\n"), "{text}");
        assert!(text.contains("headframe_role_ready{role=\"ann_handler\",name=\"a\"} 0\n"), "{text}");
    }
}
