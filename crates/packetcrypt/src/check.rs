//! Checking announcements: a batch in, a verdict for each out.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 7.1. The order of the steps is that of the consensus authority,
//! but for two of them. Work bits that no peer survives are refused before anything else
//! ([`AnnouncementFault::BadBits`]), and the work is tested before the proof of the fourth item, which costs a fifth of
//! the whole: of an announcement where both are wrong we name the work.
//!
//! `alone` checks one announcement, as the specification reads: the truth, and all there is on the plain backend. On the
//! others `wave` takes up to 64 through the steps together, whatever they are made of; those of one `origin` also share
//! what makes their tables (`programs`, kept from call to call), and lanes make their items.

mod alone;
mod origin;
mod programs;
mod wave;

use std::sync::Arc;

use crate::backend::Backend;
use crate::item::Workshop;
use crate::{Announcement, BlockHash, Height, WorkHash};

use alone::Alone;
pub use origin::{CostClass, GROUP_MIN, Wave, waves};
pub use programs::{ProgramCache, ProgramCacheFigures};
use wave::Lanes;

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

/// What is found about an announcement: its work hash, or what is wrong with it.
pub type Finding = Result<WorkHash, AnnouncementFault>;

/// Origins whose programs a checker keeps that shares them with no other.
const PROGRAMS_KEPT: usize = 128;

/// Checks announcements. Keeps its buffers from one batch to the next: one for each thread.
#[derive(Debug)]
pub struct Checker {
    rules: Rules,
    workshop: Workshop,
    programs: Arc<ProgramCache>,
    alone: Alone,
    /// None on the plain backend.
    lanes: Option<Lanes>,
}

impl Checker {
    /// A checker of a chain's announcements, on the backend that is [chosen](Backend::chosen).
    pub fn new(rules: Rules) -> Self {
        Self::on(rules, Backend::chosen())
    }

    /// A checker on a backend, or on the plain one if the processor cannot run that.
    pub fn on(rules: Rules, backend: Backend) -> Self {
        Self::with_programs(rules, backend, Arc::new(ProgramCache::new(PROGRAMS_KEPT)))
    }

    /// As [`Checker::on`], with programs that are shared with other checkers on the same backend.
    pub fn with_programs(rules: Rules, backend: Backend, programs: Arc<ProgramCache>) -> Self {
        let lanes = (backend != Backend::Plain && backend.is_supported()).then(|| Lanes::on(backend));
        Self { rules, workshop: Workshop::on(backend), programs, alone: Alone::default(), lanes }
    }

    /// What is found about each announcement, in the same order.
    ///
    /// Announcements of one hard nonce share their programs, in one call or one after the other. Where there are
    /// lanes, one of 64 that share them costs about a tenth of one that shares with none.
    pub fn check(&mut self, batch: &[AnnouncementToCheck<'_>], proof_version: ProofVersion) -> Vec<Finding> {
        let mut findings = vec![Err(AnnouncementFault::BadBits); batch.len()];
        for Wave { members, .. } in waves(batch) {
            let mut sound = Vec::with_capacity(members.len());
            for index in members {
                match check_header(batch[index].announcement, self.rules, proof_version) {
                    Ok(()) => sound.push(index),
                    Err(fault) => findings[index] = Err(fault),
                }
            }
            self.check_sound(batch, &sound, &mut findings);
        }
        findings
    }

    /// Checks announcements whose headers are in order, those of one origin side by side.
    fn check_sound(
        &mut self,
        batch: &[AnnouncementToCheck<'_>],
        members: &[usize],
        findings: &mut [Finding],
    ) {
        let Self { workshop, programs, alone, lanes, .. } = self;
        match lanes {
            Some(lanes) if members.iter().all(|&index| batch[index].announcement.version() > 0) => {
                let wave: Vec<_> = members.iter().map(|&index| batch[index]).collect();
                for (&index, finding) in members.iter().zip(lanes.check(&wave, programs, workshop)) {
                    findings[index] = finding;
                }
            }
            _ => {
                for &index in members {
                    findings[index] = alone.check(&batch[index], programs, workshop);
                }
            }
        }
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

#[cfg(test)]
mod tests;
