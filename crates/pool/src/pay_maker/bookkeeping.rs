//! Into the book, in the background: many entries share one transaction.
//!
//! The book decides nothing, so an upload is answered without waiting for it; what a crash keeps out of it is added
//! at the next start.

use ledger::book::{Book, SeenBlock, UploadCounts, UploadEntry, WonBlock};
use ledger::{Accepted, StoredUpload, UnixMillis};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wire::Event;

/// Entries written in one transaction.
const BATCH: usize = 256;

/// What came of one upload, or of several.
#[derive(Debug, Default)]
pub(super) struct Entry {
    uploads: Vec<UploadEntry>,
    seen: Vec<SeenBlock>,
    won: Vec<WonBlock>,
}

impl Entry {
    /// An upload that was just accepted.
    pub(super) fn of(accepted: &Accepted) -> Self {
        let receipt = &accepted.receipt;
        let counts = UploadCounts {
            credited: receipt.credited,
            repeated: receipt.repeated,
            refused: receipt.warnings.count(),
        };
        let mut entry = Self::default();
        entry.uploads.push(UploadEntry {
            id: accepted.id,
            newest_event: accepted.newest,
            accepted_at: accepted.accepted_at,
            counts: Some(counts),
        });
        accepted.kept.iter().for_each(|event| entry.add_event(event));
        entry
    }

    /// Uploads found on disk.
    pub(super) fn of_stored(stored: &[StoredUpload]) -> Self {
        let upload = |stored: &StoredUpload| UploadEntry {
            id: stored.id,
            newest_event: stored.newest,
            accepted_at: stored.accepted_at,
            counts: None,
        };
        Self { uploads: stored.iter().map(upload).collect(), ..Self::default() }
    }

    fn add_event(&mut self, event: &Event) {
        match event {
            Event::Anns(_) => {}
            Event::Block(block) => self.seen.push(SeenBlock {
                event_id: block.event_id,
                hash: block.hash,
                height: block.height.0,
                seen_at: UnixMillis(block.time_ms),
            }),
            Event::Share(share) => self.won.extend(share.won_block.map(|hash| WonBlock {
                share_id: share.event_id,
                hash,
                pay_to: share.pay_to,
                won_at: UnixMillis(share.time_ms),
            })),
        }
    }

    fn append(&mut self, mut other: Self) {
        self.uploads.append(&mut other.uploads);
        self.seen.append(&mut other.seen);
        self.won.append(&mut other.won);
    }
}

/// Hands an entry over; waits while the book is far behind.
pub(super) async fn send(queue: &mpsc::Sender<Entry>, entry: Entry) {
    if queue.send(entry).await.is_err() {
        tracing::warn!("an entry came after the book was closed; the next start adds it");
    }
}

/// Writes entries until the stop signal, and what is waiting then.
pub(super) async fn run(book: impl Book, mut entries: mpsc::Receiver<Entry>, shutdown: CancellationToken) {
    let mut batch = Vec::new();
    loop {
        let received = tokio::select! {
            received = entries.recv_many(&mut batch, BATCH) => received,
            () = shutdown.cancelled() => {
                entries.close();
                entries.recv_many(&mut batch, BATCH).await
            }
        };
        if received == 0 {
            return;
        }
        let mut all = Entry::default();
        batch.drain(..).for_each(|entry| all.append(entry));
        if let Err(error) = book.add(&all.uploads, &all.seen, &all.won).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "entries could not be written into the book"
            );
        }
    }
}
