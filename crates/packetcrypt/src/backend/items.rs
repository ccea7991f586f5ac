//! Items of version 1 in lanes: 32 run through the program together, 64 through the last pass.

use super::batch::Batch;
use super::kernels::{ITEM_LANES, Kernels};
use super::states::STATE;
use super::wide_machine::WideMachine;
use super::wide_program::WideProgram;
use super::{Avx2, Avx512, Backend};
use crate::crypto_cycle::{BATCH_MAX, ITEM_PART, ITEM_SIZE, Template};
use crate::instruction::PROGRAM_LENGTH_MAX;

/// The lanes of whichever vector backend runs.
#[derive(Debug)]
pub(crate) enum ItemLanes {
    Avx2(Box<Lanes<Avx2>>),
    Avx512(Box<Lanes<Avx512>>),
}

impl ItemLanes {
    /// `None` on the plain backend, and where the processor cannot run the one that is asked for.
    pub(crate) fn new(backend: Backend) -> Option<Self> {
        match backend {
            Backend::Plain => None,
            Backend::Avx2 => Lanes::new().map(|lanes| Self::Avx2(Box::new(lanes))),
            Backend::Avx512 => Lanes::new().map(|lanes| Self::Avx512(Box::new(lanes))),
        }
    }

    /// Makes the items of these numbers, at most [`BATCH_MAX`].
    pub(crate) fn make(&mut self, source: ItemSource<'_>, numbers: &[usize], items: &mut [[u8; ITEM_SIZE]]) {
        self.run(source, numbers);
        self.seal(0, &mut items[..numbers.len()]);
    }

    /// Runs the program for these numbers, at most [`BATCH_MAX`].
    pub(crate) fn run(&mut self, source: ItemSource<'_>, numbers: &[usize]) {
        match self {
            Self::Avx2(lanes) => lanes.run(source, numbers),
            Self::Avx512(lanes) => lanes.run(source, numbers),
        }
    }

    /// The last pass over the first states of the last run, one for each of `items`, each as if its item's number had
    /// been `difference` greater. The states of the run stay as they are.
    pub(crate) fn seal(&mut self, difference: usize, items: &mut [[u8; ITEM_SIZE]]) {
        match self {
            Self::Avx2(lanes) => lanes.seal(difference, items),
            Self::Avx512(lanes) => lanes.seal(difference, items),
        }
    }
}

/// The buffers to make items in lanes. There is one only where the processor can run the backend.
pub(crate) struct Lanes<K: Kernels> {
    kernels: K,
    machine: WideMachine,
    /// States after the program has run.
    run: Box<[[u8; STATE]; BATCH_MAX]>,
    batch: Batch<K>,
}

/// What all items of one table have in common.
#[derive(Clone, Copy)]
pub(crate) struct ItemSource<'a> {
    pub program: &'a WideProgram,
    pub image: &'a [u32; PROGRAM_LENGTH_MAX],
    pub states: &'a Template,
}

impl<K: Kernels> core::fmt::Debug for Lanes<K> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("Lanes")
    }
}

impl<K: Kernels> Lanes<K> {
    /// `None` if the processor cannot run this backend.
    fn new() -> Option<Self> {
        let kernels = K::detect()?;
        let run = vec![[0; STATE]; BATCH_MAX].into_boxed_slice().try_into().ok()?;
        Some(Self { kernels, machine: WideMachine::default(), run, batch: Batch::new()? })
    }

    fn run(&mut self, source: ItemSource<'_>, numbers: &[usize]) {
        let (groups, _) = self.run.as_chunks_mut::<ITEM_LANES>();
        for (numbers, states) in numbers.chunks(ITEM_LANES).zip(groups) {
            // Lanes without a number repeat the last one.
            let numbers = core::array::from_fn(|lane| numbers[lane.min(numbers.len() - 1)]);
            for (state, number) in states.iter_mut().zip(numbers) {
                state.copy_from_slice(source.states.as_bytes());
                state[..8].copy_from_slice(&(number as u64).to_le_bytes());
            }
            self.kernels.run_program(&mut self.machine, source.program, source.image, &numbers, states);
        }
    }

    fn seal(&mut self, difference: usize, items: &mut [[u8; ITEM_SIZE]]) {
        // Places of a table are seldom in the nearer caches; they come while the pass computes.
        let mut places = [&[0; ITEM_SIZE]; BATCH_MAX];
        for (place, item) in places.iter_mut().zip(&*items) {
            *place = item;
        }
        let places = &places[..items.len()];
        self.batch.crypt_copies(&self.run[..items.len()], difference as u32, &ITEM_PART, places);
        for (index, item) in items.iter_mut().enumerate() {
            item.copy_from_slice(&self.batch.state(index)[..ITEM_SIZE]);
        }
    }
}
