//! Figures that processes show at their `/metrics`, read where no other document has them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use crate::http_client;
use crate::metrics::Series;

/// The largest answer that is read.
const LIMIT: usize = 4 << 20;
/// How long an answer may take.
const TIME: Duration = Duration::from_secs(3);

/// The figures of some processes, as text.
#[derive(Debug, Default)]
pub(super) struct ShownFigures(Vec<String>);

impl ShownFigures {
    /// Asks all of them; `None` if one does not answer.
    pub(super) async fn read(http: &reqwest::Client, urls: &[String]) -> Option<Self> {
        let asking = urls.iter().map(|url| http_client::fetch(http, url, LIMIT, TIME));
        let mut texts = Vec::new();
        for (url, answer) in urls.iter().zip(join_all(asking).await) {
            match answer {
                Ok(body) => texts.push(String::from_utf8_lossy(&body).into_owned()),
                Err(fault) => {
                    tracing::debug!(%fault, url, "a process does not show its figures");
                    return None;
                }
            }
        }
        Some(Self(texts))
    }

    /// Figures that a test has written.
    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        Self(vec![text.to_owned()])
    }

    /// The value of a label in each series of a figure, with the series' value.
    pub(super) fn by_label(&self, name: &str, label: &str) -> Vec<(String, i64)> {
        let value = |series: Series<'_>| Some((series.label(label)?.to_owned(), series.value.parse().ok()?));
        self.of_name(name).filter_map(value).collect()
    }

    /// A figure by the role and the name of who shows it.
    pub(super) fn by_role(&self, name: &str) -> BTreeMap<(String, String), f64> {
        let value = |series: Series<'_>| {
            let name = series.label("name").unwrap_or_default().to_owned();
            Some(((series.label("role")?.to_owned(), name), series.value.parse().ok()?))
        };
        self.of_name(name).filter_map(value).collect()
    }

    /// The sum of a whole-numbered figure over all its series with this label; `None` if nobody shows it.
    pub(super) fn sum(&self, name: &str, label: &str) -> Option<i64> {
        let labelled = self.of_name(name).filter(|series| series.has(label));
        labelled.filter_map(|series| series.value.parse::<i64>().ok()).reduce(i64::saturating_add)
    }

    /// The largest value of a whole-numbered figure that several show of the same thing; `None` if nobody shows it.
    pub(super) fn largest(&self, name: &str) -> Option<i64> {
        self.of_name(name).filter_map(|series| series.value.parse().ok()).max()
    }

    fn of_name<'f>(&'f self, name: &'f str) -> impl Iterator<Item = Series<'f>> {
        self.0.iter().flat_map(|text| Series::all_in(text)).filter(move |series| series.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_several_processes_are_added_up() {
        let first = "# TYPE clients gauge\nclients{name=\"a\",mode=\"nano\"} 3\nclients{name=\"a\",mode=\"smart\"} 1\n";
        let second =
            "clients{name=\"b\",mode=\"nano\"} 4\nclients_more{mode=\"nano\"} 100\nluna 12\nbroken\n";
        let figures = ShownFigures([first, second].map(str::to_owned).into());
        assert_eq!(figures.sum("clients", "mode=\"nano\""), Some(7));
        assert_eq!(figures.sum("clients", "mode=\"smart\""), Some(1));
        assert_eq!(figures.sum("clients", "mode=\"dumb\""), None);
        assert_eq!(figures.sum("luna", ""), Some(12));
        assert_eq!(figures.largest("clients"), Some(4));
        assert_eq!(figures.largest("nothing"), None);
        let by_mode = figures.by_label("clients", "mode");
        assert_eq!(by_mode.len(), 3);
        assert_eq!(by_mode[2], ("nano".to_owned(), 4));
    }
}
