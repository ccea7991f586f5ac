//! Numbers for connections, no two alike among those alive in the whole pool (`docs/protocol/nimiq-pool.md` 1.5).
//!
//! The first byte is the server's, the rest counts from a random place. A number stays taken as long as its connection.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use ledger::nimiq::ServerId;
use nimiq::SessionNonce;

/// Bits that count the connections of one server.
const COUNTING_BITS: u32 = 24;

/// The numbers of one server.
#[derive(Debug)]
pub(super) struct SessionNonces {
    server: u8,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u32,
    taken: HashSet<u32>,
}

/// A number in use.
#[derive(Debug)]
pub(super) struct TakenNonce {
    nonces: Arc<SessionNonces>,
    number: u32,
}

impl SessionNonces {
    /// For a server; of 256 in a row no two have the same first byte.
    pub(super) fn new(server: ServerId) -> Arc<Self> {
        let state = State { next: rand::random(), taken: HashSet::new() };
        Arc::new(Self { server: server.0 as u8, state: Mutex::new(state) })
    }

    /// The next free number.
    pub(super) fn take(self: &Arc<Self>) -> TakenNonce {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Far fewer connections are open than there are numbers, so one is free.
        let number = loop {
            state.next = state.next.wrapping_add(1);
            let counted = state.next & ((1 << COUNTING_BITS) - 1);
            let number = u32::from(self.server) << COUNTING_BITS | counted;
            if state.taken.insert(number) {
                break number;
            }
        };
        TakenNonce { nonces: Arc::clone(self), number }
    }
}

impl TakenNonce {
    /// The number.
    pub(super) fn get(&self) -> SessionNonce {
        SessionNonce(self.number)
    }
}

impl Drop for TakenNonce {
    fn drop(&mut self) {
        let mut state = self.nonces.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_live_together_have_numbers_of_their_own() {
        let (one, other) = (SessionNonces::new(ServerId(1)), SessionNonces::new(ServerId(2)));
        let held: Vec<_> = (0..100).flat_map(|_| [one.take(), other.take()]).collect();
        let numbers: HashSet<u32> = held.iter().map(|nonce| nonce.get().0).collect();
        assert_eq!(numbers.len(), 200);
    }

    #[test]
    fn a_number_in_use_is_passed_over_and_free_afterwards() {
        let nonces = SessionNonces::new(ServerId(0x105));
        let first = nonces.take();
        let number = first.get().0;
        assert_eq!(number >> COUNTING_BITS, 5);
        nonces.state.lock().unwrap().next = number.wrapping_sub(1);
        let second = nonces.take();
        assert_ne!(second.get().0, number);
        drop(first);
        nonces.state.lock().unwrap().next = number.wrapping_sub(1);
        assert_eq!(nonces.take().get().0, number);
    }
}
