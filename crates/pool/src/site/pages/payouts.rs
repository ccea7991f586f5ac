//! Payouts: what the next PacketCrypt block pays and the tables before it; batches and payments of Nimiq, and what the
//! pool owes beside what it has.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State as AxumState};
use axum::response::Response;
use http::StatusCode;

use super::super::facts::{
    Amount, BlockStanding, Chain, LedgerTotals, Measured, Moment, NimiqFacts, PacketCryptFacts, PaidBlock,
    PayoutBatch, PayoutTableFacts, Range, Series, SeriesName, Unit,
};
use super::age::Age;
use super::chart::Chart;
use super::figure::{Accent, Figure, Figures};
use super::frame::Frame;
use super::next_block::NextBlock;
use super::numbers::{Shown, UNKNOWN, duration_text, grouped, money, percent, shortened};
use super::payment_table::PaymentTable;
use super::state::State;
use super::statistics::{RangeLink, range_links};
use super::{Pages, Question, Texts, Visit, html};

/// Payees of the next block that are shown here.
const PAYEES: usize = 25;
/// Payout lists on the page, besides those by which a block paid.
const TABLES: usize = 6;
/// The newest payments on the page; its links have them all.
const PAYMENTS: usize = 25;

#[derive(Template)]
#[template(path = "payouts.html")]
struct Payouts<'a> {
    frame: Frame<'a>,
    ranges: Vec<RangeLink>,
    packetcrypt: Option<PacketCryptPart<'a>>,
    nimiq: Option<NimiqPart<'a>>,
}

struct PacketCryptPart<'a> {
    rule: &'a str,
    figures: Vec<Figure<'a>>,
    next: Option<NextBlock<'a>>,
    tables: Vec<Table>,
}

/// A payout table that was sent to the node.
struct Table {
    number: String,
    made: Age,
    payees: String,
    announcements: String,
    shares: String,
    state: State,
    detail: String,
    paid: Vec<PaidIn>,
}

/// Blocks that paid by a table and stand alike.
struct PaidIn {
    text: String,
    state: State,
}

struct NimiqPart<'a> {
    rule: &'a str,
    figures: Vec<Figure<'a>>,
    charts: Vec<Chart<'a>>,
    batches: Vec<Batch>,
    payments: PaymentTable<'a>,
}

struct Batch {
    at: Age,
    payments: String,
    value: String,
    fees: String,
    state: State,
}

pub(super) async fn page(
    AxumState(pages): AxumState<Arc<Pages>>,
    Query(question): Query<Question>,
) -> Response {
    let visit = pages.visit();
    let (t, now) = (&*visit.texts, visit.now);
    let range = question.range.parse().unwrap_or(Range::Month);
    let series = match &visit.facts.nimiq {
        Some(_) => {
            let names = [SeriesName::Credits, SeriesName::Payouts];
            pages.series(Chain::Nimiq, &names, range, None).await
        }
        None => Vec::new(),
    };
    let page = Payouts {
        frame: visit.frame("payouts", t.get("payouts.title")),
        ranges: if series.is_empty() { Vec::new() } else { range_links("/payouts", range) },
        packetcrypt: visit.facts.packetcrypt.as_ref().map(|facts| packetcrypt(t, facts, now)),
        nimiq: visit.facts.nimiq.as_ref().map(|facts| nimiq(&visit, facts, &series)),
    };
    html(StatusCode::OK, &page)
}

fn packetcrypt<'a>(t: &'a Texts, facts: &'a PacketCryptFacts, now: Moment) -> PacketCryptPart<'a> {
    let make = Figures { t, part: "packetcrypt", now };
    let payees = facts
        .payout_table
        .as_ref()
        .map(|table| super::numbers::Quantity { number: grouped(table.payee_count), unit: String::new() });
    PacketCryptPart {
        rule: &facts.payout_rule,
        figures: vec![
            make.measured("next_reward", Accent::Money, &facts.next_reward),
            make.given("payees", Accent::Money, payees, t.get("time.next_block")),
            make.given("fee", Accent::Money, facts.fee.map(percent), t.get("time.of_each_reward")),
        ],
        next: NextBlock::new(t, facts, now, PAYEES, None),
        tables: tables(t, facts, now),
    }
}

