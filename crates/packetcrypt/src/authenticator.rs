//! `POLY`: Poly1305 (RFC 8439 2.5) of one message, in ordinary registers.
//!
//! Numbers modulo 2^130 - 5 are three limbs of 44, 44 and 42 bits, so that sums of products fit in 128 bits. Four blocks
//! are taken in for one reduction, each multiplied with its own power of the key: the processor does not wait for one
//! product before it begins the next.
//!
//! Limbs stay below 2^46 before a multiplication, those of the powers below 2^45, times 20 below 2^50, so the sum of
//! twelve products is below 2^100 and a carry below 2^58.

const LIMB_44: u64 = (1 << 44) - 1;
const LIMB_42: u64 = (1 << 42) - 1;
/// The bit 2^128 that marks a whole block, in the last limb.
const MARKER: u64 = 1 << 40;
/// Blocks that are taken in for one reduction.
const CHUNK: usize = 4;
const BLOCK: usize = 16;

/// A number modulo 2^130 - 5.
#[derive(Clone, Copy, Default)]
struct Number([u64; 3]);

/// The sum of products, limb by limb.
#[derive(Clone, Copy, Default)]
struct Product([u128; 3]);

/// The Poly1305 tag of a message that comes in pieces of whole 16-byte blocks.
pub struct Authenticator {
    /// r^4 to r.
    powers: [Number; CHUNK],
    /// Added at the end.
    s: u128,
    sum: Number,
}

impl Authenticator {
    /// Starts with a one-time key.
    pub fn new(key: &[u8; 32]) -> Self {
        let [r, s] = [0, BLOCK].map(|at| u128::from_le_bytes(*key[at..].first_chunk().expect("half a key")));
        let first = Number::from_bits(r & 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff, 0);
        let second = first.times(first);
        let powers = [second.times(second), second.times(first), second, first];
        Self { powers, s, sum: Number::default() }
    }

    /// Takes in the next part of the message. A part that is no multiple of 16 bytes is padded with zeros.
    pub fn update(&mut self, part: &[u8]) {
        let (blocks, rest) = part.as_chunks();
        let (chunks, few) = blocks.as_chunks::<CHUNK>();
        for chunk in chunks {
            self.take_in(chunk);
        }
        self.take_in(few);
        if !rest.is_empty() {
            let mut padded = [0; BLOCK];
            padded[..rest.len()].copy_from_slice(rest);
            self.take_in(&[padded]);
        }
    }

    /// Takes in [`CHUNK`] blocks at most.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "of a whole chunk the loop is to be unrolled")]
    fn take_in(&mut self, blocks: &[[u8; BLOCK]]) {
        let powers = &self.powers[CHUNK - blocks.len()..];
        let mut product = Product::default();
        // The first block comes last: only it has to wait for the sum so far.
        for (block, power) in blocks.iter().zip(powers).skip(1) {
            product.add(Number::from_bits(u128::from_le_bytes(*block), MARKER), power);
        }
        if let (Some(block), Some(power)) = (blocks.first(), powers.first()) {
            product.add(self.sum.plus(Number::from_bits(u128::from_le_bytes(*block), MARKER)), power);
            self.sum = product.carried();
        }
    }

    /// The tag.
    pub fn finish(self) -> [u8; 16] {
        self.sum.reduced().wrapping_add(self.s).to_le_bytes()
    }
}

impl Number {
    /// A number of 128 bits, and a marker above them.
    #[inline]
    fn from_bits(bits: u128, marker: u64) -> Self {
        Self([bits as u64 & LIMB_44, (bits >> 44) as u64 & LIMB_44, (bits >> 88) as u64 | marker])
    }

    #[inline]
    fn plus(self, other: Self) -> Self {
        let ([a0, a1, a2], [b0, b1, b2]) = (self.0, other.0);
        Self([a0 + b0, a1 + b1, a2 + b2])
    }

    fn times(self, other: Self) -> Self {
        let mut product = Product::default();
        product.add(self, &other);
        product.carried()
    }

