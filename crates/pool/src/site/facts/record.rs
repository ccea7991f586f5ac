//! What the pool states of itself for good: by which terms it pays, what it owed and had, what went wrong and for how long.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Amount, Chain, LedgerTotals, Moment, Part};

/// A statement as it was signed. Its text is these members as JSON, in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Statement {
    /// Its place in the record, from 1 on.
    pub number: u64,
    /// When it was made.
    pub at: Moment,
    /// SHA-256 of the text of the statement before it; zeros before the first.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub previous: String,
    /// The Ed25519 public key that it is signed with.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub key: String,
    /// What it says.
    pub stated: Stated,
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Stated {
    /// From now on the pool pays by these terms.
    Terms(Terms),
    /// What the pool owed and had; stated once a day.
    Totals(Totals),
    /// Something has gone wrong.
    IncidentBegan(IncidentBeginning),
    /// It is over.
    IncidentEnded(IncidentEnd),
}

impl Stated {
    /// As in the API.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Terms(_) => "terms",
            Self::Totals(_) => "totals",
            Self::IncidentBegan(_) => "incident_began",
            Self::IncidentEnded(_) => "incident_ended",
        }
    }
}

/// By what a pool pays on one chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Terms {
    /// On which.
    pub chain: Chain,
    /// The pool's part of each reward.
    pub fee: Part,
    /// The rule in one sentence.
    pub rule: String,
    /// The block miners' part, where announcements are paid, too.
    pub block_miners_part: Option<Part>,
    /// The announcement miners' part.
    pub announcement_miners_part: Option<Part>,
    /// Confirmations that make credits payable, where the pool pays out.
    pub confirmations: Option<u32>,
    /// A confirmed balance above this is paid by itself.
    pub automatic_above: Option<Amount>,
}

/// What the pool owed and had on one chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// On which.
    pub chain: Chain,
    /// Its height.
    pub height: Option<u32>,
    /// The pool's newest block.
    pub newest_block: Option<String>,
    /// Number of the newest payout list that the node was sent, where blocks pay miners directly.
    pub payout_table: Option<u64>,
    /// How many addresses it pays.
    pub payees: Option<u64>,
    /// Sums of the book, where the pool collects and pays.
    pub book: Option<LedgerTotals>,
}

/// How something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// A role or a node does not answer.
    Unreachable,
    /// It answers that it cannot do its work.
    Troubled,
    /// The chain has had no new block for half an hour.
    ChainStalled,
    /// The node does not pay as it was told, or the reserve is less than what can be paid.
    PayoutsStopped,
    /// The website was not running, so nobody has watched.
    Unwatched,
}

impl IncidentKind {
    /// As in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Troubled => "troubled",
            Self::ChainStalled => "chain_stalled",
            Self::PayoutsStopped => "payouts_stopped",
            Self::Unwatched => "unwatched",
        }
    }
}

/// The beginning of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IncidentBeginning {
    /// What happened.
    pub what: IncidentKind,
    /// On which chain; null: on all.
    pub chain: Option<Chain>,
    /// Which kind of role, if it is one's.
    pub role: Option<String>,
    /// Which of them.
    pub name: Option<String>,
    /// What was said of it.
    pub reason: Option<String>,
    /// Since when, as far as the website has seen.
    pub began_at: Moment,
}

/// The end of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IncidentEnd {
    /// Number of the statement that told of its beginning.
    pub began: u64,
    /// When it was over.
    pub ended_at: Moment,
}

/// A statement with what proves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignedStatement {
    /// What was stated.
    pub statement: Statement,
    /// SHA-256 of its text, which the next one names.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub hash: String,
    /// Ed25519 signature over its text, which the log has as it was signed.
    #[schema(pattern = "^[0-9a-f]{128}$")]
    pub signature: String,
}

/// Something that went wrong, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// Number of the statement that told of its beginning.
    pub number: u64,
    /// How it began.
    pub beginning: IncidentBeginning,
    /// When it was over; null: it goes on, as far as has been stated.
    pub ended_at: Option<Moment>,
}
