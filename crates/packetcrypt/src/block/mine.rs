//! Mining of shares and blocks over a large store of announcements.
//!
//! A [`MiningSet`] is what was [chosen](super::selection) put into the order of the tree, with the tree over it; it
//! gives the commitment. With the commitment in the coinbase there is a header, and [`BlockJob`] tries low nonces
//! with it, many at a time: the caller looks at its stop signal between batches. What is found is made into a
//! [`Proof`] that can be uploaded.
//!
//! Rules: `docs/protocol/packetcrypt-blocks.md` 3.1, 4, 6.

use std::sync::Arc;

use crate::announcement::ANNOUNCEMENT_SIZE;
use crate::backend::Backend;
use crate::backend::ahead::prefetch;
use crate::crypto_cycle::{BatchPair, PAIR_MAX};
use crate::pages::Memory;
use crate::target::{CanonicalTarget, CompactTarget, HashThreshold, effective_target};
use crate::{Announcement, AnnouncementHash, WorkHash};

use super::attempt::{Announcements, Attempt, Outcome};
use super::commitment::Commitment;
use super::elements::{PROOF_ANNOUNCEMENTS, Proof};
use super::header::Header;
use super::order::arrange;
use super::proof_tree::{ProofTree, indexes_of};

/// Attempts that are made side by side: with fewer, lanes stay empty, and nothing computes while announcements come from
/// memory.
pub const SIDE_BY_SIDE: u32 = PAIR_MAX as u32;

/// Where an announcement lies in a store.
pub type Slot = u32;

/// Announcements by slot.
pub trait AnnouncementStore {
    /// The 1024 bytes in a slot; `None` if it is empty.
    fn announcement(&self, slot: Slot) -> Option<&[u8; ANNOUNCEMENT_SIZE]>;
}

impl AnnouncementStore for [[u8; ANNOUNCEMENT_SIZE]] {
    fn announcement(&self, slot: Slot) -> Option<&[u8; ANNOUNCEMENT_SIZE]> {
        self.get(slot as usize)
    }
}

impl AnnouncementStore for Vec<[u8; ANNOUNCEMENT_SIZE]> {
    fn announcement(&self, slot: Slot) -> Option<&[u8; ANNOUNCEMENT_SIZE]> {
        self.get(slot as usize)
    }
}

/// A set of announcements with its tree. Takes 68 bytes for each; clones share them.
#[derive(Debug, Clone)]
pub struct MiningSet {
    tree: Arc<ProofTree>,
    /// Slots in the order of the tree, four bytes each: an attempt looks up three of them at random places.
    slots: Arc<Memory>,
    least_work: CanonicalTarget,
}

impl MiningSet {
    /// Puts announcements into order, drops duplicates, makes their number odd (pitfall 9.2), and builds the tree.
    ///
    /// `least_work` is the aged target of the worst of them. `None` if nothing is left, or no memory.
    pub fn build(mut entries: Vec<(AnnouncementHash, Slot)>, least_work: CanonicalTarget) -> Option<Self> {
        arrange(&mut entries, |(hash, _)| hash);
        if entries.len().is_multiple_of(2) {
            entries.pop();
        }
        let mut slots = Memory::new(entries.len() * size_of::<Slot>()).ok()?;
        for (bytes, (_, slot)) in slots.bytes_mut().as_chunks_mut().0.iter_mut().zip(&entries) {
            *bytes = slot.to_ne_bytes();
        }
        let hashes = entries.into_iter().map(|(hash, _)| hash).collect();
        Some(Self { tree: Arc::new(ProofTree::build(hashes).ok()?), slots: Arc::new(slots), least_work })
    }

    /// The same announcements where the worst of them is worth something else: in a block of another height. The tree
    /// does not know of heights.
    #[must_use]
    pub fn with_least_work(&self, least_work: CanonicalTarget) -> Self {
        Self { least_work, ..self.clone() }
    }

    /// What to put into the coinbase.
    pub fn commitment(&self) -> Commitment {
        Commitment { least_work: self.least_work, root: self.tree.root(), count: self.tree.count() }
    }

