//! The pool at this moment.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use super::Api;
use super::answer::{Fault, Whole};
use super::parameters::Parameters;
use crate::site::facts::{ComponentState, NimiqFacts, PacketCryptFacts, PayoutTableFacts, PoolFacts};

/// Everything of this moment.
#[utoipa::path(get, path = "/api/v1/pool", tag = "pool", responses(
    (status = 200, description = "Everything of this moment", body = PoolFacts),
    (status = 304, description = "Nothing has changed since the ETag that was sent"),
    (status = 400, description = "Asked wrongly", body = Fault),
    (status = 429, description = "Asked too often", body = Fault),
))]
pub(super) async fn pool(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&[])?;
    let whole = api.prepared.get("pool", &api.facts.now(), Whole::json)?;
    Ok(whole.answer(&headers))
}

/// The PacketCrypt pool.
#[utoipa::path(get, path = "/api/v1/packetcrypt", tag = "pool", responses(
    (status = 200, description = "The PacketCrypt pool at this moment", body = PacketCryptFacts),
    (status = 304, description = "Nothing has changed since the ETag that was sent"),
    (status = 400, description = "Asked wrongly", body = Fault),
    (status = 404, description = "This pool does not mine PacketCrypt", body = Fault),
    (status = 429, description = "Asked too often", body = Fault),
))]
pub(super) async fn packetcrypt(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&[])?;
    let whole = api.prepared.get("packetcrypt", &api.facts.now(), |facts| {
        let facts = facts.packetcrypt.as_ref();
        Whole::json(facts.ok_or_else(|| Fault::not_found("this pool does not mine PacketCrypt"))?)
    })?;
    Ok(whole.answer(&headers))
}

/// The Nimiq pool.
#[utoipa::path(get, path = "/api/v1/nimiq", tag = "pool", responses(
    (status = 200, description = "The Nimiq pool at this moment", body = NimiqFacts),
    (status = 304, description = "Nothing has changed since the ETag that was sent"),
    (status = 400, description = "Asked wrongly", body = Fault),
    (status = 404, description = "This pool does not mine Nimiq", body = Fault),
    (status = 429, description = "Asked too often", body = Fault),
))]
pub(super) async fn nimiq(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&[])?;
    let whole = api.prepared.get("nimiq", &api.facts.now(), |facts| {
        let facts = facts.nimiq.as_ref();
        Whole::json(facts.ok_or_else(|| Fault::not_found("this pool does not mine Nimiq"))?)
    })?;
    Ok(whole.answer(&headers))
}

/// What the next PacketCrypt block pays: window bounds, and the greatest payees.
#[utoipa::path(get, path = "/api/v1/packetcrypt/payout-table", tag = "pool", responses(
    (status = 200, description = "The payout table in force", body = PayoutTableFacts),
    (status = 304, description = "Nothing has changed since the ETag that was sent"),
    (status = 400, description = "Asked wrongly", body = Fault),
    (status = 404, description = "This pool does not mine PacketCrypt, or has no table yet", body = Fault),
    (status = 429, description = "Asked too often", body = Fault),
))]
pub(super) async fn payout_table(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&[])?;
    let whole = api.prepared.get("payout-table", &api.facts.now(), |facts| {
        let table = facts.packetcrypt.as_ref().and_then(|facts| facts.payout_table.as_ref());
        Whole::json(table.ok_or_else(|| Fault::not_found("this pool has no payout table of PacketCrypt"))?)
    })?;
    Ok(whole.answer(&headers))
}

/// The state of every role.
#[utoipa::path(get, path = "/api/v1/components", tag = "pool", responses(
    (status = 200, description = "Every role, and whether it does its work", body = Vec<ComponentState>),
    (status = 304, description = "Nothing has changed since the ETag that was sent"),
    (status = 400, description = "Asked wrongly", body = Fault),
    (status = 429, description = "Asked too often", body = Fault),
))]
pub(super) async fn components(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&[])?;
    let whole = api.prepared.get("components", &api.facts.now(), |facts| Whole::json(&facts.components))?;
    Ok(whole.answer(&headers))
}
