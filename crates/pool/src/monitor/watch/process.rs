//! One process: whether it answers, how its roles are, and what is done about it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::alarm::{Alarm, Turn};
use super::super::figures::Figures;
use super::super::message::{Message, Severity};
use super::super::restarts::{Restarts, Verdict};
use super::{Decision, Look, ProcessState, RoleLook, RoleName, RoleState, Subject, WatchRules, flapping};

/// Roles that one process may tell of.
const MOST_ROLES: usize = 256;

/// A process.
#[derive(Debug)]
pub(super) struct Process {
    subject: Subject,
    /// Whether it has ever answered.
    seen: bool,
    alarm: Alarm,
    fault: Option<String>,
    restarts: Restarts,
    /// Whether it was said that it has been started too often.
    is_given_up: bool,
    roles: BTreeMap<RoleName, Role>,
    /// What it showed last.
    pub(super) figures: Figures,
}

#[derive(Debug)]
struct Role {
    alarm: Alarm,
    trouble: Option<String>,
    troubled_since: Option<Instant>,
    restarts: Restarts,
}

impl Process {
    pub(super) fn new(subject: Subject, now: Instant) -> Self {
        let roles = subject.roles.iter().map(|role| (role.clone(), Role::new(now))).collect();
        Self {
            subject,
            seen: false,
            alarm: Alarm::new(now),
            fault: None,
            restarts: Restarts::default(),
            is_given_up: false,
            roles,
            figures: Figures::default(),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.alarm.is_bad()
    }

    pub(super) fn has(&self, role: &RoleName) -> bool {
        self.roles.contains_key(role)
    }

    pub(super) fn looked(
        &mut self,
        now: Instant,
        place: usize,
        look: &Look,
        rules: &WatchRules,
        in_startup: bool,
    ) -> Vec<Decision> {
        let mut decisions = Vec::new();
        match look {
            Look::Answered(roles) => {
                (self.seen, self.fault) = (true, None);
                self.alarm.look(now, false, rules.good_looks);
                self.roles_looked(now, place, roles, rules, &mut decisions);
            }
            Look::Gone(fault) => self.failed(now, fault, rules.gone_looks, in_startup),
            Look::Silent(fault) => self.failed(now, fault, rules.silent_looks, in_startup),
        }
        if self.alarm.is_bad() {
            decisions.extend(self.restart(now, place, rules));
        }
        if let Some(turn) = self.alarm.due(now, rules.quiet) {
            decisions.push(Decision::Tell(self.message(turn)));
        }
        decisions
    }

    fn failed(&mut self, now: Instant, fault: &str, needed: u32, in_startup: bool) {
        // Everything is started in some order; what has not been there yet is not missed at once.
        if !self.seen && in_startup {
            return;
        }
        self.fault = Some(fault.to_owned());
        self.alarm.look(now, true, needed);
    }

    fn roles_looked(
        &mut self,
        now: Instant,
        place: usize,
        looks: &[RoleLook],
        rules: &WatchRules,
        decisions: &mut Vec<Decision>,
    ) {
        let told = |role: &RoleName| looks.iter().any(|look| look.role == *role);
        let expected = &self.subject.roles;
        self.roles.retain(|role, _| expected.contains(role) || told(role));
        for look in looks.iter().take(MOST_ROLES) {
            let role = self.roles.entry(look.role.clone()).or_insert_with(|| Role::new(now));
            role.looked(now, look.trouble.as_deref(), rules);
        }
        for (name, role) in &mut self.roles {
            if !told(name) {
                role.looked(now, Some("its process runs without it"), rules);
            }
            if let Some(reason) = role.restart(now, rules) {
                decisions.push(Decision::Restart { process: place, role: Some(name.clone()), reason });
            }
            if let Some(turn) = role.alarm.due(now, rules.quiet) {
                decisions.push(Decision::Tell(role.message(name, turn)));
            }
        }
    }

    /// It is dead: it is started again, or nobody can do that any more.
    fn restart(&mut self, now: Instant, place: usize, rules: &WatchRules) -> Option<Decision> {
        if !self.subject.restartable || rules.restarts.per_hour == 0 {
            return None;
        }
        let fault = self.fault.clone().unwrap_or_default();
        match self.restarts.ask(now, &rules.restarts) {
            Verdict::Now => {
                self.is_given_up = false;
                Some(Decision::Restart { process: place, role: None, reason: fault })
            }
            Verdict::Exhausted if !self.is_given_up => {
                self.is_given_up = true;
                let often = self.restarts.count();
                Some(Decision::Tell(Message {
                    subject: self.name(),
                    severity: Severity::Critical,
                    resolved: false,
                    text: format!(
                        "was started again {often} times within an hour and is down; it stays down: {fault}"
                    ),
                }))
            }
            Verdict::Exhausted | Verdict::Later => None,
        }
    }

    /// Its roles, or where it is.
    fn name(&self) -> String {
        let names: Vec<String> = self.roles.keys().map(RoleName::to_string).collect();
        if names.is_empty() { self.subject.url.clone() } else { names.join(", ") }
    }

    fn message(&self, turn: Turn) -> Message {
        let text = if turn.bad {
            let fault = self.fault.as_deref().unwrap_or("it did not answer");
            format!("is down at {}: {fault}", self.subject.url)
        } else {
            match self.restarts.count() {
                0 => "answers again".to_owned(),
                count => format!("answers again; started again {count} times within the hour"),
            }
        };
        Message {
            subject: self.name(),
            severity: Severity::Critical,
            resolved: !turn.bad,
            text: text + &flapping(turn),
        }
    }

    pub(super) fn state(&self, now: Instant) -> ProcessState {
        let role = |(name, role): (&RoleName, &Role)| RoleState {
            role: name.clone(),
            trouble: role.trouble.clone(),
        };
        ProcessState {
            url: self.subject.url.clone(),
            answers: !self.alarm.is_bad() && self.fault.is_none() && self.seen,
            fault: self.fault.clone(),
            for_seconds: now.saturating_duration_since(self.alarm.since()).as_secs(),
            restarts: self.restarts.count(),
            roles: self.roles.iter().map(role).collect(),
        }
    }
}

impl Role {
    fn new(now: Instant) -> Self {
        Self { alarm: Alarm::new(now), trouble: None, troubled_since: None, restarts: Restarts::default() }
    }

