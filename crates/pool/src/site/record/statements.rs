//! What is stated and when: the terms when they change, totals once a day, incidents as they begin and end, and that nobody
//! watched while the website was away.

use std::collections::BTreeMap;
use std::path::Path;

use super::incidents::{Change, Subject, Watch, subject_of};
use super::log::{Log, LogFault};
use crate::site::facts::{
    Chain, Incident, IncidentBeginning, IncidentEnd, IncidentKind, Moment, PoolFacts, Stated, Terms, Totals,
};

const DAY_MS: u64 = 86_400_000;
/// A website that was away for less is not worth a word.
const UNWATCHED_MS: u64 = 300_000;
/// Beginnings that are stated in a day; what comes beyond is stated if it goes on until there is room.
const MOST_A_DAY: usize = 100;

/// Keeps the record.
#[derive(Debug)]
pub(super) struct Statements {
    log: Log,
    watch: Watch,
    terms: BTreeMap<Chain, Terms>,
    totals_at: BTreeMap<Chain, Moment>,
    /// Numbers of the statements that told of incidents that go on.
    open: BTreeMap<Subject, u64>,
    /// When the website was last known to run, as long as it has not been stated that it was away.
    last_seen: Option<Moment>,
}

impl Statements {
    /// Opens or begins the record. `last_seen` is when the website was last known to run.
    pub(super) fn open(folder: &Path, last_seen: Option<Moment>) -> Result<Self, LogFault> {
        let log = Log::open(folder)?;
        let (mut terms, mut totals_at, mut open) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for signed in log.statements() {
            let statement = &signed.statement;
            match &statement.stated {
                Stated::Terms(stated) => drop(terms.insert(stated.chain, stated.clone())),
                Stated::Totals(totals) => drop(totals_at.insert(totals.chain, statement.at)),
                Stated::IncidentBegan(beginning) => {
                    open.extend(subject_of(beginning).map(|subject| (subject, statement.number)));
                }
                Stated::IncidentEnded(end) => open.retain(|_, number| *number != end.began),
            }
        }
        let watch = Watch::with_open(open.keys().cloned());
        Ok(Self { log, watch, terms, totals_at, open, last_seen })
    }

    /// States what follows from a picture.
    pub(super) fn look(&mut self, picture: &PoolFacts) {
        let now = picture.gathered_at;
        if let Some(last_seen) = self.last_seen.take()
            && now.0.saturating_sub(last_seen.0) >= UNWATCHED_MS
        {
            self.state_absence(last_seen, now);
        }
        for change in self.watch.look(picture) {
            self.state_change(change, now);
        }
        for terms in terms(picture) {
            if self.terms.get(&terms.chain) != Some(&terms)
                && self.state(now, Stated::Terms(terms.clone())).is_some()
            {
                self.terms.insert(terms.chain, terms);
            }
        }
        for totals in totals(picture) {
            let chain = totals.chain;
            let is_due = self.totals_at.get(&chain).is_none_or(|last| now.0.saturating_sub(last.0) >= DAY_MS);
            if is_due && self.state(now, Stated::Totals(totals)).is_some() {
                self.totals_at.insert(chain, now);
            }
        }
    }

    fn state_absence(&mut self, began_at: Moment, ended_at: Moment) {
        let beginning = IncidentBeginning {
            what: IncidentKind::Unwatched,
            chain: None,
            role: Some("site".to_owned()),
            name: None,
            reason: None,
            began_at,
        };
        if let Some(began) = self.state(ended_at, Stated::IncidentBegan(beginning)) {
            self.state(ended_at, Stated::IncidentEnded(IncidentEnd { began, ended_at }));
        }
    }

    fn state_change(&mut self, change: Change, now: Moment) {
        match change {
            Change::Began(subject, beginning) => {
                let has_room = self.begun_since(Moment(now.0.saturating_sub(DAY_MS))) < MOST_A_DAY;
                let stated = has_room.then(|| self.state(now, Stated::IncidentBegan(beginning))).flatten();
                match stated {
                    Some(number) => drop(self.open.insert(subject, number)),
                    None => self.watch.was_not_stated(&subject),
                }
            }
            Change::Ended(subject, ended_at) => {
                let Some(began) = self.open.get(&subject).copied() else { return };
                match self.state(now, Stated::IncidentEnded(IncidentEnd { began, ended_at })) {
                    Some(_) => drop(self.open.remove(&subject)),
                    None => self.watch.is_still_open(subject),
                }
            }
        }
    }

    fn begun_since(&self, since: Moment) -> usize {
        let recent = self.log.statements().rev().take_while(|signed| signed.statement.at >= since);
        recent.filter(|signed| matches!(signed.statement.stated, Stated::IncidentBegan(_))).count()
    }

    /// The number under which it has been stated; `None` if it could not be stored, which is tried again.
    fn state(&mut self, at: Moment, stated: Stated) -> Option<u64> {
        let kind = stated.kind();
        match self.log.add(at, stated) {
            Ok(number) => Some(number),
            Err(error) => {
                tracing::error!(%error, kind, "a statement cannot be stored");
                None
            }
        }
    }

    /// The record itself.
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Incidents whose beginning has a smaller number than `before`, newest first.
    pub(super) fn incidents_before(&self, before: u64, limit: usize) -> Vec<Incident> {
        let (mut ends, mut incidents) = (BTreeMap::new(), Vec::new());
        for signed in self.log.statements().rev() {
            let number = signed.statement.number;
            match &signed.statement.stated {
                Stated::IncidentEnded(end) => drop(ends.insert(end.began, end.ended_at)),
                Stated::IncidentBegan(beginning) if number < before => incidents.push(Incident {
                    number,
                    beginning: beginning.clone(),
                    ended_at: ends.get(&number).copied(),
                }),
                _ => {}
            }
            if incidents.len() >= limit {
                break;
            }
        }
        incidents
    }
}

