//! Who gets what of the next Nimiq block, and why: the window of shares, how far it reaches back, and each miner's part.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::{Moment, NextNimiqBlock};
use super::super::texts::Texts;
use super::age::Age;
use super::figure::Accent;
use super::numbers::{UNKNOWN, date, duration_text, grouped, money, percent, shortened};
use super::share_bar::ShareBar;

/// The table of miners.
#[derive(Template)]
#[template(path = "next_nimiq_block.html")]
pub struct NextNimiqTable<'a> {
    t: &'a Texts,
    made: Age,
    shares: String,
    length: String,
    oldest: Option<String>,
    payees: String,
    is_cut: bool,
    rows: Vec<Row>,
}

impl HtmlSafe for NextNimiqTable<'_> {}

struct Row {
    address: String,
    short: String,
    percent: String,
    amount: String,
    bar: ShareBar,
    is_own: bool,
}

impl<'a> NextNimiqTable<'a> {
    /// The greatest `payees`; the line of `own` stands out.
    pub fn new(t: &'a Texts, next: &NextNimiqBlock, now: Moment, payees: usize, own: Option<&str>) -> Self {
        let greatest = next.payees.iter().map(|payee| payee.part.percent()).fold(0.0, f64::max).max(1e-9);
        let rows = next.payees.iter().take(payees).map(|payee| Row {
            address: payee.address.replace(' ', ""),
            short: shortened(&payee.address),
            percent: percent(payee.part).to_string(),
            amount: payee.amount.map_or_else(|| UNKNOWN.to_owned(), |amount| money(amount).to_string()),
            bar: ShareBar::new(Accent::Money, payee.part.percent() / greatest * 100.0),
            is_own: own == Some(payee.address.as_str()),
        });
        let rows: Vec<Row> = rows.collect();
        let count = grouped(next.payee_count);
        let is_cut = next.payee_count > rows.len() as u64;
        let payees = if is_cut {
            t.fill("next.greatest", &[("shown", &rows.len()), ("n", &count)])
        } else {
            t.fill("next.payees", &[("n", &count)])
        };
        Self {
            t,
            made: Age::new(t, next.as_of, now),
            shares: grouped(next.shares),
            length: next.oldest_share.zip(next.newest_share).map_or_else(
                || t.get("frame.not_known_yet").to_owned(),
                |(oldest, newest)| duration_text(oldest.age_seconds(newest)),
            ),
            oldest: next.oldest_share.map(date),
            payees,
            is_cut,
            rows,
        }
    }
}
