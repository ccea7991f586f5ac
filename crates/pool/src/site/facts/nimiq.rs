//! The Nimiq pool at one moment.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Amount, Luck, Measured, Moment, Part, Payee, Payment, PaymentState, PoolBlock};

/// The Nimiq pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NimiqFacts {
    /// Where miners connect to: `wss://HOST:PORT`, or `ws://` without encryption.
    pub servers: Vec<String>,
    /// The pool's own account.
    pub address: Option<String>,
    /// `main`, `test` or `dev`.
    pub network: String,
    /// Height of the newest block.
    pub height: Measured<u32>,
    /// Difficulty of the chain.
    pub difficulty: Measured<f64>,
    /// All that mines this chain, by the difficulty.
    pub network_speed: Measured<f64>,
    /// What a million hashes per second earn in a day on average, after the fee.
    pub expected_per_day: Measured<Amount>,
    /// Hashes of accepted shares.
    pub speed: Measured<f64>,
    /// Accepted shares.
    pub shares: Measured<u64>,
    /// Who mines.
    pub miners: NimiqMiners,
    /// Effort and luck.
    pub luck: Luck,
    /// Blocks of the pool that are on the main chain.
    pub blocks_found: Measured<u64>,
    /// The pool's part of each reward.
    pub fee: Part,
    /// How miners are paid, in one sentence.
    pub payout_rule: String,
    /// Confirmations that make a block's credits payable.
    pub confirmations_needed: u32,
    /// A confirmed balance above this is paid by itself.
    pub automatic_above: Amount,
    /// Seconds between automatic payouts; 0: at once.
    pub payout_interval_seconds: u64,
    /// The newest blocks of the pool, newest first; at most 100.
    pub blocks: Vec<PoolBlock>,
    /// The newest batches, newest first; at most 50.
    pub batches: Vec<PayoutBatch>,
    /// The newest payments, newest first; at most 100.
    pub payments: Vec<Payment>,
    /// Mean value of the payments of the last 30 days that are confirmed; `None`: there was none.
    pub average_payout: Measured<Amount>,
    /// Whom a block found now would credit, and by which shares; `None`: there is no share, or nobody knows.
    #[serde(default)]
    pub next_block: Option<NextNimiqBlock>,
    /// The book; `None` before it has been read.
    pub totals: Option<LedgerTotals>,
}

/// Whom a block found now would credit, and by which shares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NextNimiqBlock {
    /// When this was so.
    pub as_of: Moment,
    /// The older bound of the window.
    pub oldest_share: Option<Moment>,
    /// The newer one.
    pub newest_share: Option<Moment>,
    /// Shares in the window.
    pub shares: u64,
    /// How many addresses are credited.
    pub payee_count: u64,
    /// The greatest of them, after the fee; at most 100.
    pub payees: Vec<Payee>,
}

/// Who mines Nimiq.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NimiqMiners {
    /// Addresses with an accepted share.
    pub addresses: Measured<u64>,
    /// Devices with an accepted share.
    pub devices: Measured<u64>,
    /// Connections of `smart` clients, if the servers tell.
    pub smart: Measured<u64>,
    /// Connections of `nano` clients.
    pub nano: Measured<u64>,
    /// Connections of `dumb` clients.
    pub dumb: Measured<u64>,
}

/// Payments that were prepared together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PayoutBatch {
    /// When.
    pub prepared_at: Moment,
    /// How many.
    pub payments: u64,
    /// What the recipients get.
    pub value: Amount,
    /// Fees of the network.
    pub network_fees: Amount,
    /// The least advanced of their states.
    pub state: PaymentState,
}

/// Sums of the book: what the pool owes and what it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LedgerTotals {
    /// When they were added up.
    pub as_of: Moment,
    /// Credits of blocks that can still vanish.
    pub immature: Amount,
    /// Confirmed balances of miners.
    pub confirmed: Amount,
    /// Payments under way.
    pub under_way: Amount,
    /// Everything that was ever paid to miners.
    pub paid: Amount,
    /// The pool's own part that it has not taken out.
    pub fees: Amount,
    /// What miners are owed: confirmed, immature and under way.
    pub liabilities: Amount,
    /// What the pool's account holds, if a node has told.
    pub reserve: Option<Amount>,
}
