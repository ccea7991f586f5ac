//! Items: the 8192 kilobytes of a hard nonce, of which every attempt needs four.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 3.1, 3.2 and 6.6. An announcement of version 1 and more has two
//! tables; each is made by a program of its own, from a seed of 64 bytes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::Backend;
use crate::backend::items::{ItemLanes, ItemSource};
use crate::backend::wide_program::{WINDOWS, WideProgram};
use crate::crypto_cycle::{self, BATCH_MAX, ITEM_PART, State, Template};
use crate::hash::{KeyStream, blake2b_512, expand, expand_from_block};
use crate::instruction::PROGRAM_LENGTH_MAX;
use crate::pages::Memory;
use crate::rand_gen::{Generator, TooBig};
use crate::rand_hash::{
    HALF, ITEM_CYCLES, Machine, MalformedProgram, Program, TooLong, VERSION_0_UPDATE_CYCLES,
};

/// Bytes of an item.
pub const ITEM_SIZE: usize = crypto_cycle::ITEM_SIZE;

/// A run of lanes costs as much as about eight items one by one.
const LANES_PAY_FROM: usize = 8;

/// Items of a table; a power of two.
pub const TABLE_ITEMS: usize = 8192;

/// An item.
pub type Item = [u8; ITEM_SIZE];

/// Which item of its table, 0..8192.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemNumber(u16);

impl ItemNumber {
    /// The item that a state asks for.
    pub fn wanted_by(state: &State) -> Self {
        Self::from_random(state.item_number())
    }

    /// The item that a state with this `ITEM_NO` asks for.
    pub fn from_random(number: u64) -> Self {
        Self((number % TABLE_ITEMS as u64) as u16)
    }

    /// `None` from 8192 on.
    pub fn new(number: usize) -> Option<Self> {
        (number < TABLE_ITEMS).then_some(Self(number as u16))
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..TABLE_ITEMS as u16).map(Self)
    }

    /// As an index.
    pub fn index(self) -> usize {
        self.0.into()
    }
}

/// The program of a seed is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProgram {
    /// It could not be generated.
    #[error(transparent)]
    TooBig(#[from] TooBig),
    /// It names registers that do not exist. No seed is known for which this happens.
    #[error("generated program: {0}")]
    Malformed(#[from] MalformedProgram),
}

/// What makes programs and runs them, with all buffers that this takes. One for each thread.
#[derive(Debug)]
pub struct Workshop {
    generator: Generator,
    machine: Machine,
    state: State,
    /// The program of the last update of version 0, or of the last table that was judged by its cost.
    update_program: Program,
    /// What makes many items at once; none on the plain backend.
    lanes: Option<ItemLanes>,
}

impl Default for Workshop {
    fn default() -> Self {
        Self::new()
    }
}

impl Workshop {
    /// A workshop with empty buffers, on the backend that is [chosen](Backend::chosen).
    pub fn new() -> Self {
        Self::on(Backend::chosen())
    }

    /// A workshop on a backend, or on the plain one if the processor cannot run that.
    pub fn on(backend: Backend) -> Self {
        Self {
            generator: Generator::default(),
            machine: Machine::default(),
            state: State::default(),
            update_program: Program::default(),
            lanes: ItemLanes::new(backend),
        }
    }
}

/// Everything from which the items of one table of version 1 and more are made.
#[derive(Clone, Debug)]
pub struct Recipe {
    program: Program,
    /// The program image (3.2): 2048 expanded words, the first of them overwritten by the code.
    image: Box<[u32; PROGRAM_LENGTH_MAX]>,
    states: Template,
    /// The program laid out for lanes when they first need it, and whether they can run it.
    wide: OnceLock<(WideProgram, bool)>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            program: Program::default(),
            image: Box::new([0; PROGRAM_LENGTH_MAX]),
            states: Template::default(),
            wide: OnceLock::new(),
        }
    }
}

