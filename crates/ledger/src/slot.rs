//! Announcement slots: equal spans of time, counted from 1970 (rule R-P8).

use crate::UnixMillis;

/// The number of a slot: floor(time / span).
///
/// A span is at least a second, so the number fits until the year 2106; later times have no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotNumber(pub(crate) u32);

/// Length of all slots, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotSpan(pub(crate) u64);

impl SlotSpan {
    /// The slot of an event.
    pub(crate) fn slot_of(self, time: UnixMillis) -> Option<SlotNumber> {
        u32::try_from(time.0 / self.0).ok().map(SlotNumber)
    }

    /// The first time that belongs to a slot.
    pub(crate) fn start(self, slot: SlotNumber) -> UnixMillis {
        UnixMillis(u64::from(slot.0) * self.0)
    }

    /// The first time after a slot: what documents call the time of the slot.
    pub(crate) fn end(self, slot: SlotNumber) -> UnixMillis {
        self.start(slot).plus(self.0)
    }

    /// How far into its slot a time lies.
    pub(crate) fn offset(self, time: UnixMillis) -> u32 {
        // A slot lasts at most a day.
        (time.0 % self.0) as u32
    }
}