    /// What a hash must meet to be of use: the easier one of the effective share and block targets.
    pub fn effective_target(&self, share_target: CompactTarget, block_bits: CompactTarget) -> CompactTarget {
        let least_work = self.least_work.compact();
        let count = self.tree.count().get();
        // Effective targets are canonical, so the greater one is the easier one.
        let [share, block] =
            [share_target, block_bits].map(|target| effective_target(target, least_work, count));
        CompactTarget(share.0.max(block.0))
    }

    /// Asks for what [`MiningSet::slot`] will read.
    fn fetch_slot(&self, index: u64) {
        if let Some(slot) = self.slots.bytes().as_chunks::<{ size_of::<Slot>() }>().0.get(index as usize) {
            prefetch(slot);
        }
    }

    fn slot(&self, index: u64) -> Option<Slot> {
        self.slots.bytes().as_chunks().0.get(usize::try_from(index).ok()?).copied().map(Slot::from_ne_bytes)
    }
}

/// An attempt whose hash met the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Find {
    /// The low nonce.
    pub nonce2: u32,
    /// What it drew and how it hashed.
    pub outcome: Outcome,
}

impl Find {
    /// The hash that met the target.
    pub fn work_hash(&self) -> &WorkHash {
        &self.outcome.work_hash
    }
}

/// All attempts with one header on one set. One for each mining thread.
pub struct BlockJob<'a, Store: ?Sized> {
    attempt: Attempt,
    batches: BatchPair,
    set: &'a MiningSet,
    store: &'a Store,
    threshold: HashThreshold,
}

impl<'a, Store: AnnouncementStore + ?Sized> BlockJob<'a, Store> {
    /// Makes ready for a header whose coinbase holds the set's commitment. `effective` is what a hash must meet,
    /// see [`MiningSet::effective_target`].
    ///
    /// Mines on the backend that is [chosen](Backend::chosen).
    pub fn new(header: &Header, set: &'a MiningSet, store: &'a Store, effective: CompactTarget) -> Self {
        Self::on(Backend::chosen(), header, set, store, effective)
    }

    /// As [`BlockJob::new`], on a backend, or on the plain one if the processor cannot run that.
    pub fn on(
        backend: Backend,
        header: &Header,
        set: &'a MiningSet,
        store: &'a Store,
        effective: CompactTarget,
    ) -> Self {
        // What is no proper target is met by nothing, and so is zero.
        let threshold = HashThreshold::new(effective).or_else(|_| HashThreshold::new(CompactTarget(0)));
        let threshold = threshold.expect("zero is neither negative nor above the easiest target");
        Self {
            attempt: Attempt::new(&header.header_hash()),
            batches: BatchPair::new(backend),
            set,
            store,
            threshold,
        }
    }

    /// Tries the `count` low nonces from `start` on, wrapping around, and adds what meets the target to `finds`.
    ///
    /// Attempts that draw an empty slot are lost; a store must keep what is being mined with.
    pub fn attempt(&mut self, start: u32, count: u32, finds: &mut Vec<Find>) {
        let (drawn, threshold) = (Drawn { set: self.set, store: self.store }, &self.threshold);
        for first in (0..count).step_by(PAIR_MAX) {
            self.attempt.mine_many(
                &mut self.batches,
                start.wrapping_add(first),
                (count - first).min(PAIR_MAX as u32) as usize,
                self.set.tree.count(),
                &drawn,
                |nonce2, outcome| {
                    if threshold.is_met_by(&outcome.work_hash.0) {
                        finds.push(Find { nonce2, outcome });
                    }
                },
            );
        }
    }

    /// The proof of a find; `None` if a slot is empty meanwhile.
    pub fn proof(&self, find: &Find) -> Option<Proof> {
        let indexes = indexes_of(self.set.tree.count(), find.outcome.numbers);
        let bytes = indexes.map(|index| self.store.announcement(self.set.slot(index)?));
        let [Some(first), Some(second), Some(third), Some(fourth)] = bytes else { return None };
        let announcements: [_; PROOF_ANNOUNCEMENTS] =
            [first, second, third, fourth].map(Announcement::from_bytes);
        Some(Proof { nonce2: find.nonce2, announcements, tree_proof: self.set.tree.prove(indexes)? })
    }
}

/// The announcements of a set.
struct Drawn<'a, Store: ?Sized> {
    set: &'a MiningSet,
    store: &'a Store,
}

