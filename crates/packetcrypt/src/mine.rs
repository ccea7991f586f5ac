//! Mining announcements: one hard nonce at a time.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 7.3. A hard nonce costs two tables before the first attempt;
//! after that each soft nonce is one attempt. Version 0 can only be checked, not mined.

pub mod hard_nonce;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::announcement::{attempt_seed, hash_table_seed};
use crate::attempt::attempt_in_turns;
use crate::backend::Backend;
use crate::crypto_cycle::{BatchPair, Opening, PAIR_MAX, Start, Template};
use crate::item::{BadProgram, ItemNumber, Recipe, Table, TableFault, Workshop, table_cost};
use crate::merkle::Tree;
use crate::rand_hash::TooLong;
use crate::target::HashThreshold;
use crate::{Announcement, AnnouncementHeader, BlockHash, WorkHash};
use hard_nonce::{CANDIDATES, Limit};

/// Attempts between two looks at the stop flag: less than a millisecond.
const BATCH: u32 = PAIR_MAX as u32;

/// Why a hard nonce cannot be mined. All but the last mean: take the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The work bits are no target that an announcement can have. No hard nonce will do.
    #[error("work bits {0} are no target that an announcement can have")]
    BadBits(crate::CompactTarget),
    /// Version 0 is not mined. No hard nonce will do.
    #[error("announcements of version 0 are no longer mined")]
    VersionZero,
    /// The program of a table cannot be made.
    #[error(transparent)]
    BadProgram(#[from] BadProgram),
    /// The program of a table runs for too long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The miner was asked to stop.
    #[error("stopped before the tables were made")]
    Stopped,
}

impl From<TableFault> for Unusable {
    fn from(fault: TableFault) -> Self {
        match fault {
            TableFault::TooLong(fault) => Self::TooLong(fault),
            TableFault::Stopped => Self::Stopped,
        }
    }
}

impl Unusable {
    /// Whether another hard nonce may do.
    pub fn is_of_this_hard_nonce_only(&self) -> bool {
        matches!(self, Self::BadProgram(_) | Self::TooLong(_))
    }
}

/// How the mining of a hard nonce ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mined {
    /// Attempts made.
    pub attempts: u64,
    /// Why there were not more.
    pub end: End,
}

/// Why the mining of a hard nonce ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every soft nonce was tried.
    Exhausted,
    /// The miner was asked to stop.
    Stopped,
    /// The hard nonce cannot be mined.
    Unusable(Unusable),
}

/// Mines announcements. Keeps its table and tree (9 MiB) from one hard nonce to the next: one for each thread.
#[derive(Debug)]
pub struct Miner {
    workshop: Workshop,
    recipe: Recipe,
    table: Table,
    tree: Tree,
    batches: BatchPair,
    /// The last one that was needed: it takes a moment to make.
    limit: Option<Limit>,
}

impl Default for Miner {
    fn default() -> Self {
        Self::new()
    }
}

impl Miner {
    /// A miner with empty buffers, on the backend that is [chosen](Backend::chosen).
    pub fn new() -> Self {
        Self::on(Backend::chosen())
    }

    /// A miner on a backend, or on the plain one if the processor cannot run that.
    pub fn on(backend: Backend) -> Self {
        Self {
            workshop: Workshop::on(backend),
            recipe: Recipe::default(),
            table: Table::default(),
            tree: Tree::default(),
            batches: BatchPair::new(backend),
            limit: None,
        }
    }

    /// Mines all soft nonces of a header, and hands out what it finds, ready to be sent. Looks at `stop` every few
    /// milliseconds.
    pub fn mine(
        &mut self,
        header: &AnnouncementHeader,
        parent: &BlockHash,
        stop: &AtomicBool,
        found: impl FnMut(Announcement),
    ) -> Mined {
        Self::exhaust(self.prepare(header, parent, stop), stop, found)
    }

    /// The same with a hard nonce that is [worth it](Self::choose).
    pub fn mine_chosen(
        &mut self,
        header: &AnnouncementHeader,
        parent: &BlockHash,
        hard_nonces: impl FnMut() -> u32,
        stop: &AtomicBool,
        found: impl FnMut(Announcement),
    ) -> Mined {
        Self::exhaust(self.choose(header, parent, hard_nonces, stop), stop, found)
    }