    fn looked(&mut self, now: Instant, trouble: Option<&str>, rules: &WatchRules) {
        self.trouble = trouble.map(str::to_owned);
        if self.trouble.is_none() {
            self.troubled_since = None;
            self.alarm.look(now, false, rules.good_looks);
        } else if self.troubled_for(now) >= rules.trouble {
            self.alarm.look(now, true, 1);
        }
    }

    fn troubled_for(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.troubled_since.get_or_insert(now))
    }

    /// Why it is to be started again, if it is.
    fn restart(&mut self, now: Instant, rules: &WatchRules) -> Option<String> {
        let (trouble, limit) = (self.trouble.clone()?, rules.restart_troubled?);
        if self.troubled_for(now) < limit || self.restarts.ask(now, &rules.restarts) != Verdict::Now {
            return None;
        }
        Some(format!("in trouble for {} s: {trouble}", limit.as_secs()))
    }

    fn message(&self, name: &RoleName, turn: Turn) -> Message {
        let text = match (&self.trouble, turn.bad) {
            (Some(trouble), true) => format!("cannot do its work: {trouble}"),
            (None, true) => "could not do its work".to_owned(),
            (_, false) => "does its work again".to_owned(),
        };
        Message {
            subject: name.to_string(),
            severity: Severity::Warning,
            resolved: !turn.bad,
            text: text + &flapping(turn),
        }
    }
}
