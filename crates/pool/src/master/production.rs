//! From the node's new block to published work: the Master's only loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use node::{NodeError, Tip};
use packetcrypt::BlockHash;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;
use wire::template::BlockTemplate;
use wire::work::{WorkFile, WorkId};

use super::files::StoredWork;
use super::node_source::NodeSource;
use super::settings::MasterSettings;
use super::{Published, Shared};
use crate::backoff::Backoff;
use crate::metrics::{Metrics, Stage, StageTimes};

/// The part of the Master's health that the node is.
const HEALTH_PART: &str = "node";
/// Block infos fetched before the first publication: what announcement handlers ask for at once.
const FIRST_INFOS: usize = 8;

/// Why there is no new work.
#[derive(Debug, thiserror::Error)]
enum ProductionFault {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error("the node's template for height {template} does not fit its tip {tip} at height {tip_height}")]
    Height { template: u32, tip: BlockHash, tip_height: u32 },
    #[error("the node's template still builds on {found}, not on its newest block {tip}")]
    Behind { found: BlockHash, tip: BlockHash },
}

/// Runs until `shutdown`, then lets everybody go who waits.
pub(super) async fn run(
    shared: Arc<Shared>,
    node: impl NodeSource,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let production = Production {
        height: metrics.gauge("current_height", "Height being mined"),
        templates: metrics.counter("templates", "Block templates published as work"),
        faults: metrics.counter("node_faults", "Attempts to get new work that failed"),
        publishing: metrics.stage(Stage::Publish),
        shared: Arc::clone(&shared),
        node,
    };
    shutdown.run_until_cancelled(production.run()).await;
    shared.feed.close();
    shared.health.trouble("stopped");
}

struct Production<N> {
    shared: Arc<Shared>,
    node: N,
    height: Gauge,
    templates: Counter,
    faults: Counter,
    publishing: StageTimes,
}

impl<N: NodeSource> Production<N> {
    async fn run(self) {
        let mut tip = self.node.tip();
        let mut settings = self.shared.settings.subscribe();
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        loop {
            let newest = *tip.borrow_and_update();
            let mut retry = None;
            if self.is_new(newest) {
                match self.produce(newest).await {
                    Ok(()) => {
                        backoff.reset();
                        self.shared.health.solved(HEALTH_PART);
                    }
                    Err(fault) => {
                        self.faults.inc();
                        tracing::warn!(%fault, "no new work");
                        self.shared.health.trouble_of(HEALTH_PART, fault.to_string());
                        retry = Some(backoff.after_failure());
                    }
                }
            }
            tokio::select! {
                // An error means that the node's client has ended, which it does after this loop.
                Ok(()) = tip.changed() => {}
                Ok(()) = settings.changed() => self.republish(&settings.borrow_and_update().clone()),
                () = sleep(retry) => {}
                () = self.fetch_infos(), if retry.is_none() => {}
            }
        }
    }

    /// Whether there is other work to be had than the published one.
    fn is_new(&self, tip: Option<Tip>) -> bool {
        let published = self.shared.tip_hash();
        published.is_none() || tip.is_some_and(|tip| published != Some(tip.hash))
    }

    async fn produce(&self, tip: Option<Tip>) -> Result<(), ProductionFault> {
        let noticed = Instant::now();
        let (template, _) = tokio::join!(self.node.template(), async {
            match tip {
                // An error here is met again, and reported, when the info of the template's parent is looked for.
                Some(tip) => self.fetch_info(tip.hash).await.is_ok(),
                None => false,
            }
        });
        let template = template?;
        let id = WorkId { height: template.height, previous: template.header.previous };
        self.know_chain(id).await?;
        if self.shared.tip_hash() != Some(id.previous) {
            self.publish(id, &template).await;
            self.publishing.since(noticed);
        }
        match *self.node.tip().borrow() {
            Some(tip) if tip.hash != id.previous => {
                Err(ProductionFault::Behind { found: id.previous, tip: tip.hash })
            }
            _ => Ok(()),
        }
    }

