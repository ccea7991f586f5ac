//! A chain of our own that behaves as pktd towards a pool.
//!
//! It is no mock: every proof of work, target, coinbase and time is validated by the chain's rules
//! (`docs/protocol/packetcrypt-blocks.md` 8.7), blocks are on disk before they are accepted, side chains are kept
//! and win when they have more work. It can be told to misbehave ([`faults`]) and, since nobody else's money
//! depends on it, to make blocks without proof of work ([`DevChain::extend`], [`DevChain::reorganise`]).
//!
//! What it leaves out: other transactions than coinbases, peers, votes for the steward.
//!
//! - [`rules`]: money, difficulty, time; `pace` shows what they lead to;
//! - [`coinbase`], [`payouts`]: what a template pays;
//! - [`submitted_block`], [`block_check`], [`proof_check`], [`violation`]: what is accepted, and why not;
//! - [`chain`], [`store`]: what is known, in memory and on disk;
//! - [`rpc`]: the interface of pktd over all that, and how it is served.

pub mod block_check;
pub mod chain;
pub mod coinbase;
pub mod commanded;
pub mod faults;
#[cfg(test)]
mod made_up_branch;
#[cfg(test)]
mod pace;
pub mod payouts;
pub mod proof_check;
pub mod rpc;
pub mod rules;
pub mod store;
pub mod submitted_block;
#[cfg(test)]
mod tests;
pub mod violation;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use packetcrypt::{
    BlockHash, Height,
    block::{
        Header, MerkleRoot, Transaction,
        check::BlockFault,
        header::{HEADER_SIZE, double_sha256},
    },
};
use tokio::sync::{broadcast, watch};
use tracing::{info, warn};
use wire::{pkt_address::ChainAddress, template::BlockTemplate};

use self::{
    chain::{BlockIndex, Chain, Change, KnownBlock},
    faults::Faults,
    payouts::{NegativeAmount, Payouts},
    proof_check::{MissingParent, Parents, ProofCheckers, ShareTerms},
    rules::{ChainRules, median_time},
    store::{Origin, Store, StoreFault},
    submitted_block::{DecodeFault, SubmittedBlock},
    violation::Violation,
};
use crate::{failover::Tip, pktd::ShareOpinion};

/// The genesis block of the public network.
pub const GENESIS: &[u8] = include_bytes!("dev_chain/genesis.bin");

/// Version of the blocks of a template.
const TEMPLATE_VERSION: i32 = 0x2000_0000;
/// Changes of the best chain that a slow listener may be behind.
const EVENTS_KEPT: usize = 1024;

/// Tells the time in unix seconds.
pub type Clock = Arc<dyn Fn() -> u32 + Send + Sync>;

/// How a dev chain is to be.
#[derive(Clone)]
pub struct DevChainOptions {
    /// Its rules; a stored chain is only opened under its own.
    pub rules: ChainRules,
    /// Who is paid as long as nobody configured payouts; the network steward by default.
    pub mining_address: Option<ChainAddress>,
    /// The clock; the system's by default.
    pub clock: Clock,
}

impl Default for DevChainOptions {
    fn default() -> Self {
        let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let clock = Arc::new(move || u32::try_from(seconds()).unwrap_or(u32::MAX));
        Self { rules: ChainRules::steady(), mining_address: None, clock }
    }
}

/// A change of the best chain by one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockEvent {
    /// Whether the block is now part of the best chain, or no longer.
    pub connected: bool,
    /// The block.
    pub block: Tip,
    /// Unix seconds in its header.
    pub time: u32,
}

/// Why a submitted block was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SubmitFault {
    /// It cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeFault),
    /// It breaks a rule.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Why a share is refused.
#[derive(Debug, thiserror::Error)]
pub enum ShareFault {
    /// An announcement names a parent that the best chain does not have.
    #[error(transparent)]
    MissingParent(#[from] MissingParent),
    /// Its proof does not hold.
    #[error("{}", proof_check::pktd_text(.0))]
    Proof(#[from] BlockFault),
}

/// A running dev chain. Cheap to clone.
#[derive(Clone)]
pub struct DevChain {
    shared: Arc<Shared>,
}

struct Shared {
    options: DevChainOptions,
    state: Mutex<State>,
    checkers: ProofCheckers,
    faults: Faults,
    tip: watch::Sender<Tip>,
    events: broadcast::Sender<BlockEvent>,
    started: Instant,
}

struct State {
    chain: Chain,
    store: Store,
    payouts: Payouts,
    /// The coinbase that is being mined, and the block it builds on.
    coinbase: Option<(BlockHash, Vec<u8>)>,
}

impl fmt::Debug for DevChain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DevChain").field("tip", &self.tip()).finish_non_exhaustive()
    }
}

