//! Several nodes as one: who is asked, who is abandoned, and which block is the newest.
//!
//! One node is *active*: templates, checks and the published [`Tip`] come from it. Every node is watched. The
//! active one is left for the next usable one as soon as it cannot be reached, or when its tip has stood still
//! for a while although another node advanced. A *standing order* (the payouts) is given to every node, and
//! again to each that comes back, because nodes forget it when they restart.
//!
//! A new block is noticed by any of several signals: the node's websocket, polling, and [`Nodes::look_now`].
//! Each signal only makes the watcher ask the node, so a false one does no harm and a lost one little.

mod block_signal;
mod choice;

use std::{
    fmt,
    net::IpAddr,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use packetcrypt::{BlockHash, Height};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use self::choice::Condition;
use crate::call_observer::Observer;
use crate::json_rpc::{CallLimits, ConfigFault, JsonRpc, NodeAddress, NodeError};

/// What JSON-RPC calls an unknown method.
const METHOD_NOT_FOUND: i64 = -32601;

/// The longest pause between two looks at a node that does not answer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// When a node is looked at again that had spoken of a new block and then did not have one.
const SECOND_LOOK: Duration = Duration::from_millis(20);

/// The newest block of a node's best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tip {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height; the block to be mined has one more.
    pub height: Height,
}

impl fmt::Display for Tip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at height {}", self.hash, self.height)
    }
}

/// How nodes are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSettings {
    /// Pause between two looks at a node's tip. `None`: 50 ms for a node on loopback, 1 s for others, and 1 s
    /// for any whose websocket tells us of blocks.
    pub poll_interval: Option<Duration>,
    /// A node that does not answer a look within this time cannot be reached.
    pub poll_timeout: Duration,
    /// For how long a node may stay behind another one.
    pub stall_after: Duration,
    /// Whether to ask for notifications on the node's websocket.
    pub websocket: bool,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            poll_interval: None,
            poll_timeout: Duration::from_secs(1),
            stall_after: Duration::from_secs(5),
            websocket: true,
        }
    }
}

/// A call that must be in force on every node, now and after a restart of the node.
#[derive(Clone, Debug)]
struct StandingOrder {
    /// Counts up with every new order.
    number: u64,
    method: &'static str,
    params: Value,
    time: Duration,
}

struct Node {
    rpc: JsonRpc,
    /// A connection of the watcher's own: calls that keep the node busy must not make it look dead.
    look_rpc: JsonRpc,
    /// Wakes the watcher.
    look: Notify,
    /// Whether the websocket is open.
    notified: AtomicBool,
}

/// A result, and the node that it came from.
struct Answered {
    index: usize,
    result: Value,
}

/// Several nodes, used as one.
pub struct Nodes {
    all: Vec<Node>,
    settings: WatchSettings,
    conditions: Mutex<Vec<Condition>>,
    order: Mutex<Option<StandingOrder>>,
    active: watch::Sender<usize>,
    tip: watch::Sender<Option<Tip>>,
}

/// How the nodes are doing, for health pages and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodesHealth {
    /// Address of the node that is asked now.
    pub active: String,
    /// One entry per node, in the order of the configuration.
    pub nodes: Vec<NodeHealth>,
}

/// How one node is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHealth {
    /// Its address.
    pub url: String,
    /// Its newest block, once known.
    pub tip: Option<Tip>,
    /// Whether it is left aside because it stays behind the others.
    pub stalled: bool,
    /// Why the last look at it failed, if it did.
    pub fault: Option<NodeError>,
}

impl NodesHealth {
    /// Whether any node can be used.
    pub fn is_usable(&self) -> bool {
        self.nodes.iter().any(|node| node.fault.is_none() && node.tip.is_some())
    }
}

impl Nodes {
    /// Prepares the nodes; [`watch`](Self::watch) then starts looking at them. `observer` is told of all calls but
    /// the looks.
    pub fn new(
        addresses: Vec<NodeAddress>,
        limits: CallLimits,
        settings: WatchSettings,
        observer: &Observer,
    ) -> Result<Arc<Self>, ConfigFault> {
        if addresses.is_empty() {
            return Err(ConfigFault::NoNodes);
        }
        let nodes = addresses
            .into_iter()
            .map(|address| {
                let look_limits = CallLimits { connections: NonZeroUsize::MIN, ..limits };
                let look_rpc = JsonRpc::new(address.clone(), look_limits)?;
                let rpc = JsonRpc::new(address, limits)?.observed_by(observer.clone());
                Ok(Node { rpc, look_rpc, look: Notify::new(), notified: AtomicBool::new(false) })
            })
            .collect::<Result<Vec<_>, ConfigFault>>()?;
        let conditions = Mutex::new(vec![Condition::default(); nodes.len()]);
        let (active, _) = watch::channel(0);
        let (tip, _) = watch::channel(None);
        Ok(Arc::new(Self { all: nodes, settings, conditions, order: Mutex::new(None), active, tip }))
    }

