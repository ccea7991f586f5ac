//! What lists of Nimiq pools read, in the forms that they know from other pools (`docs/protocol/nimiq-pool.md` 4.8).
//!
//! All of it is the pool as a whole: servers stand beside each other, so no figure belongs to one of them. What those forms have
//! and this pool does not count is `null`, never 0.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::uri::Authority;
use http::{HeaderMap, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::answer::{Fault, Whole};
use super::parameters::Parameters;
use crate::site::facts::{Condition, Identity, NimiqFacts, PoolFacts};

/// The role that miners connect to.
const SERVER: &str = "nimiq_server";
/// The only region of a pool that does not tell its servers apart.
const REGION: &str = "all";

/// The pool as a team of miners.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolInformation {
    /// Devices with an accepted share in the last minutes.
    team_size: Option<u64>,
    /// How the pool pays, in one sentence.
    tag_line: String,
    /// Of the team's badge.
    color: String,
    /// The pool's part of each reward, in percent.
    pool_fee: f64,
    /// Addresses with an accepted share in the last minutes.
    registrations: Option<u64>,
    /// Always: an address is all that it takes.
    registrations_open: bool,
    /// The pool's own account.
    wallet_address: Option<String>,
}

/// The pool's figures, with its servers by region.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct PoolStatistics {
    /// One region, with one entry for all servers.
    nodes: BTreeMap<&'static str, Vec<Servers>>,
    /// Milliseconds since 1970.
    last_mined_block: Option<u64>,
    /// Hashes per second.
    total_hashrate: Option<f64>,
    /// Devices with an accepted share in the last minutes.
    devices_online: Option<u64>,
    /// Blocks of the pool that are on the main chain.
    found_blocks: Option<u64>,
}

/// All servers as one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Servers {
    #[serde(flatten)]
    figures: ServerFigures,
    /// Milliseconds since 1970.
    last_update: u64,
    /// `ok` while a server serves, else `down`.
    status: &'static str,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct ServerFigures {
    /// Open connections.
    clients: Clients,
    /// Hashes per second.
    hashrate: Option<f64>,
    /// Not counted here.
    banned_ips: Option<u64>,
    /// Not counted here; `found_blocks` has all.
    blocks_mined_since_restart: Option<u64>,
    /// The pool's own account.
    wallet_address: Option<String>,
    /// Where miners connect: `HOST:PORT`.
    host: Option<String>,
}

/// Open connections by what they mine with.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Clients {
    /// Not counted here.
    unregistered: Option<u64>,
    smart: Option<u64>,
    nano: Option<u64>,
    /// `smart`, `nano` and `dumb`.
    total: Option<u64>,
}

/// What a miner wants to know who looks for a pool.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MinerInformation {
    /// The pool's name.
    name: String,
    /// Where miners connect.
    host: Option<String>,
    /// Where miners connect.
    port: Option<u16>,
    /// How the pool pays, in one sentence.
    description: String,
    /// Its website.
    website: String,
    /// Whom to ask.
    community: Option<String>,
    /// The pool's part of each reward, in percent.
    fees: f64,
    /// When it pays.
    payouts: String,
    /// Always.
    supports_nano: bool,
}

/// The Nimiq pool as a team, for lists of pools.
#[utoipa::path(get, path = "/poolinfo.json", tag = "lists", responses(
    (status = 200, description = "The pool as a team of miners", body = PoolInformation),
    (status = 304, description = "Nothing has changed since the ETag that was sent"),
    (status = 400, description = "Asked wrongly", body = Fault),
    (status = 404, description = "This pool does not mine Nimiq", body = Fault),
    (status = 429, description = "Asked too often", body = Fault),
))]
pub(super) async fn team(
    api: State<Arc<Api>>,
    headers: HeaderMap,
    asked: Parameters,
) -> Result<Response, Fault> {
    answer(&api, &headers, &asked, "poolinfo.json", |_, chain| PoolInformation {
        team_size: chain.miners.devices.value,
        tag_line: chain.payout_rule.clone(),
        color: "#e9b213".to_owned(),
        pool_fee: chain.fee.percent(),
        registrations: chain.miners.addresses.value,
        registrations_open: true,
        wallet_address: chain.address.clone(),
    })
}