impl DevChain {
    /// Opens the chain in `folder`, or begins one there.
    pub fn open(folder: &Path, options: DevChainOptions) -> Result<Self, StoreFault> {
        let mut chain = Chain::new(genesis_header());
        let store = Store::open(folder, &options.rules.fingerprint(), |origin, location, block| {
            let header = block.first_chunk::<HEADER_SIZE>().map(Header::from_bytes);
            let parent = header.and_then(|header| Some((header, chain.find(&header.previous)?)));
            if let Some((header, parent)) = parent {
                chain.add(parent, header, origin, location);
            } else {
                warn!(?location, "a stored block has no stored parent; it is left out");
            }
        })?;
        let tip = chain.block(chain.tip()).tip();
        info!(folder = %folder.display(), %tip, rules = options.rules.fingerprint(), "dev chain opened");
        let payouts = match options.mining_address {
            Some(address) => Payouts::to(address.to_string(), address.script()),
            None => Payouts::to_steward(),
        };
        let state = Mutex::new(State { chain, store, payouts, coinbase: None });
        let (tip, _) = watch::channel(tip);
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let shared = Shared {
            options,
            state,
            checkers: ProofCheckers::default(),
            faults: Faults::default(),
            tip,
            events,
            started: Instant::now(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Its rules.
    pub fn rules(&self) -> &ChainRules {
        &self.shared.options.rules
    }

    /// Misbehaviour that was ordered, or is to be.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The newest block of the best chain.
    pub fn tip(&self) -> Tip {
        *self.shared.tip.borrow()
    }

    /// The newest block, whenever it changes.
    pub fn watch_tip(&self) -> watch::Receiver<Tip> {
        self.shared.tip.subscribe()
    }

    /// Every change of the best chain from now on.
    pub fn events(&self) -> broadcast::Receiver<BlockEvent> {
        self.shared.events.subscribe()
    }

    /// How many listen to the changes, among them every open websocket.
    pub fn listeners(&self) -> usize {
        self.shared.events.receiver_count()
    }

    /// What to mine next. The same coinbase is handed out until the tip or the payouts change; the time, and
    /// what depends on it, is fresh.
    pub fn template(&self) -> Result<BlockTemplate, NegativeAmount> {
        let mut state = self.state();
        let tip = state.chain.tip();
        let height = next_height(state.chain.block(tip));
        let previous = state.chain.block(tip).hash;
        let coinbase = match &state.coinbase {
            Some((known, coinbase)) if *known == previous => coinbase.clone(),
            _ => coinbase::template(height, &state.payouts.amounts_in_random_order(height)?),
        };
        state.coinbase = Some((previous, coinbase.clone()));
        let header = self.next_header(&state.chain, tip, &coinbase);
        let transactions = vec![coinbase.clone()];
        Ok(BlockTemplate { height, header, coinbase_no_witness: coinbase, branch: vec![], transactions })
    }

    /// The header of a block after `parent` with only this coinbase, nonce 0.
    fn next_header(&self, chain: &Chain, parent: BlockIndex, coinbase: &[u8]) -> Header {
        let branch = chain.branch(parent);
        let time = self.now().max(median_time(&branch).saturating_add(1));
        Header {
            version: TEMPLATE_VERSION,
            previous: chain.block(parent).hash,
            merkle_root: MerkleRoot(double_sha256(&[coinbase])),
            time,
            bits: self.rules().required_bits(&branch, time),
            nonce: 0,
        }
    }

    /// Whom the next blocks pay. Forgotten at the next start, as pktd does.
    pub fn configure_payouts(&self, payouts: Payouts) {
        let mut state = self.state();
        state.payouts = payouts;
        state.coinbase = None;
    }

    /// The payout table.
    pub fn payouts(&self) -> Payouts {
        self.state().payouts.clone()
    }

    /// Checks a block and, if it is good, stores it: as the new tip or on a side chain.
    pub fn submit(&self, bytes: &[u8]) -> Result<Change, SubmitFault> {
        let block = SubmittedBlock::decode(bytes).map_err(|fault| match fault {
            fault if fault.is_other_version() => SubmitFault::Violation(Violation::ProofVersion),
            fault => SubmitFault::Decode(fault),
        })?;
        let hash = block.header.block_hash();
        refuse_duplicate(&self.state().chain, &hash)?;
        block_check::check_sanity(&block, self.rules(), self.now())?;
        self.check_block_proof(&block)?;
        let mut state = self.state();
        // Somebody may have submitted the same while the proof was being checked.
        refuse_duplicate(&state.chain, &hash)?;
        let parent = state.chain.find(&block.header.previous);
        let parent = parent.ok_or(Violation::MissingParent(Height(0)))?;
        block_check::check_place(&block, &state.chain.branch(parent), self.rules())?;
        block_check::check_money(&block, next_height(state.chain.block(parent)))?;
        Ok(self.add(&mut state, parent, block.header, Origin::Mined, block.bytes)?)
    }

    /// The proof of work of a block, with the parents of its announcements on its own branch.
    fn check_block_proof(&self, block: &SubmittedBlock<'_>) -> Result<(), Violation> {
        let height = block_check::height_of(block)?;
        let heights = proof_check::parent_heights(&block.elements);
        if heights.iter().any(|height| height.0 > i32::MAX as u32) {
            return Err(Violation::NegativeParent);
        }
        let parents = {
            let state = self.state();
            let previous = state.chain.find(&block.header.previous);
            Parents::look_up(heights, |height| state.chain.branch(previous?).hash_at(height))
        };
        let parents = parents.map_err(|missing| Violation::MissingParent(missing.height))?;
        let coinbase = block.transactions.first().ok_or(Violation::NoTransactions)?;
        // A height that is none fits no announcement's age, and no place in the chain either.
        let height = Height(u32::try_from(height).unwrap_or(u32::MAX));
        let checkers = &self.shared.checkers;
        let checked = checkers.check_block(&block.header, &block.elements, coinbase, height, &parents);
        checked.map_err(|fault| Violation::Proof(proof_check::pktd_text(&fault)))
    }

    /// Judges a share by the proof alone, with the parents of its announcements in the best chain: neither its
    /// previous block nor its time nor its bits are looked at, as pktd does.
    pub fn check_share(
        &self,
        share: &SubmittedBlock<'_>,
        coinbase: &Transaction<'_>,
        terms: ShareTerms,
    ) -> Result<ShareOpinion, ShareFault> {
        let heights = proof_check::parent_heights(&share.elements);
        let parents = {
            let state = self.state();
            let hash_of = |index| state.chain.block(index).hash;
            Parents::look_up(heights, |height| state.chain.at_height(height).map(hash_of))
        }?;
        Ok(self.shared.checkers.check_share(&share.header, &share.elements, coinbase, terms, &parents)?)
    }

    /// Stores a block, adds it to the chain, and tells everybody.
    fn add(
        &self,
        state: &mut State,
        parent: BlockIndex,
        header: Header,
        origin: Origin,
        bytes: &[u8],
    ) -> Result<Change, StoreFault> {
        let location = state.store.append(origin, bytes)?;
        let change = state.chain.add(parent, header, origin, location);
        self.announce(&state.chain, &change);
        Ok(change)
    }

    /// Sent while the state is locked, so that nobody hears of changes in another order.
    fn announce(&self, chain: &Chain, change: &Change) {
        let event = |connected: bool, block: &Tip| {
            let index = chain.find(&block.hash).unwrap_or(chain.tip());
            BlockEvent { connected, block: *block, time: chain.block(index).place.header.time }
        };
        let left = change.disconnected.iter().map(|block| event(false, block));
        let joined = change.connected.iter().map(|block| event(true, block));
        // Before the events: who hears of a block and asks at once must find it.
        if let Some(tip) = change.connected.last() {
            self.shared.tip.send_replace(*tip);
        }
        for event in left.chain(joined) {
            // Nobody may be listening.
            let _ = self.shared.events.send(event);
        }
        if let Some(tip) = change.connected.last() {
            info!(%tip, left = change.disconnected.len(), "new tip of the dev chain");
        }
    }

    /// The bytes of a known block.
    fn block_bytes(state: &State, block: &KnownBlock) -> Result<Vec<u8>, StoreFault> {
        match block.location {
            None => Ok(GENESIS.to_vec()),
            Some(location) => state.store.read(location),
        }
    }

    fn now(&self) -> u32 {
        (self.shared.options.clock)()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one push at the end, so a panic elsewhere leaves nothing half done.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse_duplicate(chain: &Chain, hash: &BlockHash) -> Result<(), Violation> {
    chain.find(hash).map_or(Ok(()), |_| Err(Violation::DuplicateBlock(*hash)))
}

/// The height of the block after this one.
fn next_height(block: &KnownBlock) -> Height {
    Height(block.place.height.0.saturating_add(1))
}

fn genesis_header() -> Header {
    Header::from_bytes(GENESIS.first_chunk::<HEADER_SIZE>().unwrap_or(&[0; HEADER_SIZE]))
}
