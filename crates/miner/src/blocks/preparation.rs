//! Choosing announcements for a block, and building the tree over them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use packetcrypt::{
    BlockHash, Height,
    block::{
        mine::MiningSet,
        selection::{Score, choose, score},
    },
};
use tracing::warn;

use super::store::{Chosen, Store};
use crate::pool_client::KnownChain;

/// Announcements ready to be mined with in blocks of one height. Clones share them.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Height of the block; announcements are worth another amount at another one.
    pub height: Height,
    /// The tree and the order.
    pub set: MiningSet,
    /// The bytes.
    pub announcements: Arc<Chosen>,
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

    /// The same announcements in blocks of another height: the tree stays as it is, what the worst of them is worth
    /// does not. `None` if some of them cannot be used there.
    pub fn at(&self, height: Height) -> Option<Self> {
        let classes = &self.announcements.classes;
        let aged: Option<Vec<_>> = classes.iter().map(|class| class.aged(height)).collect();
        let least_work = aged?.into_iter().max()?;
        let chosen = classes.iter().map(|class| class.count).sum();
        Some(Self {
            height,
            set: self.set.with_least_work(least_work),
            announcements: Arc::clone(&self.announcements),
            score: score(least_work, chosen),
        })
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
        let chosen = store.chosen(selection.classes(&classes));
        (selection, chosen)
    };
    let mut announcements = chosen
        .inspect_err(|fault| warn!("no memory for the announcements that are to be mined with: {fault}"))
        .ok()?;
    let entries = std::mem::take(&mut announcements.entries);
    let set = MiningSet::build(entries, selection.least_work)?;
    Some(Prepared { height, set, announcements: Arc::new(announcements), score: selection.score() })
}

#[cfg(test)]
mod tests {
    use packetcrypt::{Announcement, CompactTarget};

    use super::*;
    use crate::blocks::{store::ClassKey, test_chain::followed};

    /// A store with 11 announcements on the block at height 17 and 5 on that at 18, of which none is valid.
    async fn store() -> Mutex<Store> {
        let (_pool, followed, _guard) = followed(20).await;
        let mut store = Store::new(16 << 20);
        store.set_chain(Height(21), &followed.view().unwrap().chain);
        for (parent, count) in [(17, 11), (18, 5u8)] {
            for number in 0..count {
                let bytes = [number; 1024];
                let mut hash = Announcement::from_bytes(&bytes).announcement_hash();
                hash.0[7] = parent as u8;
                store.insert(ClassKey::new(Height(parent), CompactTarget(0x1f00_ffff)), hash, &bytes);
            }
        }
        Mutex::new(store)
    }

    #[tokio::test]
    async fn at_another_height_the_same_tree_is_worth_something_else() {
        let store = store().await;
        let prepared = prepare(&store, Height(21), 100).unwrap();
        let older = prepared.at(Height(22)).unwrap();
        assert_eq!(older.set.commitment().root, prepared.set.commitment().root);
        assert!(Arc::ptr_eq(&older.announcements, &prepared.announcements));
        // As it would be if it were chosen for that height.
        let chosen_there = prepare(&store, Height(22), 100).unwrap();
        assert_eq!(older.set.commitment(), chosen_there.set.commitment());
        assert_eq!(older.score, chosen_there.score);
        assert!(older.score < prepared.score);
    }

    #[tokio::test]
    async fn a_tree_does_not_serve_where_some_of_it_is_too_young_or_too_old() {
        let prepared = prepare(&store().await, Height(21), 100).unwrap();
        assert!(prepared.at(Height(20)).is_none(), "parent 18 is not mature");
        assert!(prepared.at(Height(1000)).is_none());
    }
}
