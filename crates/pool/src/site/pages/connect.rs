//! Connect: pick what to mine and on which system, copy one line, and see the first work accepted on the same page.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State as AxumState};
use axum::response::Response;
use http::StatusCode;

use super::super::facts::{Chain, ComponentState, MinerFacts, PoolFacts};
use super::address_form::{Problem, address_of};
use super::age::Age;
use super::command::{Command, Miner, Shell, Work};
use super::frame::Frame;
use super::home::chain_name;
use super::refused_work::{RefusedWork, advice};
use super::state::State;
use super::{Pages, Question, Texts, Visit, html};

#[derive(Template)]
#[template(path = "connect.html")]
struct Connect<'a> {
    frame: Frame<'a>,
    typed: String,
    problem: Option<Problem<'a>>,
    works: Vec<Choice<'a>>,
    systems: Vec<Choice<'a>>,
    miners: Vec<Choice<'a>>,
    command: Option<Command<'a>>,
    /// What the program that was chosen cannot do here.
    caution: Option<&'a str>,
    port_test: String,
    waiting: Option<Waiting<'a>>,
    endpoints: Vec<Endpoint<'a>>,
    refusals: Vec<Refusals<'a>>,
}

/// Where miners connect, and how whoever listens there is.
struct Endpoint<'a> {
    what: &'a str,
    address: String,
    state: Option<State>,
}

/// What a pool of one chain says when it does not take work, and what that means.
struct Refusals<'a> {
    id: &'static str,
    chain: &'a str,
    codes: Vec<(String, String)>,
}

struct Choice<'a> {
    value: &'static str,
    text: &'a str,
    is_chosen: bool,
}

/// Whether the miner at an address has been heard of.
struct Waiting<'a> {
    chain: &'static str,
    address: String,
    last_seen: Option<Age>,
    refused_work: Option<RefusedWork<'a>>,
}

/// How a system calls programs.
struct System {
    name: &'static str,
    shell: Shell,
}

const SYSTEMS: [System; 3] = [
    System { name: "linux", shell: Shell::Unix },
    System { name: "macos", shell: Shell::Unix },
    System { name: "windows", shell: Shell::Windows },
];

pub(super) async fn page(
    AxumState(pages): AxumState<Arc<Pages>>,
    Query(question): Query<Question>,
) -> Response {
    let visit = pages.visit();
    let address = address_of(&visit, &question.address);
    let facts = match address.as_ref().ok().and_then(Option::as_ref) {
        // Where nobody knows it now, the page waits for it.
        Some(address) => pages.facts.miner(address).await.ok(),
        None => None,
    };
    let (t, pool) = (&*visit.texts, &*visit.facts);
    let own = address.as_ref().ok().and_then(Option::as_ref);
    let offered: Vec<Work> =
        Work::ALL.into_iter().filter(|work| pool.chains().contains(&work.chain())).collect();
    let fitting = |work: &&Work| own.is_none_or(|own| own.chain() == work.chain());
    let asked = offered.iter().filter(fitting).find(|work| work.name() == question.work);
    let work = asked.or_else(|| offered.iter().find(fitting)).copied();
    let system = SYSTEMS.iter().find(|system| system.name == question.system).unwrap_or(&SYSTEMS[0]);
    let miner = Miner::ALL.into_iter().find(|miner| miner.name() == question.miner);
    let miner = miner.unwrap_or(Miner::Headframe);
    let problem = address.as_ref().err();
    let connect = Connect {
        frame: visit.frame("connect", t.get("connect.title")),
        typed: question.address.chars().take(130).collect(),
        problem: problem.map(|problem| Problem::new(t, &question.address, problem, "/connect?address=")),
        works: offered.iter().map(|offered| choice(t, *offered, work)).collect(),
        systems: SYSTEMS.iter().map(|other| system_choice(t, other, system)).collect(),
        miners: Miner::ALL.iter().map(|other| miner_choice(t, *other, miner)).collect(),
        command: work.and_then(|work| Command::new(t, pool, work, own, miner, system.shell)),
        caution: work.and_then(|work| caution(t, pool, work, miner)),
        port_test: work.map(|work| port_test(pool, work, system)).unwrap_or_default(),
        waiting: facts.map(|facts| waiting(&visit, &facts)),
        endpoints: endpoints(t, pool),
        refusals: pool.chains().into_iter().map(|chain| refusals(t, chain)).collect(),
    };
    html(StatusCode::OK, &connect)
}

fn choice(t: &Texts, offered: Work, chosen: Option<Work>) -> Choice<'_> {
    Choice { value: offered.name(), text: offered.title(t), is_chosen: Some(offered) == chosen }
}

