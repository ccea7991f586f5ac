//! Uploading announcements to all handlers of a pool.
//!
//! The announcements of one mining machine go to every pool that was given; each pool has its own assignment to
//! handlers, its own queues and its own counts. One task per handler fills batches and sends them
//! (`docs/protocol/packetcrypt-pool.md` 7.3; rules R-N1 to R-N3, R-N6, R-N8).

mod batch;
mod counts;
mod handler;
mod recipient;

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, sync::mpsc, task::JoinSet};
use tracing::warn;
use wire::PktAddress;

pub use counts::{Counts, CountsAt};
pub use recipient::Withheld;

use crate::{
    announcements::Found,
    http_client::HttpSetupFault,
    pool_client::{FollowedPool, PoolView},
};
use handler::{HandlerUploads, UploadClients};
use recipient::{Recipient, recipient};

/// Announcements that can be on their way from the mining threads to one handler's batches.
const HANDOVER: usize = 4096;

/// How uploads are done.
#[derive(Debug, Clone)]
pub struct UploadSettings {
    /// Whom the announcements are credited to.
    pub pay_to: PktAddress,
    /// Uploads at the same time, for each handler.
    pub uploaders: NonZeroUsize,
    /// Time for a whole upload.
    pub timeout: Duration,
    /// A batch is closed at the latest this long after its first announcement (rule R-N1).
    pub batch_age: Duration,
    /// Time to send what is left when the miner stops.
    pub drain: Duration,
}

/// The uploads to one pool.
pub struct PoolUploads {
    pool: FollowedPool,
    is_primary: bool,
    settings: UploadSettings,
    clients: UploadClients,
    counts: Arc<Counts>,
    handlers: Mutex<Handlers>,
    runtime: Handle,
}

#[derive(Default)]
struct Handlers {
    senders: HashMap<String, mpsc::Sender<Found>>,
    tasks: JoinSet<()>,
    warned: HashSet<Withheld>,
}

impl PoolUploads {
    /// Must be called inside a tokio runtime, which then does the uploads.
    pub fn new(
        pool: FollowedPool,
        is_primary: bool,
        settings: UploadSettings,
    ) -> Result<Self, HttpSetupFault> {
        Ok(Self {
            clients: UploadClients::new(settings.timeout)?,
            pool,
            is_primary,
            settings,
            counts: Arc::new(Counts::default()),
            handlers: Mutex::default(),
            runtime: Handle::current(),
        })
    }

    /// The pool.
    pub fn pool(&self) -> &FollowedPool {
        &self.pool
    }

    /// What became of the announcements.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes an announcement, and never waits: what cannot be sent is counted.
    pub fn offer(&self, found: &Found) {
        let view = self.pool.view();
        match recipient(view.as_deref(), found, self.is_primary) {
            Recipient::Handler(url) => self.hand_over(url, found),
            Recipient::Nobody => self.counts.lost(1),
            Recipient::Withheld(reason) => {
                self.counts.rejected(reason.code(), 1);
                self.warn_once(reason);
            }
        }
    }

    fn hand_over(&self, url: &str, found: &Found) {
        let sender = self.sender_for(url);
        if sender.try_send(found.clone()).is_err() {
            self.counts.overflowed(1);
        }
    }

    fn sender_for(&self, url: &str) -> mpsc::Sender<Found> {
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = handlers.senders.get(url) {
            return sender.clone();
        }
        let (sender, receiver) = mpsc::channel(HANDOVER);
        let uploads = HandlerUploads::new(
            url,
            &self.settings,
            self.clients.clone(),
            self.pool.clone(),
            Arc::clone(&self.counts),
        );
        handlers.tasks.spawn_on(uploads.run(receiver), &self.runtime);
        handlers.senders.insert(url.to_owned(), sender.clone());
        sender
    }

    fn warn_once(&self, reason: Withheld) {
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        if handlers.warned.insert(reason) {
            warn!(pool = %self.pool.url(), "announcements are not sent to this pool: {reason}");
        }
    }

    /// Lets go of the handlers that no block's announcements can belong to any more; what they still have is sent.
    pub fn retire_handlers(&self, view: &PoolView) {
        let wanted: HashSet<&str> = view
            .chain
            .handler_lists()
            .chain(std::iter::once(&view.handlers))
            .flat_map(|handlers| handlers.urls())
            .collect();
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        handlers.senders.retain(|url, _| wanted.contains(url.as_str()));
        while handlers.tasks.try_join_next().is_some() {}
    }

    /// Sends what is left, for as long as the settings allow. Nothing may be offered any more.
    pub async fn drain(&self) {
        let mut tasks = {
            let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
            handlers.senders.clear();
            std::mem::take(&mut handlers.tasks)
        };
        while tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests;
