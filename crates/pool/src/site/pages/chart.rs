//! A chart as the server draws it: readable without scripts, and replaced by a live one of the same size where they run.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::{Series, SeriesName, Unit};
use super::super::texts::Texts;
use super::figure::Accent;
use super::numbers::{Quantity, Shown, UNKNOWN, duration_text};

/// The drawing is this high; it is stretched to its place.
const HEIGHT: f64 = 100.0;
/// Room above the highest point.
const HEADROOM: f64 = 8.0;
/// A point of a drawing is this wide.
const STEP: f64 = 10.0;

/// One series, drawn.
#[derive(Template)]
#[template(path = "chart.html")]
pub struct Chart<'a> {
    t: &'a Texts,
    series: &'a Series,
}

impl HtmlSafe for Chart<'_> {}

impl<'a> Chart<'a> {
    /// The chart of a series.
    pub fn new(t: &'a Texts, series: &'a Series) -> Self {
        Self { t, series }
    }

    fn key(&self, part: &str) -> String {
        let key = format!("chart.{}.{part}", self.series.name.name());
        self.t.get(&key).to_owned()
    }

    fn id(&self) -> String {
        format!("chart-{}-{}", self.series.chain.name(), self.series.name.name()).replace('_', "-")
    }

    fn accent(&self) -> &'static str {
        accent(self.series.name).class()
    }

    fn is_bars(&self) -> bool {
        is_bars(self.series.name)
    }

    /// Where the API has these points.
    fn source(&self) -> String {
        let series = self.series;
        let address = series.address.as_ref().map(|address| format!("&address={}", address.replace(' ', "")));
        format!(
            "/api/v1/{}/series/{}?range={}{}",
            series.chain.name(),
            series.name.name(),
            series.range,
            address.unwrap_or_default()
        )
    }

    /// The last point that is whole: the newest still grows.
    fn last(&self) -> Option<Quantity> {
        let known = self.series.points.iter().rev().skip(usize::from(self.is_bars())).flatten().next();
        known.map(|value| value.shown(self.series.unit))
    }

    fn peak(&self) -> Option<Quantity> {
        self.series.peak().map(|value| value.shown(self.series.unit))
    }

    /// What somebody hears who does not see it.
    fn in_words(&self) -> String {
        let or_unknown =
            |value: Option<Quantity>| value.map_or(UNKNOWN.to_owned(), |value| value.to_string());
        self.t.fill(
            "chart.in_words",
            &[
                ("what", &self.key("title")),
                ("time", &self.range()),
                ("last", &or_unknown(self.last())),
                ("peak", &or_unknown(self.peak())),
            ],
        )
    }

    fn range(&self) -> String {
        let series = self.series;
        duration_text(series.step_seconds * series.points.len() as u64)
    }

    fn window(&self) -> String {
        let step = duration_text(self.series.step_seconds);
        self.t.fill("chart.window", &[("time", &self.range()), ("step", &step)])
    }

    fn width(&self) -> f64 {
        STEP * self.series.points.len().max(1) as f64
    }

    fn unit(&self) -> Unit {
        self.series.unit
    }

    /// Lines through the points that are known; bars where points are sums. Rounded: nobody sees a hundredth.
    fn path(&self) -> String {
        let peak = self.series.peak().filter(|peak| *peak > 0.0).unwrap_or(1.0);
        let mut path = String::new();
        let mut is_drawing = false;
        for (place, point) in self.series.points.iter().enumerate() {
            let Some(point) = point else {
                is_drawing = false;
                continue;
            };
            let (x, y) = (STEP * place as f64, HEIGHT - point.max(0.0) / peak * (HEIGHT - HEADROOM));
            if self.is_bars() {
                path.push_str(&format!("M{x:.0} {HEIGHT:.0}V{y:.1}h{:.0}V{HEIGHT:.0}z", STEP * 0.8));
            } else {
                path.push_str(&format!("{}{:.0} {y:.1}", if is_drawing { 'L' } else { 'M' }, x + STEP / 2.0));
                is_drawing = true;
            }
        }
        path
    }
}

/// The colour of a series.
pub fn accent(name: SeriesName) -> Accent {
    match name {
        SeriesName::AnnouncementSpeed | SeriesName::Bandwidth | SeriesName::AnnouncementCredits => {
            Accent::Announcement
        }
        SeriesName::Credits | SeriesName::Payouts => Accent::Money,
        _ => Accent::Block,
    }
}

/// Whether each point is a sum over its step, not a level.
fn is_bars(name: SeriesName) -> bool {
    !matches!(
        name,
        SeriesName::AnnouncementSpeed | SeriesName::BlockSpeed | SeriesName::Bandwidth | SeriesName::HashRate
    )
}
