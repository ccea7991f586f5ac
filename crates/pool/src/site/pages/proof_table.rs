//! Proofs to keep: for each of the newest blocks of the pool, the list of those whom it paid, as a document.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::{Chain, PoolBlock};
use super::super::texts::Texts;
use super::Visit;
use super::age::Age;
use super::block_table::proof;
use super::numbers::{UNKNOWN, grouped};
use super::state::State;

/// Blocks of the table; the Blocks page has them all.
const BLOCKS: usize = 8;

/// The table.
#[derive(Template)]
#[template(path = "proof_table.html")]
pub struct ProofTable<'a> {
    t: &'a Texts,
    rows: Vec<Row>,
}

impl HtmlSafe for ProofTable<'_> {}

struct Row {
    height: String,
    found: Age,
    list: String,
    json: String,
    state: State,
}

impl<'a> ProofTable<'a> {
    /// The newest blocks of which it is known whom they paid.
    pub fn new(visit: &'a Visit, chain: Chain, blocks: &[PoolBlock]) -> Self {
        let t = &*visit.texts;
        let row = |block: &PoolBlock| {
            let (json, list) = proof(t, chain, block)?;
            Some(Row {
                height: block.height.map_or_else(|| UNKNOWN.to_owned(), |height| grouped(u64::from(height))),
                found: Age::new(t, block.found_at, visit.now),
                list,
                json,
                state: State::of_block(t, block.standing),
            })
        };
        Self { t, rows: blocks.iter().filter_map(row).take(BLOCKS).collect() }
    }
}
