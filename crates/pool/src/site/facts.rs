//! What the pool shows, as plain data: the JSON of the API and what the pages are made of.
//!
//! Three rules of truth: every figure carries its unit, the window of time that it was measured over and its age
//! ([`Measured`]); what is not known is `None`, never 0; money is whole numbers ([`Amount`], [`Part`]).
//! [`PoolFacts`] is the pool at one moment, [`MinerFacts`] one address, [`Series`] the past of one figure.
//! [`Facts`](super::Facts) hands them out.

mod chain;
mod measured;
mod miner;
mod nimiq;
mod packetcrypt;
mod record;
pub mod sample;
mod series;

pub use chain::{BlockStanding, Chain, Luck, LuckWindow, PoolBlock};
pub use measured::{Amount, Coin, Measured, Moment, Part, Unit};
pub use miner::{
    Conduct, Device, Earnings, Interval, MinerFacts, MinerState, NimiqMiner, PacketCryptMiner, Payment,
    PaymentState, PaymentsPage, RefusalCount,
};
pub use nimiq::{LedgerTotals, NextNimiqBlock, NimiqFacts, NimiqMiners, PayoutBatch};
pub use packetcrypt::{
    AnnouncementClass, ClassState, PacketCryptFacts, PacketCryptMiners, PaidBlock, Payee, PayoutTableFacts,
    PayoutTableState, WindowFacts,
};
pub use record::{
    Incident, IncidentBeginning, IncidentEnd, IncidentKind, SignedStatement, Stated, Statement, Terms, Totals,
};
pub use series::{Range, Series, SeriesName, SeriesQuery};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The pool at one moment. Made every two seconds or so; whoever holds one sees it unchanged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PoolFacts {
    /// When it was put together.
    pub gathered_at: Moment,
    /// Who we are.
    pub identity: Identity,
    /// The PacketCrypt pool, if there is one.
    pub packetcrypt: Option<PacketCryptFacts>,
    /// The Nimiq pool, if there is one.
    pub nimiq: Option<NimiqFacts>,
    /// Every role, and every node as far as a role tells of it.
    pub components: Vec<ComponentState>,
}

/// Who this pool is, as the operator wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Whom to ask, e.g. `mailto:…` or a chat; if there is somebody.
    pub contact: Option<String>,
    /// Where blocks and transactions can be looked up.
    pub explorers: Explorers,
    /// Address of the website from outside, without a slash at its end.
    pub url: String,
    /// Version of the program.
    pub version: String,
    /// What it was built from, if that is known.
    pub build: Option<String>,
    /// When the website's process was started.
    pub started_at: Moment,
}

/// Block explorers: URLs with `{hash}` in the place of what is looked up; none if the operator names none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explorers {
    /// Of PKT, for blocks.
    pub packetcrypt: Option<String>,
    /// Of Nimiq, for blocks and transactions.
    pub nimiq: Option<String>,
}

impl Explorers {
    /// Where something of a chain is shown by its hash.
    pub fn address(&self, chain: Chain, hash: &str) -> Option<String> {
        let url = match chain {
            Chain::PacketCrypt => self.packetcrypt.as_ref(),
            Chain::Nimiq => self.nimiq.as_ref(),
        };
        url.map(|url| url.replace("{hash}", hash))
    }
}

/// One role or node, as it says itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComponentState {
    /// Kind of role, e.g. `ann_handler`.
    pub role: String,
    /// Name of this one; empty where a pool has only one.
    pub name: String,
    /// The chain it works for; `None`: all.
    pub chain: Option<Chain>,
    /// Whether it does its work.
    pub condition: Condition,
    /// Why it does not.
    pub reason: Option<String>,
    /// Since when it is in that condition, as far as this process has seen.
    pub since: Moment,
    /// When it was asked last.
    pub checked_at: Moment,
    /// When it was started last; as the next two, `None` for nodes and where it has not been told.
    #[serde(default)]
    pub started_at: Option<Moment>,
    /// Version of its program.
    #[serde(default)]
    pub version: Option<String>,
    /// What that was built from.
    #[serde(default)]
    pub build: Option<String>,
    /// How busy its checking threads were, in percent; only of roles that have such threads.
    #[serde(default)]
    pub load: Option<Measured<f64>>,
}

impl ComponentState {
    /// Whether it is a node of a chain.
    pub fn is_node_of(&self, chain: Chain) -> bool {
        self.role == "node" && self.chain == Some(chain)
    }
}

/// How a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It does its work.
    Ready,
    /// It answers, and says what troubles it.
    Troubled,
    /// It does not answer.
    Unreachable,
}

impl PoolFacts {
    /// The chains that this pool mines, in the order in which they are shown.
    pub fn chains(&self) -> Vec<Chain> {
        let packetcrypt = self.packetcrypt.is_some().then_some(Chain::PacketCrypt);
        let nimiq = self.nimiq.is_some().then_some(Chain::Nimiq);
        packetcrypt.into_iter().chain(nimiq).collect()
    }

    /// How busy the handlers of a chain are on average, in percent; unknown where none tells.
    pub fn handler_load(&self, chain: Chain) -> Measured<f64> {
        let own = self.components.iter().filter(|component| component.chain == Some(chain));
        let loads: Vec<Measured<f64>> = own.filter_map(|component| component.load).collect();
        let known: Vec<f64> = loads.iter().filter_map(|load| load.value).collect();
        Measured {
            value: (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64),
            unit: Unit::Percent,
            window_seconds: loads.iter().filter_map(|load| load.window_seconds).min(),
            as_of: loads.iter().map(|load| load.as_of).max().unwrap_or(self.gathered_at),
        }
    }

    /// Blocks of the pool on `chain` that are held here, newest first.
    pub fn blocks(&self, chain: Chain) -> &[PoolBlock] {
        match chain {
            Chain::PacketCrypt => self.packetcrypt.as_ref().map_or(&[], |facts| &facts.blocks),
            Chain::Nimiq => self.nimiq.as_ref().map_or(&[], |facts| &facts.blocks),
        }
    }
}
