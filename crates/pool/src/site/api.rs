//! The API: REST under `/api/v1` for everything that the pages show.
//!
//! All but the orders of miners who want to be told about their work is only read. What is of this moment is answered from the newest picture of the pool, made once and handed out to all; tables go
//! back page by page; addresses and series are looked up. Every answer has an ETag and may be read from any page on any
//! host (CORS). What is asked wrongly is told what would be right ([`answer::Fault`]).

mod answer;
mod csv;
mod document;
mod events;
mod figures;
mod gate;
mod miners;
mod nimiq_lists;
mod notifications;
mod parameters;
mod pool;
mod record;
mod self_description;
mod series;
mod tables;
mod who_to_pay;

use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::subscriptions::Subscriptions;
use super::{Facts, SiteLimits};
use crate::admission::Admission;
use crate::metrics::Metrics;
use answer::Prepared;
use events::Listeners;

/// What every answer is made from.
pub(super) struct Api {
    facts: Facts,
    prepared: Prepared,
    listeners: Listeners,
    /// Who is told about which address; none in a pool that tells nobody.
    subscriptions: Option<Arc<Subscriptions>>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pool API",
        description = "What a Headframe pool shows of itself. Times are milliseconds since 1970 (UTC); amounts of money \
                       are whole numbers of the smallest unit; null means: not known, which is not 0.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "pool", description = "The pool at this moment."),
        (name = "tables", description = "What happened, newest first, page by page."),
        (name = "miners", description = "One address."),
        (name = "record", description = "What the pool states of itself, signed."),
        (name = "series", description = "The past of one figure, for charts."),
        (name = "lists", description = "The Nimiq pool in the forms that lists of pools know from others."),
    ),
    components(schemas(tables::Format)),
)]
struct Header;

fn described() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(Header::openapi())
        .routes(routes!(pool::pool))
        .routes(routes!(pool::packetcrypt))
        .routes(routes!(pool::nimiq))
        .routes(routes!(pool::components))
        .routes(routes!(pool::payout_table))
        .routes(routes!(who_to_pay::who_to_pay))
        .routes(routes!(figures::figures))
        .routes(routes!(events::events))
        .routes(routes!(tables::blocks))
        .routes(routes!(tables::payments))
        .routes(routes!(tables::payout_tables))
        .routes(routes!(tables::payees))
        .routes(routes!(tables::credits))
        .routes(routes!(record::statements))
        .routes(routes!(record::statement_log))
        .routes(routes!(record::incidents))
        .routes(routes!(miners::miner))
        .routes(routes!(miners::miner_payments))
        .routes(routes!(notifications::notifications, notifications::order))
        .routes(routes!(series::series))
        .routes(routes!(self_description::pool_list))
        .routes(routes!(nimiq_lists::team))
        .routes(routes!(nimiq_lists::statistics))
        .routes(routes!(nimiq_lists::servers))
        .routes(routes!(nimiq_lists::miner_information))
}

/// The document that describes it all, as it is kept in `docs/api/openapi.json`.
pub fn document() -> Document {
    let (_, document) = described().split_for_parts();
    document::complete(document)
}

/// The routes, with their limits.
pub(super) fn router(
    facts: Facts,
    subscriptions: Option<Arc<Subscriptions>>,
    limits: SiteLimits,
    admission: Arc<Admission>,
    metrics: &Metrics,
    shutdown: CancellationToken,
) -> Router {
    let (routes, _) = described().split_for_parts();
    let document = document().to_pretty_json().unwrap_or_default();
    let listeners = Listeners::new(limits, metrics, shutdown);
    let api = Arc::new(Api { facts, prepared: Prepared::default(), listeners, subscriptions });
    let routes = routes.with_state(api).merge(answer::document_route(document));
    gate::guard(routes, limits, admission, metrics)
}

#[cfg(test)]
mod tests;
