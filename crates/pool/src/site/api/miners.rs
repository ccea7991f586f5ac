//! One address.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;

use super::Api;
use super::answer::{CSV, Fault, Whole};
use super::parameters::{self, MOST, Parameters};
use super::tables::{Format, Page};
use crate::site::address::{self, MinerAddress};
use crate::site::facts::{Chain, MinerFacts, Payment, sample};

/// Everything about an address. One that the pool has never seen is `unknown`; one that is misspelt is told so.
#[utoipa::path(get, path = "/api/v1/{chain}/miners/{address}", tag = "miners",
    params(
        ("chain" = Chain, Path, description = "Which chain"),
        ("address" = String, Path, description = "An address of that chain", example = json!(sample::PKT_MINER)),
    ),
    responses(
        (status = 200, description = "Everything about the address", body = MinerFacts),
        (status = 304, description = "Nothing has changed since the ETag that was sent"),
        (status = 400, description = "This is no address of a chain of this pool; what is wrong, and what was probably meant", body = Fault),
        (status = 404, description = "This pool does not mine that chain", body = Fault),
        (status = 429, description = "Asked too often", body = Fault),
        (status = 503, description = "Whoever knows does not answer", body = Fault),
    )
)]
pub(super) async fn miner(
    State(api): State<Arc<Api>>,
    Path((chain, address)): Path<(String, String)>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&[])?;
    let address = read(&api, parameters::chain(&chain)?, &address)?;
    Ok(Whole::json(&api.facts.miner(&address).await?)?.answer(&headers))
}

/// Payments to an address.
///
/// Those of PacketCrypt are found block by block: a page may have fewer rows than asked for, and still a next page.
#[utoipa::path(get, path = "/api/v1/{chain}/miners/{address}/payments", tag = "miners",
    params(
        ("chain" = Chain, Path, description = "Which chain"),
        ("address" = String, Path, description = "An address of that chain", example = json!(sample::NIM_MINER)),
        ("before" = Option<u64>, Query, minimum = 0, maximum = 9_007_199_254_740_991_i64, description = "Only payments before this one; `next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many rows; 50 by default"),
        ("format" = Option<Format>, Query, description = "json by default"),
    ),
    responses(
        (status = 200, description = "A page of the table", content(
            (Page<Payment> = "application/json"), (String = "text/csv; charset=utf-8"))),
        (status = 304, description = "Nothing has changed since the ETag that was sent"),
        (status = 400, description = "Asked wrongly", body = Fault),
        (status = 404, description = "This pool does not mine that chain", body = Fault),
        (status = 429, description = "Asked too often", body = Fault),
        (status = 503, description = "Whoever knows does not answer", body = Fault),
    )
)]
pub(super) async fn miner_payments(
    State(api): State<Arc<Api>>,
    Path((chain, address)): Path<(String, String)>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&["before", "limit", "format"])?;
    let address = read(&api, parameters::chain(&chain)?, &address)?;
    let (before, limit) = (parameters.number("before", 0, MOST)?, parameters.limit()?);
    let page = api.facts.payments_to(&address, before, limit).await?;
    let whole = if parameters.wants_csv()? {
        Whole::new(super::csv::payments(&page.payments).into(), CSV)
    } else {
        Whole::json(&Page::ending(page.payments, page.next))?
    };
    Ok(whole.answer(&headers))
}

/// An address of a chain that this pool mines.
pub(super) fn read(api: &Api, chain: Chain, text: &str) -> Result<MinerAddress, Fault> {
    let chains = api.facts.now().chains();
    if !chains.contains(&chain) {
        return Err(Fault::not_found(format!("this pool has no {} pool", chain.name())));
    }
    let address = address::read(text, &chains)?;
    if address.chain() != chain {
        let message = format!("this is an address of {}", address.chain().name());
        let right = format!("/api/v1/{}/miners/{}", address.chain().name(), address.compact());
        return Err(Fault::bad(message).suggesting(right));
    }
    Ok(address)
}
