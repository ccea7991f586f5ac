//! The tracked parent heights: what an announcement for each must look like.
//!
//! Six heights are taken, tip − 5 … tip. Each [`Slot`] says which block stands there and what the pool demanded while
//! it did. The [`Tracker`] makes the slots anew from every view of the Master; requests read a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use packetcrypt::{BlockHash, CompactTarget, Height, SigningKey};
use wire::Refusal;
use wire::refusal::Role;

use super::duplicates::DuplicateTable;
use super::handler_lists::{HandlerLists, HandlerListsFault};
use crate::master_client::PoolView;

/// Heights that announcements are taken for.
pub(super) const TRACKED: u32 = 6;
/// Heights below them whose duplicate tables are kept, in case the chain falls back.
const KEPT_BELOW: u32 = 2;

/// Where this handler stands in the list of handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub number: usize,
    pub count: usize,
}

/// What announcements for one parent block must look like.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub height: Height,
    pub parent: BlockHash,
    /// The easiest target that was published while the block was tracked (rule R-A12).
    pub easiest: CompactTarget,
    pub signing_key: Option<SigningKey>,
    pub version: u8,
    pub place: Place,
    pub known: Arc<DuplicateTable>,
}

/// All slots at one moment.
#[derive(Debug, Default)]
pub(super) struct Slots {
    tip: Height,
    by_height: BTreeMap<Height, Arc<Slot>>,
}

impl Slots {
    /// The slot of a parent height, `got` being what the client wrote.
    pub(super) fn at(&self, height: Option<Height>, got: i64) -> Result<&Arc<Slot>, Refusal> {
        if self.by_height.is_empty() {
            return Err(Refusal::NotReady { role: Role::AnnHandler });
        }
        let lowest = Height((self.tip.0 + 1).saturating_sub(TRACKED));
        let tracked = height.filter(|height| (lowest..=self.tip).contains(height));
        let Some(height) = tracked else {
            return Err(Refusal::HeightOutOfRange { lowest, highest: self.tip, got });
        };
        self.by_height.get(&height).ok_or(Refusal::NotReady { role: Role::AnnHandler })
    }

    /// Whether announcements made for `parent` at `height` are still taken.
    pub(super) fn has(&self, height: Height, parent: &BlockHash) -> bool {
        self.by_height.get(&height).is_some_and(|slot| slot.parent == *parent)
    }

    /// Whether another block than `parent` stands at `height` now.
    pub(super) fn replaced(&self, height: Height, parent: &BlockHash) -> bool {
        height > self.tip || self.by_height.get(&height).is_some_and(|slot| slot.parent != *parent)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_height.is_empty()
    }
}

/// What is remembered from view to view.
pub(super) struct Tracker {
    public_url: String,
    lists: HandlerLists,
    tables: BTreeMap<Height, Arc<DuplicateTable>>,
    slots: Arc<Slots>,
}

/// New slots, and what the operator should know.
pub(super) struct Tracked {
    pub slots: Arc<Slots>,
    /// Announcements for lower parent heights are over.
    pub taken_from: Height,
    /// Why announcements cannot be taken, or what else is strange.
    pub warnings: Vec<String>,
}

impl Tracker {
    /// `tables` are what was accepted before a restart.
    pub(super) fn new(
        public_url: String,
        lists: HandlerLists,
        tables: BTreeMap<Height, Arc<DuplicateTable>>,
    ) -> Self {
        Self { public_url, lists, tables, slots: Arc::default() }
    }

    pub(super) fn update(&mut self, view: &PoolView) -> Result<Tracked, HandlerListsFault> {
        let config = &view.config;
        let tip = config.tip_height();
        let lowest = Height((tip.0 + 1).saturating_sub(TRACKED));
        let changed =
            self.lists.observe(tip, Height(lowest.0.saturating_sub(KEPT_BELOW)), &config.submit_ann_urls)?;
        let taken_from = self.lists.taken_from();
        self.tables = self.tables.split_off(&taken_from);
        let mut warnings = Vec::new();
        if changed {
            warnings.push("the pool's list of announcement handlers has changed; for six blocks some announcements will be refused with `submit elsewhere`".to_owned());
        }
        let target = pool_target(view, &mut warnings);
        let mut slots = Slots { tip, by_height: BTreeMap::new() };
        for block in view.blocks.iter().take(TRACKED as usize) {
            let height = block.header.height;
            if height < taken_from {
                if height == tip {
                    warnings.push(format!(
                        "the chain fell back to height {tip}; announcements below {taken_from} were given up. If this \
                         is another chain, give the handler an empty folder"
                    ));
                }
                continue;
            }
            let Some(place) = self.place(height) else {
                warnings.push(format!(
                    "{} is not in the pool's list of announcement handlers for parent height {height}",
                    self.public_url
                ));
                continue;
            };
            let before = self.slots.by_height.get(&height).filter(|slot| slot.parent == block.header.hash);
            let Some(easiest) = easier(before.map(|slot| slot.easiest), target) else { continue };
            let slot = Slot {
                height,
                parent: block.header.hash,
                easiest,
                signing_key: block.signing_key,
                version: config.announcement_version(),
                place,
                known: Arc::clone(self.tables.entry(height).or_default()),
            };
            slots.by_height.insert(height, Arc::new(slot));
        }
        self.slots = Arc::new(slots);
        Ok(Tracked { slots: Arc::clone(&self.slots), taken_from, warnings })
    }

    /// This handler's place in the list of a height (rule R-A9: none if it is not there).
    fn place(&self, height: Height) -> Option<Place> {
        let urls = self.lists.at(height);
        let number = urls.iter().position(|url| *url == self.public_url)?;
        Some(Place { number, count: urls.len() })
    }
}

/// The pool's target, if it is one that can be enforced (rules R-A9, R-A13).
fn pool_target(view: &PoolView, warnings: &mut Vec<String>) -> Option<CompactTarget> {
    let Some(target) = view.config.ann_target else {
        warnings.push("the pool's configuration has no `annTarget`".to_owned());
        return None;
    };
    if target.is_announcement_target() && target.is_canonical() {
        return Some(target);
    }
    warnings.push(format!("the pool's `annTarget` 0x{:08x} is no canonical announcement target", target.0));
    None
}

/// The easier of two targets. Both are canonical, so their order is that of their numbers.
fn easier(one: Option<CompactTarget>, other: Option<CompactTarget>) -> Option<CompactTarget> {
    one.into_iter().chain(other).max_by_key(|target| target.0)
}