impl Recipe {
    /// The recipe of a 64-byte seed: the first half makes the program, the second half the states.
    pub fn new(seed: &[u8; 64], workshop: &mut Workshop) -> Result<Self, BadProgram> {
        let mut recipe = Self::default();
        recipe.replace(seed, workshop)?;
        Ok(recipe)
    }

    /// Becomes the recipe of another seed. After an error this is no recipe.
    pub fn replace(&mut self, seed: &[u8; 64], workshop: &mut Workshop) -> Result<(), BadProgram> {
        let (program_seed, state_seed) = split_seed(seed);
        let code = workshop.generator.generate(program_seed)?;
        self.program.replace(code)?;
        // Of the expanded words only those behind the code are wanted.
        let covered = code.len() / KeyStream::WORDS;
        let mut expanded = [0; 4 * PROGRAM_LENGTH_MAX];
        let expanded = &mut expanded[covered * KeyStream::BLOCK..];
        expand_from_block(program_seed, covered as u16, expanded);
        let words = self.image[covered * KeyStream::WORDS..].iter_mut();
        for (word, bytes) in words.zip(expanded.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        self.image[..code.len()].copy_from_slice(code);
        self.states.reseed(state_seed);
        self.wide = OnceLock::new();
        Ok(())
    }

    /// A recipe with a program that no generator wrote.
    #[cfg(test)]
    pub(crate) fn of_code(code: &[u32]) -> Self {
        let program = Program::decode(code).expect("a program");
        Self { program, ..Self::default() }
    }

    /// What lanes make items from; `None` if they cannot run the program.
    fn for_lanes(&self) -> Option<ItemSource<'_>> {
        let (program, usable) = self.wide.get_or_init(|| {
            let mut wide = WideProgram::default();
            let usable = wide.replace(&self.program);
            (wide, usable)
        });
        usable.then_some(ItemSource { program, image: &self.image, states: &self.states })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The program image (3.2).
    pub fn image(&self) -> &[u32; PROGRAM_LENGTH_MAX] {
        &self.image
    }

    /// Makes one item.
    pub fn item<'w>(&self, number: ItemNumber, workshop: &'w mut Workshop) -> Result<&'w Item, TooLong> {
        let Workshop { machine, state, .. } = workshop;
        self.run(number, machine, state)?;
        seal(state);
        Ok(state.item_part())
    }

    /// Whether that many different items are made faster in lanes than one by one.
    pub(crate) fn pays_in_lanes(&self, count: usize, workshop: &Workshop) -> bool {
        count >= LANES_PAY_FROM && workshop.lanes.is_some() && self.for_lanes().is_some()
    }

    /// The state of an item after the program has run and before the last pass, which is
    /// [`Batch::crypt`](crypto_cycle::Batch::crypt).
    pub fn unsealed<'w>(&self, number: ItemNumber, workshop: &'w mut Workshop) -> Result<&'w State, TooLong> {
        let Workshop { machine, state, .. } = workshop;
        self.run(number, machine, state)?;
        Ok(state)
    }

    /// Makes several items, as many as there are places for them.
    pub fn items(
        &self,
        numbers: &[ItemNumber],
        workshop: &mut Workshop,
        items: &mut [Item],
    ) -> Result<(), TooLong> {
        // Nothing is shared between lanes that could not be copied: one item for all who want the same.
        if numbers.iter().all(|number| *number == numbers[0]) || !self.pays_in_lanes(numbers.len(), workshop)
        {
            return self.items_one_by_one(numbers, workshop, items);
        }
        if let (Some(lanes), Some(source)) = (&mut workshop.lanes, self.for_lanes()) {
            for (numbers, items) in numbers.chunks(BATCH_MAX).zip(items.chunks_mut(BATCH_MAX)) {
                let mut indexes = [0; BATCH_MAX];
                for (index, number) in indexes.iter_mut().zip(numbers) {
                    *index = number.index();
                }
                lanes.make(source, &indexes[..numbers.len()], items);
            }
            return Ok(());
        }
        self.items_one_by_one(numbers, workshop, items)
    }

    fn items_one_by_one(
        &self,
        numbers: &[ItemNumber],
        workshop: &mut Workshop,
        items: &mut [Item],
    ) -> Result<(), TooLong> {
        let mut last: Option<(ItemNumber, Item)> = None;
        for (number, item) in numbers.iter().zip(items) {
            match &last {
                Some((made, same)) if made == number => *item = *same,
                _ => {
                    *item = *self.item(*number, workshop)?;
                    last = Some((*number, *item));
                }
            }
        }
        Ok(())
    }

    /// The state of an item after the program has run.
    fn run(&self, number: ItemNumber, machine: &mut Machine, state: &mut State) -> Result<(), TooLong> {
        self.states.start(u64::from(number.0), state);
        let window =
            self.image[number.index() % WINDOWS..].first_chunk().expect("windows end inside the image");
        machine.run(&self.program, window, state, ITEM_CYCLES)
    }
}

