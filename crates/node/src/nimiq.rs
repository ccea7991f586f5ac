//! What a Nimiq pool asks of its node, in our types.
//!
//! Source: `docs/protocol/nimiq-pool.md` 3. Several nodes are used as one: the one that answered last is asked first, the
//! next where it fails. Every reply is checked before anybody sees it, and what the node does not say is looked up: whether
//! a block was taken, and what became of a transaction.
//!
//! - [`replies`]: blocks, templates and receipts as they come;
//! - [`follow`]: the head, with its light block and a template, whenever it changes;
//! - [`changes`]: which blocks the chain has gained and lost.

pub mod changes;
pub mod follow;
pub mod replies;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nimiq::{Address, Block, BlockHash, Height, Luna, Network, Transaction, TransactionHash};
use serde_json::{Value, json};

pub use self::changes::{BlockId, ChainChange};
pub use self::follow::{FollowSettings, Head};
pub use self::replies::{BlockInfo, NodeTemplate, Receipt};
use crate::call_observer::Observer;
use crate::json_rpc::{CallLimits, ConfigFault, Dialect, JsonRpc, NodeAddress, NodeError};

/// Error code of an exception in the node, which is how it refuses things.
const EXCEPTION: i64 = 1;
/// Pause before a block is submitted once more: the node ignores one that comes while it takes another.
const SUBMIT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The nodes of a pool and how they are asked.
#[derive(Clone, Debug)]
pub struct NimiqConfig {
    /// One or more nodes; the first that works is used.
    pub nodes: Vec<NodeAddress>,
    /// The network that they are on.
    pub network: Network,
    /// What bounds the calls to each node.
    pub limits: CallLimits,
    /// Time for a call that only asks.
    pub query_time: Duration,
    /// Time for a call that makes the node work; it takes up to 10 s to spread a transaction.
    pub work_time: Duration,
    /// Who is told of the calls.
    pub observer: Observer,
}

impl NimiqConfig {
    /// The defaults, for these nodes.
    pub fn new(nodes: Vec<NodeAddress>, network: Network) -> Self {
        Self {
            nodes,
            network,
            limits: CallLimits::default(),
            query_time: Duration::from_secs(5),
            work_time: Duration::from_secs(20),
            observer: None,
        }
    }
}

/// What became of a submitted block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// It is in the node's chain.
    Accepted,
    /// The node has another block at its height, or none: it did not want it, and does not say why.
    NotTaken,
    /// The node cannot read it.
    Refused(String),
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// It waits for a block.
    Waiting,
    /// It is in the chain.
    Mined(Receipt),
    /// The node returned its hash and has forgotten it: a filter or a fee.
    Dropped,
    /// The node says that it is invalid.
    Refused(String),
}

/// The nodes above a pool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NimiqClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    nodes: Vec<Arc<JsonRpc>>,
    /// The node that answered last.
    active: AtomicUsize,
    network: Network,
    query_time: Duration,
    work_time: Duration,
}