/// The terms of each chain, where they are known.
fn terms(picture: &PoolFacts) -> Vec<Terms> {
    let packetcrypt = picture.packetcrypt.as_ref().and_then(|facts| {
        Some(Terms {
            chain: Chain::PacketCrypt,
            fee: facts.fee?,
            rule: facts.payout_rule.clone(),
            block_miners_part: facts.block_miners_part,
            announcement_miners_part: facts.announcement_miners_part,
            confirmations: None,
            automatic_above: None,
        })
    });
    let nimiq = picture.nimiq.as_ref().map(|facts| Terms {
        chain: Chain::Nimiq,
        fee: facts.fee,
        rule: facts.payout_rule.clone(),
        block_miners_part: None,
        announcement_miners_part: None,
        confirmations: Some(facts.confirmations_needed),
        automatic_above: Some(facts.automatic_above),
    });
    packetcrypt.into_iter().chain(nimiq).collect()
}

/// What is owed and there on each chain, where it is known.
fn totals(picture: &PoolFacts) -> Vec<Totals> {
    let newest_block = |chain| picture.blocks(chain).first().map(|block| block.hash.clone());
    let packetcrypt = picture.packetcrypt.as_ref().and_then(|facts| {
        let newest = facts.payout_tables.first()?;
        Some(Totals {
            chain: Chain::PacketCrypt,
            height: facts.height.value,
            newest_block: newest_block(Chain::PacketCrypt),
            payout_table: newest.number,
            payees: Some(newest.payee_count),
            book: None,
        })
    });
    let nimiq = picture.nimiq.as_ref().and_then(|facts| {
        Some(Totals {
            chain: Chain::Nimiq,
            height: facts.height.value,
            newest_block: newest_block(Chain::Nimiq),
            payout_table: None,
            payees: None,
            book: Some(facts.totals.clone()?),
        })
    });
    packetcrypt.into_iter().chain(nimiq).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::facts::{Condition, Part, sample};

    fn picture(seconds: u64) -> PoolFacts {
        let mut picture = sample::pool();
        picture.gathered_at.0 += seconds * 1000;
        for component in &mut picture.components {
            component.condition = Condition::Ready;
        }
        picture
    }

    fn kinds(statements: &Statements) -> Vec<&'static str> {
        statements.log().statements().map(|signed| signed.statement.stated.kind()).collect()
    }

    #[test]
    fn terms_are_stated_when_they_change_and_totals_once_a_day_also_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let mut statements = Statements::open(folder.path(), None).unwrap();
        statements.look(&picture(0));
        statements.look(&picture(10));
        assert_eq!(kinds(&statements), ["terms", "terms", "totals", "totals"]);
        let mut statements = Statements::open(folder.path(), Some(picture(10).gathered_at)).unwrap();
        let mut raised = picture(20);
        raised.nimiq.as_mut().unwrap().fee = Part(20_000_000_000);
        statements.look(&raised);
        let newest = statements.log().before(u64::MAX).next().unwrap();
        assert!(
            matches!(&newest.statement.stated, Stated::Terms(terms) if terms.fee == Part(20_000_000_000)),
            "{newest:?}"
        );
        statements.look(&raised);
        assert_eq!(kinds(&statements).len(), 5);
        let mut next_day = raised.clone();
        next_day.gathered_at.0 += DAY_MS;
        statements.look(&next_day);
        assert_eq!(kinds(&statements)[5..], ["totals", "totals"]);
    }

    #[test]
    fn an_incident_that_outlives_the_website_ends_once_and_its_absence_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut statements = Statements::open(folder.path(), None).unwrap();
        let down = |seconds| {
            let mut picture = picture(seconds);
            picture.components[1].condition = Condition::Unreachable;
            picture
        };
        for seconds in [0, 30, 60, 90] {
            statements.look(&down(seconds));
        }
        let [incident] = &statements.incidents_before(u64::MAX, 10)[..] else { panic!() };
        assert_eq!((incident.beginning.began_at, incident.ended_at), (sample::NOW, None));

        let mut statements = Statements::open(folder.path(), Some(down(90).gathered_at)).unwrap();
        for seconds in [1000, 1030, 1060, 1090] {
            statements.look(&down(seconds));
        }
        for seconds in [1100, 1130, 1160, 1190] {
            statements.look(&picture(seconds));
        }
        let incidents = statements.incidents_before(u64::MAX, 10);
        let told: Vec<_> = incidents
            .iter()
            .map(|incident| {
                let seconds = |at: Moment| (at.0 - sample::NOW.0) / 1000;
                let beginning = &incident.beginning;
                (beginning.what, seconds(beginning.began_at), incident.ended_at.map(seconds))
            })
            .collect();
        let expected =
            [(IncidentKind::Unwatched, 90, Some(1000)), (IncidentKind::Unreachable, 0, Some(1100))];
        assert_eq!(told, expected);
        assert_eq!(statements.incidents_before(incidents[0].number, 10).len(), 1);
    }

    #[test]
    fn a_pool_that_fails_all_the_time_does_not_fill_the_record() {
        let folder = tempfile::tempdir().unwrap();
        let mut statements = Statements::open(folder.path(), None).unwrap();
        for round in 0..2 * MOST_A_DAY as u64 {
            for step in 0..4 {
                let mut picture = picture(round * 240 + step * 60);
                if step < 2 {
                    picture.components[0].condition = Condition::Troubled;
                }
                statements.look(&picture);
            }
        }
        let begun = kinds(&statements).iter().filter(|kind| **kind == "incident_began").count();
        assert_eq!(begun, MOST_A_DAY);
    }
}
