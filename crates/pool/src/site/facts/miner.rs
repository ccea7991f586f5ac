//! One address: whether it mines, what its work is worth, what it was paid.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Amount, Chain, Measured, Moment, Part};

/// Everything about an address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MinerFacts {
    /// The address, in its usual spelling.
    pub address: String,
    /// Its chain.
    pub chain: Chain,
    /// When this was put together.
    pub gathered_at: Moment,
    /// Whether it mines.
    pub state: MinerState,
    /// Its last accepted work; `None`: there is none in the history.
    pub last_seen: Option<Moment>,
    /// How long ago that was, in seconds, when this was put together.
    pub last_seen_seconds: Option<u64>,
    /// Why work of this address was refused in the last 24 hours, the most frequent reason first; also where none was
    /// ever accepted.
    #[serde(default)]
    pub refusals: Vec<RefusalCount>,
    /// Of PacketCrypt.
    pub packetcrypt: Option<PacketCryptMiner>,
    /// Of Nimiq.
    pub nimiq: Option<NimiqMiner>,
}

/// Whether an address mines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MinerState {
    /// Work has been accepted in the last ten minutes.
    Mining,
    /// So it has, and not yet long enough to fill the windows.
    WarmingUp,
    /// Not for ten minutes, but within the history.
    Idle,
    /// The pool has no work of this address.
    Unknown,
}

impl MinerState {
    /// As in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mining => "mining",
            Self::WarmingUp => "warming_up",
            Self::Idle => "idle",
            Self::Unknown => "unknown",
        }
    }
}

/// An address that mines PacketCrypt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PacketCryptMiner {
    /// Announcement mining over ten minutes.
    pub announcement_speed: Measured<f64>,
    /// The same over 24 hours.
    pub announcement_speed_day: Measured<f64>,
    /// Block mining over ten minutes.
    pub block_speed: Measured<f64>,
    /// The same over 24 hours.
    pub block_speed_day: Measured<f64>,
    /// Announcements that come in over ten minutes.
    pub bandwidth: Measured<f64>,
    /// What became of its announcements over 24 hours.
    pub announcements: Conduct,
    /// What became of its shares over 24 hours.
    pub shares: Conduct,
    /// Its part of the next block for announcements.
    pub announcements_part: Option<Part>,
    /// Its part of the next block for shares.
    pub shares_part: Option<Part>,
    /// Its whole part of the next block.
    pub next_part: Option<Part>,
    /// What its part for announcements is in coins, if the reward is known.
    #[serde(default)]
    pub announcements_amount: Option<Amount>,
    /// The same for shares.
    #[serde(default)]
    pub shares_amount: Option<Amount>,
    /// What its whole part is in coins.
    pub next_amount: Option<Amount>,
    /// How far its announcements fill the window, 0 to 100.
    pub warm_up_percent: Option<f64>,
    /// Estimated income.
    pub earnings: Earnings,
    /// What blocks of the pool paid it, newest first, at most 50: its part in the payout table in force at that time.
    pub payments: Vec<Payment>,
    /// The sum of those that are recorded.
    pub paid: Option<Amount>,
}

/// An address that mines Nimiq.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NimiqMiner {
    /// Hashes of accepted shares over ten minutes.
    pub speed: Measured<f64>,
    /// The same over 24 hours.
    pub speed_day: Measured<f64>,
    /// What became of its shares over 24 hours.
    pub shares: Conduct,
    /// Devices with a share in the last 24 hours, most recent first; at most 100.
    pub devices: Vec<Device>,
    /// Its part of the next block, if that were found now.
    pub next_part: Option<Part>,
    /// What that is in coins.
    pub next_amount: Option<Amount>,
    /// Credits of blocks that can still vanish.
    pub immature: Amount,
    /// What can be paid.
    pub confirmed: Amount,
    /// Payments under way.
    pub under_way: Amount,
    /// What was paid.
    pub paid: Amount,
    /// A confirmed balance above this is paid by itself.
    pub automatic_above: Amount,
    /// Whether the miner has chosen that, within what the operator allows.
    pub is_own_threshold: bool,
    /// Whether it has asked for a payout.
    pub payout_requested: bool,
    /// Estimated income.
    pub earnings: Earnings,
    /// Its newest payments, newest first; at most 50.
    pub payments: Vec<Payment>,
}

/// What became of work that was sent in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Conduct {
    /// Length of the time that is counted, in seconds.
    pub window_seconds: u64,
    /// Accepted pieces; `None`: not known.
    pub accepted: Option<u64>,
    /// Sent a second time.
    pub duplicate: Option<u64>,
    /// Not accepted, for all reasons.
    pub refused: Option<u64>,
    /// The reasons.
    pub refusals: Vec<RefusalCount>,
}

impl Conduct {
    /// Accepted pieces in percent of all; `None` if not all of them are known, or there are none.
    pub fn good_percent(&self) -> Option<f64> {
        let accepted = self.accepted?;
        let all = accepted + self.duplicate? + self.refused?;
        (all > 0).then(|| 100.0 * accepted as f64 / all as f64)
    }
}

/// Pieces refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalCount {
    /// Code of the closed list of refusals.
    pub code: String,
    /// How many pieces.
    pub count: u64,
}

/// One of an address's devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// The number that it gave itself.
    pub id: u32,
    /// Hashes of its accepted shares over ten minutes.
    pub speed: Measured<f64>,
    /// Its accepted shares over 24 hours.
    pub shares: Measured<u64>,
    /// Its last accepted share.
    pub last_seen: Moment,
}

/// A payment to an address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Payment {
    /// When it was made: a transaction stored (Nimiq), a block found (PacketCrypt).
    pub at: Moment,
    /// Who is paid.
    pub address: String,
    /// What arrives; `None`: only the part is known.
    pub amount: Option<Amount>,
    /// The part of a block's reward that it is, where a block pays directly.
    pub part: Option<Part>,
    /// The network's fee, if there is one.
    pub network_fee: Option<Amount>,
    /// The transaction, or the block that pays.
    pub hash: String,
    /// Height of the block that it is in.
    pub height: Option<u32>,
    /// Where it stands.
    pub state: PaymentState,
    /// `automatic`, `requested`, `owner` or `block`.
    pub kind: String,
}

/// Some of the payments to an address.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PaymentsPage {
    /// Payments, newest first.
    pub payments: Vec<Payment>,
    /// Ask for payments before this to go on; `None`: these were the last.
    pub next: Option<u64>,
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// A person must look at it.
    Review,
    /// Debited and signed, not sent yet.
    Prepared,
    /// Sent.
    Broadcast,
    /// In a block.
    Mined,
    /// In a block that is deep enough.
    Confirmed,
    /// It can no longer be mined; the balance has it back.
    Expired,
}

impl PaymentState {
    /// As in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Prepared => "prepared",
            Self::Broadcast => "broadcast",
            Self::Mined => "mined",
            Self::Confirmed => "confirmed",
            Self::Expired => "expired",
        }
    }

    /// From such a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Review, Self::Prepared, Self::Broadcast, Self::Mined, Self::Confirmed, Self::Expired]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// Estimated income from what an address does now: a range, because blocks come by chance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Earnings {
    /// For a day.
    pub day: Option<Interval>,
    /// For a week.
    pub week: Option<Interval>,
    /// For 30 days.
    pub month: Option<Interval>,
}

/// A range of amounts that the truth lies in, in 95 of 100 cases, while speed and difficulty stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Interval {
    /// The lower end.
    pub low: Amount,
    /// What is expected.
    pub expected: Amount,
    /// The upper end.
    pub high: Amount,
}
