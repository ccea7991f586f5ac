//! Choosing announcements for a block, and building the tree over them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use packetcrypt::{
    BlockHash, Height,
    block::{
        mine::MiningSet,
        selection::{Score, choose},
    },
};
use tracing::warn;

use super::store::{Chosen, Store};
use crate::pool_client::KnownChain;

/// Announcements ready to be mined with in blocks of one height.
#[derive(Debug)]
pub struct Prepared {
    /// Height of the block; announcements are worth another amount at another one.
    pub height: Height,
    /// The tree and the order.
    pub set: MiningSet,
    /// The bytes.
    pub announcements: Chosen,
    /// Work · count² by which choices compare.
    pub score: Score,
}

impl Prepared {
    /// Whether all parents are still blocks of the chain.
    pub fn is_on(&self, chain: &KnownChain) -> bool {
        self.parents().iter().all(|(height, hash)| chain.at(*height).is_none_or(|block| block.hash == *hash))
    }

    /// The parent block at each height of the announcements.
    pub fn parents(&self) -> &HashMap<Height, BlockHash> {
        &self.announcements.parents
    }
}

/// The score that the best choice of at most `most` announcements would have now.
pub fn potential(store: &Mutex<Store>, height: Height, most: u64) -> Score {
    let classes = store.lock().unwrap_or_else(PoisonError::into_inner).classes();
    choose(&classes, height, most).map_or(Score::ZERO, |selection| selection.score())
}

/// Makes the best choice of at most `most` announcements, and builds the tree. `None` if there is nothing to choose.
pub fn prepare(store: &Mutex<Store>, height: Height, most: u64) -> Option<Prepared> {
    let (selection, chosen) = {
        let store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let classes = store.classes();
        let selection = choose(&classes, height, most)?;
        let chosen = store.chosen(&classes, &selection);
        (selection, chosen)
    };
    let mut announcements = chosen
        .inspect_err(|fault| warn!("no memory for the announcements that are to be mined with: {fault}"))
        .ok()?;
    let entries = std::mem::take(&mut announcements.entries);
    let set = MiningSet::build(entries, selection.least_work)?;
    Some(Prepared { height, set, announcements, score: selection.score() })
}
