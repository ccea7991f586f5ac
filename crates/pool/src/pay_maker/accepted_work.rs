//! The newest accepted work by address, for live pages: kept for some minutes, told to whoever asks what came since.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use wire::{Event, PktAddress};

use crate::site::facts::Moment;

/// Pieces that are kept; whoever asks too late misses some, and nothing else.
const KEPT: usize = 4096;

/// Work of one address that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedPiece {
    /// Whose.
    pub address: PktAddress,
    /// Announcements.
    pub announcements: u32,
    /// Shares.
    pub shares: u32,
    /// When the handler accepted it.
    pub at: Moment,
}

/// What came since a number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedSince {
    /// The number to ask with the next time.
    pub next: u64,
    /// What is still known, oldest first.
    pub work: Vec<AcceptedPiece>,
}

#[derive(Default)]
pub(super) struct AcceptedWork {
    newest: Mutex<Newest>,
}

#[derive(Default)]
struct Newest {
    /// The number of the piece that comes next.
    next: u64,
    pieces: VecDeque<AcceptedPiece>,
}

impl AcceptedWork {
    /// Notes the events of an upload.
    pub(super) fn note(&self, events: &[Event]) {
        let pieces: Vec<AcceptedPiece> = events.iter().filter_map(piece).collect();
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.next += pieces.len() as u64;
        newest.pieces.extend(pieces);
        let superfluous = newest.pieces.len().saturating_sub(KEPT);
        newest.pieces.drain(..superfluous);
    }

    /// What came since `number`; without one, only the number to ask with.
    pub(super) fn since(&self, number: Option<u64>) -> AcceptedSince {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        // Before a restart numbers were greater: then there is nothing to miss.
        let missing = number.map_or(0, |number| newest.next.saturating_sub(number));
        let skipped = newest.pieces.len().saturating_sub(usize::try_from(missing).unwrap_or(usize::MAX));
        AcceptedSince { next: newest.next, work: newest.pieces.iter().skip(skipped).cloned().collect() }
    }
}

fn piece(event: &Event) -> Option<AcceptedPiece> {
    match event {
        Event::Anns(event) => Some(AcceptedPiece {
            address: event.pay_to,
            announcements: event.accepted,
            shares: 0,
            at: Moment(event.time_ms),
        }),
        Event::Share(event) => Some(AcceptedPiece {
            address: event.pay_to,
            announcements: 0,
            shares: 1,
            at: Moment(event.time_ms),
        }),
        Event::Block(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use wire::EventId;
    use wire::event::{DEFAULT_TARGET, ShareEvent};

    use super::*;

    fn share(time_ms: u64) -> Event {
        Event::Share(ShareEvent {
            pay_to: "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t".parse().unwrap(),
            won_block: None,
            time_ms,
            event_id: EventId::from_bytes([1; 16]),
            target: DEFAULT_TARGET,
            announcement_count: 0,
            announcement_min_work: DEFAULT_TARGET,
            encryptions: 0,
        })
    }

    #[test]
    fn everybody_hears_of_each_piece_once() {
        let work = AcceptedWork::default();
        work.note(&[share(1)]);
        let first = work.since(None);
        assert_eq!((first.next, first.work.len()), (1, 0));
        work.note(&[share(2), share(3)]);
        let second = work.since(Some(first.next));
        assert_eq!(second.work.iter().map(|piece| piece.at.0).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(work.since(Some(second.next)).work, []);
        assert_eq!(work.since(Some(99)).work, [], "a number from before a restart");
    }

    #[test]
    fn the_memory_is_bounded() {
        let work = AcceptedWork::default();
        work.note(&vec![share(1); KEPT]);
        work.note(&vec![share(2); 10]);
        let all = work.since(Some(0));
        assert_eq!((all.next, all.work.len()), (KEPT as u64 + 10, KEPT));
    }
}
