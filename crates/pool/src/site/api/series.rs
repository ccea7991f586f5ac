//! The past of one figure.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;

use super::Api;
use super::answer::{Fault, Whole};
use super::parameters::{self, Parameters};
use crate::site::facts::{Chain, Range, Series, SeriesName, SeriesQuery};

/// The past of one figure, of the whole pool or of one address.
#[utoipa::path(get, path = "/api/v1/{chain}/series/{name}", tag = "series",
    params(
        ("chain" = Chain, Path, description = "Which chain"),
        ("name" = SeriesName, Path, description = "Which figure"),
        ("range" = Option<Range>, Query, description = "How far back; 24h by default"),
        ("address" = Option<String>, Query, description = "Whose; the whole pool's without it"),
    ),
    responses(
        (status = 200, description = "The series", body = Series),
        (status = 304, description = "Nothing has changed since the ETag that was sent"),
        (status = 400, description = "Asked wrongly", body = Fault),
        (status = 404, description = "There is no such series", body = Fault),
        (status = 429, description = "Asked too often", body = Fault),
        (status = 503, description = "Whoever knows does not answer", body = Fault),
    )
)]
pub(super) async fn series(
    State(api): State<Arc<Api>>,
    Path((chain, name)): Path<(String, String)>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    let chain = parameters::chain(&chain)?;
    parameters.only(&["range", "address"])?;
    let known = SeriesName::of_chain(chain);
    let name = SeriesName::from_name(&name).filter(|name| known.contains(name)).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|name| name.name()).collect();
        Fault::not_found(format!("{} has no such series", chain.name())).suggesting(names.join(", "))
    })?;
    let address = parameters.decoded("address")?;
    let address = address.map(|text| super::miners::read(&api, chain, &text)).transpose()?;
    if address.is_some() && !name.has_addresses() {
        return Err(Fault::not_found(format!("{} is of the whole pool, not of an address", name.name())));
    }
    let query = SeriesQuery {
        chain,
        name,
        range: parameters.range()?,
        address: address.map(|address| address.to_string()),
    };
    Ok(Whole::json(&api.facts.series(&query).await?)?.answer(&headers))
}
