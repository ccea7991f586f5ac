//! Which announcements have their tables in common, and so which are best checked together.

use super::AnnouncementToCheck;
use crate::BlockHash;
use crate::announcement::HEADER_SIZE;
use crate::crypto_cycle::BATCH_MAX;

/// What makes the tables of an announcement. Announcements where this is the same, those of one hard nonce, have them
/// in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Origin {
    pub header: [u8; HEADER_SIZE],
    pub parent: BlockHash,
    pub merkle_root: [u8; 64],
}

impl Origin {
    pub(super) fn of(to_check: &AnnouncementToCheck<'_>) -> Self {
        let AnnouncementToCheck { announcement, parent } = to_check;
        Self {
            header: announcement.header_bytes(),
            parent: **parent,
            merkle_root: *announcement.merkle_root(),
        }
    }
}

/// What it costs to check an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CostClass {
    /// Enough others of the same hard nonce are checked with it.
    Grouped,
    /// It shares its programs with few others or none: about ten times as much.
    Ungrouped,
}

/// Announcements that are best checked together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wave {
    /// Their places in the batch, at most [`BATCH_MAX`], those of one hard nonce side by side.
    pub members: Vec<usize>,
    /// What each of them costs.
    pub cost: CostClass,
}

/// Announcements of one hard nonce that make the cost of each that of [`CostClass::Grouped`].
pub const GROUP_MIN: usize = 8;

/// Divides a batch into waves: first those of large groups, then the rest.
pub fn waves(batch: &[AnnouncementToCheck<'_>]) -> Vec<Wave> {
    let origins: Vec<Origin> = batch.iter().map(Origin::of).collect();
    let mut order: Vec<usize> = (0..batch.len()).collect();
    order.sort_by(|&one, &other| origins[one].cmp(&origins[other]));
    let mut grouped = Filling::new(CostClass::Grouped, BATCH_MAX);
    let mut ungrouped = Filling::new(CostClass::Ungrouped, UNGROUPED_MAX);
    for group in order.chunk_by(|&one, &other| origins[one] == origins[other]) {
        for part in group.chunks(BATCH_MAX) {
            // What is left of a large group costs no more than the group.
            let large = group.len() >= BATCH_MAX || part.len() >= GROUP_MIN;
            if large { &mut grouped } else { &mut ungrouped }.add(part);
        }
    }
    grouped.waves.into_iter().chain(ungrouped.waves).collect()
}

/// Ungrouped announcements of a wave. Each has programs of its own, and those of more would not stay in the caches from
/// one item to the next.
const UNGROUPED_MAX: usize = 32;

/// Waves that are looked at for room.
const LOOKED_AT: usize = 4;

/// Waves being filled.
struct Filling {
    cost: CostClass,
    members_max: usize,
    waves: Vec<Wave>,
}

impl Filling {
    fn new(cost: CostClass, members_max: usize) -> Self {
        Self { cost, members_max, waves: Vec::new() }
    }

    /// Adds announcements of one origin, which stay together: a run of lanes for half a group costs as much as for all.
    fn add(&mut self, part: &[usize]) {
        let has_room = |wave: &&mut Wave| wave.members.len() + part.len() <= self.members_max;
        match self.waves.iter_mut().rev().take(LOOKED_AT).find(has_room) {
            Some(wave) => wave.members.extend(part),
            None => self.waves.push(Wave { members: part.to_vec(), cost: self.cost }),
        }
    }
}
