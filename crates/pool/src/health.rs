//! Whether a role can do its work now, and if not, why: `/healthz`, and how others ask for it ([`asking`]).

pub mod asking;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::Serialize;

/// The state of one role; clones share it. A role is ready when nothing troubles it.
#[derive(Debug, Clone)]
pub struct Health {
    role: &'static str,
    name: String,
    /// In milliseconds since 1970.
    started_at: u64,
    /// What is wrong, by the part that is concerned.
    troubles: Arc<Mutex<BTreeMap<&'static str, String>>>,
    /// What people should know, though it is no trouble.
    note: Arc<Mutex<Option<String>>>,
    /// The instance whose state is shown, where this one only stands in front of instances.
    instance: Arc<Mutex<Option<Box<Self>>>>,
}

/// The part that a role's own state is kept under.
const ROLE: &str = "role";

/// What `/healthz` says of one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleState {
    /// Kind of role, e.g. `ann_handler`.
    pub role: &'static str,
    /// Name of this one; empty where a pool has only one.
    pub name: String,
    /// When it was started, in milliseconds since 1970.
    pub started_at: u64,
    /// Whether it does its work.
    pub ready: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What people should know, though it is no trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Which program a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Program {
    /// Its version.
    pub version: &'static str,
    /// What it was built from, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<&'static str>,
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    #[serde(flatten)]
    program: Program,
    roles: Vec<RoleState>,
}

impl Health {
    /// A role that has just been started and is not ready yet.
    pub fn starting(role: &'static str, name: impl Into<String>) -> Self {
        let health = Self::of(role, name.into());
        health.trouble_of(ROLE, "starting");
        health
    }

    /// Shows the state of `instance`, until the role is started again and another is shown.
    pub fn in_front_of(instance: &Self) -> Self {
        let front = Self::of(instance.role, instance.name.clone());
        front.show(instance);
        front
    }

    fn of(role: &'static str, name: String) -> Self {
        let (troubles, note, instance) = (Arc::default(), Arc::default(), Arc::default());
        Self { role, name, started_at: crate::pay_maker::system_clock().0, troubles, note, instance }
    }

    /// From now on the state of this instance is shown.
    pub fn show(&self, instance: &Self) {
        *self.instance.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(instance.clone()));
        self.ready();
    }

    /// There is no instance now, because of `reason`.
    pub fn hide(&self, reason: impl Into<String>) {
        *self.instance.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.trouble(reason);
    }

    /// The role has started, or does its work again.
    pub fn ready(&self) {
        self.solved(ROLE);
    }

    /// The role cannot do its work, because of `reason`.
    pub fn trouble(&self, reason: impl Into<String>) {
        self.trouble_of(ROLE, reason);
    }

    /// One part of what the role needs does not work, because of `reason`.
    pub fn trouble_of(&self, part: &'static str, reason: impl Into<String>) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).insert(part, reason.into());
    }

    /// That part works.
    pub fn solved(&self, part: &'static str) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// People should know this of the role: the last such word stays.
    pub fn note(&self, note: impl Into<String>) {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = Some(note.into());
    }

    /// Whether the role does its work.
    pub fn is_ready(&self) -> bool {
        self.state().ready
    }

    /// The state now.
    pub fn state(&self) -> RoleState {
        let instance = self.instance.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let shown = instance.map(|instance| instance.state());
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reasons: Vec<&str> = troubles.values().map(String::as_str).collect();
        reasons.extend(shown.as_ref().and_then(|shown| shown.reason.as_deref()));
        let started_at = shown.as_ref().map_or(self.started_at, |shown| shown.started_at);
        let reason = if reasons.is_empty() { None } else { Some(reasons.join("; ")) };
        let note = self.note.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let note = note.or(shown.and_then(|shown| shown.note));
        RoleState {
            role: self.role,
            name: self.name.clone(),
            started_at,
            ready: reason.is_none(),
            reason,
            note,
        }
    }
}

/// `GET /healthz` for the roles of one process: 200 if all are ready, else 503, with one entry for each.
pub fn routes(roles: Vec<Health>, program: Program) -> Router {
    let answer = move || async move {
        let roles: Vec<RoleState> = roles.iter().map(Health::state).collect();
        let ready = roles.iter().all(|role| role.ready);
        let (code, status) =
            if ready { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
        (code, Json(Report { status, program, roles })).into_response()
    };
    Router::new().route("/healthz", get(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_not_ready_until_it_says_so() {
        let health = Health::starting("master", "");
        assert_eq!(health.state().reason.as_deref(), Some("starting"));
        health.ready();
        assert!(health.is_ready());
        health.clone().trouble("the node does not answer");
        assert_eq!(health.state().reason.as_deref(), Some("the node does not answer"));
    }
    #[test]
    fn a_front_shows_the_newest_instance() {
        let first = Health::starting("master", "");
        let front = Health::in_front_of(&first);
        assert_eq!(front.state().reason.as_deref(), Some("starting"));
        first.ready();
        assert!(front.is_ready());
        front.hide("it is being started again");
        assert_eq!(front.state().reason.as_deref(), Some("it is being started again"));
        let second = Health::starting("master", "");
        second.ready();
        second.note("the second");
        front.show(&second);
        first.trouble("gone");
        assert_eq!((front.is_ready(), front.state().note.as_deref()), (true, Some("the second")));
        assert_eq!(front.state().started_at, second.state().started_at);
    }

    #[test]
    fn every_trouble_must_be_solved() {
        let health = Health::starting("ann_handler", "a");
        health.ready();
        health.trouble_of("master", "the Master does not answer");
        health.trouble_of("disk", "the disk is full");
        assert_eq!(health.state().reason.as_deref(), Some("the disk is full; the Master does not answer"));
        health.solved("disk");
        assert!(!health.is_ready());
        health.solved("master");
        assert!(health.is_ready());
    }
}
