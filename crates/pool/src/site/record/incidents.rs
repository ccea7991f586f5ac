//! What goes wrong, decided from the pictures of the pool: an incident begins when something has been wrong for a while, and
//! ends when it has been well for a while, so that nothing flaps.

use std::collections::{BTreeMap, BTreeSet};

use crate::site::facts::{
    Chain, ComponentState, Condition, IncidentBeginning, IncidentKind, Moment, PayoutTableState, PoolFacts,
};

/// So long something must be wrong, or well again, before it is stated.
const PATIENCE_MS: u64 = 60_000;
/// A chain of both coins finds a block every minute: chance alone never makes half an hour of it.
const STALLED_MS: u64 = 30 * 60_000;
/// Of what is said of a role, so much is stated.
const LONGEST_REASON: usize = 200;

/// What can go wrong and be well again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// A role or a node, by its kind and name.
    Component(String, String),
    /// The blocks of a chain.
    Blocks(Chain),
    /// The payouts of a chain.
    Payouts(Chain),
}

/// How it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    Well,
    Wrong(IncidentKind, Option<String>),
}

/// What is to be stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Began(Subject, IncidentBeginning),
    Ended(Subject, Moment),
}

/// What has been seen of one subject.
#[derive(Debug)]
struct Seen {
    is_well: bool,
    since: Moment,
}

/// Watches the pictures.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: BTreeMap<Subject, Seen>,
    open: BTreeSet<Subject>,
    /// The newest height of each chain.
    heights: BTreeMap<Chain, SeenHeight>,
}

/// A height, and since when it is; `has_moved`: it is not the first that was seen.
#[derive(Debug, Clone, Copy)]
struct SeenHeight {
    height: u32,
    since: Moment,
    has_moved: bool,
}

impl Watch {
    /// Goes on with incidents that were open before.
    pub(super) fn with_open(open: impl IntoIterator<Item = Subject>) -> Self {
        Self { open: open.into_iter().collect(), ..Self::default() }
    }

    /// What follows from a picture.
    pub(super) fn look(&mut self, picture: &PoolFacts) -> Vec<Change> {
        let now = picture.gathered_at;
        let mut findings: BTreeMap<Subject, (Finding, Option<Chain>)> = BTreeMap::new();
        for component in &picture.components {
            findings.insert(of_component(component), (how_is(component), component.chain));
        }
        for (chain, height) in heights(picture) {
            let subject = Subject::Blocks(chain);
            let first = SeenHeight { height, since: now, has_moved: false };
            let seen = self.heights.entry(chain).or_insert(first);
            if seen.height != height {
                *seen = SeenHeight { height, since: now, has_moved: true };
            }
            // What stood still before a restart does so until there is a block.
            let stands_on = !seen.has_moved && self.open.contains(&subject);
            let finding = if stands_on || now.0.saturating_sub(seen.since.0) >= STALLED_MS {
                Finding::Wrong(IncidentKind::ChainStalled, Some(format!("no block after {height}")))
            } else {
                Finding::Well
            };
            findings.insert(subject, (finding, Some(chain)));
        }
        for (chain, finding) in payouts(picture) {
            findings.insert(Subject::Payouts(chain), (finding, Some(chain)));
        }
        // A role that is no longer part of the pool is in nobody's way.
        for gone in &self.open {
            let is_component = matches!(gone, Subject::Component(..));
            if is_component && !picture.components.is_empty() && !findings.contains_key(gone) {
                findings.insert(gone.clone(), (Finding::Well, None));
            }
        }
        self.seen.retain(|subject, _| findings.contains_key(subject));
        let changes = findings
            .into_iter()
            .filter_map(|(subject, (finding, chain))| self.judge(subject, finding, chain, now));
        changes.collect()
    }

