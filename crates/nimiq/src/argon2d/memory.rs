//! The memory of two hashes.

use memmap2::MmapMut;

use super::BLOCKS;

/// 1 KiB of an area as words. In which order they stand is the kernel's choice, but word 0 is first.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Block(pub(super) [u64; 128]);

/// The blocks of one hash.
pub(super) type Area = [Block; BLOCKS];

/// Areas in one memory: both stay in the processor's second cache.
pub(super) const AREAS: usize = 2;

const HUGE_PAGE: usize = 2 << 20;

/// Two areas, in one huge page where the system gives one: with 256 small pages, the second cache holds them badly and
/// every other block costs a page walk.
#[derive(Debug)]
pub(super) struct Memory(MmapMut);

impl Memory {
    pub(super) fn new() -> Self {
        // Twice the size: a huge page lies somewhere inside, and what is not touched costs nothing.
        let map = MmapMut::map_anon(2 * HUGE_PAGE).expect("address space for 4 MiB");
        // Small pages are slower, and right as well.
        #[cfg(target_os = "linux")]
        let _small_pages = map.advise(memmap2::Advice::HugePage).is_err();
        Self(map)
    }

    pub(super) fn areas(&mut self) -> [&mut Area; AREAS] {
        let start = self.0.as_ptr().align_offset(HUGE_PAGE);
        let bytes = &mut self.0[start..start + size_of::<[Area; AREAS]>()];
        // SAFETY: any bytes are a `Block`.
        let (before, areas, after) = unsafe { bytes.align_to_mut::<Area>() };
        assert!(before.is_empty() && after.is_empty(), "a page starts on a multiple of a block's alignment");
        let areas: &mut [Area; AREAS] = areas.try_into().expect("as many bytes as the areas have");
        areas.each_mut()
    }
}
