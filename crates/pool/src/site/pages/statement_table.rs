//! What the pool has stated as a table: each statement in words, with the hash that the next one names.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::{SignedStatement, Stated, Terms, Totals};
use super::super::texts::Texts;
use super::Visit;
use super::age::Age;
use super::home::chain_name;
use super::incident_table::happened;
use super::numbers::{UNKNOWN, date, grouped, money, percent, shortened};

/// The table.
#[derive(Template)]
#[template(path = "statement_table.html")]
pub struct StatementTable<'a> {
    t: &'a Texts,
    rows: Vec<Row>,
    /// What the table is called by whoever does not see it.
    caption: String,
    /// Whether the hashes are shown, too.
    has_hashes: bool,
}

impl HtmlSafe for StatementTable<'_> {}

struct Row {
    number: String,
    at: Age,
    day: String,
    says: String,
    hash: String,
    hash_short: String,
}

impl<'a> StatementTable<'a> {
    /// Of these statements, with their hashes.
    pub fn of_all(visit: &'a Visit, statements: &[SignedStatement]) -> Self {
        let caption = visit.texts.get("statement.title").to_owned();
        let rows = statements.iter().map(|signed| row(visit, signed)).collect();
        Self { t: &visit.texts, rows, caption, has_hashes: true }
    }

    /// Of the terms among them.
    pub fn of_terms(visit: &'a Visit, statements: &[SignedStatement]) -> Self {
        let caption = visit.texts.get("statement.terms_title").to_owned();
        Self { caption, has_hashes: false, ..Self::of_all(visit, statements) }
    }
}

fn row(visit: &Visit, signed: &SignedStatement) -> Row {
    let (t, statement) = (&*visit.texts, &signed.statement);
    Row {
        number: grouped(statement.number),
        at: Age::new(t, statement.at, visit.now),
        day: date(statement.at),
        says: in_words(t, &statement.stated),
        hash_short: shortened(&signed.hash),
        hash: signed.hash.clone(),
    }
}

fn in_words(t: &Texts, stated: &Stated) -> String {
    match stated {
        Stated::Terms(terms) => of_terms(t, terms),
        Stated::Totals(totals) => of_totals(t, totals),
        Stated::IncidentBegan(beginning) => {
            t.fill("statement.began", &[("what", &happened(t, beginning.what))])
        }
        Stated::IncidentEnded(end) => t.fill("statement.ended", &[("number", &grouped(end.began))]),
    }
}

fn of_terms(t: &Texts, terms: &Terms) -> String {
    t.fill(
        "statement.terms",
        &[("chain", &chain_name(t, terms.chain)), ("fee", &percent(terms.fee)), ("rule", &terms.rule)],
    )
}

fn of_totals(t: &Texts, totals: &Totals) -> String {
    let chain = chain_name(t, totals.chain);
    if let Some(book) = &totals.book {
        let reserve = book.reserve.map_or_else(|| UNKNOWN.to_owned(), |reserve| money(reserve).to_string());
        return t.fill(
            "statement.book",
            &[("chain", &chain), ("owed", &money(book.liabilities)), ("reserve", &reserve)],
        );
    }
    let or_unknown =
        |number: Option<u64>| number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string());
    t.fill(
        "statement.list",
        &[
            ("chain", &chain),
            ("number", &or_unknown(totals.payout_table)),
            ("payees", &or_unknown(totals.payees)),
        ],
    )
}
