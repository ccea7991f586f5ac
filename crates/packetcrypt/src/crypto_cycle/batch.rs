//! Many states that take the same steps together.
//!
//! A batch does to each of its states what the functions of [`State`] of the same names do to one. It exists so that
//! backends with wide registers can do it to all at once.

use std::ops::Range;

use super::{ITEM_SIZE, Opening, SHARED_SECRET, STATE_SIZE, State, WorkHash};
use crate::backend::ahead::Ahead;
use crate::backend::{Avx2, Avx512, Backend, batch};
use crate::base_multiplication;

/// Most states of a batch.
pub const BATCH_MAX: usize = 64;

/// Up to [`BATCH_MAX`] states.
pub struct Batch(Lanes);

enum Lanes {
    Plain(Vec<State>, usize),
    Avx2(Box<batch::Batch<Avx2>>),
    Avx512(Box<batch::Batch<Avx512>>),
}

impl Default for Batch {
    fn default() -> Self {
        Self::new(Backend::chosen())
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Batch({} states)", self.count())
    }
}

impl Batch {
    /// An empty batch on a backend, or on the plain one if the processor cannot run that.
    pub fn new(backend: Backend) -> Self {
        let plain = || Self(Lanes::Plain(vec![State::default(); BATCH_MAX], 0));
        match backend {
            Backend::Plain => plain(),
            Backend::Avx2 => {
                batch::Batch::new().map_or_else(plain, |batch| Self(Lanes::Avx2(Box::new(batch))))
            }
            Backend::Avx512 => {
                batch::Batch::new().map_or_else(plain, |batch| Self(Lanes::Avx512(Box::new(batch))))
            }
        }
    }

    /// How many states there are.
    pub fn count(&self) -> usize {
        match &self.0 {
            Lanes::Plain(_, count) => *count,
            Lanes::Avx2(batch) => batch.count(),
            Lanes::Avx512(batch) => batch.count(),
        }
    }

    /// All bytes of one state.
    pub fn state(&self, index: usize) -> &[u8; STATE_SIZE] {
        match &self.0 {
            Lanes::Plain(states, _) => states[index].as_bytes(),
            Lanes::Avx2(batch) => batch.state(index),
            Lanes::Avx512(batch) => batch.state(index),
        }
    }

    /// What becomes an item: the first half of a state.
    pub fn item_part(&self, index: usize) -> &[u8; ITEM_SIZE] {
        self.state(index).first_chunk().expect("half a state")
    }

    /// `ITEM_NO` of one state.
    pub fn item_number(&self, index: usize) -> u64 {
        u64::from_le_bytes(*self.state(index)[super::TAG].first_chunk().expect("8 of 16 bytes"))
    }

    /// `CC_INIT` with `count` nonces and the first `CC_UPDATE`, in place of what was there; of what the next update
    /// overwrites the bytes behind the header may be anything.
    pub fn start(&mut self, opening: &Opening, count: usize, nonce_of: impl Fn(usize) -> u64) {
        self.start_fetching(opening, count, nonce_of, &[]);
    }

    /// As [`Batch::start`]; meanwhile the items `ahead` are fetched into the caches.
    pub(super) fn start_fetching(
        &mut self,
        opening: &Opening,
        count: usize,
        nonce_of: impl Fn(usize) -> u64,
        ahead: &[&[u8; ITEM_SIZE]],
    ) {
        assert!(count <= BATCH_MAX, "at most {BATCH_MAX} states in a batch");
        match &mut self.0 {
            Lanes::Plain(states, plain_count) => {
                *plain_count = count;
                let mut ahead = Ahead::new(ahead);
                for (index, state) in states[..count].iter_mut().enumerate() {
                    ahead.fetch_item();
                    opening.start(nonce_of(index), state);
                }
                ahead.fetch_rest();
            }
            Lanes::Avx2(batch) => batch.start(opening, count, nonce_of, ahead),
            Lanes::Avx512(batch) => batch.start(opening, count, nonce_of, ahead),
        }
    }

