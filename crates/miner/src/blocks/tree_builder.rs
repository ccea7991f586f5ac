//! Builds announcement trees beside the mining: one at a time, on a thread of its own.
//!
//! A tree over millions of announcements takes a good part of a second. Whoever waits for it could not take new work
//! meanwhile, and mining something that is nearly as good is better than waiting.

use std::{
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Instant,
};

use packetcrypt::Height;
use tokio::sync::Notify;
use tracing::{debug, error, warn};

use super::{
    preparation::{Prepared, prepare},
    store::Store,
};

/// After a tree was built, this many times as long passes before another one is built for the same work.
const REST: u32 = 10;

/// Builds trees over the best announcements of a store.
pub struct TreeBuilder {
    store: Arc<Mutex<Store>>,
    most: u64,
    under_way: Option<JoinHandle<Option<Prepared>>>,
    began: Instant,
    rest_until: Instant,
    finished: Arc<Notify>,
}

impl TreeBuilder {
    /// Over at most `most` announcements.
    pub fn new(store: Arc<Mutex<Store>>, most: u64) -> Self {
        let now = Instant::now();
        Self { store, most, under_way: None, began: now, rest_until: now, finished: Arc::default() }
    }

    /// Whether nothing is being built.
    pub fn is_free(&self) -> bool {
        self.under_way.is_none()
    }

    /// Whether it is time to build another tree for work that has one.
    pub fn has_rested(&self) -> bool {
        Instant::now() >= self.rest_until
    }

    /// There is new work: a tree for it need not wait.
    pub fn end_rest(&mut self) {
        self.rest_until = Instant::now();
    }

    #[cfg(test)]
    pub fn rest_for(&mut self, time: std::time::Duration) {
        self.rest_until = Instant::now() + time;
    }

    /// Begins to build a tree for blocks of a height, if none is being built.
    pub fn start(&mut self, height: Height) {
        if !self.is_free() {
            return;
        }
        let (store, most, finished) = (Arc::clone(&self.store), self.most, Arc::clone(&self.finished));
        self.began = Instant::now();
        let thread = std::thread::Builder::new().name("announcement-tree".into()).spawn(move || {
            let prepared = prepare(&store, height, most);
            finished.notify_one();
            prepared
        });
        match thread {
            Ok(thread) => self.under_way = Some(thread),
            Err(reason) => warn!("no thread to build the announcement tree: {reason}"),
        }
    }

    /// What was being built, once it is finished.
    pub fn take_finished(&mut self) -> Option<Prepared> {
        let thread = self.under_way.take_if(|thread| thread.is_finished())?;
        let took = self.began.elapsed();
        self.rest_until = Instant::now() + took * REST;
        let Ok(prepared) = thread.join() else {
            error!("building an announcement tree ended because of a defect in this program");
            return None;
        };
        let prepared = prepared?;
        let announcements = prepared.set.commitment().count.get();
        debug!(height = %prepared.height, announcements, ?took, "tree built");
        Some(prepared)
    }

    /// To wait until something is finished.
    pub fn finished(&self) -> Arc<Notify> {
        Arc::clone(&self.finished)
    }
}
