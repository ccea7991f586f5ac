//! The hash of a block or a transaction: shortened, and a link to the operator's block explorer if there is one.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::{Chain, Explorers};
use super::numbers::shortened;

/// A hash.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"{% if let Some(address) = address %}<a href="{{ address }}" rel="noopener"><code title="{{ hash }}">{{ short }}</code></a>{% else %}<code title="{{ hash }}">{{ short }}</code>{% endif %}"#
)]
pub struct ChainHash {
    hash: String,
    short: String,
    address: Option<String>,
}

impl HtmlSafe for ChainHash {}

impl ChainHash {
    /// The hash of something on a chain.
    pub fn new(explorers: &Explorers, chain: Chain, hash: &str) -> Self {
        Self { hash: hash.to_owned(), short: shortened(hash), address: explorers.address(chain, hash) }
    }
}
