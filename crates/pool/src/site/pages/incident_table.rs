//! What went wrong as a table: what, since when, until when.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::{Incident, IncidentKind};
use super::super::texts::Texts;
use super::Visit;
use super::age::Age;
use super::home::chain_name;
use super::numbers::duration_text;
use super::state::State;
use super::status::role_name;

/// The table.
#[derive(Template)]
#[template(path = "incident_table.html")]
pub struct IncidentTable<'a> {
    t: &'a Texts,
    rows: Vec<Row>,
}

impl HtmlSafe for IncidentTable<'_> {}

struct Row {
    what: String,
    whose: String,
    reason: String,
    began: Age,
    /// How long it took; of one that goes on, nothing.
    took: Option<String>,
    state: State,
}

impl<'a> IncidentTable<'a> {
    /// Of these incidents.
    pub fn new(visit: &'a Visit, incidents: &[Incident]) -> Self {
        Self { t: &visit.texts, rows: incidents.iter().map(|incident| row(visit, incident)).collect() }
    }
}

fn row(visit: &Visit, incident: &Incident) -> Row {
    let (t, beginning) = (&*visit.texts, &incident.beginning);
    let role = beginning.role.as_deref().map(|role| role_name(t, role).to_owned());
    let chain = beginning.chain.map(|chain| chain_name(t, chain).to_owned());
    Row {
        what: happened(t, beginning.what).to_owned(),
        whose: role.into_iter().chain(beginning.name.clone()).chain(chain).collect::<Vec<_>>().join(" · "),
        reason: beginning.reason.clone().unwrap_or_default(),
        began: Age::new(t, beginning.began_at, visit.now),
        took: incident.ended_at.map(|ended| duration_text(beginning.began_at.age_seconds(ended))),
        state: State::of_incident(t, incident.ended_at.is_some()),
    }
}

/// What happened, in a few words.
pub(super) fn happened(t: &Texts, what: IncidentKind) -> &str {
    match what {
        IncidentKind::Unreachable => t.get("incident.unreachable"),
        IncidentKind::Troubled => t.get("incident.troubled"),
        IncidentKind::ChainStalled => t.get("incident.chain_stalled"),
        IncidentKind::PayoutsStopped => t.get("incident.payouts_stopped"),
        IncidentKind::Unwatched => t.get("incident.unwatched"),
    }
}
