//! Blocks of the pool as a table: when, by whom, with what effort, for what reward, and whether they count.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::{BlockStanding, Chain, PoolBlock, Unit};
use super::super::texts::Texts;
use super::Visit;
use super::age::Age;
use super::chain_hash::ChainHash;
use super::numbers::{Shown, UNKNOWN, grouped, money, shortened};
use super::state::State;

/// The table.
#[derive(Template)]
#[template(path = "block_table.html")]
pub struct BlockTable<'a> {
    t: &'a Texts,
    rows: Vec<Row>,
    /// Whether there is room for everything.
    is_whole: bool,
}

impl HtmlSafe for BlockTable<'_> {}

struct Row {
    height: String,
    hash: ChainHash,
    found: Age,
    finder: Option<(String, String)>,
    effort: String,
    reward: String,
    /// Whom it paid: where that stands, and by which list.
    proof: Option<(String, String)>,
    state: State,
    confirmations: Option<String>,
}

impl<'a> BlockTable<'a> {
    /// All that is known of these blocks.
    pub fn whole(visit: &'a Visit, chain: Chain, blocks: &[PoolBlock]) -> Self {
        let rows = blocks.iter().map(|block| row(visit, chain, block)).collect();
        Self { t: &visit.texts, rows, is_whole: true }
    }

    /// The newest few, without finder and hash.
    pub fn short(visit: &'a Visit, chain: Chain, blocks: &[PoolBlock]) -> Self {
        let rows = blocks.iter().take(6).map(|block| row(visit, chain, block)).collect();
        Self { t: &visit.texts, rows, is_whole: false }
    }
}

/// The list of those whom a block paid, as a document.
pub(super) fn proof(t: &Texts, chain: Chain, block: &PoolBlock) -> Option<(String, String)> {
    match (chain, block.standing) {
        (Chain::PacketCrypt, _) => block.payout_table.map(|table| {
            let list = t.fill("blocks.proof", &[("number", &table)]);
            (format!("/api/v1/packetcrypt/payees?table={table}&limit=500"), list)
        }),
        (Chain::Nimiq, BlockStanding::Immature | BlockStanding::Mature) => {
            let list = t.get("blocks.credits").to_owned();
            Some((format!("/api/v1/nimiq/credits?block={}&limit=500", block.hash), list))
        }
        (Chain::Nimiq, _) => None,
    }
}

fn row(visit: &Visit, chain: Chain, block: &PoolBlock) -> Row {
    let t = &visit.texts;
    let unknown = || UNKNOWN.to_owned();
    let confirmations = block.confirmations.map(|confirmations| match block.confirmations_needed {
        Some(needed) => {
            let reached = confirmations.min(needed);
            t.fill("blocks.confirmations_of", &[("n", &reached), ("needed", &needed)])
        }
        None => t.fill("blocks.confirmations", &[("n", &grouped(u64::from(confirmations)))]),
    });
    Row {
        height: block.height.map_or_else(unknown, |height| grouped(u64::from(height))),
        hash: ChainHash::new(&visit.facts.identity.explorers, chain, &block.hash),
        found: Age::new(t, block.found_at, visit.now),
        finder: block.finder.as_ref().map(|finder| (finder.replace(' ', ""), shortened(finder))),
        effort: block.effort_percent.map_or_else(unknown, |effort| effort.shown(Unit::Percent).to_string()),
        reward: block.reward.map_or_else(unknown, |reward| money(reward).to_string()),
        proof: proof(t, chain, block),
        state: State::of_block(t, block.standing),
        confirmations,
    }
}
