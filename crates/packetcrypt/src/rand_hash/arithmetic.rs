//! Arithmetic on words that hold four 8-bit or two 16-bit numbers side by side, lane 0 in the lowest bits.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 5.5.

use std::array::from_fn;

fn split16(word: u32) -> [u16; 2] {
    [word as u16, (word >> 16) as u16]
}

fn join16([low, high]: [u16; 2]) -> u32 {
    u32::from(high) << 16 | u32::from(low)
}

/// Each 8-bit lane on its own.
pub fn map8(a: u32, operation: impl Fn(u8) -> u8) -> u32 {
    u32::from_le_bytes(a.to_le_bytes().map(operation))
}

/// Each 16-bit lane on its own.
pub fn map16(a: u32, operation: impl Fn(u16) -> u16) -> u32 {
    join16(split16(a).map(operation))
}

/// 8-bit lanes, pair by pair.
pub fn lanes8(a: u32, b: u32, operation: impl Fn(u8, u8) -> u8) -> u32 {
    let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
    u32::from_le_bytes(from_fn(|lane| operation(a[lane], b[lane])))
}

/// 16-bit lanes, pair by pair.
pub fn lanes16(a: u32, b: u32, operation: impl Fn(u16, u16) -> u16) -> u32 {
    let (a, b) = (split16(a), split16(b));
    join16(from_fn(|lane| operation(a[lane], b[lane])))
}

/// 8-bit lanes to results of 16 bits, side by side.
pub fn wide8(a: u32, b: u32, operation: impl Fn(u8, u8) -> u16) -> u64 {
    let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
    let results: [u16; 4] = from_fn(|lane| operation(a[lane], b[lane]));
    results.iter().rev().fold(0, |joined, &result| joined << 16 | u64::from(result))
}

/// 16-bit lanes to results of 32 bits, side by side.
pub fn wide16(a: u32, b: u32, operation: impl Fn(u16, u16) -> u32) -> u64 {
    let (a, b) = (split16(a), split16(b));
    u64::from(operation(a[1], b[1])) << 32 | u64::from(operation(a[0], b[0]))
}

/// A lane as a signed number, with room for a product.
pub fn signed8(lane: u8) -> i16 {
    i16::from(lane as i8)
}

/// A lane as a signed number, with room for a product.
pub fn signed16(lane: u16) -> i32 {
    i32::from(lane as i16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lane_zero_is_lowest() {
        assert_eq!(lanes8(0x0102_0304, 0xff00_0001, u8::wrapping_add), 0x0002_0305);
        assert_eq!(lanes16(0x0001_ffff, 0x0002_0001, u16::wrapping_add), 0x0003_0000);
        assert_eq!(
            wide8(0x0200_00ff, 0x0300_00ff, |a, b| u16::from(a) * u16::from(b)),
            0x0006_0000_0000_fe01
        );
        assert_eq!(
            wide16(0x0002_ffff, 0x0003_ffff, |a, b| u32::from(a) * u32::from(b)),
            0x0000_0006_fffe_0001
        );
    }
}
