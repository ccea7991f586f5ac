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
    /// Work since the newest settled block, or since the pool began if there is none: after which share, up to which,
    /// and what it weighs.
    since: Option<(Sequence, Sequence, u128)>,
    /// What the next block of the chain takes, as the servers know it, and since when.
    next: Option<(u64, Moment)>,
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
        let before_all = oldest_kept.map(|oldest| Sequence(oldest.0.saturating_sub(1)));
        if let Some(last) = settled.first().map(|(_, last)| *last).or(before_all) {
            let (from, added) = match self.since {
                Some((start, until, weight)) if start == last && until <= newest => (until, weight),
                _ => (last, 0),
            };
            let (_, weight) = accounts.weight_between(Sequence(from.0 + 1), newest).await?;
            self.since = Some((last, newest, added + weight));
        }
        Ok(())
    }

    pub(super) fn shown(&self, height: Option<u32>, needed: u32) -> Vec<PoolBlock> {
        let effort = |block: &ShownBlock| self.efforts.get(&block.hash).copied().flatten();
        self.newest.iter().map(|block| shown(block, effort(block), height, needed)).collect()
    }

    pub(super) fn luck(&self, now: Moment) -> Luck {
        let current = self.since.zip(self.work_of_one());
        let current = current.and_then(|((_, _, weight), (work, _))| percent(weight, work));
        let efforts: Vec<Option<f64>> =
            self.newest.iter().map(|block| self.efforts.get(&block.hash).copied().flatten()).collect();
        luck::luck(Measured::at(current, Unit::Percent, now), &efforts)
    }

    /// Blocks on the main chain seen since a time.
    pub(super) fn found_since(&self, since: Moment) -> u64 {
        let recent = self.newest.iter().filter(|block| Moment::from(block.seen_at) >= since);
        recent.filter(|block| block.state != FoundState::Orphaned).count() as u64
    }

    /// A server has said what the next block takes.
    pub(super) fn next_takes(&mut self, work: u64, now: Moment) {
        self.next = Some((work, now));
    }

    /// What a block takes, and when that was so: the next one, or else the newest of the pool.
    pub(super) fn work_of_one(&self) -> Option<(u64, Moment)> {
        self.next.or_else(|| self.newest.first().map(|block| (block.work, block.seen_at.into())))
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

#[cfg(test)]
mod tests {
    use ledger::nimiq::NewShare;
    use nimiq::{Address, ShareWeight};

    use super::*;

    fn share(number: u64) -> NewShare {
        NewShare {
            server_sequence: number,
            address: Address([3; 20]),
            device: 1,
            previous_block: BlockHash([1; 32]),
            hash: BlockHash([number as u8; 32]),
            weight: ShareWeight(1000),
            accepted_at: UnixMillis(number),
        }
    }

    /// A pool that has found nothing yet has the longest dry time of all.
    #[tokio::test]
    async fn effort_before_the_first_block_is_all_work_so_far() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("accounts.db").display());
        let accounts = Accounts::open(&url).await.unwrap();
        let server = accounts.server("main").await.unwrap();
        let mut blocks = Blocks::default();
        let now = Moment::now();
        for (shares, percent) in [([1, 2, 3], 150.0), ([4, 5, 6], 300.0)] {
            accounts.accept_shares(server, &shares.map(share)).await.unwrap();
            blocks.read(&accounts, accounts.newest_share().await.unwrap()).await.unwrap();
            if percent < 300.0 {
                assert_eq!(blocks.luck(now).current_effort.value, None, "nobody knows what a block takes");
            }
            blocks.next_takes(2000, now);
            assert_eq!(blocks.luck(now).current_effort.value, Some(percent));
        }
    }
}
