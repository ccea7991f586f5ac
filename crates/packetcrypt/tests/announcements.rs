//! Announcements from end to end: what is mined is valid, what is changed is not, and nothing a stranger sends does
//! any harm. Pitfalls are those of section 9 of `docs/protocol/packetcrypt-announcements.md`; the material comes from
//! `vectors/announcements`, whose files `cargo xtask vectors` runs in full.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::sync::atomic::AtomicBool;
use std::sync::{LazyLock, Mutex};

use packetcrypt::announcement::ANNOUNCEMENT_SIZE;
use packetcrypt::check::{AnnouncementFault, AnnouncementToCheck, Checker, ProofVersion, Rules};
use packetcrypt::item::{Recipe, Table, Workshop};
use packetcrypt::merkle::Tree;
use packetcrypt::mine::hard_nonce::CANDIDATES;
use packetcrypt::mine::{End, Mined, Miner, Unusable};
use packetcrypt::rand_gen::Generator;
use packetcrypt::{Announcement, AnnouncementHeader, BlockHash, CompactTarget, Height, SigningKey, WorkHash};
use proptest::prelude::*;
use serde_json::Value;

type Verdict = Result<WorkHash, AnnouncementFault>;

fn check(announcement: &Announcement, parent: &BlockHash, proof_version: u8) -> Verdict {
    let mut checker = Checker::new(Rules::PKT);
    checker.check(&[AnnouncementToCheck { announcement, parent }], ProofVersion(proof_version)).remove(0)
}

fn header(hard_nonce: u32) -> AnnouncementHeader {
    AnnouncementHeader {
        version: 1,
        hard_nonce,
        work_bits: CompactTarget::EASIEST,
        parent_height: Height(122_700),
        content_type: 7,
        content_length: 8,
        content_hash: [9; 32],
        signing_key: SigningKey::new([10; 32]),
    }
}

fn parent() -> BlockHash {
    BlockHash::from_internal(std::array::from_fn(|index| index as u8))
}

/// All announcements of two hard nonces.
static MINED: LazyLock<Vec<Announcement>> = LazyLock::new(|| {
    let mut miner = Miner::new();
    let mut found = Vec::new();
    for hard_nonce in [1, 2] {
        let mined =
            miner.mine(&header(hard_nonce), &parent(), &AtomicBool::new(false), |new| found.push(new));
        assert_eq!((mined.attempts, mined.end), (1024, End::Exhausted));
    }
    found
});

