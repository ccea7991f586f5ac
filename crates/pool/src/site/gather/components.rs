//! The health of every process of the pool, as `/healthz` tells it, and of the nodes above it, as processes show it among
//! their figures; and how busy handlers are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::shown_figures::ShownFigures;
use crate::health::asking::{self, ToldHealth};
use crate::metrics::busy;
use crate::site::facts::{Chain, ComponentState, Condition, Measured, Moment, Unit};

/// How often processes are asked for their figures: of their nodes, and of how busy they are.
const FIGURES_EVERY: Duration = Duration::from_secs(10);
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
    asked_for_figures: Option<Instant>,
    /// How long the threads of each role had been at work, and when that was told.
    busy: BTreeMap<(usize, String, String), (f64, Moment)>,
}

impl Gatherer {
    pub(super) fn new(sources: Vec<ComponentSource>, http: reqwest::Client) -> Self {
        Self { sources, http, states: BTreeMap::new(), asked_for_figures: None, busy: BTreeMap::new() }
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
                Ok(told) => self.answered(index, told, now),
                Err(fault) => self.silent(index, &fault.to_string(), now),
            }
        }
        if self.asked_for_figures.is_none_or(|asked| asked.elapsed() >= FIGURES_EVERY) {
            self.asked_for_figures = Some(Instant::now());
            self.ask_for_figures(now).await;
        }
    }

    async fn ask_for_figures(&mut self, now: Moment) {
        let urls = self.sources.iter().map(|source| source.url.replace("/healthz", "/metrics"));
        let urls: Vec<[String; 1]> = urls.map(|url| [url]).collect();
        let answers = join_all(urls.iter().map(|url| ShownFigures::read(&self.http, url))).await;
        for (index, figures) in answers.into_iter().enumerate() {
            if let Some(figures) = figures {
                self.note_nodes(index, &figures, now);
                self.note_loads(index, &figures, now);
            }
        }
    }

    /// How busy threads were since the last time: their time at work in parts of all that they had.
    fn note_loads(&mut self, index: usize, figures: &ShownFigures, now: Moment) {
        let threads = figures.by_role(busy::THREADS);
        for ((role, name), seconds) in figures.by_role(busy::BUSY_SECONDS) {
            let key = (index, role, name);
            let before = self.busy.insert(key.clone(), (seconds, now));
            let count = threads.get(&(key.1.clone(), key.2.clone())).copied().unwrap_or_default();
            let Some(state) = self.states.get_mut(&key) else { continue };
            // After a restart it counts from zero again.
            let worked = before.filter(|(before, at)| *before <= seconds && *at < now);
            let load = worked.map(|(before, at)| {
                let had = (now.0 - at.0) as f64 / 1000.0 * count.max(1.0);
                (100.0 * (seconds - before) / had).min(100.0)
            });
            let window = worked.map_or(FIGURES_EVERY.as_secs(), |(_, at)| at.age_seconds(now).max(1));
            state.load = Some(Measured::over(load, Unit::Percent, window, now));
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
            self.note(index, NODE.to_owned(), name, condition, reason, now).chain = Some(chain);
        }
    }

    fn answered(&mut self, index: usize, told: ToldHealth, now: Moment) {
        let ToldHealth { version, build, roles } = told;
        self.states.retain(|(source, role, name), _| {
            *source != index || role == NODE || roles.iter().any(|one| (&one.role, &one.name) == (role, name))
        });
        self.busy.retain(|key, _| self.states.contains_key(key));
        for role in roles {
            let condition = if role.ready { Condition::Ready } else { Condition::Troubled };
            // A note is shown where a reason would stand.
            let said = role.reason.or(role.note);
            let state = self.note(index, role.role, role.name, condition, said, now);
            state.started_at = role.started_at.map(Moment);
            (state.version, state.build) = (version.clone(), build.clone());
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
    ) -> &mut ComponentState {
        let chain = chain_of(&role);
        let state =
            self.states.entry((index, role.clone(), name.clone())).or_insert_with(|| ComponentState {
                role,
                name,
                chain,
                condition,
                reason: None,
                since: now,
                checked_at: now,
                started_at: None,
                version: None,
                build: None,
                load: None,
            });
        if state.condition != condition {
            (state.condition, state.since) = (condition, now);
        }
        if condition == Condition::Unreachable {
            state.load = None;
        }
        (state.reason, state.checked_at) = (reason, now);
        state
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
    use crate::health::asking::ToldState;
    use crate::http_client;

    fn told(roles: Vec<ToldState>) -> ToldHealth {
        ToldHealth { version: Some("1.2".to_owned()), build: None, roles }
    }

    fn role(name: &str, reason: Option<&str>) -> ToldState {
        ToldState {
            role: "ann_handler".to_owned(),
            name: name.to_owned(),
            started_at: Some(77),
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
        gatherer.answered(0, told(vec![role("a", None), role("b", Some("disk"))]), Moment(2));
        gatherer.answered(0, told(vec![role("a", None), role("b", Some("other"))]), Moment(3));
        let expected = [("a".to_owned(), Condition::Ready, 2), ("b".to_owned(), Condition::Troubled, 2)];
        assert_eq!(states(&gatherer), expected);
        let state = gatherer.states().swap_remove(1);
        assert_eq!((state.reason.as_deref(), state.started_at), (Some("other"), Some(Moment(77))));
        assert_eq!(state.version.as_deref(), Some("1.2"));
        gatherer.answered(0, told(vec![role("a", None)]), Moment(4));
        gatherer.silent(0, "refused", Moment(5));
        assert_eq!(states(&gatherer), [("a".to_owned(), Condition::Unreachable, 5)]);
    }

    #[test]
    fn the_load_of_a_handler_is_its_time_at_work_in_parts_of_what_its_threads_had() {
        let source = ComponentSource { url: "http://x/healthz".to_owned(), expected: Vec::new() };
        let mut gatherer = Gatherer::new(vec![source], http_client::client().unwrap());
        gatherer.answered(0, told(vec![role("a", None), role("b", None)]), Moment(0));
        let figures = |seconds: f64| {
            let labels = "{role=\"ann_handler\",name=\"a\"}";
            ShownFigures::of(&format!(
                "headframe_checking_threads{labels} 4\nheadframe_checking_busy_seconds_total{labels} {seconds}\n"
            ))
        };
        let mut load_at = |seconds: f64, at| {
            gatherer.note_loads(0, &figures(seconds), Moment(at));
            let states = gatherer.states();
            assert_eq!(states[1].load, None, "b has no such threads");
            states[0].load.unwrap().value
        };
        assert_eq!(load_at(100.0, 10_000), None, "nothing to compare with");
        assert_eq!(load_at(110.0, 20_000), Some(25.0));
        assert_eq!(load_at(3.0, 30_000), None, "it was started again");
        assert_eq!(load_at(90.0, 40_000), Some(100.0), "clocks differ");
        gatherer.silent(0, "refused", Moment(50_000));
        assert_eq!(gatherer.states()[0].load, None);
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
        gatherer.answered(0, told(vec![role("a", None)]), Moment(3));
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
