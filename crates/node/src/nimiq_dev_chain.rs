//! A chain of our own that behaves as a Nimiq node towards a pool.
//!
//! It is no mock: every submitted block is validated by the chain's rules (`docs/protocol/nimiq-pool.md` 2), proof of work,
//! interlink, transactions, balances and difficulty included, and is on disk before it is accepted. It can be told to
//! misbehave ([`Faults`]) and, since nobody's money depends on it, to make blocks without proof of work
//! ([`NimiqDevChain::extend`], [`NimiqDevChain::reorganise`]).
//!
//! What it leaves out: peers, contracts, and the real tree of accounts, of which the specification says nothing
//! (its accounts hash is a commitment of our own, so other nodes cannot join this chain).
//!
//! - [`accounts`], [`rules`], [`mempool`]: money, blocks, transactions;
//! - [`chain`]: what is known;
//! - `commanded`: blocks without work, and blocks mined on request;
//! - [`rpc`]: the interface of the node's JSON-RPC over all that.

pub mod accounts;
pub mod chain;
mod commanded;
pub mod mempool;
pub mod rpc;
pub mod rules;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use nimiq::argon2d::Hasher;
use nimiq::share::NextBlock;
use nimiq::{
    AccountsHash, Address, Block, BlockHash, Body, ExtraData, Height, LightBlock, Luna, Timestamp,
    Transaction,
};
use tokio::sync::watch;
use tracing::{info, warn};

pub use self::chain::Change;
use self::chain::{Chain, NETWORK};
pub use self::commanded::CommandFault;
use self::mempool::{Mempool, Sent};
use self::rules::Violation;
use crate::dev_chain::faults::Faults;
use crate::dev_chain::store::{Origin, Store, StoreFault};

/// What tells the stored chain from others.
const RULES: &str = "nimiq dev network";

/// Tells the time in unix seconds.
pub type Clock = Arc<dyn Fn() -> u32 + Send + Sync>;

/// The newest block of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
}

/// What came of a submitted block.
#[derive(Debug, thiserror::Error)]
pub enum SubmitFault {
    /// It has no body.
    #[error("Cannot access body of light block")]
    Light,
    /// It cannot be read.
    #[error("Offset is outside the bounds of the DataView")]
    Unreadable,
    /// Body and header do not belong together.
    #[error("Submitted invalid block: bodyHash and body.hash() mismatch")]
    Body,
    /// It breaks a rule. The node does not tell.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// What to mine: all but the time and the nonce.
#[derive(Clone, Debug)]
pub struct Template {
    /// What follows from the head.
    pub next: NextBlock,
    /// The accounts after the block.
    pub accounts_hash: AccountsHash,
    /// The body.
    pub body: Body,
}

/// A running dev chain. Cheap to clone.
#[derive(Clone)]
pub struct NimiqDevChain {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    hasher: Mutex<Hasher>,
    faults: Faults,
    consensus: watch::Sender<bool>,
    head: watch::Sender<Head>,
}

struct State {
    chain: Chain,
    store: Store,
    mempool: Mempool,
}

impl fmt::Debug for NimiqDevChain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("NimiqDevChain").field("head", &self.head()).finish_non_exhaustive()
    }
}

impl NimiqDevChain {
    /// Opens the chain in `folder`, or begins one there, by the system's clock.
    pub fn open(folder: &Path) -> Result<Self, StoreFault> {
        let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self::open_with_clock(folder, Arc::new(move || u32::try_from(seconds()).unwrap_or(u32::MAX)))
    }

