//! Announcement events: all of them, by slot and by id, with sums over long runs of slots.
//!
//! Every event is kept (40 bytes), because a block that becomes known late changes what the work after it is
//! worth (rule R-P11). Sums over [`RUN_SLOTS`] slots are kept beside them, made when first asked for and thrown
//! away when an event or a block inside arrives, so that a distribution need not look at every event.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::OnceLock;

use hashbrown::{DefaultHashBuilder, HashTable};
use packetcrypt::CompactTarget;
use wire::EventId;

use crate::UnixMillis;
use crate::addresses::{AddressNumber, Addresses};
use crate::credit::Credits;
use crate::rates::Rates;
use crate::slot::{SlotNumber, SlotSpan};
use crate::tally::{AddressSum, Tally};

/// Slots whose sums are kept together.
const RUN_SLOTS: u32 = 120;

/// Parts of the index by id. Each grows on its own, so none of the pauses for that is long.
const INDEX_SHARDS: usize = 1024;

/// An announcement event as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Post {
    pub(crate) id: EventId,
    /// Milliseconds after the start of the slot.
    pub(crate) offset: u32,
    pub(crate) address: AddressNumber,
    pub(crate) target: CompactTarget,
    pub(crate) accepted: u32,
    pub(crate) unsigned: u32,
    /// Announcements not paid because of content: one for each 16 KiB.
    pub(crate) content: u32,
}

impl Post {
    /// Announcements that are paid (11.4).
    pub(crate) fn payable(&self, has_private_seed: bool) -> u32 {
        let signed =
            if has_private_seed { self.accepted.saturating_sub(self.unsigned) } else { self.accepted };
        signed.saturating_sub(self.content)
    }
}

/// The times that a distribution looks at: from the start of the history to the newest event wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) oldest: UnixMillis,
    pub(crate) newest: UnixMillis,
}

impl Period {
    pub(crate) fn contains(&self, time: UnixMillis) -> bool {
        (self.oldest..=self.newest).contains(&time)
    }
}

/// Sums over a run of slots, one for each address.
#[derive(Debug)]
pub(crate) struct RunSums {
    pub(crate) addresses: Vec<AddressSum>,
    pub(crate) total: Credits,
    /// The oldest slot with posts, and its part of the total.
    pub(crate) oldest: SlotNumber,
    pub(crate) oldest_total: Credits,
}

/// Where a post is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    slot: SlotNumber,
    index: u32,
}

/// All announcement events within the history.
#[derive(Debug)]
pub(crate) struct Posts {
    span: SlotSpan,
    slots: BTreeMap<SlotNumber, Vec<Post>>,
    runs: BTreeMap<u32, OnceLock<RunSums>>,
    index: Vec<HashTable<Place>>,
    hasher: DefaultHashBuilder,
}

