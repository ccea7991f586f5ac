//! Following a pool: its configuration, the newest blocks of its chain, and its work.
//!
//! `config.json` is read at an interval; after each change the block infos are walked from the tip backwards until
//! all that is needed is known (`docs/protocol/packetcrypt-pool.md` 7.2). Whatever the pool sends, the last good
//! state stays until a better one arrives (rules R-N4, R-N5).

mod handler_list;
pub(crate) mod known_chain;
mod pool_url;
mod work_feed;

use std::{sync::Arc, time::Duration};

use packetcrypt::{BlockHash, Height};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use wire::{block_info::BlockInfo, pool_config::PoolConfig};

pub use handler_list::{Handler, HandlerList};
pub use known_chain::{ChainFault, KnownBlock, KnownChain, Missing};
pub use pool_url::{PoolUrl, PoolUrlFault};
pub use work_feed::{CurrentWork, follow_work, notice_blocks};

use crate::{
    http_client::{HttpClient, HttpFault, HttpSetupFault},
    trouble::Trouble,
};

/// Blocks below the tip, tip included, whose announcements a handler accepts (5.1).
pub const TRACKED_HEIGHTS: u32 = 6;
/// However far back a pool wants its announcements to be mined, no further is followed: a handler does not take
/// announcements of more than a few blocks ago, and no block can use one of more than 259.
pub const DEEPEST: u32 = 32;

const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// A block info that could not be had is asked for again this much later (rule R-N4).
const BLOCK_INFO_RETRY: Duration = Duration::from_secs(5);

/// How closely a pool is followed.
#[derive(Debug, Clone, Copy)]
pub struct FollowOptions {
    /// Pause between two readings of `config.json`.
    pub poll: Duration,
    /// Blocks below the tip, tip included, that must be known, besides those that the pool's `mineOldAnns` asks for.
    pub depth: u32,
}

impl FollowOptions {
    /// As an announcement miner does: every 5 s, the blocks whose announcements handlers accept.
    pub const ANNOUNCEMENTS: Self = Self { poll: Duration::from_secs(5), depth: TRACKED_HEIGHTS };
    /// As a block miner does: every second, the parents of all announcements that are of use in a good set.
    pub const BLOCKS: Self = Self { poll: Duration::from_secs(1), depth: 20 };
}

/// What is known of a pool at one moment.
#[derive(Debug, Clone)]
pub struct PoolView {
    /// Its newest configuration.
    pub config: Arc<PoolConfig>,
    /// Its announcement handlers by that configuration.
    pub handlers: Arc<HandlerList>,
    /// Its newest blocks, as far as they are known.
    pub chain: KnownChain,
}

impl PoolView {
    /// The height and hash of the newest block by the configuration, known or not.
    pub fn tip(&self) -> (Height, BlockHash) {
        (self.config.tip_height(), self.config.tip_hash)
    }
}

/// A pool that is being followed.
#[derive(Debug, Clone)]
pub struct FollowedPool {
    url: PoolUrl,
    view: watch::Receiver<Option<Arc<PoolView>>>,
    reachable: watch::Receiver<bool>,
    sooner: Arc<Notify>,
}

impl FollowedPool {
    /// The URL that was given for it.
    pub fn url(&self) -> &PoolUrl {
        &self.url
    }

    /// The newest state; `None` until the pool has answered once.
    pub fn view(&self) -> Option<Arc<PoolView>> {
        self.view.borrow().clone()
    }

    /// To wait for changes of the state.
    pub fn views(&self) -> watch::Receiver<Option<Arc<PoolView>>> {
        self.view.clone()
    }

    /// Whether the last reading of the configuration succeeded.
    pub fn is_reachable(&self) -> bool {
        *self.reachable.borrow()
    }

    /// To wait until the pool can be reached, or no longer can.
    pub fn reachability(&self) -> watch::Receiver<bool> {
        self.reachable.clone()
    }

    /// Reads the configuration now instead of at the next interval.
    pub fn read_now(&self) {
        self.sooner.notify_one();
    }
}

/// Starts to follow a pool until `shutdown`.
pub fn follow(
    url: PoolUrl,
    options: FollowOptions,
    shutdown: CancellationToken,
) -> Result<FollowedPool, HttpSetupFault> {
    let (view_sender, view) = watch::channel(None);
    let (reachable_sender, reachable) = watch::channel(false);
    let sooner = Arc::new(Notify::new());
    let follower = Follower {
        http: HttpClient::new(DOCUMENT_TIMEOUT)?,
        session: session_id(),
        trouble: Trouble::with(format!("pool {url}")),
        block_trouble: Trouble::with(format!("block infos of pool {url}")),
        url: url.clone(),
        options,
        chain: KnownChain::default(),
        current: None,
        retry_blocks_at: None,
        view: view_sender,
        reachable: reachable_sender,
    };
    tokio::spawn(shutdown.run_until_cancelled_owned(follower.run(Arc::clone(&sooner))));
    Ok(FollowedPool { url, view, reachable, sooner })
}