/// The Nimiq pool's figures, for lists of pools.
#[utoipa::path(get, path = "/poolstats.json", tag = "lists", responses(
    (status = 200, description = "The pool's figures", body = PoolStatistics),
    (status = 304, description = "Nothing has changed since the ETag that was sent"),
    (status = 400, description = "Asked wrongly", body = Fault),
    (status = 404, description = "This pool does not mine Nimiq", body = Fault),
    (status = 429, description = "Asked too often", body = Fault),
))]
pub(super) async fn statistics(
    api: State<Arc<Api>>,
    headers: HeaderMap,
    asked: Parameters,
) -> Result<Response, Fault> {
    answer(&api, &headers, &asked, "poolstats.json", |facts, chain| {
        let mut servers = facts.components.iter().filter(|component| component.role == SERVER);
        let serves = servers.any(|server| server.condition == Condition::Ready);
        let servers = Servers {
            figures: server_figures(chain),
            last_update: facts.gathered_at.0,
            status: if serves { "ok" } else { "down" },
        };
        PoolStatistics {
            nodes: BTreeMap::from([(REGION, vec![servers])]),
            last_mined_block: chain.blocks.first().map(|block| block.found_at.0),
            total_hashrate: chain.speed.value,
            devices_online: chain.miners.devices.value,
            found_blocks: chain.blocks_found.value,
        }
    })
}

/// The Nimiq servers' figures, for programs that watch pools.
#[utoipa::path(get, path = "/api/v1/stats/pool", tag = "lists", responses(
    (status = 200, description = "All servers as one", body = ServerFigures),
    (status = 304, description = "Nothing has changed since the ETag that was sent"),
    (status = 400, description = "Asked wrongly", body = Fault),
    (status = 404, description = "This pool does not mine Nimiq", body = Fault),
    (status = 429, description = "Asked too often", body = Fault),
))]
pub(super) async fn servers(
    api: State<Arc<Api>>,
    headers: HeaderMap,
    asked: Parameters,
) -> Result<Response, Fault> {
    answer(&api, &headers, &asked, "stats/pool", |_, chain| server_figures(chain))
}

/// The Nimiq pool for miners who look for one.
#[utoipa::path(get, path = "/minerinfo.json", tag = "lists", responses(
    (status = 200, description = "What a miner wants to know", body = MinerInformation),
    (status = 304, description = "Nothing has changed since the ETag that was sent"),
    (status = 400, description = "Asked wrongly", body = Fault),
    (status = 404, description = "This pool does not mine Nimiq", body = Fault),
    (status = 429, description = "Asked too often", body = Fault),
))]
pub(super) async fn miner_information(
    api: State<Arc<Api>>,
    headers: HeaderMap,
    asked: Parameters,
) -> Result<Response, Fault> {
    answer(&api, &headers, &asked, "minerinfo.json", |facts, chain| describe(&facts.identity, chain))
}

fn describe(identity: &Identity, chain: &NimiqFacts) -> MinerInformation {
    let authority = first_server(chain);
    let authority = authority.as_ref().and_then(Uri::authority);
    MinerInformation {
        name: identity.name.clone(),
        host: authority.map(|authority| authority.host().to_owned()),
        port: authority.and_then(Authority::port_u16),
        description: chain.payout_rule.clone(),
        website: identity.url.clone(),
        community: identity.contact.clone(),
        fees: chain.fee.percent(),
        payouts: format!("automatic above {} NIM", chain.automatic_above.coins()),
        supports_nano: true,
    }
}

fn server_figures(chain: &NimiqFacts) -> ServerFigures {
    let miners = &chain.miners;
    let [smart, nano, dumb] = [miners.smart, miners.nano, miners.dumb].map(|figure| figure.value);
    let total = smart.zip(nano).zip(dumb).map(|((smart, nano), dumb)| smart + nano + dumb);
    ServerFigures {
        clients: Clients { unregistered: None, smart, nano, total },
        hashrate: chain.speed.value,
        banned_ips: None,
        blocks_mined_since_restart: None,
        wallet_address: chain.address.clone(),
        host: first_server(chain).and_then(|server| server.authority().map(ToString::to_string)),
    }
}

fn first_server(chain: &NimiqFacts) -> Option<Uri> {
    chain.servers.first().and_then(|server| server.parse().ok())
}

/// The answer of that name, if the pool mines Nimiq.
fn answer<T: Serialize>(
    api: &Api,
    headers: &HeaderMap,
    asked: &Parameters,
    name: &'static str,
    make: impl FnOnce(&PoolFacts, &NimiqFacts) -> T,
) -> Result<Response, Fault> {
    asked.only(&[])?;
    let whole = api.prepared.get(name, &api.facts.now(), |facts| match &facts.nimiq {
        Some(chain) => Whole::json(&make(facts, chain)),
        None => Err(Fault::not_found("this pool does not mine Nimiq")),
    })?;
    Ok(whole.answer(headers))
}