/// What the table of a seed takes, in instructions of its program: those of all runs that it needs, one for each window
/// or, where items differ by more than their windows, one for each item.
pub fn table_cost(seed: &[u8; 64], workshop: &mut Workshop) -> Result<u64, BadProgram> {
    let (program_seed, _) = split_seed(seed);
    let program = &mut workshop.update_program;
    program.replace(workshop.generator.generate(program_seed)?)?;
    let runs = if program.reads_first_word() { TABLE_ITEMS } else { WINDOWS };
    Ok(runs as u64 * program.cost())
}

/// The two halves of a seed.
fn split_seed(seed: &[u8; 64]) -> (&[u8; 32], &[u8; 32]) {
    let (first, rest) = seed.split_first_chunk().expect("32 of 64 bytes");
    (first, rest.first_chunk().expect("the other 32 bytes"))
}

/// The last step of making an item.
fn seal(state: &mut State) {
    state.make_fuzzable();
    state.crypt_keeping(ITEM_PART);
}

/// All items of a recipe.
#[derive(Debug)]
pub struct Table(Memory);

impl Default for Table {
    fn default() -> Self {
        Self(Memory::new(TABLE_ITEMS * ITEM_SIZE).expect("address space for 8 MiB"))
    }
}

/// Why a table was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableFault {
    /// The program runs for too long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// It was asked to stop.
    #[error("stopped before the table was made")]
    Stopped,
}

impl Table {
    /// Makes all items of a recipe, in place of those of another. After an error the items are unspecified. Looks at
    /// `stop` every few milliseconds.
    pub fn fill(
        &mut self,
        recipe: &Recipe,
        workshop: &mut Workshop,
        stop: &AtomicBool,
    ) -> Result<(), TableFault> {
        make_all(recipe, workshop, stop, self.items_mut(), |number| number, |_, _| ())
    }

    /// Makes all items of a recipe and hands them out, some at a time with the number of the first of them, in any order.
    /// For the rest as [`Table::fill`], but no item stays: what is here afterwards is unspecified.
    ///
    /// So they are seen while the nearest caches hold them, and do not go to memory.
    pub fn hand_out(
        &mut self,
        recipe: &Recipe,
        workshop: &mut Workshop,
        stop: &AtomicBool,
        made: impl FnMut(usize, &[Item]),
    ) -> Result<(), TableFault> {
        make_all(recipe, workshop, stop, self.items_mut(), |_| 0, made)
    }

    /// The table of version 0 (3.1), whose items need no program.
    pub fn fill_version_0(&mut self, seed: &[u8; 32]) {
        for (number, item) in ItemNumber::all().zip(self.items_mut()) {
            *item = memohash_item(seed, number);
        }
    }

    /// One item.
    pub fn item(&self, number: ItemNumber) -> &Item {
        &self.items()[number.index()]
    }

    /// All items in order.
    pub fn items(&self) -> &[Item] {
        self.0.bytes().as_chunks().0
    }

    fn items_mut(&mut self) -> &mut [Item] {
        self.0.bytes_mut().as_chunks_mut().0
    }
}

