//! The 2048-byte states of a batch, laid out for the kernels.

use super::kernels::Message;

/// States that go through the kernels together. Half as many cost 5 % more, a quarter 13 %: Poly1305 finds
/// fewer messages of like length.
pub(crate) const BATCH: usize = crate::crypto_cycle::BATCH_MAX;
/// Bytes of one CryptoCycle state.
pub(crate) const STATE: usize = 2048;
/// Where additional data and message begin in a state.
pub(crate) const DATA: usize = 48;
/// Bytes in front of the first state: kernels that align messages at their ends load from before the start,
/// and the last 32 put byte 32 of each state, where items are copied to, on a multiple of 64.
const FRONT: usize = STATE + 32;
/// Bytes behind the last state: kernels without masks write a whole block back where a message ends in it.
const BACK: usize = 96;

#[repr(C, align(64))]
struct Bytes([u8; FRONT + BATCH * STATE + BACK]);

/// [`BATCH`] states in ordinary byte order, one behind the other.
pub(crate) struct States(Box<Bytes>);

impl States {
    #[allow(clippy::large_stack_arrays, reason = "optimised code zeroes it in place")]
    pub(crate) fn new() -> Self {
        Self(Box::new(Bytes([0; FRONT + BATCH * STATE + BACK])))
    }

    pub(crate) fn state(&self, index: usize) -> &[u8; STATE] {
        let start = FRONT + index * STATE;
        (&self.0.0[start..start + STATE]).try_into().expect("a state's length")
    }

    pub(crate) fn state_mut(&mut self, index: usize) -> &mut [u8; STATE] {
        let start = FRONT + index * STATE;
        (&mut self.0.0[start..start + STATE]).try_into().expect("a state's length")
    }

    /// Address of state 0; the others follow.
    pub(crate) fn base_mut(&mut self) -> *mut u8 {
        self.0.0[FRONT..].as_mut_ptr()
    }

    /// Address of the text of a message: behind the header of its state. From [`STATE`] bytes before it to the end of
    /// the text all can be read.
    pub(crate) fn text(&self, message: Message) -> *const u8 {
        assert!(message.state < BATCH && DATA + 16 * message.blocks <= STATE, "a text inside a state");
        // Derived from the whole buffer, so that the bytes in front may be read through it.
        self.0.0.as_ptr().wrapping_add(FRONT + message.state * STATE + DATA)
    }
}
