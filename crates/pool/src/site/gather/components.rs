//! The health of every process of the pool, as `/healthz` tells it, and of the nodes above it, as processes show it among
//! their figures.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::shown_figures::ShownFigures;
use crate::health::asking::{self, ToldState};
use crate::site::facts::{Chain, ComponentState, Condition, Moment};

/// How often processes are asked for their nodes.
const NODES_EVERY: Duration = Duration::from_secs(10);
/// What a node is called among the roles.
const NODE: &str = "node";
/// Nodes that one process may tell of.
const MOST_NODES: usize = 256;

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
    asked_for_nodes: Option<Instant>,
}

impl Gatherer {
    pub(super) fn new(sources: Vec<ComponentSource>, http: reqwest::Client) -> Self {
        Self { sources, http, states: BTreeMap::new(), asked_for_nodes: None }
    }

    /// Everything that was found out, in the order of the sources. Several processes may tell of one node: the first does.
    pub(super) fn states(&self) -> Vec<ComponentState> {
        let mut nodes = BTreeSet::new();
        let is_first = |state: &&ComponentState| state.role != NODE || nodes.insert(state.name.clone());
        self.states.values().filter(is_first).cloned().collect()
    }

    pub(super) async fn ask(&mut self) {
        let asking = self.sources.iter().map(|source| asking::ask(&self.http, &source.url));
        let answers = join_all(asking).await;
        let now = Moment::now();
        for (index, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(roles) => self.answered(index, roles, now),
                Err(fault) => self.silent(index, &fault.to_string(), now),
            }
        }
        if self.asked_for_nodes.is_none_or(|asked| asked.elapsed() >= NODES_EVERY) {
            self.asked_for_nodes = Some(Instant::now());
            self.ask_for_nodes(now).await;
        }
    }

    async fn ask_for_nodes(&mut self, now: Moment) {
        let urls = self.sources.iter().map(|source| source.url.replace("/healthz", "/metrics"));
        let urls: Vec<[String; 1]> = urls.map(|url| [url]).collect();
        let answers = join_all(urls.iter().map(|url| ShownFigures::read(&self.http, url))).await;
        for (index, figures) in answers.into_iter().enumerate() {
            if let Some(figures) = figures {
                self.note_nodes(index, &figures, now);
            }
        }
    }

    /// The nodes of PacketCrypt by their places in the configuration; of Nimiq, whether any of them can be used.
    fn note_nodes(&mut self, index: usize, figures: &ShownFigures, now: Moment) {
        let packetcrypt = figures.by_label("headframe_node_up", "node").into_iter().map(|(place, up)| {
            let number = place.parse::<u64>().map_or(place, |place| (place + 1).to_string());
            (format!("PKT {number}"), Chain::PacketCrypt, up)
        });
        let nimiq = figures.by_label("headframe_nimiq_node_up", "role").into_iter();
        let nimiq = nimiq.take(1).map(|(_, up)| ("Nimiq".to_owned(), Chain::Nimiq, up));
        for (name, chain, up) in packetcrypt.chain(nimiq).take(MOST_NODES) {
            let (condition, reason) = match up {
                1 => (Condition::Ready, None),
                _ => (Condition::Unreachable, Some("it does not answer, or stays behind".to_owned())),
            };
            self.note(index, NODE.to_owned(), name.clone(), condition, reason, now);
            if let Some(state) = self.states.get_mut(&(index, NODE.to_owned(), name)) {
                state.chain = Some(chain);
            }
        }
    }

    fn answered(&mut self, index: usize, roles: Vec<ToldState>, now: Moment) {
        self.states.retain(|(source, role, name), _| {
            *source != index || role == NODE || roles.iter().any(|one| (&one.role, &one.name) == (role, name))
        });
        for role in roles {
            let condition = if role.ready { Condition::Ready } else { Condition::Troubled };
            // A note is shown where a reason would stand.
            let said = role.reason.or(role.note);
            self.note(index, role.role, role.name, condition, said, now);
        }
    }

    fn silent(&mut self, index: usize, reason: &str, now: Moment) {
        let known: Vec<(String, String)> = self
            .states
            .keys()
            .filter(|(source, role, _)| *source == index && role != NODE)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client;

    fn role(name: &str, reason: Option<&str>) -> ToldState {
        ToldState {
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
        gatherer.answered(0, vec![role("a", None), role("b", Some("disk"))], Moment(2));
        gatherer.answered(0, vec![role("a", None), role("b", Some("other"))], Moment(3));
        let expected = [("a".to_owned(), Condition::Ready, 2), ("b".to_owned(), Condition::Troubled, 2)];
        assert_eq!(states(&gatherer), expected);
        assert_eq!(gatherer.states()[1].reason.as_deref(), Some("other"));
        gatherer.answered(0, vec![role("a", None)], Moment(4));
        gatherer.silent(0, "refused", Moment(5));
        assert_eq!(states(&gatherer), [("a".to_owned(), Condition::Unreachable, 5)]);
    }

    #[test]
    fn nodes_are_shown_once_whoever_tells_of_them() {
        let source = |url: &str| ComponentSource { url: url.to_owned(), expected: Vec::new() };
        let sources = vec![source("http://x/healthz"), source("http://y/healthz")];
        let mut gatherer = Gatherer::new(sources, http_client::client().unwrap());
        let figures = |up: [u8; 2]| {
            ShownFigures::of(&format!(
                "headframe_node_up{{role=\"node\",name=\"packetcrypt\",node=\"0\"}} {}\n\
                 headframe_node_up{{role=\"node\",name=\"packetcrypt\",node=\"1\"}} {}\n\
                 headframe_nimiq_node_up{{role=\"nimiq_payout\"}} 1\n",
                up[0], up[1]
            ))
        };
        gatherer.note_nodes(0, &figures([1, 0]), Moment(1));
        gatherer.note_nodes(1, &figures([1, 1]), Moment(2));
        gatherer.answered(0, vec![role("a", None)], Moment(3));
        let states = gatherer.states();
        let nodes: Vec<_> = states
            .iter()
            .filter(|state| state.role == NODE)
            .map(|state| (state.name.as_str(), state.condition, state.chain))
            .collect();
        assert_eq!(
            nodes,
            [
                ("Nimiq", Condition::Ready, Some(Chain::Nimiq)),
                ("PKT 1", Condition::Ready, Some(Chain::PacketCrypt)),
                ("PKT 2", Condition::Unreachable, Some(Chain::PacketCrypt)),
            ]
        );
    }
}
