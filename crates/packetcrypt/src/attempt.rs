//! One attempt at an announcement: from a soft nonce, through four items, to a work hash.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 3.5. Miner and checker share it; they differ in where the items
//! come from.

use std::ops::Range;

use crate::WorkHash;
use crate::crypto_cycle::{
    BATCH_MAX, BEHIND_ITEM, Batch, BatchPair, PAIR_MAX, Source, Start, State, UPDATES, WHOLE,
};
use crate::item::{Item, ItemNumber};

/// What came of an attempt, beside the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempted {
    pub work_hash: WorkHash,
    /// The item that an announcement must prove.
    pub fourth_item: ItemNumber,
}

/// Takes `state` from its start to its end.
///
/// `update` must take in the item of a number; it need keep no more of the state than the range it is given (see
/// [`State::update_keeping`]).
pub fn attempt<Fault>(
    state: &mut State,
    mut update: impl FnMut(&mut State, ItemNumber, Range<usize>) -> Result<(), Fault>,
) -> Result<Attempted, Fault> {
    for _ in 1..UPDATES {
        let wanted = ItemNumber::wanted_by(state);
        update(state, wanted, BEHIND_ITEM)?;
    }
    let fourth_item = ItemNumber::wanted_by(state);
    update(state, fourth_item, WHOLE)?;
    Ok(Attempted { work_hash: state.finish(), fourth_item })
}

/// Takes all states of a batch from their start to their end: their work hashes go to `work_hashes`, and the numbers of
/// their fourth items are given back.
///
/// `update` must take in the items of these numbers, one for each state; for the rest it is as for [`attempt`].
pub fn attempt_all<Fault>(
    batch: &mut Batch,
    work_hashes: &mut [WorkHash; BATCH_MAX],
    mut update: impl FnMut(&mut Batch, &[ItemNumber], &Range<usize>) -> Result<(), Fault>,
) -> Result<[ItemNumber; BATCH_MAX], Fault> {
    let mut wanted = [ItemNumber::default(); BATCH_MAX];
    for item in 1..=UPDATES {
        for (index, number) in wanted[..batch.count()].iter_mut().enumerate() {
            *number = ItemNumber::from_random(batch.item_number(index));
        }
        let kept = if item < UPDATES { BEHIND_ITEM } else { WHOLE };
        let count = batch.count();
        update(batch, &wanted[..count], &kept)?;
    }
    batch.finish(work_hashes);
    Ok(wanted)
}

/// As [`attempt_all`], for both batches of a pair; `item_of` gives the items of a table.
pub fn attempt_in_turns<'a>(
    batches: &mut BatchPair,
    start: &Start<'_>,
    work_hashes: &mut [WorkHash; PAIR_MAX],
    item_of: impl Fn(ItemNumber) -> &'a Item,
) -> [ItemNumber; PAIR_MAX] {
    let mut wanted = [ItemNumber::default(); PAIR_MAX];
    batches.run(start, Source::Table, |_, index, number| {
        wanted[index] = ItemNumber::from_random(number);
        item_of(wanted[index])
    });
    batches.finish(work_hashes);
    wanted
}
