//! What a PacketCrypt pool asks of pktd, in our types.
//!
//! Source: `docs/protocol/packetcrypt-pool.md` 12 and `packetcrypt-blocks.md` 7. Several nodes are used as one
//! (see [`crate::failover`]); every reply is validated before anybody sees it (rule R-M6), and what the node
//! refuses is cut to its first line (rule R-K7).

pub mod replies;
pub mod template;

use std::{sync::Arc, time::Duration};

use packetcrypt::{BlockHash, CompactTarget, Height};
use serde_json::{Map, Number, Value, json};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use wire::{Decimal, PktAddress, template::BlockTemplate};

pub use self::{
    replies::{BlockSummary, ChainHeader, MiningPayout, ShareOpinion, SubmitOutcome},
    template::TemplateFault,
};
use crate::{
    call_observer::Observer,
    failover::{Nodes, NodesHealth, Tip, WatchSettings, parse_best_block},
    json_rpc::{CallLimits, ConfigFault, NodeAddress, NodeError},
};

/// The nodes of a pool and how they are asked.
#[derive(Clone, Debug)]
pub struct PktdConfig {
    /// One or more nodes; the first that works is used.
    pub nodes: Vec<NodeAddress>,
    /// What bounds the calls to each node.
    pub limits: CallLimits,
    /// How the nodes are watched.
    pub watch: WatchSettings,
    /// Time for a call that only asks.
    pub query_time: Duration,
    /// Time for a call that makes the node work: checks, submissions, payouts, templates.
    pub work_time: Duration,
    /// Who is told of the calls, except the looks at the newest block.
    pub observer: Observer,
}

impl PktdConfig {
    /// The defaults, for these nodes.
    pub fn new(nodes: Vec<NodeAddress>) -> Self {
        Self {
            nodes,
            limits: CallLimits::default(),
            watch: WatchSettings::default(),
            query_time: Duration::from_secs(5),
            work_time: Duration::from_secs(20),
            observer: None,
        }
    }
}

/// A share as `checkpcshare` wants it (`packetcrypt-blocks.md` 7.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareToCheck {
    /// The pool's share target; 0 if only a block counts.
    pub share_target: CompactTarget,
    /// The height being mined.
    pub height: Height,
    /// Header and elements with the end element (`00 00`), without transactions.
    pub header_and_proof: Vec<u8>,
    /// The coinbase with the commitment in it.
    pub coinbase: Vec<u8>,
    /// From the coinbase to the header's Merkle root, bottom up, internal order.
    pub merkle_branch: Vec<[u8; 32]>,
}

/// The nodes above a pool. Cheap to clone; the nodes are watched until the last clone is gone.
#[derive(Clone)]
pub struct PktdClient {
    shared: Arc<Shared>,
}

struct Shared {
    nodes: Arc<Nodes>,
    query_time: Duration,
    work_time: Duration,
    /// Ends the watching.
    _stop_watching: DropGuard,
}

impl std::fmt::Debug for PktdClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PktdClient").field("health", &self.health()).finish()
    }
}

