//! The check of one announcement, as the specification reads.

use super::origin::Origin;
use super::programs::{ProgramCache, Programs};
use super::{AnnouncementFault, AnnouncementToCheck, Finding};
use crate::Announcement;
use crate::announcement::ITEM_PREFIX_SIZE;
use crate::attempt::attempt;
use crate::crypto_cycle::State;
use crate::item::{ITEM_SIZE, Item, ItemNumber, Workshop, memohash_item, update_version_0};
use crate::merkle::{is_proven, leaf_hash};

/// The buffer that it takes.
#[derive(Debug, Default)]
pub(super) struct Alone {
    state: State,
}

impl Alone {
    /// What is found about an announcement whose header is in order.
    pub(super) fn check(
        &mut self,
        to_check: &AnnouncementToCheck<'_>,
        programs: &ProgramCache,
        workshop: &mut Workshop,
    ) -> Finding {
        let programs = programs.get(Origin::of(to_check));
        if to_check.announcement.version() == 0 {
            self.check_version_0(to_check.announcement, &programs, workshop)
        } else {
            self.check_version_1(to_check.announcement, &programs, workshop)
        }
    }

    fn check_version_1(
        &mut self,
        announcement: &Announcement,
        programs: &Programs,
        workshop: &mut Workshop,
    ) -> Finding {
        let hash_table = programs.hash_table.get(workshop).map_err(|_| AnnouncementFault::BadProgram)?;
        programs.attempts.start(announcement.soft_nonce().into(), &mut self.state);
        let attempted = attempt(&mut self.state, |state, wanted, kept| {
            let item = hash_table.item(wanted, workshop).map_err(|_| AnnouncementFault::BadProgramExec)?;
            state.update_keeping(item, kept);
            Ok(())
        })?;

        let mut opened = announcement.clone();
        opened.crypt(self.state.as_bytes());
        if opened.item_prefix() != &[0; ITEM_PREFIX_SIZE] {
            return Err(AnnouncementFault::InvalidItem4);
        }
        let work_hash = attempted.work_hash;
        if !opened.work_bits().is_met_by(&work_hash.0) {
            return Err(AnnouncementFault::InsufficientWork { work_hash });
        }
        let proof_table = programs.proof_table.get(workshop).map_err(|_| AnnouncementFault::BadProgram0)?;
        let proven = proof_table
            .item(attempted.fourth_item, workshop)
            .map_err(|_| AnnouncementFault::BadProgram0Exec)?;
        check_branch(&opened, proven, attempted.fourth_item)?;
        Ok(work_hash)
    }

    fn check_version_0(
        &mut self,
        announcement: &Announcement,
        programs: &Programs,
        workshop: &mut Workshop,
    ) -> Finding {
        programs.attempts.start(announcement.soft_nonce().into(), &mut self.state);
        let mut item = [0; ITEM_SIZE];
        let attempted = attempt(&mut self.state, |state, wanted, _| {
            item = memohash_item(programs.memohash_seed(), wanted);
            update_version_0(state, &item, workshop).map_err(|_| AnnouncementFault::Invalid)
        })?;
        if !item.starts_with(announcement.item_prefix()) {
            return Err(AnnouncementFault::InvalidItem4);
        }
        let work_hash = attempted.work_hash;
        if !announcement.work_bits().is_met_by(&work_hash.0) {
            return Err(AnnouncementFault::InsufficientWork { work_hash });
        }
        check_branch(announcement, &item, attempted.fourth_item)?;
        Ok(work_hash)
    }
}

/// The branch of the fourth item, in clear.
fn check_branch(
    opened: &Announcement,
    proven: &Item,
    fourth_item: ItemNumber,
) -> Result<(), AnnouncementFault> {
    let leaf = leaf_hash(proven);
    let proves = is_proven(&leaf, fourth_item, &opened.merkle_siblings(), opened.merkle_root());
    if proves { Ok(()) } else { Err(AnnouncementFault::InvalidMerkle) }
}
