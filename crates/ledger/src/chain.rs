//! The blocks of the chain as handlers reported them: which difficulty held when a piece of work was done.
//!
//! The difficulty of an event is that of the newest block strictly before it, whenever that block became known
//! (rule R-P11). Several handlers report one block under one id; the smallest time counts.

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
    /// It was not known: work after this time is worth something else than before.
    New,
    /// Another handler saw it earlier than known so far; work after this time changes its worth.
    Earlier,
    /// It was known.
    Known {
        /// The event says something else about the block than the first one did.
        differs: bool,
    },
}

/// All blocks within the history, in order of time.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    blocks: Vec<ChainBlock>,
    times: HashMap<EventId, UnixMillis>,
}

impl Chain {
    pub(crate) fn blocks(&self) -> &[ChainBlock] {
        &self.blocks
    }

    /// Takes in a block event. `oldest` is the start of the history: what lies before it is forgotten.
    pub(crate) fn report(&mut self, block: ChainBlock, oldest: UnixMillis) -> BlockNews {
        let known = self.times.get(&block.id).copied().filter(|time| *time >= oldest);
        let Some(known_time) = known else {
            self.remove(block.id);
            self.insert(block);
            return BlockNews::New;
        };
        let Some(first) = self.position(block.id, known_time).map(|position| self.blocks[position]) else {
            return BlockNews::Known { differs: false };
        };
        if block.time < known_time {
            self.remove(block.id);
            self.insert(ChainBlock { time: block.time, ..first });
            return BlockNews::Earlier;
        }
        BlockNews::Known { differs: (first.height, first.difficulty) != (block.height, block.difficulty) }
    }

    /// Forgets blocks before `oldest`.
    pub(crate) fn forget_before(&mut self, oldest: UnixMillis) {
        let expired = self.blocks.partition_point(|block| block.time < oldest);
        for block in self.blocks.drain(..expired) {
            self.times.remove(&block.id);
        }
    }

    fn insert(&mut self, block: ChainBlock) {
        let at = self.blocks.partition_point(|other| other.order() < block.order());
        self.blocks.insert(at, block);
        self.times.insert(block.id, block.time);
    }

    fn remove(&mut self, id: EventId) {
        if let Some(time) = self.times.remove(&id)
            && let Some(position) = self.position(id, time)
        {
            self.blocks.remove(position);
        }
    }

    fn position(&self, id: EventId, time: UnixMillis) -> Option<usize> {
        let from = self.blocks.partition_point(|block| block.time < time);
        let same_time = self.blocks[from..].iter().take_while(|block| block.time == time);
        same_time.zip(from..).find(|(block, _)| block.id == id).map(|(_, position)| position)
    }
}

/// The blocks that a distribution may look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeline<'a> {
    blocks: &'a [ChainBlock],
}

impl<'a> Timeline<'a> {
    /// Those within the history.
    pub(crate) fn new(chain: &'a Chain, oldest: UnixMillis) -> Self {
        let from = chain.blocks.partition_point(|block| block.time < oldest);
        Self { blocks: &chain.blocks[from..] }
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
        chain.report(block(1, 1, 100, 5), UnixMillis(0));
        chain.report(block(2, 2, 200, 7), UnixMillis(0));
        let timeline = Timeline::new(&chain, UnixMillis(0));
        let at = |time| timeline.difficulty(UnixMillis(time)).map(|difficulty| difficulty.mantissa());
        assert_eq!([at(100), at(101), at(200), at(201)], [None, Some(5), Some(5), Some(7)]);
        let within = timeline.between(UnixMillis(150), UnixMillis(201));
        assert_eq!(within.difficulty(UnixMillis(200)).unwrap().mantissa(), 5);
        assert_eq!(within.difficulty(UnixMillis(201)).unwrap().mantissa(), 7);
    }

    #[test]
    fn r_p11_of_several_reports_of_a_block_the_smallest_time_counts() {
        let mut chain = Chain::default();
        assert_eq!(chain.report(block(1, 1, 100, 5), UnixMillis(0)), BlockNews::New);
        assert_eq!(chain.report(block(1, 1, 90, 5), UnixMillis(0)), BlockNews::Earlier);
        assert_eq!(chain.report(block(1, 1, 95, 5), UnixMillis(0)), BlockNews::Known { differs: false });
        assert_eq!(chain.report(block(1, 1, 95, 6), UnixMillis(0)), BlockNews::Known { differs: true });
        assert_eq!(chain.blocks(), [block(1, 1, 90, 5)]);
    }

    #[test]
    fn the_highest_of_blocks_reported_for_one_millisecond_is_the_newest() {
        let mut chain = Chain::default();
        chain.report(block(1, 12, 100, 12), UnixMillis(0));
        chain.report(block(9, 11, 100, 11), UnixMillis(0));
        let timeline = Timeline::new(&chain, UnixMillis(0));
        assert_eq!(timeline.difficulty(UnixMillis(101)).unwrap().mantissa(), 12);
    }

    #[test]
    fn a_block_before_the_history_is_as_if_it_had_never_been() {
        let mut chain = Chain::default();
        chain.report(block(1, 1, 100, 5), UnixMillis(0));
        assert_eq!(chain.report(block(1, 1, 300, 6), UnixMillis(200)), BlockNews::New);
        assert_eq!(chain.blocks(), [block(1, 1, 300, 6)]);
        chain.forget_before(UnixMillis(301));
        assert!(chain.blocks().is_empty() && chain.times.is_empty());
    }
}