    /// Starts watching every node, until `stop`.
    pub fn watch(self: &Arc<Self>, stop: &CancellationToken) {
        for index in 0..self.all.len() {
            let (nodes, stopped) = (self.clone(), stop.clone());
            tokio::spawn(async move { stopped.run_until_cancelled(nodes.watch_tip(index)).await });
            if self.settings.websocket {
                let (nodes, stopped) = (self.clone(), stop.clone());
                // The handshake makes it a large future.
                tokio::spawn(async move {
                    stopped.run_until_cancelled(Box::pin(nodes.follow_websocket(index))).await
                });
            }
        }
    }

    /// The active node's newest block; `None` until a node answered.
    pub fn tip(&self) -> watch::Receiver<Option<Tip>> {
        self.tip.subscribe()
    }

    /// Looks at every node now: somebody says that there is a new block.
    pub fn look_now(&self) {
        self.all.iter().for_each(|node| node.look.notify_one());
    }

    /// How the nodes are doing.
    pub fn health(&self) -> NodesHealth {
        let now = Instant::now();
        let conditions = self.conditions();
        let nodes = self.all.iter().zip(conditions.iter()).map(|(node, condition)| NodeHealth {
            url: node.rpc.address().url.clone(),
            tip: condition.tip,
            stalled: condition.is_stalled(now, self.settings.stall_after),
            fault: condition.fault.clone(),
        });
        let nodes = nodes.collect();
        NodesHealth { active: self.url(*self.active.borrow()).to_owned(), nodes }
    }

    /// Calls the active node, and another one where that one fails.
    pub async fn call(
        &self,
        method: &'static str,
        params: Value,
        time: Duration,
    ) -> Result<Value, NodeError> {
        self.call_any(method, &params, time).await.map(|answered| answered.result)
    }

    /// The same, and says who answered. Where all are busy it asks again, a few times.
    async fn call_any(
        &self,
        method: &'static str,
        params: &Value,
        time: Duration,
    ) -> Result<Answered, NodeError> {
        let mut result = self.call_each(method, params, time).await;
        for attempt in 0..3 {
            if !matches!(result, Err(NodeError::TooBusy)) {
                break;
            }
            tokio::time::sleep(backoff(attempt)).await;
            result = self.call_each(method, params, time).await;
        }
        result
    }

    /// Calls one node after the other until one answers.
    async fn call_each(
        &self,
        method: &'static str,
        params: &Value,
        time: Duration,
    ) -> Result<Answered, NodeError> {
        let mut last_error = NodeError::Unreachable { what: "no node is configured".to_owned() };
        for index in self.in_order_of_preference() {
            match self.call_node(index, method, params, time).await {
                Err(error) if error.is_the_nodes_fault() => {
                    debug!(node = self.url(index), method, %error, "trying the next node");
                    last_error = error;
                }
                answered => return answered.map(|result| Answered { index, result }),
            }
        }
        Err(last_error)
    }

