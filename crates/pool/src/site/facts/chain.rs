//! What both pools show alike: blocks, effort and luck.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Amount, Measured, Moment};

/// One of the chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Chain {
    /// PKT.
    PacketCrypt,
    /// NIM.
    Nimiq,
}

impl Chain {
    /// As it stands in addresses of the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::PacketCrypt => "packetcrypt",
            Self::Nimiq => "nimiq",
        }
    }

    /// From such a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::PacketCrypt, Self::Nimiq].into_iter().find(|chain| chain.name() == name)
    }
}

/// A block that the pool found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PoolBlock {
    /// Its height, if it is known.
    pub height: Option<u32>,
    /// Its hash, in the digits that explorers use.
    pub hash: String,
    /// When it was found.
    pub found_at: Moment,
    /// Whose share it was, if it is known.
    pub finder: Option<String>,
    /// Work since the block before, in percent of what a block takes on average; `None` where that time is not
    /// recorded whole.
    pub effort_percent: Option<f64>,
    /// Reward and fees.
    pub reward: Option<Amount>,
    /// The number of the payout table that it paid by, where blocks pay directly and that is known.
    pub payout_table: Option<u64>,
    /// Whether it counts.
    pub standing: BlockStanding,
    /// Blocks on top of it and itself.
    pub confirmations: Option<u32>,
    /// How many make it final; `None`: there is nothing to wait for.
    pub confirmations_needed: Option<u32>,
}

/// Whether a block counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BlockStanding {
    /// Seen, not yet credited.
    Found,
    /// Credited, and not deep enough to be final.
    Immature,
    /// Deep enough.
    Mature,
    /// Not on the main chain.
    Orphaned,
    /// Nobody has been able to say.
    Unknown,
}

impl BlockStanding {
    /// As in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Immature => "immature",
            Self::Mature => "mature",
            Self::Orphaned => "orphaned",
            Self::Unknown => "unknown",
        }
    }
}

/// How lucky the pool is. Effort is work done in percent of what a block takes on average: below 100 is lucky.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Luck {
    /// Work since the last block.
    pub current_effort: Measured<f64>,
    /// The mean effort over the last 10 and 100 blocks and over all that are recorded.
    pub windows: Vec<LuckWindow>,
}

/// The mean effort of some of the newest blocks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LuckWindow {
    /// How many blocks were asked for; `None`: all.
    pub blocks: Option<u32>,
    /// How many there are whose effort is known.
    pub counted: u32,
    /// Their mean effort in percent; `None` without any.
    pub effort_percent: Option<f64>,
    /// Where the mean lies in 95 of 100 cases for a pool that finds what its work is worth, for this many blocks.
    pub low_percent: Option<f64>,
    /// The upper end.
    pub high_percent: Option<f64>,
}
