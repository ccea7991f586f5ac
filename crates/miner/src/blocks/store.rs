//! The announcements that a block miner has, by class.
//!
//! A class is all announcements with the same parent height and work bits: they age alike, so a choice takes or leaves
//! them together. Memory is bounded; when it is full the class of least value gives way
//! (`docs/protocol/packetcrypt-blocks.md` 6.3).

mod segment;

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    sync::Arc,
};

use hashbrown::HashSet;
use packetcrypt::{
    AnnouncementHash, BlockHash, CompactTarget, Height,
    announcement::ANNOUNCEMENT_SIZE,
    block::{
        mine::{AnnouncementStore, Slot},
        selection::{Class, aged_bits},
    },
    pages::HUGE_PAGE,
};

use crate::pool_client::KnownChain;
pub use packetcrypt::pages::{Pages, bytes_in_huge_pages};
pub use segment::Segment;
use segment::SegmentCount;

/// What an announcement takes in memory: itself, its hash, its place in the table of prefixes.
const BYTES_PER_ANNOUNCEMENT: usize = ANNOUNCEMENT_SIZE + 32 + 16;
/// Memory is divided into about so many segments.
const SEGMENTS: usize = 512;
const SLOTS_PER_SEGMENT: std::ops::RangeInclusive<usize> = 64..=8192;
/// Segments that there must be room for before they are made as large as a huge page: each class has one that is not
/// full.
const SEGMENTS_OF_HUGE_PAGES: usize = 128;
const SLOTS_PER_HUGE_PAGE: usize = HUGE_PAGE / ANNOUNCEMENT_SIZE;
/// More classes than can be of use at once: about 20 heights by a few work bits.
const MOST_CLASSES: usize = 1024;
/// A class with more announcements than this that turned out to be invalid is not worth keeping.
const MOST_BANNED: usize = 16;
/// Blocks between a parent and the first block that its announcements can be used in.
const MATURE_AGE: u32 = packetcrypt::target::ANNOUNCEMENT_WAIT_PERIOD;

/// What all announcements of a class have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassKey {
    /// Height of the parent block.
    pub parent: Height,
    /// Work bits, as a compact number.
    bits: u32,
}

impl ClassKey {
    /// The class of announcements with this parent height and these work bits.
    pub fn new(parent: Height, bits: CompactTarget) -> Self {
        Self { parent, bits: bits.0 }
    }

    /// Work bits before aging.
    pub fn bits(self) -> CompactTarget {
        CompactTarget(self.bits)
    }

    /// Whether its announcements can be used, or at least will be, in a block of some height.
    fn is_of_use(self, height: Height) -> bool {
        self.is_immature(height) || aged_bits(self.bits(), self.parent, height).is_some()
    }

    fn is_immature(self, height: Height) -> bool {
        height.0 >= MATURE_AGE && height.0 < self.parent.0.saturating_add(MATURE_AGE)
    }

    /// The target by which classes compare: what is left of the work bits, or all while it is not mature.
    fn worth(self, height: Height) -> CompactTarget {
        if self.is_immature(height) {
            return self.bits();
        }
        aged_bits(self.bits(), self.parent, height).unwrap_or(CompactTarget(u32::MAX))
    }
}

#[derive(Debug, Default)]
struct ClassContent {
    /// The parent block, once it is known; announcements of a parent that is not are not mined with.
    parent: Option<BlockHash>,
    full: Vec<Arc<Segment>>,
    open: Option<Segment>,
    prefixes: HashSet<u64>,
    banned: HashSet<AnnouncementHash>,
}

impl ClassContent {
    fn count(&self) -> u64 {
        (self.prefixes.len() - self.banned.len()) as u64
    }

    fn forget(&mut self, segment: &Segment) {
        for hash in segment.hashes() {
            self.prefixes.remove(&hash.prefix());
            self.banned.remove(hash);
        }
    }

    /// Takes out a segment that nobody mines with, the oldest first.
    fn give_up_segment(&mut self) -> bool {
        let unused = self.full.iter().position(|segment| Arc::strong_count(segment) == 1);
        if let Some(position) = unused {
            let segment = self.full.remove(position);
            self.forget(&segment);
        } else if let Some(segment) = self.open.take() {
            self.forget(&segment);
        } else {
            return false;
        }
        true
    }
}

/// What became of an announcement that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    /// It is stored.
    Stored,
    /// It, or another one with the same prefix, is in the store.
    Duplicate,
    /// It can never be used, or what is stored is worth more than it and there is no room.
    Useless,
}

