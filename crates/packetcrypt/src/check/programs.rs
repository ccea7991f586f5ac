//! What announcements of one origin have in common, and how it is kept from call to call.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::origin::Origin;
use crate::AnnouncementHeader;
use crate::announcement::{attempt_seed, hash_table_seed};
use crate::crypto_cycle::Template;
use crate::item::{BadProgram, Item, Recipe, Workshop};

/// The recipes of both tables, the states of attempts, and the item that every attempt begins with.
#[derive(Debug)]
pub(super) struct Programs {
    pub attempts: Template,
    pub hash_table: LazyRecipe,
    pub proof_table: LazyRecipe,
    pub first_item: OnceLock<Box<Item>>,
}

impl Programs {
    pub(super) fn of(origin: &Origin) -> Self {
        let header = AnnouncementHeader::from_bytes(&origin.header);
        let proof_table_seed = header.hash_with_parent(&origin.parent);
        Self {
            attempts: Template::new(attempt_seed(&header.hash_with_root(&origin.merkle_root))),
            hash_table: LazyRecipe::new(hash_table_seed(&origin.merkle_root, &proof_table_seed)),
            proof_table: LazyRecipe::new(proof_table_seed),
            first_item: OnceLock::new(),
        }
    }

    /// The seed of the only table of version 0.
    pub(super) fn memohash_seed(&self) -> &[u8; 32] {
        self.proof_table.seed.first_chunk().expect("32 of 64 bytes")
    }
}

/// A recipe that is made when it is first needed: many a bad announcement is refused without.
#[derive(Debug)]
pub(super) struct LazyRecipe {
    seed: [u8; 64],
    recipe: OnceLock<Result<Recipe, BadProgram>>,
}

impl LazyRecipe {
    fn new(seed: [u8; 64]) -> Self {
        Self { seed, recipe: OnceLock::new() }
    }

    /// A recipe that does not follow from a seed.
    #[cfg(test)]
    pub(super) fn made(recipe: Result<Recipe, BadProgram>) -> Self {
        Self { seed: [0; 64], recipe: OnceLock::from(recipe) }
    }

    pub(super) fn get(&self, workshop: &mut Workshop) -> Result<&Recipe, BadProgram> {
        let recipe = self.recipe.get_or_init(|| Recipe::new(&self.seed, workshop));
        recipe.as_ref().map_err(|bad| *bad)
    }
}

/// The programs of the hard nonces that were checked last, about 40 KiB each; what was not used for longest makes room.
///
/// May be shared by checkers that are on the same backend.
#[derive(Debug)]
pub struct ProgramCache {
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    programs: HashMap<Arc<Origin>, (Arc<Programs>, u64)>,
    by_last_use: BTreeMap<u64, Arc<Origin>>,
    /// Counts uses, so that they have an order.
    clock: u64,
    asked: u64,
    found: u64,
}

/// How often programs were asked for, and how many are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramCacheFigures {
    /// Hard nonces whose programs are kept now.
    pub kept: usize,
    /// Times that programs were asked for.
    pub asked: u64,
    /// Times that they were there.
    pub found: u64,
}

impl ProgramCache {
    /// An empty cache for the programs of at most `capacity` hard nonces.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, kept: Mutex::default() }
    }

    /// What it holds and how it was used.
    pub fn figures(&self) -> ProgramCacheFigures {
        let kept = self.kept();
        ProgramCacheFigures { kept: kept.programs.len(), asked: kept.asked, found: kept.found }
    }

    /// The programs of an origin, kept or new.
    pub(super) fn get(&self, origin: Origin) -> Arc<Programs> {
        if let Some(programs) = self.kept().find(&origin) {
            return programs;
        }
        let programs = Arc::new(Programs::of(&origin));
        self.kept().insert(origin, &programs, self.capacity);
        programs
    }

    /// Has other programs for an origin than those that follow from it.
    #[cfg(test)]
    pub(super) fn put(&self, origin: Origin, programs: Programs) {
        self.kept().insert(origin, &Arc::new(programs), self.capacity);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&mut self, origin: &Origin) -> Option<Arc<Programs>> {
        self.asked += 1;
        let (programs, last_use) = self.programs.get_mut(origin)?;
        self.clock += 1;
        if let Some(origin) = self.by_last_use.remove(last_use) {
            self.by_last_use.insert(self.clock, origin);
        }
        *last_use = self.clock;
        self.found += 1;
        Some(Arc::clone(programs))
    }

    /// Two threads may have made the same programs: those of the second stay.
    fn insert(&mut self, origin: Origin, programs: &Arc<Programs>, capacity: usize) {
        self.clock += 1;
        let origin = Arc::new(origin);
        let before = self.programs.insert(Arc::clone(&origin), (Arc::clone(programs), self.clock));
        if let Some((_, last_use)) = before {
            self.by_last_use.remove(&last_use);
        }
        self.by_last_use.insert(self.clock, origin);
        while self.programs.len() > capacity
            && let Some((_, oldest)) = self.by_last_use.pop_first()
        {
            self.programs.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BlockHash;

    fn origin(number: u8) -> Origin {
        Origin { header: [number; 88], parent: BlockHash::from_internal([1; 32]), merkle_root: [2; 64] }
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let cache = ProgramCache::new(3);
        let get = |number: u8| cache.get(origin(number));
        let first = get(0);
        (1..3).for_each(|number| drop(get(number)));
        assert!(Arc::ptr_eq(&first, &get(0)), "kept, and used last");
        get(3);
        assert!(Arc::ptr_eq(&first, &get(0)));
        assert_eq!(cache.figures().kept, 3);
        let found = cache.figures().found;
        get(1);
        assert_eq!(cache.figures().found, found, "1 made room for 3");
    }

    #[test]
    fn a_cache_that_keeps_nothing_still_gives_programs() {
        let cache = ProgramCache::new(0);
        cache.get(origin(1));
        assert_eq!(cache.figures(), ProgramCacheFigures { kept: 0, asked: 1, found: 0 });
    }
}
