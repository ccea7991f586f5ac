//! The check of up to 64 announcements at once, of any origins.
//!
//! They go through the steps of `alone` side by side. What is the same code for all (passes, hashes, Merkle levels) is
//! done for all in lanes. Programs are another for each origin: where enough announcements share one, lanes run it for
//! all of these; otherwise items are run one by one, and only their last pass is done in lanes.

use std::ops::Range;
use std::sync::Arc;

use super::origin::Origin;
use super::programs::{LazyRecipe, ProgramCache, Programs};
use super::{AnnouncementFault, AnnouncementToCheck, Finding};
use crate::announcement::ITEM_PREFIX_SIZE;
use crate::attempt::attempt_all;
use crate::backend::Backend;
use crate::crypto_cycle::{BATCH_MAX, Batch, ITEM_PART, State};
use crate::hash::blake2b_512_many;
use crate::item::{ITEM_SIZE, Item, ItemNumber, Recipe, Workshop};
use crate::merkle::{Branch, roots_of};
use crate::rand_hash::TooLong;
use crate::{Announcement, WorkHash};

/// The buffers of a wave.
#[derive(Debug)]
pub(super) struct Lanes {
    attempts: Batch,
    maker: ItemMaker,
    items: Box<[Item]>,
    starts: Box<[State]>,
}

/// Announcements of one origin, side by side in their wave.
struct Group {
    members: Range<usize>,
    programs: Arc<Programs>,
}

/// What was found so far: the faults of those that have one.
type Faults = [Option<AnnouncementFault>; BATCH_MAX];

impl Lanes {
    pub(super) fn on(backend: Backend) -> Self {
        Self {
            attempts: Batch::new(backend),
            maker: ItemMaker {
                sealing: Batch::new(backend),
                unsealed: vec![State::default(); BATCH_MAX].into_boxed_slice(),
                places: Vec::with_capacity(BATCH_MAX),
            },
            items: vec![[0; ITEM_SIZE]; BATCH_MAX].into_boxed_slice(),
            starts: vec![State::default(); BATCH_MAX].into_boxed_slice(),
        }
    }

