//! The past of one figure, for charts: points of equal distance.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Chain, Moment, Unit};

/// The past of one figure. Point `i` covers the time from `from + i · step_seconds` on, for `step_seconds`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Series {
    /// Which chain's.
    pub chain: Chain,
    /// Which figure.
    pub name: SeriesName,
    /// How far it reaches back.
    pub range: Range,
    /// Whose it is; `None`: the whole pool's.
    pub address: Option<String>,
    /// What the points are counted in.
    pub unit: Unit,
    /// Start of the first point, in milliseconds since 1970.
    pub from: Moment,
    /// Distance of two points, in seconds.
    pub step_seconds: u64,
    /// The figures, oldest first; `null` where nothing is known, which is not 0.
    pub points: Vec<Option<f64>>,
    /// When it was made. The last point may still grow.
    pub as_of: Moment,
}

impl Series {
    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.points.iter().all(Option::is_none)
    }
}

/// Which series is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SeriesQuery {
    /// Of which chain.
    pub chain: Chain,
    /// Which figure.
    pub name: SeriesName,
    /// How far back.
    pub range: Range,
    /// Whose; `None`: the whole pool's.
    pub address: Option<String>,
}

/// A figure that has a past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeriesName {
    /// PacketCrypt: encryptions per second of announcement miners.
    AnnouncementSpeed,
    /// PacketCrypt: encryptions per second of block miners.
    BlockSpeed,
    /// PacketCrypt: announcements that come in, in kbit/s.
    Bandwidth,
    /// PacketCrypt: what announcements earned in each step, in credits of the PPLNS window.
    AnnouncementCredits,
    /// PacketCrypt: the same for shares.
    ShareCredits,
    /// Nimiq: hashes per second.
    HashRate,
    /// Accepted shares in each step.
    Shares,
    /// Blocks of the pool in each step.
    Blocks,
    /// Mean effort of the blocks found in each step, in percent: below 100 is lucky.
    Effort,
    /// Nimiq: coins credited in each step.
    Credits,
    /// Nimiq: coins paid out in each step. PacketCrypt: blocks that paid the address.
    Payouts,
    /// PacketCrypt: addresses whose announcements were accepted.
    AnnouncementMiners,
    /// PacketCrypt: addresses whose shares were.
    BlockMiners,
    /// Nimiq: addresses that mine.
    Miners,
    /// Difficulty of the chain.
    Difficulty,
    /// Time from one block of the chain to the next, whoever found them.
    BlockInterval,
    /// How busy the threads of the handlers were that check work, in percent.
    HandlerLoad,
    /// The part of the chain's nodes that could be used, in percent.
    NodesUp,
}

impl SeriesName {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::AnnouncementSpeed,
        Self::BlockSpeed,
        Self::Bandwidth,
        Self::AnnouncementCredits,
        Self::ShareCredits,
        Self::HashRate,
        Self::Shares,
        Self::Blocks,
        Self::Effort,
        Self::Credits,
        Self::Payouts,
        Self::AnnouncementMiners,
        Self::BlockMiners,
        Self::Miners,
        Self::Difficulty,
        Self::BlockInterval,
        Self::HandlerLoad,
        Self::NodesUp,
    ];

    /// The figures of a chain, in the order in which they are shown.
    pub fn of_chain(chain: Chain) -> &'static [Self] {
        match chain {
            Chain::PacketCrypt => &[
                Self::AnnouncementSpeed,
                Self::BlockSpeed,
                Self::Bandwidth,
                Self::AnnouncementMiners,
                Self::BlockMiners,
                Self::HandlerLoad,
                Self::Shares,
                Self::Blocks,
                Self::Effort,
                Self::AnnouncementCredits,
                Self::ShareCredits,
                Self::Payouts,
                Self::Difficulty,
                Self::BlockInterval,
                Self::NodesUp,
            ],
            Chain::Nimiq => &[
                Self::HashRate,
                Self::Miners,
                Self::HandlerLoad,
                Self::Shares,
                Self::Blocks,
                Self::Effort,
                Self::Credits,
                Self::Payouts,
                Self::Difficulty,
                Self::BlockInterval,
                Self::NodesUp,
            ],
        }
    }

    /// Whether there is one for each address.
    pub fn has_addresses(self) -> bool {
        !self.is_of_website() && self != Self::Effort
    }

    /// Whether the website itself keeps it, from what it sees of the pool; everything else is kept by those who pay.
    pub fn is_of_website(self) -> bool {
        matches!(
            self,
            Self::AnnouncementMiners
                | Self::BlockMiners
                | Self::Miners
                | Self::Difficulty
                | Self::BlockInterval
                | Self::HandlerLoad
                | Self::NodesUp
        )
    }

    /// What its points are counted in.
    pub fn unit(self, chain: Chain) -> Unit {
        match (self, chain) {
            (Self::AnnouncementSpeed | Self::BlockSpeed, _) => Unit::EncryptionsPerSecond,
            (Self::Bandwidth, _) => Unit::KilobitsPerSecond,
            (Self::AnnouncementCredits | Self::ShareCredits, _) | (Self::Credits, Chain::PacketCrypt) => {
                Unit::Credits
            }
            (Self::HashRate, _) => Unit::HashesPerSecond,
            (Self::Shares, _) => Unit::Shares,
            (Self::Blocks, _) => Unit::Blocks,
            (Self::Effort | Self::HandlerLoad | Self::NodesUp, _) => Unit::Percent,
            (Self::AnnouncementMiners | Self::BlockMiners | Self::Miners, _) => Unit::Miners,
            (Self::Difficulty, _) => Unit::Difficulty,
            (Self::BlockInterval, _) => Unit::Seconds,
            (Self::Credits | Self::Payouts, Chain::Nimiq) => Unit::Nim,
            (Self::Payouts, Chain::PacketCrypt) => Unit::Payments,
        }
    }

    /// As in addresses of the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::AnnouncementSpeed => "announcement_speed",
            Self::BlockSpeed => "block_speed",
            Self::Bandwidth => "bandwidth",
            Self::AnnouncementCredits => "announcement_credits",
            Self::ShareCredits => "share_credits",
            Self::HashRate => "hash_rate",
            Self::Shares => "shares",
            Self::Blocks => "blocks",
            Self::Effort => "effort",
            Self::Credits => "credits",
            Self::Payouts => "payouts",
            Self::AnnouncementMiners => "announcement_miners",
            Self::BlockMiners => "block_miners",
            Self::Miners => "miners",
            Self::Difficulty => "difficulty",
            Self::BlockInterval => "block_interval",
            Self::HandlerLoad => "handler_load",
            Self::NodesUp => "nodes_up",
        }
    }

    /// From such a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|series| series.name() == name)
    }
}

/// How far back a series reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum Range {
    /// An hour, by the minute.
    #[serde(rename = "1h")]
    Hour,
    /// A day, by ten minutes.
    #[serde(rename = "24h")]
    Day,
    /// A week, by the hour.
    #[serde(rename = "7d")]
    Week,
    /// Thirty days, by the hour.
    #[serde(rename = "30d")]
    Month,
}

impl Range {
    /// All of them, shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// Distance of two points, in seconds.
    pub fn step_seconds(self) -> u64 {
        match self {
            Self::Hour => 60,
            Self::Day => 600,
            Self::Week | Self::Month => 3600,
        }
    }

    /// How many points there are.
    pub fn points(self) -> usize {
        match self {
            Self::Hour => 60,
            Self::Day => 144,
            Self::Week => 168,
            Self::Month => 720,
        }
    }

    /// As in addresses of the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Range {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|range| range.name() == text).ok_or(())
    }
}
