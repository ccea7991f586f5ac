//! Handing closed segments to whoever credits them, where that is no PayMaker: oldest first, one at a time, until confirmed.

use super::record::Stored;
use super::segment::{self, Segment, State};
use super::{Outbox, OutboxError, reading};

/// A closed segment to be delivered. It stays the next one until it is [confirmed](Self::confirm), over restarts too.
pub struct Delivery {
    outbox: Outbox,
    segment: Segment,
}

impl Outbox {
    /// The oldest segment that is not confirmed, as soon as one is closed.
    pub async fn next_delivery(&self) -> Delivery {
        Delivery { outbox: self.clone(), segment: self.next_closed().await }
    }
}

impl Delivery {
    /// How many records it holds.
    pub fn records(&self) -> u64 {
        self.segment.records
    }

    /// What `read` makes of each record's event and keys, in order. This blocks.
    pub fn read<T>(&self, mut read: impl FnMut(&[u8], &[u8]) -> T) -> Result<Vec<T>, OutboxError> {
        let path = segment::path(&self.outbox.shared.dir, self.segment.number, self.segment.state);
        let mut taken = Vec::new();
        reading::read(&path, |stored: Stored<'_>| taken.push(read(stored.event, stored.keys)))
            .map_err(|fault| OutboxError::disk("reading", &path, &fault))?;
        Ok(taken)
    }

    /// All of it has been taken over durably by somebody else.
    pub fn confirm(&self) -> Result<(), OutboxError> {
        let state = if self.segment.torn { State::Damaged } else { State::Confirmed };
        self.outbox.shared.mark(self.segment.number, state)
    }
}
