//! The names under which the reference pool for Nimiq shows some figures (`docs/protocol/nimiq-pool.md` 4.6), kept for
//! the dashboards that were made for it.
//!
//! An alias has no prefix, says of itself that its type is unknown, because the reference does not tell any, and always
//! has the value of the figure that it stands for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::{Labels, Metrics};

/// The figure behind an alias.
#[derive(Debug, Clone)]
pub enum Original {
    /// The same value.
    Gauge(Gauge),
    /// The same value.
    Counter(Counter),
    /// The value divided by a number.
    Divided(Counter, f64),
}

impl Original {
    fn value(&self) -> f64 {
        match self {
            Self::Gauge(gauge) => gauge.get() as f64,
            Self::Counter(counter) => counter.get() as f64,
            Self::Divided(counter, by) => counter.get() as f64 / by,
        }
    }
}

/// All aliases of a process; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Aliases(Arc<Mutex<BTreeMap<&'static str, Alias>>>);

#[derive(Debug)]
struct Alias {
    help: &'static str,
    series: Vec<(Labels, Original)>,
}

impl Collector for Aliases {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let aliases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, alias) in aliases.iter() {
            let mut family = encoder.encode_descriptor(name, alias.help, None, MetricType::Unknown)?;
            for (labels, original) in &alias.series {
                family.encode_family(labels)?.encode_gauge(&original.value())?;
            }
        }
        Ok(())
    }
}

impl Metrics {
    /// Shows a figure under another name too, with the labels of this handle except the role.
    pub fn alias(&self, name: &'static str, help: &'static str, original: Original) {
        let labels: Labels = self.labels.iter().filter(|(key, _)| key != "role").cloned().collect();
        let aliases = self.with_shared(|shared| shared.aliases.clone());
        let mut aliases = aliases.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alias = aliases.entry(name).or_insert(Alias { help, series: Vec::new() });
        alias.series.retain(|(present, _)| *present != labels);
        alias.series.push((labels, original));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_follows_its_figure_and_has_labels_of_its_own() {
        let metrics = Metrics::new().for_role("nimiq_server", "main");
        let (mined, hashes) = (metrics.counter("found", "Blocks"), metrics.counter("hashes", "Hashes"));
        metrics.alias("pool_blocks_mined", "Blocks", Original::Counter(mined.clone()));
        let difficulty = Original::Divided(hashes.clone(), 65_536.0);
        metrics.alias("pool_total_share_difficulty", "Difficulty", difficulty);
        mined.inc_by(3);
        hashes.inc_by(98_304);
        let text = metrics.text();
        assert!(
            text.contains("# TYPE pool_blocks_mined unknown\npool_blocks_mined{name=\"main\"} 3.0\n"),
            "{text}"
        );
        assert!(text.contains("pool_total_share_difficulty{name=\"main\"} 1.5\n"), "{text}");
    }

    #[test]
    fn a_series_that_is_given_again_replaces_the_first() {
        let metrics = Metrics::new();
        for value in [1, 2] {
            let counter = metrics.counter("posts", "Posts");
            counter.inc_by(value);
            metrics.alias("old_posts", "Posts", Original::Counter(counter));
        }
        assert_eq!(metrics.text().matches("\nold_posts").count(), 1);
    }
}
