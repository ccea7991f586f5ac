//! Status: every role and node, how it is and since when, and which program this is.

use std::sync::Arc;

use askama::Template;
use axum::extract::State as AxumState;
use axum::response::Response;
use http::StatusCode;

use super::super::facts::{ComponentState, Identity};
use super::age::Age;
use super::frame::Frame;
use super::home::chain_name;
use super::numbers::Shown;
use super::state::State;
use super::{Pages, Visit, html};

#[derive(Template)]
#[template(path = "status.html")]
struct Status<'a> {
    frame: Frame<'a>,
    all: State,
    rows: Vec<Row>,
    started: Age,
    build: String,
}

struct Row {
    role: String,
    name: String,
    chain: String,
    state: State,
    reason: String,
    since: Age,
    checked: Age,
    started: Option<Age>,
    load: Option<String>,
    /// Its program, where that is another one than the website's.
    program: Option<String>,
}

pub(super) async fn page(AxumState(pages): AxumState<Arc<Pages>>) -> Response {
    let visit = pages.visit();
    let (t, facts) = (&*visit.texts, &*visit.facts);
    let page = Status {
        frame: visit.frame("status", t.get("status.title")),
        all: State::of_components(t, facts.components.iter().map(|component| component.condition)).in_pill(),
        rows: facts.components.iter().map(|component| row(&visit, component)).collect(),
        started: Age::new(t, facts.identity.started_at, visit.now),
        build: facts.identity.build.clone().unwrap_or_else(|| t.get("frame.not_known").to_owned()),
    };
    html(StatusCode::OK, &page)
}

fn row(visit: &Visit, component: &ComponentState) -> Row {
    let t = &*visit.texts;
    Row {
        role: role_name(t, &component.role).to_owned(),
        name: component.name.clone(),
        chain: component
            .chain
            .map_or_else(|| t.get("status.all_chains").to_owned(), |chain| chain_name(t, chain).to_owned()),
        state: State::of_component(t, component.condition),
        reason: component.reason.clone().unwrap_or_default(),
        since: Age::new(t, component.since, visit.now),
        checked: Age::new(t, component.checked_at, visit.now),
        started: component.started_at.map(|started| Age::new(t, started, visit.now)),
        load: component.load.map(|load| {
            let value = load.value.map(|value| value.shown(load.unit).to_string());
            value.unwrap_or_else(|| t.get("frame.not_known_yet").to_owned())
        }),
        program: other_program(&visit.facts.identity, component),
    }
}

/// Which program a role runs that does not run the website's.
fn other_program(own: &Identity, component: &ComponentState) -> Option<String> {
    let version = component.version.as_deref()?;
    if version == own.version && component.build == own.build {
        return None;
    }
    let build = component.build.as_ref().map(|build| format!(" ({build})"));
    Some(format!("Headframe {version}{}", build.unwrap_or_default()))
}

/// What people call a role; one that is not known, by its own name.
pub(super) fn role_name<'a>(t: &'a super::Texts, role: &'a str) -> &'a str {
    match role {
        "master" => t.get("role.master"),
        "ann_handler" => t.get("role.ann_handler"),
        "blk_handler" => t.get("role.blk_handler"),
        "pay_maker" => t.get("role.pay_maker"),
        "nimiq_server" => t.get("role.nimiq_server"),
        "nimiq_service" => t.get("role.nimiq_service"),
        "nimiq_payout" => t.get("role.nimiq_payout"),
        "node" | "pktd" => t.get("role.node"),
        "site" => t.get("role.site"),
        "monitor" => t.get("role.monitor"),
        other => other,
    }
}
