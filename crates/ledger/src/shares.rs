//! Share events: in the order in which a window walks through them, and by id.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use packetcrypt::{BlockHash, CompactTarget};
use wire::EventId;

use crate::UnixMillis;
use crate::addresses::{AddressNumber, Addresses};
use crate::posts::Period;

/// A share event as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) address: AddressNumber,
    pub(crate) target: CompactTarget,
    /// The block that it became.
    pub(crate) won_block: Option<BlockHash>,
    /// Hash operations that it stands for, for display.
    pub(crate) encryptions: u128,
}

/// All share events within the history. Of shares of one time the greater id is the newer one (rule R-P10).
#[derive(Debug, Default)]
pub(crate) struct Shares {
    by_time: BTreeMap<(UnixMillis, EventId), Share>,
    times: HashMap<EventId, UnixMillis>,
}

impl Shares {
    /// The share with this id, and its time.
    pub(crate) fn find(&self, id: EventId) -> Option<(UnixMillis, &Share)> {
        let time = *self.times.get(&id)?;
        self.by_time.get(&(time, id)).map(|share| (time, share))
    }

    /// Keeps a share. One that is kept under the same id must have left the history.
    pub(crate) fn insert(&mut self, time: UnixMillis, id: EventId, share: Share) {
        self.times.insert(id, time);
        self.by_time.insert((time, id), share);
    }

    /// Forgets shares before `oldest`.
    pub(crate) fn forget_before(&mut self, oldest: UnixMillis, addresses: &mut Addresses) {
        while let Some(entry) = self.by_time.first_entry()
            && entry.key().0 < oldest
        {
            let ((time, id), share) = entry.remove_entry();
            if self.times.get(&id) == Some(&time) {
                self.times.remove(&id);
            }
            addresses.remove_event(share.address);
        }
    }

    /// Shares inside `period`, newest first.
    pub(crate) fn newest_first(&self, period: Period) -> impl Iterator<Item = (UnixMillis, EventId, &Share)> {
        const LEAST: EventId = EventId::from_bytes([0; 16]);
        const GREATEST: EventId = EventId::from_bytes([0xff; 16]);
        let range = (period.oldest <= period.newest)
            .then(|| self.by_time.range((period.oldest, LEAST)..=(period.newest, GREATEST)).rev());
        range.into_iter().flatten().map(|((time, id), share)| (*time, *id, share))
    }
}
