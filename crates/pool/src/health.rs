//! Whether a role can do its work now, and if not, why: `/healthz`.

use std::sync::{Arc, Mutex, PoisonError};

use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::Serialize;

/// The state of one role; clones share it.
#[derive(Debug, Clone)]
pub struct Health {
    role: &'static str,
    name: String,
    /// Why the role is not ready; `None`: it is.
    trouble: Arc<Mutex<Option<String>>>,
}

/// What `/healthz` says of one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleState {
    /// Kind of role, e.g. `ann_handler`.
    pub role: &'static str,
    /// Name of this one; empty where a pool has only one.
    pub name: String,
    /// Whether it does its work.
    pub ready: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    roles: Vec<RoleState>,
}

impl Health {
    /// A role that has just been started and is not ready yet.
    pub fn starting(role: &'static str, name: impl Into<String>) -> Self {
        let trouble = Arc::new(Mutex::new(Some("starting".to_owned())));
        Self { role, name: name.into(), trouble }
    }

    /// The role does its work.
    pub fn ready(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The role cannot do its work, because of `reason`.
    pub fn trouble(&self, reason: impl Into<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.into());
    }

    /// Whether the role does its work.
    pub fn is_ready(&self) -> bool {
        self.state().ready
    }

    /// The state now.
    pub fn state(&self) -> RoleState {
        let reason = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        RoleState { role: self.role, name: self.name.clone(), ready: reason.is_none(), reason }
    }
}

/// `GET /healthz` for the roles of one process: 200 if all are ready, else 503, with one entry for each.
pub fn routes(roles: Vec<Health>) -> Router {
    let answer = move || async move {
        let roles: Vec<RoleState> = roles.iter().map(Health::state).collect();
        let ready = roles.iter().all(|role| role.ready);
        let (code, status) =
            if ready { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
        (code, Json(Report { status, roles })).into_response()
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
}
