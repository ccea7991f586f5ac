//! What the monitor tells and does over HTTP, for those who show its token: `/monitor/state`, `/monitor/restart`.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokio::sync::mpsc;

use super::message::Message;
use super::role::Shared;
use super::watch::{MotionState, ProcessState, RoleName};

/// What is asked and ordered.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    pub(super) orders: mpsc::Sender<RoleName>,
    pub(super) token: Arc<str>,
}

/// Everything that the monitor knows.
#[derive(Debug, Serialize)]
struct Knowledge {
    processes: Vec<ProcessState>,
    motions: Vec<MotionState>,
    messages: Vec<RecentMessage>,
}

/// A message of late.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RecentMessage {
    /// Milliseconds since 1970.
    pub(super) at: u64,
    #[serde(flatten)]
    pub(super) message: Message,
}

#[derive(Debug, Deserialize)]
struct WantedRole {
    role: String,
    #[serde(default)]
    name: String,
}

pub(super) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/monitor/state", get(state))
        .route("/monitor/restart", post(restart))
        .layer(DefaultBodyLimit::max(1024))
        .with_state(desk)
}

async fn state(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    if let Some(refusal) = desk.refuses(&headers) {
        return refusal;
    }
    let (processes, motions) = desk.shared.states();
    Json(Knowledge { processes, motions, messages: desk.shared.messages() }).into_response()
}

async fn restart(State(desk): State<Desk>, Query(wanted): Query<WantedRole>, headers: HeaderMap) -> Response {
    if let Some(refusal) = desk.refuses(&headers) {
        return refusal;
    }
    let role = RoleName::new(wanted.role.replace('-', "_"), wanted.name);
    if !desk.shared.knows(&role) {
        let known = desk.shared.roles();
        let known = known.iter().map(RoleName::to_string).collect::<Vec<_>>().join(", ");
        return fault(StatusCode::NOT_FOUND, &format!("there is no {role}; there are: {known}"));
    }
    let text = format!("{role} is being started again; the log says what comes of it");
    match desk.orders.try_send(role) {
        Ok(()) => (StatusCode::ACCEPTED, Json(serde_json::json!({ "message": text }))).into_response(),
        Err(_) => fault(StatusCode::SERVICE_UNAVAILABLE, "too many orders at once; try again"),
    }
}

impl Desk {
    fn refuses(&self, headers: &HeaderMap) -> Option<Response> {
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let fits = shown.is_some_and(|shown| bool::from(shown.ct_eq(self.token.as_bytes())));
        (!fits).then(|| fault(StatusCode::UNAUTHORIZED, "show the monitor's token (authorization: Bearer …)"))
    }
}

fn fault(status: StatusCode, message: &str) -> Response {
    (status, Json(serde_json::json!({ "message": message }))).into_response()
}
