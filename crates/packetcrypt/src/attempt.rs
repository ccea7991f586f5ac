//! One attempt at an announcement: from a soft nonce, through four items, to a work hash.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 3.5. Miner and checker share it; they differ in where the items
//! come from.

use std::ops::Range;

use crate::WorkHash;
use crate::crypto_cycle::{BEHIND_ITEM, State, WHOLE};
use crate::item::ItemNumber;

/// Items that an attempt takes in.
const ITEMS: usize = 4;

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
    for _ in 1..ITEMS {
        let wanted = ItemNumber::wanted_by(state);
        update(state, wanted, BEHIND_ITEM)?;
    }
    let fourth_item = ItemNumber::wanted_by(state);
    update(state, fourth_item, WHOLE)?;
    Ok(Attempted { work_hash: state.finish(), fourth_item })
}