    /// What is found about each of at most 64 announcements of version 1 and more, whose headers are in order and of
    /// which those of one origin lie side by side.
    pub(super) fn check(
        &mut self,
        wave: &[AnnouncementToCheck<'_>],
        programs: &ProgramCache,
        workshop: &mut Workshop,
    ) -> Vec<Finding> {
        if wave.is_empty() {
            return Vec::new();
        }
        let groups = groups(wave, programs);
        let mut faults = [None; BATCH_MAX];
        let mut work_hashes = [WorkHash::default(); BATCH_MAX];
        let fourth_items = self.attempt(wave, &groups, &mut work_hashes, &mut faults, workshop);
        let opened = self.open(wave, &work_hashes, &mut faults);
        self.prove(&opened, &groups, &fourth_items, &mut faults, workshop);
        let findings = faults.into_iter().zip(work_hashes).take(wave.len());
        findings.map(|(fault, work_hash)| fault.map_or(Ok(work_hash), Err)).collect()
    }

    /// The attempts, through four items each. Gives the numbers of the fourth items.
    fn attempt(
        &mut self,
        wave: &[AnnouncementToCheck<'_>],
        groups: &[Group],
        work_hashes: &mut [WorkHash; BATCH_MAX],
        faults: &mut Faults,
        workshop: &mut Workshop,
    ) -> [ItemNumber; BATCH_MAX] {
        let Self { attempts, maker, items, starts } = self;
        for group in groups {
            for member in group.members.clone() {
                let nonce = wave[member].announcement.soft_nonce();
                group.programs.attempts.start(nonce.into(), &mut starts[member]);
            }
        }
        attempts.copy_from(starts[..wave.len()].iter());
        let mut is_first = true;
        let attempted = attempt_all(attempts, work_hashes, |attempts, wanted, kept| {
            if is_first {
                maker.make_first(groups, wanted, items, faults, workshop);
            } else {
                maker.make(groups, Table::Hash, wanted, items, faults, workshop);
            }
            is_first = false;
            attempts.update(|index| &items[index], kept);
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(fourth_items) = attempted;
        fourth_items
    }

    /// Decrypts the proofs, and looks at what they show without the proof table.
    fn open(
        &self,
        wave: &[AnnouncementToCheck<'_>],
        work_hashes: &[WorkHash; BATCH_MAX],
        faults: &mut Faults,
    ) -> Vec<Announcement> {
        let open = |(index, to_check): (usize, &AnnouncementToCheck<'_>)| {
            let mut opened = to_check.announcement.clone();
            opened.crypt(self.attempts.state(index));
            let work_hash = work_hashes[index];
            if opened.item_prefix() != &[0; ITEM_PREFIX_SIZE] {
                faults[index].get_or_insert(AnnouncementFault::InvalidItem4);
            } else if !opened.work_bits().is_met_by(&work_hash.0) {
                faults[index].get_or_insert(AnnouncementFault::InsufficientWork { work_hash });
            }
            opened
        };
        wave.iter().enumerate().map(open).collect()
    }

    /// Checks the branches of the fourth items.
    fn prove(
        &mut self,
        opened: &[Announcement],
        groups: &[Group],
        fourth_items: &[ItemNumber; BATCH_MAX],
        faults: &mut Faults,
        workshop: &mut Workshop,
    ) {
        let count = opened.len();
        if faults[..count].iter().all(Option::is_some) {
            return;
        }
        self.maker.make(groups, Table::Proof, &fourth_items[..count], &mut self.items, faults, workshop);
        let mut leaves = [[0; 64]; BATCH_MAX];
        blake2b_512_many(&self.items[..count], &mut leaves[..count]);
        let branches: Vec<Branch> = opened.iter().map(Announcement::merkle_siblings).collect();
        let roots = roots_of(&leaves[..count], &fourth_items[..count], &branches);
        for (index, (root, announcement)) in roots.iter().zip(opened).enumerate() {
            if root != announcement.merkle_root() {
                faults[index].get_or_insert(AnnouncementFault::InvalidMerkle);
            }
        }
    }
}

fn groups(wave: &[AnnouncementToCheck<'_>], programs: &ProgramCache) -> Vec<Group> {
    let origins: Vec<Origin> = wave.iter().map(Origin::of).collect();
    let mut first = 0;
    let group = |origins: &[Origin]| {
        let members = first..first + origins.len();
        first = members.end;
        Group { members, programs: programs.get(origins[0].clone()) }
    };
    origins.chunk_by(|one, other| one == other).map(group).collect()
}

/// Which of the two tables of an announcement.
#[derive(Clone, Copy)]
enum Table {
    Hash,
    Proof,
}

impl Table {
    fn recipe(self, programs: &Programs) -> &LazyRecipe {
        match self {
            Self::Hash => &programs.hash_table,
            Self::Proof => &programs.proof_table,
        }
    }

    /// Its program cannot be made.
    fn bad_program(self) -> AnnouncementFault {
        match self {
            Self::Hash => AnnouncementFault::BadProgram,
            Self::Proof => AnnouncementFault::BadProgram0,
        }
    }

    /// Its program runs for too long.
    fn too_long(self) -> AnnouncementFault {
        match self {
            Self::Hash => AnnouncementFault::BadProgramExec,
            Self::Proof => AnnouncementFault::BadProgram0Exec,
        }
    }
}

/// Makes the items that a wave wants next, one for each announcement without a fault.
#[derive(Debug)]
struct ItemMaker {
    sealing: Batch,
    /// States of items whose programs have run one by one, and the places that the items belong to.
    unsealed: Box<[State]>,
    places: Vec<usize>,
}

impl ItemMaker {
    /// The first items: all announcements of an origin want the same, which is kept with its programs.
    fn make_first(
        &mut self,
        groups: &[Group],
        wanted: &[ItemNumber],
        items: &mut [Item],
        faults: &mut Faults,
        workshop: &mut Workshop,
    ) {
        let mut new = Vec::with_capacity(groups.len());
        for group in groups {
            if let Some(item) = group.programs.first_item.get() {
                items[group.members.clone()].fill(**item);
                continue;
            }
            let Some(recipe) = recipe(group, Table::Hash, faults, workshop) else { continue };
            let first = group.members.start;
            self.run(recipe, wanted[first], first, workshop)
                .map_or_else(|TooLong| blame(group, faults, Table::Hash.too_long()), |()| new.push(group));
        }
        self.seal(items);
        for Group { members, programs } in new {
            let item = items[members.start];
            items[members.clone()].fill(item);
            programs.first_item.get_or_init(|| Box::new(item));
        }
    }

    fn make(
        &mut self,
        groups: &[Group],
        table: Table,
        wanted: &[ItemNumber],
        items: &mut [Item],
        faults: &mut Faults,
        workshop: &mut Workshop,
    ) {
        for group in groups {
            let members = group.members.clone();
            if faults[members.clone()].iter().all(Option::is_some) {
                continue;
            }
            let Some(recipe) = recipe(group, table, faults, workshop) else { continue };
            let numbers = &wanted[members.clone()];
            // A program that is too long for one of them need not be so for the others.
            if recipe.pays_in_lanes(numbers.len(), workshop)
                && recipe.items(numbers, workshop, &mut items[members.clone()]).is_ok()
            {
                continue;
            }
            for member in members.filter(|&member| faults[member].is_none()).collect::<Vec<_>>() {
                if self.run(recipe, wanted[member], member, workshop).is_err() {
                    faults[member] = Some(table.too_long());
                }
            }
        }
        self.seal(items);
    }

    /// Runs the program for one item, which [`ItemMaker::seal`] will finish.
    fn run(
        &mut self,
        recipe: &Recipe,
        number: ItemNumber,
        place: usize,
        workshop: &mut Workshop,
    ) -> Result<(), TooLong> {
        self.unsealed[self.places.len()].clone_from(recipe.unsealed(number, workshop)?);
        self.places.push(place);
        Ok(())
    }

    /// The last pass of all items that were run one by one.
    fn seal(&mut self, items: &mut [Item]) {
        self.sealing.copy_from(self.unsealed[..self.places.len()].iter());
        self.sealing.crypt(&ITEM_PART);
        for (index, place) in self.places.drain(..).enumerate() {
            items[place] = *self.sealing.item_part(index);
        }
    }
}

/// The recipe of a group's table; if there is none, that is the fault of all.
fn recipe<'a>(
    group: &'a Group,
    table: Table,
    faults: &mut Faults,
    workshop: &mut Workshop,
) -> Option<&'a Recipe> {
    let recipe = table.recipe(&group.programs).get(workshop);
    recipe.inspect_err(|_| blame(group, faults, table.bad_program())).ok()
}

fn blame(group: &Group, faults: &mut Faults, fault: AnnouncementFault) {
    for of_member in &mut faults[group.members.clone()] {
        of_member.get_or_insert(fault);
    }
}
