//! Shares checked together get the verdict that each gets alone.

use std::sync::atomic::AtomicBool;

use super::super::mine::{BlockJob, MiningSet};
use super::*;
use crate::announcement::ANNOUNCEMENT_SIZE;
use crate::mine::Miner;
use crate::{Announcement, AnnouncementHeader, CanonicalTarget};

const PARENT: BlockHash = BlockHash::from_internal([5; 32]);
const PARENT_HEIGHT: Height = Height(3);
const HEIGHT: Height = Height(6);

/// An odd number of announcements of two hard nonces, every tenth of which has a Merkle branch that is wrong.
fn store() -> Vec<[u8; ANNOUNCEMENT_SIZE]> {
    let mut store = Vec::new();
    for hard_nonce in [1, 2] {
        let header = AnnouncementHeader {
            version: 1,
            hard_nonce,
            work_bits: CompactTarget::EASIEST,
            parent_height: PARENT_HEIGHT,
            content_type: 0,
            content_length: 0,
            content_hash: [0; 32],
            signing_key: None,
        };
        Miner::new().mine(&header, &PARENT, &AtomicBool::new(false), |one| store.push(*one.as_bytes()));
    }
    store.truncate(301);
    store.iter_mut().step_by(10).for_each(|announcement| announcement[100] ^= 1);
    store
}

#[test]
fn shares_together_get_the_verdicts_that_each_gets_alone() {
    let store = store();
    let hash = |bytes| Announcement::from_bytes(bytes).announcement_hash();
    let entries = store.iter().zip(0..).map(|(bytes, slot)| (hash(bytes), slot)).collect();
    let set = MiningSet::build(entries, CanonicalTarget::EASIEST).unwrap();
    let commitment = set.commitment();
    let header = Header { bits: CompactTarget(0x1d00_ffff), ..Header::from_bytes(&[0x21; 80]) };
    let effective = set.effective_target(CompactTarget(0x2007_ffff), header.bits);
    let mut finds = Vec::new();
    let mut job = BlockJob::new(&header, &set, &store, effective);
    job.attempt(0, 8192, &mut finds);
    let mut proofs: Vec<Proof> = finds.iter().take(90).map(|find| job.proof(find).unwrap()).collect();
    proofs.iter_mut().skip(7).step_by(13).for_each(|proof| proof.nonce2 ^= 1);
    proofs.iter_mut().skip(3).step_by(17).for_each(|proof| proof.tree_proof[40] ^= 1);

    let known = |height| (height == PARENT_HEIGHT).then_some(PARENT);
    let unknown = |_| None;
    let shares: Vec<_> = proofs
        .iter()
        .enumerate()
        .map(|(index, proof)| ShareClaim {
            claim: ProofClaim { header: &header, proof, commitment: &commitment, height: HEIGHT },
            share_target: CompactTarget(0x2007_ffff),
            parent: if index % 19 == 1 { &unknown } else { &known },
        })
        .collect();
    let mut together = ProofChecker::new(Rules::NEW_CHAIN);
    let mut alone = ProofChecker::new(Rules::NEW_CHAIN);
    let verdicts = together.check_shares(&shares);
    for (share, verdict) in shares.iter().zip(&verdicts) {
        assert_eq!(alone.check_share(&share.claim, share.share_target, share.parent), *verdict);
    }
    let codes: Vec<_> = verdicts.iter().map(|verdict| verdict.as_ref().err().map(ProofFault::code)).collect();
    for expected in
        [None, Some("announcement"), Some("not_enough_work"), Some("tree_proof"), Some("unknown_parent")]
    {
        assert!(codes.contains(&expected), "{expected:?} in {codes:?}");
    }
}
