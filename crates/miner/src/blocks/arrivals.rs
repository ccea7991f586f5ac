//! What happens to announcements that arrive: looked at, checked by sample, hashed, and stored.
//!
//! One bad announcement in a set spoils four of its count's shares, so none is taken that a pool would refuse, and of
//! every source a sample is checked completely. A source whose sample fails is checked announcement by announcement
//! until it has been good for a while (`docs/protocol/packetcrypt-blocks.md` 6.3.6, 6.3.7).

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use packetcrypt::{
    Announcement, AnnouncementHash, CanonicalTarget,
    check::{AnnouncementToCheck, Checker, ProofVersion, Rules},
    hash::blake2b_256_many,
};
use rand::RngExt;
use sprayer::Arrival;
use tokio::sync::mpsc;
use tracing::warn;

use super::{
    status::ArrivalCounts,
    store::{ClassKey, Insertion, Store},
};
use crate::pool_client::{FollowedPool, KnownChain};

/// Arrivals that can wait to be stored; a download waits then, a datagram is lost.
pub const MOST_WAITING: usize = 16;
/// Arrivals of a source that are checked completely after one that was not good.
const DISTRUST: u32 = 100;
/// Sources that are kept in mind; there are no more handlers and sprayers than this.
const MOST_SOURCES: usize = 4096;

/// What became of all announcements that arrived.
#[derive(Debug, Default)]
pub struct ArrivalTotals {
    stored: AtomicU64,
    duplicate: AtomicU64,
    invalid: AtomicU64,
    checked: AtomicU64,
    useless: AtomicU64,
}

impl ArrivalTotals {
    /// The totals now; what was lost on the way does not arrive here.
    pub fn now(&self) -> ArrivalCounts {
        ArrivalCounts {
            stored: self.stored.load(Relaxed),
            duplicate: self.duplicate.load(Relaxed),
            invalid: self.invalid.load(Relaxed),
            checked: self.checked.load(Relaxed),
            useless: self.useless.load(Relaxed),
            lost_on_the_way: 0,
        }
    }
}

/// An announcement and what it is known by.
struct Named {
    announcement: Announcement,
    hash: AnnouncementHash,
}

/// Puts arrivals into the store.
pub struct Intake {
    store: Arc<Mutex<Store>>,
    pool: FollowedPool,
    totals: Arc<ArrivalTotals>,
    check_one_in: NonZeroU32,
    checker: Checker,
    /// For each source that is not trusted, arrivals until it is again.
    distrusted: HashMap<Arc<str>, u32>,
}

impl Intake {
    /// Of `check_one_in` announcements of a trusted source one is checked.
    pub fn new(
        store: Arc<Mutex<Store>>,
        pool: FollowedPool,
        totals: Arc<ArrivalTotals>,
        check_one_in: NonZeroU32,
    ) -> Self {
        // The rules of the chain are the node's business; what a block miner must know is whether they are work.
        let checker = Checker::new(Rules::NEW_CHAIN);
        Self { store, pool, totals, check_one_in, checker, distrusted: HashMap::new() }
    }

    /// Stores what arrives until nothing can arrive any more. For a thread of its own.
    pub fn run(mut self, mut arrivals: mpsc::Receiver<Arrival>) {
        while let Some(arrival) = arrivals.blocking_recv() {
            self.take(&arrival);
        }
    }

    /// Stores one arrival.
    pub fn take(&mut self, arrival: &Arrival) {
        let view = self.pool.view();
        let no_chain = KnownChain::default();
        let chain = view.as_ref().map_or(&no_chain, |view| &view.chain);
        let (announcements, _) = arrival.bytes.as_chunks();
        let mut hashes = vec![[0; 32]; announcements.len()];
        blake2b_256_many(announcements, &mut hashes);
        let mut usable: Vec<Named> = announcements
            .iter()
            .zip(hashes)
            .map(|(bytes, hash)| Named {
                announcement: Announcement::from_bytes(bytes),
                hash: AnnouncementHash(hash),
            })
            .filter(|named| could_be_used(&named.announcement, chain))
            .collect();
        self.totals.useless.fetch_add((announcements.len() - usable.len()) as u64, Relaxed);
        self.drop_invalid(&arrival.source, &mut usable, chain);
        self.store(&usable);
    }