    fn judge(
        &mut self,
        subject: Subject,
        finding: Finding,
        chain: Option<Chain>,
        now: Moment,
    ) -> Option<Change> {
        let is_well = finding == Finding::Well;
        let seen = self.seen.entry(subject.clone()).or_insert(Seen { is_well, since: now });
        if seen.is_well != is_well {
            *seen = Seen { is_well, since: now };
        }
        let since = seen.since;
        if now.0.saturating_sub(since.0) < PATIENCE_MS || is_well != self.open.contains(&subject) {
            return None;
        }
        match finding {
            Finding::Well => {
                self.open.remove(&subject);
                Some(Change::Ended(subject, since))
            }
            Finding::Wrong(what, reason) => {
                self.open.insert(subject.clone());
                let (role, name) = match &subject {
                    Subject::Component(role, name) => {
                        (Some(role.clone()), Some(name.clone()).filter(|name| !name.is_empty()))
                    }
                    Subject::Blocks(_) | Subject::Payouts(_) => (None, None),
                };
                let reason = reason.map(|reason| reason.chars().take(LONGEST_REASON).collect());
                let beginning = IncidentBeginning { what, chain, role, name, reason, began_at: since };
                Some(Change::Began(subject, beginning))
            }
        }
    }

    /// A beginning that could not be stated: it is to be stated again as long as it goes on.
    pub(super) fn was_not_stated(&mut self, subject: &Subject) {
        self.open.remove(subject);
    }

    /// The same of an end.
    pub(super) fn is_still_open(&mut self, subject: Subject) {
        self.open.insert(subject);
    }
}

/// What an incident of the record is about.
pub(super) fn subject_of(beginning: &IncidentBeginning) -> Option<Subject> {
    match beginning.what {
        IncidentKind::Unreachable | IncidentKind::Troubled => {
            Some(Subject::Component(beginning.role.clone()?, beginning.name.clone().unwrap_or_default()))
        }
        IncidentKind::ChainStalled => beginning.chain.map(Subject::Blocks),
        IncidentKind::PayoutsStopped => beginning.chain.map(Subject::Payouts),
        IncidentKind::Unwatched => None,
    }
}

fn of_component(component: &ComponentState) -> Subject {
    Subject::Component(component.role.clone(), component.name.clone())
}

fn how_is(component: &ComponentState) -> Finding {
    match component.condition {
        Condition::Ready => Finding::Well,
        Condition::Troubled => Finding::Wrong(IncidentKind::Troubled, component.reason.clone()),
        Condition::Unreachable => Finding::Wrong(IncidentKind::Unreachable, component.reason.clone()),
    }
}

fn heights(picture: &PoolFacts) -> impl Iterator<Item = (Chain, u32)> {
    let packetcrypt = picture.packetcrypt.as_ref().and_then(|facts| facts.height.value);
    let nimiq = picture.nimiq.as_ref().and_then(|facts| facts.height.value);
    let heights = [(Chain::PacketCrypt, packetcrypt), (Chain::Nimiq, nimiq)];
    heights.into_iter().filter_map(|(chain, height)| Some((chain, height?)))
}