    fn exhaust(
        prepared: Result<AnnouncementJob<'_>, Unusable>,
        stop: &AtomicBool,
        mut found: impl FnMut(Announcement),
    ) -> Mined {
        let mut job = match prepared {
            Ok(job) => job,
            Err(Unusable::Stopped) => return Mined { attempts: 0, end: End::Stopped },
            Err(fault) => return Mined { attempts: 0, end: End::Unusable(fault) },
        };
        let soft_nonces = job.soft_nonces();
        for first in soft_nonces.clone().step_by(BATCH as usize) {
            if stop.load(Ordering::Relaxed) {
                return Mined { attempts: first.into(), end: End::Stopped };
            }
            job.attempt(first..soft_nonces.end.min(first + BATCH), &mut found);
        }
        Mined { attempts: soft_nonces.end.into(), end: End::Exhausted }
    }

    /// Makes the tables of a header with one of these hard nonces, of which none may come twice: the first that is
    /// [worth it](hard_nonce). How long that takes depends on how many attempts the work bits allow. Looks at `stop` every
    /// few milliseconds.
    pub fn choose(
        &mut self,
        header: &AnnouncementHeader,
        parent: &BlockHash,
        mut hard_nonces: impl FnMut() -> u32,
        stop: &AtomicBool,
    ) -> Result<AnnouncementJob<'_>, Unusable> {
        let task = Task::of(header)?;
        let limit = self.limit_for(u64::from(task.soft_nonce_max) + 1);
        let (header, seed) = loop {
            let candidates = (0..CANDIDATES).map(|_| hard_nonces());
            let Some(hard_nonce) = self.cheapest(header, parent, candidates) else { continue };
            let header = AnnouncementHeader { hard_nonce, ..header.clone() };
            let seed = match self.grow_tree(&header, parent, stop) {
                Ok(seed) => seed,
                Err(fault) if fault.is_of_this_hard_nonce_only() => continue,
                Err(fault) => return Err(fault),
            };
            let Ok(hash_table) = table_cost(&seed, &mut self.workshop) else { continue };
            let attempts = header.hash_with_root(self.tree.root());
            if limit.admits(hash_table, Template::first_update(attempt_seed(&attempts))) {
                break (header, seed);
            }
        };
        self.finish(&header, task, &seed, stop)
    }

    fn limit_for(&mut self, attempts: u64) -> Limit {
        let known = self.limit.filter(|limit| limit.attempts() == attempts);
        *self.limit.insert(known.unwrap_or_else(|| Limit::new(attempts)))
    }

    /// Of these hard nonces for a header, the one whose proof table is made soonest; `None` if no program can be made.
    /// The program of that table depends on header and parent only, and programs differ by a factor of four and more.
    pub fn cheapest(
        &mut self,
        header: &AnnouncementHeader,
        parent: &BlockHash,
        hard_nonces: impl IntoIterator<Item = u32>,
    ) -> Option<u32> {
        let costs = hard_nonces.into_iter().filter_map(|hard_nonce| {
            let header = AnnouncementHeader { hard_nonce, ..header.clone() };
            let cost = table_cost(&header.hash_with_parent(parent), &mut self.workshop).ok()?;
            Some((cost, hard_nonce))
        });
        costs.min().map(|(_, hard_nonce)| hard_nonce)
    }

    /// Makes the tables of a header, which takes about as long as 8000 attempts. Looks at `stop` every few
    /// milliseconds.
    pub fn prepare(
        &mut self,
        header: &AnnouncementHeader,
        parent: &BlockHash,
        stop: &AtomicBool,
    ) -> Result<AnnouncementJob<'_>, Unusable> {
        let task = Task::of(header)?;
        let seed = self.grow_tree(header, parent, stop)?;
        self.finish(header, task, &seed, stop)
    }

    /// Makes the tree over the proof table, and gives the seed of the hash table.
    fn grow_tree(
        &mut self,
        header: &AnnouncementHeader,
        parent: &BlockHash,
        stop: &AtomicBool,
    ) -> Result<[u8; 64], Unusable> {
        let Self { workshop, recipe, table, tree, .. } = self;
        let proof_table_seed = header.hash_with_parent(parent);
        recipe.replace(&proof_table_seed, workshop)?;
        // Of the proof table only the tree is needed.
        table.hand_out(recipe, workshop, stop, |first, items| tree.set_leaves(first, items))?;
        tree.grow_from_leaves();
        Ok(hash_table_seed(tree.root(), &proof_table_seed))
    }

    /// Makes the hash table, when the tree is there.
    fn finish(
        &mut self,
        header: &AnnouncementHeader,
        task: Task,
        hash_table_seed: &[u8; 64],
        stop: &AtomicBool,
    ) -> Result<AnnouncementJob<'_>, Unusable> {
        let Self { workshop, recipe, table, tree, batches, .. } = self;
        recipe.replace(hash_table_seed, workshop)?;
        table.fill(recipe, workshop, stop)?;

        let template = Template::new(attempt_seed(&header.hash_with_root(tree.root())));
        let first_item = table.item(ItemNumber::from_random(template.first_item_number()));
        Ok(AnnouncementJob {
            header: header.clone(),
            task,
            opening: Opening::new(&template, first_item),
            table,
            tree,
            batches,
        })
    }
}

