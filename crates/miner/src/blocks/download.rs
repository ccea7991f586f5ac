//! Announcements over HTTP: every handler's index is read again and again, and the files in it that are new are
//! fetched, newest first (`docs/protocol/packetcrypt-pool.md` 6.1; rule R-B4).
//!
//! Files never change, and all miners ask for the same ones in the same words, so a cache in front of a handler answers
//! nearly everything.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use packetcrypt::Height;
use reqwest::StatusCode;
use sprayer::Arrival;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Duration, MissedTickBehavior, interval},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use wire::batch::{BatchIndex, BatchName, FOLDER_PATH, INDEX_LIMIT, INDEX_PATH};

use super::config::HttpSource;
use crate::{
    http_client::{Answer, HttpClient, HttpFault, HttpSetupFault},
    pool_client::FollowedPool,
    trouble::Trouble,
};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Files have 1024 announcements; ours may have a few more.
const FILE_LIMIT: usize = 8 << 20;
/// Names that wait for each handler; the oldest are given up.
const MOST_WANTED: usize = 5000;
/// A file is asked for at most so often.
const MOST_TRIES: u8 = 3;
/// Announcements older than this are of no use in a good set (6.1 of the block specification: ages 3 to 5 are best).
const OLDEST: u32 = crate::pool_client::DEEPEST;
/// The reference's password header.
const PASSWORD_HEADER: &str = "x-pc-passwd";

/// Downloads from all handlers of a pool, as its configuration names them.
pub struct Downloads {
    pool: FollowedPool,
    source: HttpSource,
    client: HttpClient,
    arrivals: mpsc::Sender<Arrival>,
}

impl Downloads {
    /// What is downloaded goes to `arrivals`.
    pub fn new(
        pool: FollowedPool,
        source: HttpSource,
        arrivals: mpsc::Sender<Arrival>,
    ) -> Result<Self, HttpSetupFault> {
        Ok(Self { pool, source, client: HttpClient::new(TIMEOUT)?, arrivals })
    }

    /// Downloads until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        // A handler that is no longer named is let go of, and with its guard its task ends.
        let mut handlers: BTreeMap<String, DropGuard> = BTreeMap::new();
        let mut views = self.pool.views();
        loop {
            let view = views.borrow_and_update().clone();
            if let Some(view) = view {
                let urls: BTreeSet<&String> = view.config.download_ann_urls.iter().collect();
                handlers.retain(|url, _| urls.contains(url));
                for url in urls {
                    handlers.entry(url.clone()).or_insert_with(|| self.start_handler(url, &shutdown));
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = views.changed() => if changed.is_err() { return },
            }
        }
    }

    fn start_handler(&self, url: &str, shutdown: &CancellationToken) -> DropGuard {
        let stop = shutdown.child_token();
        let handler = HandlerFiles::new(url, &self.pool, &self.source, &self.client, &self.arrivals);
        tokio::spawn(stop.clone().run_until_cancelled_owned(handler.run()));
        stop.drop_guard()
    }
}

/// The files of one handler.
struct HandlerFiles {
    base: Arc<str>,
    pool: FollowedPool,
    source: HttpSource,
    client: HttpClient,
    arrivals: mpsc::Sender<Arrival>,
    wanted: Wanted,
    downloads: JoinSet<(BatchName, Result<Answer, HttpFault>)>,
    trouble: Trouble,
}

impl HandlerFiles {
    fn new(
        url: &str,
        pool: &FollowedPool,
        source: &HttpSource,
        client: &HttpClient,
        arrivals: &mpsc::Sender<Arrival>,
    ) -> Self {
        let base = url.trim_end_matches('/');
        Self {
            base: base.into(),
            pool: pool.clone(),
            source: source.clone(),
            client: client.clone(),
            arrivals: arrivals.clone(),
            wanted: Wanted::default(),
            downloads: JoinSet::new(),
            trouble: Trouble::with(format!("announcement files of {base}")),
        }
    }