    /// As many states as there are in `sources`, copied, in place of what was there.
    pub fn copy_from<'a>(&mut self, sources: impl ExactSizeIterator<Item = &'a State>) {
        assert!(sources.len() <= BATCH_MAX, "at most {BATCH_MAX} states in a batch");
        match &mut self.0 {
            Lanes::Plain(states, count) => {
                *count = sources.len();
                for (state, source) in states.iter_mut().zip(sources) {
                    state.clone_from(source);
                }
            }
            Lanes::Avx2(batch) => batch.copy_from(sources.map(State::as_bytes)),
            Lanes::Avx512(batch) => batch.copy_from(sources.map(State::as_bytes)),
        }
    }

    /// `MAKE_FUZZABLE` and `CRYPT` of each state; `kept` as for [`State::crypt_keeping`].
    pub fn crypt(&mut self, kept: &Range<usize>) {
        match &mut self.0 {
            Lanes::Plain(states, count) => {
                for state in &mut states[..*count] {
                    state.make_fuzzable();
                    state.crypt_keeping(kept.clone());
                }
            }
            Lanes::Avx2(batch) => batch.crypt(kept),
            Lanes::Avx512(batch) => batch.crypt(kept),
        }
    }

    /// `CC_UPDATE` of each state with the item that `item_of` gives for its index; `kept` as for
    /// [`State::update_keeping`].
    pub fn update<'a>(&mut self, item_of: impl FnMut(usize) -> &'a [u8; ITEM_SIZE], kept: &Range<usize>) {
        self.update_fetching(item_of, kept, &[]);
    }

    /// As [`Batch::update`]; meanwhile the items `ahead` are fetched into the caches.
    pub(super) fn update_fetching<'a>(
        &mut self,
        item_of: impl FnMut(usize) -> &'a [u8; ITEM_SIZE],
        kept: &Range<usize>,
        ahead: &[&[u8; ITEM_SIZE]],
    ) {
        match &mut self.0 {
            Lanes::Plain(states, count) => {
                let mut ahead = Ahead::new(ahead);
                for (state, item) in states[..*count].iter_mut().zip((0..).map(item_of)) {
                    ahead.fetch_item();
                    state.update_keeping(item, kept.clone());
                }
                ahead.fetch_rest();
            }
            Lanes::Avx2(batch) => batch.update(item_of, kept, ahead),
            Lanes::Avx512(batch) => batch.update(item_of, kept, ahead),
        }
    }

    /// `CC_SMUL` of each state.
    pub fn multiply_scalars(&mut self) {
        match &mut self.0 {
            Lanes::Plain(states, count) => multiply_scalars(&mut [&mut states[..*count]]),
            Lanes::Avx2(batch) => batch::Batch::multiply_scalars(&mut [batch]),
            Lanes::Avx512(batch) => batch::Batch::multiply_scalars(&mut [batch]),
        }
    }

    /// [`Batch::multiply_scalars`] of two, which takes less time than one after the other.
    pub(super) fn multiply_scalars_with(&mut self, other: &mut Self) {
        match (&mut self.0, &mut other.0) {
            (Lanes::Plain(one, count), Lanes::Plain(other, other_count)) => {
                multiply_scalars(&mut [&mut one[..*count], &mut other[..*other_count]]);
            }
            (Lanes::Avx2(one), Lanes::Avx2(other)) => batch::Batch::multiply_scalars(&mut [one, other]),
            (Lanes::Avx512(one), Lanes::Avx512(other)) => batch::Batch::multiply_scalars(&mut [one, other]),
            _ => {
                self.multiply_scalars();
                other.multiply_scalars();
            }
        }
    }

    /// `CC_FINAL` of each state: the first [`count`](Self::count) of `hashes` are theirs.
    pub fn finish(&mut self, hashes: &mut [WorkHash; BATCH_MAX]) {
        match &mut self.0 {
            Lanes::Plain(states, count) => {
                for (state, hash) in states[..*count].iter_mut().zip(hashes) {
                    *hash = state.finish();
                }
            }
            Lanes::Avx2(batch) => batch.finish(hashes),
            Lanes::Avx512(batch) => batch.finish(hashes),
        }
    }
}

/// `CC_SMUL` of all these states, which share an inversion.
fn multiply_scalars(batches: &mut [&mut [State]]) {
    let states: Vec<&State> = batches.iter().flat_map(|batch| batch.iter()).collect();
    let secrets = base_multiplication::shared_secrets(states.len(), |index| states[index].bytes_at(0));
    for (state, secret) in batches.iter_mut().flat_map(|batch| batch.iter_mut()).zip(secrets) {
        state.0[SHARED_SECRET].copy_from_slice(&secret);
    }
}