/// Rows of a vector file that meet a condition.
fn rows(file: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let path = format!("{}/../../vectors/announcements/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).filter(wanted).collect();
    assert!(!rows.is_empty(), "{file} has no such row");
    rows
}

fn bytes<const N: usize>(row: &Value, key: &str) -> [u8; N] {
    let mut bytes = [0; N];
    hex::decode_to_slice(row[key].as_str().unwrap(), &mut bytes).unwrap();
    bytes
}

fn check_row(row: &Value, proof_version: u8) -> Verdict {
    let parent = BlockHash::from_internal(bytes(row, "parent"));
    check(&Announcement::from(bytes(row, "ann")), &parent, proof_version)
}

fn mutation(row: &Value, text: &str) -> bool {
    row["mutation"].as_str().unwrap().contains(text)
}

#[test]
fn everything_mined_is_valid_in_a_batch_and_alone() {
    let mined = &*MINED;
    assert!(mined.len() > 850, "half of 2048 attempts meet the easiest target, not {}", mined.len());
    let parent = parent();
    // Turn by turn from both ends, so that the hard nonces alternate.
    let mixed = mined.iter().zip(mined.iter().rev()).flat_map(|(one, other)| [one, other]).take(mined.len());
    let batch: Vec<_> =
        mixed.map(|announcement| AnnouncementToCheck { announcement, parent: &parent }).collect();
    let verdicts = Checker::new(Rules::PKT).check(&batch, ProofVersion::CURRENT);
    assert_eq!(verdicts.len(), batch.len());
    for (to_check, verdict) in batch.iter().zip(&verdicts) {
        let work_hash = verdict.unwrap();
        assert!(to_check.announcement.work_bits().is_met_by(&work_hash.0));
    }
    for (to_check, verdict) in batch.iter().zip(&verdicts).step_by(97) {
        assert_eq!(check(to_check.announcement, &parent, 2), *verdict);
    }
}

#[test]
fn verdicts_stand_in_the_order_of_their_announcements() {
    let parent = parent();
    let [good, mut unproven, mut altered] = [0, 1, 2].map(|index| *MINED[index].as_bytes());
    unproven[100] ^= 1;
    altered[1010] ^= 1;
    let batch = [unproven, good, altered, good].map(Announcement::from);
    let to_check: Vec<_> =
        batch.iter().map(|announcement| AnnouncementToCheck { announcement, parent: &parent }).collect();
    let verdicts = Checker::new(Rules::PKT).check(&to_check, ProofVersion::CURRENT);
    assert_eq!(verdicts[0], Err(AnnouncementFault::InvalidMerkle));
    assert_eq!(verdicts[2], Err(AnnouncementFault::InvalidItem4));
    assert!(verdicts[1].is_ok() && verdicts[1] == verdicts[3]);
}

#[test]
fn the_work_is_tested_before_the_proof_of_the_fourth_item() {
    for row in rows("anns_invalid.jsonl", |row| mutation(row, "complete, but work hash above target")) {
        let parent = BlockHash::from_internal(bytes(&row, "parent"));
        let mut unproven: [u8; ANNOUNCEMENT_SIZE] = bytes(&row, "ann");
        unproven[100] ^= 1;
        for count in [1, 10] {
            let announcements = vec![Announcement::from(unproven); count];
            let batch: Vec<_> = announcements
                .iter()
                .map(|announcement| AnnouncementToCheck { announcement, parent: &parent })
                .collect();
            for finding in Checker::new(Rules::PKT).check(&batch, ProofVersion::CURRENT) {
                assert!(matches!(finding, Err(AnnouncementFault::InsufficientWork { .. })), "{finding:?}");
            }
        }
    }
}

#[test]
fn pitfall_22_no_byte_of_a_valid_announcement_can_be_changed() {
    let parent = parent();
    let mut checker = Checker::new(Rules::PKT);
    for (position, original) in (0..ANNOUNCEMENT_SIZE).zip(MINED.iter().cycle()) {
        let mut bytes = *original.as_bytes();
        bytes[position] ^= 1 << (position % 8);
        let announcement = Announcement::from(bytes);
        let verdicts = checker.check(
            &[AnnouncementToCheck { announcement: &announcement, parent: &parent }],
            ProofVersion::CURRENT,
        );
        assert!(verdicts[0].is_err(), "byte {position} of {original:?}");
    }
}

#[test]
fn pitfall_1_version_0_is_that_of_the_consensus_authority() {
    for row in rows("anns_valid.jsonl", |row| row["version"] == 0).iter().take(3) {
        assert_eq!(check_row(row, 1), Ok(WorkHash(bytes(row, "work_hash"))));
    }
    for row in rows("anns_invalid.jsonl", |row| mutation(row, "made by the packetcrypt_rs miner")) {
        assert_eq!(check_row(&row, 1), Err(AnnouncementFault::InvalidItem4));
    }
}

#[test]
fn pitfall_2_a_program_that_cannot_be_made_is_refused() {
    let [row] = &rows("anns_invalid.jsonl", |row| mutation(row, "TOO_BIG"))[..] else {
        panic!("one such row")
    };
    let (crafted, parent) =
        (Announcement::from(bytes(row, "ann")), BlockHash::from_internal(bytes(row, "parent")));
    let parent_of_mined = self::parent();
    let crafted = AnnouncementToCheck { announcement: &crafted, parent: &parent };
    let good = AnnouncementToCheck { announcement: &MINED[0], parent: &parent_of_mined };
    // It does no harm to its neighbours, either.
    let mut checker = Checker::new(Rules::PKT);
    let verdicts = checker.check(&[good, crafted, good, crafted], ProofVersion::CURRENT);
    assert_eq!(
        (verdicts[1], verdicts[3]),
        (Err(AnnouncementFault::BadProgram), Err(AnnouncementFault::BadProgram))
    );
    assert!(verdicts[0].is_ok() && verdicts[2].is_ok());
}

#[test]
fn pitfall_3_zero_mantissa_is_refused_before_anything_else() {
    for bits in [0, 0x2000_0000, 0x0300_0000, 0xff00_0000, 0x0080_0000] {
        for version in [0, 1, 2, 255] {
            let mut bytes = [0; ANNOUNCEMENT_SIZE];
            bytes[0] = version;
            bytes[8..12].copy_from_slice(&u32::to_le_bytes(bits));
            assert_eq!(check(&bytes.into(), &parent(), 1), Err(AnnouncementFault::BadBits), "{bits:08x}");
        }
        let hopeless = AnnouncementHeader { work_bits: CompactTarget(bits), ..header(1) };
        let outcome = Miner::new().prepare(&hopeless, &parent(), &AtomicBool::new(false)).map(|_| ());
        assert_eq!(outcome, Err(Unusable::BadBits(CompactTarget(bits))));
    }
}

#[test]
fn the_cheapest_of_some_hard_nonces_is_the_one_whose_proof_table_takes_fewest_instructions() {
    let (mut miner, mut workshop) = (Miner::new(), Workshop::new());
    let mut cost = |hard_nonce| {
        let seed = header(hard_nonce).hash_with_parent(&parent());
        let recipe = Recipe::new(&seed, &mut workshop).unwrap();
        let runs = if recipe.program().reads_first_word() { 8192 } else { 1792 };
        runs * recipe.program().cost()
    };
    for first in [0, 100, u32::MAX - 20] {
        let cheapest = miner.cheapest(&header(0), &parent(), first..first + 20).unwrap();
        assert!((first..first + 20).all(|other| cost(cheapest) <= cost(other)));
    }
    assert_eq!(miner.cheapest(&header(0), &parent(), []), None);
}

#[test]
fn pitfalls_5_and_6_every_draw_is_made_in_its_order() {
    let mut generator = Generator::new();
    for row in rows("randgen_full.jsonl", |_| true) {
        let words: Vec<String> = generator
            .generate(&bytes(&row, "seed"))
            .unwrap()
            .iter()
            .map(|word| format!("{word:08x}"))
            .collect();
        assert_eq!(Value::from(words), row["words"]);
    }
}

#[test]
fn pitfall_14_the_key_stream_begins_with_the_work_hash() {
    let announcement = &MINED[0];
    let work_hash = check(announcement, &parent(), 2).unwrap();
    let (mut workshop, mut table, mut tree) = (Workshop::new(), Table::default(), Tree::default());
    let recipe = Recipe::new(&announcement.header().hash_with_parent(&parent()), &mut workshop).unwrap();
    table.fill(&recipe, &mut workshop, &AtomicBool::new(false)).unwrap();
    tree.grow(table.items());
    assert_eq!(tree.root(), announcement.merkle_root());
    let mut start_of_sibling = work_hash.0;
    for (byte, sent) in start_of_sibling.iter_mut().zip(announcement.merkle_siblings()[0]) {
        *byte ^= sent;
    }
    let leaves = table.items().iter().map(packetcrypt::merkle::leaf_hash);
    assert!(
        leaves.into_iter().any(|leaf| leaf.starts_with(&start_of_sibling)),
        "the sibling is a leaf in clear"
    );
}

#[test]
fn pitfall_18_targets_that_only_some_peers_accept_are_refused() {
    for row in rows("anns_invalid.jsonl", |row| mutation(row, "out-of-range bits")) {
        assert_eq!(check_row(&row, 2), Err(AnnouncementFault::BadBits));
    }
}

#[test]
fn pitfall_24_today_version_0_is_refused_whatever_it_holds() {
    for row in rows("anns_valid.jsonl", |row| row["version"] == 0) {
        assert_eq!(check_row(&row, ProofVersion::CURRENT.0), Err(AnnouncementFault::VersionMismatch));
    }
}

#[test]
fn the_first_height_of_version_1_is_a_rule_of_the_chain() {
    for row in rows("anns_invalid.jsonl", |row| mutation(row, "below 103869")) {
        assert_eq!(check_row(&row, 2), Err(AnnouncementFault::VersionNotAllowed));
        let parent = BlockHash::from_internal(bytes(&row, "parent"));
        let announcement = Announcement::from(bytes(&row, "ann"));
        let to_check = AnnouncementToCheck { announcement: &announcement, parent: &parent };
        assert!(Checker::new(Rules::NEW_CHAIN).check(&[to_check], ProofVersion::CURRENT)[0].is_ok());
    }
}

#[test]
fn mining_stops_when_told_and_refuses_what_it_cannot_do() {
    let mut miner = Miner::new();
    let nothing = |_| panic!("nothing can be found");
    let stopped = miner.mine(&header(3), &parent(), &AtomicBool::new(true), nothing);
    assert_eq!((stopped.attempts, stopped.end), (0, End::Stopped));
    let version_0 = AnnouncementHeader { version: 0, ..header(3) };
    let refused = miner.mine(&version_0, &parent(), &AtomicBool::new(false), nothing);
    assert_eq!(refused.end, End::Unusable(Unusable::VersionZero));
    assert!(!Unusable::VersionZero.is_of_this_hard_nonce_only());

    let stop = AtomicBool::new(false);
    let mut first = None;
    let cut_short = miner.mine(&header(3), &parent(), &stop, |announcement| {
        first.get_or_insert(u64::from(announcement.soft_nonce()));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(cut_short.end, End::Stopped);
    let after_the_first = cut_short.attempts - first.unwrap();
    assert!((1..=128).contains(&after_the_first), "within one batch: {after_the_first}");
}

#[test]
fn a_chosen_hard_nonce_is_of_those_drawn_last_and_mines_like_any_other() {
    let (mut miner, mut drawn) = (Miner::new(), 0);
    let next = || {
        drawn += 1;
        drawn
    };
    let mut found = Vec::new();
    let never = AtomicBool::new(false);
    let mined = miner.mine_chosen(&header(0), &parent(), next, &never, |new| found.push(new));
    assert_eq!(mined, Mined { attempts: 1024, end: End::Exhausted });
    let hard_nonce = found[0].hard_nonce();
    assert!(drawn % CANDIDATES == 0 && (drawn + 1 - CANDIDATES..=drawn).contains(&hard_nonce), "{drawn}");
    let mut same = Vec::new();
    Miner::new().mine(&header(hard_nonce), &parent(), &never, |new| same.push(new));
    assert_eq!(found, same);

    let nothing = |_| panic!("nothing can be found");
    let stopped = miner.mine_chosen(&header(0), &parent(), || 3, &AtomicBool::new(true), nothing);
    assert_eq!(stopped, Mined { attempts: 0, end: End::Stopped });
    let version_0 = AnnouncementHeader { version: 0, ..header(0) };
    let refused = miner.mine_chosen(&version_0, &parent(), || 3, &never, nothing);
    assert_eq!(refused.end, End::Unusable(Unusable::VersionZero));
}

#[test]
fn soft_nonces_above_the_maximum_are_never_tried() {
    let mut miner = Miner::new();
    let mut job = miner.prepare(&header(1), &parent(), &AtomicBool::new(false)).unwrap();
    assert_eq!(job.soft_nonces(), 0..1024);
    job.attempt(1024..5000, |announcement| panic!("{announcement:?}"));
    let mut last = Vec::new();
    job.attempt(1000..u32::MAX, |announcement| last.push(announcement));
    let expected: Vec<_> =
        MINED.iter().filter(|mined| mined.hard_nonce() == 1 && mined.soft_nonce() >= 1000).cloned().collect();
    assert_eq!(last, expected);
}

/// One checker for all cases, so that what a case leaves behind would show in the next.
static CHECKER: LazyLock<Mutex<Checker>> = LazyLock::new(|| Mutex::new(Checker::new(Rules::PKT)));

proptest! {
    #[test]
    fn nothing_a_stranger_sends_harms_the_checker(
        start in proptest::collection::vec(any::<u8>(), 0..=ANNOUNCEMENT_SIZE),
        version in 0u8..3,
        bits in prop_oneof![any::<u32>(), 0x2000_0001u32..0x2080_0000],
        parent: [u8; 32],
        proof_version in 0u8..3,
    ) {
        let mut bytes = [0; ANNOUNCEMENT_SIZE];
        bytes[..start.len()].copy_from_slice(&start);
        bytes[0] = version;
        bytes[8..12].copy_from_slice(&bits.to_le_bytes());
        let (announcement, parent) = (Announcement::from(bytes), BlockHash::from_internal(parent));
        let to_check = AnnouncementToCheck { announcement: &announcement, parent: &parent };
        let good_parent = self::parent();
        let good = AnnouncementToCheck { announcement: &MINED[0], parent: &good_parent };
        let verdicts = CHECKER.lock().unwrap().check(&[to_check, good], ProofVersion(proof_version));
        prop_assert!(verdicts[0].is_err());
        prop_assert!(verdicts[1].is_ok());
    }
}
