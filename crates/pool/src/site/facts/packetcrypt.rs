//! The PacketCrypt pool at one moment.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Amount, BlockStanding, Luck, Measured, Moment, Part, PoolBlock};

/// The PacketCrypt pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PacketCryptFacts {
    /// Pool URL that miners are given.
    pub pool_url: String,
    /// Base URLs of the AnnHandlers.
    pub announcement_urls: Vec<String>,
    /// Base URLs of the BlkHandlers.
    pub block_urls: Vec<String>,
    /// Whether announcements must be signed with keys of this pool.
    pub is_private: bool,
    /// Height of the block that is being mined.
    pub height: Measured<u32>,
    /// Difficulty of the chain.
    pub difficulty: Measured<f64>,
    /// Work of the easiest announcement that is accepted, in encryptions.
    pub announcement_work: Measured<f64>,
    /// Announcement mining.
    pub announcement_speed: Measured<f64>,
    /// Block mining.
    pub block_speed: Measured<f64>,
    /// Announcements that come in.
    pub bandwidth: Measured<f64>,
    /// Announcements that handlers send to block miners.
    pub bandwidth_sent: Measured<f64>,
    /// Who mines.
    pub miners: PacketCryptMiners,
    /// Effort and luck.
    pub luck: Luck,
    /// Accepted shares.
    pub shares: Measured<u64>,
    /// Blocks of the pool.
    pub blocks_found: Measured<u64>,
    /// Blocks of the chain.
    pub chain_blocks: Measured<u64>,
    /// The pool's part of each reward; as the next two, `None` before the PayMaker has told.
    pub fee: Option<Part>,
    /// The block miners' part after the fee.
    pub block_miners_part: Option<Part>,
    /// The announcement miners' part after the fee.
    pub announcement_miners_part: Option<Part>,
    /// How miners are paid, in one sentence.
    pub payout_rule: String,
    /// Reward of the next block, if the node has told.
    pub next_reward: Measured<Amount>,
    /// What the next block pays.
    pub payout_table: Option<PayoutTableFacts>,
    /// The newest payout tables that were sent to the node, newest first, without their payees.
    pub payout_tables: Vec<PayoutTableFacts>,
    /// The newest blocks of the pool, newest first; at most 100.
    pub blocks: Vec<PoolBlock>,
    /// Announcements by the age of their parent, youngest first.
    pub announcement_classes: Vec<AnnouncementClass>,
    /// What the ledger warns of.
    pub warnings: Vec<String>,
}

/// Addresses with work in the last ten minutes (block miners) or the last two full slots (announcement miners).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PacketCryptMiners {
    /// That mine announcements.
    pub announcements: Measured<u64>,
    /// That mine blocks.
    pub blocks: Measured<u64>,
}

/// A payout table: who is paid which part of a block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PayoutTableFacts {
    /// Its number in the book; `None`: it has not been sent to the node.
    pub number: Option<u64>,
    /// When it was made.
    pub made_at: Moment,
    /// The newest event that it takes into account.
    pub newest_event: Option<Moment>,
    /// What the node made of it.
    pub state: PayoutTableState,
    /// What the node says, where that is needed.
    pub detail: Option<String>,
    /// The window over shares.
    pub share_window: WindowFacts,
    /// The window over announcements.
    pub announcement_window: WindowFacts,
    /// How many addresses are paid.
    pub payee_count: u64,
    /// The greatest payees, the fee address first; at most 100.
    pub payees: Vec<Payee>,
    /// Blocks of the pool that were found while it was in force, and so paid by it, newest first.
    pub paid_in: Vec<PaidBlock>,
}

/// A block that paid by a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaidBlock {
    /// Its height, if it is known.
    pub height: Option<u32>,
    /// Its hash.
    pub hash: String,
    /// Whether it counts.
    pub standing: BlockStanding,
    /// Blocks on top of it and itself.
    pub confirmations: Option<u32>,
}

/// What a node made of a payout table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayoutTableState {
    /// It has not been sent yet.
    Computed,
    /// It has been sent.
    Sent,
    /// The node will pay so.
    Configured,
    /// The node does not take it.
    Refused,
    /// The node's next template pays exactly this.
    PaidAsSent,
    /// The node's next template pays something else.
    PaidOtherwise,
}

impl PayoutTableState {
    /// As in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Computed => "computed",
            Self::Sent => "sent",
            Self::Configured => "configured",
            Self::Refused => "refused",
            Self::PaidAsSent => "paid_as_sent",
            Self::PaidOtherwise => "paid_otherwise",
        }
    }
}

/// How far back a window reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowFacts {
    /// Its newest share, or the end of its newest slot.
    pub newest: Option<Moment>,
    /// Its oldest.
    pub oldest: Option<Moment>,
    /// How much of it is filled with work, in percent; the default address gets the rest.
    pub filled_percent: Option<f64>,
}

/// One who is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Payee {
    /// The address.
    pub address: String,
    /// Its part of the reward.
    pub part: Part,
    /// What that is in coins, if the reward is known.
    pub amount: Option<Amount>,
    /// Whether it is an address of the pool's own, which is paid the fee, and what no work fills of the windows.
    #[serde(default)]
    pub is_of_pool: bool,
}

/// Announcements with a parent of one height.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnnouncementClass {
    /// Height of the parent.
    pub parent_height: u32,
    /// Its age in blocks, counted from the block that is being mined.
    pub age_blocks: u32,
    /// Whether blocks can be mined with them now.
    pub state: ClassState,
    /// How many were accepted.
    pub accepted: Measured<u64>,
    /// What one of them is worth, in percent of a fresh one.
    pub worth_percent: Option<f64>,
}

/// What can be done with an announcement of an age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassState {
    /// Too young to mine blocks with.
    Fresh,
    /// Usable.
    Mature,
    /// Too old to be worth anything.
    Spoiled,
}
