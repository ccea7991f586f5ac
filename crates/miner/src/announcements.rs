//! The announcement miner: finds announcements for the primary pool's newest job, and gives each to every pool.

mod config;
pub mod config_file;
mod job;
mod mining;
mod status;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use packetcrypt::CompactTarget;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use config::AnnouncementMinerConfig;
pub use job::{Found, Job};
pub use status::{AnnouncementStatus, PoolStatus};

use crate::{
    http_client::HttpSetupFault,
    mining_threads::MiningThreads,
    pool_client::{FollowOptions, PoolView, follow, notice_blocks},
    status_line::{Status, StatusOutput},
    trouble::Trouble,
    upload::{CountsAt, PoolUploads, UploadSettings},
};
use mining::MiningCounts;
use status::RateMeter;

/// Bits of an announcement in kbit, as bandwidth is shown.
const KILOBITS: u64 = 8;

/// Why the miner could not start.
#[derive(Debug, thiserror::Error)]
pub enum AnnouncementMinerError {
    /// No HTTP.
    #[error(transparent)]
    Http(#[from] HttpSetupFault),
    /// The system gives no threads.
    #[error("cannot start the mining threads: {0}")]
    Threads(#[from] std::io::Error),
}

/// Mines until `shutdown`, then sends what is left for a short time.
///
/// Returns an error only if it could not start; pools that do not work are waited for.
pub async fn run(
    config: AnnouncementMinerConfig,
    output: Arc<dyn StatusOutput>,
    shutdown: CancellationToken,
) -> Result<(), AnnouncementMinerError> {
    let followers = CancellationToken::new();
    let _guard = followers.clone().drop_guard();
    let mut miner = AnnouncementMiner::start(config, output, &followers)?;
    miner.mine_until(&shutdown).await;
    miner.stop().await;
    Ok(())
}

struct AnnouncementMiner {
    config: AnnouncementMinerConfig,
    output: Arc<dyn StatusOutput>,
    /// The primary pool first.
    pools: Arc<[PoolUploads]>,
    threads: MiningThreads<Job>,
    job: Option<Arc<Job>>,
    job_trouble: Trouble,
    /// The pool's newest state is not enough for a job. For a moment that is normal after each block.
    waits_for_pool: bool,
    counts: Arc<MiningCounts>,
    rate: RateMeter,
    /// For each pool, the counts at the last status.
    shown: Vec<CountsAt>,
}

impl AnnouncementMiner {
    /// `followers` ends the following of pools, which goes on while the last uploads are sent.
    fn start(
        config: AnnouncementMinerConfig,
        output: Arc<dyn StatusOutput>,
        followers: &CancellationToken,
    ) -> Result<Self, AnnouncementMinerError> {
        let pools = uploads(&config, followers)?;
        // A new block is a new parent: every second on the old one makes announcements that are worth half as much.
        if let Some(primary) = pools.first() {
            notice_blocks(primary.pool().clone(), followers.clone())?;
        }
        let counts = Arc::new(MiningCounts::default());
        let receivers = Arc::clone(&pools);
        let threads = mining::start(config.placement, Arc::clone(&counts), move |found| {
            receivers.iter().for_each(|pool| pool.offer(&found));
        })?;
        info!(
            primary = %config.primary, other_pools = config.others.len(), pay_to = %config.pay_to,
            threads = config.placement.threads, "announcement miner started"
        );
        Ok(Self {
            job_trouble: Trouble::with(format!("pool {}", config.primary)),
            shown: vec![CountsAt::default(); pools.len()],
            config,
            output,
            pools,
            threads,
            job: None,
            waits_for_pool: false,
            counts,
            rate: RateMeter::default(),
        })
    }

    async fn mine_until(&mut self, shutdown: &CancellationToken) {
        let Some(mut views) = self.pools.first().map(|primary| primary.pool().views()) else { return };
        self.rate.look(std::time::Instant::now(), 0);
        let mut seconds = every(Duration::from_secs(1));
        let mut statuses = every(self.config.status_interval);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Ok(()) = views.changed() => {
                    let view = views.borrow_and_update().clone();
                    if let Some(view) = view {
                        self.take(&view);
                    }
                }
                now = seconds.tick() => self.rate.look(now.into_std(), self.counts.found.load(Relaxed)),
                _ = statuses.tick() => self.report(),
            }
        }
    }

