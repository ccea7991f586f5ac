//! The health of every process of the pool, as `/healthz` tells it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;

use crate::http_client;
use crate::site::facts::{Chain, ComponentState, Condition, Moment};

/// The largest answer that is read.
const LIMIT: usize = 256 << 10;
/// How long an answer may take.
const TIME: Duration = Duration::from_secs(2);
/// Roles that one process may tell of.
const MOST_ROLES: usize = 256;

/// A process whose health is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentSource {
    /// Its `/healthz`.
    pub url: String,
    /// The roles that are known to run there, so that they can be shown while it does not answer.
    pub expected: Vec<Expected>,
}

/// A role that is known to run somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Kind of role.
    pub role: &'static str,
    /// Its name; empty where a pool has only one.
    pub name: String,
}

/// Asks for the health of every process.
pub(super) struct Gatherer {
    sources: Vec<ComponentSource>,
    http: reqwest::Client,
    states: BTreeMap<(usize, String, String), ComponentState>,
}

#[derive(Deserialize)]
struct Report {
    roles: Vec<ReportedRole>,
}

#[derive(Deserialize)]
struct ReportedRole {
    role: String,
    name: String,
    ready: bool,
    #[serde(default)]
    reason: Option<String>,
    /// What people should know though all is well; shown where a reason would stand.
    #[serde(default)]
    note: Option<String>,
}

impl Gatherer {
    pub(super) fn new(sources: Vec<ComponentSource>, http: reqwest::Client) -> Self {
        Self { sources, http, states: BTreeMap::new() }
    }

    /// Everything that was found out, in the order of the sources.
    pub(super) fn states(&self) -> Vec<ComponentState> {
        self.states.values().cloned().collect()
    }

    pub(super) async fn ask(&mut self) {
        let asking = self.sources.iter().map(|source| report(&self.http, &source.url));
        let reports = join_all(asking).await;
        let now = Moment::now();
        for (index, report) in reports.into_iter().enumerate() {
            match report {
                Ok(report) => self.answered(index, report, now),
                Err(reason) => self.silent(index, &reason, now),
            }
        }
    }

    fn answered(&mut self, index: usize, report: Report, now: Moment) {
        let roles: Vec<ReportedRole> = report.roles.into_iter().take(MOST_ROLES).collect();
        self.states.retain(|(source, role, name), _| {
            *source != index || roles.iter().any(|one| (&one.role, &one.name) == (role, name))
        });
        for role in roles {
            let condition = if role.ready { Condition::Ready } else { Condition::Troubled };
            let said = role.reason.or(role.note);
            self.note(index, role.role, role.name, condition, said, now);
        }
    }

    fn silent(&mut self, index: usize, reason: &str, now: Moment) {
        let known: Vec<(String, String)> = self
            .states
            .keys()
            .filter(|(source, ..)| *source == index)
            .map(|(_, role, name)| (role.clone(), name.clone()))
            .collect();
        let expected = self.sources[index].expected.iter();
        let expected = expected.map(|expected| (expected.role.to_owned(), expected.name.clone()));
        let silent: Vec<(String, String)> = if known.is_empty() { expected.collect() } else { known };
        for (role, name) in silent {
            self.note(index, role, name, Condition::Unreachable, Some(reason.to_owned()), now);
        }
    }

    fn note(
        &mut self,
        index: usize,
        role: String,
        name: String,
        condition: Condition,
        reason: Option<String>,
        now: Moment,
    ) {
        let chain = chain_of(&role);
        let state = self.states.entry((index, role.clone(), name.clone())).or_insert_with(|| {
            ComponentState { role, name, chain, condition, reason: None, since: now, checked_at: now }
        });
        if state.condition != condition {
            (state.condition, state.since) = (condition, now);
        }
        (state.reason, state.checked_at) = (reason, now);
    }
}

fn chain_of(role: &str) -> Option<Chain> {
    match role {
        "master" | "pay_maker" | "ann_handler" | "blk_handler" => Some(Chain::PacketCrypt),
        role if role.starts_with("nimiq") => Some(Chain::Nimiq),
        _ => None,
    }
}

/// `/healthz` answers 503 with the same report while a role is not ready.
async fn report(http: &reqwest::Client, url: &str) -> Result<Report, String> {
    let answer = http_client::ask(http.get(url), LIMIT, TIME).await.map_err(|fault| fault.to_string())?;
    serde_json::from_slice(&answer.body).map_err(|error| format!("its health cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, reason: Option<&str>) -> ReportedRole {
        ReportedRole {
            role: "ann_handler".to_owned(),
            name: name.to_owned(),
            ready: reason.is_none(),
            reason: reason.map(str::to_owned),
            note: None,
        }
    }

    #[test]
    fn a_condition_has_a_beginning_and_a_role_that_is_gone_is_not_shown() {
        let source = ComponentSource {
            url: "http://x/healthz".to_owned(),
            expected: vec![Expected { role: "ann_handler", name: "a".to_owned() }],
        };
        let mut gatherer = Gatherer::new(vec![source], http_client::client().unwrap());
        let states = |gatherer: &Gatherer| -> Vec<_> {
            gatherer
                .states()
                .iter()
                .map(|state| (state.name.clone(), state.condition, state.since.0))
                .collect()
        };
        gatherer.silent(0, "refused", Moment(1));
        assert_eq!(states(&gatherer), [("a".to_owned(), Condition::Unreachable, 1)]);
        gatherer.answered(0, Report { roles: vec![role("a", None), role("b", Some("disk"))] }, Moment(2));
        gatherer.answered(0, Report { roles: vec![role("a", None), role("b", Some("other"))] }, Moment(3));
        let expected = [("a".to_owned(), Condition::Ready, 2), ("b".to_owned(), Condition::Troubled, 2)];
        assert_eq!(states(&gatherer), expected);
        assert_eq!(gatherer.states()[1].reason.as_deref(), Some("other"));
        gatherer.answered(0, Report { roles: vec![role("a", None)] }, Moment(4));
        gatherer.silent(0, "refused", Moment(5));
        assert_eq!(states(&gatherer), [("a".to_owned(), Condition::Unreachable, 5)]);
    }
}
