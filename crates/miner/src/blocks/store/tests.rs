//! The store under normal use, when memory is full, and after reorganisations.

use packetcrypt::block::selection::choose;
use proptest::prelude::*;

use super::*;
use crate::pool_client::{
    HandlerList, Missing,
    known_chain::tests::{hash as block, info},
};

const EASY: CompactTarget = CompactTarget(0x207f_ffff);
const HARD: CompactTarget = CompactTarget(0x1f0f_ffff);
const MIB: usize = 1 << 20;

/// A chain of a branch up to a tip, of which the lowest blocks may be those of branch 1.
fn chain(branch: u8, tip: u32, fork: u32) -> KnownChain {
    let at = |height: u32| block(if height < fork { 1 } else { branch }, height);
    let mut chain = KnownChain::default();
    chain.set_tip(at(tip), Height(tip));
    let handlers = Arc::new(HandlerList::default());
    for height in (0..=tip).rev() {
        let previous = height.checked_sub(1).map_or_else(BlockHash::default, at);
        let mut info = info(branch, height, previous);
        info.header.hash = at(height);
        chain.add(Missing { hash: at(height), height: Height(height) }, &info, &handlers).unwrap();
    }
    chain
}

fn announcement(number: u32) -> (AnnouncementHash, [u8; 1024]) {
    let mut bytes = [0; 1024];
    bytes[4..8].copy_from_slice(&number.to_le_bytes());
    (packetcrypt::Announcement::from_bytes(&bytes).announcement_hash(), bytes)
}

fn insert(
    store: &mut Store,
    parent: u32,
    bits: CompactTarget,
    numbers: std::ops::Range<u32>,
) -> Vec<Insertion> {
    numbers
        .map(|number| {
            let (hash, bytes) = announcement(number);
            store.insert(ClassKey::new(Height(parent), bits), hash, &bytes)
        })
        .collect()
}

fn chosen_at(store: &Store, height: u32) -> Option<Chosen> {
    let classes = store.classes();
    let selection = choose(&classes, Height(height), u64::MAX)?;
    Some(store.chosen(selection.classes(&classes)).unwrap())
}

#[test]
fn what_is_chosen_are_the_announcements_that_were_stored() {
    let mut store = Store::new(8 * MIB);
    store.set_chain(Height(21), &chain(1, 20, 0));
    assert!(insert(&mut store, 18, HARD, 0..1000).iter().all(|insertion| *insertion == Insertion::Stored));
    assert_eq!(store.len(), 1000);
    let chosen = chosen_at(&store, 21).unwrap();
    assert_eq!(chosen.entries.len(), 1000);
    assert_eq!(chosen.parents, HashMap::from([(Height(18), block(1, 18))]));
    for (hash, slot) in &chosen.entries {
        let bytes = chosen.announcement(*slot).unwrap();
        assert_eq!(packetcrypt::Announcement::from_bytes(bytes).announcement_hash(), *hash);
    }
    assert_eq!(chosen.announcement(u32::MAX), None);
}

#[test]
fn duplicates_are_known_by_their_prefix() {
    let mut store = Store::new(8 * MIB);
    store.set_chain(Height(21), &chain(1, 20, 0));
    insert(&mut store, 18, HARD, 0..10);
    assert!(insert(&mut store, 18, HARD, 0..10).iter().all(|insertion| *insertion == Insertion::Duplicate));
    assert_eq!(store.len(), 10);
}

#[test]
fn r_b3_classes_with_a_handful_of_announcements_are_mined_with() {
    let mut store = Store::new(1 << 30);
    store.set_chain(Height(21), &chain(1, 20, 0));
    insert(&mut store, 18, HARD, 0..3);
    let chosen = chosen_at(&store, 21).unwrap();
    insert(&mut store, 18, HARD, 3..5);
    assert_eq!(chosen.entries.len(), 3, "a choice does not change");
    assert_eq!(chosen_at(&store, 21).unwrap().entries.len(), 5);
}

