//! The head's light block, put together from a node's answers, none of which holds it.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 3.5. Nano clients need it; the node's block object lacks interlink, interlink hash
//! and compact target. Whatever is put together counts only if it hashes to the known hash.

use crate::interlink::{Interlink, Levels};
use crate::share::NextBlock;
use crate::{
    AccountsHash, BlockHash, BodyHash, CompactTarget, Difficulty, Header, Height, InterlinkHash, LightBlock,
    Network, ProofOfWork, Target, Timestamp,
};

/// How many ancestors are looked up at most; the expected number doubles with each level of luck of the head.
pub const LONGEST_WALK: usize = 128;

/// What the node's block object says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFacts {
    /// The position in the chain.
    pub height: Height,
    /// The name, by which a guess is proved right.
    pub hash: BlockHash,
    /// The predecessor.
    pub previous: BlockHash,
    /// Argon2d of the header.
    pub proof_of_work: ProofOfWork,
    /// Difficulty of the target, rounded.
    pub difficulty: Difficulty,
    /// Root of the body.
    pub body_hash: BodyHash,
    /// Root of the accounts.
    pub accounts_hash: AccountsHash,
    /// When it was mined.
    pub timestamp: Timestamp,
    /// What was varied to find it.
    pub nonce: u32,
}

/// What of an ancestor matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its name.
    pub hash: BlockHash,
    /// Its luck.
    pub proof_of_work: ProofOfWork,
}

/// How far a search from the template alone has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// This is the head.
    Found(LightBlock),
    /// The main chain's block at this height is needed, behind those that are known.
    Ask(Height),
    /// No candidate fits. The next head can be [`chained`].
    Impossible,
}

impl BlockFacts {
    /// The block with this target and interlink, if it is the one that is known.
    fn with(
        &self,
        target: CompactTarget,
        interlink: Interlink,
        interlink_hash: InterlinkHash,
    ) -> Option<LightBlock> {
        let header = Header {
            previous: self.previous,
            interlink_hash,
            body_hash: self.body_hash,
            accounts_hash: self.accounts_hash,
            target,
            height: self.height,
            timestamp: self.timestamp,
            nonce: self.nonce,
        };
        (header.hash() == self.hash).then_some(LightBlock { header, interlink })
    }
}

/// The head, from the template that the node gave out on the head's parent.
pub fn chained(head: &BlockFacts, parent: &NextBlock) -> Option<LightBlock> {
    (head.previous == parent.previous)
        .then(|| head.with(parent.target, parent.interlink.clone(), parent.interlink_hash))
        .flatten()
}

/// The head, from the template on top of it (`next`) and as many ancestors as it takes, the nearest first.
///
/// Begin with none, and add the one that is asked for until it is [`Found`](Bootstrap::Found) or
/// [`Impossible`](Bootstrap::Impossible).
pub fn bootstrap(head: &BlockFacts, next: &NextBlock, ancestors: &[Ancestor], network: Network) -> Bootstrap {
    let genesis = network.genesis_hash();
    if head.hash == genesis {
        return Bootstrap::Found(network.genesis_block().to_light());
    }
    let mut unfinished = false;
    for target in target_candidates(head.difficulty) {
        let candidate = Candidate::new(head, next, target);
        let prefix = candidate.prefix(ancestors);
        unfinished |= prefix.len() < candidate.missing;
        // Without a tail, the interlink may be shorter than the part of it that is replaced.
        let shortest = if candidate.tail.is_empty() { 0 } else { candidate.missing };
        for length in (shortest..=prefix.len()).rev() {
            let hashes = prefix[..length].iter().chain(&candidate.tail).copied().collect();
            let interlink = Interlink::new(hashes, head.previous);
            let interlink_hash = interlink.hash(&genesis);
            if let Some(block) = head.with(target, interlink, interlink_hash) {
                return Bootstrap::Found(block);
            }
        }
    }
    let asked = u32::try_from(ancestors.len()).unwrap_or(u32::MAX);
    match head.height.0.checked_sub(asked.saturating_add(1)) {
        Some(height @ 1..) if unfinished && ancestors.len() < LONGEST_WALK => Bootstrap::Ask(Height(height)),
        _ => Bootstrap::Impossible,
    }
}

/// The compact targets whose difficulty may have been rounded to this one, the likeliest first.
fn target_candidates(difficulty: Difficulty) -> impl Iterator<Item = CompactTarget> {
    let nearest = difficulty.compact().unwrap_or(CompactTarget::EASIEST).0;
    [nearest, nearest.saturating_add(1), nearest.saturating_sub(1)].into_iter().map(CompactTarget)
}

