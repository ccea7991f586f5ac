//! Checking announcements: a batch in, a verdict for each out.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 7.1. The order of the steps is that of the consensus authority,
//! after one of our own: work bits that no peer survives are refused before anything else ([`AnnouncementFault::BadBits`]).

use crate::announcement::{HEADER_SIZE, ITEM_PREFIX_SIZE, attempt_seed, hash_table_seed};
use crate::attempt::{Attempted, attempt, attempt_all};
use crate::backend::Backend;
use crate::crypto_cycle::{BATCH_MAX, Batch, State, Template};
use crate::hash::blake2b_512_many;
use crate::item::{
    BadProgram, ITEM_SIZE, Item, ItemNumber, Recipe, Workshop, memohash_item, update_version_0,
};
use crate::merkle::{Branch, is_proven, leaf_hash, roots_of};
use crate::rand_hash::TooLong;
use crate::{Announcement, BlockHash, Height, WorkHash};

/// What differs from chain to chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The lowest parent height of announcements of version 1 and more.
    pub version_1_from: Height,
}

impl Rules {
    /// Those of the PKT network.
    pub const PKT: Self = Self { version_1_from: Height(103_869) };

    /// Those of a chain that has had version 1 from its beginning.
    pub const NEW_CHAIN: Self = Self { version_1_from: Height(0) };
}

/// Version of the PacketCrypt proof that an announcement is to be used in. Version 2 is the only one since block 122622,
/// and does not allow announcements of version 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProofVersion(pub u8);

impl ProofVersion {
    /// Today's.
    pub const CURRENT: Self = Self(2);
}

/// Why an announcement is not valid. The texts of [`name`](Self::name) are those that peers use, without their prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnouncementFault {
    /// The work bits are zero, negative, too small or too large. (No peer has a name for this.)
    #[error("its work bits are no target that an announcement can have")]
    BadBits,
    /// Version 1 before the chain allows it.
    #[error("its version is not allowed at the height of its parent block")]
    VersionNotAllowed,
    /// Version 0 in a proof that does not allow it.
    #[error("announcements of version 0 are not allowed in proofs of version 2")]
    VersionMismatch,
    /// More than the work bits allow.
    #[error("its soft nonce is higher than its work bits allow")]
    SoftNonceHigh,
    /// The program of the hash table cannot be made.
    #[error("the program of its hash table is no program")]
    BadProgram,
    /// The program of the hash table runs for too long.
    #[error("the program of its hash table runs for too long")]
    BadProgramExec,
    /// Version 0: an item's program cannot be made or run.
    #[error("the program of one of its items cannot be made or runs for too long")]
    Invalid,
    /// The item prefix is wrong. Nearly every damage shows here.
    #[error("header, parent block, Merkle root and item prefix do not belong together")]
    InvalidItem4,
    /// The program of the proof table cannot be made.
    #[error("the program of its proof table is no program")]
    BadProgram0,
    /// The program of the proof table runs for too long.
    #[error("the program of its proof table runs for too long")]
    BadProgram0Exec,
    /// The Merkle branch does not lead to the root.
    #[error("its Merkle branch does not prove its fourth item")]
    InvalidMerkle,
    /// All is well but the work hash.
    #[error("its work hash {work_hash} does not meet its work bits")]
    InsufficientWork {
        /// The hash that is too high.
        work_hash: WorkHash,
    },
}

impl AnnouncementFault {
    /// The name that peers give it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BadBits => "BAD_BITS",
            Self::VersionNotAllowed => "ANN_VERSION_NOT_ALLOWED",
            Self::VersionMismatch => "ANN_VERSION_MISMATCH",
            Self::SoftNonceHigh => "SOFT_NONCE_HIGH",
            Self::BadProgram => "BAD_PROGRAM",
            Self::BadProgramExec => "BAD_PROGRAM_EXEC",
            Self::Invalid => "INVAL",
            Self::InvalidItem4 => "INVAL_ITEM4",
            Self::BadProgram0 => "BAD_PROGRAM0",
            Self::BadProgram0Exec => "BAD_PROGRAM0_EXEC",
            Self::InvalidMerkle => "INVAL_MERKLE",
            Self::InsufficientWork { .. } => "INSUF_POW",
        }
    }
}

/// An announcement and the block that it must be based on.
#[derive(Clone, Copy, Debug)]
pub struct AnnouncementToCheck<'a> {
    /// The announcement.
    pub announcement: &'a Announcement,
    /// Hash of the block at its parent height.
    pub parent: &'a BlockHash,
}

/// Checks announcements. Keeps its buffers from one batch to the next: one for each thread.
#[derive(Debug)]
pub struct Checker {
    rules: Rules,
    workshop: Workshop,
    state: State,
    batch: Batch,
    items: Box<[Item]>,
    shared: Shared,
}