struct Follower {
    url: PoolUrl,
    options: FollowOptions,
    http: HttpClient,
    session: String,
    trouble: Trouble,
    block_trouble: Trouble,
    chain: KnownChain,
    current: Option<(Arc<PoolConfig>, Arc<HandlerList>)>,
    retry_blocks_at: Option<Instant>,
    view: watch::Sender<Option<Arc<PoolView>>>,
    reachable: watch::Sender<bool>,
}

#[derive(Debug, thiserror::Error)]
enum DocumentFault {
    #[error(transparent)]
    Http(#[from] HttpFault),
    #[error(transparent)]
    Format(#[from] wire::FormatError),
    #[error(transparent)]
    Chain(#[from] ChainFault),
}

impl Follower {
    async fn run(mut self, sooner: Arc<Notify>) {
        loop {
            let config = self.read_config().await;
            self.reachable
                .send_if_modified(|reachable| std::mem::replace(reachable, config.is_ok()) != config.is_ok());
            match config {
                Ok(config) => {
                    self.trouble.over();
                    self.take(config);
                    self.walk().await;
                }
                Err(fault) => self.trouble.happened(format_args!("config.json: {fault}")),
            }
            tokio::select! {
                () = tokio::time::sleep(self.options.poll) => {}
                () = sooner.notified() => {}
            }
        }
    }

    async fn read_config(&self) -> Result<PoolConfig, DocumentFault> {
        let body = self.document(&self.url.config(), wire::pool_config::LIMIT).await?;
        Ok(PoolConfig::parse(&body)?)
    }

    async fn document(&self, url: &str, limit: usize) -> Result<bytes::Bytes, HttpFault> {
        self.http.get_document(url, &[("x-pc-sid", &self.session)], limit).await
    }

    /// Takes over a configuration if it says anything new.
    fn take(&mut self, config: PoolConfig) {
        if self.current.as_ref().is_some_and(|(known, _)| **known == config) {
            return;
        }
        debug!(pool = %self.url, height = %config.current_height, tip = %config.tip_hash, "new configuration");
        let handlers = match &self.current {
            Some((known, handlers)) if known.submit_ann_urls == config.submit_ann_urls => {
                Arc::clone(handlers)
            }
            known => {
                if known.is_some() {
                    info!(pool = %self.url, "the pool's announcement handlers have changed");
                }
                Arc::new(HandlerList::new(&config.submit_ann_urls))
            }
        };
        self.chain.set_tip(config.tip_hash, config.tip_height());
        self.current = Some((Arc::new(config), handlers));
        self.retry_blocks_at = None;
        self.publish();
    }

    /// Fetches the block infos that are missing, from the tip backwards, up to the first that cannot be had.
    async fn walk(&mut self) {
        let Some((config, handlers)) = self.current.clone() else { return };
        if self.retry_blocks_at.is_some_and(|time| Instant::now() < time) {
            return;
        }
        let depth = self.options.depth.max(config.mine_old_anns.saturating_add(1)).min(DEEPEST);
        let mut added = false;
        while let Some(missing) = self.chain.missing(depth) {
            match self.read_block_info(missing, &config, &handlers).await {
                Ok(()) => added = true,
                Err(fault) => {
                    self.block_trouble.happened(format_args!("block {}: {fault}", missing.height));
                    self.retry_blocks_at = Some(Instant::now() + BLOCK_INFO_RETRY);
                    break;
                }
            }
        }
        if self.retry_blocks_at.is_none_or(|time| Instant::now() >= time) {
            self.block_trouble.over();
            self.retry_blocks_at = None;
        }
        if added {
            self.chain.prune(depth);
            self.publish();
        }
    }

    async fn read_block_info(
        &mut self,
        missing: Missing,
        config: &PoolConfig,
        handlers: &Arc<HandlerList>,
    ) -> Result<(), DocumentFault> {
        let url = self.url.block_info(config.blkinfo_url.as_deref(), &missing.hash);
        let body = self.document(&url, wire::block_info::LIMIT).await?;
        self.chain.add(missing, &BlockInfo::parse(&body)?, handlers)?;
        Ok(())
    }

    fn publish(&self) {
        let Some((config, handlers)) = self.current.clone() else { return };
        self.view.send_replace(Some(Arc::new(PoolView { config, handlers, chain: self.chain.clone() })));
    }
}

/// `x-pc-sid`: 32 hexadecimal digits, new for each process and pool.
fn session_id() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

#[cfg(test)]
mod tests;
