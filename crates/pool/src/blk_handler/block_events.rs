//! Events that tell the PayMaker how the chain grew (`docs/protocol/packetcrypt-pool.md` 9.6, rule R-K11).
//!
//! Each new block of the branch that the Master follows is logged once. After a start or a gap the missed ones are
//! logged too, with the time in their header, but none later than it was seen.

use hashbrown::HashMap;
use packetcrypt::BlockHash;
use wire::block_info::BlockInfoHeader;
use wire::{BlockEvent, Event, EventId};

use crate::master_client::PoolView;
use crate::outbox::{Outbox, Record};

/// First byte of a block's key in the outbox.
const KEY_TAG: u8 = b'B';
/// A reorganisation deeper than this below the newest logged block is not gone after.
const LOOK_BACK: u32 = 10;

/// Which blocks were logged.
#[derive(Default)]
pub(super) struct LoggedBlocks {
    heights: HashMap<BlockHash, u32>,
    /// Lowest and highest block that an earlier run logged.
    replayed: Option<(u32, u32)>,
    /// Blocks at or below this height are not logged: they are from before this handler's time.
    not_below: Option<u32>,
    /// Whether a view was seen before: then a new tip is news.
    following: bool,
}

impl LoggedBlocks {
    /// Takes in a key from the outbox.
    pub(super) fn replay(&mut self, height: u32, key: &[u8]) {
        if let Some((&KEY_TAG, hash)) = key.split_first()
            && let Ok(hash) = hash.try_into()
        {
            self.heights.insert(BlockHash::from_internal(hash), height);
            let (lowest, highest) = self.replayed.unwrap_or((height, height));
            self.replayed = Some((lowest.min(height), highest.max(height)));
        }
    }

    /// Logs what is new in a view, oldest first. What cannot be written is tried again with the next view.
    pub(super) async fn log_new(&mut self, view: &PoolView, outbox: &Outbox, clock: fn() -> u64) {
        let Some(tip) = view.blocks.first() else { return };
        let not_below = *self.not_below.get_or_insert(match self.replayed {
            Some((lowest, highest)) => highest.saturating_sub(LOOK_BACK).max(lowest.saturating_sub(1)),
            // A handler that never logged a block begins with the newest one.
            None => tip.header.height.0.saturating_sub(1),
        });
        let first_of_chain = tip.header.height.0 == 0;
        let new = view.blocks.iter().map(|block| &block.header).filter(|block| {
            (block.height.0 > not_below || first_of_chain) && !self.heights.contains_key(&block.hash)
        });
        let new: Vec<BlockInfoHeader> = new.cloned().collect();
        for block in new.into_iter().rev() {
            let is_news = self.following && block.hash == tip.header.hash;
            let now = clock();
            let time_ms = if is_news { now } else { now.min(u64::from(block.time) * 1000) };
            match outbox.append(record_of(&block, time_ms)).await {
                Ok(()) => {
                    self.heights.insert(block.hash, block.height.0);
                }
                Err(error) => {
                    tracing::warn!(hash = %block.hash, %error, "a block event could not be written");
                }
            }
        }
        self.following = true;
        let needed_from = tip.header.height.0.saturating_sub(view.blocks.len() as u32 + LOOK_BACK);
        self.heights.retain(|_, height| *height >= needed_from);
    }
}

fn record_of(block: &BlockInfoHeader, time_ms: u64) -> Record {
    let event = Event::Block(BlockEvent {
        hash: Some(block.hash),
        height: block.height,
        difficulty: block.difficulty,
        time_ms,
        event_id: EventId::of_block(&block.hash),
    });
    Record {
        scope: block.height.0,
        event: event.to_line().trim_end().as_bytes().to_vec(),
        keys: [&[KEY_TAG], block.hash.as_internal().as_slice()].concat(),
    }
}
