//! The Master: asks the node what to mine, and tells everybody (`docs/protocol/packetcrypt-pool.md` 4).
//!
//! Three nouns. The node's block template becomes *work*, identified by height and previous hash (rule R-M2), kept on
//! disk so that a restart hands out the same bytes. *Block infos* are the newest headers with the keys of their
//! children. The *settings* are what the operator may change while the Master runs.
//!
//! One task (`production`) turns new blocks into new work and publishes it in one step: `config.json`, files, block
//! info of the tip, and then the answer to everybody who waits. Requests only read what it published.

mod block_infos;
mod files;
mod node_source;
mod production;
mod routes;
mod settings;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use axum::Router;
use bytes::Bytes;
use packetcrypt::BlockHash;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::work::WorkId;

pub use node_source::NodeSource;
pub use settings::{MasterSettings, SettingsFault, ShareTarget};

use crate::admission::Admission;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::parts::Parts;
use crate::refusals::Refusals;
use crate::work_feed::{FeedLimits, WorkFeed};
use block_infos::BlockInfos;
use files::{WorkFiles, WorkFilesFault};

/// What a Master is started with.
#[derive(Debug, Clone)]
pub struct MasterConfig {
    /// Folder of its own for work and templates; made if absent.
    pub dir: PathBuf,
    /// What may be changed later.
    pub settings: MasterSettings,
    /// Who may wait for the next work.
    pub long_poll: FeedLimits,
    /// Who may ask, and at what price.
    pub admission: Arc<Admission>,
}

/// Why a Master does not start.
#[derive(Debug, thiserror::Error)]
pub enum MasterStartFault {
    /// Rule R-M8.
    #[error(transparent)]
    Settings(#[from] SettingsFault),
    /// The folder cannot be used.
    #[error(transparent)]
    Files(#[from] WorkFilesFault),
}

/// A running Master.
pub struct Master {
    shared: Arc<Shared>,
    parts: Parts,
}

/// With which a Master is directed while it runs.
#[derive(Clone)]
pub struct MasterHandle {
    shared: Arc<Shared>,
}

impl MasterHandle {
    /// Puts new settings in force without a restart: `config.json` shows them at once, work from the next height on.
    /// Settings that are wrong change nothing (rule R-M8).
    pub fn apply_settings(&self, settings: MasterSettings) -> Result<(), SettingsFault> {
        settings.check()?;
        self.shared.settings.send_replace(Arc::new(settings));
        Ok(())
    }

    /// Tells everybody who waits for the next work, now or later, to ask again: whoever listens is about to stop.
    pub fn let_waiters_go(&self) {
        self.shared.feed.close();
    }
}

/// What requests read and the production writes.
struct Shared {
    settings: watch::Sender<Arc<MasterSettings>>,
    published: ArcSwapOption<Published>,
    block_infos: Mutex<BlockInfos>,
    files: WorkFiles,
    feed: WorkFeed,
    admission: Arc<Admission>,
    health: Health,
    refusals: Refusals,
}

/// The work that is mined now.
struct Published {
    id: WorkId,
    config_json: Bytes,
    work: Bytes,
    template: Bytes,
}

impl Shared {
    fn with_block_infos<T>(&self, action: impl FnOnce(&mut BlockInfos) -> T) -> T {
        action(&mut self.block_infos.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tip_hash(&self) -> Option<BlockHash> {
        self.published.load().as_ref().map(|published| published.id.previous)
    }
}

impl Master {
    /// Starts a Master on top of `node`. It is ready when the node has given a first template.
    pub async fn start(
        config: MasterConfig,
        node: impl NodeSource,
        metrics: &Metrics,
        shutdown: CancellationToken,
    ) -> Result<Self, MasterStartFault> {
        config.settings.check()?;
        let metrics = metrics.for_role("master", "");
        let shared = Arc::new(Shared {
            settings: watch::Sender::new(Arc::new(config.settings)),
            published: ArcSwapOption::empty(),
            block_infos: Mutex::new(BlockInfos::default()),
            files: WorkFiles::open(config.dir).await?,
            feed: WorkFeed::new(config.long_poll, &metrics),
            admission: config.admission,
            health: Health::starting("master", ""),
            refusals: Refusals::new(&metrics),
        });
        let mut parts = Parts::until(&shutdown);
        parts.run("production", production::run(Arc::clone(&shared), node, metrics, parts.stop()));
        Ok(Self { shared, parts })
    }

    /// `config.json`, `work_<n>.bin`, `bt_<n>.bin`, `blkinfo_<hash>.json`, under any prefix (rule R-H1).
    pub fn routes(&self) -> Router {
        routes::router(Arc::clone(&self.shared))
    }

    /// Whether it has work to hand out.
    pub fn health(&self) -> Health {
        self.shared.health.clone()
    }

    /// With which others direct it.
    pub fn handle(&self) -> MasterHandle {
        MasterHandle { shared: Arc::clone(&self.shared) }
    }

    /// Returns when the Master has ended after the stop signal, or since a part of it died.
    pub async fn stopped(self) {
        self.parts.ended().await;
    }
}

#[cfg(test)]
mod tests;