fn tables(t: &Texts, facts: &PacketCryptFacts, now: Moment) -> Vec<Table> {
    let filled = |filled: Option<f64>| {
        filled.map_or_else(|| UNKNOWN.to_owned(), |filled| filled.shown(Unit::Percent).to_string())
    };
    let table = |table: &PayoutTableFacts| Table {
        number: table.number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string()),
        made: Age::new(t, table.made_at, now),
        payees: grouped(table.payee_count),
        announcements: filled(table.announcement_window.filled_percent),
        shares: filled(table.share_window.filled_percent),
        state: State::of_table(t, table.state),
        detail: table.detail.clone().unwrap_or_default(),
        paid: paid_in(t, &table.paid_in),
    };
    let is_shown = |(place, table): &(usize, &PayoutTableFacts)| *place < TABLES || !table.paid_in.is_empty();
    facts.payout_tables.iter().enumerate().filter(is_shown).map(|(_, sent)| table(sent)).collect()
}

/// Newest first, a line for all that stand alike.
fn paid_in(t: &Texts, blocks: &[PaidBlock]) -> Vec<PaidIn> {
    let mut alike: Vec<(&PaidBlock, usize)> = Vec::new();
    for block in blocks {
        match alike.iter_mut().find(|(newest, _)| newest.standing == block.standing) {
            Some((_, count)) => *count += 1,
            None => alike.push((block, 1)),
        }
    }
    let line = |(newest, count): (&PaidBlock, usize)| {
        let block =
            newest.height.map_or_else(|| shortened(&newest.hash), |height| grouped(u64::from(height)));
        let text = match (newest.standing, count) {
            (BlockStanding::Orphaned, _) => t.fill("payouts.lost_with", &[("block", &block)]),
            (_, 1) => t.fill("payouts.paid_in", &[("block", &block)]),
            _ => t.fill("payouts.paid_in_many", &[("n", &count), ("block", &block)]),
        };
        PaidIn { text, state: State::of_block(t, newest.standing) }
    };
    alike.into_iter().map(line).collect()
}

fn nimiq<'a>(visit: &'a Visit, facts: &'a NimiqFacts, series: &'a [Series]) -> NimiqPart<'a> {
    let (t, now) = (&*visit.texts, visit.now);
    let interval = match facts.payout_interval_seconds {
        0 => t.get("payouts.at_once").to_owned(),
        seconds => t.fill("payouts.every", &[("time", &duration_text(seconds))]),
    };
    let mut figures = totals(Figures { t, part: "nimiq", now }, facts);
    let make = Figures { t, part: "nimiq", now };
    figures.push(make.given("automatic_above", Accent::Money, Some(money(facts.automatic_above)), interval));
    figures.push(make.measured("average_payout", Accent::Money, &facts.average_payout));
    let batch = |batch: &PayoutBatch| Batch {
        at: Age::new(t, batch.prepared_at, now),
        payments: grouped(batch.payments),
        value: money(batch.value).to_string(),
        fees: money(batch.network_fees).to_string(),
        state: State::of_payment(t, batch.state),
    };
    NimiqPart {
        rule: &facts.payout_rule,
        figures,
        charts: series.iter().map(|series| Chart::new(t, series)).collect(),
        batches: facts.batches.iter().take(20).map(batch).collect(),
        payments: PaymentTable::of_all(
            visit,
            Chain::Nimiq,
            &facts.payments[..facts.payments.len().min(PAYMENTS)],
        ),
    }
}

/// The book's sums: what the pool owes, what it has, what it has paid.
pub(super) fn totals<'a>(make: Figures<'a>, facts: &NimiqFacts) -> Vec<Figure<'a>> {
    let totals = facts.totals.as_ref();
    let as_of = totals.map_or(make.now, |totals| totals.as_of);
    let figure = |key, amount: fn(&LedgerTotals) -> Option<Amount>| {
        let amount = totals.and_then(amount);
        make.measured(key, Accent::Money, &Measured::<Amount>::at(amount, Unit::Nim, as_of))
    };
    vec![
        figure("reserve", |totals| totals.reserve),
        figure("liabilities", |totals| Some(totals.liabilities)),
        figure("immature", |totals| Some(totals.immature)),
        figure("confirmed", |totals| Some(totals.confirmed)),
        figure("under_way", |totals| Some(totals.under_way)),
        figure("paid", |totals| Some(totals.paid)),
        figure("fee_account", |totals| Some(totals.fees)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_blocks_of_one_list_take_a_line_for_each_state() {
        let block = |height, standing| PaidBlock {
            height: Some(height).filter(|_| standing != BlockStanding::Orphaned),
            hash: format!("{height:064x}"),
            standing,
            confirmations: None,
        };
        let texts = Texts::default();
        let lines = paid_in(
            &texts,
            &[
                block(9, BlockStanding::Immature),
                block(8, BlockStanding::Orphaned),
                block(7, BlockStanding::Immature),
            ],
        );
        let lines: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(lines[0], "paid in 2 blocks, the newest 9:");
        assert_eq!(lines[1], "lost with 0000000000…000008:", "the chain has no height for it");
    }
}
