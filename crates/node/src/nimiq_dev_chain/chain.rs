//! Every known block, the chain that is valid now, and what follows from it.
//!
//! The block that came last, or was last ordered, is the head: the node that this stands for considers only blocks on
//! its head, so other branches come about by command alone.

use std::collections::HashMap;

use nimiq::difficulty::Window;
use nimiq::share::NextBlock;
use nimiq::{Block, BlockHash, CompactTarget, Decimal, Height, Network, ProofOfWork, TransactionHash};

use super::accounts::{Accounts, AccountsFault};

/// The network whose genesis block the chain begins with.
pub const NETWORK: Network = Network::Dev;

/// A known block.
#[derive(Clone, Debug)]
pub struct KnownBlock {
    /// The block.
    pub block: Block,
    /// Its hash.
    pub hash: BlockHash,
    /// Its proof of work, which a commanded block has without having worked.
    pub proof_of_work: ProofOfWork,
    /// Difficulty of this block and all before it.
    total_difficulty: Decimal,
}

/// A change of the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Blocks that are no longer part of it, newest first.
    pub abandoned: Vec<BlockHash>,
    /// Blocks that now are, oldest first.
    pub adopted: Vec<BlockHash>,
}

/// Where a transaction stands in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The height of its block.
    pub height: Height,
    /// Its position in the block.
    pub index: usize,
}

/// All known blocks.
#[derive(Debug)]
pub struct Chain {
    known: HashMap<BlockHash, KnownBlock>,
    /// The valid chain from height 1 on. Never empty.
    main: Vec<BlockHash>,
    accounts: Accounts,
    included: HashMap<TransactionHash, Inclusion>,
    genesis: KnownBlock,
}

impl Chain {
    /// A chain with only its genesis block, whose proof of work is given.
    pub fn new(proof_of_work: ProofOfWork) -> Self {
        let block = NETWORK.genesis_block();
        let hash = block.header.hash();
        let total_difficulty = block.header.target.difficulty().to_decimal();
        let genesis = KnownBlock { block, hash, proof_of_work, total_difficulty };
        Self {
            known: HashMap::from([(hash, genesis.clone())]),
            main: vec![hash],
            accounts: Accounts::default(),
            included: HashMap::new(),
            genesis,
        }
    }

    /// A known block, on the valid chain or abandoned.
    pub fn find(&self, hash: &BlockHash) -> Option<&KnownBlock> {
        self.known.get(hash)
    }

    /// The block of the valid chain at a height.
    pub fn at(&self, height: Height) -> Option<&KnownBlock> {
        let index = height.0.checked_sub(Height::GENESIS.0)?;
        self.known.get(self.main.get(index as usize)?)
    }

    /// The newest block.
    pub fn head(&self) -> &KnownBlock {
        self.main.last().and_then(|hash| self.known.get(hash)).unwrap_or(&self.genesis)
    }

    /// Who owns what after the head.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Where a transaction stands in the valid chain.
    pub fn inclusion(&self, hash: &TransactionHash) -> Option<Inclusion> {
        self.included.get(hash).copied()
    }

    /// The blocks of the valid chain, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &KnownBlock> {
        self.main.iter().rev().filter_map(|hash| self.known.get(hash))
    }

    /// What the block on top of the head must be.
    pub fn next_block(&self) -> NextBlock {
        let head = self.head();
        let light = head.block.to_light();
        NextBlock::on(&light, head.proof_of_work, self.next_target(), &NETWORK.genesis_hash())
    }

    fn next_target(&self) -> CompactTarget {
        let head = self.head();
        let height = head.block.header.height;
        let tail = self.at(Window::tail(height)).unwrap_or(&self.genesis);
        let difficulty = head.total_difficulty.checked_sub(tail.total_difficulty).unwrap_or_default();
        let window = Window {
            head: height,
            head_timestamp: head.block.header.timestamp,
            tail_timestamp: tail.block.header.timestamp,
            difficulty,
        };
        window.next_target().unwrap_or(CompactTarget::EASIEST)
    }

    /// Makes a known block the head, whatever that abandons.
    pub fn switch_to(&mut self, hash: &BlockHash) -> Result<Change, AccountsFault> {
        let mut path = Vec::new();
        let mut at = self.known.get(hash).unwrap_or(&self.genesis);
        while self.at(at.block.header.height).is_none_or(|main| main.hash != at.hash) {
            path.push(at.hash);
            at = self.known.get(&at.block.header.previous).unwrap_or(&self.genesis);
        }
        let fork = at.block.header.height;
        let mut change = Change::default();
        while self.head().block.header.height > fork {
            let head = self.head().clone();
            self.accounts.revert(&head.block.body, head.block.header.height);
            for transaction in &head.block.body.transactions {
                self.included.remove(&transaction.hash());
            }
            self.main.pop();
            change.abandoned.push(head.hash);
        }
        for hash in path.into_iter().rev() {
            self.connect(hash)?;
            change.adopted.push(hash);
        }
        Ok(change)
    }

    /// Adds a block whose predecessor is the head, and makes it the head.
    pub fn push(&mut self, block: Block, proof_of_work: ProofOfWork) -> Result<BlockHash, AccountsFault> {
        let (hash, difficulty) = (block.header.hash(), block.header.target.difficulty().to_decimal());
        let total = self.head().total_difficulty;
        let total_difficulty = total.checked_add(difficulty).unwrap_or(total);
        self.known.insert(hash, KnownBlock { block, hash, proof_of_work, total_difficulty });
        self.connect(hash)?;
        Ok(hash)
    }

    fn connect(&mut self, hash: BlockHash) -> Result<(), AccountsFault> {
        let Some(KnownBlock { block, .. }) = self.known.get(&hash) else { return Ok(()) };
        let height = block.header.height;
        self.accounts.apply(&block.body, height)?;
        for (index, transaction) in block.body.transactions.iter().enumerate() {
            self.included.insert(transaction.hash(), Inclusion { height, index });
        }
        self.main.push(hash);
        Ok(())
    }
}
