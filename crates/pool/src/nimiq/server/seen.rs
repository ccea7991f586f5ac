//! Shares that have counted: a header counts once (`docs/protocol/nimiq-pool.md` 1.6 step 6).
//!
//! Only shares with a good proof of work are entered, so nobody fills this table without working for it. It holds those
//! on the present head and on the one before; of older blocks only a share that *is* a block can still come, one for
//! each. Over several servers the extra data keeps sessions apart, and the accounts hold every hash once whatever
//! happens here.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use nimiq::BlockHash;

/// Shares on blocks older than the two newest heads that are remembered.
const LATE: usize = 64;

/// The hashes of all shares that could come again; shared by all connections.
#[derive(Debug, Default)]
pub struct Seen {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    /// Shares on the newest head and on the one before, the newest first.
    heads: [(Option<BlockHash>, HashSet<BlockHash>); 2],
    late: VecDeque<BlockHash>,
}

impl Seen {
    /// From now on `head` is the newest. A chain that turns back to the head before finds its shares where they were.
    pub fn turn_to(&self, head: BlockHash) {
        let mut tables = self.lock();
        if tables.heads[0].0 == Some(head) {
            return;
        }
        tables.heads.swap(0, 1);
        if tables.heads[0].0 != Some(head) {
            tables.heads[0] = (Some(head), HashSet::new());
        }
    }

    /// Whether the share was entered: a cheap look before its proof of work is computed.
    pub fn contains(&self, previous: BlockHash, hash: &BlockHash) -> bool {
        let tables = self.lock();
        match tables.table(previous) {
            Some(place) => tables.heads[place].1.contains(hash),
            None => tables.late.contains(hash),
        }
    }

    /// Enters a share with a good proof of work; `false` if it was there already.
    pub fn enter(&self, previous: BlockHash, hash: BlockHash) -> bool {
        let mut tables = self.lock();
        if let Some(place) = tables.table(previous) {
            return tables.heads[place].1.insert(hash);
        }
        if tables.late.contains(&hash) {
            return false;
        }
        if tables.late.len() == LATE {
            tables.late.pop_front();
        }
        tables.late.push_back(hash);
        true
    }

    /// Takes a share back that could not be stored, so that it may come again.
    pub fn forget(&self, previous: BlockHash, hash: &BlockHash) {
        let mut tables = self.lock();
        match tables.table(previous) {
            Some(place) => drop(tables.heads[place].1.remove(hash)),
            None => tables.late.retain(|late| late != hash),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn table(&self, previous: BlockHash) -> Option<usize> {
        self.heads.iter().position(|(head, _)| *head == Some(previous))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u8) -> BlockHash {
        BlockHash([number; 32])
    }

    #[test]
    fn a_share_counts_once_on_its_head_and_on_the_next() {
        let seen = Seen::default();
        seen.turn_to(hash(1));
        assert!(!seen.contains(hash(1), &hash(100)));
        assert!(seen.enter(hash(1), hash(100)));
        assert!(seen.contains(hash(1), &hash(100)));
        assert!(!seen.enter(hash(1), hash(100)));
        seen.turn_to(hash(2));
        seen.turn_to(hash(2));
        assert!(!seen.enter(hash(1), hash(100)), "still known a head later");
        assert!(seen.enter(hash(2), hash(101)));
    }

    #[test]
    fn a_share_that_could_not_be_stored_may_come_again() {
        let seen = Seen::default();
        seen.turn_to(hash(1));
        for previous in [hash(1), hash(9)] {
            assert!(seen.enter(previous, hash(100)));
            seen.forget(previous, &hash(100));
            assert!(seen.enter(previous, hash(100)));
        }
    }

    #[test]
    fn a_chain_that_turns_back_to_the_head_before_finds_its_shares_again() {
        let seen = Seen::default();
        for head in [1, 2] {
            seen.turn_to(hash(head));
            assert!(seen.enter(hash(head), hash(100 + head)));
        }
        seen.turn_to(hash(1));
        assert!(!seen.enter(hash(1), hash(101)), "known from before the turn");
        assert!(!seen.enter(hash(2), hash(102)), "known from the fork");
    }

    #[test]
    fn a_late_block_counts_once_too_and_the_table_does_not_grow() {
        let seen = Seen::default();
        for head in 1..10 {
            seen.turn_to(hash(head));
        }
        assert!(seen.enter(hash(3), hash(4)));
        assert!(!seen.enter(hash(3), hash(4)));
        for late in 0..=255 {
            seen.enter(hash(3), hash(late));
        }
        assert_eq!(seen.lock().late.len(), LATE);
        assert_eq!(seen.lock().heads.iter().map(|(_, shares)| shares.len()).sum::<usize>(), 0);
    }
}
