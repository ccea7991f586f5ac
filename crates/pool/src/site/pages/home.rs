//! Home: how to start, what the pool does now, what the next block pays.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State as AxumState};
use axum::response::Response;
use http::StatusCode;

use super::super::facts::{Chain, PoolFacts, Range, Series, SeriesName};
use super::address_form::{Problem, address_of};
use super::block_table::BlockTable;
use super::chart::Chart;
use super::command::Command;
use super::figure::{Figure, Figures};
use super::frame::Frame;
use super::next_block::NextBlock;
use super::next_nimiq_block::NextNimiqTable;
use super::state::State;
use super::{Pages, Question, Visit, html, summary};

/// Payees of the next block that Home has room for.
const PAYEES: usize = 8;

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    frame: Frame<'a>,
    typed: String,
    problem: Option<Problem<'a>>,
    /// The page of the address that was typed.
    own_page: Option<String>,
    connect: String,
    commands: Vec<Command<'a>>,
    chains: Vec<ChainPart<'a>>,
    /// Whether blocks pay miners directly: then there is a place for the list, also before there is one.
    has_next_block: bool,
    next_block: Option<NextBlock<'a>>,
    /// The same of a pool that credits miners.
    has_next_nimiq: bool,
    next_nimiq: Option<NextNimiqTable<'a>>,
}

/// What Home shows of one chain.
struct ChainPart<'a> {
    id: &'static str,
    name: &'a str,
    state: State,
    figures: Vec<Figure<'a>>,
    rule: &'a str,
    charts: Vec<Chart<'a>>,
    blocks: BlockTable<'a>,
}

pub(super) async fn page(
    AxumState(pages): AxumState<Arc<Pages>>,
    Query(question): Query<Question>,
) -> Response {
    let visit = pages.visit();
    let packetcrypt = [SeriesName::AnnouncementSpeed, SeriesName::BlockSpeed];
    let nimiq = [SeriesName::HashRate, SeriesName::Shares];
    let mut series = Vec::new();
    for chain in visit.facts.chains() {
        let names = if chain == Chain::PacketCrypt { packetcrypt } else { nimiq };
        series.push(pages.series(chain, &names, Range::Hour, None).await);
    }
    html(StatusCode::OK, &home(&visit, &question, &series, address_of(&visit, &question.address).as_ref()))
}

fn home<'a>(
    visit: &'a Visit,
    question: &Question,
    series: &'a [Vec<Series>],
    address: Result<&Option<super::super::address::MinerAddress>, &'a super::super::address::AddressProblem>,
) -> Home<'a> {
    let (t, facts) = (&*visit.texts, &*visit.facts);
    let own = address.ok().and_then(Option::as_ref);
    let own_text = own.map(ToString::to_string);
    let chains = facts.chains().into_iter().zip(series);
    Home {
        frame: visit.frame("home", t.get("home.title")),
        typed: question.address.chars().take(130).collect(),
        problem: address.err().map(|problem| Problem::new(t, &question.address, problem, "/?address=")),
        own_page: own.map(|address| format!("/m/{}", address.compact())),
        connect: own.map_or_else(
            || "/connect".to_owned(),
            |address| format!("/connect?address={}", address.compact()),
        ),
        commands: Command::all(t, facts, own),
        chains: chains.map(|(chain, series)| chain_part(visit, chain, series)).collect(),
        has_next_block: facts.packetcrypt.is_some(),
        next_block: facts
            .packetcrypt
            .as_ref()
            .and_then(|facts| NextBlock::new(t, facts, visit.now, PAYEES, own_text.as_deref())),
        has_next_nimiq: facts.nimiq.is_some(),
        next_nimiq: facts
            .nimiq
            .as_ref()
            .and_then(|facts| facts.next_block.as_ref())
            .map(|next| NextNimiqTable::new(t, next, visit.now, PAYEES, own_text.as_deref())),
    }
}

fn chain_part<'a>(visit: &'a Visit, chain: Chain, series: &'a [Series]) -> ChainPart<'a> {
    let (t, facts, now) = (&*visit.texts, &*visit.facts, visit.now);
    let make = Figures { t, part: chain.name(), now };
    let (figures, rule) = match (chain, &facts.packetcrypt, &facts.nimiq) {
        (Chain::PacketCrypt, Some(facts), _) => (summary::packetcrypt(make, facts), &*facts.payout_rule),
        (Chain::Nimiq, _, Some(facts)) => (summary::nimiq(make, facts), &*facts.payout_rule),
        _ => (Vec::new(), ""),
    };
    ChainPart {
        id: chain.name(),
        name: chain_name(t, chain),
        state: chain_state(t, facts, chain).in_pill(),
        figures,
        rule,
        charts: series.iter().map(|series| Chart::new(t, series)).collect(),
        blocks: BlockTable::short(visit, chain, facts.blocks(chain)),
    }
}

/// What people call a chain.
pub(super) fn chain_name(t: &super::Texts, chain: Chain) -> &str {
    match chain {
        Chain::PacketCrypt => t.get("chain.packetcrypt"),
        Chain::Nimiq => t.get("chain.nimiq"),
    }
}

/// Whether everything that works for a chain works.
fn chain_state(t: &super::Texts, facts: &PoolFacts, chain: Chain) -> State {
    let components = facts.components.iter();
    let own = components.filter(|component| component.chain.is_none_or(|other| other == chain));
    State::of_components(t, own.map(|component| component.condition))
}