/// Announcements of one origin that are worth checking together.
const TOGETHER_FROM: usize = 3;

impl Checker {
    /// A checker of a chain's announcements, on the backend that is [chosen](Backend::chosen).
    pub fn new(rules: Rules) -> Self {
        Self::on(rules, Backend::chosen())
    }

    /// A checker on a backend, or on the plain one if the processor cannot run that.
    pub fn on(rules: Rules, backend: Backend) -> Self {
        Self {
            rules,
            workshop: Workshop::on(backend),
            state: State::default(),
            batch: Batch::new(backend),
            items: vec![[0; ITEM_SIZE]; BATCH_MAX].into_boxed_slice(),
            shared: Shared::default(),
        }
    }

    /// The verdict on each announcement, in the same order: its work hash, or what is wrong with it.
    ///
    /// Announcements of one hard nonce share their programs: in one batch, or one after the other, they cost about
    /// two fifths less than others.
    pub fn check(
        &mut self,
        batch: &[AnnouncementToCheck<'_>],
        proof_version: ProofVersion,
    ) -> Vec<Result<WorkHash, AnnouncementFault>> {
        let mut order: Vec<usize> = (0..batch.len()).collect();
        order.sort_by_cached_key(|&index| Origin::of(&batch[index]));
        let mut verdicts = vec![Err(AnnouncementFault::BadBits); batch.len()];
        for group in order.chunk_by(|&one, &other| Origin::of(&batch[one]) == Origin::of(&batch[other])) {
            for group in group.chunks(BATCH_MAX) {
                self.check_group(batch, group, proof_version, &mut verdicts);
            }
        }
        verdicts
    }

    /// Checks announcements of one origin: all at once, if they are of version 1 and their headers are in order.
    fn check_group(
        &mut self,
        batch: &[AnnouncementToCheck<'_>],
        group: &[usize],
        proof_version: ProofVersion,
        verdicts: &mut [Result<WorkHash, AnnouncementFault>],
    ) {
        let mut members = Vec::with_capacity(group.len());
        for &index in group {
            match check_header(batch[index].announcement, self.rules, proof_version) {
                Ok(()) => members.push(index),
                Err(fault) => verdicts[index] = Err(fault),
            }
        }
        let Some(&first) = members.first() else { return };
        if members.len() < TOGETHER_FROM || batch[first].announcement.version() == 0 {
            for index in members {
                verdicts[index] = self.check_one(&batch[index], proof_version);
            }
            return;
        }
        self.shared.turn_to(Origin::of(&batch[first]), &batch[first]);
        let announcements: Vec<&Announcement> =
            members.iter().map(|&index| batch[index].announcement).collect();
        let outcomes = self.check_together(&announcements);
        for (position, index) in members.into_iter().enumerate() {
            verdicts[index] = match &outcomes {
                Some(outcomes) => outcomes[position],
                None => self.check_one(&batch[index], proof_version),
            };
        }
    }

    /// As [`Checker::check_version_1`], for at most [`BATCH_MAX`] announcements of the origin that has been turned to.
    /// `None` where a program cannot be made, or runs for too long for any of them: then each must be checked by itself.
    fn check_together(
        &mut self,
        announcements: &[&Announcement],
    ) -> Option<Vec<Result<WorkHash, AnnouncementFault>>> {
        let Self { workshop, batch, items, shared, .. } = self;
        let recipe = shared.hash_table.get(workshop).ok()?;
        batch.start(&shared.attempts, announcements.len(), |index| announcements[index].soft_nonce().into());
        let mut work_hashes = [WorkHash::default(); BATCH_MAX];
        let fourth_items = attempt_all(batch, &mut work_hashes, |batch, wanted, kept| {
            recipe.items(wanted, workshop, items)?;
            batch.update(|index| &items[index], kept);
            Ok::<(), TooLong>(())
        })
        .ok()?;

        let mut opened: Vec<Announcement> =
            announcements.iter().map(|&announcement| announcement.clone()).collect();
        for (index, announcement) in opened.iter_mut().enumerate() {
            announcement.crypt(batch.state(index));
        }
        let fits = |index: &usize| opened[*index].item_prefix() == &[0; ITEM_PREFIX_SIZE];
        let fitting: Vec<usize> = (0..opened.len()).filter(fits).collect();
        let mut verdicts = vec![Err(AnnouncementFault::InvalidItem4); announcements.len()];
        if fitting.is_empty() {
            return Some(verdicts);
        }
        let proven: Vec<ItemNumber> = fitting.iter().map(|&index| fourth_items[index]).collect();
        shared.proof_table.get(workshop).ok()?.items(&proven, workshop, items).ok()?;
        let mut leaves = [[0; 64]; BATCH_MAX];
        blake2b_512_many(&items[..fitting.len()], &mut leaves[..fitting.len()]);
        let branches: Vec<Branch> = fitting.iter().map(|&index| opened[index].merkle_siblings()).collect();
        let roots = roots_of(&leaves[..fitting.len()], &proven, &branches);
        for (position, &index) in fitting.iter().enumerate() {
            let announcement = &opened[index];
            let work_hash = work_hashes[index];
            verdicts[index] = if &roots[position] != announcement.merkle_root() {
                Err(AnnouncementFault::InvalidMerkle)
            } else if announcement.work_bits().is_met_by(&work_hash.0) {
                Ok(work_hash)
            } else {
                Err(AnnouncementFault::InsufficientWork { work_hash })
            };
        }
        Some(verdicts)
    }

    fn check_one(
        &mut self,
        to_check: &AnnouncementToCheck<'_>,
        proof_version: ProofVersion,
    ) -> Result<WorkHash, AnnouncementFault> {
        let announcement = to_check.announcement;
        check_header(announcement, self.rules, proof_version)?;
        self.shared.turn_to(Origin::of(to_check), to_check);
        if announcement.version() == 0 {
            self.check_version_0(announcement)
        } else {
            self.check_version_1(announcement)
        }
    }

    fn check_version_1(&mut self, announcement: &Announcement) -> Result<WorkHash, AnnouncementFault> {
        let Self { workshop, state, shared, .. } = self;
        let items = shared.hash_table.get(workshop).map_err(|_| AnnouncementFault::BadProgram)?;
        shared.attempts.start(announcement.soft_nonce().into(), state);
        let attempted = attempt(state, |state, wanted, kept| {
            let item = items.item(wanted, workshop).map_err(|_| AnnouncementFault::BadProgramExec)?;
            state.update_keeping(item, kept);
            Ok(())
        })?;

        let mut opened = announcement.clone();
        opened.crypt(state.as_bytes());
        if opened.item_prefix() != &[0; ITEM_PREFIX_SIZE] {
            return Err(AnnouncementFault::InvalidItem4);
        }
        let items = shared.proof_table.get(workshop).map_err(|_| AnnouncementFault::BadProgram0)?;
        let proven =
            items.item(attempted.fourth_item, workshop).map_err(|_| AnnouncementFault::BadProgram0Exec)?;
        check_proof_and_work(&opened, proven, attempted)
    }

    fn check_version_0(&mut self, announcement: &Announcement) -> Result<WorkHash, AnnouncementFault> {
        let Self { workshop, state, shared, .. } = self;
        shared.attempts.start(announcement.soft_nonce().into(), state);
        let mut item = [0; ITEM_SIZE];
        let attempted = attempt(state, |state, wanted, _| {
            item = memohash_item(shared.memohash_seed(), wanted);
            update_version_0(state, &item, workshop).map_err(|_| AnnouncementFault::Invalid)
        })?;
        if !item.starts_with(announcement.item_prefix()) {
            return Err(AnnouncementFault::InvalidItem4);
        }
        check_proof_and_work(announcement, &item, attempted)
    }
}

/// What the header alone decides.
fn check_header(
    announcement: &Announcement,
    rules: Rules,
    proof_version: ProofVersion,
) -> Result<(), AnnouncementFault> {
    let soft_nonce_max = announcement.work_bits().soft_nonce_max().ok_or(AnnouncementFault::BadBits)?;
    if announcement.version() == 0 {
        return if proof_version.0 > 1 { Err(AnnouncementFault::VersionMismatch) } else { Ok(()) };
    }
    if announcement.parent_height() < rules.version_1_from {
        return Err(AnnouncementFault::VersionNotAllowed);
    }
    if announcement.soft_nonce() > soft_nonce_max {
        return Err(AnnouncementFault::SoftNonceHigh);
    }
    Ok(())
}

/// The last steps: the branch of the fourth item, in clear, and the work.
fn check_proof_and_work(
    opened: &Announcement,
    proven: &Item,
    Attempted { work_hash, fourth_item }: Attempted,
) -> Result<WorkHash, AnnouncementFault> {
    if !is_proven(&leaf_hash(proven), fourth_item, &opened.merkle_siblings(), opened.merkle_root()) {
        return Err(AnnouncementFault::InvalidMerkle);
    }
    if !opened.work_bits().is_met_by(&work_hash.0) {
        return Err(AnnouncementFault::InsufficientWork { work_hash });
    }
    Ok(work_hash)
}

/// What makes the tables of an announcement. Announcements where this is the same have them in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    header: [u8; HEADER_SIZE],
    parent: BlockHash,
    merkle_root: [u8; 64],
}

impl Origin {
    fn of(to_check: &AnnouncementToCheck<'_>) -> Self {
        Self {
            header: to_check.announcement.header().to_bytes(),
            parent: *to_check.parent,
            merkle_root: *to_check.announcement.merkle_root(),
        }
    }
}

/// What announcements of one origin have in common; that of the last one is kept.
#[derive(Debug, Default)]
struct Shared {
    origin: Option<Origin>,
    attempts: Template,
    hash_table: LazyRecipe,
    proof_table: LazyRecipe,
}

impl Shared {
    fn turn_to(&mut self, origin: Origin, to_check: &AnnouncementToCheck<'_>) {
        if self.origin.as_ref() == Some(&origin) {
            return;
        }
        let header = to_check.announcement.header();
        let proof_table_seed = header.hash_with_parent(to_check.parent);
        self.attempts.reseed(attempt_seed(&header.hash_with_root(&origin.merkle_root)));
        self.hash_table.forget(hash_table_seed(&origin.merkle_root, &proof_table_seed));
        self.proof_table.forget(proof_table_seed);
        self.origin = Some(origin);
    }