impl<'a, Store: AnnouncementStore + ?Sized> Announcements<'a> for Drawn<'a, Store> {
    fn fetch_place(&self, index: u64) {
        self.set.fetch_slot(index);
    }

    fn get(&self, index: u64) -> Option<&'a [u8; ANNOUNCEMENT_SIZE]> {
        self.store.announcement(self.set.slot(index)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree_proof;
    use super::*;
    use crate::hash::expand;

    fn store(count: u32) -> Vec<[u8; ANNOUNCEMENT_SIZE]> {
        (0..count)
            .map(|number| {
                let mut bytes = [0; ANNOUNCEMENT_SIZE];
                expand(&[3; 32], number, &mut bytes);
                bytes
            })
            .collect()
    }

    fn set(store: &[[u8; ANNOUNCEMENT_SIZE]]) -> Option<MiningSet> {
        let hash = |bytes| Announcement::from_bytes(bytes).announcement_hash();
        let entries = store.iter().zip(0..).map(|(bytes, slot)| (hash(bytes), slot)).collect();
        MiningSet::build(entries, CanonicalTarget::EASIEST)
    }

    #[test]
    fn pitfall_9_2_the_count_is_made_odd() {
        for (available, used) in [(1, 1), (2, 1), (6, 5), (7, 7)] {
            let store = store(available);
            assert_eq!(set(&store).unwrap().commitment().count.get(), used);
        }
        assert!(set(&[]).is_none());
    }

    #[test]
    fn duplicates_do_not_count() {
        let mut store = store(5);
        store.extend_from_within(..);
        assert_eq!(set(&store).unwrap().commitment().count.get(), 5);
    }

    #[test]
    fn at_another_height_the_same_tree_commits_to_another_least_work() {
        let set = set(&store(9)).unwrap();
        let least_work = CompactTarget(0x2010_0000).try_into().unwrap();
        let older = set.with_least_work(least_work);
        assert_eq!(older.commitment(), Commitment { least_work, ..set.commitment() });
        assert!(Arc::ptr_eq(&older.tree, &set.tree));
    }

    #[test]
    fn what_is_found_is_a_proof_that_verifies() {
        let store = store(40);
        let set = set(&store).unwrap();
        let header = Header::from_bytes(&[0x21; 80]);
        let target = CompactTarget(0x2007_ffff);
        let mut job = BlockJob::new(&header, &set, &store, target);
        let mut finds = Vec::new();
        job.attempt(u32::MAX - 100, 400, &mut finds);
        assert!(!finds.is_empty(), "one attempt in 32 meets this target");
        for find in finds {
            assert!(target.is_met_by(&find.work_hash().0));
            let proof = job.proof(&find).unwrap();
            let repeated = Attempt::new(&header.header_hash()).repeat(&proof);
            assert_eq!(repeated, find.outcome);
            let hashes = proof.announcements.each_ref().map(Announcement::announcement_hash);
            let commitment = set.commitment();
            let root = tree_proof::verify(&hashes, commitment.count, find.outcome.numbers, &proof.tree_proof);
            assert_eq!(root, Ok(commitment.root));
        }
    }

    #[test]
    fn batches_of_any_size_find_the_same() {
        let store = store(9);
        let set = set(&store).unwrap();
        let mut job = BlockJob::new(&Header::from_bytes(&[1; 80]), &set, &store, CompactTarget::EASIEST);
        let (mut at_once, mut in_parts) = (Vec::new(), Vec::new());
        job.attempt(5, 300, &mut at_once);
        for (start, count) in [(5, 1), (6, 0), (6, 40), (46, 64), (110, 65), (175, 130)] {
            job.attempt(start, count, &mut in_parts);
        }
        assert_eq!(at_once, in_parts);
    }

    #[test]
    fn a_block_target_easier_than_the_share_target_is_mined_too() {
        let set = set(&store(3)).unwrap();
        let (hard, easy) = (CompactTarget(0x1d00_ffff), CompactTarget(0x200f_ffff));
        assert_eq!(set.effective_target(hard, easy), set.effective_target(easy, hard));
        assert_eq!(set.effective_target(CompactTarget(0), easy), set.effective_target(easy, easy));
    }
}