    /// The same by another clock.
    pub fn open_with_clock(folder: &Path, clock: Clock) -> Result<Self, StoreFault> {
        let mut hasher = Hasher::new();
        let genesis = NETWORK.genesis_block();
        let mut chain = Chain::new(hasher.hash(&genesis.header.to_bytes()));
        let store = Store::open(folder, RULES, |_, location, bytes| {
            let stored =
                Block::parse(bytes).ok().filter(|block| chain.find(&block.header.previous).is_some());
            let added = stored.and_then(|block| {
                chain.switch_to(&block.header.previous).ok()?;
                let proof_of_work = hasher.hash(&block.header.to_bytes());
                chain.push(block, proof_of_work).ok()
            });
            if added.is_none() {
                warn!(?location, "a stored block does not fit the stored chain; it is left out");
            }
        })?;
        let head = head_of(&chain);
        info!(folder = %folder.display(), height = %head.height, hash = %head.hash, "Nimiq dev chain opened");
        let shared = Shared {
            clock,
            state: Mutex::new(State { chain, store, mempool: Mempool::default() }),
            hasher: Mutex::new(hasher),
            faults: Faults::default(),
            consensus: watch::channel(true).0,
            head: watch::channel(head).0,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Misbehaviour that was ordered, or is to be.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Says from now on that consensus is established, or that it is not.
    pub fn set_consensus(&self, established: bool) {
        self.shared.consensus.send_replace(established);
    }

    /// The newest block.
    pub fn head(&self) -> Head {
        *self.shared.head.borrow()
    }

    /// The newest block, whenever it changes.
    pub fn watch_head(&self) -> watch::Receiver<Head> {
        self.shared.head.subscribe()
    }

    /// The newest block without its body, as nano clients want it.
    pub fn light_head(&self) -> LightBlock {
        self.state().chain.head().block.to_light()
    }

    /// What an address has.
    pub fn balance(&self, address: &Address) -> Luna {
        self.state().chain.accounts().balance(address)
    }

    /// What to mine next, for whom.
    pub fn template(&self, miner: Address, extra_data: ExtraData) -> Template {
        template(&self.state(), miner, extra_data)
    }

    /// Takes a transaction that is to wait for a block.
    pub fn send(&self, transaction: Transaction) -> Sent {
        let mut state = self.state();
        let State { chain, mempool, .. } = &mut *state;
        mempool.send(transaction, chain)
    }

    /// Checks a block and, if it is good, makes it the head.
    pub fn submit(&self, bytes: &[u8]) -> Result<BlockHash, SubmitFault> {
        let block = Block::parse(bytes).map_err(|_| match LightBlock::parse(bytes) {
            Ok(_) => SubmitFault::Light,
            Err(_) => SubmitFault::Unreadable,
        })?;
        if !block.has_its_body() {
            return Err(SubmitFault::Body);
        }
        let proof_of_work = lock(&self.shared.hasher).hash(&block.header.to_bytes());
        let mut state = self.state();
        rules::check(&state.chain, &block, &proof_of_work, Timestamp((self.shared.clock)()))?;
        state.store.append(Origin::Mined, bytes)?;
        let hash = state.chain.push(block, proof_of_work).map_err(Violation::from)?;
        self.announce(&mut state, &Change { abandoned: vec![], adopted: vec![hash] });
        Ok(hash)
    }

    /// Brings everything that follows the chain up to date. Under the lock, so that nobody hears of changes in another order.
    fn announce(&self, state: &mut State, change: &Change) {
        let State { chain, mempool, .. } = state;
        let lost = change.abandoned.iter().filter_map(|hash| chain.find(hash));
        let lost = lost.flat_map(|known| known.block.body.transactions.clone()).collect();
        mempool.follow(chain, lost);
        let head = head_of(chain);
        info!(height = %head.height, hash = %head.hash, abandoned = change.abandoned.len(), "new head of the Nimiq dev chain");
        self.shared.head.send_replace(head);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }
}

fn template(state: &State, miner: Address, extra_data: ExtraData) -> Template {
    let next = state.chain.next_block();
    let mut body = Body {
        miner,
        extra_data,
        transactions: state.mempool.for_block(&state.chain),
        pruned_accounts: Vec::new(),
    };
    let mut accounts = state.chain.accounts().clone();
    if accounts.apply(&body, next.height).is_err() {
        warn!("the waiting transactions cannot be paid together; the template holds none");
        body.transactions.clear();
        // A body without transactions only adds the reward.
        let _ = accounts.apply(&body, next.height);
    }
    Template { next, accounts_hash: accounts.commitment(), body }
}

fn head_of(chain: &Chain) -> Head {
    let head = chain.head();
    Head { height: head.block.header.height, hash: head.hash }
}

/// A panic elsewhere cannot leave these values half changed, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
