//! What happened, newest first, page by page: blocks, payments, payout tables, payees.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::answer::{CSV, Fault, Whole};
use super::parameters::{self, MOST, Parameters};
use crate::site::facts::{Chain, Payee, Payment, PayoutTableFacts, PoolBlock, sample};

/// A page of a table.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// Its rows, newest first.
    items: Vec<T>,
    /// Where the next page begins: the `before` (or `offset`) to ask with; null at the end.
    next: Option<u64>,
}

impl<T> Page<T> {
    /// A page that says itself where the next one begins.
    pub(super) fn ending(items: Vec<T>, next: Option<u64>) -> Self {
        Self { items, next }
    }

    /// `key` of the last row is where the next page begins; a short page is the last one.
    pub(super) fn new(items: Vec<T>, limit: u32, key: impl Fn(&T) -> u64) -> Self {
        let next = if items.len() < limit as usize { None } else { items.last().map(key) };
        Self { items, next }
    }
}

/// Blocks of the pool on one chain.
#[utoipa::path(get, path = "/api/v1/{chain}/blocks", tag = "tables",
    params(
        ("chain" = Chain, Path, description = "Which chain"),
        ("before" = Option<u64>, Query, minimum = 0, maximum = 9_007_199_254_740_991_i64, description = "Only blocks found before this time; `next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many rows; 50 by default"),
        ("format" = Option<Format>, Query, description = "json by default"),
    ),
    responses(
        (status = 200, description = "A page of the table", content(
            (Page<PoolBlock> = "application/json"), (String = "text/csv; charset=utf-8"))),
        (status = 304, description = "Nothing has changed since the ETag that was sent"),
        (status = 400, description = "Asked wrongly", body = Fault),
        (status = 404, description = "This pool does not mine that chain", body = Fault),
        (status = 429, description = "Asked too often", body = Fault),
        (status = 503, description = "Whoever knows does not answer", body = Fault),
    )
)]
pub(super) async fn blocks(
    State(api): State<Arc<Api>>,
    Path(chain): Path<String>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    let chain = parameters::chain(&chain)?;
    parameters.only(&["before", "limit", "format"])?;
    let (before, limit) = (parameters.number("before", 0, MOST)?, parameters.limit()?);
    let blocks = api.facts.blocks(chain, before, limit).await?;
    let whole = if parameters.wants_csv()? {
        Whole::new(super::csv::blocks(&blocks).into(), CSV)
    } else {
        Whole::json(&Page::new(blocks, limit, |block| block.found_at.0))?
    };
    Ok(whole.answer(&headers))
}

/// Payments of the Nimiq pool.
#[utoipa::path(get, path = "/api/v1/nimiq/payments", tag = "tables",
    params(
        ("before" = Option<u64>, Query, minimum = 0, maximum = 9_007_199_254_740_991_i64, description = "Only payments before this one; `next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many rows; 50 by default"),
        ("format" = Option<Format>, Query, description = "json by default"),
    ),
    responses(
        (status = 200, description = "A page of the table", content(
            (Page<Payment> = "application/json"), (String = "text/csv; charset=utf-8"))),
        (status = 304, description = "Nothing has changed since the ETag that was sent"),
        (status = 400, description = "Asked wrongly", body = Fault),
        (status = 404, description = "This pool does not mine Nimiq", body = Fault),
        (status = 429, description = "Asked too often", body = Fault),
        (status = 503, description = "Whoever knows does not answer", body = Fault),
    )
)]
pub(super) async fn payments(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&["before", "limit", "format"])?;
    let (before, limit) = (parameters.number("before", 0, MOST)?, parameters.limit()?);
    let payments = api.facts.payments(before, limit).await?;
    let whole = if parameters.wants_csv()? {
        let payments: Vec<Payment> = payments.into_iter().map(|(_, payment)| payment).collect();
        Whole::new(super::csv::payments(&payments).into(), CSV)
    } else {
        let page = Page::new(payments, limit, |(number, _)| *number);
        let items: Vec<Payment> = page.items.into_iter().map(|(_, payment)| payment).collect();
        Whole::json(&Page::ending(items, page.next))?
    };
    Ok(whole.answer(&headers))
}

