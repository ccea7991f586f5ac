//! Which shares were accepted or are about to be, so that none counts twice (rules R-K1, R-K4).

use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use wire::share_post::ShareId;

/// First byte of a share's key in the outbox.
const KEY_TAG: u8 = b'S';

/// Ids of shares with the height that they are for.
#[derive(Default)]
pub(super) struct SeenShares {
    heights: Mutex<HashMap<[u8; 16], u32>>,
}

/// A share's place among those seen. Given back, unless [`keep`](Self::keep) says that it was accepted.
pub(super) struct Reservation<'a> {
    seen: &'a SeenShares,
    id: [u8; 16],
    keep: bool,
}

impl Reservation<'_> {
    /// The share was accepted: it stays.
    pub(super) fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.seen.with(|heights| heights.remove(&self.id));
        }
    }
}

impl SeenShares {
    /// Whether a share was accepted or has a place.
    pub(super) fn contains(&self, id: &ShareId) -> bool {
        self.with(|heights| heights.contains_key(id.event_id().as_bytes()))
    }

    /// A place for a share that was found to be good; `None` if it was seen before.
    pub(super) fn reserve(&self, id: &ShareId, height: u32) -> Option<Reservation<'_>> {
        let id = *id.event_id().as_bytes();
        let is_new = self.with(|heights| heights.try_insert(id, height).is_ok());
        // Not `then_some`: a reservation that is made only to be dropped would give the place back.
        is_new.then(|| Reservation { seen: self, id, keep: false })
    }

    /// Drops shares for heights that are not mined any more.
    pub(super) fn forget_below(&self, height: u32) {
        self.with(|heights| heights.retain(|_, of_share| *of_share >= height));
    }

    /// Takes in a key from the outbox.
    pub(super) fn replay(&self, height: u32, key: &[u8]) {
        if let Some((&KEY_TAG, id)) = key.split_first()
            && let Ok(id) = id.try_into()
        {
            self.with(|heights| heights.insert(id, height));
        }
    }

    fn with<T>(&self, action: impl FnOnce(&mut HashMap<[u8; 16], u32>) -> T) -> T {
        action(&mut self.heights.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the outbox is to remember of a share.
pub(super) fn key_of(id: &ShareId) -> Vec<u8> {
    [&[KEY_TAG], id.event_id().as_bytes().as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use packetcrypt::block::Header;

    fn id(nonce: u32) -> ShareId {
        ShareId::new(&Header::from_bytes(&[3; 80]), nonce)
    }

    #[test]
    fn a_share_that_was_not_accepted_may_come_again() {
        let seen = SeenShares::default();
        drop(seen.reserve(&id(1), 9).unwrap());
        let again = seen.reserve(&id(1), 9).unwrap();
        assert!(seen.contains(&id(1)) && seen.reserve(&id(1), 9).is_none(), "it is about to be accepted");
        again.keep();
        assert!(seen.reserve(&id(1), 9).is_none(), "it was accepted");
        assert!(!seen.contains(&id(2)) && seen.reserve(&id(2), 9).is_some());
    }

    #[test]
    fn r_k4_accepted_shares_are_remembered_over_a_restart_for_as_long_as_needed() {
        let seen = SeenShares::default();
        seen.replay(9, &key_of(&id(1)));
        seen.replay(9, b"B something else");
        seen.replay(9, &[]);
        seen.forget_below(9);
        assert!(seen.reserve(&id(1), 9).is_none());
        seen.forget_below(10);
        assert!(seen.reserve(&id(1), 10).is_some());
    }
}
