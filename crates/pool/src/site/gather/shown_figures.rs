//! Figures that processes show at their `/metrics`, read where no other document has them.

use std::time::Duration;

use futures_util::future::join_all;

use crate::http_client;

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

    /// The sum of a whole-numbered figure over all its series with this label; `None` if nobody shows it.
    pub(super) fn sum(&self, name: &str, label: &str) -> Option<i64> {
        let lines = self.0.iter().flat_map(|text| text.lines());
        let values = lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (of, labels) = series.split_once('{').unwrap_or((series, ""));
            (of == name && labels.contains(label)).then(|| value.parse::<i64>().ok())?
        });
        values.reduce(i64::saturating_add)
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
        let figures = ShownFigures(vec![first.to_owned(), second.to_owned()]);
        assert_eq!(figures.sum("clients", "mode=\"nano\""), Some(7));
        assert_eq!(figures.sum("clients", "mode=\"smart\""), Some(1));
        assert_eq!(figures.sum("clients", "mode=\"dumb\""), None);
        assert_eq!(figures.sum("luna", ""), Some(12));
    }
}
