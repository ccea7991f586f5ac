//! The pages, made on the server: readable without scripts, and kept up to date by `site/static/live.js` where they run.
//!
//! One file per page: what it shows, and beside it the template that says where. Components that several pages show
//! ([`figure`], [`chart`], [`state`], [`command`], [`luck`], …) have a file of their own, too. All words come from
//! [`Texts`]; templates escape everything that is not a component.

mod address_form;
mod age;
mod block_table;
mod blocks;
mod chain_hash;
mod chart;
mod command;
mod connect;
mod figure;
mod frame;
mod home;
mod incident_table;
mod luck;
mod miner;
mod next_block;
mod next_nimiq_block;
mod numbers;
mod page_cache;
mod payment_table;
mod payouts;
mod proof_table;
mod refused_work;
mod share_bar;
mod state;
mod statement_table;
mod statistics;
mod status;
mod summary;
mod transparency;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;

use super::Facts;
use super::facts::{Chain, Moment, PoolFacts, Range, Series, SeriesName, SeriesQuery};
use super::static_files::{FileSet, SiteFiles, secure};
use super::texts::Texts;
use frame::Frame;
use page_cache::PageCache;

/// Pages that are the same for everybody, kept at once. There are fewer, unless somebody makes questions up.
const POOL_PAGES: usize = 64;
/// A longer question is somebody's own, such as an address.
const LONGEST_POOL_PAGE: usize = 64;
/// Pages of addresses, kept at once.
const ADDRESS_PAGES: usize = 512;
/// The longest address of a coin, with everything that its page can be asked.
const LONGEST_ADDRESS_PAGE: usize = 256;

/// What the pages are made of.
pub struct Pages {
    files: Arc<SiteFiles>,
    facts: Facts,
    clock: fn() -> Moment,
}

/// The routes of the website, from `/` on.
pub fn router(files: Arc<SiteFiles>, facts: Facts) -> Router {
    router_with_clock(files, facts, Moment::now)
}

fn router_with_clock(files: Arc<SiteFiles>, facts: Facts, clock: fn() -> Moment) -> Router {
    let of_the_pool = PageCache::new(facts.clone(), POOL_PAGES, LONGEST_POOL_PAGE);
    let of_addresses = PageCache::new(facts.clone(), ADDRESS_PAGES, LONGEST_ADDRESS_PAGE);
    let pages = Arc::new(Pages { files, facts, clock });
    let pool = Router::new()
        .route("/", get(home::page))
        .route("/blocks", get(blocks::page))
        .route("/payouts", get(payouts::page))
        .route("/statistics", get(statistics::page))
        .route("/transparency", get(transparency::page))
        .route("/status", get(status::page))
        .layer(from_fn_with_state(of_the_pool, page_cache::serve));
    let addresses = Router::new()
        .route("/m/{address}", get(miner::page))
        .route("/connect", get(connect::page))
        .layer(from_fn_with_state(of_addresses, page_cache::serve));
    Router::new()
        .merge(pool)
        .merge(addresses)
        .route("/find", get(address_form::find))
        .route("/static/{*name}", get(static_file))
        .fallback(other_page)
        .layer(map_response(async |response: Response| secure(response)))
        .with_state(pages)
}

/// One visit of a page: everything that stays the same while it is made.
struct Visit {
    files: Arc<FileSet>,
    texts: Arc<Texts>,
    facts: Arc<PoolFacts>,
    now: Moment,
}

impl Pages {
    fn visit(&self) -> Visit {
        let files = self.files.current();
        Visit { texts: Arc::clone(files.texts()), files, facts: self.facts.now(), now: (self.clock)() }
    }

    /// The series that a page draws. One that nobody can tell is left out; its place says so.
    async fn series(
        &self,
        chain: Chain,
        names: &[SeriesName],
        range: Range,
        address: Option<&str>,
    ) -> Vec<Series> {
        let mut all = Vec::new();
        for name in names {
            let query = SeriesQuery { chain, name: *name, range, address: address.map(str::to_owned) };
            all.extend(self.facts.series(&query).await);
        }
        all
    }
}

impl Visit {
    fn frame(&self, current: &'static str, title: impl Into<String>) -> Frame<'_> {
        Frame {
            t: &self.texts,
            files: &self.files,
            facts: &self.facts,
            current,
            title: title.into(),
            now: self.now,
        }
    }
}

/// What a page can be asked for; anything else in the question is left alone.
#[derive(Debug, Default, Deserialize)]
struct Question {
    /// The visitor's address, as typed.
    #[serde(default)]
    address: String,
    /// Which chain, where only one is shown.
    #[serde(default)]
    chain: String,
    /// What is to be mined: `announcements`, `blocks` or `nimiq`.
    #[serde(default)]
    work: String,
    /// On which system.
    #[serde(default)]
    system: String,
    /// With which program.
    #[serde(default)]
    miner: String,
    /// How far charts reach back.
    #[serde(default)]
    range: String,
    /// Which page of a table, from 1 on.
    #[serde(default)]
    page: String,
    /// Before which payment a list of payments begins.
    #[serde(default)]
    before: String,
}

impl Question {
    /// The range asked for, or a day.
    fn range(&self) -> Range {
        self.range.parse().unwrap_or(Range::Day)
    }
}

/// The answer that is a page.
fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (
            status,
            [
                (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            ],
            text,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[derive(Deserialize)]
struct Version {
    v: Option<String>,
}

async fn static_file(
    State(pages): State<Arc<Pages>>,
    Path(name): Path<String>,
    Query(version): Query<Version>,
    headers: HeaderMap,
) -> Response {
    let files = pages.files.current();
    match files.get(&format!("static/{name}")) {
        Some(file) => file.answer(&headers, version.v.as_deref()),
        None => not_found(&pages),
    }
}

/// A finished page of the site's folder, such as `pages/about.html` for `/about`; else there is none.
async fn other_page(State(pages): State<Arc<Pages>>, uri: Uri, headers: HeaderMap) -> Response {
    let name = uri.path().trim_matches('/');
    let name = name.strip_suffix(".html").unwrap_or(name);
    match pages.files.current().get(&format!("pages/{name}.html")) {
        Some(file) => file.answer(&headers, None),
        None => not_found(&pages),
    }
}

#[derive(Template)]
#[template(path = "not_found.html")]
struct NotFound<'a> {
    frame: Frame<'a>,
}

fn not_found(pages: &Pages) -> Response {
    let visit = pages.visit();
    html(StatusCode::NOT_FOUND, &NotFound { frame: visit.frame("", visit.texts.get("not_found.title")) })
}

#[cfg(test)]
mod tests;
