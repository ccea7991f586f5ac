//! Transparency: by which rules this pool pays, with which numbers, what it owes and has, and how to check it all.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::super::facts::{Chain, NimiqFacts, PacketCryptFacts, Part, Unit};
use super::figure::{Figure, Figures};
use super::frame::Frame;
use super::incident_table::IncidentTable;
use super::next_block::NextBlock;
use super::next_nimiq_block::NextNimiqTable;
use super::numbers::{Shown, duration_text, grouped, money, percent};
use super::payouts::totals;
use super::proof_table::ProofTable;
use super::statement_table::StatementTable;
use super::{Pages, Texts, Visit, html};

/// Payees of the next block: as many as the facts hold.
const PAYEES: usize = 100;
/// The newest terms, incidents and statements on the page; its links have them all.
const TERMS: u32 = 12;
const INCIDENTS: u32 = 12;
const STATEMENTS: u32 = 12;

#[derive(Template)]
#[template(path = "transparency.html")]
struct Transparency<'a> {
    frame: Frame<'a>,
    packetcrypt: Option<PacketCryptPart<'a>>,
    nimiq: Option<NimiqPart<'a>>,
    terms: StatementTable<'a>,
    incidents: IncidentTable<'a>,
    statements: StatementTable<'a>,
    key: String,
    verify: String,
    build: String,
}

struct PacketCryptPart<'a> {
    rule: &'a str,
    parameters: Vec<(&'a str, String)>,
    next: Option<NextBlock<'a>>,
    proofs: ProofTable<'a>,
    warnings: Vec<String>,
}

struct NimiqPart<'a> {
    rule: &'a str,
    parameters: Vec<(&'a str, String)>,
    totals: Vec<Figure<'a>>,
    next: Option<NextNimiqTable<'a>>,
    proofs: ProofTable<'a>,
    address: Option<&'a str>,
}

pub(super) async fn page(State(pages): State<Arc<Pages>>) -> Response {
    let visit = pages.visit();
    let t = &*visit.texts;
    let identity = &visit.facts.identity;
    let (facts, key) = (&pages.facts, pages.facts.statement_key());
    let page = Transparency {
        frame: visit.frame("transparency", t.get("transparency.title")),
        packetcrypt: visit.facts.packetcrypt.as_ref().map(|facts| packetcrypt(&visit, facts)),
        nimiq: visit.facts.nimiq.as_ref().map(|facts| nimiq(&visit, facts)),
        terms: StatementTable::of_terms(&visit, &facts.statements(None, Some("terms"), TERMS)),
        incidents: IncidentTable::new(&visit, &facts.incidents(None, INCIDENTS)),
        statements: StatementTable::of_all(&visit, &facts.statements(None, None, STATEMENTS)),
        verify: format!(
            "curl -O {}/api/v1/statements/log && headframe verify statements log --key {key}",
            identity.url
        ),
        key,
        build: match &identity.build {
            Some(build) => format!("{} ({build})", identity.version),
            None => identity.version.clone(),
        },
    };
    html(StatusCode::OK, &page)
}

fn packetcrypt<'a>(visit: &'a Visit, facts: &'a PacketCryptFacts) -> PacketCryptPart<'a> {
    let t: &Texts = &visit.texts;
    let part = |part: Option<Part>| {
        part.map_or_else(|| t.get("frame.not_known_yet").to_owned(), |part| percent(part).to_string())
    };
    PacketCryptPart {
        rule: &facts.payout_rule,
        parameters: vec![
            (t.get("transparency.fee"), part(facts.fee)),
            (t.get("transparency.block_miners"), part(facts.block_miners_part)),
            (t.get("transparency.announcement_miners"), part(facts.announcement_miners_part)),
            (
                t.get("transparency.announcement_work"),
                facts.announcement_work.value.map_or_else(
                    || t.get("frame.not_known_yet").to_owned(),
                    |work| work.shown(Unit::Difficulty).to_string(),
                ),
            ),
            (
                t.get("transparency.who_may_announce"),
                t.get(if facts.is_private { "transparency.private" } else { "transparency.everybody" })
                    .to_owned(),
            ),
        ],
        next: NextBlock::new(t, facts, visit.now, PAYEES, None),
        proofs: ProofTable::new(visit, Chain::PacketCrypt, &facts.blocks),
        warnings: facts.warnings.iter().map(|warning| in_words(t, warning)).collect(),
    }
}

/// What the ledger warns of, in the words of this site; the document has the words of the protocol.
fn in_words(t: &Texts, warning: &str) -> String {
    let part = warning.split_once('[').and_then(|(_, rest)| rest.split_once("%]")).map(|(part, _)| part);
    let part = part.and_then(|part| part.parse::<f64>().ok()).map(|part| part.shown(Unit::Percent));
    let key = match warning.strip_prefix("Ran out of ").and_then(|rest| rest.split_once(' ')) {
        Some(("block", _)) => "transparency.too_few_shares",
        Some(("ann", _)) => "transparency.too_few_announcements",
        _ => return warning.to_owned(),
    };
    part.map_or_else(|| warning.to_owned(), |part| t.fill(key, &[("part", &part)]))
}

fn nimiq<'a>(visit: &'a Visit, facts: &'a NimiqFacts) -> NimiqPart<'a> {
    let t: &Texts = &visit.texts;
    let interval = match facts.payout_interval_seconds {
        0 => t.get("payouts.at_once").to_owned(),
        seconds => t.fill("payouts.every", &[("time", &duration_text(seconds))]),
    };
    NimiqPart {
        rule: &facts.payout_rule,
        parameters: vec![
            (t.get("transparency.fee"), percent(facts.fee).to_string()),
            (t.get("transparency.confirmations"), grouped(u64::from(facts.confirmations_needed))),
            (t.get("transparency.automatic_above"), money(facts.automatic_above).to_string()),
            (t.get("transparency.interval"), interval),
            (t.get("transparency.network"), facts.network.clone()),
        ],
        totals: totals(Figures { t, part: "nimiq", now: visit.now }, facts),
        next: facts.next_block.as_ref().map(|next| NextNimiqTable::new(t, next, visit.now, PAYEES, None)),
        proofs: ProofTable::new(visit, Chain::Nimiq, &facts.blocks),
        address: facts.address.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_ledger_warns_of_is_said_in_plain_words_and_anything_else_as_it_is() {
        let texts = Texts::default();
        let said =
            in_words(&texts, "Ran out of block shares to pay paying [45.9838728117%] to defaultAddress");
        assert!(said.contains("shares do not fill") && said.contains("46\u{a0}%"), "{said}");
        let said = in_words(&texts, "Ran out of ann shares to pay paying [6.75%] to defaultAddress");
        assert!(said.contains("announcements do not fill") && said.contains("6.75\u{a0}%"), "{said}");
        assert_eq!(in_words(&texts, "Ran out of luck"), "Ran out of luck");
        assert_eq!(in_words(&texts, "anything [x%]"), "anything [x%]");
    }
}
