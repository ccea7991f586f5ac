//! The Nimiq miner: registers with a pool over a WebSocket, mines as its mode says, and sends it shares.
//!
//! A [`connection`] brings the pool's messages; [`work`] makes a [`job`] of them, with the node's view of the [`chain`]
//! where one is followed; threads try nonces ([`mining`]); what they find goes to the pool, and [`fates`] keeps what
//! became of it. A connection that ends is made again, after a pause that grows.
//!
//! The contract is `docs/protocol/nimiq-pool.md` 1.

mod chain;
mod config;
mod connection;
mod fates;
mod job;
mod mining;
mod pool_url;
mod session;
mod status;
mod work;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Instant,
};

use node::NimiqClient;
use node::json_rpc::ConfigFault;
use node::nimiq::NimiqConfig;
use tokio::{
    sync::mpsc,
    time::{Duration, MissedTickBehavior, interval_at},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use config::{MiningMode, NimiqMinerConfig};
pub use connection::ConnectionFault;
pub use fates::ShareCounts;
pub use pool_url::{NimiqPoolUrl, NimiqPoolUrlFault};
pub use status::{NimiqBalance, NimiqStatus};
pub use work::WorkFault;

use crate::{
    backoff::Backoff,
    mining_threads::MiningThreads,
    status_line::{Status, StatusOutput},
    trouble::Trouble,
};
use chain::Chain;
use fates::Fates;
use job::Job;
use mining::{Found, MiningShared};
use session::Session;

/// How often the first pause between two connections may double.
const LONGEST_PAUSE: u32 = 10;

/// Why the miner could not start.
#[derive(Debug, thiserror::Error)]
pub enum NimiqMinerError {
    /// The system gives no threads.
    #[error("cannot start the mining threads: {0}")]
    Threads(#[from] std::io::Error),
    /// The node's address is none.
    #[error(transparent)]
    Node(#[from] ConfigFault),
}

/// Mines until `shutdown`.
///
/// Returns an error only if it could not start; a pool that does not work is tried again.
pub async fn run(
    config: NimiqMinerConfig,
    output: Arc<dyn StatusOutput>,
    shutdown: CancellationToken,
) -> Result<(), NimiqMinerError> {
    let mut miner = NimiqMiner::start(config)?;
    let (view, shared) = (Arc::clone(&miner.view), Arc::clone(&miner.shared));
    let reporting = report(&view, &shared, miner.config.status_interval, &*output);
    tokio::select! {
        () = miner.mine_until(&shutdown) => {}
        () = reporting => {}
    }
    miner.stop().await;
    // The last status is about the whole run.
    output.status(&Status::Nimiq(view.status(&shared, 0)));
    Ok(())
}

/// What everybody may look at while the miner runs.
#[derive(Debug, Default)]
struct View(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    status: NimiqStatus,
    fates: Fates,
}

impl View {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self, shared: &MiningShared, hashes_per_second: u64) -> NimiqStatus {
        let mut seen = self.lock();
        seen.fates.settle(tokio::time::Instant::now());
        let mut shares = seen.fates.counts();
        // Nobody else ever heard of them.
        let outdated = shared.outdated.load(Relaxed);
        shares.found += outdated;
        shares.stale += outdated;
        NimiqStatus { hashes_per_second, shares, ..seen.status.clone() }
    }
}

/// The miner; it outlives its connections.
struct NimiqMiner {
    config: NimiqMinerConfig,
    shared: Arc<MiningShared>,
    threads: MiningThreads<Job>,
    found: mpsc::Receiver<Found>,
    chain: Option<Chain>,
    view: Arc<View>,
    /// Connections so far.
    connections: u64,
}

impl NimiqMiner {
    fn start(config: NimiqMinerConfig) -> Result<Self, NimiqMinerError> {
        let node = config.mode.node().cloned();
        let client = node.map(|node| NimiqClient::new(NimiqConfig::new(vec![node], config.network)));
        let chain = client.transpose()?.map(Chain::new);
        let shared = Arc::new(MiningShared::default());
        let (threads, found) = mining::start(config.placement, Arc::clone(&shared))?;
        let view = View::default();
        view.lock().status = NimiqStatus {
            pool: config.pool.to_string(),
            mode: config.mode.mode().to_string(),
            threads: threads.alive(),
            ..NimiqStatus::default()
        };
        info!(
            pool = %config.pool, address = %config.address, mode = %config.mode.mode(), network = %config.network,
            threads = config.placement.threads, "Nimiq miner started"
        );
        Ok(Self { config, shared, threads, found, chain, view: Arc::new(view), connections: 0 })
    }

    /// One connection after the other.
    async fn mine_until(&mut self, shutdown: &CancellationToken) {
        let first = self.config.reconnect_after;
        let mut backoff = Backoff::new(first, first * LONGEST_PAUSE);
        let mut trouble = Trouble::with(format!("pool {}", self.config.pool));
        while !shutdown.is_cancelled() {
            self.connections += 1;
            let ended = Session::run(self, shutdown, || {
                backoff.worked();
                trouble.over();
            });
            let ended = ended.await;
            self.threads.set_job(None);
            self.view.idle();
            // At an orderly end the pool has got everything, and its answers are only not waited for.
            let Err(fault) = ended else { return };
            self.view.lock().fates.disconnected();
            trouble.happened(&fault);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(backoff.failed()) => {}
            }
        }
    }

    async fn stop(self) {
        let Self { threads, .. } = self;
        // Ends within one portion of work.
        let _ = tokio::task::spawn_blocking(move || threads.stop()).await;
    }
}

impl View {
    /// Nothing is mined.
    fn idle(&self) {
        let status = &mut self.lock().status;
        (status.registered, status.height, status.difficulty, status.waiting_for) = (false, None, None, None);
    }
}

async fn report(view: &View, shared: &MiningShared, every: Duration, output: &dyn StatusOutput) {
    let period = every.max(Duration::from_millis(1));
    let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut last_time, mut last_hashes) = (Instant::now(), 0);
    loop {
        ticks.tick().await;
        let (now, hashes) = (Instant::now(), shared.hashes.load(Relaxed));
        let rate = (hashes - last_hashes) as f64 / (now - last_time).as_secs_f64().max(1e-3);
        (last_time, last_hashes) = (now, hashes);
        output.status(&Status::Nimiq(view.status(shared, rate as u64)));
    }
}

#[cfg(test)]
mod fake_pool;
#[cfg(test)]
mod tests;
