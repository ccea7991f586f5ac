//! Memory for announcements and items, in huge pages where the system gives them.
//!
//! Each attempt reads 1 KiB at three random places. With pages of 4 KiB nearly every such read also misses the
//! processor's table of pages: in gigabytes of announcements that costs several times what the read itself does, in the
//! megabytes of a table a twentieth of the speed. So memory is asked for, in this order: from the huge pages that the
//! operator has set aside (`vm.nr_hugepages`); as ordinary memory that the system may back with huge pages by itself;
//! and without any of that, mining is slower but not wrong.

use std::{fmt, ops::Range};

use memmap2::{MmapMut, MmapOptions};
use serde::Serialize;

/// Bytes of a huge page.
pub const HUGE_PAGE: usize = 2 << 20;
#[cfg(target_os = "linux")]
const HUGE_PAGE_BITS: u8 = HUGE_PAGE.ilog2() as u8;

/// What kind of pages a piece of memory has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pages {
    /// Of 4 KiB.
    Ordinary,
    /// Huge, as far as the system finds room for them.
    Transparent,
    /// Huge, out of those that were set aside.
    Reserved,
}

impl fmt::Display for Pages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ordinary => "ordinary pages",
            Self::Transparent => "transparent huge pages",
            Self::Reserved => "reserved huge pages",
        })
    }
}

/// A mapping of its own, full of zeros at first. Untouched ordinary memory costs nothing.
#[derive(Debug)]
pub struct Memory {
    map: MmapMut,
    used: Range<usize>,
    pages: Pages,
}

impl Memory {
    /// Room for `bytes`.
    pub fn new(bytes: usize) -> std::io::Result<Self> {
        if bytes < HUGE_PAGE {
            return Self::ordinary(bytes);
        }
        Self::reserved(bytes).or_else(|_| Self::transparent(bytes))
    }

    /// Room for `bytes` that takes no more than they are: the end lies in ordinary pages, and what was set aside is
    /// left to others.
    pub fn exact(bytes: usize) -> std::io::Result<Self> {
        if bytes < HUGE_PAGE { Self::ordinary(bytes) } else { Self::transparent(bytes) }
    }

    /// What kind of pages it has.
    pub fn pages(&self) -> Pages {
        self.pages
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.map.get(self.used.clone()).unwrap_or_default()
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.map.get_mut(self.used.clone()).unwrap_or_default()
    }

    fn ordinary(bytes: usize) -> std::io::Result<Self> {
        // A mapping cannot be empty.
        let map = MmapOptions::new().len(bytes.max(1)).map_anon()?;
        Ok(Self { map, used: 0..bytes, pages: Pages::Ordinary })
    }

    #[cfg(target_os = "linux")]
    fn reserved(bytes: usize) -> std::io::Result<Self> {
        let whole = bytes.next_multiple_of(HUGE_PAGE);
        let map = MmapOptions::new().len(whole).huge(Some(HUGE_PAGE_BITS)).map_anon()?;
        Ok(Self { map, used: 0..bytes, pages: Pages::Reserved })
    }

    #[cfg(not(target_os = "linux"))]
    fn reserved(_: usize) -> std::io::Result<Self> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    #[cfg(target_os = "linux")]
    fn transparent(bytes: usize) -> std::io::Result<Self> {
        // A huge page begins at a multiple of its size; what is mapped around it is never touched.
        let map = MmapOptions::new().len(bytes + HUGE_PAGE).map_anon()?;
        let start = map.as_ptr().align_offset(HUGE_PAGE);
        let whole = bytes / HUGE_PAGE * HUGE_PAGE;
        let advised = map.advise_range(memmap2::Advice::HugePage, start, whole).is_ok();
        let advised = advised && transparent_pages_are_on();
        let pages = if advised { Pages::Transparent } else { Pages::Ordinary };
        Ok(Self { map, used: start..start + bytes, pages })
    }

    #[cfg(not(target_os = "linux"))]
    fn transparent(bytes: usize) -> std::io::Result<Self> {
        Self::ordinary(bytes)
    }
}

/// Whether the system heeds the advice: it takes it also where huge pages are switched off.
#[cfg(target_os = "linux")]
fn transparent_pages_are_on() -> bool {
    use std::sync::OnceLock;
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| {
        let setting = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
        setting.is_ok_and(|setting| !setting.contains("[never]"))
    })
}

/// Bytes of this process that lie in huge pages, of whatever kind; `None` where the system does not tell.
///
/// The system goes through all pages for this: not more often than every few minutes with much memory.
pub fn bytes_in_huge_pages() -> Option<u64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let kibibytes = rollup.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        matches!(name, "AnonHugePages" | "Private_Hugetlb").then(|| value.trim().strip_suffix(" kB"))?
    });
    kibibytes.map(|number| Some(number.trim().parse::<u64>().ok()? << 10)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_the_size_that_was_asked_for_and_is_zero() {
        for bytes in [0, 1, HUGE_PAGE - 1, HUGE_PAGE, HUGE_PAGE + 1024, 3 * HUGE_PAGE] {
            assert_eq!(Memory::exact(bytes).unwrap().bytes(), vec![0; bytes]);
            let mut memory = Memory::new(bytes).unwrap();
            assert_eq!(memory.bytes().len(), bytes);
            assert!(memory.bytes().iter().all(|byte| *byte == 0));
            memory.bytes_mut().fill(7);
            assert!(memory.bytes().iter().all(|byte| *byte == 7));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn without_reserved_pages_memory_lies_where_huge_pages_can() {
        let memory = Memory::transparent(2 * HUGE_PAGE + 5).unwrap();
        assert_eq!(memory.bytes().as_ptr().align_offset(HUGE_PAGE), 0);
        assert_ne!(memory.pages(), Pages::Reserved);
    }

    #[test]
    fn small_memory_has_ordinary_pages() {
        assert_eq!(Memory::new(4096).unwrap().pages(), Pages::Ordinary);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_what_lies_in_huge_pages() {
        assert!(bytes_in_huge_pages().is_some());
    }
}