impl PktdClient {
    /// Begins to watch the nodes; must be called inside a tokio runtime. Does not wait for any of them: a node
    /// that is down now may come later.
    pub fn connect(config: PktdConfig) -> Result<Self, ConfigFault> {
        let nodes = Nodes::new(config.nodes, config.limits, config.watch, &config.observer)?;
        let stop = CancellationToken::new();
        nodes.watch(&stop);
        let PktdConfig { query_time, work_time, .. } = config;
        let shared = Shared { nodes, query_time, work_time, _stop_watching: stop.drop_guard() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The newest block, as soon as it is noticed; `None` until a node answered for the first time.
    pub fn tip(&self) -> watch::Receiver<Option<Tip>> {
        self.shared.nodes.tip()
    }

    /// Looks for a new block now: the hook for anybody who learns of one earlier.
    pub fn look_for_block(&self) {
        self.shared.nodes.look_now();
    }

    /// How the nodes are doing.
    pub fn health(&self) -> NodesHealth {
        self.shared.nodes.health()
    }

    /// `getrawblocktemplate`: what to mine next. Validated (rule R-M6), and made after the last payouts that
    /// this client configured.
    pub async fn raw_block_template(&self) -> Result<BlockTemplate, NodeError> {
        let work_time = self.shared.work_time;
        let reply = self.shared.nodes.call_under_order("getrawblocktemplate", json!([]), work_time).await?;
        template::read(reply).map_err(|fault| NodeError::bad_reply(fault.to_string()))
    }

    /// `getbestblock`: the newest block, asked for now.
    pub async fn best_block(&self) -> Result<Tip, NodeError> {
        parse_best_block(self.query("getbestblock", json!([])).await?)
    }

    /// `getbestblockhash`.
    pub async fn best_block_hash(&self) -> Result<BlockHash, NodeError> {
        replies::block_hash(&self.query("getbestblockhash", json!([])).await?)
    }

    /// `getblockhash`: the block at a height of the best chain. An error −8 if there is none.
    pub async fn block_hash(&self, height: Height) -> Result<BlockHash, NodeError> {
        replies::block_hash(&self.query("getblockhash", json!([height.0])).await?)
    }

    /// `getblockheader`: a block of the best chain. An error −5 if it is unknown, and one with
    /// `errNotInMainChain` if it is on a side chain.
    pub async fn block_header(&self, hash: &BlockHash) -> Result<ChainHeader, NodeError> {
        let reply = self.query("getblockheader", json!([hash.to_string(), true])).await?;
        replies::block_header(reply, hash)
    }

    /// `getblock`: height and difficulty of a block of the best chain.
    pub async fn block(&self, hash: &BlockHash) -> Result<BlockSummary, NodeError> {
        replies::block(self.query("getblock", json!([hash.to_string()])).await?)
    }

    /// Whether a block is on the node's best chain. `submitblock` answers the same for one on a side chain.
    pub async fn is_in_main_chain(&self, hash: &BlockHash) -> Result<bool, NodeError> {
        replies::in_main_chain(self.block_header(hash).await)
    }

    /// `checkpcshare`: what the node thinks of a share. A share that it refuses is an [`NodeError::Rpc`].
    ///
    /// The node looks neither at the previous hash nor for duplicates (pitfall 9.13).
    pub async fn check_share(&self, share: &ShareToCheck) -> Result<ShareOpinion, NodeError> {
        let params = json!([{
            "sharetarget": share.share_target.0,
            "height": share.height.0,
            "hexblock": hex::encode(&share.header_and_proof) + "00",
            "coinbase": hex::encode(&share.coinbase),
            "merklebranch": share.merkle_branch.iter().map(hex::encode).collect::<Vec<_>>(),
        }]);
        replies::share_opinion(&self.work("checkpcshare", params).await?)
    }

    /// `submitblock`: hands a found block to the node, and then, without waiting, to all others.
    pub async fn submit_block(&self, block: &[u8]) -> Result<SubmitOutcome, NodeError> {
        let params = json!([hex::encode(block)]);
        let reply = self.work("submitblock", params.clone()).await?;
        self.shared.nodes.tell_the_others("submitblock", &params, self.shared.work_time);
        replies::submit_outcome(&reply)
    }

    /// `configureminingpayouts`: whom the next blocks pay, in these proportions. Goes to every node, and again
    /// to each that comes back, until the next call.
    ///
    /// Written with at most twelve decimals and no exponent (`packetcrypt-pool.md` 11.10) where the weights are.
    pub async fn configure_mining_payouts(&self, payouts: &[(PktAddress, Decimal)]) -> Result<(), NodeError> {
        let mut table = Map::new();
        for (address, weight) in payouts {
            let weight: Number = weight.to_string().parse().map_err(|_| {
                NodeError::bad_reply(format!("the weight {weight} of {address} is no JSON number"))
            })?;
            table.insert(address.to_string(), Value::Number(weight));
        }
        let params = json!([table]);
        self.shared.nodes.order_everywhere("configureminingpayouts", params, self.shared.work_time).await
    }

    /// `getminingpayouts`: whom the active node would pay in the next block.
    pub async fn mining_payouts(&self) -> Result<Vec<MiningPayout>, NodeError> {
        replies::mining_payouts(self.query("getminingpayouts", json!([])).await?)
    }

    /// `validateaddress`: whether the active node could pay there.
    pub async fn is_valid_address(&self, address: &PktAddress) -> Result<bool, NodeError> {
        let reply = self.query("validateaddress", json!([address.to_string()])).await?;
        let said = reply.get("isvalid").and_then(Value::as_bool);
        said.ok_or_else(|| NodeError::bad_reply("validateaddress: expected `isvalid`, true or false"))
    }

    async fn query(&self, method: &'static str, params: Value) -> Result<Value, NodeError> {
        self.shared.nodes.call(method, params, self.shared.query_time).await
    }

    async fn work(&self, method: &'static str, params: Value) -> Result<Value, NodeError> {
        self.shared.nodes.call(method, params, self.shared.work_time).await
    }
}