impl NimiqClient {
    /// Prepares calls to the nodes; does not ask them anything yet.
    pub fn new(config: NimiqConfig) -> Result<Self, ConfigFault> {
        if config.nodes.is_empty() {
            return Err(ConfigFault::NoNodes);
        }
        let NimiqConfig { nodes, network, limits, query_time, work_time, observer } = config;
        let prepare = |address| {
            let node = JsonRpc::new(address, limits)?.in_dialect(Dialect::Nimiq);
            Ok::<_, ConfigFault>(Arc::new(node.observed_by(observer.clone())))
        };
        let nodes = nodes.into_iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
        let shared = Shared { nodes, active: AtomicUsize::new(0), network, query_time, work_time };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The network that the nodes are said to be on.
    pub fn network(&self) -> Network {
        self.shared.network
    }

    /// Whether the node has consensus with its network: only then is its head worth mining on.
    pub async fn has_consensus(&self) -> Result<bool, NodeError> {
        Ok(self.query("consensus", json!([])).await? == "established")
    }

    /// The first node that has consensus, alone: what several calls say then comes from one view of the chain. `None`:
    /// nodes answer, but none has consensus.
    pub async fn with_consensus(&self) -> Result<Option<Self>, NodeError> {
        let (nodes, first) = (&self.shared.nodes, self.shared.active.load(Ordering::Relaxed));
        let mut failed = None;
        let mut without = false;
        for index in (0..nodes.len()).map(|offset| (first + offset) % nodes.len()) {
            let node = self.alone(index);
            match node.has_consensus().await {
                Ok(true) => {
                    self.note_active(index);
                    return Ok(Some(node));
                }
                Ok(false) => without = true,
                Err(error) => failed = Some(error),
            }
        }
        failed.filter(|_| !without).map_or(Ok(None), Err)
    }

    /// One of the nodes, as if there were no others.
    fn alone(&self, index: usize) -> Self {
        let Shared { nodes, network, query_time, work_time, .. } = &*self.shared;
        let nodes = vec![Arc::clone(&nodes[index])];
        let (network, query_time, work_time) = (*network, *query_time, *work_time);
        let shared = Shared { nodes, active: AtomicUsize::new(0), network, query_time, work_time };
        Self { shared: Arc::new(shared) }
    }

    /// The height of the newest block.
    pub async fn head_height(&self) -> Result<Height, NodeError> {
        replies::height(&self.query("blockNumber", json!([])).await?)
    }

    /// Which block is the newest: a call that costs the node next to nothing.
    pub async fn newest_block(&self) -> Result<BlockId, NodeError> {
        replies::block_id(self.query("getBlockByNumber", json!(["latest", false])).await?)
    }

    /// The block of the valid chain at a height; `None` above the head.
    pub async fn block_at(&self, height: Height) -> Result<Option<BlockInfo>, NodeError> {
        match self.query("getBlockByNumber", json!([height.0, true])).await {
            Ok(reply) => replies::block(reply).map(Some),
            Err(NodeError::Rpc { code: Some(EXCEPTION), message }) if message == "Invalid height" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A block by its hash. The node finds abandoned ones too, and does not say so: see
    /// [`is_in_chain`](Self::is_in_chain).
    pub async fn block(&self, hash: &BlockHash) -> Result<Option<BlockInfo>, NodeError> {
        let reply = self.query("getBlockByHash", json!([hash.to_string(), true])).await?;
        if reply.is_null() { Ok(None) } else { replies::block(reply).map(Some) }
    }

    /// Whether a block is part of the valid chain.
    pub async fn is_in_chain(&self, height: Height, hash: &BlockHash) -> Result<bool, NodeError> {
        Ok(self.block_at(height).await?.is_some_and(|block| block.facts.hash == *hash))
    }

    /// What to mine for an address. Checked: it pays that address, and its parts belong together.
    pub async fn template(&self, miner: &Address) -> Result<NodeTemplate, NodeError> {
        // The extra data is each connection's own; a node that is given none takes its own.
        let reply = self.work("getBlockTemplate", json!([miner.to_string(), "00"])).await?;
        replies::template(reply, miner, &self.shared.network.genesis_hash())
    }

    /// Hands a block to the node, and looks whether it took it. Asks again once where it did not: it may have been busy
    /// with another.
    pub async fn submit(&self, block: &Block) -> Result<SubmitOutcome, NodeError> {
        let (height, hash) = (block.header.height, block.header.hash());
        let params = json!([hex::encode(block.to_bytes())]);
        let mut last = Ok(SubmitOutcome::NotTaken);
        for pause in [Duration::ZERO, SUBMIT_AGAIN_AFTER] {
            tokio::time::sleep(pause).await;
            last = match self.work("submitBlock", params.clone()).await {
                Ok(_) => Ok(SubmitOutcome::NotTaken),
                Err(NodeError::Rpc { message, .. }) => return Ok(SubmitOutcome::Refused(message)),
                // It may have taken the block, and only its answer was lost.
                Err(error) => Err(error),
            };
            if self.is_in_chain(height, &hash).await? {
                return Ok(SubmitOutcome::Accepted);
            }
        }
        last
    }

    /// Hands a transaction to the node, and looks what became of it. Sending the same again does no harm.
    pub async fn send(&self, transaction: &Transaction) -> Result<SendOutcome, NodeError> {
        let params = json!([hex::encode(transaction.to_bytes())]);
        match self.work("sendRawTransaction", params).await {
            Ok(_) => {}
            Err(NodeError::Rpc { code: Some(EXCEPTION), message }) => {
                return Ok(SendOutcome::Refused(message));
            }
            Err(error) => return Err(error),
        }
        let hash = transaction.hash();
        if self.waiting().await?.contains(&hash) {
            return Ok(SendOutcome::Waiting);
        }
        // In this order, since it may have been mined between the two looks.
        Ok(self.receipt(&hash).await?.map_or(SendOutcome::Dropped, SendOutcome::Mined))
    }

    /// Where a transaction stands in the valid chain; `None` if it does not.
    pub async fn receipt(&self, hash: &TransactionHash) -> Result<Option<Receipt>, NodeError> {
        let reply = self.query("getTransactionReceipt", json!([hash.to_string()])).await?;
        if reply.is_null() { Ok(None) } else { replies::receipt(reply, hash).map(Some) }
    }

    /// The transactions that wait for a block.
    pub async fn waiting(&self) -> Result<Vec<TransactionHash>, NodeError> {
        replies::transaction_hashes(&self.query("mempoolContent", json!([false])).await?)
    }

    /// What an address has after the newest block.
    pub async fn balance(&self, address: &Address) -> Result<Luna, NodeError> {
        replies::luna(&self.query("getBalance", json!([address.to_string()])).await?)
    }

    /// Luna for each byte that a transaction must pay for this node to pass it on; a fraction is rounded up.
    pub async fn min_fee_per_byte(&self) -> Result<Luna, NodeError> {
        replies::rounded_up(&self.query("minFeePerByte", json!([])).await?)
    }

    async fn query(&self, method: &'static str, params: Value) -> Result<Value, NodeError> {
        self.call(method, params, self.shared.query_time).await
    }

    async fn work(&self, method: &'static str, params: Value) -> Result<Value, NodeError> {
        self.call(method, params, self.shared.work_time).await
    }

    /// Calls the node that answered last, and the others in turn where it fails.
    async fn call(&self, method: &'static str, params: Value, time: Duration) -> Result<Value, NodeError> {
        let (nodes, first) = (&self.shared.nodes, self.shared.active.load(Ordering::Relaxed));
        let mut last = NodeError::Unreachable { what: "no node is configured".to_owned() };
        for index in (0..nodes.len()).map(|offset| (first + offset) % nodes.len()) {
            match nodes[index].call(method, params.clone(), time).await {
                Err(error) if error.is_the_nodes_fault() => {
                    tracing::debug!(node = nodes[index].address().url, method, %error, "trying the next node");
                    last = error;
                }
                answered => {
                    self.note_active(index);
                    return answered;
                }
            }
        }
        Err(last)
    }

    fn note_active(&self, index: usize) {
        if self.shared.active.swap(index, Ordering::Relaxed) != index {
            tracing::warn!(node = self.shared.nodes[index].address().url, "changed to another node");
        }
    }
}
