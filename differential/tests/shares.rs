//! Whole shares: what we mine is accepted there, and altered ones are judged alike, but for the two cases in which
//! ours is meant to be stricter.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use differential::block::{Validator, Verdict};
use packetcrypt::block::check::{ProofChecker, ProofClaim, ProofFault, Reaches};
use packetcrypt::block::mine::{BlockJob, MiningSet};
use packetcrypt::block::order::arrange;
use packetcrypt::block::proof_tree::ProofTree;
use packetcrypt::block::tree_proof::TreeProofFault;
use packetcrypt::block::{Commitment, Header, Proof};
use packetcrypt::check::Rules;
use packetcrypt::mine::Miner;
use packetcrypt::{
    Announcement, AnnouncementHash, AnnouncementHeader, BlockHash, CanonicalTarget, CompactTarget, Height,
};
use proptest::prelude::*;

const HEIGHT: Height = Height(7);
const PARENT: BlockHash = BlockHash::from_internal([0x5a; 32]);
/// Every second hash: a handful of attempts gives a share.
const EASY: CompactTarget = CompactTarget::EASIEST;

/// A few hundred announcements of one hard nonce.
fn announcements() -> &'static [Announcement] {
    static MINED: OnceLock<Vec<Announcement>> = OnceLock::new();
    MINED.get_or_init(|| {
        let header = AnnouncementHeader {
            version: 1,
            hard_nonce: 1,
            work_bits: EASY,
            parent_height: Height(HEIGHT.0 - 3),
            content_type: 0,
            content_length: 0,
            content_hash: [0; 32],
            signing_key: None,
        };
        let mut found = Vec::new();
        Miner::new().mine(&header, &PARENT, &AtomicBool::new(false), |announcement| found.push(announcement));
        found
    })
}

struct Share {
    header: Header,
    proof: Proof,
    commitment: Commitment,
}

/// Mines a share with the first `count` announcements; the set keeps an odd number of them.
fn mine(count: usize, header: [u8; 76], start: u32) -> Share {
    let used = &announcements()[..count];
    let store: Vec<[u8; 1024]> = used.iter().map(|announcement| *announcement.as_bytes()).collect();
    let hashes = used.iter().map(Announcement::announcement_hash).zip(0..).collect();
    let set = MiningSet::build(hashes, CanonicalTarget::EASIEST).unwrap();
    let mut bytes = [0; 80];
    bytes[..76].copy_from_slice(&header);
    let header = Header { bits: EASY, ..Header::from_bytes(&bytes) };
    let mut job = BlockJob::new(&header, &set, &store, EASY);
    let mut finds = Vec::new();
    let mut start = start;
    while finds.is_empty() {
        job.attempt(start, 8, &mut finds);
        start = start.wrapping_add(8);
    }
    let proof = job.proof(&finds[0]).unwrap();
    Share { header, proof, commitment: set.commitment() }
}

fn ours(share: &Share, share_target: CompactTarget) -> Result<Verdict, ProofFault> {
    let claim = ProofClaim {
        header: &share.header,
        proof: &share.proof,
        commitment: &share.commitment,
        height: HEIGHT,
    };
    let verdict = ProofChecker::new(Rules::NEW_CHAIN).check_share(&claim, share_target, |_| Some(PARENT))?;
    Ok(match verdict.reaches {
        Reaches::Block => Verdict::Block(verdict.outcome.work_hash),
        Reaches::Share => Verdict::Share(verdict.outcome.work_hash),
    })
}

fn theirs(share: &Share, share_target: CompactTarget) -> Verdict {
    let commitment = share.commitment.to_bytes();
    Validator::default().check(&share.header, &share.proof, &commitment, HEIGHT, share_target, &[PARENT; 4])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_we_mine_is_accepted(count in 1usize..200, header: [[u8; 19]; 4], start: u32) {
        let header = header.as_flattened().try_into().unwrap();
        let share = mine(count, header, start);
        prop_assert_eq!(ours(&share, EASY), Ok(theirs(&share, EASY)));
    }

    #[test]
    fn altered_shares_are_judged_alike(
        count in 1usize..60, start: u32, place: prop::sample::Index, flip in 1u8.., what in 0usize..5,
    ) {
        let mut share = mine(count, [7; 76], start);
        let proof = &mut share.proof;
        match what {
            0 => *place.get_mut(&mut proof.tree_proof) ^= flip,
            1 => proof.tree_proof.truncate(place.index(proof.tree_proof.len())),
            2 => {
                let announcement = place.index(4);
                let mut bytes = *proof.announcements[announcement].as_bytes();
                bytes[place.index(1024)] ^= flip;
                proof.announcements[announcement] = Announcement::from_bytes(&bytes);
            }
            3 => proof.announcements.swap(place.index(4), usize::from(flip) % 4),
            _ => share.commitment.root.0[place.index(32)] ^= flip,
        }
        match (ours(&share, EASY), theirs(&share, EASY)) {
            (Ok(ours), theirs) => prop_assert_eq!(ours, theirs),
            (Err(_), Verdict::Refused(_)) => {}
            // One index twice with two announcements: there the last one counts.
            (Err(ProofFault::TreeProof(TreeProofFault::OneIndexTwoAnnouncements { .. })), _) => {}
            (Err(fault), theirs) => prop_assert!(false, "{} against {:?}", fault, theirs),
        }
    }

    #[test]
    fn only_the_last_of_an_even_count_is_judged_otherwise(count in 1usize..40, start: u32) {
        let used = &announcements()[..2 * count];
        let mut sorted: Vec<(AnnouncementHash, &Announcement)> =
            used.iter().map(|announcement| (announcement.announcement_hash(), announcement)).collect();
        arrange(&mut sorted, |(hash, _)| hash);
        let tree = ProofTree::build(sorted.iter().map(|(hash, _)| *hash).collect()).unwrap();
        let commitment =
            Commitment { least_work: CanonicalTarget::EASIEST, root: tree.root(), count: tree.count() };
        let header = Header { bits: EASY, ..Header::from_bytes(&[3; 80]) };
        let mut attempt = packetcrypt::block::attempt::Attempt::new(&header.header_hash());
        let at = |index: u64| sorted.get(index as usize).map(|(_, announcement)| announcement.as_bytes());
        let nonce2 = start;
        let outcome = attempt.mine(nonce2, tree.count(), at).unwrap();
        let indexes = outcome.numbers.map(|number| tree.count().index_of(number));
        let announcements = indexes.map(|index| sorted[index as usize].1.clone());
        let proof = Proof { nonce2, announcements, tree_proof: tree.prove(indexes).unwrap() };
        let share = Share { header, proof, commitment };
        let last = indexes.contains(&(tree.count().get() - 1)) && tree.count().get() % 2 == 0;
        match (ours(&share, EASY), theirs(&share, EASY)) {
            (Err(ProofFault::TreeProof(TreeProofFault::LastOfEvenCount { .. })), _) => prop_assert!(last),
            (Ok(ours), theirs) => {
                prop_assert!(!last);
                prop_assert_eq!(ours, theirs);
            }
            (Err(_), theirs) => prop_assert!(matches!(theirs, Verdict::Refused(_))),
        }
    }
}
