//! Every backend against the plain one, which checks one announcement after the other.

use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::origin::Origin;
use super::programs::{LazyRecipe, Programs};
use super::*;
use crate::item::{BadProgram, Recipe};
use crate::mine::Miner;
use crate::rand_gen::TooBig;
use crate::{AnnouncementHeader, CompactTarget};

const PARENT: BlockHash = BlockHash::from_internal([5; 32]);

/// Bytes of which a change shows at different steps: soft nonce, hard nonce, work bits, first and last sibling, root,
/// item prefix.
const PLACES: [usize; 7] = [1, 4, 8, 88, 919, 920, 1023];

/// Announcements of five hard nonces, about 512 each.
static MINED: LazyLock<Vec<Vec<Announcement>>> = LazyLock::new(|| (0..5).map(mined).collect());

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

fn damaged(announcement: &Announcement, place: usize) -> Announcement {
    let mut bytes = *announcement.as_bytes();
    bytes[place] ^= 0x10;
    Announcement::from(bytes)
}

fn to_check(announcements: &[Announcement]) -> Vec<AnnouncementToCheck<'_>> {
    announcements.iter().map(|announcement| AnnouncementToCheck { announcement, parent: &PARENT }).collect()
}

/// Checkers on every backend that the processor can run, the plain one first.
struct Checkers(Vec<Checker>);

impl Checkers {
    fn keeping(programs: usize) -> Self {
        let supported = Backend::ALL.into_iter().filter(|backend| backend.is_supported());
        let checker = |backend| {
            Checker::with_programs(Rules::NEW_CHAIN, backend, Arc::new(ProgramCache::new(programs)))
        };
        Self(supported.map(checker).collect())
    }

    /// What all find about the same batch; they must agree.
    fn check(&mut self, announcements: &[Announcement]) -> Vec<Finding> {
        let batch = to_check(announcements);
        let mut findings = self.0.iter_mut().map(|checker| checker.check(&batch, ProofVersion::CURRENT));
        let plain = findings.next().unwrap();
        findings.for_each(|other| assert_eq!(other, plain));
        plain
    }
}

