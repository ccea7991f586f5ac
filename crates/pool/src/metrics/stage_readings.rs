//! The times of stages, read back for people: how many there were, and within which time half and nearly all of them ended.
//!
//! A histogram knows only how many times lie below each of its bounds. Within a bucket they are taken to be spread evenly,
//! as Prometheus does it for `histogram_quantile`.

use std::collections::BTreeMap;

use super::stage::{BUCKETS, STAGE_SECONDS};
use super::{Metrics, PREFIX, Series, Stage};

/// The times of one stage of one role since the process started.
#[derive(Debug, Clone, PartialEq)]
pub struct StageReading {
    /// Such as `role`, `name` and `stage`.
    pub labels: Vec<(String, String)>,
    /// How many there were.
    pub count: u64,
    /// Seconds within which half of them ended; `None` if there were none, or beyond [`Self::LONGEST`].
    pub median: Option<f64>,
    /// The same of 99 in 100.
    pub percentile_99: Option<f64>,
}

impl StageReading {
    /// Seconds up to which times are told apart.
    pub const LONGEST: f64 = BUCKETS[BUCKETS.len() - 1];
}

/// Upper bounds of buckets in seconds, each with how many times lie below it.
type Histogram = Vec<(f64, u64)>;

impl Metrics {
    /// The times of all stages of all roles, in the order in which work goes through them.
    pub fn stages(&self) -> Vec<StageReading> {
        let text = self.text();
        let mut histograms: BTreeMap<Vec<(&str, &str)>, Histogram> = BTreeMap::new();
        for series in Series::all_in(&text).filter(is_bucket) {
            let (Some(bound), Ok(count)) = (bound(&series), series.value.parse()) else { continue };
            let labels = series.labels().filter(|(key, _)| *key != "le").collect();
            histograms.entry(labels).or_default().push((bound, count));
        }
        let mut readings: Vec<_> =
            histograms.into_iter().map(|(labels, histogram)| reading(&labels, histogram)).collect();
        // By role and name, the stages as work goes through them.
        readings.sort_by_cached_key(|reading| {
            let value =
                |wanted| reading.labels.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.clone());
            let stage = value("stage").unwrap_or_default();
            (value("role"), value("name"), Stage::ALL.iter().position(|known| known.name() == stage))
        });
        readings
    }
}

fn is_bucket(series: &Series<'_>) -> bool {
    let name = series.name.strip_prefix(PREFIX).and_then(|name| name.strip_prefix('_'));
    name.and_then(|name| name.strip_suffix("_bucket")) == Some(STAGE_SECONDS)
}

fn bound(series: &Series<'_>) -> Option<f64> {
    match series.label("le")? {
        "+Inf" => Some(f64::INFINITY),
        bound => bound.parse().ok(),
    }
}

fn reading(labels: &[(&str, &str)], mut histogram: Histogram) -> StageReading {
    histogram.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    StageReading {
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        count: histogram.last().map_or(0, |(_, count)| *count),
        median: within(&histogram, 0.5),
        percentile_99: within(&histogram, 0.99),
    }
}

/// The time within which this part of all ended.
fn within(histogram: &[(f64, u64)], part: f64) -> Option<f64> {
    let all = histogram.last().map(|(_, count)| *count).filter(|count| *count > 0)?;
    let rank = all as f64 * part;
    let (mut lower, mut below) = (0.0, 0);
    for (bound, count) in histogram {
        if *count as f64 >= rank && *count > below {
            let within_bucket = (rank - below as f64) / (*count - below) as f64;
            return bound.is_finite().then(|| lower + (bound - lower) * within_bucket);
        }
        (lower, below) = (*bound, *count);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn close(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found / expected - 1.0).abs() < 1e-9)
    }

    #[test]
    fn times_are_estimated_within_their_bucket() {
        let histogram = [(0.001, 0), (0.003, 10), (0.01, 100), (f64::INFINITY, 100)];
        assert!(close(within(&histogram, 0.05), 0.002), "half of the first ten");
        assert!(close(within(&histogram, 0.1), 0.003));
        assert!(close(within(&histogram, 0.55), 0.0065));
        assert!(close(within(&histogram, 1.0), 0.01));
    }

    #[test]
    fn what_is_beyond_the_last_bound_or_nothing_is_not_told() {
        assert_eq!(within(&[(30.0, 1), (f64::INFINITY, 100)], 0.5), None);
        assert!(within(&[(30.0, 99), (f64::INFINITY, 100)], 0.5).is_some());
        assert_eq!(within(&[(30.0, 0), (f64::INFINITY, 0)], 0.5), None);
        assert_eq!(within(&[], 0.5), None);
    }

    #[test]
    fn stages_are_read_in_the_order_of_the_work() {
        let metrics = Metrics::new();
        let role = metrics.for_role("pay_maker", "");
        for _ in 0..100 {
            role.stage(Stage::Store).took(Duration::from_millis(2));
        }
        role.stage(Stage::Receive).took(Duration::from_mins(1));
        metrics.for_role("ann_handler", "b").stage(Stage::Wait);
        let stages = metrics.stages();
        let labels: Vec<_> = stages
            .iter()
            .map(|reading| {
                reading.labels.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(labels, ["ann_handler b wait", "pay_maker receive", "pay_maker store"]);
        assert_eq!((stages[0].count, stages[0].median), (0, None));
        assert_eq!((stages[1].count, stages[1].median), (1, None), "longer than any bound");
        assert_eq!(stages[2].count, 100);
        assert!(close(stages[2].median, 0.002) && close(stages[2].percentile_99, 0.00298), "{stages:?}");
    }
}