/// The announcements.
#[derive(Debug)]
pub struct Store {
    classes: BTreeMap<ClassKey, ClassContent>,
    segments: Arc<SegmentCount>,
    most_segments: usize,
    slots_per_segment: usize,
    height: Height,
    chain: KnownChain,
    want_of_room: bool,
}

/// Announcements that were chosen: their bytes by slot, to be mined with.
#[derive(Debug)]
pub struct Chosen {
    segments: Vec<Arc<Segment>>,
    slot_bits: u32,
    /// Hash and slot of each, in no particular order.
    pub entries: Vec<(AnnouncementHash, Slot)>,
    /// The parent block at each height among them.
    pub parents: HashMap<Height, BlockHash>,
    /// What they are worth, by class, with the number of each.
    pub classes: Vec<Class>,
}

impl AnnouncementStore for Chosen {
    fn announcement(&self, slot: Slot) -> Option<&[u8; ANNOUNCEMENT_SIZE]> {
        let (segment, place) = (slot >> self.slot_bits, slot & ((1 << self.slot_bits) - 1));
        self.segments.get(segment as usize)?.announcement(place as usize)
    }
}

impl Store {
    /// An empty store that uses at most about `memory` bytes, but always has room for a few announcements.
    pub fn new(memory: usize) -> Self {
        let announcements = memory / BYTES_PER_ANNOUNCEMENT;
        let least = if announcements >= SEGMENTS_OF_HUGE_PAGES * SLOTS_PER_HUGE_PAGE {
            SLOTS_PER_HUGE_PAGE
        } else {
            *SLOTS_PER_SEGMENT.start()
        };
        let slots_per_segment =
            (announcements / SEGMENTS).next_power_of_two().clamp(least, *SLOTS_PER_SEGMENT.end());
        Self {
            classes: BTreeMap::new(),
            segments: Arc::default(),
            most_segments: (announcements / slots_per_segment).max(4),
            slots_per_segment,
            height: Height(0),
            chain: KnownChain::default(),
            want_of_room: false,
        }
    }

    /// Whether, since this was asked the last time, announcements have been refused that are worth more than others
    /// which could not give way because they are mined with.
    pub fn take_want_of_room(&mut self) -> bool {
        std::mem::take(&mut self.want_of_room)
    }

    /// Announcements that there is room for.
    pub fn capacity(&self) -> u64 {
        (self.most_segments * self.slots_per_segment) as u64
    }

    /// Announcements that can be mined with now or later.
    pub fn len(&self) -> u64 {
        self.classes.values().map(ClassContent::count).sum()
    }

    /// The kind of pages that announcements lie in, the least good one if there are several; `None` while there are
    /// none.
    pub fn pages(&self) -> Option<Pages> {
        let segments = self.classes.values().flat_map(|class| {
            let full = class.full.iter().map(|segment| segment.pages());
            full.chain(class.open.as_ref().map(Segment::pages))
        });
        segments.min()
    }

    /// Adds an announcement with its hash and the class that its header says.
    pub fn insert(
        &mut self,
        key: ClassKey,
        hash: AnnouncementHash,
        announcement: &[u8; ANNOUNCEMENT_SIZE],
    ) -> Insertion {
        let known = self.classes.len();
        let class = match self.classes.entry(key) {
            // A class that is no longer of use goes when that becomes known.
            Entry::Occupied(class) => class.into_mut(),
            Entry::Vacant(_) if known >= MOST_CLASSES || !key.is_of_use(self.height) => {
                return Insertion::Useless;
            }
            Entry::Vacant(place) => place.insert(ClassContent {
                parent: self.chain.at(key.parent).map(|block| block.hash),
                ..ClassContent::default()
            }),
        };
        if !class.prefixes.insert(hash.prefix()) {
            return Insertion::Duplicate;
        }
        if class.open.as_ref().is_none_or(Segment::is_full) && !self.open_segment(key) {
            if let Some(class) = self.classes.get_mut(&key) {
                class.prefixes.remove(&hash.prefix());
            }
            return Insertion::Useless;
        }
        let stored = self
            .classes
            .get_mut(&key)
            .and_then(|class| class.open.as_mut())
            .is_some_and(|open| open.push(hash, announcement));
        if stored { Insertion::Stored } else { Insertion::Useless }
    }

    /// Gives a class an empty segment, at the cost of a class that is worth less if there is no room.
    fn open_segment(&mut self, key: ClassKey) -> bool {
        if self.segments.get() >= self.most_segments && !self.make_room(key) {
            return false;
        }
        let Ok(segment) = Segment::new(self.slots_per_segment, &self.segments) else { return false };
        let Some(class) = self.classes.get_mut(&key) else { return false };
        class.full.extend(class.open.replace(segment).map(Arc::new));
        true
    }

