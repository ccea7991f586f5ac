//! Following a Master, ours or another: what handlers know of the pool and the chain.
//!
//! [`MasterClient`] publishes a [`PoolView`]: the pool's configuration, the newest blocks, and where wanted the work
//! that is mined now. It polls `config.json`, and holds a long poll for the next work so that a new block is known
//! as soon as the Master has it. Malformed or missing documents never end anything: they are logged, counted and
//! fetched again (rules R-N4, R-N5); the last good view stays.

mod chain;
mod long_poll;

use std::sync::Arc;
use std::time::Duration;

use packetcrypt::{BlockHash, Height};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, watch};
use wire::FormatError;
use wire::block_info::BlockInfo;
use wire::pool_config::{self, PoolConfig};
use wire::template::{self, BlockTemplate};
use wire::work::{self, WorkFile};

use crate::health::Health;
use crate::http_client::{self, HttpFault};
use crate::metrics::Metrics;
use crate::parts::Parts;
use chain::KnownBlocks;

/// Time for one document.
const FETCH_TIME: Duration = Duration::from_secs(20);
/// Blocks after which a first view is published, even if more are wanted.
const FIRST_BLOCKS: usize = 8;
/// The part of a role's health that this client answers for.
const HEALTH_PART: &str = "master";

/// Whom to follow, and how closely.
#[derive(Debug, Clone)]
pub struct MasterClientConfig {
    /// Pool URL, without a slash at its end.
    pub pool_url: String,
    /// Pause between two looks at `config.json`.
    pub poll_time: Duration,
    /// How many blocks are wanted, counted from the newest one.
    pub blocks: usize,
    /// Whether the work of the current height is wanted.
    pub work: bool,
}

impl MasterClientConfig {
    /// As the reference does: a look every 5 s.
    pub fn new(pool_url: impl Into<String>, blocks: usize, work: bool) -> Self {
        let pool_url = pool_url.into().trim_end_matches('/').to_owned();
        Self { pool_url, poll_time: Duration::from_secs(5), blocks, work }
    }
}

/// What the Master says, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolView {
    /// The pool's configuration.
    pub config: PoolConfig,
    /// The newest blocks, the newest first; each is the parent of the one before it. May be shorter than wanted
    /// where a block info cannot be fetched, and empty only if that of the tip cannot.
    pub blocks: Vec<Arc<BlockInfo>>,
    /// The work for `config.current_height` on top of `config.tip_hash`, if wanted and known.
    pub work: Option<Arc<WorkFile>>,
}

impl PoolView {
    /// The block of a height, if it is among the newest ones.
    pub fn block_at(&self, height: Height) -> Option<&Arc<BlockInfo>> {
        let newest = self.blocks.first()?.header.height;
        self.blocks.get(newest.0.checked_sub(height.0)? as usize)
    }

    /// The hash of the block of a height, if it is among the newest ones.
    pub fn hash_at(&self, height: Height) -> Option<BlockHash> {
        self.block_at(height).map(|block| block.header.hash)
    }
}

/// Why a document of the Master cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MasterFault {
    /// It did not come.
    #[error("{url}: {fault}")]
    Http {
        /// What was asked for.
        url: String,
        /// Why not.
        fault: HttpFault,
    },
    /// It is malformed.
    #[error("{url}: {fault}")]
    Format {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        fault: FormatError,
    },
    /// It speaks of something else than what was asked for.
    #[error("{url}: {mismatch}")]
    Mismatch {
        /// What was asked for.
        url: String,
        /// What differs.
        mismatch: String,
    },
}

/// Follows one Master; clones share it. Ends with the stop signal.
#[derive(Clone)]
pub struct MasterClient {
    shared: Arc<Shared>,
}

struct Shared {
    config: MasterClientConfig,
    http: reqwest::Client,
    view: watch::Sender<Option<Arc<PoolView>>>,
    paymaker_url: watch::Sender<Option<String>>,
    /// Told when there is a reason to look at once.
    look: Notify,
    health: Health,
    faults: Counter,
}

impl MasterClient {
    /// Starts to follow. `health` is told whether the Master can be followed.
    pub fn start(
        config: MasterClientConfig,
        http: reqwest::Client,
        health: &Health,
        metrics: &Metrics,
        parts: &mut Parts,
    ) -> Self {
        health.trouble_of(HEALTH_PART, format!("no answer yet from the Master at {}", config.pool_url));
        let shared = Arc::new(Shared {
            config,
            http,
            view: watch::Sender::new(None),
            paymaker_url: watch::Sender::new(None),
            look: Notify::new(),
            health: health.clone(),
            faults: metrics.counter("master_faults", "Documents of the Master that could not be used"),
        });
        let (following, polling) = (Arc::clone(&shared), Arc::clone(&shared));
        let (stop_following, stop_polling) = (parts.stop(), parts.stop());
        parts.run("following the Master", async move {
            stop_following.run_until_cancelled(follow(following)).await;
        });
        parts.run("waiting for work", async move {
            stop_polling.run_until_cancelled(long_poll::wait_for_work(polling)).await;
        });
        Self { shared }
    }

    /// The newest view; `None` until there is one. What was published before counts as a change, so that nobody who
    /// waits for changes misses it, however late they begin.
    pub fn view(&self) -> watch::Receiver<Option<Arc<PoolView>>> {
        let mut view = self.shared.view.subscribe();
        view.mark_changed();
        view
    }

