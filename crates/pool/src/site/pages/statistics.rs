//! Statistics: every figure of the pool, and its past over an hour, a day, a week, 30 days.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;

use super::super::facts::{AnnouncementClass, Chain, ClassState, PoolFacts, Range, Series, SeriesName, Unit};
use super::chart::Chart;
use super::figure::{Accent, Figure, Figures};
use super::frame::Frame;
use super::home::chain_name;
use super::numbers::{Shown, UNKNOWN, grouped};
use super::share_bar::ShareBar;
use super::{Pages, Question, Texts, Visit, html, summary};

#[derive(Template)]
#[template(path = "statistics.html")]
struct Statistics<'a> {
    frame: Frame<'a>,
    ranges: Vec<RangeLink>,
    chains: Vec<Part<'a>>,
    classes: Vec<Class<'a>>,
}

struct Part<'a> {
    id: &'static str,
    name: &'a str,
    figures: Vec<Figure<'a>>,
    charts: Vec<Chart<'a>>,
}

/// Announcements with parents of one height.
struct Class<'a> {
    height: String,
    age: u32,
    state: &'a str,
    accepted: String,
    bar: ShareBar,
    worth: String,
}

/// A link to the same page over another time.
pub(super) struct RangeLink {
    pub(super) address: String,
    pub(super) text: &'static str,
    pub(super) is_current: bool,
}

/// All ranges, for a page that has nothing else in its address.
pub(super) fn range_links(page: &str, current: Range) -> Vec<RangeLink> {
    let link = |range: Range| RangeLink {
        address: format!("{page}?range={range}"),
        text: range.name(),
        is_current: range == current,
    };
    Range::ALL.map(link).into()
}

pub(super) async fn page(State(pages): State<Arc<Pages>>, Query(question): Query<Question>) -> Response {
    let visit = pages.visit();
    let range = question.range();
    let mut series = Vec::new();
    for chain in visit.facts.chains() {
        series.push(pages.series(chain, SeriesName::of_chain(chain), range, None).await);
    }
    let chains = visit.facts.chains().into_iter().zip(&series);
    let page = Statistics {
        frame: visit.frame("statistics", visit.texts.get("statistics.title")),
        ranges: range_links("/statistics", range),
        chains: chains.map(|(chain, series)| part(&visit, chain, series)).collect(),
        classes: classes(&visit.texts, &visit.facts),
    };
    html(StatusCode::OK, &page)
}

fn part<'a>(visit: &'a Visit, chain: Chain, series: &'a [Series]) -> Part<'a> {
    let t = &*visit.texts;
    let make = Figures { t, part: chain.name(), now: visit.now };
    let mut figures = match (chain, &visit.facts.packetcrypt, &visit.facts.nimiq) {
        (Chain::PacketCrypt, Some(facts), _) => {
            vec![summary::packetcrypt(make, facts), summary::packetcrypt_more(make, facts)]
        }
        (Chain::Nimiq, _, Some(facts)) => vec![summary::nimiq(make, facts), summary::nimiq_more(make, facts)],
        _ => Vec::new(),
    };
    figures.push(summary::machinery(make, &visit.facts, chain));
    Part {
        id: chain.name(),
        name: chain_name(t, chain),
        figures: figures.into_iter().flatten().collect(),
        charts: series.iter().map(|series| Chart::new(t, series)).collect(),
    }
}

fn classes<'a>(t: &'a Texts, facts: &PoolFacts) -> Vec<Class<'a>> {
    let Some(facts) = &facts.packetcrypt else { return Vec::new() };
    let most = facts.announcement_classes.iter().filter_map(|class| class.accepted.value).max().unwrap_or(0);
    let class = |class: &AnnouncementClass| Class {
        height: grouped(u64::from(class.parent_height)),
        age: class.age_blocks,
        state: match class.state {
            ClassState::Fresh => t.get("statistics.fresh"),
            ClassState::Mature => t.get("statistics.mature"),
            ClassState::Spoiled => t.get("statistics.spoiled"),
        },
        accepted: class.accepted.value.map_or_else(|| UNKNOWN.to_owned(), grouped),
        bar: ShareBar::new(
            if class.state == ClassState::Mature { Accent::Announcement } else { Accent::Plain },
            class.accepted.value.unwrap_or(0) as f64 / most.max(1) as f64 * 100.0,
        ),
        worth: class
            .worth_percent
            .map_or_else(|| UNKNOWN.to_owned(), |worth| worth.shown(Unit::Percent).to_string()),
    };
    facts.announcement_classes.iter().map(class).collect()
}