    /// Frees a segment of the class of least value, if that is less than the value of `key`.
    fn make_room(&mut self, key: ClassKey) -> bool {
        let height = self.height;
        let mut worse: Vec<ClassKey> = self
            .classes
            .keys()
            .copied()
            .filter(|other| other.worth(height).0 > key.worth(height).0)
            .collect();
        worse.sort_by_key(|other| std::cmp::Reverse((other.worth(height).0, other.parent)));
        let any_worse = !worse.is_empty();
        for victim in worse {
            let Some(class) = self.classes.get_mut(&victim) else { continue };
            let freed = class.give_up_segment();
            if class.prefixes.is_empty() {
                self.classes.remove(&victim);
            }
            if freed {
                return true;
            }
        }
        self.want_of_room |= any_worse;
        false
    }

    /// A block of this height is mined now, on this chain: what can no longer be used goes.
    pub fn set_chain(&mut self, height: Height, chain: &KnownChain) {
        self.height = height;
        self.chain.clone_from(chain);
        self.classes.retain(|key, class| {
            let known = chain.at(key.parent).map(|block| block.hash);
            // After a reorganisation announcements on the old branch are invalid for good (pitfall 9.18).
            let replaced = class.parent.is_some() && known.is_some() && class.parent != known;
            class.parent = class.parent.or(known);
            key.is_of_use(height) && !replaced
        });
    }

    /// All classes that can be mined with, for [`packetcrypt::block::selection::choose`].
    pub fn classes(&self) -> Vec<Class> {
        self.classes
            .iter()
            .filter(|(_, class)| class.parent.is_some())
            .map(|(key, class)| Class { parent: key.parent, bits: key.bits(), count: class.count() })
            .collect()
    }

    /// Announcements to mine with: of each class as many as its count says.
    pub fn chosen(&self, classes: Vec<Class>) -> std::io::Result<Chosen> {
        let mut chosen = Chosen {
            segments: Vec::new(),
            slot_bits: self.slots_per_segment.trailing_zeros(),
            entries: Vec::new(),
            parents: HashMap::new(),
            classes: Vec::new(),
        };
        for class in &classes {
            let Some(content) = self.classes.get(&ClassKey::new(class.parent, class.bits)) else { continue };
            let Some(parent) = content.parent else { continue };
            chosen.parents.insert(class.parent, parent);
            chosen.add(content, usize::try_from(class.count).unwrap_or(usize::MAX))?;
        }
        Ok(Chosen { classes, ..chosen })
    }

    /// Never mines with this announcement again: it is not valid.
    pub fn ban(&mut self, key: ClassKey, hash: AnnouncementHash) {
        let Some(class) = self.classes.get_mut(&key) else { return };
        if class.prefixes.contains(&hash.prefix()) {
            class.banned.insert(hash);
        }
        if class.banned.len() > MOST_BANNED {
            self.classes.remove(&key);
        }
    }

    /// Drops what is mature, but worth less than a quarter of `least_work`: all values halve together, so it will
    /// hardly ever be chosen again (6.3.3).
    pub fn drop_worse_than_quarter_of(&mut self, least_work: CompactTarget) {
        let height = self.height;
        let Some(limit) = least_work.expand().map(|target| target << 2) else { return };
        self.classes.retain(|key, _| {
            key.is_immature(height)
                || aged_bits(key.bits(), key.parent, height)
                    .and_then(CompactTarget::expand)
                    .is_some_and(|target| target <= limit)
        });
    }
}

impl Chosen {
    fn add(&mut self, class: &ClassContent, mut wanted: usize) -> std::io::Result<()> {
        let open = match &class.open {
            Some(open) if !open.hashes().is_empty() => Some(Arc::new(open.copied()?)),
            _ => None,
        };
        for segment in class.full.iter().cloned().chain(open) {
            if wanted == 0 {
                break;
            }
            let number = self.segments.len();
            let Ok(first_slot) = Slot::try_from(number << self.slot_bits) else { break };
            let before = self.entries.len();
            self.entries.extend(
                (first_slot..)
                    .zip(segment.hashes())
                    .filter(|(_, hash)| !class.banned.contains(*hash))
                    .map(|(slot, hash)| (*hash, slot))
                    .take(wanted),
            );
            wanted -= self.entries.len() - before;
            self.segments.push(segment);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