#[test]
fn from_the_genesis_block_on_there_is_something_to_mine_with() {
    let mut store = Store::new(8 * MIB);
    for height in [1, 2] {
        store.set_chain(Height(height), &chain(1, height - 1, 0));
        insert(&mut store, 0, EASY, height * 10..height * 10 + 5);
        assert_eq!(chosen_at(&store, height).unwrap().entries.len(), 5 * height as usize);
    }
    // Parent 0 has age 3 at height 3, and parent 1 is not mature until height 4.
    store.set_chain(Height(3), &chain(1, 2, 0));
    insert(&mut store, 1, EASY, 100..105);
    assert_eq!(chosen_at(&store, 3).unwrap().entries.len(), 10);
    store.set_chain(Height(4), &chain(1, 3, 0));
    assert_eq!(chosen_at(&store, 4).unwrap().entries.len(), 5);
}

#[test]
fn immature_announcements_wait_and_worthless_ones_go() {
    let mut store = Store::new(8 * MIB);
    store.set_chain(Height(21), &chain(1, 20, 0));
    insert(&mut store, 19, EASY, 0..5);
    assert!(chosen_at(&store, 21).is_none());
    // Work 2 is usable at age 3 only.
    assert_eq!(insert(&mut store, 17, EASY, 5..6), [Insertion::Useless]);
    store.set_chain(Height(22), &chain(1, 21, 0));
    assert_eq!(chosen_at(&store, 22).unwrap().entries.len(), 5);
    store.set_chain(Height(23), &chain(1, 22, 0));
    assert_eq!(store.len(), 0);
}

#[test]
fn after_a_reorganisation_the_old_branch_is_dropped() {
    let mut store = Store::new(8 * MIB);
    store.set_chain(Height(21), &chain(1, 20, 0));
    insert(&mut store, 16, HARD, 0..5);
    insert(&mut store, 18, HARD, 5..10);
    store.set_chain(Height(21), &chain(1, 20, 0));
    assert_eq!(store.len(), 10);
    store.set_chain(Height(22), &chain(2, 21, 17));
    let chosen = chosen_at(&store, 22).unwrap();
    assert_eq!(chosen.parents, HashMap::from([(Height(16), block(1, 16))]));
    assert_eq!(store.len(), 5);
}

#[test]
fn announcements_on_an_unknown_block_are_kept_but_not_mined_with() {
    let mut store = Store::new(8 * MIB);
    store.set_chain(Height(21), &KnownChain::default());
    insert(&mut store, 18, HARD, 0..5);
    assert!(chosen_at(&store, 21).is_none());
    store.set_chain(Height(21), &chain(1, 20, 0));
    assert_eq!(chosen_at(&store, 21).unwrap().entries.len(), 5);
}

#[test]
fn banned_announcements_are_not_mined_with_and_do_not_come_back() {
    let mut store = Store::new(8 * MIB);
    store.set_chain(Height(21), &chain(1, 20, 0));
    insert(&mut store, 18, HARD, 0..100);
    let key = ClassKey::new(Height(18), HARD);
    store.ban(key, announcement(7).0);
    assert_eq!(store.len(), 99);
    let chosen = chosen_at(&store, 21).unwrap();
    assert!(chosen.entries.iter().all(|(hash, _)| *hash != announcement(7).0));
    assert_eq!(insert(&mut store, 18, HARD, 7..8), [Insertion::Duplicate]);
    (8..30).for_each(|number| store.ban(key, announcement(number).0));
    assert_eq!(store.len(), 0, "a class with many invalid ones is given up");
}

#[test]
fn what_is_worth_less_than_a_quarter_is_dropped_after_the_choice() {
    let mut store = Store::new(8 * MIB);
    store.set_chain(Height(21), &chain(1, 20, 0));
    // Aged by 0, 2 and 3 halvings, and one that is not mature.
    for (parent, numbers) in [(18, 0..5), (16, 5..10), (15, 10..15), (20, 15..20)] {
        insert(&mut store, parent, HARD, numbers);
    }
    store.drop_worse_than_quarter_of(HARD);
    let left: Vec<u32> = store.classes().iter().map(|class| class.parent.0).collect();
    assert_eq!(left, [16, 18, 20]);
    assert_eq!(store.len(), 15);
}

