//! What the pool has stated: its record, page by page or as it was signed, and what went wrong.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::answer::{CSV, Fault, Whole};
use super::parameters::{MOST, Parameters};
use super::tables::{Format, Page};
use crate::site::facts::{Incident, SignedStatement};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The kinds of statements.
const KINDS: [&str; 4] = ["terms", "totals", "incident_began", "incident_ended"];

/// A kind of statement.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)] // named by the document alone
pub(super) enum StatementKind {
    /// By which terms the pool pays.
    Terms,
    /// What it owed and had.
    Totals,
    /// Something went wrong.
    IncidentBegan,
    /// It was over.
    IncidentEnded,
}

/// What the pool has stated of itself, each statement signed and naming the one before it.
#[utoipa::path(get, path = "/api/v1/statements", tag = "record",
    params(
        ("kind" = Option<StatementKind>, Query, description = "Only of this kind; terms are the history of fee and rule"),
        ("before" = Option<u64>, Query, minimum = 0, maximum = 9_007_199_254_740_991_i64, description = "Only statements with a smaller number; `next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many rows; 50 by default"),
        ("format" = Option<Format>, Query, description = "json by default"),
    ),
    responses(
        (status = 200, description = "A page of the record", content(
            (Page<SignedStatement> = "application/json"), (String = "text/csv; charset=utf-8"))),
        (status = 304, description = "Nothing has changed since the ETag that was sent"),
        (status = 400, description = "Asked wrongly", body = Fault),
        (status = 429, description = "Asked too often", body = Fault),
    )
)]
pub(super) async fn statements(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&["kind", "before", "limit", "format"])?;
    let kind = parameters.one_of("kind", &KINDS)?;
    let (before, limit) = (parameters.number("before", 0, MOST)?, parameters.limit()?);
    let statements = api.facts.statements(before, kind, limit);
    let whole = if parameters.wants_csv()? {
        Whole::new(super::csv::statements(&statements).into(), CSV)
    } else {
        Whole::json(&Page::new(statements, limit, |signed| signed.statement.number))?
    };
    Ok(whole.answer(&headers))
}

/// The record as it was signed.
///
/// A line for each statement, oldest first: the Ed25519 signature in hexadecimal digits, a space, and the text that was
/// signed. `headframe verify statements` checks it.
#[utoipa::path(get, path = "/api/v1/statements/log", tag = "record",
    responses(
        (status = 200, description = "The record", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 304, description = "Nothing has changed since the ETag that was sent"),
        (status = 400, description = "Asked wrongly", body = Fault),
        (status = 429, description = "Asked too often", body = Fault),
    )
)]
pub(super) async fn statement_log(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&[])?;
    Ok(Whole::new(api.facts.statement_log(), TEXT).answer(&headers))
}

/// What went wrong, as the website has seen it: roles and nodes, chains that stood still, payouts that stopped.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "record",
    params(
        ("before" = Option<u64>, Query, minimum = 0, maximum = 9_007_199_254_740_991_i64, description = "Only incidents with a smaller number; `next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many rows; 50 by default"),
        ("format" = Option<Format>, Query, description = "json by default"),
    ),
    responses(
        (status = 200, description = "A page of the table", content(
            (Page<Incident> = "application/json"), (String = "text/csv; charset=utf-8"))),
        (status = 304, description = "Nothing has changed since the ETag that was sent"),
        (status = 400, description = "Asked wrongly", body = Fault),
        (status = 429, description = "Asked too often", body = Fault),
    )
)]
pub(super) async fn incidents(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&["before", "limit", "format"])?;
    let (before, limit) = (parameters.number("before", 0, MOST)?, parameters.limit()?);
    let incidents = api.facts.incidents(before, limit);
    let whole = if parameters.wants_csv()? {
        Whole::new(super::csv::incidents(&incidents).into(), CSV)
    } else {
        Whole::json(&Page::new(incidents, limit, |incident| incident.number))?
    };
    Ok(whole.answer(&headers))
}
