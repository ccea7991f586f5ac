//! How fast shares and blocks are mined, and how fast a set of announcements is made ready for it.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use packetcrypt::{
    AnnouncementHash, BlockHash, CompactTarget, Height,
    block::{Header, high_nonce::cheapest, mine::BlockJob},
    hash::blake2b_256_many,
};
use rand::Rng;

use super::{
    Elapsed, Progress, Trial,
    stopwatch::{per_second, processor_time, run},
};
use crate::{
    blocks::{
        preparation::prepare,
        store::{ClassKey, Insertion, Pages, Store, bytes_in_huge_pages},
    },
    pool_client::{HandlerList, KnownBlock, KnownChain},
};

/// Announcements that are made and stored together.
const TOGETHER: usize = 1024;
/// Low nonces between two looks at the time.
const ATTEMPTS_TOGETHER: u32 = 1024;
/// Work bits of the announcements; they need not be true here.
const WORK_BITS: CompactTarget = CompactTarget(0x2000_ffff);
/// A chain so young that announcements need not be mature.
const HEIGHT: Height = Height(2);
const PARENT: Height = Height(0);

/// What came of a measurement.
#[derive(Debug, Clone)]
pub struct BlockSpeed {
    /// Attempts that were made.
    pub attempts: u64,
    /// Time of all threads for them.
    pub elapsed: Elapsed,
    /// Announcements that were mined with.
    pub announcements: u64,
    /// Processor time to hash them all.
    pub hashing: Duration,
    /// Processor time to put them into the store by class.
    pub storing: Duration,
    /// Processor time to choose them, to put them into order, and to build the tree.
    pub tree: Duration,
    /// What they lay in.
    pub pages: Option<Pages>,
    /// How much of it was in huge pages, where the system tells.
    pub in_huge_pages: Option<u64>,
}

impl BlockSpeed {
    /// Attempts per second of processor time.
    pub fn attempts(&self) -> f64 {
        per_second(self.attempts, self.elapsed.processor)
    }

    /// Attempts of all threads per second of the clock.
    pub fn attempts_in_all(&self) -> f64 {
        per_second(self.attempts, self.elapsed.clock)
    }

    /// Seconds that a step took for each million of announcements.
    pub fn seconds_per_million(&self, step: Duration) -> f64 {
        step.as_secs_f64() * 1e6 / (self.announcements.max(1)) as f64
    }
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
#[error("{0} bytes of memory hold no announcements, or the system does not give so much")]
pub struct NoAnnouncements(usize);

/// Mines with as many made-up announcements as there is room for in `memory` bytes.
pub fn measure(trial: &Trial, memory: usize, progress: &Progress<'_>) -> Result<BlockSpeed, NoAnnouncements> {
    let filled = Filled::new(memory, progress);
    let began = processor_time();
    let prepared = prepare(&filled.store, HEIGHT, u64::MAX).ok_or(NoAnnouncements(memory))?;
    let tree = processor_time().saturating_sub(began);
    progress("building the tree", 1.0);
    let pages = filled.store.lock().unwrap_or_else(PoisonError::into_inner).pages();
    let in_huge_pages = bytes_in_huge_pages();

    let (attempts, elapsed) = run(trial, "mining blocks", progress, |number, over| {
        let header = Header { nonce: number as u32, ..Header::from_bytes(&[0x5a; 80]) };
        let header = cheapest(&header, trial.placement.threads.get() as u32);
        let mut job = BlockJob::new(&header, &prepared.set, &*prepared.announcements, CompactTarget(0));
        let (mut finds, mut attempts) = (Vec::new(), 0);
        for start in (0..=u32::MAX).step_by(ATTEMPTS_TOGETHER as usize) {
            job.attempt(start, ATTEMPTS_TOGETHER, &mut finds);
            attempts += u64::from(ATTEMPTS_TOGETHER);
            if over.load(Relaxed) {
                break;
            }
        }
        attempts
    });
    Ok(BlockSpeed {
        attempts: attempts.into_iter().sum(),
        elapsed,
        announcements: prepared.set.commitment().count.get(),
        hashing: filled.hashing,
        storing: filled.storing,
        tree,
        pages,
        in_huge_pages,
    })
}

/// A store that is full, and the time that filling it took.
struct Filled {
    store: Mutex<Store>,
    hashing: Duration,
    storing: Duration,
}

impl Filled {
    fn new(memory: usize, progress: &Progress<'_>) -> Self {
        let mut store = Store::new(memory);
        store.set_chain(HEIGHT, &KnownChain::of_one_block(parent()));
        let (mut hashing, mut storing) = (Duration::ZERO, Duration::ZERO);
        let mut announcements = vec![[0; 1024]; TOGETHER];
        rand::rng().fill_bytes(announcements.as_flattened_mut());
        let mut hashes = vec![[0; 32]; TOGETHER];
        let key = ClassKey::new(PARENT, WORK_BITS);
        for number in 0.. {
            progress("storing announcements", store.len() as f64 / store.capacity().max(1) as f64);
            for announcement in &mut announcements {
                // Different from all before is random enough.
                announcement[..8].copy_from_slice(&u64::to_le_bytes(number));
            }
            let began = processor_time();
            blake2b_256_many(&announcements, &mut hashes);
            let hashed = processor_time();
            let mut insertions = announcements
                .iter()
                .zip(&hashes)
                .map(|(announcement, hash)| store.insert(key, AnnouncementHash(*hash), announcement));
            let full = insertions.any(|insertion| insertion == Insertion::Useless);
            hashing += hashed.saturating_sub(began);
            storing += processor_time().saturating_sub(hashed);
            if full {
                break;
            }
        }
        Self { store: Mutex::new(store), hashing, storing }
    }
}

fn parent() -> KnownBlock {
    KnownBlock {
        hash: BlockHash::from_internal([0x5a; 32]),
        height: PARENT,
        previous: BlockHash::default(),
        signing_key: None,
        handlers: Arc::new(HandlerList::default()),
    }
}