    /// The seed of the only table of version 0.
    fn memohash_seed(&self) -> &[u8; 32] {
        self.proof_table.seed.first_chunk().expect("32 of 64 bytes")
    }
}

/// A recipe that is made when it is first needed.
#[derive(Debug)]
struct LazyRecipe {
    seed: [u8; 64],
    recipe: Recipe,
    made: Option<Result<(), BadProgram>>,
}

impl Default for LazyRecipe {
    fn default() -> Self {
        Self { seed: [0; 64], recipe: Recipe::default(), made: None }
    }
}

impl LazyRecipe {
    fn forget(&mut self, seed: [u8; 64]) {
        (self.seed, self.made) = (seed, None);
    }

    fn get(&mut self, workshop: &mut Workshop) -> Result<&Recipe, BadProgram> {
        let made = self.made.get_or_insert_with(|| self.recipe.replace(&self.seed, workshop));
        made.map(|()| &self.recipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mine::Miner;
    use crate::{AnnouncementHeader, CompactTarget};
    use std::sync::atomic::AtomicBool;

    const PARENT: BlockHash = BlockHash::from_internal([5; 32]);

    /// Announcements of one hard nonce.
    fn mined(hard_nonce: u32) -> Vec<Announcement> {
        let header = AnnouncementHeader {
            version: 1,
            hard_nonce,
            work_bits: CompactTarget(0x207f_ffff),
            parent_height: Height(3),
            content_type: 0,
            content_length: 0,
            content_hash: [0; 32],
            signing_key: None,
        };
        let mut found = Vec::new();
        Miner::new().mine(&header, &PARENT, &AtomicBool::new(false), |announcement| found.push(announcement));
        found
    }

    /// Verdicts on the same batch from every backend, which must agree.
    fn verdicts(announcements: &[Announcement]) -> Vec<Result<WorkHash, AnnouncementFault>> {
        let batch: Vec<_> = announcements
            .iter()
            .map(|announcement| AnnouncementToCheck { announcement, parent: &PARENT })
            .collect();
        let [plain, other] = Backend::ALL
            .map(|backend| Checker::on(Rules::NEW_CHAIN, backend).check(&batch, ProofVersion::CURRENT));
        assert_eq!(plain, other);
        plain
    }

    #[test]
    fn groups_of_every_size_with_a_damaged_member_at_any_place() {
        let announcements = mined(1);
        // Damage at: soft nonce, hard nonce, work bits, first and last sibling, root, prefix.
        let places = [1, 4, 8, 88, 919, 920, 1023];
        for (round, size) in [1, 2, 3, 4, 31, 32, 33, 63, 64, 65, 127, 130, 300].into_iter().enumerate() {
            for place in places {
                let mut group = announcements[..size].to_vec();
                let damaged = (round * 37 + place) % size;
                let mut bytes = *group[damaged].as_bytes();
                bytes[place] ^= 0x10;
                group[damaged] = Announcement::from(bytes);
                for (index, verdict) in verdicts(&group).into_iter().enumerate() {
                    assert_eq!(verdict.is_err(), index == damaged, "{index} of {size}, damage at {place}");
                }
            }
        }
    }

    #[test]
    fn groups_mixed_with_others_get_the_verdicts_of_each() {
        let (one, other) = (mined(2), mined(3));
        let mixed: Vec<Announcement> =
            one.iter().take(40).zip(&other).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
        assert!(verdicts(&mixed).iter().all(Result::is_ok));
    }
}