    /// Restarts mining if the primary pool's state calls for another job.
    fn take(&mut self, view: &PoolView) {
        let job = Job::choose(view, self.config.mine_old);
        self.waits_for_pool = job.is_none();
        let Some(job) = job else { return };
        self.job_trouble.over();
        if self.job.as_deref() == Some(&job) {
            return;
        }
        info!(parent = %job.parent_height, hash = %job.parent, target = %job.target, "mining announcements");
        let job = Arc::new(job);
        self.job = Some(Arc::clone(&job));
        self.threads.set_job(Some(job));
    }

    fn report(&mut self) {
        if self.waits_for_pool {
            self.job_trouble.happened("it says no proper `annTarget`, or its chain is not known far enough");
        }
        let status = self.status();
        self.output.status(&Status::Announcements(status));
        for pool in self.pools.iter() {
            pool.pool().view().iter().for_each(|view| pool.retire_handlers(view));
        }
    }

    fn status(&mut self) -> AnnouncementStatus {
        let per_second = self.rate.per_second();
        let work = self.job.as_ref().map_or(0, |job| whole_work(job.target));
        AnnouncementStatus {
            announcements_per_second: per_second,
            encryptions_per_second: per_second.saturating_mul(work),
            kilobits_per_second: per_second.saturating_mul(self.pools.len() as u64 * KILOBITS),
            found: self.counts.found.load(Relaxed),
            parent_height: self.job.as_ref().map(|job| job.parent_height.0),
            target: self.job.as_ref().map(|job| job.target.0),
            threads: self.threads.alive(),
            pools: self
                .pools
                .iter()
                .zip(&mut self.shown)
                .map(|(pool, shown)| pool_status(pool, shown))
                .collect(),
        }
    }

    async fn stop(mut self) {
        self.threads.set_job(None);
        let status = self.status();
        let Self { pools, threads, output, counts, .. } = self;
        // Ends within one portion of work; until then nothing may be drained.
        if tokio::task::spawn_blocking(move || threads.stop()).await.is_err() {
            info!("the runtime ended before the mining threads");
        }
        futures_util::future::join_all(pools.iter().map(PoolUploads::drain)).await;
        // The last status is about the whole run.
        output.status(&Status::Announcements(AnnouncementStatus {
            found: counts.found.load(Relaxed),
            pools: pools.iter().map(|pool| pool_status(pool, &mut CountsAt::default())).collect(),
            ..status
        }));
    }
}

fn uploads(
    config: &AnnouncementMinerConfig,
    followers: &CancellationToken,
) -> Result<Arc<[PoolUploads]>, HttpSetupFault> {
    let settings = UploadSettings {
        pay_to: config.pay_to,
        uploaders: config.uploaders,
        timeout: config.upload_timeout,
        batch_age: config.batch_age,
        drain: config.drain,
    };
    let depth = config.mine_old.unwrap_or(0).saturating_add(1).max(FollowOptions::ANNOUNCEMENTS.depth);
    let options = FollowOptions { poll: config.poll, depth };
    std::iter::once(&config.primary)
        .chain(&config.others)
        .enumerate()
        .map(|(number, url)| {
            let pool = follow(url.clone(), options, followers.clone())?;
            PoolUploads::new(pool, number == 0, settings.clone())
        })
        .collect()
}

fn pool_status(pool: &PoolUploads, shown: &mut CountsAt) -> PoolStatus {
    let total = pool.counts().now();
    let since_last = total.since(shown);
    shown.clone_from(&total);
    let uploading = pool.counts().uploading();
    // Uploads that have been on their way, or have waited, for all the time since the last status do not work.
    let idle = uploading == 0 && pool.counts().waiting() == 0;
    let works = pool.pool().is_reachable() && (idle || since_last.settled() > 0);
    PoolStatus {
        url: pool.pool().url().to_string(),
        reachable: pool.pool().is_reachable(),
        uploading,
        good_rate_percent: since_last.good_rate_percent(works),
        since_last,
        total,
    }
}

/// Hashes that an announcement stands for, as a whole number.
fn whole_work(target: CompactTarget) -> u64 {
    target.work().map_or(0, |work| work.saturating_to())
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

#[cfg(test)]
mod tests;
