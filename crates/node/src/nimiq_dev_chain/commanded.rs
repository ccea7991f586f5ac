//! Blocks made by command: without proof of work, to move a test on or to make the chain reorganise; or mined.
//!
//! They fulfil every other rule, except that a block without work may be dated back.

use nimiq::argon2d::Hasher;
use nimiq::{Address, Block, BlockHash, ExtraData, Header, Timestamp};

use super::chain::Change;
use super::rules::Violation;
use super::{NimiqDevChain, State, SubmitFault, Template, template};
use crate::dev_chain::store::{Origin, StoreFault};

/// What stands in their extra data.
const TEXT: &[u8] = b"headframe dev chain, by command";
/// Blocks that one command makes at most.
pub const MOST_BLOCKS: u32 = 1000;
/// Seconds between blocks that one command makes: the last is dated now.
const SPACING: u32 = 60;

/// Why blocks were not made.
#[derive(Debug, thiserror::Error)]
pub enum CommandFault {
    /// More than one command may make, or none.
    #[error("between 1 and {MOST_BLOCKS} blocks can be made by one command, not {0}")]
    Count(u32),
    /// Deeper than the chain.
    #[error("cannot abandon {0} blocks: the chain has fewer behind its genesis block")]
    TooDeep(u32),
    /// There is no such block.
    #[error("there is no block {0}")]
    Unknown(BlockHash),
    /// A block was not accepted.
    #[error(transparent)]
    Submit(#[from] SubmitFault),
}

impl From<StoreFault> for CommandFault {
    fn from(fault: StoreFault) -> Self {
        Self::Submit(fault.into())
    }
}

impl NimiqDevChain {
    /// Adds blocks without proof of work, with the transactions that wait.
    pub fn extend(&self, miner: Address, count: u32) -> Result<Change, CommandFault> {
        self.extend_from(self.head().hash, miner, count)
    }

    /// Replaces the newest `depth` blocks by `depth` and one others. What the abandoned ones held waits again, and the
    /// new blocks take it in.
    pub fn reorganise(&self, miner: Address, depth: u32) -> Result<Change, CommandFault> {
        let fork = {
            let state = self.state();
            let height = state.chain.head().block.header.height.0.checked_sub(depth);
            let fork = height.and_then(|height| state.chain.at(nimiq::Height(height)));
            fork.ok_or(CommandFault::TooDeep(depth))?.hash
        };
        self.extend_from(fork, miner, depth.saturating_add(1))
    }

    /// Adds blocks on top of any known block, also an abandoned one, and so makes its branch the valid chain.
    pub fn extend_from(&self, base: BlockHash, miner: Address, count: u32) -> Result<Change, CommandFault> {
        if count == 0 || count > MOST_BLOCKS {
            return Err(CommandFault::Count(count));
        }
        let mut state = self.state();
        if state.chain.find(&base).is_none() {
            return Err(CommandFault::Unknown(base));
        }
        let switched =
            state.chain.switch_to(&base).map_err(|fault| SubmitFault::from(Violation::from(fault)));
        let mut change = switched?;
        let lost = change.abandoned.iter().filter_map(|hash| state.chain.find(hash));
        let lost = lost.flat_map(|known| known.block.body.transactions.clone()).collect();
        let State { chain, mempool, .. } = &mut *state;
        mempool.follow(chain, lost);
        let mut hasher = Hasher::new();
        for left in (0..count).rev() {
            let hash = self.command_block(&mut state, &mut hasher, miner, left)?;
            change.adopted.push(hash);
        }
        self.announce(&mut state, &change);
        Ok(change)
    }

    fn command_block(
        &self,
        state: &mut State,
        hasher: &mut Hasher,
        miner: Address,
        blocks_to_come: u32,
    ) -> Result<BlockHash, CommandFault> {
        let template = template(state, miner, ExtraData::cut(TEXT));
        let wanted = (self.shared.clock)().saturating_sub(blocks_to_come.saturating_mul(SPACING));
        // Two such blocks of one second must differ.
        let block = template.block(Timestamp(wanted), rand::random());
        let proof_of_work = hasher.hash(&block.header.to_bytes());
        state.store.append(Origin::Commanded, &block.to_bytes())?;
        let pushed = state.chain.push(block, proof_of_work);
        let hash = pushed.map_err(|fault| SubmitFault::from(Violation::from(fault)))?;
        let State { chain, mempool, .. } = state;
        mempool.follow(chain, Vec::new());
        Ok(hash)
    }

    /// Mines a block, with the transactions that wait, and submits it: about 65,536 hashes at difficulty 1.
    pub fn mine(&self, miner: Address, extra_data: &ExtraData) -> Result<BlockHash, CommandFault> {
        let mut hasher = Hasher::new();
        loop {
            let template = self.template(miner, extra_data.clone());
            let mut block = template.block(Timestamp((self.shared.clock)()), 0);
            let target = template.next.target.target();
            let found = hasher.mine(&block.header.to_bytes(), 0..=u32::MAX, &target);
            let Some((nonce, _)) = found else { continue };
            block.header.nonce = nonce;
            return Ok(self.submit(&block.to_bytes())?);
        }
    }
}

impl Template {
    /// The block, dated `wanted` or as soon after it as the chain allows.
    pub fn block(&self, wanted: Timestamp, nonce: u32) -> Block {
        let header = Header {
            previous: self.next.previous,
            interlink_hash: self.next.interlink_hash,
            body_hash: self.body.hash(),
            accounts_hash: self.accounts_hash,
            target: self.next.target,
            height: self.next.height,
            timestamp: wanted.max(self.next.earliest),
            nonce,
        };
        Block { header, interlink: self.next.interlink.clone(), body: self.body.clone() }
    }
}
