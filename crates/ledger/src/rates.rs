//! Credit rates during one computation: each pair of target and difficulty is divided once.

use hashbrown::HashMap;
use packetcrypt::CompactTarget;
use wire::Decimal;

use crate::UnixMillis;
use crate::chain::Timeline;
use crate::credit::{CreditRate, Credits};
use crate::posts::Post;

/// Pairs remembered at once; beyond that they are computed anew, so that odd targets cannot fill the memory.
const REMEMBERED: usize = 100_000;

/// What work is worth at any time of a [`Timeline`].
pub(crate) struct Rates<'a> {
    timeline: Timeline<'a>,
    has_private_seed: bool,
    /// The part of the timeline that matters for the slot that was entered.
    here: Timeline<'a>,
    last: Option<(CompactTarget, Decimal, Option<CreditRate>)>,
    known: HashMap<(CompactTarget, Decimal), Option<CreditRate>>,
}

impl<'a> Rates<'a> {
    pub(crate) fn new(timeline: Timeline<'a>, has_private_seed: bool) -> Self {
        Self { timeline, has_private_seed, here: timeline, last: None, known: HashMap::new() }
    }

    /// The same rates, to be asked about other times.
    pub(crate) fn afresh(&self) -> Self {
        Self::new(self.timeline, self.has_private_seed)
    }

    pub(crate) fn timeline(&self) -> Timeline<'a> {
        self.timeline
    }

    /// From now on times from `first` to `last` are asked for.
    pub(crate) fn enter(&mut self, first: UnixMillis, last: UnixMillis) {
        self.here = self.timeline.between(first, last);
    }

    /// Credits of an announcement event.
    pub(crate) fn credit(&mut self, time: UnixMillis, post: &Post) -> Credits {
        self.credit_of(time, post.target, post.payable(self.has_private_seed))
    }

    /// Credits of `pieces` of work.
    pub(crate) fn credit_of(&mut self, time: UnixMillis, target: CompactTarget, pieces: u32) -> Credits {
        let Some(difficulty) = self.here.difficulty(time) else { return 0 };
        self.rate(target, difficulty).map_or(0, |rate| rate.credit(pieces))
    }

    fn rate(&mut self, target: CompactTarget, difficulty: Decimal) -> Option<CreditRate> {
        if let Some((last_target, last_difficulty, rate)) = self.last
            && (last_target, last_difficulty) == (target, difficulty)
        {
            return rate;
        }
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let rate =
            *self.known.entry((target, difficulty)).or_insert_with(|| CreditRate::new(target, difficulty));
        self.last = Some((target, difficulty, rate));
        rate
    }
}
