//! The blocks of the chain as handlers reported them: which difficulty held when a piece of work was done.
//!
//! The difficulty of an event is that of the newest block strictly before it, whenever that block became known
//! (rule R-P11). Several handlers report one block under one id; the smallest time counts.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use wire::{Decimal, EventId, event::BlockEvent};

use crate::UnixMillis;

/// What is kept of a block event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChainBlock {
    pub(crate) time: UnixMillis,
    pub(crate) height: u32,
    pub(crate) id: EventId,
    pub(crate) difficulty: Decimal,
}

impl ChainBlock {
    pub(crate) fn new(event: &BlockEvent) -> Self {
        Self {
            time: UnixMillis(event.time_ms),
            height: event.height.0,
            id: event.event_id,
            difficulty: event.difficulty,
        }
    }

    /// Blocks reported for the same millisecond are ordered by height.
    fn order(&self) -> (UnixMillis, u32, EventId) {
        (self.time, self.height, self.id)
    }
}

/// What became of a block event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockNews {
    /// It was not known, or not seen so early: work after this time may be worth something else than before.
    Changed,
    /// It was known; this handler saw it later than another.
    AnotherTime {
        /// The event says something else about the block than the first one did.
        differs: bool,
    },
    /// Known, with this very time.
    Known {
        /// The event says something else about the block than the first one did.
        differs: bool,
    },
}

/// All blocks within the history, in order of time.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    blocks: Vec<ChainBlock>,
    reports: HashMap<EventId, Reports>,
}

/// What handlers said about one block. All times are kept: when the smallest leaves the history, the next one counts,
/// as if the report that left had never been.
#[derive(Debug)]
struct Reports {
    height: u32,
    difficulty: Decimal,
    times: BTreeSet<UnixMillis>,
}

impl Chain {
    pub(crate) fn blocks(&self) -> &[ChainBlock] {
        &self.blocks
    }

    /// Takes in a block event.
    pub(crate) fn report(&mut self, block: ChainBlock) -> BlockNews {
        let Some(reports) = self.reports.get_mut(&block.id) else {
            let times = BTreeSet::from([block.time]);
            self.reports
                .insert(block.id, Reports { height: block.height, difficulty: block.difficulty, times });
            self.insert(block);
            return BlockNews::Changed;
        };
        let first = reports.times.first().copied();
        let is_new_time = reports.times.insert(block.time);
        let known = ChainBlock { height: reports.height, difficulty: reports.difficulty, ..block };
        if first.is_none_or(|first| block.time < first) {
            first.inspect(|first| self.remove(block.id, *first));
            self.insert(known);
            return BlockNews::Changed;
        }
        let differs = known != block;
        if is_new_time { BlockNews::AnotherTime { differs } } else { BlockNews::Known { differs } }
    }

    /// Forgets reports before `oldest`. Gives the last time whose work may be worth something else now, because a block
    /// that was seen several times counts from a later one; work before `oldest` is meant as well.
    pub(crate) fn forget_before(&mut self, oldest: UnixMillis) -> Option<UnixMillis> {
        let expired = self.blocks.partition_point(|block| block.time < oldest);
        let mut reconsider_until = None;
        for block in self.blocks.drain(..expired).collect::<Vec<_>>() {
            let Some(reports) = self.reports.get_mut(&block.id) else { continue };
            reports.times = reports.times.split_off(&oldest);
            match reports.times.first().copied() {
                Some(time) => {
                    self.insert(ChainBlock { time, ..block });
                    reconsider_until = reconsider_until.max(Some(self.next_after(time)));
                }
                None => {
                    self.reports.remove(&block.id);
                }
            }
        }
        reconsider_until
    }

    /// When the first block after `time` was seen.
    fn next_after(&self, time: UnixMillis) -> UnixMillis {
        let next = self.blocks.partition_point(|block| block.time <= time);
        self.blocks.get(next).map_or(UnixMillis(u64::MAX), |block| block.time)
    }

    fn insert(&mut self, block: ChainBlock) {
        let at = self.blocks.partition_point(|other| other.order() < block.order());
        self.blocks.insert(at, block);
    }

