//! Figures of a process, read back: the lines of Prometheus text or OpenMetrics, or of a text that may be anything.

/// One series with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series<'t> {
    /// Its name as it is exposed, with prefix and suffix.
    pub name: &'t str,
    /// What stands between the braces.
    labels: &'t str,
    /// Its value as it is written.
    pub value: &'t str,
}

impl<'t> Series<'t> {
    /// All in a text. What is none is passed over.
    pub fn all_in(text: &'t str) -> impl Iterator<Item = Self> {
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            Some(Self { name, labels: labels.trim_end_matches('}'), value })
        })
    }

    /// Its labels. Values that have commas in them are cut there: ours are of closed lists and names, which have none.
    pub fn labels(&self) -> impl Iterator<Item = (&'t str, &'t str)> {
        self.labels.split(',').filter_map(|pair| {
            let (key, value) = pair.split_once("=\"")?;
            Some((key, value.trim_end_matches('"')))
        })
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&'t str> {
        self.labels().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// Whether it has a label, written as `key="value"`; every series has the empty one.
    pub fn has(&self, label: &str) -> bool {
        self.labels.contains(label)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn series_are_found_with_their_labels() {
        let text =
            "# TYPE clients gauge\nclients{name=\"a\",mode=\"nano\"} 3\nluna 12\nbroken\nclients_more{} 1.5";
        let all: Vec<_> = Series::all_in(text).collect();
        let names: Vec<_> = all.iter().map(|series| (series.name, series.value)).collect();
        assert_eq!(names, [("clients", "3"), ("luna", "12"), ("clients_more", "1.5")]);
        assert_eq!(all[0].labels().collect::<Vec<_>>(), [("name", "a"), ("mode", "nano")]);
        assert_eq!((all[0].label("mode"), all[1].label("mode")), (Some("nano"), None));
        assert!(all[0].has("mode=\"nano\"") && !all[0].has("mode=\"smart\"") && all[1].has(""));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([a-z_]{0,9}[{} \"=,\\PC]{0,30}\n?){0,20}") {
            for series in Series::all_in(&text) {
                series.labels().for_each(drop);
            }
        }
    }
}
