//! Transparency: by which rules this pool pays, with which numbers, what it owes and has, and how to check it all.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::super::facts::{NimiqFacts, PacketCryptFacts, Unit};
use super::figure::{Figure, Figures};
use super::frame::Frame;
use super::next_block::NextBlock;
use super::numbers::{Shown, duration_text, grouped, money, percent};
use super::payouts::totals;
use super::{Pages, Texts, Visit, html};

/// Payees of the next block: as many as the facts hold.
const PAYEES: usize = 100;

#[derive(Template)]
#[template(path = "transparency.html")]
struct Transparency<'a> {
    frame: Frame<'a>,
    packetcrypt: Option<PacketCryptPart<'a>>,
    nimiq: Option<NimiqPart<'a>>,
    build: String,
}

struct PacketCryptPart<'a> {
    rule: &'a str,
    parameters: Vec<(&'a str, String)>,
    next: Option<NextBlock<'a>>,
    warnings: &'a [String],
}

struct NimiqPart<'a> {
    rule: &'a str,
    parameters: Vec<(&'a str, String)>,
    totals: Vec<Figure<'a>>,
    address: Option<&'a str>,
}

pub(super) async fn page(State(pages): State<Arc<Pages>>) -> Response {
    let visit = pages.visit();
    let t = &*visit.texts;
    let identity = &visit.facts.identity;
    let page = Transparency {
        frame: visit.frame("transparency", t.get("transparency.title")),
        packetcrypt: visit.facts.packetcrypt.as_ref().map(|facts| packetcrypt(&visit, facts)),
        nimiq: visit.facts.nimiq.as_ref().map(|facts| nimiq(&visit, facts)),
        build: match &identity.build {
            Some(build) => format!("{} ({build})", identity.version),
            None => identity.version.clone(),
        },
    };
    html(StatusCode::OK, &page)
}

fn packetcrypt<'a>(visit: &'a Visit, facts: &'a PacketCryptFacts) -> PacketCryptPart<'a> {
    let t: &Texts = &visit.texts;
    PacketCryptPart {
        rule: &facts.payout_rule,
        parameters: vec![
            (t.get("transparency.fee"), percent(facts.fee).to_string()),
            (t.get("transparency.block_miners"), percent(facts.block_miners_part).to_string()),
            (t.get("transparency.announcement_miners"), percent(facts.announcement_miners_part).to_string()),
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
        warnings: &facts.warnings,
    }
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
        address: facts.address.as_deref(),
    }
}
