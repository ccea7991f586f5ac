//! Luck over the last 10, 100 and all blocks: the mean effort, and the band in which it lies for an honest pool.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::{Luck, LuckWindow, Unit};
use super::super::texts::Texts;
use super::numbers::{Shown, grouped};

/// The table of luck of one chain.
#[derive(Template)]
#[template(path = "luck.html")]
pub struct LuckTable<'a> {
    t: &'a Texts,
    rows: Vec<Row>,
}

impl HtmlSafe for LuckTable<'_> {}

struct Row {
    blocks: String,
    counted: u32,
    effort: String,
    range: String,
    band: Option<Band>,
    is_usual: Option<bool>,
}

/// Places in the drawing, which is 100 wide and `FULL` percent long.
struct Band {
    low: String,
    width: String,
    one: String,
    effort: String,
}

/// The right end of a band's drawing, in percent of a block's average work.
const FULL: f64 = 300.0;

impl<'a> LuckTable<'a> {
    /// The table.
    pub fn new(t: &'a Texts, luck: &Luck) -> Self {
        Self { t, rows: luck.windows.iter().map(|window| row(t, window)).collect() }
    }
}

fn row(t: &Texts, window: &LuckWindow) -> Row {
    let percent = |value: Option<f64>| value.map(|value| value.shown(Unit::Percent).to_string());
    let blocks = match window.blocks {
        Some(blocks) => t.fill("luck.last", &[("n", &grouped(u64::from(blocks)))]),
        None => t.get("luck.all").to_owned(),
    };
    let place = |value: f64| format!("{:.1}", (value / FULL * 100.0).clamp(0.0, 100.0));
    let (low, high) = (window.low_percent, window.high_percent);
    let range = match (percent(low), percent(high)) {
        (Some(low), Some(high)) => t.fill("luck.range", &[("low", &low), ("high", &high)]),
        _ => t.get("frame.not_known_yet").to_owned(),
    };
    let band = low.zip(high).zip(window.effort_percent).map(|((low, high), effort)| Band {
        low: place(low),
        width: place(high - low),
        one: place(100.0),
        effort: place(effort),
    });
    let is_usual =
        low.zip(high).zip(window.effort_percent).map(|((low, high), effort)| (low..=high).contains(&effort));
    let effort = percent(window.effort_percent).unwrap_or_else(|| t.get("frame.not_known_yet").to_owned());
    Row { blocks, counted: window.counted, effort, range, band, is_usual }
}
