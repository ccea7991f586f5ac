//! The text format that Prometheus understands since ever, version 0.0.4, made of OpenMetrics.
//!
//! OpenMetrics describes a counter without the `_total` that its series end in; here description and series have one
//! name, and what is unknown is called untyped. An end is not marked.

use std::collections::HashSet;

/// The format's media type.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Translates a whole document.
pub(super) fn of_open_metrics(text: &str) -> String {
    let counters: HashSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut translated = String::with_capacity(text.len() + text.len() / 16);
    for line in text.lines().filter(|line| *line != "# EOF") {
        match described(line).filter(|(_, name, _)| counters.contains(name)) {
            Some((kind, name, rest)) => translated.extend(["# ", kind, " ", name, "_total ", rest]),
            None => match line.strip_prefix("# TYPE ").and_then(|typed| typed.strip_suffix(" unknown")) {
                Some(name) => translated.extend(["# TYPE ", name, " untyped"]),
                None => translated.push_str(line),
            },
        }
        translated.push('\n');
    }
    translated
}

/// Kind, name and content of a line that describes a family.
fn described(line: &str) -> Option<(&str, &str, &str)> {
    let mut parts = line.strip_prefix("# ")?.splitn(3, ' ');
    let described = (parts.next()?, parts.next()?, parts.next()?);
    matches!(described.0, "HELP" | "TYPE").then_some(described)
}

#[cfg(test)]
mod tests {
    use super::super::{Metrics, Original, SECONDS};
    use super::*;

    #[test]
    fn every_series_is_described_under_its_own_name() {
        let metrics = Metrics::new().for_role("master", "");
        metrics.counter("posts", "Posts received").inc();
        let waiting = metrics.gauge("waiting", "Clients waiting");
        waiting.set(3);
        metrics.alias("old_waiting", "Clients waiting", Original::Gauge(waiting));
        metrics.histogram("check_seconds", "Time of a check", SECONDS).observe(0.02);
        let text = of_open_metrics(&metrics.text());
        let described = |name: &str| {
            let line = |kind: &str| format!("# {kind} {name} ");
            text.contains(&line("HELP")) && text.contains(&line("TYPE"))
        };
        for series in text.lines().filter(|line| !line.starts_with('#')) {
            let name = series.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            assert!(described(family.unwrap_or(name)), "{name} in\n{text}");
        }
        assert!(text.contains("# TYPE headframe_posts_total counter\n"), "{text}");
        assert!(text.contains("headframe_posts_total{role=\"master\"} 1\n"), "{text}");
        assert!(text.contains("# TYPE old_waiting untyped\n"), "{text}");
        assert!(!text.contains("EOF"));
    }
}