/// Payout tables that the PacketCrypt node was sent, without their payees.
#[utoipa::path(get, path = "/api/v1/packetcrypt/payout-tables", tag = "tables",
    params(
        ("before" = Option<u64>, Query, minimum = 0, maximum = 9_007_199_254_740_991_i64, description = "Only tables with a smaller number; `next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many rows; 50 by default"),
        ("format" = Option<Format>, Query, description = "json by default"),
    ),
    responses(
        (status = 200, description = "A page of the table", content(
            (Page<PayoutTableFacts> = "application/json"), (String = "text/csv; charset=utf-8"))),
        (status = 304, description = "Nothing has changed since the ETag that was sent"),
        (status = 400, description = "Asked wrongly", body = Fault),
        (status = 404, description = "This pool does not mine PacketCrypt", body = Fault),
        (status = 429, description = "Asked too often", body = Fault),
        (status = 503, description = "Whoever knows does not answer", body = Fault),
    )
)]
pub(super) async fn payout_tables(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&["before", "limit", "format"])?;
    let (before, limit) = (parameters.number("before", 0, MOST)?, parameters.limit()?);
    let tables = api.facts.payout_tables(before, limit).await?;
    let whole = if parameters.wants_csv()? {
        Whole::new(super::csv::payout_tables(&tables).into(), CSV)
    } else {
        Whole::json(&Page::new(tables, limit, |table| table.number.unwrap_or_default()))?
    };
    Ok(whole.answer(&headers))
}

/// Who the next PacketCrypt block pays: the fee address first, then by descending part.
///
/// With the number of a payout table that was sent to the node: whom that one paid. It proves what blocks paid.
#[utoipa::path(get, path = "/api/v1/packetcrypt/payees", tag = "tables",
    params(
        ("table" = Option<u64>, Query, minimum = 0, maximum = 9_007_199_254_740_991_i64, description = "The number of a payout table; without it the one of the next block"),
        ("offset" = Option<u64>, Query, minimum = 0, maximum = 10_000_000, description = "How many to skip; `next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many rows; 50 by default"),
        ("format" = Option<Format>, Query, description = "json by default"),
    ),
    responses(
        (status = 200, description = "A page of the table", content(
            (Page<Payee> = "application/json"), (String = "text/csv; charset=utf-8"))),
        (status = 304, description = "Nothing has changed since the ETag that was sent"),
        (status = 400, description = "Asked wrongly", body = Fault),
        (status = 404, description = "This pool does not mine PacketCrypt, or has no such table any more", body = Fault),
        (status = 429, description = "Asked too often", body = Fault),
        (status = 503, description = "Whoever knows does not answer", body = Fault),
    )
)]
pub(super) async fn payees(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&["table", "offset", "limit", "format"])?;
    let table = parameters.number("table", 0, MOST)?;
    let offset = parameters.number("offset", 0, 10_000_000)?.unwrap_or_default();
    let limit = parameters.limit()?;
    let payees = api.facts.payees(table, offset, limit).await?;
    let whole = if parameters.wants_csv()? {
        Whole::new(super::csv::payees(&payees).into(), CSV)
    } else {
        Whole::json(&Page::new(payees, limit, |_| offset + u64::from(limit)))?
    };
    Ok(whole.answer(&headers))
}

/// Whom a settled block of the Nimiq pool credits: the fee first, then by descending part. It proves what the block paid.
#[utoipa::path(get, path = "/api/v1/nimiq/credits", tag = "tables",
    params(
        ("block" = String, Query, description = "The hash of the block, in hexadecimal digits", pattern = "^[0-9a-fA-F]{64}$", example = json!(sample::settled_block())),
        ("offset" = Option<u64>, Query, minimum = 0, maximum = 10_000_000, description = "How many to skip; `next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many rows; 50 by default"),
        ("format" = Option<Format>, Query, description = "json by default"),
    ),
    responses(
        (status = 200, description = "A page of the table", content(
            (Page<Payee> = "application/json"), (String = "text/csv; charset=utf-8"))),
        (status = 304, description = "Nothing has changed since the ETag that was sent"),
        (status = 400, description = "Asked wrongly", body = Fault),
        (status = 404, description = "This pool does not mine Nimiq, or has no such settled block", body = Fault),
        (status = 429, description = "Asked too often", body = Fault),
        (status = 503, description = "Whoever knows does not answer", body = Fault),
    )
)]
pub(super) async fn credits(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&["block", "offset", "limit", "format"])?;
    let mut block = [0; 32];
    let digits = parameters.decoded("block")?.unwrap_or_default();
    hex::decode_to_slice(digits, &mut block)
        .map_err(|_| Fault::bad("block is the hash of a block: 64 hexadecimal digits"))?;
    let offset = parameters.number("offset", 0, 10_000_000)?.unwrap_or_default();
    let limit = parameters.limit()?;
    let credits = api.facts.credits(nimiq::BlockHash(block), offset, limit).await?;
    let whole = if parameters.wants_csv()? {
        Whole::new(super::csv::payees(&credits).into(), CSV)
    } else {
        Whole::json(&Page::new(credits, limit, |_| offset + u64::from(limit)))?
    };
    Ok(whole.answer(&headers))
}

/// The form of a table.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)] // named by the document alone
pub(super) enum Format {
    /// JSON.
    Json,
    /// Comma-separated values.
    Csv,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_says_where_the_next_begins() {
        let page = Page::new(vec![9_u64, 7], 2, |row| *row);
        assert_eq!(page.next, Some(7));
        assert_eq!(Page::new(vec![9_u64], 2, |row| *row).next, None);
    }
}
