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
    shutdown: CancellationToken,
}

impl Site {
    /// Starts it. It answers at once; what it does not know yet, it says. Only the operator's folder can be wrong.
    pub fn start(
        config: SiteConfig,
        http: &reqwest::Client,
        metrics: &Metrics,
        shutdown: CancellationToken,
    ) -> Result<Self, FolderError> {
        let files = SiteFiles::new(config.folder.as_deref())?;
        let health = Health::starting("site", "");
        let (facts, gathering) = Facts::gather(config.sources, http, shutdown.clone());
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
            shutdown,
        })
    }

    /// Everything that it serves.
    pub fn routes(&self) -> Router {
        let api = super::api::router(
            self.facts.clone(),
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
        if let Err(fault) = self.gathering.await {
            tracing::error!(%fault, "the website's gathering ended badly");
        }
    }
}
