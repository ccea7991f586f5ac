//! Who gets what of the next PacketCrypt block, and why: the two windows, how far they reach back and how full they are.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::{Moment, PacketCryptFacts, Part, PayoutTableFacts, Unit, WindowFacts};
use super::super::texts::Texts;
use super::age::Age;
use super::figure::Accent;
use super::numbers::{Shown, UNKNOWN, duration_text, grouped, money, percent, shortened};
use super::share_bar::ShareBar;
use super::state::State;

/// The table of payees.
#[derive(Template)]
#[template(path = "next_block.html")]
pub struct NextBlock<'a> {
    t: &'a Texts,
    made: Age,
    /// The list that the node was sent last: when, and what became of it.
    sent: Option<(Age, State)>,
    windows: Vec<Window>,
    rows: Vec<Row>,
    /// How many are paid, and how many of them are shown.
    payees: String,
    is_cut: bool,
    /// Whether work leaves a part of a window empty.
    has_rest: bool,
}

impl HtmlSafe for NextBlock<'_> {}

/// One of the windows, in words.
pub struct Window {
    /// Of what.
    pub title: String,
    /// Its colour.
    pub accent: &'static str,
    /// The part of the reward that it divides.
    pub part: String,
    /// How long it is.
    pub length: String,
    /// Its older bound; the newer one is now.
    pub oldest: Option<String>,
    /// How full it is.
    pub filled: String,
    /// The same as a bar.
    pub bar: Option<ShareBar>,
}

struct Row {
    address: String,
    short: String,
    percent: String,
    amount: String,
    bar: ShareBar,
    is_own: bool,
    is_of_pool: bool,
}

impl<'a> NextBlock<'a> {
    /// The first `payees` of the table in force; the line of `own` stands out.
    pub fn new(
        t: &'a Texts,
        facts: &PacketCryptFacts,
        now: Moment,
        payees: usize,
        own: Option<&str>,
    ) -> Option<Self> {
        let table = facts.payout_table.as_ref()?;
        let greatest = table.payees.iter().map(|payee| payee.part.percent()).fold(0.0, f64::max).max(1e-9);
        let rows = table.payees.iter().take(payees).map(|payee| Row {
            address: payee.address.replace(' ', ""),
            short: shortened(&payee.address),
            percent: percent(payee.part).to_string(),
            amount: payee.amount.map_or_else(|| UNKNOWN.to_owned(), |amount| money(amount).to_string()),
            bar: ShareBar::new(Accent::Money, payee.part.percent() / greatest * 100.0),
            is_own: own == Some(payee.address.as_str()),
            is_of_pool: payee.is_of_pool,
        });
        let rows: Vec<Row> = rows.collect();
        let count = grouped(table.payee_count);
        let is_cut = table.payee_count > rows.len() as u64;
        let payees = if is_cut {
            t.fill("next.greatest", &[("shown", &rows.len()), ("n", &count)])
        } else {
            t.fill("next.payees", &[("n", &count)])
        };
        let has_rest = [table.share_window, table.announcement_window]
            .iter()
            .any(|window| window.filled_percent.is_some_and(|filled| filled < 100.0));
        Some(Self {
            t,
            sent: facts
                .payout_tables
                .first()
                .map(|sent| (Age::new(t, sent.made_at, now), State::of_table(t, sent.state))),
            made: Age::new(t, table.made_at, now),
            windows: windows(t, facts, table),
            rows,
            payees,
            is_cut,
            has_rest,
        })
    }
}

/// Both windows of a table.
pub fn windows(t: &Texts, facts: &PacketCryptFacts, table: &PayoutTableFacts) -> Vec<Window> {
    let window = |title: &str, accent: Accent, part: Option<Part>, window: WindowFacts| Window {
        title: title.to_owned(),
        accent: accent.class(),
        part: part.map_or_else(|| UNKNOWN.to_owned(), |part| percent(part).to_string()),
        length: match (window.oldest, window.newest) {
            (Some(oldest), Some(newest)) => duration_text(oldest.age_seconds(newest)),
            _ => t.get("frame.not_known_yet").to_owned(),
        },
        oldest: window.oldest.map(super::numbers::date),
        filled: window.filled_percent.map_or_else(
            || t.get("frame.not_known_yet").to_owned(),
            |filled| filled.shown(Unit::Percent).to_string(),
        ),
        bar: window.filled_percent.map(|filled| ShareBar::new(accent, filled)),
    };
    let announcements = t.get("work.announcements_only");
    vec![
        window(
            announcements,
            Accent::Announcement,
            facts.announcement_miners_part,
            table.announcement_window,
        ),
        window(t.get("work.shares"), Accent::Block, facts.block_miners_part, table.share_window),
    ]
}
