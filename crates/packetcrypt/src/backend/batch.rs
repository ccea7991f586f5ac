//! A batch of CryptoCycle states and the steps they take together, in the lanes of any vector backend.

use core::ops::Range;

use super::ahead::Ahead;
use super::kernels::{DIGEST_LANES, Kernels};
use super::passes::Passes;
use super::states::{BATCH, DATA, ITEM, STATE, States, Texts};
use crate::crypto_cycle::{BEHIND_ITEM, Control, ITEM_SIZE, Opening, SHARED_SECRET, WorkHash};

const CONTROL: Range<usize> = 12..16;
const KEY: usize = 16;

/// Up to [`BATCH`] states. There is one only where the processor can run the backend.
pub(crate) struct Batch<K> {
    kernels: K,
    states: States,
    passes: Passes,
    count: usize,
}

impl<K: Kernels> Batch<K> {
    /// `None` if the processor cannot run this backend.
    pub(crate) fn new() -> Option<Self> {
        K::detect().map(|kernels| Self { kernels, states: States::new(), passes: Passes::new(), count: 0 })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn state(&self, index: usize) -> &[u8; STATE] {
        self.states.state(index)
    }

    /// CC_INIT with `count` nonces and the first CC_UPDATE; meanwhile the items `ahead` are fetched.
    pub(crate) fn start(
        &mut self,
        opening: &Opening,
        count: usize,
        nonce_of: impl Fn(usize) -> u64,
        ahead: &[&[u8; ITEM_SIZE]],
    ) {
        assert!(count <= BATCH, "at most {BATCH} states in a batch");
        self.count = count;
        let (bytes, parts) = (opening.as_bytes(), opening.parts_to_copy());
        for index in 0..count {
            let state = self.states.state_mut(index);
            for part in &parts {
                state[part.clone()].copy_from_slice(&bytes[part.clone()]);
            }
            state[..8].copy_from_slice(&nonce_of(index).to_le_bytes());
        }
        self.pass(Texts::Same(bytes), &BEHIND_ITEM, ahead);
    }

    /// As many states as there are in `sources`, copied.
    pub(crate) fn copy_from<'a>(&mut self, sources: impl ExactSizeIterator<Item = &'a [u8; STATE]>) {
        assert!(sources.len() <= BATCH, "at most {BATCH} states in a batch");
        self.count = sources.len();
        for (index, source) in sources.enumerate() {
            self.states.state_mut(index).copy_from_slice(source);
        }
    }

    /// CC_UPDATE of each state with its item; meanwhile the items `ahead` are fetched.
    pub(crate) fn update<'a>(
        &mut self,
        mut item_of: impl FnMut(usize) -> &'a [u8; ITEM_SIZE],
        kept: &Range<usize>,
        ahead: &[&[u8; ITEM_SIZE]],
    ) {
        let mut items = [&[0; ITEM_SIZE]; BATCH];
        for (index, item) in items[..self.count].iter_mut().enumerate() {
            *item = item_of(index);
        }
        self.pass(Texts::InItems(&items), kept, ahead);
    }

    /// MAKE_FUZZABLE and CRYPT of each state.
    pub(crate) fn crypt(&mut self, kept: &Range<usize>) {
        self.pass(Texts::InPlace, kept, &[]);
    }

    /// MAKE_FUZZABLE and CRYPT of copies of these states, each with its number greater by `difference`; meanwhile what is
    /// `ahead` is fetched.
    ///
    /// What a pass reads where it lies, the part where an item would be, is not copied, nor what lies behind a message.
    pub(crate) fn crypt_copies(
        &mut self,
        sources: &[[u8; STATE]],
        difference: u32,
        kept: &Range<usize>,
        ahead: &[&[u8; ITEM_SIZE]],
    ) {
        assert!(sources.len() <= BATCH, "at most {BATCH} states in a batch");
        self.count = sources.len();
        let mut items = [&[0; ITEM_SIZE]; BATCH];
        for (index, source) in sources.iter().enumerate() {
            let word =
                |at: usize| u32::from_le_bytes(*source[at..].first_chunk().expect("inside the header"));
            let control = Control::fuzzable(word(KEY)).truncated();
            let end = DATA + control.data_length() + control.message_length();
            let state = self.states.state_mut(index);
            state[..ITEM.start].copy_from_slice(&source[..ITEM.start]);
            state[..4].copy_from_slice(&word(0).wrapping_add(difference).to_le_bytes());
            if end > ITEM.end {
                state[ITEM.end..end].copy_from_slice(&source[ITEM.end..end]);
            }
            items[index] = source[ITEM.start..].first_chunk().expect("an item inside the state");
        }
        self.pass(Texts::InItems(&items), kept, ahead);
    }

    fn pass(&mut self, texts: Texts<'_>, kept: &Range<usize>, ahead: &[&[u8; ITEM_SIZE]]) {
        for index in 0..self.count {
            let state = self.states.state_mut(index);
            let random = u32::from_le_bytes([state[KEY], state[KEY + 1], state[KEY + 2], state[KEY + 3]]);
            state[CONTROL].copy_from_slice(&Control::fuzzable(random).word().to_le_bytes());
        }
        let (states, ahead) = (&mut self.states, &mut Ahead::new(ahead));
        self.kernels.crypt(&mut self.passes, states, self.count, texts, kept, ahead);
    }

    /// CC_SMUL of each state of one or two batches, which share an inversion.
    pub(crate) fn multiply_scalars(batches: &mut [&mut Self]) {
        let Some(kernels) = batches.first().map(|batch| batch.kernels) else { return };
        let places: Vec<(usize, usize)> = batches
            .iter()
            .enumerate()
            .flat_map(|(which, batch)| (0..batch.count).map(move |index| (which, index)))
            .collect();
        let keys_of = |number: usize| {
            let (which, index) = places[number];
            batches[which].state(index).first_chunk().expect("a state has 64 bytes")
        };
        let secrets = kernels.shared_secrets(places.len(), keys_of);
        for ((which, index), secret) in places.into_iter().zip(secrets) {
            batches[which].states.state_mut(index)[SHARED_SECRET].copy_from_slice(&secret);
        }
    }

    /// CC_FINAL of each state.
    pub(crate) fn finish(&mut self, hashes: &mut [WorkHash; BATCH]) {
        let (groups, _) = hashes.as_chunks_mut::<DIGEST_LANES>();
        for (group, hashes) in groups.iter_mut().enumerate().take(self.count.div_ceil(DIGEST_LANES)) {
            let messages = core::array::from_fn(|lane| &self.states.state(group * DIGEST_LANES + lane)[..]);
            let mut digests = [[0; 32]; DIGEST_LANES];
            self.kernels.digests(messages, &mut digests);
            *hashes = digests.map(WorkHash);
        }
        for (index, hash) in hashes[..self.count].iter().enumerate() {
            self.states.state_mut(index)[..32].copy_from_slice(&hash.0);
        }
    }
}
