//! What all attempts of a job have in common until their first update is done.
//!
//! Which item comes first, the key, and the control word do not depend on the nonce
//! (`docs/protocol/packetcrypt-performance.md` 3.2). So before the first `CRYPT` the states differ in nothing but the nonce:
//! they have one text, and of that their first update needs only one copy.

use std::ops::Range;

use super::{BEHIND_ITEM, Control, DATA, ITEM, ITEM_SIZE, KeyStream, STATE_SIZE, State, Template};

/// The state that is the beginning of all attempts: `CC_INIT`, and of the first `CC_UPDATE` what comes before `CRYPT`, with
/// a nonce that is still to be written.
#[derive(Clone, Debug, Default)]
pub struct Opening(State);

impl Opening {
    /// Takes the first item into a template.
    pub fn new(template: &Template, item: &[u8; ITEM_SIZE]) -> Self {
        let mut state = template.0.clone();
        state.0[ITEM].copy_from_slice(item);
        state.make_fuzzable();
        Self(state)
    }

    /// `CC_INIT` and the first `CC_UPDATE` of a nonce, into `state`; of what the next update overwrites the bytes behind
    /// the header may be anything.
    pub fn start(&self, nonce: u64, state: &mut State) {
        state.clone_from(&self.0);
        state.0[..8].copy_from_slice(&nonce.to_le_bytes());
        state.crypt_keeping(BEHIND_ITEM);
    }

    /// All bytes, those of the nonce too, which mean nothing.
    pub(crate) fn as_bytes(&self) -> &[u8; STATE_SIZE] {
        self.0.as_bytes()
    }

    /// What must be in a state before its first `CRYPT` if whole blocks of the message are read here.
    pub(crate) fn parts_to_copy(&self) -> [Range<usize>; 2] {
        let control = Control(self.0.control_word()).truncated();
        let start = DATA + control.data_length();
        let key_stream = control.key_stream(&BEHIND_ITEM);
        let whole_blocks_end = start + key_stream.end / KeyStream::BLOCK * KeyStream::BLOCK;
        [0..DATA + Control::DATA_MAX, whole_blocks_end.max(ITEM.end)..STATE_SIZE]
    }
}