fn system_choice<'a>(t: &'a Texts, other: &System, chosen: &System) -> Choice<'a> {
    let text = match other.name {
        "linux" => t.get("connect.linux"),
        "macos" => t.get("connect.macos"),
        _ => t.get("connect.windows"),
    };
    Choice { value: other.name, text, is_chosen: other.name == chosen.name }
}

fn miner_choice(t: &Texts, other: Miner, chosen: Miner) -> Choice<'_> {
    let text = match other {
        Miner::Headframe => t.get("connect.headframe"),
        Miner::Stock => t.get("connect.stock"),
    };
    Choice { value: other.name(), text, is_chosen: other == chosen }
}

fn caution<'a>(t: &'a Texts, facts: &PoolFacts, work: Work, miner: Miner) -> Option<&'a str> {
    let server = facts.nimiq.as_ref()?.servers.first()?;
    let is_open = work == Work::Nimiq && server.starts_with("ws://");
    (is_open && miner == Miner::Stock).then(|| t.get("connect.only_tls"))
}

fn waiting<'a>(visit: &'a Visit, facts: &MinerFacts) -> Waiting<'a> {
    Waiting {
        chain: facts.chain.name(),
        address: facts.address.replace(' ', ""),
        last_seen: facts.last_seen.map(|seen| Age::new(&visit.texts, seen, visit.now)),
        refused_work: RefusedWork::new(&visit.texts, facts),
    }
}

/// A line that shows whether the pool can be reached at all.
fn port_test(facts: &PoolFacts, work: Work, system: &System) -> String {
    let is_windows = system.shell == Shell::Windows;
    match (work, &facts.packetcrypt, &facts.nimiq) {
        (Work::Announcements | Work::Blocks, Some(facts), _) if is_windows => {
            format!("curl.exe {}/config.json", facts.pool_url)
        }
        (Work::Announcements | Work::Blocks, Some(facts), _) => {
            format!("curl {}/config.json", facts.pool_url)
        }
        (Work::Nimiq, _, Some(facts)) => {
            let server = facts.servers.first().map_or("", String::as_str);
            let server = server.rsplit("//").next().unwrap_or(server);
            match server.rsplit_once(':') {
                Some((host, port)) if is_windows => {
                    format!("Test-NetConnection {host} -Port {port}")
                }
                Some((host, port)) => format!("nc -vz {host} {port}"),
                None => String::new(),
            }
        }
        _ => String::new(),
    }
}

/// Every code that has a meaning for a miner; the texts say which.
fn refusals(t: &Texts, chain: Chain) -> Refusals<'_> {
    let codes: Vec<&str> = match chain {
        Chain::PacketCrypt => wire::Refusal::CODES.to_vec(),
        Chain::Nimiq => ::nimiq::share::Refusal::ALL.iter().map(|refusal| refusal.code()).collect(),
    };
    let meaning = |code: &str| Some((code.to_owned(), advice(t, code)?));
    let codes = codes.into_iter().filter_map(meaning).collect();
    Refusals { id: chain.name(), chain: chain_name(t, chain), codes }
}

fn endpoints<'a>(t: &'a Texts, facts: &PoolFacts) -> Vec<Endpoint<'a>> {
    let endpoint = |what: &'a str, role: &str, address: &String| Endpoint {
        what,
        address: address.clone(),
        state: listener(facts, role, address).map(|component| State::of_component(t, component.condition)),
    };
    let mut endpoints = Vec::new();
    if let Some(facts) = &facts.packetcrypt {
        endpoints.push(endpoint(t.get("connect.pool_url"), "master", &facts.pool_url));
        let announcements = facts.announcement_urls.iter();
        endpoints.extend(announcements.map(|url| endpoint(t.get("role.ann_handler"), "ann_handler", url)));
        let blocks = facts.block_urls.iter();
        endpoints.extend(blocks.map(|url| endpoint(t.get("role.blk_handler"), "blk_handler", url)));
    }
    if let Some(facts) = &facts.nimiq {
        let servers = facts.servers.iter();
        endpoints.extend(servers.map(|server| endpoint(t.get("role.nimiq_server"), "nimiq_server", server)));
    }
    endpoints
}

/// Which role of a kind listens at an address: the only one, or the one whose name is in it.
fn listener<'f>(facts: &'f PoolFacts, role: &str, address: &str) -> Option<&'f ComponentState> {
    let of_kind: Vec<&ComponentState> =
        facts.components.iter().filter(|component| component.role == role).collect();
    let named = of_kind.iter().find(|component| address.split('/').any(|part| part == component.name));
    let only = of_kind.first().filter(|_| of_kind.len() == 1);
    named.filter(|component| !component.name.is_empty()).or(only).copied()
}
