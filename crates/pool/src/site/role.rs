//! The role: what it is started with, what it serves.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;

use super::Facts;
use super::gather::Sources;
use super::pages;
use super::record::{Record, RecordFault};
use super::static_files::{FolderError, SiteFiles};
use super::subscriptions::{MailRelay, Subscriptions};
use crate::admission::Admission;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::parts::Parts;

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
    /// Where it is kept what the pool states, and its past in levels.
    pub record: PathBuf,
    /// Miners who want to be told about their work; nobody is where there is no such thing.
    pub subscriptions: Option<SubscriptionsConfig>,
}

/// Miners who want to be told when their work stops arriving.
#[derive(Debug, Clone)]
pub struct SubscriptionsConfig {
    /// Where it is kept who wants to be told what.
    pub folder: PathBuf,
    /// Whether they may be told on this machine and in its networks.
    pub private_targets: bool,
    /// How they get e-mail, if they do.
    pub mail: Option<MailRelay>,
}

/// Why a website does not start.
#[derive(Debug, thiserror::Error)]
pub enum SiteFault {
    /// The operator's own files.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What the pool states.
    #[error("the record of statements in {} cannot be kept: {source}", folder.display())]
    Record {
        /// Where.
        folder: PathBuf,
        /// Why.
        source: RecordFault,
    },
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
    subscriptions: Option<Arc<Subscriptions>>,
    parts: Parts,
}

impl Site {
    /// Starts it. It answers at once; what it does not know yet, it says. Only files can be wrong.
    pub fn start(
        config: SiteConfig,
        http: &reqwest::Client,
        metrics: &Metrics,
        shutdown: &CancellationToken,
    ) -> Result<Self, SiteFault> {
        let files = SiteFiles::new(config.folder.as_deref())?;
        let subscriptions = config.subscriptions.map(open).transpose()?;
        let health = Health::starting("site", "");
        let mut parts = Parts::until(shutdown);
        let record = Record::open(&config.record)
            .map_err(|source| SiteFault::Record { folder: config.record, source })?;
        let facts = Facts::gather(config.sources, Arc::new(record), http, &mut parts);
        if let Some(subscriptions) = subscriptions.clone() {
            parts.run("subscriptions", subscriptions.watch(facts.clone(), parts.stop()));
        }
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
            subscriptions,
            parts,
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
            self.parts.stop(),
        );
        api.merge(pages::router(Arc::clone(&self.files), self.facts.clone()))
    }

    /// Whether it runs.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Returns when it has ended after the stop signal, or since a part of it died.
    pub async fn stopped(self) {
        self.parts.ended().await;
    }
}

fn open(config: SubscriptionsConfig) -> Result<Arc<Subscriptions>, SiteFault> {
    let SubscriptionsConfig { folder, private_targets, mail } = config;
    let opened = Subscriptions::open(&folder, private_targets, mail);
    opened.map(Arc::new).map_err(|source| SiteFault::Subscriptions { folder, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client;
    use crate::site::facts::{Explorers, Identity, Moment};

    #[tokio::test]
    async fn a_website_of_which_any_part_dies_ends_and_another_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity {
            name: "Deep Shaft".to_owned(),
            contact: None,
            explorers: Explorers { packetcrypt: None, nimiq: None },
            url: "http://127.0.0.1".to_owned(),
            version: "1".to_owned(),
            build: None,
            started_at: Moment(0),
        };
        let sources = Sources { identity, packetcrypt: None, nimiq: None, components: Vec::new() };
        let config = SiteConfig {
            sources,
            folder: None,
            limits: SiteLimits::default(),
            admission: Arc::default(),
            record: folder.path().join("record"),
            subscriptions: Some(SubscriptionsConfig {
                folder: folder.path().to_owned(),
                private_targets: true,
                mail: None,
            }),
        };
        let (http, metrics) = (http_client::client().unwrap(), Metrics::new());
        for part in ["gathering", "record", "subscriptions"] {
            let shutdown = CancellationToken::new();
            let site = Site::start(config.clone(), &http, &metrics, &shutdown).unwrap();
            site.parts.kill(part);
            site.stopped().await;
            assert!(!shutdown.is_cancelled());
        }
        // Whichever instance shows the pool's figures: each name has one family.
        let text = metrics.text();
        assert_eq!(text.matches("# TYPE headframe_pool_gathered_timestamp_seconds ").count(), 1, "{text}");
    }
}
