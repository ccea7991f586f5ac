//! The block miner: collects everybody's announcements, and finds shares and blocks with them.
//!
//! Announcements come from [downloads](download) or a [sprayer], are looked at and checked by sample
//! ([`arrivals`]), and wait in the [`store`]. The [`planner`] decides among which of them to choose and to build a tree
//! ([`preparation`], [`tree_builder`]); threads try nonces ([`mining`]); what they find is [uploaded](share_upload).

mod arrivals;
mod config;
mod download;
mod mining;
mod planner;
pub(crate) mod preparation;
mod share_upload;
mod status;
pub(crate) mod store;
mod tree_builder;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use sprayer::{Arrival, Sprayer, SprayerError};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Duration, MissedTickBehavior, interval_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

pub use config::{
    AnnouncementSource, BlockMinerConfig, Fraction, HttpSource, NoFraction, SprayerSource, SprayerSourceFault,
};
pub use status::{ArrivalCounts, BlockStatus, ShareCounts};

use crate::{
    http_client::{HttpClient, HttpSetupFault},
    mining_threads::MiningThreads,
    pool_client::{FollowOptions, FollowedPool, follow, follow_work},
    status_line::{Status, StatusOutput},
};
use arrivals::{ArrivalTotals, Intake};
use mining::{BlockMiningJob, MiningShared};
use planner::{CurrentJob, Planner};
use share_upload::{ShareQueue, ShareUploader};
use store::Store;

