//! Every kernel on buffers that end, or begin, beside a page that nobody may touch: an access outside of a buffer is a
//! fault that ends the test.
//!
//! The allocator of this program gives every allocation a mapping of its own, so that buffers have exactly their size.
//! The kernels run as everyone runs them; what comes out is compared with the plain path.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::alloc::{GlobalAlloc, Layout};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

use packetcrypt::announcement::ANNOUNCEMENT_SIZE;
use packetcrypt::backend::Backend;
use packetcrypt::check::{AnnouncementToCheck, Checker, ProofVersion, Rules};
use packetcrypt::crypto_cycle::{BATCH_MAX, BEHIND_ITEM, Batch, Opening, Template, WHOLE};
use packetcrypt::hash::{blake2b_256, blake2b_256_many, blake2b_512, blake2b_512_many, expand};
use packetcrypt::item::{ItemNumber, Recipe, Table, Workshop};
use packetcrypt::mine::Miner;
use packetcrypt::{Announcement, AnnouncementHeader, BlockHash, CompactTarget, Height, WorkHash};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

const PAGE: usize = 4096;

/// Whether buffers begin behind a guard page; else they end in front of one, as closely as their alignment allows.
static AT_THE_BEGINNING: AtomicBool = AtomicBool::new(false);

struct Guarded;

#[global_allocator]
static ALLOCATOR: Guarded = Guarded;

// SAFETY: every allocation is a mapping of its own, of a guard page, as many pages as the layout needs, and another
// guard page. The pointer lies in the first of the pages between, wherever in it the allocation begins.
unsafe impl GlobalAlloc for Guarded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let room = layout.size().next_multiple_of(PAGE);
        if layout.align() > PAGE {
            return null_mut();
        }
        // SAFETY: a new mapping, of which the part between the guard pages is opened.
        let mapped = unsafe {
            mmap_anonymous(null_mut(), room + 2 * PAGE, ProtFlags::empty(), MapFlags::PRIVATE).and_then(
                |start| {
                    let start = start.cast::<u8>().add(PAGE);
                    mprotect(start.cast(), room, MprotectFlags::READ | MprotectFlags::WRITE).map(|()| start)
                },
            )
        };
        let Ok(start) = mapped else { return null_mut() };
        let before = if AT_THE_BEGINNING.load(Ordering::Relaxed) { 0 } else { room - layout.size() };
        start.wrapping_add(before / layout.align() * layout.align())
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let start = pointer.wrapping_sub(pointer.addr() % PAGE + PAGE);
        // SAFETY: the mapping that `alloc` made for this layout.
        let done = unsafe { munmap(start.cast(), layout.size().next_multiple_of(PAGE) + 2 * PAGE) };
        debug_assert!(done.is_ok(), "a mapping of this allocator");
    }
}

/// The backends that this machine has; says which it has not.
fn backends() -> Vec<Backend> {
    let (supported, others): (Vec<_>, Vec<_>) =
        Backend::ALL.into_iter().partition(|backend| backend.is_supported());
    for backend in others {
        eprintln!("SKIPPED: this processor cannot run {backend}");
    }
    supported
}

fn noise<const LENGTH: usize>(seed: u8, number: usize) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    expand(&[seed; 32], number as u32, &mut bytes);
    bytes
}

fn same_on_every_backend<T: PartialEq>(what: &str, of: impl Fn(Backend) -> T) {
    let plain = of(Backend::Plain);
    for backend in backends() {
        assert!(of(backend) == plain, "{what} on {backend}");
    }
}

fn attempts(backend: Backend, count: usize) -> Vec<WorkHash> {
    let items: Vec<_> =
        (0..BATCH_MAX).map(|number| Box::new(noise::<ANNOUNCEMENT_SIZE>(1, number))).collect();
    let mut batch = Batch::new(backend);
    let opening = Opening::new(&Template::new(&[count as u8; 32]), &items[0]);
    batch.start(&opening, count, |index| index as u64);
    for kept in [BEHIND_ITEM, BEHIND_ITEM, WHOLE] {
        let numbers: Vec<_> =
            (0..count).map(|index| batch.item_number(index) as usize % items.len()).collect();
        batch.update(|index| &items[numbers[index]], &kept);
    }
    batch.multiply_scalars();
    let mut hashes = Box::new([WorkHash::default(); BATCH_MAX]);
    batch.finish(&mut hashes);
    hashes[..count].to_vec()
}

