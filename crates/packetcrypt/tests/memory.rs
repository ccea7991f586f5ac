//! What a miner's thread keeps in memory: at most 24 MiB beside the announcements that blocks are mined with.
//!
//! The allocator of this program counts. What is mapped, a table's items, is added.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use packetcrypt::backend::Backend;
use packetcrypt::block::Header;
use packetcrypt::block::mine::{BlockJob, MiningSet, SIDE_BY_SIDE};
use packetcrypt::item::{ITEM_SIZE, TABLE_ITEMS};
use packetcrypt::mine::Miner;
use packetcrypt::{AnnouncementHash, AnnouncementHeader, BlockHash, CanonicalTarget, CompactTarget, Height};

const LIMIT: usize = 24 << 20;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: the system's allocator, and numbers beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// One test for all, since allocations of others would be counted too.
#[test]
fn a_miner_keeps_at_most_24_mebibytes_on_every_backend() {
    for backend in Backend::ALL.into_iter().filter(|backend| backend.is_supported()) {
        let before = ALLOCATED.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let mut miner = Miner::on(backend);
        let mut found = 0;
        for hard_nonce in 0..2 {
            let header = AnnouncementHeader {
                version: 1,
                hard_nonce,
                work_bits: CompactTarget(0x207f_ffff),
                parent_height: Height(200_000),
                content_type: 0,
                content_length: 0,
                content_hash: [0; 32],
                signing_key: None,
            };
            let parent = BlockHash::from_internal([7; 32]);
            let mut hard_nonces = hard_nonce..;
            let next = || hard_nonces.next().unwrap();
            let mut job = miner.choose(&header, &parent, next, &AtomicBool::new(false)).unwrap();
            job.attempt(0..300, |_| found += 1);
        }
        assert!(found > 0);
        let most = MOST.load(Ordering::Relaxed) - before + TABLE_ITEMS * ITEM_SIZE;
        assert!(most <= LIMIT, "{backend}, announcements: {most} bytes");
        drop(miner);

        let entries = (0..9).map(|slot| (AnnouncementHash([slot as u8; 32]), slot)).collect();
        let set = MiningSet::build(entries, CanonicalTarget::EASIEST).unwrap();
        let store = vec![[7; 1024]; 9];
        let before = ALLOCATED.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let header = Header::from_bytes(&[5; 80]);
        let mut job = BlockJob::on(backend, &header, &set, &store, CompactTarget(0x207f_ffff));
        let mut finds = Vec::new();
        job.attempt(0, 4 * SIDE_BY_SIDE, &mut finds);
        assert!(!finds.is_empty());
        let most = MOST.load(Ordering::Relaxed) - before;
        assert!(most <= LIMIT, "{backend}, blocks: {most} bytes");
    }
}