    fn drop_invalid(&mut self, source: &Arc<str>, announcements: &mut Vec<Named>, chain: &KnownChain) {
        let distrusted = self.distrusted.get(source).is_some_and(|arrivals| *arrivals > 0);
        let before = announcements.len();
        if distrusted || !self.sample_is_valid(announcements, chain) {
            let mut verdicts = self.are_valid(announcements.iter(), chain).into_iter();
            announcements.retain(|_| verdicts.next().unwrap_or(false));
        }
        let invalid = before - announcements.len();
        self.totals.invalid.fetch_add(invalid as u64, Relaxed);
        if invalid > 0 {
            if !distrusted {
                warn!(
                    "{invalid} of {before} announcements from {source} are not valid; now all of them are checked"
                );
            }
            if self.distrusted.len() < MOST_SOURCES {
                self.distrusted.insert(Arc::clone(source), DISTRUST);
            }
        } else if let Some(arrivals) = self.distrusted.get_mut(source) {
            *arrivals -= 1;
            if *arrivals == 0 {
                self.distrusted.remove(source);
            }
        }
    }

    /// Checks at least one, and on average the part that the settings ask for.
    fn sample_is_valid(&mut self, announcements: &[Named], chain: &KnownChain) -> bool {
        let Some(last) = announcements.len().checked_sub(1) else { return true };
        let surely = rand::rng().random_range(0..=last);
        let one_in = self.check_one_in.get();
        let sample = announcements.iter().enumerate().filter_map(|(number, named)| {
            let chosen = number == surely || rand::rng().random_range(0..one_in) == 0;
            chosen.then_some(named)
        });
        let sample: Vec<&Named> = sample.collect();
        self.are_valid(sample, chain).into_iter().all(|valid| valid)
    }

    /// Checks announcements completely, together. What has a parent that is not known cannot be checked yet; it is not
    /// mined with before the parent is known, and shares are checked once more.
    fn are_valid<'a>(
        &mut self,
        announcements: impl IntoIterator<Item = &'a Named>,
        chain: &KnownChain,
    ) -> Vec<bool> {
        let mut valid = Vec::new();
        let (mut places, mut to_check) = (Vec::new(), Vec::new());
        for (place, Named { announcement, .. }) in announcements.into_iter().enumerate() {
            valid.push(true);
            if let Some(parent) = chain.at(announcement.parent_height()) {
                places.push(place);
                to_check.push(AnnouncementToCheck { announcement, parent: &parent.hash });
            }
        }
        self.totals.checked.fetch_add(to_check.len() as u64, Relaxed);
        let verdicts = self.checker.check(&to_check, ProofVersion::CURRENT);
        for (place, verdict) in places.into_iter().zip(verdicts) {
            valid[place] = verdict.is_ok();
        }
        valid
    }

    fn store(&mut self, announcements: &[Named]) {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        for Named { announcement, hash } in announcements {
            let key = ClassKey::new(announcement.parent_height(), announcement.work_bits());
            let count = match store.insert(key, *hash, announcement.as_bytes()) {
                Insertion::Stored => &self.totals.stored,
                Insertion::Duplicate => &self.totals.duplicate,
                Insertion::Useless => &self.totals.useless,
            };
            count.fetch_add(1, Relaxed);
        }
    }
}

/// What a pool's block handler would refuse in a share can be seen without any proof of work: announcements of version 0,
/// work bits that are no proper target, and signing keys that are not the pool's.
fn could_be_used(announcement: &Announcement, chain: &KnownChain) -> bool {
    let bits = announcement.work_bits();
    let key_fits = match (announcement.signing_key(), chain.at(announcement.parent_height())) {
        (None, _) | (Some(_), None) => true,
        (key, Some(parent)) => key == parent.signing_key,
    };
    announcement.version() > 0
        && bits.is_announcement_target()
        && CanonicalTarget::try_from(bits).is_ok()
        && key_fits
}

#[cfg(test)]
mod tests;