    /// Calls one node. Gives up early if the node is active and another one becomes so: then this one is known
    /// to hang.
    async fn call_node(
        &self,
        index: usize,
        method: &'static str,
        params: &Value,
        time: Duration,
    ) -> Result<Value, NodeError> {
        let Some(node) = self.all.get(index) else {
            return Err(NodeError::Unreachable { what: format!("there is no node {index}") });
        };
        let mut active = self.active.subscribe();
        let was_active = *active.borrow_and_update() == index;
        let abandoned = async {
            if was_active {
                let _ = active.wait_for(|now_active| *now_active != index).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let result = tokio::select! {
            result = node.rpc.call(method, params.clone(), time) => result,
            () = abandoned => Err(NodeError::Unreachable { what: "it stopped answering".to_owned() }),
        };
        if let Err(error @ (NodeError::Unreachable { .. } | NodeError::Unauthorized { .. })) = &result {
            self.note(index, Err(error.clone()));
        }
        result
    }

    /// Gives an order that must be in force on every node: to the active one (or one that answers in its place)
    /// now, to the others in the background, and to each again when it comes back.
    pub async fn order_everywhere(
        self: &Arc<Self>,
        method: &'static str,
        params: Value,
        time: Duration,
    ) -> Result<(), NodeError> {
        let answered = self.call_any(method, &params, time).await?.index;
        let number = {
            let mut order = lock(&self.order);
            let number = order.as_ref().map_or(1, |order| order.number + 1);
            *order = Some(StandingOrder { number, method, params, time });
            number
        };
        self.set_order_in_force(answered, number);
        for index in (0..self.all.len()).filter(|index| *index != answered) {
            let nodes = self.clone();
            tokio::spawn(async move { nodes.bring_order_into_force(index).await });
        }
        Ok(())
    }

    /// Calls the active node, like [`call`](Self::call), but makes sure that the standing order is in force where
    /// the answer comes from.
    pub async fn call_under_order(
        &self,
        method: &'static str,
        params: Value,
        time: Duration,
    ) -> Result<Value, NodeError> {
        let expected = *self.active.borrow();
        self.bring_order_into_force(expected).await;
        let answered = self.call_any(method, &params, time).await?;
        if answered.index == expected {
            return Ok(answered.result);
        }
        // Another node took over, which may not have had the order yet.
        self.bring_order_into_force(answered.index).await;
        self.call(method, params, time).await
    }

    async fn bring_order_into_force(&self, index: usize) {
        let Some(order) = lock(&self.order).clone() else { return };
        let in_force = self.conditions().get(index).is_some_and(|now| now.order_in_force == order.number);
        if in_force {
            return;
        }
        match self.call_node(index, order.method, &order.params, order.time).await {
            Ok(_) => self.set_order_in_force(index, order.number),
            Err(error) => {
                warn!(node = self.url(index), method = order.method, %error, "a node did not take the standing order");
            }
        }
    }

    /// Hands a call to every usable node but the active one, without waiting: whoever hears of it first may
    /// spread it.
    pub fn tell_the_others(self: &Arc<Self>, method: &'static str, params: &Value, time: Duration) {
        let active = *self.active.borrow();
        for index in self.in_order_of_preference().into_iter().filter(|index| *index != active) {
            if self.conditions().get(index).is_none_or(|condition| condition.fault.is_some()) {
                continue;
            }
            let (nodes, params) = (self.clone(), params.clone());
            tokio::spawn(async move {
                let answer = nodes.call_node(index, method, &params, time).await;
                debug!(node = nodes.url(index), method, ?answer, "told another node");
            });
        }
    }

    async fn watch_tip(&self, index: usize) {
        let Some(node) = self.all.get(index) else { return };
        let (mut failures, mut called, mut seen) = (0, false, None);
        loop {
            let looked = look_at(&node.look_rpc, self.settings.poll_timeout).await;
            failures = if looked.is_ok() { 0 } else { failures + 1 };
            let tip = looked.as_ref().ok().copied();
            // A node may speak of a block a moment before it answers with it.
            let too_early = called && tip.is_some() && tip == seen;
            seen = tip;
            self.note(index, looked);
            let pause = match failures {
                0 => {
                    self.bring_order_into_force(index).await;
                    if too_early { SECOND_LOOK } else { self.poll_interval(node) }
                }
                _ => backoff(failures),
            };
            called = tokio::time::timeout(pause, node.look.notified()).await.is_ok();
        }
    }

    fn poll_interval(&self, node: &Node) -> Duration {
        match self.settings.poll_interval {
            Some(interval) => interval,
            None if node.notified.load(Ordering::Relaxed) => Duration::from_secs(1),
            None if is_loopback(&node.rpc.address().url) => Duration::from_millis(50),
            None => Duration::from_secs(1),
        }
    }

    async fn follow_websocket(&self, index: usize) {
        let Some(node) = self.all.get(index) else { return };
        let mut failures = 0;
        loop {
            let signal = || {
                node.notified.store(true, Ordering::Relaxed);
                node.look.notify_one();
            };
            let ended = block_signal::follow(node.rpc.address(), signal).await;
            debug!(node = self.url(index), %ended, "no notifications from the node's websocket");
            if node.notified.swap(false, Ordering::Relaxed) {
                failures = 0;
                // It may have restarted, and then it has forgotten what it was told.
                self.set_order_in_force(index, 0);
                node.look.notify_one();
            }
            failures += 1;
            // A node without a websocket is asked rarely: polling does the work.
            tokio::time::sleep(backoff(failures) * if failures > 8 { 12 } else { 1 }).await;
        }
    }

    /// Remembers what a look at a node, or a call to it, has shown, and draws the conclusions.
    fn note(&self, index: usize, looked: Result<Tip, NodeError>) {
        let mut conditions = self.conditions();
        let Some(condition) = conditions.get_mut(index) else { return };
        if let (Err(error), true) = (&looked, condition.fault.is_none()) {
            warn!(node = self.url(index), %error, "the node fails");
        } else if looked.is_ok() && condition.fault.is_some() {
            info!(node = self.url(index), "the node answers again");
        }
        condition.note(looked);
        let before = *self.active.borrow();
        let chosen = choice::choose(&mut conditions, before, Instant::now(), self.settings.stall_after);
        let tip = conditions.get(chosen).and_then(|condition| condition.tip);
        // Published under the lock, so that an older view never overtakes a newer one.
        if chosen != before {
            warn!(from = self.url(before), to = self.url(chosen), "changed to another node");
            self.active.send_replace(chosen);
        }
        if tip.is_some() {
            self.tip.send_if_modified(|published| {
                let changed = *published != tip;
                *published = tip;
                changed
            });
        }
    }

    /// All nodes: the active one, then those without a fault, then the others.
    fn in_order_of_preference(&self) -> Vec<usize> {
        let active = *self.active.borrow();
        let conditions = self.conditions();
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by_key(|index| {
            let faulty = conditions.get(*index).is_some_and(|condition| condition.fault.is_some());
            (*index != active, faulty)
        });
        order
    }

    fn set_order_in_force(&self, index: usize, number: u64) {
        if let Some(condition) = self.conditions().get_mut(index) {
            condition.order_in_force = number;
        }
    }

    fn url(&self, index: usize) -> &str {
        self.all.get(index).map_or("", |node| node.rpc.address().url.as_str())
    }

    fn conditions(&self) -> MutexGuard<'_, Vec<Condition>> {
        lock(&self.conditions)
    }
}

/// A panic elsewhere cannot leave these values half changed, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Deserialize)]
struct BestBlock {
    hash: String,
    height: u32,
}

/// Asks a node for its newest block: in one call, or in two where it does not know `getbestblock`.
async fn look_at(rpc: &JsonRpc, time: Duration) -> Result<Tip, NodeError> {
    let reply = match rpc.call("getbestblock", json!([]), time).await {
        Err(NodeError::Rpc { code: Some(METHOD_NOT_FOUND), .. }) => {
            let hash = rpc.call("getbestblockhash", json!([]), time).await?;
            rpc.call("getblockheader", json!([hash, true]), time).await?
        }
        answered => answered?,
    };
    parse_best_block(reply)
}

/// Reads the reply of `getbestblock`, or a block header that has the same two members among others.
pub fn parse_best_block(reply: Value) -> Result<Tip, NodeError> {
    let expected = |reason: String| {
        NodeError::bad_reply(format!("expected {{\"hash\", \"height\"}} of the best block: {reason}"))
    };
    let best: BestBlock = serde_json::from_value(reply).map_err(|error| expected(error.to_string()))?;
    let hash = BlockHash::from_display_hex(&best.hash).map_err(|error| expected(error.to_string()))?;
    Ok(Tip { hash, height: Height(best.height) })
}

/// The pause after so many failures in a row: doubling, bounded, and never twice the same.
fn backoff(failures: u32) -> Duration {
    let full = Duration::from_millis(100 << failures.min(10)).min(LONGEST_BACKOFF);
    full.mul_f64(rand::random_range(0.5..1.0))
}

fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_recognised_in_every_spelling() {
        for url in ["http://localhost:1", "http://127.0.0.1:64765/x", "https://[::1]:5"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["http://node.example:1", "http://10.0.0.1", "nonsense"] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn the_pause_grows_and_is_bounded() {
        assert!(backoff(1) <= Duration::from_millis(200));
        assert!(backoff(1000) <= LONGEST_BACKOFF);
        assert!(backoff(1000) >= LONGEST_BACKOFF / 2);
    }

    #[test]
    fn a_best_block_must_have_a_hash_and_a_height() {
        for reply in [json!(null), json!({"hash": "00", "height": 1}), json!({"height": 1}), json!("x")] {
            assert!(matches!(parse_best_block(reply), Err(NodeError::BadReply { .. })));
        }
    }
}