#[test]
fn when_memory_is_full_the_least_valuable_class_gives_way() {
    let mut store = Store::new(MIB / 2);
    store.set_chain(Height(21), &chain(1, 20, 0));
    let capacity = store.capacity() as u32;
    insert(&mut store, 17, HARD, 0..capacity);
    assert_eq!(store.len(), u64::from(capacity));
    assert_eq!(
        insert(&mut store, 16, HARD, capacity..capacity + 1),
        [Insertion::Useless],
        "older ones are worth less"
    );
    assert_eq!(insert(&mut store, 18, HARD, capacity..capacity + 1), [Insertion::Stored]);
    assert!(store.len() < u64::from(capacity));
}

#[test]
fn what_is_being_mined_with_stays_readable_after_its_class_is_gone() {
    let mut store = Store::new(MIB / 2);
    store.set_chain(Height(21), &chain(1, 20, 0));
    let capacity = store.capacity() as u32;
    insert(&mut store, 17, HARD, 0..capacity);
    let chosen = chosen_at(&store, 21).unwrap();
    store.set_chain(Height(100), &chain(1, 99, 0));
    assert_eq!(store.len(), 0);
    assert!(chosen.entries.iter().all(|(_, slot)| chosen.announcement(*slot).is_some()));
    let while_mined = insert(&mut store, 97, HARD, 0..capacity);
    assert!(
        while_mined.iter().filter(|insertion| **insertion == Insertion::Stored).count() <= capacity as usize
    );
    drop(chosen);
    insert(&mut store, 97, HARD, 0..capacity);
    assert!(store.len() > 0);
}

#[derive(Debug, Clone)]
enum Step {
    Insert { parent: u32, hard: bool, first: u32, count: u32 },
    Height(u32),
    Choose,
    LetGo,
    Ban { parent: u32, number: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u32..40, any::<bool>(), 0u32..2000, 0u32..300)
            .prop_map(|(parent, hard, first, count)| Step::Insert { parent, hard, first, count }),
        2 => (1u32..40).prop_map(Step::Height),
        1 => Just(Step::Choose),
        1 => Just(Step::LetGo),
        1 => (0u32..40, 0u32..2000).prop_map(|(parent, number)| Step::Ban { parent, number }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens: memory stays bounded, counts are those of what can be chosen, a choice stays intact.
    #[test]
    fn memory_is_bounded_and_choices_stay_intact(steps in prop::collection::vec(step(), 1..40)) {
        let mut store = Store::new(MIB / 2);
        let mut height = 21;
        store.set_chain(Height(height), &chain(1, height - 1, 0));
        let mut held = None;
        for step in steps {
            match step {
                Step::Insert { parent, hard, first, count } => {
                    insert(&mut store, parent, if hard { HARD } else { EASY }, first..first + count);
                }
                Step::Height(next) => {
                    height = next;
                    store.set_chain(Height(height), &chain(1, height - 1, 0));
                }
                Step::Choose => held = chosen_at(&store, height),
                Step::LetGo => held = None,
                Step::Ban { parent, number } => {
                    store.ban(ClassKey::new(Height(parent), HARD), announcement(number).0);
                }
            }
            prop_assert!(store.segments.get() <= store.most_segments);
            prop_assert!(store.len() <= store.capacity());
            for class in store.classes() {
                let chosen = store.chosen(vec![class]).unwrap();
                prop_assert_eq!(chosen.entries.len() as u64, class.count);
            }
            if let Some(chosen) = &held {
                for (hash, slot) in &chosen.entries {
                    let bytes = chosen.announcement(*slot).expect("a chosen announcement");
                    prop_assert_eq!(packetcrypt::Announcement::from_bytes(bytes).announcement_hash(), *hash);
                }
            }
        }
    }
}
