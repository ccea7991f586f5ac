//! What a pool says becomes a job, or a fault, or something to wait for.

use nimiq::interlink::Interlink;
use nimiq::{AccountsHash, BodyHash, CompactTarget, Header, Height, InterlinkHash, PayoutNonce, Timestamp};
use proptest::prelude::*;

use super::*;

const NETWORK: Network = Network::Dev;
/// About one hash in 256 meets it.
const EASY: CompactTarget = CompactTarget(0x2000_ffff);

fn settings(target: CompactTarget) -> Settings {
    let share_target = ShareTarget::new(EASY).unwrap();
    let nonce = PayoutNonce::from_random(7);
    let fee = "0.01".parse().unwrap();
    let settings = Settings::new(Address([5; 20]), ExtraData::cut(b"pool"), &share_target, nonce, fee);
    Settings { target_compact: target, ..settings }
}

fn on_genesis(next_target: Option<CompactTarget>) -> NewNanoBlock {
    NewNanoBlock {
        body_hash: BodyHash([1; 32]),
        accounts_hash: AccountsHash([2; 32]),
        previous: NETWORK.genesis_block().to_light().into(),
        next_target,
    }
}

fn job(work: &Work) -> Job {
    match work.to_do(false, None) {
        ToDo::Mine(job) => *job,
        ToDo::Wait(what) => panic!("waits for {what:?}"),
    }
}

fn waits_for(work: &Work, follows: bool) -> For {
    match work.to_do(follows, None) {
        ToDo::Wait(what) => what,
        ToDo::Mine(job) => panic!("mines {job:?}"),
    }
}

#[test]
fn a_nano_job_follows_from_the_previous_block() {
    let mut work = Work::new(Mode::Nano, NETWORK);
    assert_eq!(waits_for(&work, false), For::Settings);
    work.settings(settings(EASY)).unwrap();
    assert_eq!(waits_for(&work, false), For::Block);
    let block = on_genesis(Some(CompactTarget::EASIEST));
    work.new_block(NewBlock::Nano(block), &mut Hasher::new()).unwrap();
    let job = job(&work);
    assert_eq!(job.header().previous, NETWORK.genesis_hash());
    assert_eq!((job.header().height, job.header().target), (Height(2), CompactTarget::EASIEST));
    assert_eq!(*job.target(), EASY.target());
}

#[test]
fn a_pool_that_does_not_say_the_next_target_needs_a_node() {
    let mut work = Work::new(Mode::Nano, NETWORK);
    work.settings(settings(EASY)).unwrap();
    work.new_block(NewBlock::Nano(on_genesis(None)), &mut Hasher::new()).unwrap();
    assert_eq!(waits_for(&work, false), For::AnyNode);
    assert_eq!(waits_for(&work, true), For::Node);
}

#[test]
fn between_settings_and_new_block_the_harder_target_counts() {
    let mut work = Work::new(Mode::Nano, NETWORK);
    let (easier, harder) = (CompactTarget(0x2001_ffff), CompactTarget(0x2000_0fff));
    work.settings(settings(EASY)).unwrap();
    let block = || NewBlock::Nano(on_genesis(Some(CompactTarget::EASIEST)));
    work.new_block(block(), &mut Hasher::new()).unwrap();
    work.settings(settings(harder)).unwrap();
    assert_eq!(*job(&work).target(), harder.target());
    work.settings(settings(easier)).unwrap();
    assert_eq!(*job(&work).target(), EASY.target());
    work.new_block(block(), &mut Hasher::new()).unwrap();
    assert_eq!(*job(&work).target(), easier.target());
}

#[test]
fn what_cannot_be_mined_is_refused() {
    let mut work = Work::new(Mode::Nano, NETWORK);
    let hasher = &mut Hasher::new();
    for target in [CompactTarget(0), CompactTarget(0x0300_0001), CompactTarget(0xff00_ffff)] {
        assert_eq!(work.settings(settings(target)), Err(WorkFault::ShareTarget(target)));
    }
    for target in [CompactTarget(0), CompactTarget(0x1f01_0001), CompactTarget(u32::MAX)] {
        let block = NewBlock::Nano(on_genesis(Some(target)));
        assert_eq!(work.new_block(block, hasher), Err(WorkFault::NetworkTarget(target)));
    }
    let mut torn = on_genesis(Some(CompactTarget::EASIEST));
    let mut head = (*torn.previous).clone();
    head.header.nonce += 1;
    let hash = head.header.hash();
    torn.previous = head.into();
    assert_eq!(work.new_block(NewBlock::Nano(torn), hasher), Err(WorkFault::Interlink(hash)));
    let header = NETWORK.genesis_block().header;
    assert_eq!(work.new_block(NewBlock::Dumb(header), hasher), Err(WorkFault::OtherMode(Mode::Nano)));
    let block = NewBlock::Nano(on_genesis(None));
    let mut smart = Work::new(Mode::Smart, NETWORK);
    assert_eq!(smart.new_block(block, hasher), Err(WorkFault::OtherMode(Mode::Smart)));
}

prop_compose! {
    /// A block as a pool might make it up; every other one has the interlink that its header names.
    fn made_up_block()(
        hashes: [[u8; 32]; 4], numbers: [u32; 4], links in prop::collection::vec(0u8..3, 0..40), whole: bool,
    ) -> LightBlock {
        let previous = BlockHash(hashes[0]);
        let links = links.into_iter().map(|byte| BlockHash([byte; 32])).collect();
        let interlink = Interlink::new(links, previous);
        let named = if whole { interlink.hash(&NETWORK.genesis_hash()) } else { InterlinkHash(hashes[3]) };
        let header = Header {
            previous,
            interlink_hash: named,
            body_hash: BodyHash(hashes[1]),
            accounts_hash: AccountsHash(hashes[2]),
            target: CompactTarget(numbers[0]),
            height: Height(numbers[1]),
            timestamp: Timestamp(numbers[2]),
            nonce: numbers[3],
        };
        LightBlock { header, interlink }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_pool_makes_up_is_refused_or_mined_on_the_block_that_it_names(
        previous in made_up_block(), next_target: Option<u32>, share_target: u32,
    ) {
        let mut work = Work::new(Mode::Nano, NETWORK);
        let block = NewNanoBlock { next_target: next_target.map(CompactTarget), ..on_genesis(None) };
        let block = NewNanoBlock { previous: previous.clone().into(), ..block };
        let _ = work.settings(settings(CompactTarget(share_target)));
        let taken = work.new_block(NewBlock::Nano(block), &mut Hasher::new());
        if let ToDo::Mine(job) = work.to_do(false, None) {
            prop_assert!(taken.is_ok());
            prop_assert_eq!(job.header().previous, previous.header.hash());
            prop_assert_eq!(Some(job.header().target.0), next_target);
        }
    }
}
