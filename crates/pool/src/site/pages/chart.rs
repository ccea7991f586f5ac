//! A chart as the server draws it: readable without scripts, and replaced by a live one of the same size where they run.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::{Series, SeriesName, Unit};
use super::super::texts::Texts;
use super::figure::Accent;
use super::numbers::{Quantity, Shown, UNKNOWN, span_text};

/// The drawing is this high; it is stretched to its place.
const HEIGHT: f64 = 100.0;
/// Room above the highest point.
const HEADROOM: f64 = 8.0;
/// A point of a drawing is this wide.
const STEP: f64 = 10.0;
/// Points of a drawing; the live chart has all.
const POINTS: usize = 180;

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

    /// The last point that is whole.
    fn last(&self) -> Option<Quantity> {
        let whole = if self.is_bars() { self.without_newest() } else { self.drawn() };
        whole.iter().rev().flatten().next().map(|value| value.shown(self.series.unit))
    }

    fn peak(&self) -> Option<Quantity> {
        self.highest().map(|value| value.shown(self.series.unit))
    }

    fn highest(&self) -> Option<f64> {
        self.drawn().iter().flatten().copied().reduce(f64::max)
    }

    fn without_newest(&self) -> &[Option<f64>] {
        self.series.points.split_last().map_or(&[], |(_, whole)| whole)
    }

    /// What is drawn: of sums all, of levels only whole points, since work is recorded a little later than it is done,
    /// and the newest point would lie too low. Where nothing else is known it is better than nothing.
    fn drawn(&self) -> &[Option<f64>] {
        let whole = self.without_newest();
        if self.is_bars() || whole.iter().all(Option::is_none) { &self.series.points } else { whole }
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
        span_text(series.step_seconds * series.points.len() as u64)
    }

    /// Where the drawing begins.
    fn began(&self) -> String {
        self.t.fill("time.ago", &[("time", &self.range())])
    }

    fn window(&self) -> String {
        let step = span_text(self.series.step_seconds);
        self.t.fill("chart.window", &[("time", &self.range()), ("step", &step)])
    }

    fn width(&self) -> f64 {
        STEP * self.series.points.len().div_ceil(self.together()).max(1) as f64
    }

    /// How many points are drawn as one: nobody sees more than [`POINTS`] of them, and each is sent to everybody.
    fn together(&self) -> usize {
        self.series.points.len().div_ceil(POINTS).max(1)
    }

    /// What is drawn, thinned out: of levels the mean of neighbours, of sums the highest.
    fn thinned(&self) -> Vec<Option<f64>> {
        let one = |neighbours: &[Option<f64>]| {
            let known = neighbours.iter().flatten();
            let highest = known.clone().copied().reduce(f64::max)?;
            let mean = known.clone().sum::<f64>() / known.count() as f64;
            Some(if self.is_bars() { highest } else { mean })
        };
        self.drawn().chunks(self.together()).map(one).collect()
    }

    fn unit(&self) -> Unit {
        self.series.unit
    }

    /// Lines through the points that are known, and a dot for one that stands alone; bars where points are sums. Rounded:
    /// nobody sees a hundredth.
    fn path(&self) -> String {
        let peak = self.highest().filter(|peak| *peak > 0.0).unwrap_or(1.0);
        let points = self.thinned();
        let mut path = String::new();
        let mut is_drawing = false;
        for (place, point) in points.iter().enumerate() {
            let Some(point) = point else {
                is_drawing = false;
                continue;
            };
            let (x, y) = (STEP * place as f64, HEIGHT - point.max(0.0) / peak * (HEIGHT - HEADROOM));
            if self.is_bars() {
                path.push_str(&format!("M{x:.0} {HEIGHT:.0}V{y:.1}h{:.0}V{HEIGHT:.0}z", STEP * 0.8));
            } else {
                path.push_str(&format!("{}{:.0} {y:.1}", if is_drawing { 'L' } else { 'M' }, x + STEP / 2.0));
                let is_alone = !is_drawing && points.get(place + 1).is_none_or(Option::is_none);
                path.push_str(if is_alone { "h0" } else { "" });
                is_drawing = true;
            }
        }
        path
    }
}

/// The colour of a series.
pub fn accent(name: SeriesName) -> Accent {
    match name {
        SeriesName::AnnouncementSpeed
        | SeriesName::Bandwidth
        | SeriesName::AnnouncementCredits
        | SeriesName::AnnouncementMiners => Accent::Announcement,
        SeriesName::Credits | SeriesName::Payouts => Accent::Money,
        SeriesName::HandlerLoad | SeriesName::NodesUp => Accent::Plain,
        _ => Accent::Block,
    }
}

/// Whether each point is a sum over its step, not a level.
fn is_bars(name: SeriesName) -> bool {
    let is_speed = matches!(
        name,
        SeriesName::AnnouncementSpeed | SeriesName::BlockSpeed | SeriesName::Bandwidth | SeriesName::HashRate
    );
    !is_speed && !name.is_of_website()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::facts::{Chain, Moment, Range};

    fn series(name: SeriesName, points: &[Option<f64>]) -> Series {
        Series {
            chain: Chain::Nimiq,
            name,
            range: Range::Hour,
            address: None,
            unit: name.unit(Chain::Nimiq),
            from: Moment(0),
            step_seconds: 60,
            points: points.to_vec(),
            as_of: Moment(0),
        }
    }

    #[test]
    fn a_minute_that_has_only_begun_is_no_fall_to_nothing() {
        let texts = Texts::default();
        let speed = series(SeriesName::HashRate, &[None, Some(100.0), Some(50.0), Some(0.0)]);
        let chart = Chart::new(&texts, &speed);
        assert_eq!(chart.last().unwrap().to_string(), "50\u{a0}H/s");
        assert_eq!(chart.path(), "M15 8.0L25 54.0");
        let begun = series(SeriesName::HashRate, &[None, None, Some(7.0)]);
        let chart = Chart::new(&texts, &begun);
        assert_eq!(chart.last().unwrap().to_string(), "7\u{a0}H/s", "nothing else is known");
        assert_eq!(chart.path(), "M25 8.0h0", "a point that stands alone is a dot");
    }

    #[test]
    fn a_month_is_drawn_with_fewer_points_and_not_another_shape() {
        let texts = Texts::default();
        let mut points = vec![Some(50.0); 720];
        (points[3], points[7]) = (Some(90.0), None);
        points[400..420].fill(None);
        let level = series(SeriesName::HashRate, &points);
        let chart = Chart::new(&texts, &level);
        let thinned = chart.thinned();
        assert_eq!((thinned.len(), thinned[0], thinned[1]), (180, Some(60.0), Some(50.0)));
        assert_eq!(thinned.iter().filter(|point| point.is_none()).count(), 5, "the gap is still there");
        assert!(chart.path().len() < 3000 && (chart.width() - 1800.0).abs() < 1e-9);
        let sums = series(SeriesName::Shares, &points);
        assert_eq!(Chart::new(&texts, &sums).thinned()[0], Some(90.0), "its highest bar is seen");
    }

    #[test]
    fn a_sum_shows_what_has_come_and_names_the_last_whole_one() {
        let texts = Texts::default();
        let shares = series(SeriesName::Shares, &[Some(4.0), Some(2.0)]);
        let chart = Chart::new(&texts, &shares);
        assert_eq!(chart.last().unwrap().to_string(), "4");
        assert_eq!(chart.path().matches('M').count(), 2);
        let begun = series(SeriesName::Shares, &[Some(1.0)]);
        assert!(Chart::new(&texts, &begun).last().is_none());
    }
}