    async fn run(mut self) {
        let mut ticks = interval(self.source.index_interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.start_downloads();
            tokio::select! {
                _ = ticks.tick() => self.read_index().await,
                Some(Ok((name, answer))) = self.downloads.join_next() => {
                    if self.take(name, answer).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    async fn read_index(&mut self) {
        let url = format!("{}{INDEX_PATH}", self.base);
        let index = match self.client.get_document(&url, &[], INDEX_LIMIT).await {
            Ok(body) => BatchIndex::parse(&body).map_err(|fault| fault.to_string()),
            Err(fault) => Err(fault.to_string()),
        };
        match index {
            Ok(index) => {
                self.trouble.over();
                self.wanted.take_index(&index, self.oldest_parent());
            }
            Err(reason) => self.trouble.happened(reason),
        }
    }

    fn oldest_parent(&self) -> Height {
        let tip = self.pool.view().map_or(Height(0), |view| view.tip().0);
        Height(tip.0.saturating_sub(OLDEST))
    }

    fn start_downloads(&mut self) {
        while self.downloads.len() < self.source.downloaders.get() {
            let Some(name) = self.wanted.take_newest() else { return };
            let (client, url) = (self.client.clone(), format!("{}{FOLDER_PATH}{name}", self.base));
            let password = self.source.password.clone();
            self.downloads.spawn(async move {
                let headers = password.iter().map(|password| (PASSWORD_HEADER, password.as_str()));
                let headers: Vec<_> = headers.collect();
                (name, client.get(&url, &headers, FILE_LIMIT).await)
            });
        }
    }

    /// Hands on a file, waiting while there is more than can be stored. `None` if nobody wants files any more.
    async fn take(&mut self, name: BatchName, answer: Result<Answer, HttpFault>) -> Option<()> {
        match answer {
            Ok(Answer { status: StatusCode::OK, body }) => self.hand_on(body).await?,
            // Rotated out meanwhile. The reference answers 405 for that.
            Ok(Answer { status: StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, .. }) => {}
            Ok(Answer { status: StatusCode::UNAUTHORIZED, .. }) => {
                self.trouble.happened("the handler wants another password");
            }
            Ok(Answer { status, .. }) => {
                self.trouble.happened(HttpFault::Status(status.as_u16()));
                self.wanted.try_again(name);
            }
            Err(fault) => {
                self.trouble.happened(fault);
                self.wanted.try_again(name);
            }
        }
        Some(())
    }

    async fn hand_on(&self, bytes: Bytes) -> Option<()> {
        self.arrivals.send(Arrival { source: Arc::clone(&self.base), bytes }).await.ok()
    }
}

/// Which files to get.
#[derive(Debug, Default)]
struct Wanted {
    /// Names are ordered by age.
    waiting: BTreeSet<BatchName>,
    /// Everything in the newest index, so that nothing is fetched twice.
    known: HashSet<BatchName>,
    failures: HashMap<BatchName, u8>,
}

impl Wanted {
    fn take_index(&mut self, index: &BatchIndex, oldest_parent: Height) {
        let listed: HashSet<BatchName> = index.names().collect();
        let new = listed.difference(&self.known).filter(|name| name.parent_height >= oldest_parent);
        self.waiting.extend(new);
        while self.waiting.len() > MOST_WANTED {
            self.waiting.pop_first();
        }
        self.failures.retain(|name, _| listed.contains(name));
        self.waiting.retain(|name| listed.contains(name));
        self.known = listed;
    }

    fn take_newest(&mut self) -> Option<BatchName> {
        self.waiting.pop_last()
    }

    /// The file could not be had, but may be later; it is forgotten with the index that no longer has it.
    fn try_again(&mut self, name: BatchName) {
        let failures = self.failures.entry(name).or_default();
        *failures += 1;
        if *failures >= MOST_TRIES {
            return;
        }
        self.known.remove(&name);
    }
}

#[cfg(test)]
mod tests;