    /// The PayMaker's base URL, as the outbox wants it.
    pub fn paymaker_url(&self) -> watch::Receiver<Option<String>> {
        self.shared.paymaker_url.subscribe()
    }

    /// Fetches the work file of a height.
    pub async fn work(&self, height: Height) -> Result<WorkFile, MasterFault> {
        self.shared.work(height).await
    }

    /// Fetches the block template of a height.
    pub async fn template(&self, height: Height) -> Result<BlockTemplate, MasterFault> {
        let shared = &self.shared;
        let template =
            shared.document(&template::file_name(height), template::LIMIT, BlockTemplate::parse).await?;
        shared.same_height(&template::file_name(height), height, template.height)?;
        Ok(template)
    }

    /// Looks at the Master now.
    pub fn look(&self) {
        self.shared.look.notify_one();
    }
}

/// The main loop: look, publish, wait.
async fn follow(shared: Arc<Shared>) {
    let mut blocks = KnownBlocks::default();
    loop {
        match look(&shared, &mut blocks).await {
            Ok(()) => shared.health.solved(HEALTH_PART),
            Err(fault) => {
                shared.faults.inc();
                tracing::warn!(%fault, "the Master cannot be followed, trying again");
                shared.health.trouble_of(HEALTH_PART, fault.to_string());
            }
        }
        tokio::select! {
            () = shared.look.notified() => {}
            () = tokio::time::sleep(shared.config.poll_time) => {}
        }
    }
}

/// One look: configuration, blocks, work. What is known is published even if a later step fails.
async fn look(shared: &Shared, known: &mut KnownBlocks) -> Result<(), MasterFault> {
    let config = shared.document("config.json", pool_config::LIMIT, PoolConfig::parse).await?;
    shared.paymaker_url.send_if_modified(|url| {
        let changed = url.as_ref() != Some(&config.paymaker_url);
        *url = Some(config.paymaker_url.clone());
        changed
    });
    let wanted = shared.config.blocks;
    let first = known.walk(shared, &config, wanted.min(FIRST_BLOCKS)).await;
    let work = shared.current_work(&config).await;
    let (work, work_fault) = match work {
        Ok(work) => (work, None),
        Err(fault) => (None, Some(fault)),
    };
    shared.publish(&config, known.newest(&config, wanted), work.clone());
    first?;
    if wanted > FIRST_BLOCKS {
        let rest = known.walk(shared, &config, wanted).await;
        shared.publish(&config, known.newest(&config, wanted), work);
        rest?;
    }
    known.forget_old(&config, wanted);
    work_fault.map_or(Ok(()), Err)
}

impl Shared {
    fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.config.pool_url)
    }

    /// Fetches and reads one document of the pool URL.
    async fn document<T>(
        &self,
        name: &str,
        limit: usize,
        parse: impl FnOnce(&[u8]) -> Result<T, FormatError>,
    ) -> Result<T, MasterFault> {
        self.document_at(self.url(name), limit, parse).await
    }

    async fn document_at<T>(
        &self,
        url: String,
        limit: usize,
        parse: impl FnOnce(&[u8]) -> Result<T, FormatError>,
    ) -> Result<T, MasterFault> {
        match http_client::fetch(&self.http, &url, limit, FETCH_TIME).await {
            Ok(bytes) => parse(&bytes).map_err(|fault| MasterFault::Format { url, fault }),
            Err(fault) => Err(MasterFault::Http { url, fault }),
        }
    }

    fn same_height(&self, name: &str, asked: Height, found: Height) -> Result<(), MasterFault> {
        if asked == found {
            return Ok(());
        }
        Err(MasterFault::Mismatch { url: self.url(name), mismatch: format!("is for height {found}") })
    }

    async fn work(&self, height: Height) -> Result<WorkFile, MasterFault> {
        let name = work::file_name(height);
        let work = self.document(&name, work::LIMIT, WorkFile::parse).await?;
        self.same_height(&name, height, work.height)?;
        Ok(work)
    }

    /// The work for the current height, fetched only if the published one is for another.
    async fn current_work(&self, config: &PoolConfig) -> Result<Option<Arc<WorkFile>>, MasterFault> {
        if !self.config.work {
            return Ok(None);
        }
        let is_current =
            |work: &WorkFile| work.height == config.current_height && work.header.previous == config.tip_hash;
        let published = self.view.borrow().as_ref().and_then(|view| view.work.clone());
        if let Some(work) = published.filter(|work| is_current(work)) {
            return Ok(Some(work));
        }
        let work = self.work(config.current_height).await?;
        if !is_current(&work) {
            let mismatch = format!("builds on {} instead of {}", work.header.previous, config.tip_hash);
            return Err(MasterFault::Mismatch { url: self.url(&work::file_name(work.height)), mismatch });
        }
        Ok(Some(Arc::new(work)))
    }

    /// Publishes a view, unless nothing changed.
    fn publish(&self, config: &PoolConfig, blocks: Vec<Arc<BlockInfo>>, work: Option<Arc<WorkFile>>) {
        let view = PoolView { config: config.clone(), blocks, work };
        self.view.send_if_modified(|published| {
            if published.as_deref() == Some(&view) {
                return false;
            }
            *published = Some(Arc::new(view));
            true
        });
    }
}

#[cfg(test)]
mod tests;