/// Why the miner could not start.
#[derive(Debug, thiserror::Error)]
pub enum BlockMinerError {
    /// No HTTP.
    #[error(transparent)]
    Http(#[from] HttpSetupFault),
    /// The system gives no threads.
    #[error("cannot start the mining threads: {0}")]
    Threads(#[from] std::io::Error),
    /// The address for announcements cannot be used.
    #[error(transparent)]
    Sprayer(#[from] SprayerError),
}

/// Mines until `shutdown`.
///
/// Returns an error only if it could not start; a pool that does not work is waited for.
pub async fn run(
    config: BlockMinerConfig,
    output: Arc<dyn StatusOutput>,
    shutdown: CancellationToken,
) -> Result<(), BlockMinerError> {
    // Ends everything also if the start fails half-way.
    let stop = shutdown.child_token();
    let _guard = stop.clone().drop_guard();
    let mut miner = BlockMiner::start(&config, &stop)?;
    miner.report_until(&config, &*output, &stop).await;
    miner.stop().await;
    Ok(())
}

struct BlockMiner {
    pool: FollowedPool,
    shared: Arc<MiningShared>,
    totals: Arc<ArrivalTotals>,
    /// Of the sprayer, where announcements come from one.
    feed: sprayer::Figures,
    huge_pages: HugePages,
    threads: Arc<MiningThreads<BlockMiningJob>>,
    current: CurrentJob,
    tasks: JoinSet<()>,
}

impl BlockMiner {
    fn start(config: &BlockMinerConfig, stop: &CancellationToken) -> Result<Self, BlockMinerError> {
        let options = FollowOptions { poll: config.poll, ..FollowOptions::BLOCKS };
        let pool = follow(config.pool.clone(), options, stop.clone())?;
        let work = follow_work(pool.clone(), stop.clone())?;
        let store = Store::new(config.memory);
        let most = config.min_free.removed_from(store.capacity()).max(1);
        let shared = Arc::new(MiningShared {
            attempts: AtomicU64::new(0),
            shares: Arc::new(ShareQueue::new(work.clone())),
            store: Arc::new(Mutex::new(store)),
            set_is_spoiled: AtomicBool::new(false),
        });
        let threads = Arc::new(mining::start(config.placement, Arc::clone(&shared))?);
        let planner = Planner::new(pool.clone(), Arc::clone(&shared), Arc::clone(&threads), most);
        let mut miner = Self {
            current: planner.current(),
            pool: pool.clone(),
            shared: Arc::clone(&shared),
            totals: Arc::default(),
            feed: sprayer::Figures::default(),
            huge_pages: HugePages::default(),
            threads,
            tasks: JoinSet::new(),
        };
        let arrivals = miner.start_intake(config)?;
        miner.start_source(config, arrivals, stop)?;
        let uploader = ShareUploader {
            queue: Arc::clone(&shared.shares),
            pool,
            pay_to: config.pay_to,
            uploaders: config.uploaders,
            client: HttpClient::new(config.upload_timeout)?,
        };
        miner.tasks.spawn(uploader.run(stop.clone()));
        miner.tasks.spawn(planner.run(work, stop.clone()));
        info!(pool = %config.pool, pay_to = %config.pay_to, threads = config.placement.threads, "block miner started");
        Ok(miner)
    }

    /// The thread that stores announcements ends when nobody can send any more.
    fn start_intake(&self, config: &BlockMinerConfig) -> std::io::Result<mpsc::Sender<Arrival>> {
        let (sender, receiver) = mpsc::channel(arrivals::MOST_WAITING);
        let intake = Intake::new(
            Arc::clone(&self.shared.store),
            self.pool.clone(),
            Arc::clone(&self.totals),
            config.check_one_in,
        );
        std::thread::Builder::new().name("announcements".into()).spawn(move || intake.run(receiver))?;
        Ok(sender)
    }

    fn start_source(
        &mut self,
        config: &BlockMinerConfig,
        arrivals: mpsc::Sender<Arrival>,
        stop: &CancellationToken,
    ) -> Result<(), BlockMinerError> {
        match config.source.clone() {
            AnnouncementSource::Http(source) => {
                let downloads = download::Downloads::new(self.pool.clone(), source, arrivals)?;
                self.tasks.spawn(downloads.run(stop.clone()));
            }
            AnnouncementSource::Sprayers(source) => {
                info!(sprayers = ?source.subscribe(), bind = %source.bind, "subscribing to announcements");
                let (_, task) = Sprayer::start(source.to_config(), self.feed.clone(), Some(arrivals), stop)?;
                self.tasks.spawn(async move {
                    if task.await.is_err() {
                        error!("the sprayer ended because of a defect in this program");
                    }
                });
            }
        }
        Ok(())
    }

    async fn report_until(
        &mut self,
        config: &BlockMinerConfig,
        output: &dyn StatusOutput,
        stop: &CancellationToken,
    ) {
        let period = config.status_interval.max(Duration::from_millis(1));
        let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last_time, mut last_attempts) = (Instant::now(), 0);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let (now, attempts) = (Instant::now(), self.shared.attempts.load(Relaxed));
            let rate = (attempts - last_attempts) as f64 / (now - last_time).as_secs_f64().max(1e-3);
            (last_time, last_attempts) = (now, attempts);
            output.status(&Status::Blocks(self.status(rate as u64)));
        }
    }

    fn status(&mut self, hashes_per_second: u64) -> BlockStatus {
        let (stored, capacity, pages) = {
            let store = self.shared.store.lock().unwrap_or_else(PoisonError::into_inner);
            (store.len(), store.capacity(), store.pages())
        };
        let mut status = BlockStatus {
            pool: self.pool.url().to_string(),
            reachable: self.pool.is_reachable(),
            hashes_per_second,
            announcements_stored: stored,
            announcements_capacity: capacity,
            pages,
            bytes_in_huge_pages: self.huge_pages.bytes(),
            arrivals: ArrivalCounts {
                lost_on_the_way: self.feed.lost.get() + self.feed.not_taken.get(),
                ..self.totals.now()
            },
            subscribers: self.feed.subscribers.get().try_into().unwrap_or(0),
            relayed: self.feed.sent.get(),
            shares: self.shared.shares.counts().now(),
            threads: self.threads.alive(),
            ..BlockStatus::default()
        };
        planner::describe(&self.current, &mut status);
        status
    }

    async fn stop(mut self) {
        self.threads.set_job(None);
        while self.tasks.join_next().await.is_some() {}
        let Self { threads, .. } = self;
        // The planner is gone, so this is the last owner; the threads end within one portion of work.
        if let Some(threads) = Arc::into_inner(threads) {
            let _ = tokio::task::spawn_blocking(move || threads.stop()).await;
        }
    }
}

/// How much memory is in huge pages. To find that out, the system goes through all of it, so it is asked rarely.
#[derive(Debug, Default)]
struct HugePages {
    asked: Option<Instant>,
    bytes: Option<u64>,
}

impl HugePages {
    const EVERY: Duration = Duration::from_mins(1);

    fn bytes(&mut self) -> Option<u64> {
        if self.asked.is_none_or(|asked| asked.elapsed() >= Self::EVERY) {
            self.asked = Some(Instant::now());
            self.bytes = store::bytes_in_huge_pages();
        }
        self.bytes
    }
}

#[cfg(test)]
pub(crate) mod test_chain;
#[cfg(test)]
mod tests;
