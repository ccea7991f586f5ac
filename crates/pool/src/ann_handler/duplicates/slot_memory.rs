//! Memory for slots, in huge pages where the system gives them.
//!
//! Each announcement reads a slot at a random place. With pages of 4 KiB nearly every such read also misses the
//! processor's table of pages, which takes as long again as the read itself.

use std::alloc::{Layout, handle_alloc_error};
use std::ops::Range;

use memmap2::{MmapMut, MmapOptions};

/// A slot: a prefix, or zeros.
pub(super) type Slot = [u8; 8];

#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;

/// Slots, empty at first. Those that were never touched cost nothing.
#[derive(Debug, Default)]
pub(super) struct SlotMemory {
    map: Option<MmapMut>,
    used: Range<usize>,
}

impl SlotMemory {
    /// So many slots. Ends the process where the system has no memory left, as every allocation does.
    pub(super) fn new(slots: usize) -> Self {
        let bytes = slots * size_of::<Slot>();
        map(bytes).unwrap_or_else(|_| {
            handle_alloc_error(Layout::array::<Slot>(slots).unwrap_or(Layout::new::<Slot>()))
        })
    }

    pub(super) fn all(&self) -> &[Slot] {
        let bytes = self.map.as_ref().and_then(|map| map.get(self.used.clone()));
        bytes.unwrap_or_default().as_chunks().0
    }

    pub(super) fn all_mut(&mut self) -> &mut [Slot] {
        let bytes = self.map.as_mut().and_then(|map| map.get_mut(self.used.clone()));
        bytes.unwrap_or_default().as_chunks_mut().0
    }
}

#[cfg(target_os = "linux")]
fn map(bytes: usize) -> std::io::Result<SlotMemory> {
    if bytes < HUGE_PAGE {
        return ordinary(bytes);
    }
    // A huge page begins at a multiple of its size; what is mapped around it is never touched.
    let map = MmapOptions::new().len(bytes + HUGE_PAGE).map_anon()?;
    let start = map.as_ptr().align_offset(HUGE_PAGE);
    // The rest lies in ordinary pages: a huge one would be larger. Where the system does not heed the advice the memory
    // is as good, only slower.
    let _ = map.advise_range(memmap2::Advice::HugePage, start, bytes / HUGE_PAGE * HUGE_PAGE);
    Ok(SlotMemory { map: Some(map), used: start..start + bytes })
}

#[cfg(not(target_os = "linux"))]
fn map(bytes: usize) -> std::io::Result<SlotMemory> {
    ordinary(bytes)
}

fn ordinary(bytes: usize) -> std::io::Result<SlotMemory> {
    // A mapping cannot be empty.
    let map = MmapOptions::new().len(bytes.max(1)).map_anon()?;
    Ok(SlotMemory { map: Some(map), used: 0..bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_slots_as_asked_for_and_they_are_empty() {
        assert!(SlotMemory::default().all().is_empty());
        for slots in [0, 1, 1000, (2 << 20) / 8 - 1, (2 << 20) / 8, 700_001] {
            let mut memory = SlotMemory::new(slots);
            assert_eq!(memory.all().len(), slots);
            assert!(memory.all().iter().all(|slot| *slot == Slot::default()));
            memory.all_mut().fill([7; 8]);
            assert!(memory.all().iter().all(|slot| *slot == [7; 8]));
        }
    }
}
