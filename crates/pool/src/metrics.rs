//! Figures for Prometheus: one registry for a process, a labelled view of it for each role.
//!
//! A [`Metrics`] handle gives counters, gauges and histograms that carry the handle's labels (`role`, `name`).
//! The same metric asked for under other labels becomes another series of one family, so that each name has one
//! `HELP` and one `TYPE` line however many roles a process holds. Label values come from closed lists, never from
//! the network.
//!
//! [`Stage`] is what the roles measure their work by, [`busy`] how much their threads have to do, [`aliases`] keeps the names of another pool's figures. What is
//! read only when somebody asks: [`node_calls`], `process` and its disk, `readiness` of the roles. [`Series`] reads all of it
//! back, of this process or another.

pub mod aliases;
pub mod busy;
pub mod node_calls;
mod process;
mod prometheus_text;
mod readiness;
pub mod series;
pub mod stage;
mod stage_readings;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::routing::get;
use hashbrown::HashMap;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use aliases::Original;
pub use busy::BusyThreads;
pub(crate) use process::resident_bytes;
pub use series::Series;
pub use stage::{Stage, StageTimes};
pub use stage_readings::StageReading;

use aliases::Aliases;
use process::ProcessFigures;

/// All names of our own metrics start with this word and an underscore.
const PREFIX: &str = "headframe";

/// How a client names OpenMetrics, and what it is sent then.
const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(String, String)>;

/// A process's registry, seen with the labels of one role.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Mutex<Shared>>,
    labels: Labels,
}

struct Shared {
    registry: Registry,
    /// What has no prefix: the process, and names that others have given.
    unprefixed: Registry,
    aliases: Aliases,
    counters: HashMap<&'static str, Family<Labels, Counter>>,
    seconds: HashMap<&'static str, Family<Labels, busy::Seconds>>,
    gauges: HashMap<&'static str, Family<Labels, Gauge>>,
    histograms: HashMap<&'static str, Family<Labels, Histogram, Buckets>>,
    collectors: HashMap<&'static str, NewestCollector>,
}

/// The one of several collectors about the same thing that was handed over last.
#[derive(Debug, Clone)]
struct NewestCollector(Arc<Mutex<Option<Box<dyn Collector>>>>);

impl Collector for NewestCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().map_or(Ok(()), |collector| collector.encode(encoder))
    }
}

/// A gauge as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct GaugeReading {
    /// Without the prefix.
    pub name: &'static str,
    /// Such as `role` and `name`.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

