//! What follows from the looks at a pool: a state machine that is handed looks and the time, and gives back decisions.

mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::alarm::{Alarm, Turn};
use super::figures::Figures;
use super::message::{Message, Severity};
use super::progress::{Motion, MotionLimits, Progress};
use super::restarts::RestartRules;
use process::Process;

/// A role of the pool, as `/healthz` names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RoleName {
    /// Kind of role, e.g. `ann_handler`.
    pub role: String,
    /// Name of this one; empty where a pool has only one.
    pub name: String,
}

impl RoleName {
    /// A role by its kind and name.
    pub fn new(role: impl Into<String>, name: impl Into<String>) -> Self {
        Self { role: role.into(), name: name.into() }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.name.is_empty() { "" } else { " " };
        write!(formatter, "{}{space}{}", self.role, self.name)
    }
}

/// One look at a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It tells how its roles are.
    Answered(Vec<RoleLook>),
    /// Nobody is there: the connection is refused or breaks.
    Gone(String),
    /// Somebody is there and says nothing, or nothing that makes sense: slow, or stuck.
    Silent(String),
}

/// What a process tells of one of its roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleLook {
    /// Which.
    pub role: RoleName,
    /// Why it cannot do its work, if it cannot.
    pub trouble: Option<String>,
}

/// How much it takes to believe something, to act, and to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchRules {
    /// Looks in a row at which nobody is there.
    pub gone_looks: u32,
    /// Looks in a row at which somebody says nothing.
    pub silent_looks: u32,
    /// Looks in a row at which all is well again.
    pub good_looks: u32,
    /// A process that has never answered is given so long from the monitor's start.
    pub startup: Duration,
    /// A role that says why it cannot work is given so long to get over it.
    pub trouble: Duration,
    /// A role that is in trouble for so long is started again; `None`: never.
    pub restart_troubled: Option<Duration>,
    /// The least time between two messages about the same thing.
    pub quiet: Duration,
    /// How long things may stand still.
    pub limits: MotionLimits,
    /// How often things are started again.
    pub restarts: RestartRules,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Tell people.
    Tell(Message),
    /// Start something again.
    Restart {
        /// Which process, by its place.
        process: usize,
        /// Only this role of it.
        role: Option<RoleName>,
        /// Why.
        reason: String,
    },
}

/// How a watched process is, for people and programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProcessState {
    /// Where it is asked.
    pub url: String,
    /// Whether it answers.
    pub answers: bool,
    /// Why it does not, in the words of the last look that failed.
    pub fault: Option<String>,
    /// For how many seconds it is as it is.
    pub for_seconds: u64,
    /// How often it was started again within the hour.
    pub restarts: usize,
    /// Its roles.
    pub roles: Vec<RoleState>,
}

/// How a role is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoleState {
    /// Which.
    #[serde(flatten)]
    pub role: RoleName,
    /// What troubles it, if anything.
    pub trouble: Option<String>,
}

/// How something is that ought to move.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MotionState {
    /// Its name.
    pub motion: &'static str,
    /// Whether it stands still for too long.
    pub stalled: bool,
    /// How long ago it moved, as far as was seen.
    pub moved_seconds_ago: Option<u64>,
}

/// A process that is to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Where it is asked: scheme, host and port.
    pub url: String,
    /// The roles that are known to run there.
    pub roles: Vec<RoleName>,
    /// Whether it can be started again from here.
    pub restartable: bool,
}

/// Everything that is known of the pool.
#[derive(Debug)]
pub struct Watch {
    rules: WatchRules,
    started: Instant,
    processes: Vec<Process>,
    motions: BTreeMap<Motion, (Progress, Alarm)>,
}

impl Watch {
    /// Nothing has been looked at yet.
    pub fn new(subjects: Vec<Subject>, rules: WatchRules, now: Instant) -> Self {
        let motions = Motion::ALL.map(|motion| (motion, (Progress::new(motion), Alarm::new(now))));
        Self {
            rules,
            started: now,
            processes: subjects.into_iter().map(|subject| Process::new(subject, now)).collect(),
            motions: motions.into(),
        }
    }

    /// Takes note of a look at the process of that place.
    pub fn looked(&mut self, now: Instant, place: usize, look: &Look) -> Vec<Decision> {
        let in_startup = now.saturating_duration_since(self.started) < self.rules.startup;
        let Some(process) = self.processes.get_mut(place) else { return Vec::new() };
        process.looked(now, place, look, &self.rules, in_startup)
    }

    /// Takes note of the figures of the process of that place.
    pub fn measured(&mut self, now: Instant, place: usize, figures: Figures) -> Vec<Decision> {
        if let Some(process) = self.processes.get_mut(place) {
            process.figures = figures;
        }
        let answering = self.processes.iter().filter(|process| !process.is_down());
        let together = Figures::together(answering.map(|process| &process.figures));
        let mut decisions = Vec::new();
        for (motion, (progress, alarm)) in &mut self.motions {
            let limit = self.rules.limits.of(*motion);
            alarm.look(now, progress.look(now, &together, limit), 1);
            if let Some(turn) = alarm.due(now, self.rules.quiet) {
                decisions.push(Decision::Tell(motion_message(*motion, turn, limit)));
            }
        }
        decisions
    }

    /// Somebody wants a role to be started again, whatever it does: the decision, if the role is known.
    pub fn ordered(&mut self, wanted: &RoleName) -> Option<Decision> {
        let place = self.processes.iter().position(|process| process.has(wanted))?;
        let role = Some(wanted.clone());
        Some(Decision::Restart { process: place, role, reason: "somebody asked for it".to_owned() })
    }

    /// How all processes are.
    pub fn processes(&self, now: Instant) -> Vec<ProcessState> {
        self.processes.iter().map(|process| process.state(now)).collect()
    }

    /// How everything is that ought to move, as far as anything is known of it.
    pub fn motions(&self, now: Instant) -> Vec<MotionState> {
        let known = self.motions.iter().filter(|(_, (progress, _))| progress.moved().is_some());
        let state = |(motion, (progress, alarm)): (&Motion, &(Progress, Alarm))| MotionState {
            motion: motion.name(),
            stalled: alarm.is_bad(),
            moved_seconds_ago: progress.moved().map(|at| now.saturating_duration_since(at).as_secs()),
        };
        known.map(state).collect()
    }
}

fn motion_message(motion: Motion, turn: Turn, limit: Duration) -> Message {
    let text = if turn.bad {
        format!("{} for {}", motion.standstill(), minutes(limit))
    } else {
        "goes on again, or is no longer expected".to_owned()
    };
    Message {
        subject: motion.name().replace('_', " "),
        severity: Severity::Critical,
        resolved: !turn.bad,
        text: text + &flapping(turn),
    }
}

/// What is added to a message about something that has come and gone since the last one.
fn flapping(turn: Turn) -> String {
    if turn.turns < 2 {
        return String::new();
    }
    format!(" (it has changed {} times since the last message)", turn.turns)
}

fn minutes(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds => format!("{} minutes", seconds / 60),
    }
}

#[cfg(test)]
mod tests;
