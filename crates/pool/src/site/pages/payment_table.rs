//! Payments as a table: to whom, how much, by which transaction or block, and where each stands.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::{Chain, Payment};
use super::super::texts::Texts;
use super::Visit;
use super::age::Age;
use super::chain_hash::ChainHash;
use super::numbers::{UNKNOWN, grouped, money, percent, shortened};
use super::state::State;

/// The table.
#[derive(Template)]
#[template(path = "payment_table.html")]
pub struct PaymentTable<'a> {
    t: &'a Texts,
    rows: Vec<Row>,
    /// Whether they are different addresses'.
    has_addresses: bool,
}

impl HtmlSafe for PaymentTable<'_> {}

struct Row {
    at: Age,
    address: String,
    address_short: String,
    amount: String,
    fee: String,
    height: String,
    hash: ChainHash,
    state: State,
}

impl<'a> PaymentTable<'a> {
    /// Payments of the whole pool.
    pub fn of_all(visit: &'a Visit, chain: Chain, payments: &[Payment]) -> Self {
        let rows = payments.iter().map(|payment| row(visit, chain, payment)).collect();
        Self { t: &visit.texts, rows, has_addresses: true }
    }

    /// Payments to one address.
    pub fn of_one(visit: &'a Visit, chain: Chain, payments: &[Payment]) -> Self {
        Self { has_addresses: false, ..Self::of_all(visit, chain, payments) }
    }
}

fn row(visit: &Visit, chain: Chain, payment: &Payment) -> Row {
    let t = &visit.texts;
    let unknown = || UNKNOWN.to_owned();
    let part = payment.part.map(|part| t.fill("payments.part", &[("part", &percent(part))]));
    Row {
        at: Age::new(t, payment.at, visit.now),
        address: payment.address.replace(' ', ""),
        address_short: shortened(&payment.address),
        amount: payment.amount.map(|amount| money(amount).to_string()).or(part).unwrap_or_else(unknown),
        fee: payment.network_fee.map_or_else(unknown, |fee| money(fee).to_string()),
        height: payment.height.map_or_else(unknown, |height| grouped(u64::from(height))),
        hash: ChainHash::new(&visit.facts.identity.explorers, chain, &payment.hash),
        state: State::of_payment(t, payment.state),
    }
}
