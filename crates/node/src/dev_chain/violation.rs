//! Why a block is refused, in pktd's words.
//!
//! Source: `docs/protocol/packetcrypt-blocks.md` 7.4. Pools look for the names of the rules in the text, so they
//! are part of the interface.

use packetcrypt::{BlockHash, CompactTarget, Height, block::MerkleRoot};

/// The rule that a block breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It is known already.
    #[error("ErrDuplicateBlock: already have block {0}")]
    DuplicateBlock(BlockHash),
    /// Its bits are no target.
    #[error("ErrUnexpectedDifficulty: block target difficulty of {0} is too low")]
    NoTarget(CompactTarget),
    /// Its bits are easier than the chain allows.
    #[error(
        "ErrUnexpectedDifficulty: block target difficulty of {:064x} is higher than max of {:064x}",
        found.expand().unwrap_or_default(), limit.expand().unwrap_or_default()
    )]
    TargetAboveLimit {
        /// Its target.
        found: CompactTarget,
        /// The chain's easiest.
        limit: CompactTarget,
    },
    /// Its time lies too far ahead.
    #[error("ErrTimeTooNew: block timestamp of {0} is too far in the future")]
    TimeTooNew(u32),
    /// It is empty.
    #[error("ErrNoTransactions: block does not contain any transactions")]
    NoTransactions,
    /// It is too long.
    #[error("ErrBlockTooBig: serialized block is too big - got {found}, max {max}")]
    TooBig {
        /// Its length.
        found: usize,
        /// The longest.
        max: usize,
    },
    /// Its first transaction spends something.
    #[error("ErrFirstTxNotCoinbase: first transaction in block is not a coinbase")]
    FirstNotCoinbase,
    /// Another transaction makes coins, too.
    #[error("ErrMultipleCoinbases: block contains second coinbase at index {0}")]
    MultipleCoinbases(usize),
    /// Its coinbase has no proper input script.
    #[error(
        "ErrBadCoinbaseScriptLen: coinbase transaction script length of {0} is out of range (min: 2, max: 100)"
    )]
    CoinbaseScriptLength(usize),
    /// An output takes money instead of giving it.
    #[error("ErrBadTxOutValue: transaction output has negative value of {0}")]
    NegativeOutput(i64),
    /// Its header commits to other transactions.
    #[error(
        "ErrBadMerkleRoot: block merkle root is invalid - block header indicates {}, but calculated value is {}",
        reversed(header),
        reversed(calculated)
    )]
    MerkleRoot {
        /// What the header says.
        header: MerkleRoot,
        /// What the transactions give.
        calculated: MerkleRoot,
    },
    /// The coinbase does not say its height.
    #[error(
        "ErrMissingCoinbaseHeight: the coinbase signature script must start with the height of the block"
    )]
    MissingHeight,
    /// The proof is of another version than today's.
    #[error("ErrBadPow: Unallowed PacketCrypt proof version")]
    ProofVersion,
    /// An announcement's parent lies beyond anything.
    #[error("ErrBadPow: ann parent block height is negative")]
    NegativeParent,
    /// A block that is needed for the check is not known.
    #[error(
        "ErrPowCannotVerify: Cannot verify pow, missing block at height [{0}]: Context block node not found"
    )]
    MissingParent(Height),
    /// The proof of work does not hold.
    #[error("ErrBadPow: Error validating PacketCrypt proof [{0}]")]
    Proof(String),
    /// The coinbase says another height than the block has.
    #[error(
        "ErrBadCoinbaseHeight: the coinbase signature script serialized block height is {found} when {expected} \
         was expected"
    )]
    CoinbaseHeight {
        /// What it says.
        found: i64,
        /// What it should say.
        expected: Height,
    },
    /// Its bits are not those that its place requires.
    #[error(
        "ErrUnexpectedDifficulty: block difficulty of {} is not the expected value of {}",
        found.0, expected.0
    )]
    UnexpectedBits {
        /// Its bits.
        found: CompactTarget,
        /// Those required.
        expected: CompactTarget,
    },
    /// Its time is not above the median of the last blocks.
    #[error("ErrTimeTooOld: block timestamp of {found} is not after expected {median}")]
    TimeTooOld {
        /// Its time.
        found: u32,
        /// That median.
        median: u32,
    },
    /// Its version is out of use.
    #[error("ErrBlockVersionTooOld: new blocks with version {0} are no longer valid")]
    VersionTooOld(i32),
    /// It has transactions other than the coinbase. The dev chain has none that could be spent.
    #[error("ErrMissingTxOut: the dev chain has no transactions but coinbases, this block has {0}")]
    Spends(usize),
    /// Its coinbase makes more coins than it may.
    #[error(
        "ErrBadCoinbaseValue: coinbase transaction for block pays {found} which is more than expected value of \
         {expected}"
    )]
    CoinbaseValue {
        /// What it pays, in base units.
        found: u128,
        /// What it may pay.
        expected: u64,
    },
    /// The steward is not paid, or not exactly.
    #[error(
        "ErrBadCoinbaseNetworkSteward: coinbase transaction does not contain a proper payment to network steward \
         [{}]",
        hex::encode(super::rules::STEWARD_SCRIPT)
    )]
    Steward,
}

fn reversed(root: &MerkleRoot) -> BlockHash {
    BlockHash::from_internal(root.0)
}
