//! What the site role asks a PayMaker: JSON of the types of [`crate::site::facts`].
//!
//! | request | answer |
//! |---|---|
//! | `GET …/poolfacts` | [`PacketCryptFacts`](crate::site::facts::PacketCryptFacts), as far as a PayMaker knows it |
//! | `GET …/minerfacts?address=` | [`MinerFacts`](crate::site::facts::MinerFacts) |
//! | `GET …/payments?address=&before=<ms>&limit=` | what blocks before a time paid an address: a [`PaymentsPage`](crate::site::facts::PaymentsPage) |
//! | `GET …/wonblocks?before=<ms>&limit=` | blocks of the pool won before a time, newest first |
//! | `GET …/payouttables?before=<number>&limit=` | payout tables before a number, newest first |
//! | `GET …/series?name=&range=&address=` | [`Series`](crate::site::facts::Series) of the pool or an address |
//! | `GET …/acceptedwork?since=<number>` | accepted work by address since a number that an answer gave |
//! | `GET …/payees?table=<number>&offset=&limit=` | who the next block pays, or whom a table paid that was sent, in its order |
//!
//! A limit is at most 500. Anybody may ask: it is what the website shows.

use std::sync::Arc;

use axum::response::Response;
use http::{Method, StatusCode};
use ledger::UnixMillis;
use ledger::book::{BookError, PayoutTableNumber};
use serde::Serialize;
use wire::PktAddress;

use super::reports::{newest_paid_by, pool_block, sent_table};
use super::routes::{json, not_ready, text};
use super::{Shared, miner_report};
use crate::site::facts::{Chain, PaymentsPage, Range, SeriesName, SeriesQuery};

/// The most of a table that one answer holds.
const MOST: u32 = 500;

/// Blocks that are looked through at once for payments to an address, and how often that is done for one answer.
const BLOCKS_OF_A_LOOK: u32 = 100;
const LOOKS: usize = 8;

/// The last segments of the paths that are answered here.
pub(super) const NAMES: [&str; 8] =
    ["series", "acceptedwork", "poolfacts", "minerfacts", "payments", "wonblocks", "payouttables", "payees"];

/// Answers one of [`NAMES`].
pub(super) async fn answer(shared: &Arc<Shared>, method: &Method, name: &str, query: &str) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "");
    }
    let query = Query(query);
    match name {
        "series" => series(shared, &query).await,
        "acceptedwork" => of_value(&shared.accepted_work.since(query.number("since"))),
        "payments" => payments(shared, &query).await,
        "payees" if query.number("table").is_some() => payees_of_table(shared, &query).await,
        "wonblocks" => {
            let before = UnixMillis(query.number("before").unwrap_or(u64::MAX));
            let wins = shared.book.wins_before(before, query.limit()).await;
            of_book(wins.map(|wins| wins.iter().map(|win| pool_block(win, shared)).collect::<Vec<_>>()))
        }
        "payouttables" => {
            let before = query.number("before").and_then(|number| i64::try_from(number).ok());
            let before = PayoutTableNumber(before.unwrap_or(i64::MAX));
            let tables = shared.book.payout_tables_before(before, query.limit()).await;
            let paid = newest_paid_by(shared).await;
            of_book(
                tables.map(|tables| tables.iter().map(|table| sent_table(table, &paid)).collect::<Vec<_>>()),
            )
        }
        _ => of_ledger(shared, name, &query).await,
    }
}

async fn series(shared: &Shared, query: &Query<'_>) -> Response {
    let name = query.text("name").and_then(SeriesName::from_name);
    let name =
        name.filter(|name| SeriesName::of_chain(Chain::PacketCrypt).contains(name) && !name.is_of_website());
    let range = query.text("range").unwrap_or("24h").parse::<Range>();
    let address = query.text("address").map(str::parse::<PktAddress>).transpose();
    let (Some(name), Ok(range), Ok(address)) = (name, range, address) else {
        return text(StatusCode::BAD_REQUEST, "`name`, `range` or `address` is none that is known here");
    };
    let question = SeriesQuery {
        chain: Chain::PacketCrypt,
        name,
        range,
        address: address.map(|address| address.to_string()),
    };
    of_book(shared.charts.series(&shared.book, &question, address, (shared.clock)()).await)
}

async fn payments(shared: &Shared, query: &Query<'_>) -> Response {
    let Some(address) = query.address() else { return no_address() };
    let (most, mut page) = (query.limit() as usize, PaymentsPage::default());
    let mut before = UnixMillis(query.number("before").unwrap_or(u64::MAX));
    for _ in 0..LOOKS {
        let (found, next) = miner_report::payments(shared, address, before, BLOCKS_OF_A_LOOK).await;
        page.payments.extend(found);
        page.next = next.map(|next| next.0);
        match next {
            Some(next) if page.payments.len() < most => before = next,
            _ => break,
        }
    }
    if page.payments.len() > most {
        page.payments.truncate(most);
        page.next = page.payments.last().map(|last| last.at.0);
    }
    of_value(&page)
}

async fn payees_of_table(shared: &Shared, query: &Query<'_>) -> Response {
    let number = query.number("table").and_then(|number| i64::try_from(number).ok());
    match shared.book.payees_of(PayoutTableNumber(number.unwrap_or(i64::MAX))).await {
        Ok(None) => text(StatusCode::NOT_FOUND, "there is no such table, or no more"),
        found => of_book(found.map(|payees| {
            let page = query.page(payees.unwrap_or_default());
            let payee = |(address, units): &(_, _)| shared.documents.payee(address, *units, None);
            page.iter().map(payee).collect::<Vec<_>>()
        })),
    }
}

fn no_address() -> Response {
    text(StatusCode::BAD_REQUEST, "`address` is no PKT address that a pool can pay")
}

async fn of_ledger(shared: &Arc<Shared>, name: &str, query: &Query<'_>) -> Response {
    let Some(ledger) = shared.ledger.get() else { return not_ready() };
    let Some(report) = shared.reports.current(shared, ledger).await else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "the report could not be made");
    };
    match name {
        "poolfacts" => json(StatusCode::OK, report.json.clone()),
        "payees" => {
            let reward = report.facts.next_reward.value.map(|reward| reward.units);
            let page = query.page(report.payees.iter());
            let payees = page.iter().map(|(address, units)| shared.documents.payee(address, *units, reward));
            of_value(&payees.collect::<Vec<_>>())
        }
        _ => {
            let Some(address) = query.address() else { return no_address() };
            of_value(&miner_report::miner_facts(shared, ledger, &report, address).await)
        }
    }
}

fn of_book(found: Result<impl Serialize, BookError>) -> Response {
    match found {
        Ok(value) => of_value(&value),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the book could not be read");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the book could not be read")
        }
    }
}

fn of_value(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => json(StatusCode::OK, body),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written")
        }
    }
}

/// Numbers and addresses need no decoding: whatever would need it is none.
struct Query<'a>(&'a str);

impl Query<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
            .map(|(_, text)| text)
    }

    fn address(&self) -> Option<PktAddress> {
        self.text("address")?.parse().ok()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// The rows of a table from the offset on, as many as were asked for.
    fn page<T>(&self, rows: impl IntoIterator<Item = T>) -> Vec<T> {
        let skipped = self.number("offset").map_or(0, |offset| usize::try_from(offset).unwrap_or(usize::MAX));
        rows.into_iter().skip(skipped).take(self.limit() as usize).collect()
    }

    fn limit(&self) -> u32 {
        self.number("limit").map_or(MOST, |limit| u32::try_from(limit).unwrap_or(MOST)).clamp(1, MOST)
    }
}
