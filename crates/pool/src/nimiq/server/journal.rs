//! Accepted shares in the outbox: what of each goes to disk before it counts, and what a restart makes of it.
//!
//! ```text
//! event  0  20  address      keys  0   8  number on this server
//!       20   4  device             8  32  hash of the block it builds on
//!       24   8  weight            40  32  hash of its header
//!       32   8  accepted at
//! ```
//! Integers are little endian. The record's scope is the height of the block that the share tried to be.

use ledger::UnixMillis;
use ledger::nimiq::NewShare;
use nimiq::{Address, BlockHash, Height, ShareWeight};

use super::seen::Seen;
use crate::outbox::Record;

const EVENT_BYTES: usize = 40;
const KEYS_BYTES: usize = 72;

/// The record of a share that was mined at `height`.
pub(super) fn to_record(share: &NewShare, height: Height) -> Record {
    let mut event = Vec::with_capacity(EVENT_BYTES);
    event.extend_from_slice(&share.address.0);
    event.extend_from_slice(&share.device.to_le_bytes());
    event.extend_from_slice(&share.weight.0.to_le_bytes());
    event.extend_from_slice(&share.accepted_at.0.to_le_bytes());
    let mut keys = Vec::with_capacity(KEYS_BYTES);
    keys.extend_from_slice(&share.server_sequence.to_le_bytes());
    keys.extend_from_slice(&share.previous_block.0);
    keys.extend_from_slice(&share.hash.0);
    Record { scope: height.0, event, keys }
}

/// The share of a record; `None` if it is none of ours.
pub(super) fn from_record(event: &[u8], keys: &[u8]) -> Option<NewShare> {
    let event: &[u8; EVENT_BYTES] = event.try_into().ok()?;
    let (address, rest) = event.split_first_chunk()?;
    let (device, rest) = rest.split_first_chunk()?;
    let (weight, rest) = rest.split_first_chunk()?;
    let (accepted_at, _) = rest.split_first_chunk()?;
    let Keys { server_sequence, previous_block, hash } = Keys::parse(keys)?;
    Some(NewShare {
        server_sequence,
        address: Address(*address),
        device: u32::from_le_bytes(*device),
        previous_block,
        hash,
        weight: ShareWeight(u64::from_le_bytes(*weight)),
        accepted_at: UnixMillis(u64::from_le_bytes(*accepted_at)),
    })
}

struct Keys {
    server_sequence: u64,
    previous_block: BlockHash,
    hash: BlockHash,
}

impl Keys {
    fn parse(keys: &[u8]) -> Option<Self> {
        let keys: &[u8; KEYS_BYTES] = keys.try_into().ok()?;
        let (sequence, rest) = keys.split_first_chunk()?;
        let (previous, rest) = rest.split_first_chunk()?;
        let (hash, _) = rest.split_first_chunk()?;
        Some(Self {
            server_sequence: u64::from_le_bytes(*sequence),
            previous_block: BlockHash(*previous),
            hash: BlockHash(*hash),
        })
    }
}

/// Any bytes as a record, for fuzzing: what is read is what was written, and whatever is no record is passed over.
pub fn exercise(input: &[u8]) {
    // As it comes, and cut or filled up to the length that a record has.
    let mut whole = [0; EVENT_BYTES + KEYS_BYTES];
    let given = input.len().min(whole.len());
    whole[..given].copy_from_slice(&input[..given]);
    for bytes in [input, &whole] {
        let (event, keys) = bytes.split_at(bytes.len().min(EVENT_BYTES));
        let share = from_record(event, keys);
        assert_eq!(share.is_some(), bytes.len() == whole.len(), "a record is told by its length");
        if let Some(share) = share {
            let again = to_record(&share, Height(0));
            assert_eq!((&again.event[..], &again.keys[..]), (event, keys), "a record has one encoding");
        }
        Replay::default().add(0, keys);
    }
}

/// What earlier runs accepted, as far as it matters to this one.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// The greatest number of a share.
    pub last_sequence: u64,
    newest: u32,
    /// Shares at the newest height and the one before: block built on, and own hash.
    shares: Vec<(u32, BlockHash, BlockHash)>,
}

impl Replay {
    /// One record of the outbox, in the order in which they were written.
    pub fn add(&mut self, scope: u32, keys: &[u8]) {
        let Some(keys) = Keys::parse(keys) else { return };
        self.last_sequence = self.last_sequence.max(keys.server_sequence);
        if scope > self.newest {
            self.newest = scope;
            self.shares.retain(|(height, ..)| height.saturating_add(1) >= scope);
        }
        if scope.saturating_add(1) >= self.newest {
            self.shares.push((scope, keys.previous_block, keys.hash));
        }
    }

    /// Enters the shares, once the heads that they are on are known to `seen`.
    pub fn enter(self, seen: &Seen) {
        for (_, previous, hash) in self.shares {
            seen.enter(previous, hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(number: u64, previous: u8, hash: u8) -> NewShare {
        NewShare {
            server_sequence: number,
            address: Address([3; 20]),
            device: 7,
            previous_block: BlockHash([previous; 32]),
            hash: BlockHash([hash; 32]),
            weight: ShareWeight(65_536),
            accepted_at: UnixMillis(1_800_000_000_123),
        }
    }

    #[test]
    fn a_restart_knows_the_shares_of_the_last_two_heights_and_the_greatest_number() {
        let mut replay = Replay::default();
        let shares = [(10, share(5, 1, 101)), (11, share(9, 2, 102)), (12, share(6, 3, 103))];
        for (height, share) in shares {
            let record = to_record(&share, Height(height));
            replay.add(record.scope, &record.keys);
        }
        replay.add(13, b"nonsense");
        assert_eq!(replay.last_sequence, 9);
        let seen = Seen::default();
        seen.turn_to(BlockHash([2; 32]));
        seen.turn_to(BlockHash([3; 32]));
        replay.enter(&seen);
        assert!(seen.contains(BlockHash([2; 32]), &BlockHash([102; 32])));
        assert!(seen.contains(BlockHash([3; 32]), &BlockHash([103; 32])));
        assert!(!seen.contains(BlockHash([1; 32]), &BlockHash([101; 32])));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            number: u64, address: [u8; 20], device: u32, previous: [u8; 32], hash: [u8; 32], weight: u64, at: u64,
        ) {
            let share = NewShare {
                server_sequence: number,
                address: Address(address),
                device,
                previous_block: BlockHash(previous),
                hash: BlockHash(hash),
                weight: ShareWeight(weight),
                accepted_at: UnixMillis(at),
            };
            let record = to_record(&share, Height(4));
            prop_assert_eq!(from_record(&record.event, &record.keys), Some(share));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            exercise(&bytes);
        }
    }
}