    /// The canonical residue, modulo 2^128.
    fn reduced(self) -> u128 {
        let [mut l0, mut l1, mut l2] = self.0;
        // Twice round, after which a carry can only come from a number of at least the modulus.
        for _ in 0..2 {
            l1 += l0 >> 44;
            l0 &= LIMB_44;
            l2 += l1 >> 44;
            l1 &= LIMB_44;
            l0 += 5 * (l2 >> 42);
            l2 &= LIMB_42;
        }
        // Adding 5 overflows 2^130 exactly if the number is at least the modulus.
        let overflow = (l2 + ((l1 + ((l0 + 5) >> 44)) >> 44)) >> 42;
        u128::from(l0 + 5 * overflow).wrapping_add(u128::from(l1) << 44).wrapping_add(u128::from(l2) << 88)
    }
}

impl Product {
    /// Adds `number · by`.
    #[inline]
    fn add(&mut self, number: Number, by: &Number) {
        let ([a0, a1, a2], [r0, r1, r2]) = (number.0, by.0);
        // 2^132 is 20 modulo 2^130 - 5.
        let (s1, s2) = (20 * r1, 20 * r2);
        let times = |a: u64, b: u64| u128::from(a) * u128::from(b);
        let [d0, d1, d2] = &mut self.0;
        *d0 += times(a0, r0) + times(a1, s2) + times(a2, s1);
        *d1 += times(a0, r1) + times(a1, r0) + times(a2, s2);
        *d2 += times(a0, r2) + times(a1, r1) + times(a2, r0);
    }

    /// The number that it is, limbs below 2^44, 2^44 + 2^17 and 2^42.
    #[inline]
    fn carried(self) -> Number {
        let [d0, d1, d2] = self.0;
        let d1 = d1 + (d0 >> 44);
        let d2 = d2 + (d1 >> 44);
        let l0 = (d0 as u64 & LIMB_44) + 5 * (d2 >> 42) as u64;
        Number([l0 & LIMB_44, (d1 as u64 & LIMB_44) + (l0 >> 44), d2 as u64 & LIMB_42])
    }
}

#[cfg(test)]
mod tests {
    use poly1305::Poly1305;
    use poly1305::universal_hash::KeyInit;

    use super::*;
    use crate::hash::expand;

    fn expected(key: &[u8; 32], message: &[u8]) -> [u8; 16] {
        Poly1305::new(key.into()).compute_unpadded(message).into()
    }

    #[test]
    fn tags_of_every_length_are_those_of_the_library() {
        let mut message = [0; 2048];
        for blocks in 0..=128 {
            let mut key = [0; 32];
            expand(&[1; 32], blocks, &mut key);
            expand(&[2; 32], blocks, &mut message);
            let text = &message[..16 * blocks as usize];
            let mut authenticator = Authenticator::new(&key);
            let (first, second) = text.split_at(text.len() / 48 * 16);
            authenticator.update(first);
            authenticator.update(second);
            assert_eq!(authenticator.finish(), expected(&key, text), "{blocks} blocks");
        }
    }

    /// Numbers of all ones come closest to the modulus, and make every carry.
    #[test]
    fn tags_of_extreme_numbers_are_those_of_the_library() {
        let extremes: [[u8; 16]; 4] = [
            [0xff; 16],
            [0; 16],
            // Near 2^130 - 5, once the marker is added.
            u128::to_le_bytes(u128::MAX - 4),
            u128::to_le_bytes(u128::MAX - 5),
        ];
        for r in extremes.into_iter().chain([1u128.to_le_bytes(), 4u128.to_le_bytes()]) {
            for s in extremes {
                let mut key = [0; 32];
                key[..16].copy_from_slice(&r);
                key[16..].copy_from_slice(&s);
                for blocks in 0..4u32.pow(4) {
                    let text = [0, 2, 4, 6].map(|shift| extremes[(blocks >> shift & 3) as usize]);
                    let text = [text.concat(), text.concat()].concat();
                    for length in [16, 48, 64, 80, 128] {
                        let mut authenticator = Authenticator::new(&key);
                        authenticator.update(&text[..length]);
                        assert_eq!(authenticator.finish(), expected(&key, &text[..length]));
                    }
                }
            }
        }
    }

    #[test]
    fn a_part_is_padded_with_zeros() {
        let (key, mut padded) = ([0x5a; 32], [7; 32]);
        padded[20..].fill(0);
        let mut authenticator = Authenticator::new(&key);
        authenticator.update(&padded[..20]);
        assert_eq!(authenticator.finish(), expected(&key, &padded));
    }
}
