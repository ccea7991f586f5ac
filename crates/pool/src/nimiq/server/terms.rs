//! What a pool offers every client: who it is, and within which bounds it measures shares and errors.

use ledger::nimiq::payout_threshold::Thresholds;
use nimiq::share::smart::PoolLeaf;
use nimiq::{Address, Decimal, Luna, Network, PoolName};

use super::share_difficulty::DifficultyLimits;

/// The terms of a pool, the same for all connections of a server.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The first word of every block's extra data.
    pub name: PoolName,
    /// Whom every block pays.
    pub address: Address,
    /// The same, as a leaf of a block's body.
    pub leaf: PoolLeaf,
    /// The part of a reward that the pool keeps, as it is announced.
    pub fee: Decimal,
    /// The chain.
    pub network: Network,
    /// How share difficulties move.
    pub difficulty: DifficultyLimits,
    /// The first share difficulty of clients that wish for none.
    pub start_difficulty: f64,
    /// The same for clients that only vary a nonce; they are made for fast machines.
    pub dumb_start_difficulty: f64,
    /// Above which balances payouts are automatic, as clients are told, and what a client may choose.
    pub thresholds: Thresholds,
    /// Errors since the last `settings` or `new-block` that a client may make.
    pub allowed_errors: u32,
}

impl Terms {
    /// The usual terms of a pool.
    pub fn new(name: PoolName, address: Address, fee: Decimal, network: Network) -> Self {
        Self {
            name,
            address,
            leaf: PoolLeaf::new(&address),
            fee,
            network,
            difficulty: DifficultyLimits::default(),
            start_difficulty: 1.0,
            dumb_start_difficulty: 32.0,
            thresholds: Thresholds {
                usual: Luna(50 * Luna::PER_NIM),
                least: Luna(10 * Luna::PER_NIM),
                most: Luna(10_000 * Luna::PER_NIM),
            },
            allowed_errors: 30,
        }
    }
}
