//! The pool's Nimiq blocks, and how much work each of them took.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ledger::UnixMillis;
use ledger::nimiq::found_block::FoundState;
use ledger::nimiq::store::ShownBlock;
use ledger::nimiq::{Accounts, AccountsError, Sequence};
use nimiq::BlockHash;

use crate::site::facts::{BlockStanding, Luck, Measured, Moment, PoolBlock, Unit};
use crate::site::luck;

use super::SHOWN;

/// The newest blocks, with what was added up once and stays.
#[derive(Default)]
pub(super) struct Blocks {
    /// Newest first.
    newest: Vec<ShownBlock>,
    /// In percent; `None` where the work before it is not kept any more.
    efforts: HashMap<BlockHash, Option<f64>>,
    /// Work since the newest settled block: after which share, up to which, and what it weighs.
    since: Option<(Sequence, Sequence, u128)>,
}

impl Blocks {
    pub(super) async fn read(&mut self, accounts: &Accounts, newest: Sequence) -> Result<(), AccountsError> {
        self.newest = accounts.blocks_before(UnixMillis(u64::MAX), SHOWN).await?;
        let oldest_kept = accounts.oldest_share().await?.map(|(oldest, _)| oldest);
        let settled: Vec<(ShownBlock, Sequence)> =
            self.newest.iter().filter_map(|block| block.last_share.map(|share| (*block, share))).collect();
        self.efforts.retain(|hash, _| self.newest.iter().any(|block| block.hash == *hash));
        for pair in settled.windows(2) {
            let ((block, last), (_, before)) = (pair[0], pair[1]);
            let Entry::Vacant(place) = self.efforts.entry(block.hash) else { continue };
            let first = Sequence(before.0 + 1);
            let is_kept = oldest_kept.is_some_and(|oldest| oldest <= first);
            place.insert(if is_kept {
                let (_, weight) = accounts.weight_between(first, last).await?;
                percent(weight, block.work)
            } else {
                None
            });
        }
        if let Some((_, last)) = settled.first() {
            let (from, added) = match self.since {
                Some((start, until, weight)) if start == *last && until <= newest => (until, weight),
                _ => (*last, 0),
            };
            let (_, weight) = accounts.weight_between(Sequence(from.0 + 1), newest).await?;
            self.since = Some((*last, newest, added + weight));
        }
        Ok(())
    }

    pub(super) fn shown(&self, height: Option<u32>, needed: u32) -> Vec<PoolBlock> {
        let effort = |block: &ShownBlock| self.efforts.get(&block.hash).copied().flatten();
        self.newest.iter().map(|block| shown(block, effort(block), height, needed)).collect()
    }

    pub(super) fn luck(&self, now: Moment) -> Luck {
        let current = self.since.zip(self.newest.first());
        let current = current.and_then(|((_, _, weight), newest)| percent(weight, newest.work));
        let efforts: Vec<Option<f64>> =
            self.newest.iter().map(|block| self.efforts.get(&block.hash).copied().flatten()).collect();
        luck::luck(Measured::at(current, Unit::Percent, now), &efforts)
    }

    /// Blocks on the main chain seen since a time.
    pub(super) fn found_since(&self, since: Moment) -> u64 {
        let recent = self.newest.iter().filter(|block| Moment::from(block.seen_at) >= since);
        recent.filter(|block| block.state != FoundState::Orphaned).count() as u64
    }

    /// What the newest block's work was, and when that was.
    pub(super) fn newest_work(&self) -> Option<(u64, Moment)> {
        self.newest.first().map(|block| (block.work, block.seen_at.into()))
    }
}

/// A block as it is shown, at that height of the chain.
pub(super) fn shown(block: &ShownBlock, effort: Option<f64>, height: Option<u32>, needed: u32) -> PoolBlock {
    let standing = match block.state {
        FoundState::Found => BlockStanding::Found,
        FoundState::Immature => BlockStanding::Immature,
        FoundState::Mature => BlockStanding::Mature,
        FoundState::Orphaned => BlockStanding::Orphaned,
    };
    let depth = height.and_then(|height| (height + 1).checked_sub(block.height.0));
    PoolBlock {
        height: Some(block.height.0),
        hash: block.hash.to_string(),
        found_at: block.seen_at.into(),
        finder: block.finder.map(|finder| finder.to_string()),
        effort_percent: effort,
        reward: Some(super::luna(block.total)),
        payout_table: None,
        standing,
        confirmations: if standing == BlockStanding::Orphaned { Some(0) } else { depth },
        confirmations_needed: Some(needed),
    }
}

/// Efforts of blocks, newest first, in percent, as far as the work before each is kept.
pub(super) async fn efforts(
    accounts: &Accounts,
    blocks: &[ShownBlock],
) -> Result<Vec<(UnixMillis, f64)>, AccountsError> {
    let oldest_kept = accounts.oldest_share().await?.map(|(oldest, _)| oldest);
    let settled: Vec<(&ShownBlock, Sequence)> =
        blocks.iter().filter_map(|block| block.last_share.map(|share| (block, share))).collect();
    let mut efforts = Vec::new();
    for pair in settled.windows(2) {
        let ((block, last), (_, before)) = (pair[0], pair[1]);
        let first = Sequence(before.0 + 1);
        if oldest_kept.is_some_and(|oldest| oldest <= first) {
            let (_, weight) = accounts.weight_between(first, last).await?;
            efforts.extend(percent(weight, block.work).map(|effort| (block.seen_at, effort)));
        }
    }
    Ok(efforts)
}

fn percent(weight: u128, work: u64) -> Option<f64> {
    (work > 0).then(|| 100.0 * weight as f64 / work as f64)
}