/// Makes all items of a table, [`BATCH_MAX`] of them at most at a time: item `number` and those behind it at the place in
/// `items` that `place_of` gives for it. Those that are made go to `made`, with the number of the first.
fn make_all(
    recipe: &Recipe,
    workshop: &mut Workshop,
    stop: &AtomicBool,
    items: &mut [Item],
    place_of: impl Fn(usize) -> usize,
    mut made: impl FnMut(usize, &[Item]),
) -> Result<(), TableFault> {
    // Items whose numbers are a multiple of 1792 apart have the same memory window and states that differ only
    // in word 0. A program that does not read that word treats them alike, and adds the same to it: so one run
    // gives them all. About one program in fifteen reads it.
    let shared_runs = !recipe.program.reads_first_word();
    if let (Some(lanes), Some(source)) = (&mut workshop.lanes, recipe.for_lanes()) {
        const { assert!(WINDOWS.is_multiple_of(BATCH_MAX) && TABLE_ITEMS.is_multiple_of(BATCH_MAX)) };
        let run_numbers = if shared_runs { WINDOWS } else { TABLE_ITEMS };
        for first in (0..run_numbers).step_by(BATCH_MAX) {
            if stop.load(Ordering::Relaxed) {
                return Err(TableFault::Stopped);
            }
            let numbers: [usize; BATCH_MAX] = std::array::from_fn(|offset| first + offset);
            lanes.run(source, &numbers);
            for number in (first..TABLE_ITEMS).step_by(run_numbers) {
                let items = &mut items[place_of(number)..][..BATCH_MAX];
                lanes.seal(number - first, items);
                made(number, items);
            }
        }
        return Ok(());
    }
    let Workshop { machine, state, .. } = workshop;
    let mut sealed = State::default();
    for first in 0..WINDOWS {
        if first.is_multiple_of(64) && stop.load(Ordering::Relaxed) {
            return Err(TableFault::Stopped);
        }
        for number in (first..TABLE_ITEMS).step_by(WINDOWS) {
            if number == first || !shared_runs {
                recipe.run(ItemNumber(number as u16), machine, state)?;
                sealed.clone_from(state);
            } else {
                sealed.clone_from(state);
                add_to_first_word(&mut sealed, (number - first) as u32);
            }
            seal(&mut sealed);
            let item = &mut items[place_of(number)];
            *item = *sealed.item_part();
            made(number, std::slice::from_ref(item));
        }
    }
    Ok(())
}

fn add_to_first_word(state: &mut State, difference: u32) {
    let word = &mut state.as_bytes_mut().as_chunks_mut().0[0];
    *word = u32::from_le_bytes(*word).wrapping_add(difference).to_le_bytes();
}

/// An item of version 0 (3.1): sixteen hashes in a chain, each then twice replaced by the hash of its predecessor and
/// one that the predecessor picks.
pub fn memohash_item(seed: &[u8; 32], number: ItemNumber) -> Item {
    const PARTS: usize = 16;
    let mut parts = [[0; 64]; PARTS];
    expand(seed, number.0.into(), &mut parts[0]);
    for part in 1..PARTS {
        parts[part] = blake2b_512(&[&parts[part - 1]]);
    }
    for _ in 0..2 {
        for part in 0..PARTS {
            let previous = &parts[(part + PARTS - 1) % PARTS];
            let random = u32::from_le_bytes(*previous.first_chunk().expect("4 of 64 bytes"));
            let picked = (part + (random % (PARTS as u32 - 1)) as usize) % PARTS;
            parts[part] = blake2b_512(&[previous, &parts[picked]]);
        }
    }
    let mut item = [0; ITEM_SIZE];
    item.copy_from_slice(parts.as_flattened());
    item
}

