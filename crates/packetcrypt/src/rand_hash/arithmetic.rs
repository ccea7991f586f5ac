//! Registers, and arithmetic on what they hold.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 5.5. A word can hold four 8-bit or two 16-bit numbers side by
//! side, in lanes of which lane 0 has the lowest bits; two neighbouring registers can be a pair, a 64-bit number.

use std::array::from_fn;

use super::program::{CONSTANTS, PLACES, Program, Step};

/// Registers from 0, and the immediate numbers of a program from [`CONSTANTS`].
#[derive(Debug)]
pub struct Registers(Box<[u32; PLACES]>);

impl Default for Registers {
    fn default() -> Self {
        Self(vec![0; PLACES].try_into().expect("a vector of that length"))
    }
}

impl Registers {
    /// Puts the immediate numbers of a program in their places.
    pub fn load_constants(&mut self, program: &Program) {
        self.0[CONSTANTS..CONSTANTS + program.constants.len()].copy_from_slice(&program.constants);
    }

    /// The registers from `first` up to but not including `behind`.
    pub fn range(&self, first: u16, behind: u16) -> &[u32] {
        &self.0[usize::from(first)..usize::from(behind)]
    }

    /// The word at a place.
    pub fn word(&self, place: u16) -> u32 {
        self.0[usize::from(place) % PLACES]
    }

    /// Puts a result of one word where a step wants it.
    pub fn put(&mut self, step: Step, word: u32) {
        self.0[usize::from(step.to) % PLACES] = word;
    }

    fn put_pair(&mut self, step: Step, number: u64) {
        self.put(step, number as u32);
        self.0[(usize::from(step.to) + 1) % PLACES] = (number >> 32) as u32;
    }

    /// The 64-bit number whose high word is at a place.
    fn pair(&self, place: u16) -> u64 {
        u64::from(self.word(place)) << 32 | u64::from(self.word(place.wrapping_sub(1)))
    }

    /// One word to one.
    pub fn each(&mut self, step: Step, operation: impl Fn(u32) -> u32) {
        self.put(step, operation(self.word(step.a)));
    }

    /// Each 8-bit lane of a word on its own.
    pub fn each8(&mut self, step: Step, operation: impl Fn(u8) -> u8) {
        self.each(step, |a| u32::from_le_bytes(a.to_le_bytes().map(&operation)));
    }

    /// Each 16-bit lane of a word on its own.
    pub fn each16(&mut self, step: Step, operation: impl Fn(u16) -> u16) {
        self.each(step, |a| join16(split16(a).map(&operation)));
    }

    /// Two words to one.
    pub fn words(&mut self, step: Step, operation: impl Fn(u32, u32) -> u32) {
        self.put(step, operation(self.word(step.a), self.word(step.b)));
    }

    /// The 8-bit lanes of two words to those of one.
    pub fn lanes8(&mut self, step: Step, operation: impl Fn(u8, u8) -> u8) {
        self.words(step, |a, b| {
            let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
            u32::from_le_bytes(from_fn(|lane| operation(a[lane], b[lane])))
        });
    }

    /// The 16-bit lanes of two words to those of one.
    pub fn lanes16(&mut self, step: Step, operation: impl Fn(u16, u16) -> u16) {
        self.words(step, |a, b| {
            let (a, b) = (split16(a), split16(b));
            join16(from_fn(|lane| operation(a[lane], b[lane])))
        });
    }

    /// Two words to a result of twice the width.
    pub fn wide(&mut self, step: Step, operation: impl Fn(u32, u32) -> u64) {
        self.put_pair(step, operation(self.word(step.a), self.word(step.b)));
    }

    /// 8-bit lanes to results of 16 bits, side by side.
    pub fn wide8(&mut self, step: Step, operation: impl Fn(u8, u8) -> u16) {
        self.wide(step, |a, b| {
            let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
            let results: [u16; 4] = from_fn(|lane| operation(a[lane], b[lane]));
            results.iter().rev().fold(0, |joined, &result| joined << 16 | u64::from(result))
        });
    }

    /// 16-bit lanes to results of 32 bits, side by side.
    pub fn wide16(&mut self, step: Step, operation: impl Fn(u16, u16) -> u32) {
        self.wide(step, |a, b| {
            let (a, b) = (split16(a), split16(b));
            u64::from(operation(a[1], b[1])) << 32 | u64::from(operation(a[0], b[0]))
        });
    }

    /// Two pairs to one.
    pub fn pairs(&mut self, step: Step, operation: impl Fn(u64, u64) -> u64) {
        self.put_pair(step, operation(self.pair(step.a), self.pair(step.b)));
    }

    /// Two pairs to a result of twice the width: four words.
    pub fn wide_pairs(&mut self, step: Step, operation: impl Fn(u64, u64) -> u128) {
        let number = operation(self.pair(step.a), self.pair(step.b));
        for word in 0..4 {
            self.0[(usize::from(step.to) + word) % PLACES] = (number >> (32 * word)) as u32;
        }
    }
}

fn split16(word: u32) -> [u16; 2] {
    [word as u16, (word >> 16) as u16]
}

fn join16([low, high]: [u16; 2]) -> u32 {
    u32::from(high) << 16 | u32::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction::Opcode;

    /// The first two words of what an operation makes of two words.
    fn computed(a: u32, b: u32, operation: impl Fn(&mut Registers, Step)) -> u64 {
        let mut registers = Registers::default();
        registers.0[..2].copy_from_slice(&[a, b]);
        operation(&mut registers, Step { opcode: Opcode::End, a: 0, b: 1, to: 2 });
        registers.pair(3)
    }

    #[test]
    fn lane_zero_is_lowest() {
        let bytes = |registers: &mut Registers, step| registers.lanes8(step, u8::wrapping_add);
        assert_eq!(computed(0x0102_0304, 0xff00_0001, bytes), 0x0002_0305);
        let halves = |registers: &mut Registers, step| registers.lanes16(step, u16::wrapping_add);
        assert_eq!(computed(0x0001_ffff, 0x0002_0001, halves), 0x0003_0000);
        let wide_bytes =
            |registers: &mut Registers, step| registers.wide8(step, |a, b| u16::from(a) * u16::from(b));
        assert_eq!(computed(0x0200_00ff, 0x0300_00ff, wide_bytes), 0x0006_0000_0000_fe01);
        let wide_halves =
            |registers: &mut Registers, step| registers.wide16(step, |a, b| u32::from(a) * u32::from(b));
        assert_eq!(computed(0x0002_ffff, 0x0003_ffff, wide_halves), 0x0000_0006_fffe_0001);
    }
}
