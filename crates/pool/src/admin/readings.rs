//! What operators see of the work under way: what waits, and how long the stages take.

use serde_json::{Map, Value, json};

use crate::metrics::{Metrics, StageReading};

/// Gauges that are queues, each with what it counts.
pub(super) const QUEUES: &[(&str, &str)] = &[
    ("posts_waiting", "posts"),
    ("shares_waiting", "shares"),
    ("outbox_unconfirmed_events", "events"),
    ("long_poll_waiting", "clients"),
    ("nimiq_hashing_queue_shares", "shares"),
    ("nimiq_undelivered_shares", "shares"),
    ("nimiq_payouts", "payouts"),
    ("nimiq_lag_blocks", "blocks"),
    ("connections_open", "connections"),
];

/// The queues of all roles.
pub(super) fn queues(metrics: &Metrics) -> Value {
    let names: Vec<&str> = QUEUES.iter().map(|(name, _)| *name).collect();
    let mut readings = metrics.gauges(&names);
    readings.sort_by(|one, other| one.labels.cmp(&other.labels).then(one.name.cmp(other.name)));
    let queues = readings.into_iter().map(|reading| {
        let unit = QUEUES.iter().find(|(name, _)| *name == reading.name).map(|(_, unit)| *unit);
        let mut queue = labelled(reading.labels);
        queue.insert("queue".to_owned(), reading.name.into());
        queue.insert("length".to_owned(), reading.value.into());
        queue.insert("unit".to_owned(), unit.into());
        Value::from(queue)
    });
    queues.collect()
}

/// The stages of all roles.
pub(super) fn stages(metrics: &Metrics) -> Value {
    let stages = metrics.stages().into_iter().map(|reading| {
        let mut stage = labelled(reading.labels);
        stage.insert("count".to_owned(), reading.count.into());
        stage.insert("unit".to_owned(), "s".into());
        stage.insert("median".to_owned(), json!(reading.median));
        stage.insert("percentile_99".to_owned(), json!(reading.percentile_99));
        stage.insert("told_up_to".to_owned(), json!(StageReading::LONGEST));
        Value::from(stage)
    });
    stages.collect()
}

fn labelled(labels: Vec<(String, String)>) -> Map<String, Value> {
    labels.into_iter().map(|(key, value)| (key, Value::from(value))).collect()
}
