//! The library's proof of work in the pieces that miners repeat, and how long they take.

use packetcrypt::hash::expand;
use packetcrypt_sys::{PacketCrypt_ValidateCtx_t, ValidateCtx_create, ValidateCtx_destroy};

type Item = [u8; 1024];
type Node = [u8; 64];

/// The library's state, which it wants aligned.
#[repr(C, align(64))]
struct State([u8; 2048]);

unsafe extern "C" {
    fn CryptoCycle_init(state: *mut State, seed: *const [u8; 32], nonce: u64);
    fn CryptoCycle_update(state: *mut State, item: *const Item) -> bool;
    fn CryptoCycle_smul(state: *mut State);
    fn CryptoCycle_final(state: *mut State);
    fn Announce_createProg(context: *mut PacketCrypt_ValidateCtx_t, seed: *const [u8; 32]) -> i32;
    fn Announce_mkitem2(
        number: u64,
        item: *mut Item,
        seed: *const [u8; 32],
        context: *mut PacketCrypt_ValidateCtx_t,
    ) -> i32;
    fn AnnMerkle__build(depth: i32, nodes: *mut Node, items: *const Item, item_size: i32);
}

/// Items of a table; the depth of the tree over them.
const TABLE: usize = 8192;
const TREE_DEPTH: i32 = 13;

/// Seeds whose attempts are measured, and attempts with each. The first pass is alike for all attempts of a seed, and so
/// seeds differ by a fifth.
const SEEDS: u32 = 256;
const NONCES: u32 = 32;

/// Programs whose items are measured, and items of each.
const PROGRAMS: u32 = 96;
const ITEMS: usize = 128;

/// Processor time of this thread.
pub fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn random_items(count: usize) -> Vec<Item> {
    let mut items = vec![[0; 1024]; count];
    items.iter_mut().zip(0..).for_each(|(item, number)| expand(&[1; 32], number, item));
    items
}

fn seed(number: u32) -> [u8; 32] {
    let mut seed = [0; 32];
    expand(&[2; 32], number, &mut seed);
    seed
}

/// Seconds for one hash with items from this store.
fn seconds_for_hash(items: &[Item], multiplies: bool) -> f64 {
    packetcrypt_sys::init();
    let mut state = State([0; 2048]);
    let start = processor_seconds();
    for seed in (0..SEEDS).map(seed) {
        for nonce in 0..NONCES {
            // SAFETY: the state is 2048 bytes and aligned, the seed 32, and an item 1024.
            unsafe {
                CryptoCycle_init(&raw mut state, &raw const seed, nonce.into());
                for _ in 0..4 {
                    let number = u64::from_le_bytes(*state.0[16..].first_chunk().expect("8 bytes"));
                    CryptoCycle_update(&raw mut state, &raw const items[number as usize % items.len()]);
                }
                if multiplies {
                    CryptoCycle_smul(&raw mut state);
                }
                CryptoCycle_final(&raw mut state);
            }
        }
    }
    (processor_seconds() - start) / f64::from(SEEDS * NONCES)
}

/// Attempts at announcements, over a table of random items.
pub struct Attempts(Vec<Item>);

impl Default for Attempts {
    fn default() -> Self {
        Self(random_items(TABLE))
    }
}

impl Attempts {
    /// Seconds for one.
    pub fn seconds(&self) -> f64 {
        seconds_for_hash(&self.0, false)
    }
}

/// Block hashes, over a quarter of a gigabyte of announcements: four fifths of the library's time go to arithmetic, so
/// more memory would make little difference.
pub struct BlockHashes(Vec<Item>);

impl Default for BlockHashes {
    fn default() -> Self {
        Self(random_items((1 << 18) - 1))
    }
}

impl BlockHashes {
    /// Seconds for one.
    pub fn seconds(&self) -> f64 {
        seconds_for_hash(&self.0, true)
    }
}

/// What a new hard nonce takes before the first attempt: two tables and a tree.
pub struct HardNonces {
    context: *mut PacketCrypt_ValidateCtx_t,
    items: Vec<Item>,
    nodes: Vec<Node>,
}

impl Default for HardNonces {
    fn default() -> Self {
        packetcrypt_sys::init();
        // SAFETY: takes nothing, gives a context that is ours.
        let context = unsafe { ValidateCtx_create() };
        Self { context, items: random_items(TABLE), nodes: vec![[0; 64]; 2 * TABLE] }
    }
}

impl Drop for HardNonces {
    fn drop(&mut self) {
        // SAFETY: made by `ValidateCtx_create`, not given back before.
        unsafe { ValidateCtx_destroy(self.context) }
    }
}

impl HardNonces {
    /// Seconds for one: from some items of many programs, since programs differ by a factor of four.
    pub fn seconds(&mut self) -> f64 {
        let start = processor_seconds();
        // SAFETY: there are 8192 items of 1024 bytes, and places for 16383 nodes of 64.
        unsafe { AnnMerkle__build(TREE_DEPTH, self.nodes.as_mut_ptr(), self.items.as_ptr(), 1024) };
        let tree = processor_seconds() - start;
        let (mut programs, mut items) = (0.0, 0.0);
        for seed in (0..PROGRAMS).map(seed) {
            let start = processor_seconds();
            // SAFETY: the context is ours and the seed 32 bytes.
            let made = unsafe { Announce_createProg(self.context, &raw const seed) };
            let program_made = processor_seconds();
            if made != 0 {
                continue;
            }
            for number in 0..ITEMS {
                // SAFETY: as above; an item is 1024 bytes.
                unsafe {
                    let item = &raw mut self.items[number];
                    Announce_mkitem2(61 * number as u64, item, &raw const seed, self.context);
                }
            }
            items += processor_seconds() - program_made;
            programs += program_made - start;
        }
        let table =
            programs / f64::from(PROGRAMS) + TABLE as f64 * items / (f64::from(PROGRAMS) * ITEMS as f64);
        2.0 * table + tree
    }
}
