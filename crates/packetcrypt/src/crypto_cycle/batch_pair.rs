//! Two batches in turns: while one takes in its items, those of the other come from memory.
//!
//! Which item a state takes in next is known only when it has taken in the one before, and items lie at random places
//! of megabytes or gigabytes. A single batch would wait for all of them in every round.

use std::ops::Range;

use super::batch::{BATCH_MAX, Batch};
use super::{BEHIND_ITEM, ITEM_SIZE, Opening, STATE_SIZE, UPDATES, WHOLE, WorkHash};
use crate::backend::{Backend, ahead};

/// Most states of a pair.
pub const PAIR_MAX: usize = 2 * BATCH_MAX;

/// Where items come from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// Megabytes, whose pages the processor remembers.
    Table,
    /// Gigabytes, where finding the page takes as long as the rest. The function is told each `ITEM_NO` before its item is
    /// wanted, to ask for what says where that is.
    Store(&'a dyn Fn(u64)),
}

/// How the attempts of a pair begin.
pub struct Start<'a> {
    /// What they have in common.
    pub opening: &'a Opening,
    /// How many there are, at most [`PAIR_MAX`].
    pub count: usize,
    /// The nonce of each.
    pub nonce_of: &'a dyn Fn(usize) -> u64,
}

impl Start<'_> {
    /// The attempts of the first or of the second batch.
    fn range_of(&self, which: usize) -> Range<usize> {
        (which * BATCH_MAX).min(self.count)..((which + 1) * BATCH_MAX).min(self.count)
    }
}

/// Up to [`PAIR_MAX`] states.
#[derive(Debug)]
pub struct BatchPair([Batch; 2]);

/// The items that the states of a batch take in next.
type Items<'a> = [&'a [u8; ITEM_SIZE]; BATCH_MAX];

impl BatchPair {
    /// An empty pair on a backend, or on the plain one if the processor cannot run that.
    pub fn new(backend: Backend) -> Self {
        Self([Batch::new(backend), Batch::new(backend)])
    }

    /// How many states there are.
    pub fn count(&self) -> usize {
        self.0.iter().map(Batch::count).sum()
    }

    /// All bytes of one state.
    pub fn state(&self, index: usize) -> &[u8; STATE_SIZE] {
        self.0[index / BATCH_MAX].state(index % BATCH_MAX)
    }

    /// `CC_INIT` and [`UPDATES`] times `CC_UPDATE` of each state, in place of what was there. The first item is the
    /// opening's; `item_of` gives the others: for the update, the state, and the `ITEM_NO` of the state.
    pub fn run<'a>(
        &mut self,
        start: &Start<'_>,
        source: Source<'_>,
        mut item_of: impl FnMut(usize, usize, u64) -> &'a [u8; ITEM_SIZE],
    ) {
        const NONE: &[u8; ITEM_SIZE] = &[0; ITEM_SIZE];
        assert!(start.count <= PAIR_MAX, "at most {PAIR_MAX} states in a pair");
        let mut choose = |update: usize, which: usize, batch: &Batch, items: &mut Items<'a>| {
            if let Source::Store(announce) = source {
                (0..batch.count()).for_each(|index| announce(batch.item_number(index)));
            }
            for (index, item) in items[..batch.count()].iter_mut().enumerate() {
                *item = item_of(update, which * BATCH_MAX + index, batch.item_number(index));
            }
        };
        let mut items = [[NONE; BATCH_MAX]; 2];
        for update in 0..UPDATES {
            let (is_first, is_last) = (update == 0, update + 1 == UPDATES);
            let kept = if is_last { WHOLE } else { BEHIND_ITEM };
            for which in 0..2 {
                let other = 1 - which;
                // The first batch has moved on when it is the other's turn; at the end there is nothing to fetch for it,
                // nor at the beginning for the other.
                let none = is_first && which == 0 || is_last && which == 1;
                let ahead = &items[other][..if none { 0 } else { self.0[other].count() }];
                if let Source::Store(_) = source {
                    ahead::find_pages(ahead);
                }
                if is_first {
                    let attempts = start.range_of(which);
                    let nonce_of = |index| (start.nonce_of)(attempts.start + index);
                    self.0[which].start_fetching(start.opening, attempts.len(), nonce_of, ahead);
                } else {
                    self.0[which].update_fetching(|index| items[which][index], &kept, ahead);
                }
                if !is_last {
                    choose(update + 1, which, &self.0[which], &mut items[which]);
                }
            }
        }
    }

    /// `CC_SMUL` of each state.
    pub fn multiply_scalars(&mut self) {
        let [first, second] = &mut self.0;
        first.multiply_scalars_with(second);
    }

    /// `CC_FINAL` of each state: the first [`count`](Self::count) of `hashes` are theirs.
    pub fn finish(&mut self, hashes: &mut [WorkHash; PAIR_MAX]) {
        for (batch, hashes) in self.0.iter_mut().zip(hashes.as_chunks_mut().0) {
            batch.finish(hashes);
        }
    }
}