    /// Has the infos of the newest blocks, and the template's height confirmed by them.
    async fn know_chain(&self, id: WorkId) -> Result<(), ProductionFault> {
        let tip_height = self.fetch_info(id.previous).await?;
        if tip_height.checked_add(1) != Some(id.height.0) {
            return Err(ProductionFault::Height { template: id.height.0, tip: id.previous, tip_height });
        }
        self.shared.with_block_infos(|infos| infos.set_tip(id.previous));
        for _ in 1..FIRST_INFOS {
            let Some(missing) = self.shared.with_block_infos(|infos| infos.missing()) else { break };
            self.fetch_info(missing).await?;
        }
        Ok(())
    }

    /// Has the info of a block; gives its height.
    async fn fetch_info(&self, hash: BlockHash) -> Result<u32, NodeError> {
        if let Some(height) = self.shared.with_block_infos(|infos| infos.get(&hash).map(|info| info.height)) {
            return Ok(height.0);
        }
        let header = self.node.header(hash).await?;
        let height = header.height.0;
        self.shared.with_block_infos(|infos| infos.add(header));
        Ok(height)
    }

    /// Fetches older infos in the background, as long as nothing more urgent happens.
    async fn fetch_infos(&self) {
        while let Some(missing) = self.shared.with_block_infos(|infos| infos.missing()) {
            if let Err(fault) = self.fetch_info(missing).await {
                tracing::debug!(%fault, "an older block info could not be fetched");
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
        std::future::pending::<()>().await;
    }

    async fn publish(&self, id: WorkId, template: &BlockTemplate) {
        let shared = &self.shared;
        let settings = Arc::clone(&shared.settings.borrow());
        let stored = match shared.files.load(id).await {
            Some(stored) => stored,
            None => self.store(id, template, &settings).await,
        };
        let config_json = Bytes::from(settings.pool_config(id.height, id.previous).to_json());
        let StoredWork { work, template } = stored;
        let published = Published { id, config_json, work: work.clone(), template };
        shared.published.store(Some(Arc::new(published)));
        shared.feed.publish(id.height, work);
        shared.health.ready();
        self.templates.inc();
        self.height.set(i64::from(id.height.0));
        tracing::info!(height = id.height.0, previous = %id.previous, "new work");
        if let Err(fault) = shared.files.keep_around(id.height).await {
            tracing::warn!(%fault, "old work files could not be deleted");
        }
    }

    /// Makes the work for a template and keeps it on disk. A disk that refuses costs only the sameness after a
    /// restart, so the work is handed out all the same.
    async fn store(&self, id: WorkId, template: &BlockTemplate, settings: &MasterSettings) -> StoredWork {
        let work = work_file(template, settings).to_bytes();
        let stored = StoredWork { work: work.into(), template: template.to_bytes().into() };
        if let Err(fault) = self.shared.files.store(id.height, stored.clone()).await {
            tracing::error!(%fault, "work could not be kept on disk");
        }
        stored
    }

    /// Shows new settings for the work that is mined now.
    fn republish(&self, settings: &MasterSettings) {
        let Some(now) = self.shared.published.load_full() else { return };
        let config_json = settings.pool_config(now.id.height, now.id.previous).to_json().into();
        let (work, template) = (now.work.clone(), now.template.clone());
        self.shared.published.store(Some(Arc::new(Published { id: now.id, config_json, work, template })));
        tracing::info!("new settings are in force");
    }
}

fn work_file(template: &BlockTemplate, settings: &MasterSettings) -> WorkFile {
    WorkFile {
        header: template.header,
        signing_key: settings.private_seed.as_ref().and_then(|seed| seed.signing_key(template.height)),
        share_target: settings.share_target.of_block(template.header.bits),
        ann_target: settings.ann_target,
        height: template.height,
        coinbase: template.coinbase_no_witness.clone(),
        branch: template.branch.clone(),
    }
}

/// Waits, or for ever.
async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
