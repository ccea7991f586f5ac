//! Which high nonce a miner tries low nonces with.
//!
//! The high nonce is the miner's own. All attempts with a header begin with the same announcement, key and control word
//! (`docs/protocol/packetcrypt-blocks.md` 3.1), and what that first update has to do depends on the header's hash: up to
//! 2000 bytes of key stream, or none. A header serves for 2^32 attempts, so looking for a good one costs nothing.

use crate::crypto_cycle::Template;

use super::header::Header;

/// High nonces to look at for a header, which takes a fraction of a millisecond. The best of so many hardly leaves anything
/// to be spared.
pub const CANDIDATES: u32 = 256;

/// The header whose attempts take the least time. It has one of [`CANDIDATES`] high nonces: those from `header`'s on, `step`
/// apart, wrapping around.
pub fn cheapest(header: &Header, step: u32) -> Header {
    let cost = |header: &Header| Template::first_update(&header.header_hash().0);
    let mut best = (cost(header), *header);
    for number in 1..CANDIDATES {
        let nonce = header.nonce.wrapping_add(number.wrapping_mul(step));
        let other = Header { nonce, ..*header };
        let cost = cost(&other);
        if cost < best.0 {
            best = (cost, other);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto_cycle::{BEHIND_ITEM, ITEM_SIZE, State};

    #[test]
    fn the_first_update_of_the_cheapest_has_no_key_stream_and_a_short_text() {
        for seed in 0..20 {
            let chosen = cheapest(&Header::from_bytes(&[seed; 80]), 1);
            let item = [seed; ITEM_SIZE];
            let mut state = State::init(&chosen.header_hash().0, 77);
            let mut expected = state.clone();
            state.update_keeping(&item, BEHIND_ITEM);
            expected.as_bytes_mut()[32..32 + ITEM_SIZE].copy_from_slice(&item);
            assert_eq!(state.as_bytes()[48..], expected.as_bytes()[48..], "nothing was decrypted");
            let units = state.control_word() >> 17 & 0x7f;
            assert!((32..40).contains(&units), "{units} units, and 32 are the fewest");
        }
    }

    #[test]
    fn no_other_candidate_has_less_to_do_and_nothing_but_the_nonce_differs() {
        let header = Header { nonce: u32::MAX - 50, ..Header::from_bytes(&[9; 80]) };
        for step in [1, 3, u32::MAX] {
            let chosen = cheapest(&header, step);
            let nonces = (0..CANDIDATES).map(|number| header.nonce.wrapping_add(number.wrapping_mul(step)));
            let cost = |nonce| Template::first_update(&Header { nonce, ..header }.header_hash().0);
            let least = nonces.clone().map(cost).min();
            assert_eq!(Some(cost(chosen.nonce)), least);
            assert!(nonces.clone().any(|nonce| nonce == chosen.nonce));
            assert_eq!(Header { nonce: header.nonce, ..chosen }, header);
        }
    }
}