    fn remove(&mut self, id: EventId, time: UnixMillis) {
        let from = self.blocks.partition_point(|block| block.time < time);
        let same_time = self.blocks[from..].iter().take_while(|block| block.time == time);
        if let Some((_, position)) = same_time.zip(from..).find(|(block, _)| block.id == id) {
            self.blocks.remove(position);
        }
    }
}

/// The blocks that a distribution may look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeline<'a> {
    blocks: &'a [ChainBlock],
}

impl<'a> Timeline<'a> {
    /// All of them.
    pub(crate) fn new(chain: &'a Chain) -> Self {
        Self { blocks: &chain.blocks }
    }

    /// Work at or before this time has no credit; `None`: no work has.
    pub(crate) fn credit_begins_after(&self) -> Option<UnixMillis> {
        self.blocks.first().map(|block| block.time)
    }

    /// The part that matters for work from `first` to `last`: all of it has the difficulty of one of these.
    pub(crate) fn between(&self, first: UnixMillis, last: UnixMillis) -> Self {
        let from = self.blocks.partition_point(|block| block.time < first).saturating_sub(1);
        let until = self.blocks.partition_point(|block| block.time < last);
        Self { blocks: &self.blocks[from.min(until)..until] }
    }

    /// The difficulty of the newest block strictly before `time`.
    pub(crate) fn difficulty(&self, time: UnixMillis) -> Option<Decimal> {
        let newest = match self.blocks {
            [only] => (only.time < time).then_some(only),
            blocks => blocks[..blocks.partition_point(|block| block.time < time)].last(),
        };
        newest.map(|block| block.difficulty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(id: u8, height: u32, time: u64, difficulty: u64) -> ChainBlock {
        ChainBlock {
            time: UnixMillis(time),
            height,
            id: EventId::from_bytes([id; 16]),
            difficulty: Decimal::from_u64(difficulty),
        }
    }

    #[test]
    fn difficulty_is_that_of_the_newest_block_strictly_before() {
        let mut chain = Chain::default();
        chain.report(block(1, 1, 100, 5));
        chain.report(block(2, 2, 200, 7));
        let timeline = Timeline::new(&chain);
        let at = |time| timeline.difficulty(UnixMillis(time)).map(|difficulty| difficulty.mantissa());
        assert_eq!([at(100), at(101), at(200), at(201)], [None, Some(5), Some(5), Some(7)]);
        let within = timeline.between(UnixMillis(150), UnixMillis(201));
        assert_eq!(within.difficulty(UnixMillis(200)).unwrap().mantissa(), 5);
        assert_eq!(within.difficulty(UnixMillis(201)).unwrap().mantissa(), 7);
    }

    #[test]
    fn r_p11_of_several_reports_of_a_block_the_smallest_time_counts() {
        let mut chain = Chain::default();
        assert_eq!(chain.report(block(1, 1, 100, 5)), BlockNews::Changed);
        assert_eq!(chain.report(block(1, 1, 90, 5)), BlockNews::Changed);
        assert_eq!(chain.report(block(1, 1, 95, 5)), BlockNews::AnotherTime { differs: false });
        assert_eq!(chain.report(block(1, 1, 95, 6)), BlockNews::Known { differs: true });
        assert_eq!(chain.blocks(), [block(1, 1, 90, 5)]);
    }

    #[test]
    fn the_highest_of_blocks_reported_for_one_millisecond_is_the_newest() {
        let mut chain = Chain::default();
        chain.report(block(1, 12, 100, 12));
        chain.report(block(9, 11, 100, 11));
        let timeline = Timeline::new(&chain);
        assert_eq!(timeline.difficulty(UnixMillis(101)).unwrap().mantissa(), 12);
    }

    #[test]
    fn a_report_that_leaves_the_history_is_as_if_it_had_never_been() {
        let mut chain = Chain::default();
        chain.report(block(1, 1, 100, 5));
        chain.report(block(1, 1, 300, 5));
        chain.report(block(2, 2, 400, 7));
        assert_eq!(chain.forget_before(UnixMillis(200)), Some(UnixMillis(400)));
        assert_eq!(chain.blocks(), [block(1, 1, 300, 5), block(2, 2, 400, 7)]);
        assert_eq!(chain.forget_before(UnixMillis(401)), None);
        assert!(chain.blocks().is_empty() && chain.reports.is_empty());
    }
}