#[test]
fn groups_of_every_size_with_damage_at_every_position() {
    let mut checkers = Checkers::keeping(8);
    for size in [1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 63, 64, 65, 96, 127, 130, 255, 300, 511, 513] {
        for phase in 0..4 {
            let is_damaged = |index: usize| index % 4 == phase;
            let one = |(index, announcement): (usize, &Announcement)| {
                if is_damaged(index) {
                    damaged(announcement, PLACES[index / 4 % PLACES.len()])
                } else {
                    announcement.clone()
                }
            };
            let group: Vec<_> = MINED[1].iter().cycle().take(size).enumerate().map(one).collect();
            for (index, finding) in checkers.check(&group).into_iter().enumerate() {
                assert_eq!(finding.is_err(), is_damaged(index), "{index} of {size}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Few programs are kept, so that origins come back after they have made room for others.
    #[test]
    fn any_mixture_gets_the_findings_of_each(
        batches in proptest::collection::vec(
            proptest::collection::vec((0..5usize, 0..512usize, proptest::option::weighted(0.2, 0..PLACES.len())), 0..200),
            1..4,
        ),
        kept in 0..6usize,
    ) {
        let mut checkers = Checkers::keeping(kept);
        for batch in batches {
            let announcements: Vec<_> = batch
                .iter()
                .map(|(hard_nonce, index, damage)| {
                    let announcement = &MINED[*hard_nonce][index % MINED[*hard_nonce].len()];
                    damage.map_or_else(|| announcement.clone(), |place| damaged(announcement, PLACES[place]))
                })
                .collect();
            let findings = checkers.check(&announcements);
            for ((.., damage), finding) in batch.iter().zip(findings) {
                prop_assert_eq!(finding.is_err(), damage.is_some());
            }
            for checker in &checkers.0 {
                prop_assert!(checker.programs.figures().kept <= kept);
            }
        }
    }
}

#[test]
fn announcements_that_share_nothing_are_checked_beside_each_other() {
    let mut checkers = Checkers::keeping(3);
    let alone: Vec<_> = (0..70).map(|hard_nonce| mined(100 + hard_nonce).swap_remove(0)).collect();
    assert!(checkers.check(&alone).iter().all(Result::is_ok));
    let mixed: Vec<_> = alone.iter().flat_map(|one| [one.clone(), damaged(one, 88)]).collect();
    let findings = checkers.check(&mixed);
    for pair in findings.chunks(2) {
        assert!(pair[0].is_ok());
        assert_eq!(pair[1], Err(AnnouncementFault::InvalidMerkle));
    }
}

#[test]
fn a_program_that_is_none_or_too_long_is_the_fault_of_its_group_only() {
    // A loop of 4095 inside one of 4095.
    let too_long = || Ok(Recipe::of_code(&[0xfff0_0042, 0xfff0_0042, 0x40, 0x46, 0x46]));
    let too_big = || Err(BadProgram::TooBig(TooBig));
    let cases: [(bool, Result<Recipe, BadProgram>, AnnouncementFault); 4] = [
        (true, too_big(), AnnouncementFault::BadProgram),
        (true, too_long(), AnnouncementFault::BadProgramExec),
        (false, too_big(), AnnouncementFault::BadProgram0),
        (false, too_long(), AnnouncementFault::BadProgram0Exec),
    ];
    for (of_hash_table, recipe, fault) in cases {
        for count in [1, 12] {
            let mut checkers = Checkers::keeping(8);
            for checker in &checkers.0 {
                let origin = Origin::of(&to_check(&MINED[3])[0]);
                let recipe = LazyRecipe::made(recipe.clone());
                let sound = Programs::of(&origin);
                let programs = if of_hash_table {
                    Programs { hash_table: recipe, ..sound }
                } else {
                    Programs { proof_table: recipe, ..sound }
                };
                checker.programs.put(origin, programs);
            }
            let mut batch = MINED[3][..count].to_vec();
            batch.extend_from_slice(&MINED[4][..10]);
            batch.push(damaged(&MINED[3][0], 1023));
            let findings = checkers.check(&batch);
            assert!(findings[..count].iter().all(|finding| *finding == Err(fault)));
            assert!(findings[count..count + 10].iter().all(Result::is_ok));
            let of_damaged = if of_hash_table { fault } else { AnnouncementFault::InvalidItem4 };
            assert_eq!(findings[count + 10], Err(of_damaged));
        }
    }
}

#[test]
fn waves_take_every_announcement_once_and_keep_groups_whole() {
    let mut batch: Vec<_> = (0..5).flat_map(|hard_nonce| MINED[hard_nonce][..90].to_vec()).collect();
    batch.extend((0..5).map(|hard_nonce| damaged(&MINED[hard_nonce][0], 4)));
    let batch = to_check(&batch);
    let waves = waves(&batch);
    let mut members: Vec<usize> = waves.iter().flat_map(|wave| wave.members.clone()).collect();
    members.sort_unstable();
    assert!(members.into_iter().eq(0..batch.len()));
    assert!(waves.iter().all(|wave| wave.members.len() <= 64));
    assert!(waves.is_sorted_by_key(|wave| wave.cost == CostClass::Ungrouped));
    let grouped = waves.iter().filter(|wave| wave.cost == CostClass::Grouped);
    assert_eq!(grouped.map(|wave| wave.members.len()).sum::<usize>(), 450);
    let single: Vec<_> = waves.iter().filter(|wave| wave.cost == CostClass::Ungrouped).collect();
    assert!(single.iter().all(|wave| wave.members.iter().all(|&index| index >= 450)));
}

#[test]
fn checkers_can_share_programs() {
    let programs = Arc::new(ProgramCache::new(16));
    let backend = Backend::chosen();
    for _ in 0..2 {
        let mut checker = Checker::with_programs(Rules::NEW_CHAIN, backend, Arc::clone(&programs));
        assert!(checker.check(&to_check(&MINED[0][..4]), ProofVersion::CURRENT).iter().all(Result::is_ok));
    }
    let ProgramCacheFigures { kept, asked, found } = programs.figures();
    assert_eq!(kept, 1);
    assert!(found > 0 && found < asked);
}
