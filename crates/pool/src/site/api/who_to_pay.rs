//! The PayMaker's own document, passed on as it is: whoever wants to compute the distribution again compares with it, and
//! need not reach the PayMaker for that.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::answer::{Fault, JSON, Whole};
use super::parameters::Parameters;

/// What the next block pays, as the PayMaker says it: `docs/protocol/packetcrypt-pool.md` 11.6 names all members.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "it describes a document that is not made here")]
struct WhoToPay {
    /// What the operator should know.
    warn: Vec<String>,
    /// When it was made, in milliseconds since 1970.
    generated_at: u64,
    /// Each address's part of the reward, as a fraction of 1.
    result: std::collections::BTreeMap<String, f64>,
    /// The pool's part.
    pool_fee: f64,
    /// The block miners' part.
    block_miners: f64,
    /// The announcement miners' part.
    ann_miners: f64,
}

/// Who is paid by the next PacketCrypt block, and why: the document of the reference's `/whotopay`, of some seconds ago.
#[utoipa::path(get, path = "/api/v1/packetcrypt/who_to_pay", tag = "pool", responses(
    (status = 200, description = "The document", body = WhoToPay),
    (status = 304, description = "Nothing has changed since the ETag that was sent"),
    (status = 400, description = "Asked wrongly", body = Fault),
    (status = 404, description = "This pool does not mine PacketCrypt", body = Fault),
    (status = 429, description = "Asked too often", body = Fault),
    (status = 503, description = "The PayMaker does not answer", body = Fault),
))]
pub(super) async fn who_to_pay(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&[])?;
    Ok(Whole::new(api.facts.who_to_pay().await?, JSON).answer(&headers))
}