/// Why an update of version 0 failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateFault {
    /// The item makes no program.
    #[error(transparent)]
    BadProgram(#[from] BadProgram),
    /// The item's program runs for too long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// The update of version 0 (6.6): before it takes in the item, the state goes through a program that the item makes.
pub fn update_version_0(state: &mut State, item: &Item, workshop: &mut Workshop) -> Result<(), UpdateFault> {
    let Workshop { generator, machine, update_program, .. } = workshop;
    let seed = item.last_chunk().expect("32 of 1024 bytes");
    update_program.replace(generator.generate(seed).map_err(BadProgram::from)?).map_err(BadProgram::from)?;
    let mut memory = [0; HALF];
    for (word, bytes) in memory.iter_mut().zip(item.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    machine.run(update_program, &memory, state, VERSION_0_UPDATE_CYCLES)?;
    state.update(item);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items_are_those_made_one_by_one(recipe: &Recipe) {
        let mut workshop = Workshop::new();
        let mut table = Table::default();
        table.fill(recipe, &mut workshop, &AtomicBool::new(false)).unwrap();
        for number in [0, 1, 5, 1791, 1792, 1797, 3584, 7167, 7168, 8191] {
            let number = ItemNumber::new(number).unwrap();
            assert!(table.item(number) == recipe.item(number, &mut workshop).unwrap(), "item {number:?}");
        }
    }

    fn recipe_where(reads_first_word: bool) -> Recipe {
        let mut workshop = Workshop::new();
        let mut recipes = (0..255).map(|seed| Recipe::new(&[seed; 64], &mut workshop).unwrap());
        recipes.find(|recipe| recipe.program().reads_first_word() == reads_first_word).unwrap()
    }

    #[test]
    fn a_table_of_shared_runs_holds_the_items_made_one_by_one() {
        items_are_those_made_one_by_one(&recipe_where(false));
    }

    #[test]
    fn a_table_of_a_program_that_reads_the_number_holds_the_items_made_one_by_one() {
        items_are_those_made_one_by_one(&recipe_where(true));
    }

    #[test]
    fn all_items_of_a_table_are_the_same_on_every_backend() {
        for reads_first_word in [false, true] {
            let seed = (0..255).map(|seed| [seed; 64]).find(|seed| {
                let recipe = Recipe::new(seed, &mut Workshop::on(Backend::Plain)).unwrap();
                recipe.program().reads_first_word() == reads_first_word
            });
            let mut tables = Backend::ALL.map(|backend| {
                let (mut workshop, mut table) = (Workshop::on(backend), Table::default());
                let recipe = Recipe::new(&seed.unwrap(), &mut workshop).unwrap();
                table.fill(&recipe, &mut workshop, &AtomicBool::new(false)).unwrap();
                table
            });
            let (plain, others) = tables.split_first_mut().unwrap();
            for table in others {
                assert!(table.items() == plain.items());
            }
        }
    }

    #[test]
    fn items_are_handed_out_as_they_would_be_kept() {
        let recipe = recipe_where(true);
        for backend in Backend::ALL {
            let (mut workshop, mut table) = (Workshop::on(backend), Table::default());
            table.fill(&recipe, &mut workshop, &AtomicBool::new(false)).unwrap();
            let mut handed_out = vec![None; TABLE_ITEMS];
            let take = |first: usize, items: &[Item]| {
                for (place, item) in handed_out[first..].iter_mut().zip(items) {
                    assert!(place.replace(*item).is_none(), "each comes once");
                }
            };
            Table::default().hand_out(&recipe, &mut workshop, &AtomicBool::new(false), take).unwrap();
            assert!(handed_out.iter().flatten().eq(table.items()));
        }
    }

    #[test]
    fn pitfall_8_memory_windows_show_the_code() {
        let recipe = recipe_where(false);
        assert_eq!(recipe.image()[0] & 0xff, 66, "the image begins with the first LOOP");
        let mut without_code = recipe.clone();
        without_code.image[..recipe.program().len()].fill(0);
        let mut workshop = Workshop::new();
        let number = ItemNumber(0);
        let item = *recipe.item(number, &mut workshop).unwrap();
        assert!(item != *without_code.item(number, &mut workshop).unwrap());
    }

    #[test]
    fn a_table_is_not_finished_when_told_to_stop() {
        let outcome =
            Table::default().fill(&recipe_where(false), &mut Workshop::new(), &AtomicBool::new(true));
        assert_eq!(outcome, Err(TableFault::Stopped));
    }
}
