//! Every rule that a block can break, broken alone: the proof of work is always freshly mined.

use packetcrypt::{
    Announcement, CompactTarget, Height,
    block::{MerkleRoot, header::double_sha256},
};
use serde_json::json;
use wire::template::BlockTemplate;

use super::{Miner, TestChain, miner::Found};
use crate::dev_chain::{
    coinbase,
    payouts::Amount,
    rules::{ChainRules, STEWARD_SCRIPT},
};

/// A chain of some blocks, and what the next one may use.
struct Bench {
    chain: TestChain,
    miner: Miner,
}

impl Bench {
    fn new() -> Self {
        let chain = TestChain::new(ChainRules::instant());
        chain.chain.extend(5).unwrap();
        Self { chain, miner: Miner::default() }
    }

    /// The node's answer to a block on a template that was changed.
    fn answer_to(&mut self, change: impl FnOnce(&mut BlockTemplate)) -> String {
        let mut template = self.chain.chain.template().unwrap();
        let parent = Miner::parent_of(&self.chain.chain, template.height);
        change(&mut template);
        let found = self.miner.mine_template(&template, parent, 0);
        self.submit(&found)
    }

    /// The node's answer to a good block that was changed after it was found.
    fn answer_to_altered(&mut self, change: impl FnOnce(&mut Found)) -> String {
        let mut found = self.miner.mine(&self.chain.chain);
        change(&mut found);
        self.submit(&found)
    }

    fn submit(&self, found: &Found) -> String {
        let result = self.chain.result("submitblock", json!([hex::encode(found.block())]));
        result.as_str().unwrap_or("accepted").lines().next().unwrap().to_owned()
    }
}

#[track_caller]
fn assert_names(answer: &str, rule: &str) {
    assert!(answer.starts_with("rejected: 0.0.0-headframe ") && answer.contains(rule), "{answer}");
}

fn coinbase_paying(height: Height, steward: &[u8], units: u64) -> Vec<u8> {
    let mut bytes = coinbase::template(height, &[Amount { script: STEWARD_SCRIPT.to_vec(), units }]);
    // Of the two outputs with the steward's script, the second is the one that is due.
    let length = STEWARD_SCRIPT.len();
    let places: Vec<usize> =
        (0..bytes.len() - length).filter(|at| bytes[*at..at + length] == STEWARD_SCRIPT).collect();
    bytes[places[1]..places[1] + length].copy_from_slice(steward);
    bytes
}

#[test]
fn an_unchanged_block_is_accepted() {
    assert_eq!(Bench::new().answer_to(|_| {}), "accepted");
}

#[test]
fn a_block_that_is_known_is_a_duplicate() {
    let mut bench = Bench::new();
    let found = bench.miner.mine(&bench.chain.chain);
    assert_eq!(bench.submit(&found), "accepted");
    let expected =
        format!("rejected: 0.0.0-headframe ErrDuplicateBlock: already have block {}", found.hash());
    assert_eq!(bench.submit(&found), expected);
    let other_low_nonce = {
        let mut other = found.clone();
        other.elements.proof.nonce2 ^= 1;
        other
    };
    assert_eq!(bench.submit(&other_low_nonce), expected, "the id covers the header only");
}

#[test]
fn headers_must_fit_their_place() {
    let mut bench = Bench::new();
    let now = bench.chain.chain.now();
    assert_names(&bench.answer_to(|template| template.header.time = now + 10_000), "ErrTimeTooNew");
    assert_names(&bench.answer_to(|template| template.header.time = 1000), "ErrTimeTooOld");
    assert_names(&bench.answer_to(|template| template.header.version = 3), "ErrBlockVersionTooOld");
    let easier = CompactTarget(0x1f7f_ffff);
    let answer = bench.answer_to(|template| template.header.bits = easier);
    assert_names(&answer, "ErrUnexpectedDifficulty: block difficulty of 528482303 is not the expected value");
    let unknown = packetcrypt::BlockHash::from_internal([0x11; 32]);
    let answer = bench.answer_to(|template| template.header.previous = unknown);
    assert_names(&answer, "ErrPowCannotVerify: Cannot verify pow, missing block at height [3]");
}

#[test]
fn targets_beyond_the_limit_are_none() {
    let chain = TestChain::new(ChainRules::public());
    let mut bench = Bench { chain, miner: Miner::default() };
    let answer = bench.answer_to(|template| template.header.bits = CompactTarget::EASIEST);
    assert_names(&answer, "ErrUnexpectedDifficulty: block target difficulty of 7fffff0000");
    let answer = bench.answer_to_altered_of_easy(|found| found.header.bits = CompactTarget(0x1f8f_ffff));
    assert_names(&answer, "is too low");
}

impl Bench {
    fn answer_to_altered_of_easy(&mut self, change: impl FnOnce(&mut Found)) -> String {
        let mut found = self.miner.mine_for(&self.chain.chain, 0x207f_ffff);
        change(&mut found);
        self.submit(&found)
    }
}

#[test]
fn coinbases_must_say_their_height_and_pay_what_is_due() {
    let mut bench = Bench::new();
    let due = coinbase::coins_for_payees(Height(6));
    let mut pays = |height: u32, steward: &[u8], units: u64| {
        let coinbase = coinbase_paying(Height(height), steward, units);
        bench.answer_to(|template| template.coinbase_no_witness = coinbase)
    };
    assert_names(
        &pays(6, &STEWARD_SCRIPT, due + 1),
        "ErrBadCoinbaseValue: coinbase transaction for block pays",
    );
    assert_names(&pays(6, &[0x51; 34], due), "ErrBadCoinbaseNetworkSteward");
    // One block older, the announcements are worth nothing any more.
    assert_names(&pays(7, &STEWARD_SCRIPT, due), "Validate_checkBlock_ANN_INSUF_POW");
    assert_eq!(pays(6, &STEWARD_SCRIPT, due - 5), "accepted", "a coinbase may pay less");
}

