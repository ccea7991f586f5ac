//! Blocks made by command, without proof of work: to move a test on, or to make the chain reorganise.
//!
//! They fulfil every other rule and are marked in the store; only the chain itself can make them. The steady
//! retarget rule leaves them out, because they say nothing of the miners' speed.

use packetcrypt::{
    Announcement, CanonicalTarget,
    announcement::ANNOUNCEMENT_SIZE,
    block::{AnnouncementCount, Commitment, Elements, Proof, TreeRoot},
};
use wire::var_int;

use super::{
    BlockIndex, DevChain, State,
    chain::Change,
    coinbase, next_height,
    payouts::NegativeAmount,
    store::{Origin, StoreFault},
};

/// What stands in their coinbases.
const TEXT: &str = "/headframe dev chain, by command/";
/// Blocks that one command makes at most.
pub const MOST_BLOCKS: u32 = 1000;
/// Blocks beyond the abandoned ones that a reorganisation may take to have more work than they.
const MOST_EXTRA: u32 = 64;

/// Why blocks were not made.
#[derive(Debug, thiserror::Error)]
pub enum CommandFault {
    /// More than one command may make, or none.
    #[error("between 1 and {MOST_BLOCKS} blocks can be made by one command, not {0}")]
    Count(u32),
    /// Deeper than the chain.
    #[error("cannot abandon {depth} blocks: the chain has {height} behind its genesis block")]
    TooDeep {
        /// How many were to be abandoned.
        depth: u32,
        /// How many there are.
        height: u32,
    },
    /// The payouts cannot be split.
    #[error(transparent)]
    Payouts(#[from] NegativeAmount),
    /// A block could not be stored.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The replacement never got more work than what it replaces.
    #[error("the new branch did not get more work than the old one in {0} blocks")]
    NoMoreWork(u32),
}

impl DevChain {
    /// Adds blocks without proof of work to the best chain.
    pub fn extend(&self, count: u32) -> Result<Change, CommandFault> {
        if count == 0 || count > MOST_BLOCKS {
            return Err(CommandFault::Count(count));
        }
        let mut state = self.state();
        let mut all = Change::default();
        for _ in 0..count {
            let parent = state.chain.tip();
            let (_, change) = self.command_block(&mut state, parent)?;
            all.connected.extend(change.connected);
        }
        Ok(all)
    }

    /// Replaces the newest `depth` blocks of the best chain by others, at least one more, that are made without
    /// proof of work.
    pub fn reorganise(&self, depth: u32) -> Result<Change, CommandFault> {
        if depth == 0 || depth > MOST_BLOCKS {
            return Err(CommandFault::Count(depth));
        }
        let mut state = self.state();
        let height = state.chain.block(state.chain.tip()).place.height;
        let fork = height.checked_sub(depth).and_then(|fork| state.chain.at_height(fork));
        let mut parent = fork.ok_or(CommandFault::TooDeep { depth, height: height.0 })?;
        for _ in 0..depth + MOST_EXTRA {
            let (index, change) = self.command_block(&mut state, parent)?;
            if !change.connected.is_empty() {
                return Ok(change);
            }
            parent = index;
        }
        Err(CommandFault::NoMoreWork(depth + MOST_EXTRA))
    }

    fn command_block(
        &self,
        state: &mut State,
        parent: BlockIndex,
    ) -> Result<(BlockIndex, Change), CommandFault> {
        let height = next_height(state.chain.block(parent));
        let amounts = state.payouts.amounts_in_random_order(height)?;
        let commitment = commitment_script();
        let coinbase = coinbase::build(height, rand::random_range(1..=16), TEXT, &amounts, &commitment);
        let mut header = self.next_header(&state.chain, parent, &coinbase);
        // Two such blocks of one second must differ.
        header.nonce = rand::random();
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend(elements().to_bytes());
        var_int::write(&mut bytes, 1);
        bytes.extend(coinbase);
        let change = self.add(state, parent, header, Origin::Commanded, &bytes)?;
        let index = state.chain.find(&header.block_hash()).unwrap_or(parent);
        Ok((index, change))
    }
}

/// A commitment to one announcement of the least work, which does not exist.
fn commitment_script() -> Vec<u8> {
    const ONE: AnnouncementCount = AnnouncementCount::new(1).expect("one is a count");
    let commitment = Commitment { least_work: CanonicalTarget::EASIEST, root: TreeRoot([0; 32]), count: ONE };
    [&[0x6a, 0x30], &commitment.to_bytes()[..]].concat()
}

/// Elements that can be read but prove nothing.
fn elements() -> Elements {
    let nothing = [0; ANNOUNCEMENT_SIZE];
    let announcements = [(); 4].map(|()| Announcement::from_bytes(&nothing));
    let proof = Proof { nonce2: 0, announcements, tree_proof: vec![0] };
    Elements { proof, signatures: vec![] }
}