/// What follows for the head's interlink if its target is the one that is tried.
struct Candidate {
    target_depth: i32,
    /// How many entries at the front were replaced in the template's interlink.
    missing: usize,
    /// The entries behind them.
    tail: Vec<BlockHash>,
}

impl Candidate {
    fn new(head: &BlockFacts, next: &NextBlock, target: CompactTarget) -> Self {
        let target: Target = target.target();
        let levels = Levels::of(&head.proof_of_work, &target, &next.target.target());
        let tail = next.interlink.hashes().iter().skip(levels.occurrences).copied().collect();
        Self { target_depth: target.depth(), missing: levels.offset, tail }
    }

    /// The missing entries, as far as the ancestors give them: for each level the nearest that reaches it.
    fn prefix(&self, ancestors: &[Ancestor]) -> Vec<BlockHash> {
        let mut prefix = Vec::new();
        for ancestor in ancestors {
            let reached = ancestor.proof_of_work.depth() - self.target_depth;
            while prefix.len() < self.missing && prefix.len() as i32 <= reached {
                prefix.push(ancestor.hash);
            }
        }
        prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::blake2b_256;

    /// A chain with made-up proofs of work, as lucky as real ones, and what must be on top of each of its blocks.
    fn chain(length: usize) -> Vec<(LightBlock, ProofOfWork, NextBlock)> {
        let genesis = Network::Dev.genesis_hash();
        let mut head = Network::Dev.genesis_block().to_light();
        let mut chain = Vec::new();
        while chain.len() < length {
            let mut hash = blake2b_256(&[&head.header.hash().0, b"luck"]);
            hash[..2].fill(0);
            let proof_of_work = ProofOfWork(hash);
            let next = NextBlock::on(&head, proof_of_work, CompactTarget::EASIEST, &genesis);
            let header = Header {
                previous: next.previous,
                interlink_hash: next.interlink_hash,
                height: next.height,
                nonce: head.header.nonce.wrapping_add(1),
                ..head.header
            };
            let block = LightBlock { header, interlink: next.interlink.clone() };
            chain.push((std::mem::replace(&mut head, block), proof_of_work, next));
        }
        chain
    }

    fn facts(block: &LightBlock, proof_of_work: ProofOfWork) -> BlockFacts {
        BlockFacts {
            height: block.header.height,
            hash: block.header.hash(),
            previous: block.header.previous,
            proof_of_work,
            difficulty: block.header.target.difficulty(),
            body_hash: block.header.body_hash,
            accounts_hash: block.header.accounts_hash,
            timestamp: block.header.timestamp,
            nonce: block.header.nonce,
        }
    }

    #[test]
    fn a_head_follows_from_the_template_below_it() {
        for pair in chain(20).windows(2) {
            let (block, proof_of_work, _) = &pair[1];
            let head = facts(block, *proof_of_work);
            assert_eq!(chained(&head, &pair[0].2), Some(block.clone()));
            assert_eq!(chained(&head, &pair[1].2), None);
            assert_eq!(chained(&BlockFacts { nonce: 0, ..head }, &pair[0].2), None);
        }
    }

    #[test]
    fn a_head_follows_from_the_template_above_it_and_its_ancestors() {
        let chain = chain(100);
        for (index, (block, proof_of_work, next)) in chain.iter().enumerate() {
            let (head, mut ancestors) = (facts(block, *proof_of_work), Vec::new());
            loop {
                match bootstrap(&head, next, &ancestors, Network::Dev) {
                    Bootstrap::Found(found) => break assert_eq!(found, *block),
                    Bootstrap::Ask(height) => {
                        assert_eq!(height.0 as usize, index - ancestors.len(), "the next below");
                        let (ancestor, proof_of_work, _) = &chain[height.0 as usize - 1];
                        let (hash, proof_of_work) = (ancestor.header.hash(), *proof_of_work);
                        ancestors.push(Ancestor { hash, proof_of_work });
                    }
                    Bootstrap::Impossible => panic!("block {} is not found", index + 1),
                }
            }
        }
    }

    #[test]
    fn a_head_that_no_candidate_fits_is_given_up() {
        let chain = chain(10);
        let (block, proof_of_work, next) = &chain[5];
        let head = BlockFacts { nonce: 1, ..facts(block, *proof_of_work) };
        let ancestors: Vec<_> = chain[..5]
            .iter()
            .rev()
            .map(|(block, proof_of_work, _)| Ancestor {
                hash: block.header.hash(),
                proof_of_work: *proof_of_work,
            })
            .collect();
        assert_eq!(bootstrap(&head, next, &ancestors, Network::Dev), Bootstrap::Impossible);
    }
}
