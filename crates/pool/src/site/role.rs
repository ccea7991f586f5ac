//! The role: what it is started with, what it serves.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Facts;
use super::gather::Sources;
use super::pages;
use super::static_files::{FolderError, SiteFiles};
use super::subscriptions::Subscriptions;
use crate::admission::Admission;
use crate::health::Health;
use crate::metrics::Metrics;

/// What the website is started with.
#[derive(Debug, Clone)]
pub struct SiteConfig {
    /// Who is asked.
    pub sources: Sources,
    /// The operator's own files, which replace the default ones.
    pub folder: Option<PathBuf>,
    /// What clients may ask for.
    pub limits: SiteLimits,
    /// Who counts the requests.
    pub admission: Arc<Admission>,
    /// Miners who want to be told about their work; nobody is where there is no such thing.
    pub subscriptions: Option<SubscriptionsConfig>,
}

/// Miners who want to be told when their work stops arriving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionsConfig {
    /// Where it is kept who wants to be told what.
    pub folder: PathBuf,
    /// Whether they may be told on this machine and in its networks.
    pub private_targets: bool,
}

/// Why a website does not start.
#[derive(Debug, thiserror::Error)]
pub enum SiteFault {
    /// The operator's own files.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What miners subscribed to.
    #[error("the subscriptions in {} cannot be read: {source}", folder.display())]
    Subscriptions {
        /// Where.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// What the clients of the website are granted. Loopback and trusted proxies are exempt where an address counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteLimits {
    /// Requests of one address to the API in a minute.
    pub requests_per_minute: u32,
    /// Event streams held at once.
    pub streams: usize,
    /// Event streams of one address.
    pub streams_per_address: usize,
}

impl Default for SiteLimits {
    fn default() -> Self {
        Self { requests_per_minute: 1200, streams: 10_000, streams_per_address: 16 }
    }
}

/// A running website.
pub struct Site {
    facts: Facts,
    files: Arc<SiteFiles>,
    health: Health,
    limits: SiteLimits,
    admission: Arc<Admission>,
    metrics: Metrics,
    gathering: JoinHandle<()>,
    subscriptions: Option<Arc<Subscriptions>>,
    watching: Option<JoinHandle<()>>,
    shutdown: CancellationToken,
}

impl Site {
    /// Starts it. It answers at once; what it does not know yet, it says. Only files can be wrong.
    pub fn start(
        config: SiteConfig,
        http: &reqwest::Client,
        metrics: &Metrics,
        shutdown: CancellationToken,
    ) -> Result<Self, SiteFault> {
        let files = SiteFiles::new(config.folder.as_deref())?;
        let subscriptions = config.subscriptions.map(open).transpose()?;
        let health = Health::starting("site", "");
        let (facts, gathering) = Facts::gather(config.sources, http, shutdown.clone());
        let watching = subscriptions
            .clone()
            .map(|subscriptions| tokio::spawn(subscriptions.watch(facts.clone(), shutdown.clone())));
        metrics.show_pool(facts.clone());
        health.ready();
        let metrics = metrics.for_role("site", "");
        Ok(Self {
            facts,
            files,
            health,
            limits: config.limits,
            admission: config.admission,
            metrics,
            gathering,
            subscriptions,
            watching,
            shutdown,
        })
    }

    /// Everything that it serves.
    pub fn routes(&self) -> Router {
        let api = super::api::router(
            self.facts.clone(),
            self.subscriptions.clone(),
            self.limits,
            Arc::clone(&self.admission),
            &self.metrics,
            self.shutdown.clone(),
        );
        api.merge(pages::router(Arc::clone(&self.files), self.facts.clone()))
    }

    /// Whether it runs.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Returns when it has ended after the stop signal.
    pub async fn stopped(self) {
        for task in [self.gathering].into_iter().chain(self.watching) {
            if let Err(fault) = task.await {
                tracing::error!(%fault, "a part of the website ended badly");
            }
        }
    }
}

fn open(config: SubscriptionsConfig) -> Result<Arc<Subscriptions>, SiteFault> {
    let SubscriptionsConfig { folder, private_targets } = config;
    let opened = Subscriptions::open(&folder, private_targets);
    opened.map(Arc::new).map_err(|source| SiteFault::Subscriptions { folder, source })
}