/// How payouts are, where it can be told.
fn payouts(picture: &PoolFacts) -> impl Iterator<Item = (Chain, Finding)> {
    let stopped = |reason: &str| Finding::Wrong(IncidentKind::PayoutsStopped, Some(reason.to_owned()));
    let newest = picture.packetcrypt.as_ref().and_then(|facts| facts.payout_tables.first());
    let packetcrypt = newest.map(|table| match table.state {
        PayoutTableState::Refused => stopped("the node refuses the payout list"),
        PayoutTableState::PaidOtherwise => stopped("the node pays otherwise than it was told"),
        _ => Finding::Well,
    });
    let totals = picture.nimiq.as_ref().and_then(|facts| facts.totals.as_ref());
    let nimiq = totals.and_then(|totals| {
        let reserve = totals.reserve?;
        let is_short = reserve.units < totals.confirmed.units;
        Some(if is_short { stopped("the reserve is less than what can be paid") } else { Finding::Well })
    });
    let chains = [(Chain::PacketCrypt, packetcrypt), (Chain::Nimiq, nimiq)];
    chains.into_iter().filter_map(|(chain, finding)| Some((chain, finding?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::facts::{Amount, sample};

    /// A pool in which all is well, some seconds after the sample's time.
    fn well(seconds: u64) -> PoolFacts {
        let mut picture = sample::pool();
        picture.gathered_at.0 += seconds * 1000;
        for component in &mut picture.components {
            (component.condition, component.reason) = (Condition::Ready, None);
        }
        for height in
            [&mut picture.packetcrypt.as_mut().unwrap().height, &mut picture.nimiq.as_mut().unwrap().height]
        {
            height.value = height.value.map(|height| height + (seconds / 60) as u32);
        }
        picture
    }

    fn down(seconds: u64, condition: Condition) -> PoolFacts {
        let mut picture = well(seconds);
        (picture.components[0].condition, picture.components[0].reason) = (condition, Some("x".repeat(900)));
        picture
    }

    fn after(seconds: u64) -> Moment {
        Moment(sample::NOW.0 + seconds * 1000)
    }

    #[test]
    fn an_incident_has_a_beginning_and_an_end_and_does_not_flap() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(&well(0)), []);
        assert_eq!(watch.look(&down(10, Condition::Unreachable)), [], "it may be a restart");
        assert_eq!(watch.look(&well(20)), []);
        assert_eq!(watch.look(&down(30, Condition::Unreachable)), []);
        let changes = watch.look(&down(90, Condition::Troubled));
        let [Change::Began(_, beginning)] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!((beginning.what, beginning.began_at), (IncidentKind::Troubled, after(30)));
        assert_eq!((beginning.role.as_deref(), beginning.name.as_deref()), (Some("master"), None));
        assert_eq!(beginning.reason.as_ref().map(String::len), Some(LONGEST_REASON));
        assert_eq!(watch.look(&down(200, Condition::Unreachable)), [], "it goes on");
        assert_eq!(watch.look(&well(300)), []);
        let subject = subject_of(beginning).unwrap();
        assert_eq!(watch.look(&well(360)), [Change::Ended(subject, after(300))]);
        assert_eq!(watch.look(&well(900)), []);
    }

    #[test]
    fn what_was_open_before_a_restart_ends_also_where_the_role_is_gone() {
        let gone = Subject::Component("ann_handler".to_owned(), "third".to_owned());
        let mut watch = Watch::with_open([gone.clone()]);
        let mut nothing = well(0);
        nothing.components.clear();
        assert_eq!(watch.look(&nothing), [], "nobody has been asked yet");
        assert_eq!(watch.look(&well(10)), []);
        assert_eq!(watch.look(&well(70)), [Change::Ended(gone, after(10))]);
    }

    #[test]
    fn a_chain_that_stands_still_and_payouts_that_stop_are_told() {
        let mut watch = Watch::default();
        let picture = |seconds: u64| {
            let mut picture = well(seconds);
            picture.nimiq.as_mut().unwrap().height.value = Some(7);
            let totals = picture.nimiq.as_mut().unwrap().totals.as_mut().unwrap();
            totals.reserve = Some(Amount::luna(totals.confirmed.units - 1));
            picture.packetcrypt.as_mut().unwrap().payout_tables[0].state = PayoutTableState::PaidOtherwise;
            picture
        };
        let mut began = Vec::new();
        for minute in 0..40 {
            for change in watch.look(&picture(minute * 60)) {
                let Change::Began(subject, beginning) = change else { panic!("{change:?}") };
                assert_eq!(subject_of(&beginning), Some(subject.clone()));
                began.push((minute, subject));
            }
        }
        let expected = [
            (1, Subject::Payouts(Chain::PacketCrypt)),
            (1, Subject::Payouts(Chain::Nimiq)),
            (31, Subject::Blocks(Chain::Nimiq)),
        ];
        assert_eq!(began, expected);
        // After a restart it goes on, until there is a block.
        let mut watch = Watch::with_open([Subject::Blocks(Chain::Nimiq)]);
        let ended = |watch: &mut Watch, picture: &PoolFacts| {
            let blocks = Subject::Blocks(Chain::Nimiq);
            watch.look(picture).iter().any(|change| matches!(change, Change::Ended(of, _) if *of == blocks))
        };
        assert!(!(40..45).any(|minute| ended(&mut watch, &picture(minute * 60))));
        assert!((45..48).any(|minute| ended(&mut watch, &well(minute * 60))));
    }
}