/// What the work bits want.
#[derive(Clone, Copy, Debug)]
struct Task {
    soft_nonce_max: u32,
    threshold: HashThreshold,
}

impl Task {
    /// Of a header that can be mined.
    fn of(header: &AnnouncementHeader) -> Result<Self, Unusable> {
        let bad_bits = Unusable::BadBits(header.work_bits);
        let soft_nonce_max = header.work_bits.soft_nonce_max().ok_or(bad_bits)?;
        let threshold = HashThreshold::new(header.work_bits).map_err(|_| bad_bits)?;
        if header.version == 0 {
            return Err(Unusable::VersionZero);
        }
        Ok(Self { soft_nonce_max, threshold })
    }
}

/// A hard nonce with its tables.
#[derive(Debug)]
pub struct AnnouncementJob<'m> {
    header: AnnouncementHeader,
    task: Task,
    opening: Opening,
    table: &'m Table,
    tree: &'m Tree,
    batches: &'m mut BatchPair,
}

impl AnnouncementJob<'_> {
    /// All soft nonces that the work bits allow.
    pub fn soft_nonces(&self) -> Range<u32> {
        0..self.task.soft_nonce_max + 1
    }

    /// Tries a range of soft nonces, and hands out the announcements of those that meet the work bits. Soft nonces
    /// that the work bits do not allow are left out.
    pub fn attempt(&mut self, soft_nonces: Range<u32>, mut found: impl FnMut(Announcement)) {
        let soft_nonces = soft_nonces.start..soft_nonces.end.min(self.soft_nonces().end);
        let mut work_hashes = [WorkHash::default(); PAIR_MAX];
        for first in soft_nonces.clone().step_by(PAIR_MAX) {
            let nonces = first..soft_nonces.end.min(first + BATCH);
            let nonce_of = |index| u64::from(first) + index as u64;
            let start = Start { opening: &self.opening, count: nonces.len(), nonce_of: &nonce_of };
            let item_of = |number| self.table.item(number);
            let fourth_items = attempt_in_turns(self.batches, &start, &mut work_hashes, item_of);
            for (index, soft_nonce) in nonces.enumerate() {
                if self.task.threshold.is_met_by(&work_hashes[index].0) {
                    let branch = self.tree.branch(fourth_items[index]);
                    let mut announcement =
                        Announcement::assemble(&self.header, soft_nonce, &branch, self.tree.root());
                    announcement.crypt(self.batches.state(index));
                    found(announcement);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CompactTarget, Height};

    #[test]
    fn with_many_attempts_ahead_a_hard_nonce_is_chosen_for_their_first_update() {
        let header = AnnouncementHeader {
            version: 1,
            hard_nonce: 0,
            work_bits: CompactTarget(0x1f01_0000),
            parent_height: Height(200_000),
            content_type: 0,
            content_length: 0,
            content_hash: [0; 32],
            signing_key: None,
        };
        let (mut miner, mut next) = (Miner::new(), 0..);
        let hard_nonces = || next.next().unwrap();
        let parent = BlockHash::from_internal([7; 32]);
        let job = miner.choose(&header, &parent, hard_nonces, &AtomicBool::new(false)).unwrap();
        let seed = job.header.hash_with_root(job.tree.root());
        assert_eq!(Template::first_update(attempt_seed(&seed)).key_stream, 0);
        assert_eq!(job.soft_nonces().len(), 1 << 24);
    }
}
