//! Blocks: luck with its band, and every block that the pool found, orphans too.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;

use super::super::facts::{Chain, PoolFacts, SeriesName};
use super::block_table::BlockTable;
use super::chart::Chart;
use super::figure::{Figure, Figures};
use super::frame::Frame;
use super::home::chain_name;
use super::luck::LuckTable;
use super::numbers::grouped;
use super::statistics::{RangeLink, range_links};
use super::{Pages, Question, html, summary};

/// Blocks on one page.
const ROWS: usize = 25;

#[derive(Template)]
#[template(path = "blocks.html")]
struct Blocks<'a> {
    frame: Frame<'a>,
    ranges: Vec<RangeLink>,
    chains: Vec<Part<'a>>,
}

struct Part<'a> {
    id: &'static str,
    name: &'a str,
    figures: Vec<Figure<'a>>,
    luck: Option<LuckTable<'a>>,
    charts: Vec<Chart<'a>>,
    table: BlockTable<'a>,
    /// How many are shown, if any are.
    shown: Option<String>,
    newer: Option<String>,
    older: Option<String>,
}

pub(super) async fn page(State(pages): State<Arc<Pages>>, Query(question): Query<Question>) -> Response {
    let visit = pages.visit();
    let (t, facts, now) = (&*visit.texts, &*visit.facts, visit.now);
    let range = question.range();
    let mut series = Vec::new();
    for chain in facts.chains() {
        series.push(pages.series(chain, &[SeriesName::Blocks, SeriesName::Effort], range, None).await);
    }
    let part = |(chain, series): (Chain, &'_ Vec<super::Series>)| {
        // Only the table of the chain asked for is turned.
        let asked = if question.chain == chain.name() { question.page.parse().unwrap_or(1) } else { 1 };
        let blocks = facts.blocks(chain);
        let (rows, page, pages) = turned_to(blocks, asked);
        let link =
            |page: usize| format!("/blocks?chain={0}&page={page}&range={range}#blocks-{0}", chain.name());
        (
            chain,
            rows,
            series.clone(),
            (page > 1).then(|| link(page - 1)),
            (page < pages).then(|| link(page + 1)),
        )
    };
    let chains: Vec<_> = facts.chains().into_iter().zip(&series).map(part).collect();
    let chains = chains.iter().map(|(chain, rows, series, newer, older)| Part {
        id: chain.name(),
        name: chain_name(t, *chain),
        figures: figures(Figures { t, part: chain.name(), now }, facts, *chain),
        luck: luck(facts, *chain).map(|luck| LuckTable::new(t, luck)),
        charts: series.iter().map(|series| Chart::new(t, series)).collect(),
        table: BlockTable::whole(&visit, *chain, rows),
        shown: Some(facts.blocks(*chain).len() as u64)
            .filter(|count| *count > 0)
            .map(|count| t.fill("blocks.shown", &[("n", &grouped(count))])),
        newer: newer.clone(),
        older: older.clone(),
    });
    let frame = visit.frame("blocks", t.get("blocks.title"));
    html(StatusCode::OK, &Blocks { frame, ranges: range_links("/blocks", range), chains: chains.collect() })
}

/// The rows of a page of a table, its number, and how many pages there are; one that is not there becomes the last.
fn turned_to<T>(rows: &[T], page: usize) -> (&[T], usize, usize) {
    let pages = rows.len().div_ceil(ROWS).max(1);
    let page = page.clamp(1, pages);
    let start = (page - 1) * ROWS;
    (&rows[start..rows.len().min(start + ROWS)], page, pages)
}

fn luck(facts: &PoolFacts, chain: Chain) -> Option<&super::super::facts::Luck> {
    match chain {
        Chain::PacketCrypt => facts.packetcrypt.as_ref().map(|facts| &facts.luck),
        Chain::Nimiq => facts.nimiq.as_ref().map(|facts| &facts.luck),
    }
}

fn figures<'a>(make: Figures<'a>, facts: &PoolFacts, chain: Chain) -> Vec<Figure<'a>> {
    let figures = match (chain, &facts.packetcrypt, &facts.nimiq) {
        (Chain::PacketCrypt, Some(facts), _) => {
            [summary::packetcrypt(make, facts), summary::packetcrypt_more(make, facts)]
        }
        (Chain::Nimiq, _, Some(facts)) => [summary::nimiq(make, facts), summary::nimiq_more(make, facts)],
        _ => return Vec::new(),
    };
    let wanted = ["last_block", "effort", "blocks_found", "height", "difficulty"];
    figures.into_iter().flatten().filter(|figure| wanted.contains(&figure.key())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_turned_within_their_pages() {
        let rows: Vec<usize> = (0..60).collect();
        assert_eq!(turned_to(&rows, 1), (&rows[..25], 1, 3));
        assert_eq!(turned_to(&rows, 3), (&rows[50..], 3, 3));
        assert_eq!(turned_to(&rows, usize::MAX), (&rows[50..], 3, 3));
        assert_eq!(turned_to(&rows, 0), (&rows[..25], 1, 3));
        assert_eq!(turned_to::<u8>(&[], 7), (&[][..], 1, 1));
    }
}
