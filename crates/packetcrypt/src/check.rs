//! Checking announcements: a batch in, a verdict for each out.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 7.1. The order of the steps is that of the consensus authority,
//! after one of our own: work bits that no peer survives are refused before anything else ([`AnnouncementFault::BadBits`]).

use crate::announcement::{HEADER_SIZE, ITEM_PREFIX_SIZE, attempt_seed, hash_table_seed};
use crate::attempt::{Attempted, attempt};
use crate::crypto_cycle::{State, Template};
use crate::item::{BadProgram, ITEM_SIZE, Item, Recipe, Workshop, memohash_item, update_version_0};
use crate::merkle::{is_proven, leaf_hash};
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
    shared: Shared,
}

impl Checker {
    /// A checker of a chain's announcements.
    pub fn new(rules: Rules) -> Self {
        Self { rules, workshop: Workshop::new(), state: State::default(), shared: Shared::default() }
    }

    /// The verdict on each announcement, in the same order: its work hash, or what is wrong with it.
    ///
    /// Announcements of one hard nonce cost half as much in one batch, or one after the other, as others do.
    pub fn check(
        &mut self,
        batch: &[AnnouncementToCheck<'_>],
        proof_version: ProofVersion,
    ) -> Vec<Result<WorkHash, AnnouncementFault>> {
        let mut order: Vec<usize> = (0..batch.len()).collect();
        order.sort_by_cached_key(|&index| Origin::of(&batch[index]));
        let mut verdicts = vec![Err(AnnouncementFault::BadBits); batch.len()];
        for index in order {
            verdicts[index] = self.check_one(&batch[index], proof_version);
        }
        verdicts
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
        opened.crypt(state);
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
