//! A piece of announcement memory: filled once, then shared and only read.
//!
//! The reference keeps one large mapping whose slots are written again and again while miners read others. Here memory
//! is a number of mappings, each of which belongs to one class and is never changed once it is full. So mining threads
//! read without locks, and what expires goes back to the system as soon as nobody mines with it any more.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use packetcrypt::{
    AnnouncementHash,
    announcement::ANNOUNCEMENT_SIZE,
    pages::{Memory, Pages},
};

/// How many segments exist, whoever holds them.
#[derive(Debug, Default)]
pub struct SegmentCount(AtomicUsize);

impl SegmentCount {
    /// Segments that exist now.
    pub fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// Announcements of one class, with their hashes.
#[derive(Debug)]
pub struct Segment {
    memory: Memory,
    hashes: Vec<AnnouncementHash>,
    slots: usize,
    /// Copies for a mining set are short-lived and not counted.
    counted_in: Option<Arc<SegmentCount>>,
}

impl Segment {
    /// An empty one with room for `slots` announcements. Untouched memory costs nothing.
    pub fn new(slots: usize, count: &Arc<SegmentCount>) -> std::io::Result<Self> {
        let memory = Memory::new(slots * ANNOUNCEMENT_SIZE)?;
        count.0.fetch_add(1, Relaxed);
        Ok(Self { memory, hashes: Vec::new(), slots, counted_in: Some(Arc::clone(count)) })
    }

    /// A copy of what is in it now, to be mined with while this one is filled further (rule R-B3).
    pub fn copied(&self) -> std::io::Result<Self> {
        let length = self.hashes.len() * ANNOUNCEMENT_SIZE;
        let mut memory = Memory::new(length)?;
        let filled = self.memory.bytes().get(..length).unwrap_or_default();
        memory.bytes_mut().copy_from_slice(filled);
        Ok(Self { memory, hashes: self.hashes.clone(), slots: self.hashes.len(), counted_in: None })
    }

    /// Whether there is no room left.
    pub fn is_full(&self) -> bool {
        self.hashes.len() >= self.slots
    }

    /// Adds an announcement; `false` if there is no room.
    pub fn push(&mut self, hash: AnnouncementHash, announcement: &[u8; ANNOUNCEMENT_SIZE]) -> bool {
        let start = self.hashes.len() * ANNOUNCEMENT_SIZE;
        let Some(slot) = self.memory.bytes_mut().get_mut(start..start + ANNOUNCEMENT_SIZE) else {
            return false;
        };
        slot.copy_from_slice(announcement);
        self.hashes.push(hash);
        true
    }

    /// The announcement at a place from 0.
    pub fn announcement(&self, place: usize) -> Option<&[u8; ANNOUNCEMENT_SIZE]> {
        self.memory.bytes().get(place * ANNOUNCEMENT_SIZE..)?.first_chunk()
    }

    /// What kind of pages it lies in.
    pub fn pages(&self) -> Pages {
        self.memory.pages()
    }

    /// The hashes of all announcements, by place.
    pub fn hashes(&self) -> &[AnnouncementHash] {
        &self.hashes
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if let Some(count) = &self.counted_in {
            count.0.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_gives_back_what_was_put_in_and_no_more() {
        let count = Arc::new(SegmentCount::default());
        let mut segment = Segment::new(2, &count).unwrap();
        for byte in [1, 2] {
            assert!(!segment.is_full());
            assert!(segment.push(AnnouncementHash([byte; 32]), &[byte; 1024]));
        }
        assert!(segment.is_full());
        assert!(!segment.push(AnnouncementHash([3; 32]), &[3; 1024]));
        assert_eq!(segment.announcement(1), Some(&[2; 1024]));
        assert_eq!(segment.announcement(2), None);
    }

    #[test]
    fn a_copy_does_not_change_and_is_not_counted() {
        let count = Arc::new(SegmentCount::default());
        let mut segment = Segment::new(4, &count).unwrap();
        assert_eq!(segment.copied().unwrap().hashes().len(), 0);
        segment.push(AnnouncementHash([1; 32]), &[1; 1024]);
        let copy = segment.copied().unwrap();
        segment.push(AnnouncementHash([2; 32]), &[2; 1024]);
        assert_eq!(count.get(), 1);
        drop(segment);
        assert_eq!(count.get(), 0);
        assert_eq!((copy.hashes().len(), copy.announcement(0)), (1, Some(&[1; 1024])));
        assert_eq!(copy.announcement(1), None);
    }
}
