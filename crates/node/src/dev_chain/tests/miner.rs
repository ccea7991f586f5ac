//! A small miner for tests: three easy announcements, and blocks with them.

use std::{collections::HashMap, sync::atomic::AtomicBool};

use ed25519_dalek::{Signer, SigningKey as PrivateKey};
use packetcrypt::{
    Announcement, AnnouncementHeader, BlockHash, CanonicalTarget, CompactTarget, Height, SigningKey,
    block::{
        Elements, Header, MerkleRoot, Proof,
        elements::Signature,
        header::double_sha256,
        mine::{BlockJob, MiningSet},
    },
    mine::Miner as AnnouncementMiner,
};
use serde_json::{Value, json};
use wire::{template::BlockTemplate, var_int};

use super::super::DevChain;

/// Announcements in a set: odd, because of pitfall 9.2.
const SET: usize = 3;

/// Mines what a test needs.
#[derive(Default)]
pub struct Miner {
    announcements: AnnouncementMiner,
    /// Sets that were mined, by parent.
    sets: HashMap<BlockHash, Vec<Announcement>>,
    next_nonce: u32,
    /// Signs the announcements.
    pub key: Option<PrivateKey>,
}

/// A found block in its parts, so that a test can change one.
#[derive(Clone)]
pub struct Found {
    pub height: Height,
    pub header: Header,
    pub elements: Elements,
    pub coinbase: Vec<u8>,
}

impl Found {
    pub fn hash(&self) -> BlockHash {
        self.header.block_hash()
    }

    /// The whole block.
    pub fn block(&self) -> Vec<u8> {
        let mut bytes = self.header_and_proof();
        var_int::write(&mut bytes, 1);
        bytes.extend(&self.coinbase);
        bytes
    }

    fn header_and_proof(&self) -> Vec<u8> {
        [&self.header.to_bytes()[..], &self.elements.to_bytes()].concat()
    }

    /// The parameter of `checkpcshare`.
    pub fn share(&self, share_target: u32) -> Value {
        json!({
            "sharetarget": share_target,
            "height": self.height.0,
            "hexblock": hex::encode(self.header_and_proof()) + "00",
            "coinbase": hex::encode(&self.coinbase),
            "merklebranch": [],
        })
    }
}

impl Miner {
    /// A block on the chain's template.
    pub fn mine(&mut self, chain: &DevChain) -> Found {
        self.mine_for(chain, 0)
    }

    /// A share on the chain's template, or a block.
    pub fn mine_for(&mut self, chain: &DevChain, share_target: u32) -> Found {
        let template = chain.template().unwrap();
        let parent = Self::parent_of(chain, template.height);
        self.mine_template(&template, parent, share_target)
    }

    /// A block on one that need not be in the best chain.
    pub fn mine_on(&mut self, parent: &Found, chain: &DevChain) -> Found {
        let mut template = chain.template().unwrap();
        template.header.previous = parent.hash();
        template.header.time = template.header.time.max(parent.header.time + 1);
        let genesis = Self::parent_of(chain, Height(1));
        self.mine_template(&template, genesis, 0)
    }

    /// Whether the chain takes the next block.
    pub fn accepted_by(&mut self, chain: &DevChain) -> bool {
        let found = self.mine(chain);
        chain.submit(&found.block()).is_ok()
    }

    /// The newest block that announcements for a height may be based on.
    pub fn parent_of(chain: &DevChain, height: Height) -> (Height, BlockHash) {
        let parent = Height(height.0.saturating_sub(3));
        let state = chain.state();
        let index = state.chain.at_height(parent).unwrap();
        (parent, state.chain.block(index).hash)
    }

    /// A find for a template whose coinbase and header may have been changed.
    pub fn mine_template(
        &mut self,
        template: &BlockTemplate,
        parent: (Height, BlockHash),
        share_target: u32,
    ) -> Found {
        let set = self.announcements_on(parent);
        let entries = set.iter().zip(0..).map(|(each, slot)| (each.announcement_hash(), slot)).collect();
        let mining_set = MiningSet::build(entries, CanonicalTarget::EASIEST).unwrap();
        let store: Vec<[u8; 1024]> = set.iter().map(|each| *each.as_bytes()).collect();
        let mut coinbase = template.coinbase_no_witness.clone();
        mining_set.commitment().place_into(&mut coinbase).unwrap();
        self.next_nonce += 1;
        let merkle_root = MerkleRoot(double_sha256(&[&coinbase]));
        let header = Header { merkle_root, nonce: self.next_nonce, ..template.header };
        let effective = mining_set.effective_target(CompactTarget(share_target), header.bits);
        let mut job = BlockJob::new(&header, &mining_set, &store, effective);
        let (mut finds, mut start) = (Vec::new(), 0);
        while finds.is_empty() {
            job.attempt(start, 1, &mut finds);
            start += 1;
        }
        let proof = job.proof(&finds[0]).unwrap();
        let signatures = self.sign(&proof);
        Found { height: template.height, header, elements: Elements { proof, signatures }, coinbase }
    }

    /// Changes all announcements on a parent, so that they are no longer valid.
    pub fn damage(&mut self, parent: (Height, BlockHash), change: impl Fn(&mut [u8; 1024])) {
        let sound = self.announcements_on(parent);
        let damaged = sound.iter().map(|each| {
            let mut bytes = *each.as_bytes();
            change(&mut bytes);
            Announcement::from_bytes(&bytes)
        });
        let damaged = damaged.collect();
        self.sets.insert(parent.1, damaged);
    }

    fn sign(&self, proof: &Proof) -> Vec<Signature> {
        let Some(key) = &self.key else { return vec![] };
        let signature = |each: &Announcement| Signature(key.sign(each.as_bytes()).to_bytes());
        proof.announcements.iter().map(signature).collect()
    }

    fn announcements_on(&mut self, (height, parent): (Height, BlockHash)) -> Vec<Announcement> {
        if let Some(set) = self.sets.get(&parent) {
            return set.clone();
        }
        let signing_key = self.key.as_ref().and_then(|key| SigningKey::new(key.verifying_key().to_bytes()));
        let (mut set, mut hard_nonce) = (Vec::new(), 0);
        while set.len() < SET {
            let header = AnnouncementHeader {
                version: 1,
                hard_nonce,
                work_bits: CompactTarget::EASIEST,
                parent_height: height,
                content_type: 0,
                content_length: 0,
                content_hash: [0; 32],
                signing_key,
            };
            // Some hard nonces make no program.
            if let Ok(mut job) = self.announcements.prepare(&header, &parent, &AtomicBool::new(false)) {
                job.attempt(0..16, |found| set.push(found));
            }
            hard_nonce += 1;
        }
        set.truncate(SET);
        self.sets.insert(parent, set.clone());
        set
    }
}
