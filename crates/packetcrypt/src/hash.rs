//! The primitive functions, as the specification names them: BLAKE2b (`H32`, `H64`), ChaCha20 key stream
//! (`CHACHA`, `EXPAND`) and Poly1305 (`POLY`).
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 0 and 2. The mathematics is that of the crates `blake2`,
//! `chacha20` and `poly1305`; this file gives it our names and shapes.

use blake2::{Blake2b256, Blake2b512, Digest};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use poly1305::Poly1305;
use poly1305::universal_hash::{KeyInit, UniversalHash};

/// `H32`: BLAKE2b with a digest of 32 bytes, unkeyed.
pub fn blake2b_256(message: &[u8]) -> [u8; 32] {
    Blake2b256::digest(message).into()
}

/// `H64`: BLAKE2b with a digest of 64 bytes, unkeyed, over the parts one after the other.
pub fn blake2b_512(parts: &[&[u8]]) -> [u8; 64] {
    let mut hasher = Blake2b512::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// `EXPAND(seed, out.len(), number)`: fills `out` with the key stream that `seed` and `number` stand for.
pub fn expand(seed: &[u8; 32], number: u32, out: &mut [u8]) {
    let mut nonce = *b"\0\0\0\0PC_EXPND";
    nonce[..4].copy_from_slice(&number.to_le_bytes());
    out.fill(0);
    KeyStream::new(seed, &nonce).apply(out);
}

/// `CHACHA`: the RFC 8439 ChaCha20 key stream of a key and nonce, read from block 0 onwards.
pub struct KeyStream(ChaCha20);

impl KeyStream {
    /// Length of a block in bytes.
    pub const BLOCK: usize = 64;

    /// The stream, at the start of block 0.
    pub fn new(key: &[u8; 32], nonce: &[u8; 12]) -> Self {
        Self(ChaCha20::new(key.into(), nonce.into()))
    }

    /// Goes to the start of a block. Only blocks below 2^16 are ever needed here.
    pub fn go_to_block(&mut self, block: u16) {
        self.0.seek(u64::from(block) * Self::BLOCK as u64);
    }

    /// XORs the next bytes of the stream onto `data`.
    pub fn apply(&mut self, data: &mut [u8]) {
        self.0.apply_keystream(data);
    }
}

/// `POLY`: the Poly1305 tag of a message that comes in pieces of whole 16-byte blocks.
pub struct Authenticator(Poly1305);

impl Authenticator {
    /// Starts with a one-time key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Poly1305::new(key.into()))
    }

    /// Takes in the next part of the message. A part that is no multiple of 16 bytes is padded with zeros.
    pub fn update(&mut self, part: &[u8]) {
        self.0.update_padded(part);
    }

    /// The tag.
    pub fn finish(self) -> [u8; 16] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_digest_is_not_the_long_one_cut_off() {
        let long = blake2b_512(&[b"ab", b"c"]);
        assert_eq!(hex::encode(&long[..8]), "ba80a53f981c4d0d");
        assert_eq!(hex::encode(&blake2b_256(b"abc")[..8]), "bddd813c63423972");
    }

    #[test]
    fn the_stream_can_be_entered_at_any_block() {
        let (key, nonce) = ([7; 32], [9; 12]);
        let mut whole = [0; 256];
        KeyStream::new(&key, &nonce).apply(&mut whole);
        let mut last = [0; 64];
        let mut stream = KeyStream::new(&key, &nonce);
        stream.go_to_block(3);
        stream.apply(&mut last);
        assert_eq!(last, whole[192..]);
    }

    #[test]
    fn expansion_overwrites_what_was_there() {
        let (mut once, mut again) = ([0; 100], [0xff; 100]);
        expand(&[1; 32], 5, &mut once);
        expand(&[1; 32], 5, &mut again);
        assert_eq!(once, again);
    }
}
