//! What a pool has told on one connection, and the job that follows from it and, where there is one, from the chain.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 1.4. Nothing that the pool says is believed where it can be checked here; what
//! cannot be only costs its own time.

use nimiq::argon2d::Hasher;
use nimiq::share::NextBlock;
use nimiq::{
    Address, BlockHash, Body, ExtraData, LARGEST_BLOCK, LightBlock, Network, ProofOfWork, ShareTarget, Target,
};
use node::nimiq::Head;
use wire::nimiq::{Mode, NewBlock, NewNanoBlock, Settings};

use super::job::Job;

/// Why a pool cannot be mined for as it wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkFault {
    /// No share could ever meet it, or every one would.
    #[error("its share target {0:?} is none that a share may have")]
    ShareTarget(nimiq::CompactTarget),
    /// No block may have it.
    #[error("its `nBits` {0:?} is no target that a block may have")]
    NetworkTarget(nimiq::CompactTarget),
    /// It gives something that this mode has no use for.
    #[error("it gives work for another mode than {0}")]
    OtherMode(Mode),
    /// The previous block is not whole.
    #[error("the interlink of its previous block {0} is not the one that the header names")]
    Interlink(BlockHash),
}

/// What there is to do.
#[derive(Debug)]
pub enum ToDo {
    /// This.
    Mine(Box<Job>),
    /// Nothing until something comes.
    Wait(For),
}

/// What has not come yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// The pool's `settings`.
    Settings,
    /// The pool's `new-block`.
    Block,
    /// The node's view of the head that the pool mines on.
    Node,
    /// A node: the pool does not say the next target.
    AnyNode,
    /// A template that leaves room for the pool's extra data.
    Room,
}

/// What shares must pay, carry and meet.
#[derive(Debug, Clone)]
struct Terms {
    address: Address,
    extra_data: ExtraData,
    target: ShareTarget,
}

/// What the pool wants to be mined, with the share target that was the newest when it came.
#[derive(Debug)]
enum Given {
    Nano { block: Box<NewNanoBlock>, proof_of_work: ProofOfWork, target: Target },
    Dumb { header: nimiq::Header, target: Target },
}

/// What a pool has told on one connection.
#[derive(Debug)]
pub struct Work {
    mode: Mode,
    network: Network,
    terms: Option<Terms>,
    given: Option<Given>,
}

impl Work {
    /// Nothing yet.
    pub fn new(mode: Mode, network: Network) -> Self {
        Self { mode, network, terms: None, given: None }
    }

    /// Whom a block must pay, once the pool has said so.
    pub fn pool(&self) -> Option<Address> {
        self.terms.as_ref().map(|terms| terms.address)
    }

    /// Takes new terms.
    pub fn settings(&mut self, settings: Settings) -> Result<(), WorkFault> {
        let Settings { address, extra_data, target_compact, .. } = settings;
        let target = ShareTarget::new(target_compact).ok_or(WorkFault::ShareTarget(target_compact))?;
        self.terms = Some(Terms { address, extra_data, target });
        Ok(())
    }

    /// Takes what is to be mined.
    pub fn new_block(&mut self, block: NewBlock, hasher: &mut Hasher) -> Result<(), WorkFault> {
        let target = self.terms.as_ref().map_or(Target::HARDEST, |terms| terms.target.target());
        self.given = Some(match (self.mode, block) {
            (Mode::Nano, NewBlock::Nano(block)) => {
                self.check(&block)?;
                let proof_of_work = hasher.hash(&block.previous.header.to_bytes());
                Given::Nano { block: Box::new(block), proof_of_work, target }
            }
            (Mode::Dumb, NewBlock::Dumb(header)) => Given::Dumb { header, target },
            (mode, _) => return Err(WorkFault::OtherMode(mode)),
        });
        Ok(())
    }

    fn check(&self, block: &NewNanoBlock) -> Result<(), WorkFault> {
        let hash = block.previous.header.hash();
        let genesis = self.network.genesis_hash();
        // The first block has no interlink, and its header says so with zeros.
        let is_whole = hash == genesis || has_its_interlink(&block.previous, &genesis);
        if !is_whole {
            return Err(WorkFault::Interlink(hash));
        }
        match block.next_target {
            Some(target) if !target.is_valid_in_header() => Err(WorkFault::NetworkTarget(target)),
            _ => Ok(()),
        }
    }

    /// What there is to do, as the chain's head is now, if a node is followed.
    pub fn to_do(&self, follows: bool, head: Option<&Head>) -> ToDo {
        let Some(terms) = &self.terms else { return ToDo::Wait(For::Settings) };
        let job = match (self.mode, &self.given) {
            (Mode::Smart, _) => smart(terms, head),
            (_, None) => Err(For::Block),
            (_, Some(Given::Nano { block, proof_of_work, target })) => {
                let next = self.next_block(block, *proof_of_work, head);
                let next = next.ok_or(if follows { For::Node } else { For::AnyNode });
                let target = harder(target, terms);
                next.map(|next| Job::nano(next, block.body_hash, block.accounts_hash, target))
            }
            (_, Some(Given::Dumb { header, target })) => Ok(Job::dumb(*header, harder(target, terms))),
        };
        job.map_or_else(ToDo::Wait, |job| ToDo::Mine(Box::new(job)))
    }

    /// What must be on the block that a nano client is given: as the chain says, or else the pool.
    fn next_block(
        &self,
        block: &NewNanoBlock,
        proof_of_work: ProofOfWork,
        head: Option<&Head>,
    ) -> Option<NextBlock> {
        let previous = block.previous.header.hash();
        if let Some(head) = head.filter(|head| head.next.previous == previous) {
            return Some(head.next.clone());
        }
        let genesis = self.network.genesis_hash();
        block.next_target.map(|target| NextBlock::on(&block.previous, proof_of_work, target, &genesis))
    }
}

fn has_its_interlink(block: &LightBlock, genesis: &BlockHash) -> bool {
    block.interlink.hash(genesis) == block.header.interlink_hash
}

/// Between `settings` and `new-block`, a pool may judge by the target of either: what meets both is good in any case.
fn harder(given: &Target, terms: &Terms) -> Target {
    (*given).min(terms.target.target())
}

fn smart(terms: &Terms, head: Option<&Head>) -> Result<Job, For> {
    let head = head.filter(|head| head.body.miner == terms.address).ok_or(For::Node)?;
    let body = Body { extra_data: terms.extra_data.clone(), ..head.body.clone() };
    let job = Job::smart(head.next.clone(), body, head.accounts_hash, terms.target.target());
    let size = job.block(*job.header()).map_or(0, |block| block.to_bytes().len());
    if size <= LARGEST_BLOCK { Ok(job) } else { Err(For::Room) }
}

impl For {
    /// For people: what is waited for.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Settings => "waiting for the pool's settings",
            Self::Block => "waiting for the pool's work",
            Self::Node => "waiting for the node to know the pool's head",
            Self::AnyNode => "the pool does not say the next target: a node is needed (--node)",
            Self::Room => "the node's template leaves no room for the pool's extra data",
        }
    }
}

#[cfg(test)]
mod tests;