/// Makes the histograms of one family.
#[derive(Clone)]
struct Buckets(Vec<f64>);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").field("labels", &self.labels).finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// An empty registry, without labels.
    pub fn new() -> Self {
        let (mut unprefixed, aliases) = (Registry::default(), Aliases::default());
        unprefixed.register_collector(Box::new(ProcessFigures::of_a_process_that_starts()));
        unprefixed.register_collector(Box::new(aliases.clone()));
        let shared = Shared {
            registry: Registry::with_prefix(PREFIX),
            unprefixed,
            aliases,
            counters: HashMap::new(),
            seconds: HashMap::new(),
            gauges: HashMap::new(),
            histograms: HashMap::new(),
            collectors: HashMap::new(),
        };
        Self { shared: Arc::new(Mutex::new(shared)), labels: Labels::new() }
    }

    /// The same registry, with `role` (and `name`, unless empty) as labels.
    #[must_use]
    pub fn for_role(&self, role: &'static str, name: &str) -> Self {
        let view = self.with_label("role", role);
        if name.is_empty() { view } else { view.with_label("name", name) }
    }

    /// The same registry with one more label.
    #[must_use]
    pub fn with_label(&self, key: &'static str, value: &str) -> Self {
        let mut labels = self.labels.clone();
        labels.push((key.to_owned(), value.to_owned()));
        Self { shared: Arc::clone(&self.shared), labels }
    }

    /// A number that only grows. The exposed name gets the prefix `headframe_` and the suffix `_total`.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.with_shared(|Shared { registry, counters, .. }| {
            let family = counters.entry(name).or_insert_with(|| {
                let family = Family::default();
                registry.register(name, help, family.clone());
                family
            });
            family.get_or_create_owned(&self.labels)
        })
    }

    /// Seconds that only grow; named as a counter is.
    fn seconds(&self, name: &'static str, help: &'static str) -> busy::Seconds {
        self.with_shared(|Shared { registry, seconds, .. }| {
            let family = seconds.entry(name).or_insert_with(|| {
                let family = Family::default();
                registry.register(name, help, family.clone());
                family
            });
            family.get_or_create_owned(&self.labels)
        })
    }

    /// A number that goes up and down.
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.with_shared(|Shared { registry, gauges, .. }| {
            let family = gauges.entry(name).or_insert_with(|| {
                let family = Family::default();
                registry.register(name, help, family.clone());
                family
            });
            family.get_or_create_owned(&self.labels)
        })
    }

    /// A distribution; `buckets` are the upper bounds, ascending. The first caller's bounds hold for all.
    pub fn histogram(&self, name: &'static str, help: &'static str, buckets: &[f64]) -> Histogram {
        self.with_shared(|Shared { registry, histograms, .. }| {
            let family = histograms.entry(name).or_insert_with(|| {
                let family = Family::new_with_constructor(Buckets(buckets.to_vec()));
                registry.register(name, help, family.clone());
                family
            });
            family.get_or_create_owned(&self.labels)
        })
    }

    /// The gauges of these names with their labels, of all roles.
    pub fn gauges(&self, names: &[&'static str]) -> Vec<GaugeReading> {
        let text = self.text();
        let reading = |series: Series<'_>| {
            let name = series.name.strip_prefix(PREFIX)?.strip_prefix('_')?;
            let name = names.iter().find(|wanted| **wanted == name)?;
            let labels = series.labels().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            Some(GaugeReading { name, labels, value: series.value.parse().ok()? })
        };
        Series::all_in(&text).filter_map(reading).collect()
    }

    /// Everything registered, as OpenMetrics text.
    pub fn text(&self) -> String {
        let mut written = String::new();
        self.with_shared(|shared| {
            let all = text::encode_registry(&mut written, &shared.registry)
                .and_then(|()| text::encode_registry(&mut written, &shared.unprefixed))
                .and_then(|()| text::encode_eof(&mut written));
            if all.is_err() {
                tracing::error!("the metrics could not be written");
            }
        });
        written
    }

    /// `GET …/metrics`: Prometheus text, or OpenMetrics for whoever asks for that.
    pub fn routes(&self) -> Router {
        let metrics = self.clone();
        let answer = move |headers: HeaderMap| async move {
            let wanted = headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok());
            let text = metrics.text();
            if wanted.is_some_and(|accepted| accepted.contains(OPEN_METRICS)) {
                return ([(CONTENT_TYPE, OPEN_METRICS_TYPE)], text);
            }
            ([(CONTENT_TYPE, prometheus_text::MEDIA_TYPE)], prometheus_text::of_open_metrics(&text))
        };
        Router::new().route("/metrics", get(answer))
    }

    /// Shows what `collector` says of `whom` whenever somebody asks; its names get the prefix `headframe_`. It takes the
    /// place of the one before, of a role that was started again.
    pub fn collect(&self, whom: &'static str, collector: impl Collector) {
        self.with_shared(|Shared { registry, collectors, .. }| {
            let shown = collectors.entry(whom).or_insert_with(|| {
                let newest = NewestCollector(Arc::default());
                registry.register_collector(Box::new(newest.clone()));
                newest
            });
            *shown.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(collector));
        });
    }

    fn with_shared<T>(&self, action: impl FnOnce(&mut Shared) -> T) -> T {
        action(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Buckets for times of answers, in seconds: 1 ms to 30 s.
pub const SECONDS: &[f64] = &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn open_metrics_are_for_those_who_ask_for_them() {
        let routes = Metrics::new().routes();
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        for (accept, expected) in [(prometheus, OPEN_METRICS_TYPE), ("*/*", prometheus_text::MEDIA_TYPE)] {
            let request = Request::get("/metrics").header(ACCEPT, accept).body(Body::empty()).unwrap();
            let answer = routes.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.headers()[CONTENT_TYPE], expected, "{accept}");
        }
    }

    #[test]
    fn two_roles_share_one_help_and_one_type_line() {
        let metrics = Metrics::new();
        metrics.for_role("ann_handler", "a").counter("posts", "Posts received").inc();
        metrics.for_role("ann_handler", "b").counter("posts", "Posts received").inc_by(2);
        let text = metrics.text();
        assert_eq!(text.matches("# HELP headframe_posts ").count(), 1, "{text}");
        assert_eq!(text.matches("# TYPE headframe_posts counter").count(), 1, "{text}");
        assert!(text.contains(r#"headframe_posts_total{role="ann_handler",name="a"} 1"#), "{text}");
        assert!(text.contains(r#"headframe_posts_total{role="ann_handler",name="b"} 2"#), "{text}");
    }

    #[test]
    fn gauges_are_read_with_their_labels() {
        let metrics = Metrics::new();
        metrics.for_role("ann_handler", "a").gauge("posts_waiting", "Posts").set(3);
        metrics.for_role("ann_handler", "a").gauge("other", "Others").set(4);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let labels = vec![pair("role", "ann_handler"), pair("name", "a")];
        let expected = GaugeReading { name: "posts_waiting", labels, value: 3.0 };
        assert_eq!(metrics.gauges(&["posts_waiting"]), [expected]);
    }

    #[test]
    fn a_name_asked_for_twice_is_one_series() {
        let metrics = Metrics::new().for_role("master", "");
        metrics.gauge("waiting", "Clients waiting").set(3);
        assert_eq!(metrics.gauge("waiting", "Clients waiting").get(), 3);
        metrics.histogram("check_seconds", "Time of a check", SECONDS).observe(0.02);
        assert!(metrics.text().contains(r#"headframe_check_seconds_count{role="master"} 1"#));
    }
}
