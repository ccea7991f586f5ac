//! `/pool.json`: how the pool describes itself to lists of pools.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::answer::{Fault, Whole};
use super::parameters::Parameters;
use crate::site::facts::{Measured, Moment, Part, PoolFacts, Unit};

/// A pool, for lists of pools.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct SelfDescription {
    /// Version of this format.
    schema: u32,
    /// The pool's name.
    name: String,
    /// Its website.
    url: String,
    /// Whom to ask.
    contact: Option<String>,
    /// The program that runs it.
    software: String,
    /// The API that this pool answers.
    api: String,
    /// What it mines.
    chains: Vec<ListedChain>,
    /// When this was written.
    updated_at: Moment,
}

/// One chain of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct ListedChain {
    /// `packetcrypt` or `nimiq`.
    chain: String,
    /// Name of the coin on the market.
    coin: String,
    /// How it pays: `PPLNS`.
    payout_scheme: String,
    /// Whether blocks pay miners directly, or the pool collects and pays.
    pays_directly: bool,
    /// The pool's part of each reward, in percent; null: not known yet.
    fee_percent: Option<f64>,
    /// A balance above this is paid by itself, in coins; null where blocks pay directly.
    minimum_payout: Option<String>,
    /// Where miners connect.
    endpoints: Vec<String>,
    /// All work, in encryptions or hashes per second.
    speed: Measured<f64>,
    /// Addresses that mine.
    miners: Measured<u64>,
    /// Blocks of the pool.
    blocks_found: Measured<u64>,
    /// Height of the chain.
    height: Measured<u32>,
    /// The pool's last block.
    last_block_at: Option<Moment>,
}

/// How the pool describes itself to lists of pools.
#[utoipa::path(get, path = "/pool.json", tag = "pool", responses(
    (status = 200, description = "The pool, for lists of pools", body = SelfDescription),
    (status = 304, description = "Nothing has changed since the ETag that was sent"),
    (status = 400, description = "Asked wrongly", body = Fault),
    (status = 429, description = "Asked too often", body = Fault),
))]
pub(super) async fn pool_list(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&[])?;
    let whole = api.prepared.get("pool.json", &api.facts.now(), |facts| Whole::json(&describe(facts)))?;
    Ok(whole.answer(&headers))
}

fn describe(facts: &PoolFacts) -> SelfDescription {
    let identity = &facts.identity;
    let packetcrypt = facts.packetcrypt.as_ref().map(|chain| ListedChain {
        chain: "packetcrypt".to_owned(),
        coin: "PKT".to_owned(),
        payout_scheme: "PPLNS".to_owned(),
        pays_directly: true,
        fee_percent: chain.fee.map(Part::percent),
        minimum_payout: None,
        endpoints: vec![chain.pool_url.clone()],
        speed: sum(chain.announcement_speed, chain.block_speed, Unit::EncryptionsPerSecond),
        miners: sum(chain.miners.announcements, chain.miners.blocks, Unit::Miners),
        blocks_found: chain.blocks_found,
        height: chain.height,
        last_block_at: chain.blocks.first().map(|block| block.found_at),
    });
    let nimiq = facts.nimiq.as_ref().map(|chain| ListedChain {
        chain: "nimiq".to_owned(),
        coin: "NIM".to_owned(),
        payout_scheme: "PPLNS".to_owned(),
        pays_directly: false,
        fee_percent: Some(chain.fee.percent()),
        minimum_payout: Some(chain.automatic_above.coins()),
        endpoints: chain.servers.clone(),
        speed: chain.speed,
        miners: chain.miners.addresses,
        blocks_found: chain.blocks_found,
        height: chain.height,
        last_block_at: chain.blocks.first().map(|block| block.found_at),
    });
    SelfDescription {
        schema: 1,
        name: identity.name.clone(),
        url: identity.url.clone(),
        contact: identity.contact.clone(),
        software: format!("headframe {}", identity.version),
        api: format!("{}/api/v1/openapi.json", identity.url),
        chains: packetcrypt.into_iter().chain(nimiq).collect(),
        updated_at: facts.gathered_at,
    }
}

/// Known only if both are.
fn sum<T: std::ops::Add<Output = T>>(one: Measured<T>, other: Measured<T>, unit: Unit) -> Measured<T> {
    let value = one.value.zip(other.value).map(|(one, other)| one + other);
    Measured {
        value,
        unit,
        window_seconds: one.window_seconds.max(other.window_seconds),
        as_of: one.as_of.min(other.as_of),
    }
}
