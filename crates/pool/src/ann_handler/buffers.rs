//! Buffers of posts, used again: fresh memory for every post would cost as much as receiving it.

use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

/// Buffers kept.
const KEPT: usize = 32;
/// Larger ones are not kept: honest posts have at most 1 MiB.
const LARGEST: usize = 2 << 20;

/// Buffers that nobody uses.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    free: Mutex<Vec<BytesMut>>,
}

impl Buffers {
    /// A buffer, perhaps with memory, whatever it holds.
    pub(super) fn take(&self) -> BytesMut {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps the memory of bytes that are needed no more, unless somebody else still holds them.
    pub(super) fn give_back(&self, bytes: Bytes) {
        let Ok(buffer) = bytes.try_into_mut() else { return };
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT && buffer.capacity() <= LARGEST {
            free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_but_never_while_somebody_reads_it() {
        let buffers = Buffers::default();
        let bytes = BytesMut::from(&[7; 4096][..]).freeze();
        let (memory, reader) = (bytes.as_ptr(), bytes.clone());
        buffers.give_back(bytes);
        assert_eq!(buffers.take().capacity(), 0, "a reader is left");
        buffers.give_back(reader);
        assert_eq!(buffers.take().as_ptr(), memory);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        (0..100).for_each(|_| buffers.give_back(BytesMut::with_capacity(64).freeze()));
        buffers.give_back(BytesMut::zeroed(LARGEST + 1).freeze());
        let free = buffers.free.lock().unwrap();
        assert!(free.len() <= KEPT && free.iter().all(|buffer| buffer.capacity() <= LARGEST));
    }
}