impl Posts {
    pub(crate) fn new(span: SlotSpan) -> Self {
        Self {
            span,
            slots: BTreeMap::new(),
            runs: BTreeMap::new(),
            index: (0..INDEX_SHARDS).map(|_| HashTable::new()).collect(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(crate) fn span(&self) -> SlotSpan {
        self.span
    }

    /// The post with this id, and its time.
    pub(crate) fn find(&self, id: EventId) -> Option<(UnixMillis, &Post)> {
        let hash = self.hasher.hash_one(id.as_bytes());
        let place = self.index[shard(hash)].find(hash, |place| self.at(*place).id == id)?;
        let post = self.at(*place);
        Some((self.time_of(place.slot, post), post))
    }

    /// Keeps a post. One that is kept under the same id must have left the history, and gives way.
    pub(crate) fn insert(&mut self, slot: SlotNumber, post: Post) {
        let posts = self.slots.entry(slot).or_default();
        let place = Place { slot, index: posts.len() as u32 };
        posts.push(post);
        let hash = self.hasher.hash_one(post.id.as_bytes());
        let (slots, hasher) = (&self.slots, &self.hasher);
        let id_at = |place: &Place| &slots[&place.slot][place.index as usize].id;
        self.index[shard(hash)]
            .entry(hash, |kept| *id_at(kept) == post.id, |kept| hasher.hash_one(id_at(kept).as_bytes()))
            .insert(place);
        self.reset_run(slot);
    }

    /// Keeps many posts without their ids: the fast way in when a ledger starts. [`index_all`](Self::index_all) must
    /// follow the last of them.
    pub(crate) fn append(&mut self, posts: impl Iterator<Item = (SlotNumber, Post)>) {
        let mut current = (SlotNumber(0), Vec::new());
        for (slot, post) in posts {
            if slot != current.0 {
                let next = self.slots.remove(&slot).unwrap_or_default();
                self.put_back(std::mem::replace(&mut current, (slot, next)));
            }
            current.1.push(post);
        }
        self.put_back(current);
    }

    fn put_back(&mut self, (slot, posts): (SlotNumber, Vec<Post>)) {
        if !posts.is_empty() {
            self.reset_run(slot);
            self.slots.insert(slot, posts);
        }
    }

    /// Makes the index by id anew. It is filled part by part, so that each is in the processor's cache; of two posts
    /// with one id the older one must have left the history, and gives way.
    pub(crate) fn index_all(&mut self) {
        let expected = self.slots.values().map(Vec::len).sum::<usize>() / INDEX_SHARDS;
        for table in &mut self.index {
            *table = HashTable::with_capacity(expected + expected / 16);
        }
        let mut batch = IndexBatch::new();
        for (slot, posts) in &self.slots {
            for (post, index) in posts.iter().zip(0..) {
                let hash = self.hasher.hash_one(post.id.as_bytes());
                batch.add(hash, Place { slot: *slot, index });
            }
            if batch.is_full() {
                batch.empty_into(&mut self.index, &self.slots, &self.hasher);
            }
        }
        batch.empty_into(&mut self.index, &self.slots, &self.hasher);
    }

    /// The sums of the run that has this slot have to be made again.
    fn reset_run(&mut self, slot: SlotNumber) {
        self.runs.insert(run_of(slot), OnceLock::new());
    }

    /// Forgets slots that lie wholly before `oldest`.
    pub(crate) fn forget_before(&mut self, oldest: UnixMillis, addresses: &mut Addresses) {
        while let Some(entry) = self.slots.first_entry()
            && self.span.end(*entry.key()) <= oldest
        {
            let (slot, posts) = entry.remove_entry();
            for (post, index) in posts.iter().zip(0..) {
                let hash = self.hasher.hash_one(post.id.as_bytes());
                let place = Place { slot, index };
                if let Ok(entry) = self.index[shard(hash)].find_entry(hash, |kept| *kept == place) {
                    entry.remove();
                }
                addresses.remove_event(post.address);
            }
            // What is left of this run never again lies wholly inside the history.
            self.runs.remove(&run_of(slot));
        }
    }

    /// The work from `first` to `last` is worth something else than before, because a block became known.
    pub(crate) fn reconsider(&mut self, first: UnixMillis, last: UnixMillis) {
        let run_at = |time| self.span.slot_of(time).map_or(u32::MAX, run_of);
        let (first, last) = (run_at(first), run_at(last));
        for (_, sums) in self.runs.range_mut(first..=last.max(first)) {
            *sums = OnceLock::new();
        }
    }

    /// The slots with posts, newest first, that have a part inside `period`.
    pub(crate) fn slots(&self, period: Period) -> impl Iterator<Item = SlotNumber> + '_ {
        let (first, last) = (self.span.slot_of(period.oldest), self.span.slot_of(period.newest));
        let (first, last) = (first.unwrap_or(SlotNumber(u32::MAX)), last.unwrap_or(SlotNumber(u32::MAX)));
        let slots = (first <= last).then(|| self.slots.range(first..=last).rev());
        slots.into_iter().flatten().map(|(slot, _)| *slot)
    }

    /// All posts of a slot inside `period`, in order of arrival.
    pub(crate) fn posts_of(&self, slot: SlotNumber, period: Period) -> impl Iterator<Item = &Post> {
        let posts = self.slots.get(&slot).map_or(&[][..], Vec::as_slice);
        let all = period.contains(self.span.start(slot)) && period.contains(self.last_time(slot));
        posts.iter().filter(move |post| all || period.contains(self.time_of(slot, post)))
    }

    /// Adds what each address earned in one slot, and gives the sum of all.
    pub(crate) fn sum_slot(
        &self,
        slot: SlotNumber,
        period: Period,
        rates: &mut Rates,
        tally: &mut Tally,
    ) -> Credits {
        let mut total: Credits = 0;
        rates.enter(self.span.start(slot), self.last_time(slot));
        for post in self.posts_of(slot, period) {
            let credits = rates.credit(self.time_of(slot, post), post);
            total = total.saturating_add(credits);
            tally.add(&AddressSum::of_one_slot(post.address, slot, credits));
        }
        total
    }

    /// The first slot of the run that has `slot`, and its sums, if all of the run lies inside `period` and behind
    /// the first block known.
    pub(crate) fn whole_run(
        &self,
        slot: SlotNumber,
        period: Period,
        rates: &Rates,
    ) -> Option<(SlotNumber, &RunSums)> {
        let run = run_of(slot);
        let first = SlotNumber(run * RUN_SLOTS);
        let last = SlotNumber(first.0.saturating_add(RUN_SLOTS - 1));
        let inside = period.contains(self.span.start(first)) && period.contains(self.last_time(last));
        let has_credit =
            rates.timeline().credit_begins_after().is_some_and(|begin| begin < self.span.start(first));
        let sums = self.runs.get(&run).filter(|_| inside && has_credit)?;
        Some((first, sums.get_or_init(|| self.sum_run(first, last, rates.afresh()))))
    }

    fn sum_run(&self, first: SlotNumber, last: SlotNumber, mut rates: Rates) -> RunSums {
        let everything = Period { oldest: UnixMillis(0), newest: UnixMillis(u64::MAX) };
        let mut tally = Tally::new();
        let (mut total, mut oldest, mut oldest_total): (Credits, _, Credits) = (0, last, 0);
        for (slot, _) in self.slots.range(first..=last).rev() {
            (oldest, oldest_total) = (*slot, self.sum_slot(*slot, everything, &mut rates, &mut tally));
            total = total.saturating_add(oldest_total);
        }
        RunSums { addresses: tally.into_sums(), total, oldest, oldest_total }
    }

    /// How many slots have posts inside `period`.
    pub(crate) fn slot_count(&self, period: Period) -> usize {
        self.slots(period).filter(|slot| self.posts_of(*slot, period).next().is_some()).count()
    }

    pub(crate) fn time_of(&self, slot: SlotNumber, post: &Post) -> UnixMillis {
        self.span.start(slot).plus(u64::from(post.offset))
    }

    fn last_time(&self, slot: SlotNumber) -> UnixMillis {
        self.span.end(slot).minus(1)
    }

    fn at(&self, place: Place) -> &Post {
        &self.slots[&place.slot][place.index as usize]
    }
}

/// Places on their way into the index, sorted by its parts.
struct IndexBatch {
    places: Vec<Vec<(u64, Place)>>,
    count: usize,
}

impl IndexBatch {
    /// Enough for each part to pay for the way to it, and little beside the posts.
    const FULL: usize = 2_000_000;

    fn new() -> Self {
        Self { places: vec![Vec::new(); INDEX_SHARDS], count: 0 }
    }

    fn add(&mut self, hash: u64, place: Place) {
        self.places[shard(hash)].push((hash, place));
        self.count += 1;
    }

    fn is_full(&self) -> bool {
        self.count >= Self::FULL
    }

    fn empty_into(
        &mut self,
        index: &mut [HashTable<Place>],
        slots: &BTreeMap<SlotNumber, Vec<Post>>,
        hasher: &DefaultHashBuilder,
    ) {
        let id_at = |place: &Place| slots[&place.slot][place.index as usize].id;
        let hash_at = |place: &Place| hasher.hash_one(id_at(place).as_bytes());
        for (table, places) in index.iter_mut().zip(&mut self.places) {
            for (hash, place) in places.drain(..) {
                table.entry(hash, |kept| id_at(kept) == id_at(&place), hash_at).insert(place);
            }
        }
        self.count = 0;
    }
}

fn run_of(slot: SlotNumber) -> u32 {
    slot.0 / RUN_SLOTS
}

fn shard(hash: u64) -> usize {
    // The table uses the highest and the lowest bits itself.
    (hash >> 40) as usize % INDEX_SHARDS
}