fn items(backend: Backend, seed: u8) -> (Vec<[u8; ANNOUNCEMENT_SIZE]>, Table) {
    let mut workshop = Workshop::on(backend);
    let recipe = Recipe::new(&[seed; 64], &mut workshop).unwrap();
    let numbers: Vec<_> = (0..33).map(|k| ItemNumber::from_random(k * 7919)).collect();
    let mut items = vec![[0; ANNOUNCEMENT_SIZE]; numbers.len()];
    recipe.items(&numbers, &mut workshop, &mut items).unwrap();
    let mut table = Table::default();
    table.fill(&recipe, &mut workshop, &AtomicBool::new(false)).unwrap();
    (items, table)
}

/// Of the chosen backend, so the tests are run once with each of them forced.
fn digests<const LENGTH: usize>() {
    for count in [1, 3, 4, 15, 16, 17, 31, 32, 33] {
        let messages: Vec<_> = (0..count).map(|number| noise::<LENGTH>(2, number)).collect();
        let (mut short, mut long) = (vec![[0; 32]; count], vec![[0; 64]; count]);
        blake2b_256_many(&messages, &mut short);
        blake2b_512_many(&messages, &mut long);
        for (message, (short, long)) in messages.iter().zip(short.iter().zip(&long)) {
            assert_eq!(*short, blake2b_256(message), "{LENGTH} bytes");
            assert_eq!(*long, blake2b_512(&[message]), "{LENGTH} bytes");
        }
    }
}

fn mined_and_checked(backend: Backend) -> usize {
    let header = AnnouncementHeader {
        version: 1,
        hard_nonce: 5,
        work_bits: CompactTarget(0x207f_ffff),
        parent_height: Height(3),
        content_type: 0,
        content_length: 0,
        content_hash: [0; 32],
        signing_key: None,
    };
    let parent = BlockHash::from_internal([5; 32]);
    let mut mined = Vec::new();
    let stop = AtomicBool::new(false);
    Miner::on(backend).mine(&header, &parent, &stop, |announcement| mined.push(announcement));
    // Each where only it is.
    let mined: Vec<Box<Announcement>> = mined.into_iter().map(Box::new).collect();
    let batch: Vec<_> =
        mined.iter().map(|announcement| AnnouncementToCheck { announcement, parent: &parent }).collect();
    let findings = Checker::on(Rules::NEW_CHAIN, backend).check(&batch, ProofVersion::CURRENT);
    findings.iter().filter(|finding| finding.is_ok()).count()
}

#[test]
fn kernels_stay_inside_their_buffers() {
    for at_the_beginning in [false, true] {
        AT_THE_BEGINNING.store(at_the_beginning, Ordering::Relaxed);
        for count in [1, 2, 7, 8, 9, 31, 33, 63, 64] {
            same_on_every_backend("attempts", |backend| attempts(backend, count));
        }
        for seed in 0..4 {
            same_on_every_backend("items", |backend| {
                let (items, table) = items(backend, seed);
                (items, table.items().to_vec())
            });
        }
        same_on_every_backend("announcements", mined_and_checked);
        digests::<1>();
        digests::<64>();
        digests::<96>();
        digests::<128>();
        digests::<1024>();
    }
}

/// Tells a child of the next test at which end to trespass.
const TRESPASS: &str = "HEADFRAME_TEST_TRESPASS";

#[test]
fn an_access_outside_a_buffer_ends_the_program() {
    const OURSELVES: &str = "an_access_outside_a_buffer_ends_the_program";
    if let Some(end) = std::env::var_os(TRESPASS) {
        let at_the_beginning = end == "beginning";
        AT_THE_BEGINNING.store(at_the_beginning, Ordering::Relaxed);
        let buffer = std::hint::black_box(Box::new([1u8; 100]));
        let outside =
            if at_the_beginning { buffer.as_ptr().wrapping_sub(1) } else { buffer.as_ptr_range().end };
        // SAFETY: none. This is the access that must not survive.
        let byte = unsafe { outside.read_volatile() };
        println!("read {byte}");
        return;
    }
    for end in ["beginning", "end"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", OURSELVES])
            .env(TRESPASS, end)
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(11), "a segmentation fault at the {end}");
    }
}