#[test]
fn the_first_blocks_must_say_their_height_too() {
    let chain = TestChain::new(ChainRules::instant());
    let mut bench = Bench { chain, miner: Miner::default() };
    let coinbase = coinbase_paying(Height(2), &STEWARD_SCRIPT, 1);
    let answer = bench.answer_to(|template| template.coinbase_no_witness = coinbase);
    assert_names(&answer, "ErrBadCoinbaseHeight");
}

#[test]
fn altered_blocks_prove_nothing() {
    let mut bench = Bench::new();
    let altered = bench.answer_to_altered(|found| *found.coinbase.last_mut().unwrap() ^= 1);
    assert_names(&altered, "ErrBadMerkleRoot: block merkle root is invalid - block header indicates");
    let other_root = bench.answer_to_altered(|found| found.elements.proof.tree_proof[0] ^= 1);
    assert_names(&other_root, "ErrBadPow: Error validating PacketCrypt proof [Validate_checkBlock_PCP_");
    let longer = bench.answer_to_altered(|found| found.elements.proof.tree_proof.push(0));
    assert_names(&longer, "Validate_checkBlock_PCP_INVAL");
}

#[test]
fn pitfall_9_1_a_claimed_least_work_that_is_not_canonical_is_refused() {
    let mut bench = Bench::new();
    let mut claim = bench.miner.mine(&bench.chain.chain);
    let magic = [0x6a, 0x30, 0x09, 0xf9, 0x11, 0x02];
    let place = claim.coinbase.windows(6).position(|window| window == magic).unwrap() + magic.len();
    // 2^232 as a number, but larger than 1f7fffff as a u32.
    claim.coinbase[place..place + 4].copy_from_slice(&0x2000_0001u32.to_le_bytes());
    claim.header.merkle_root = MerkleRoot(double_sha256(&[&claim.coinbase]));
    assert_names(&bench.submit(&claim), "Validate_checkBlock_BAD_COINBASE");
    let share = bench.chain.error("checkpcshare", json!([claim.share(0x207f_ffff)]));
    assert_eq!(share, "0.0.0-headframe Validate_checkBlock_BAD_COINBASE");
}

#[test]
fn damaged_announcements_prove_nothing() {
    let mut bench = Bench::new();
    let template = bench.chain.chain.template().unwrap();
    let parent = Miner::parent_of(&bench.chain.chain, template.height);
    // The last byte belongs to the item prefix.
    bench.miner.damage(parent, |bytes| bytes[1023] ^= 1);
    let found = bench.miner.mine_template(&template, parent, 0);
    assert_names(&bench.submit(&found), "Validate_checkAnn_INVAL_ITEM4");
    let share = bench.chain.error("checkpcshare", json!([found.share(0)]));
    assert_eq!(share, "0.0.0-headframe Validate_checkAnn_INVAL_ITEM4");
}

#[test]
fn pitfall_9_18_announcements_on_an_abandoned_block_are_worthless() {
    let mut bench = Bench::new();
    let found = bench.miner.mine(&bench.chain.chain);
    bench.chain.chain.reorganise(5).unwrap();
    let share = bench.chain.error("checkpcshare", json!([found.share(0)]));
    assert!(share.contains("Validate_checkAnn_"), "{share}");
}

#[test]
fn parents_must_be_known() {
    let mut bench = Bench::new();
    let found = bench.miner.mine(&bench.chain.chain);
    let with_parent = |height: u32| {
        let mut found = found.clone();
        found.header.nonce ^= 1 << 20;
        let mut bytes = *found.elements.proof.announcements[0].as_bytes();
        bytes[12..16].copy_from_slice(&height.to_le_bytes());
        found.elements.proof.announcements[0] = Announcement::from_bytes(&bytes);
        found
    };
    let answer = bench.submit(&with_parent(77));
    assert_names(&answer, "ErrPowCannotVerify: Cannot verify pow, missing block at height [77]");
    assert_names(&bench.submit(&with_parent(u32::MAX)), "ErrBadPow: ann parent block height is negative");
    let share = bench.chain.error("checkpcshare", json!([with_parent(77).share(0)]));
    assert!(share.ends_with(
        "ErrRPCVerify(-25): Share validation failed: could not get parent hash at height [77] for announcement [0]"
    ));
}

#[test]
fn signing_keys_need_signatures() {
    let mut bench = Bench::new();
    bench.miner.key = Some(ed25519_dalek::SigningKey::from_bytes(&[7; 32]));
    let signed = bench.miner.mine(&bench.chain.chain);
    let answer = |change: &dyn Fn(&mut Found)| {
        let mut found = signed.clone();
        change(&mut found);
        bench.submit(&found)
    };
    let missing = answer(&|found| found.elements.signatures.clear());
    assert_names(
        &missing,
        "missing announcement signature for key [ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c]",
    );
    let wrong = answer(&|found| found.elements.signatures[2].0[0] ^= 1);
    assert_names(&wrong, "invalid announcement signature");
    assert_eq!(bench.chain.result("checkpcshare", json!([signed.share(0)])), "RESUBMIT_AS_BLOCK");
    assert_eq!(answer(&|_| {}), "accepted");
}
