//! The instructions of generated programs: their opcodes, groups and bit fields.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 4.2 and 5.4. [`rand_gen`](crate::rand_gen) writes them,
//! [`rand_hash`](crate::rand_hash) obeys them.

/// Most instructions that a program may have.
pub const PROGRAM_LENGTH_MAX: usize = 2048;

/// Defines the opcodes, which count up from 1 in the order of the list.
macro_rules! opcodes {
    ($($name:ident),+ $(,)?) => {
        /// What an instruction does. The number in a word's low byte is the position here, from 1.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "the names are those of the specification, which says what each does")]
        pub enum Opcode { $($name),+ }

        const OPCODES: &[Opcode] = &[$(Opcode::$name),+];
    };
}

opcodes! {
    // One input, one output.
    Popcnt8, Popcnt16, Popcnt32, Clz8, Clz16, Clz32, Ctz8, Ctz16, Ctz32, Bswap16, Bswap32,
    // Two inputs, one output.
    Add8, Add16, Add32, Sub8, Sub16, Sub32, Shll8, Shll16, Shll32, Shrl8, Shrl16, Shrl32,
    Shra8, Shra16, Shra32, Rotl8, Rotl16, Rotl32, Mul8, Mul16, Mul32, And, Or, Xor,
    // Two inputs, two outputs: results of twice the width.
    Add8C, Add16C, Add32C, Sub8C, Sub16C, Sub32C, Mul8C, Mul16C, Mul32C, Mulsu8C, Mulsu16C, Mulsu32C,
    Mulu8C, Mulu16C, Mulu32C,
    // Two inputs of 64 bits, an output of 64 bits.
    Add64, Sub64, Shll64, Shrl64, Shra64, Rotl64, Rotr64, Mul64,
    // Two inputs of 64 bits, an output of 128 bits.
    Add64C, Sub64C, Mul64C, Mulsu64C, Mulu64C,
    // Loads and control.
    In, Memory, Loop, IfLikely, IfRandom, Jmp, End,
}

const _: () = assert!(Opcode::End.code() == 70);

impl Opcode {
    /// The number that stands for it in an instruction.
    pub const fn code(self) -> u32 {
        self as u32 + 1
    }

    /// The opcode of a number; `None` for 0 and for more than 70.
    pub fn from_code(code: u32) -> Option<Self> {
        OPCODES.get((code as usize).checked_sub(1)?).copied()
    }

    /// The group of a computing opcode; `None` for loads and control.
    pub fn group(self) -> Option<Group> {
        let belongs = |group: &Group| (group.first()..group.first() + group.size()).contains(&self.code());
        [Group::G11, Group::G21, Group::G22, Group::G42, Group::G44].into_iter().find(belongs)
    }
}

/// Opcodes that are alike in what they take, give and cost. Named by words taken and given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// One word to one.
    G11,
    /// Two words to one.
    G21,
    /// Two words to two.
    G22,
    /// Two pairs of words to one pair.
    G42,
    /// Two pairs of words to two pairs.
    G44,
}

impl Group {
    /// Code of its first opcode.
    pub const fn first(self) -> u32 {
        match self {
            Self::G11 => Opcode::Popcnt8.code(),
            Self::G21 => Opcode::Add8.code(),
            Self::G22 => Opcode::Add8C.code(),
            Self::G42 => Opcode::Add64.code(),
            Self::G44 => Opcode::Add64C.code(),
        }
    }

    /// Number of its opcodes.
    pub const fn size(self) -> u32 {
        match self {
            Self::G11 => 11,
            Self::G21 => 24,
            Self::G22 => 15,
            Self::G42 => 8,
            Self::G44 => 5,
        }
    }

    /// What the generator pays for one.
    pub const fn cost(self) -> u32 {
        match self {
            Self::G11 => 1,
            Self::G21 => 2,
            Self::G22 => 4,
            Self::G42 => 8,
            Self::G44 => 16,
        }
    }

    /// Words it pushes.
    pub const fn outputs(self) -> usize {
        match self {
            Self::G11 | Self::G21 => 1,
            Self::G22 | Self::G42 => 2,
            Self::G44 => 4,
        }
    }

    /// Whether operands are pairs of registers, named by the higher one.
    pub const fn takes_pairs(self) -> bool {
        matches!(self, Self::G42 | Self::G44)
    }
}

/// An instruction word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Instruction(pub u32);

impl Instruction {
    /// Set where operand B is the immediate number.
    pub const IMMEDIATE: u32 = 1 << 18;

    /// What it does; `None` if the low byte is no opcode.
    pub fn opcode(self) -> Option<Opcode> {
        Opcode::from_code(self.0 & 0xff)
    }

    /// Register A.
    pub fn register_a(self) -> usize {
        (self.0 >> 9 & 0x1ff) as usize
    }

    /// Register B; `None` where operand B is the immediate number.
    pub fn register_b(self) -> Option<usize> {
        (self.0 & Self::IMMEDIATE == 0).then_some((self.0 >> 20 & 0x1ff) as usize)
    }

    /// The immediate number: 12 bits with sign, or (never in generated arithmetic) one of a family of masks.
    pub fn immediate(self) -> u64 {
        if self.0 & 1 << 19 == 0 {
            return i64::from(self.0 as i32 >> 20) as u64;
        }
        let [a, b, i, s] = [self.0 >> 20 & 31, self.0 >> 25 & 31, self.0 >> 30 & 1, self.0 >> 31];
        ((u64::from(i) << 63).wrapping_sub(1) ^ 1 << b ^ 1 << a) | u64::from(s) << 63
    }

    /// Iterations of a LOOP.
    pub fn loop_count(self) -> u32 {
        self.0 >> 20
    }

    /// Words that a JMP skips.
    pub fn jump_distance(self) -> usize {
        (self.0 >> 8) as usize
    }

    /// What a MEMORY reads: base, step and carry.
    pub fn memory_fields(self) -> (u32, u32, u32) {
        (self.0 >> 17, self.0 >> 13 & 15, self.0 >> 9 & 15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_specification() {
        let expected = [
            (1, Opcode::Popcnt8),
            (11, Opcode::Bswap32),
            (12, Opcode::Add8),
            (35, Opcode::Xor),
            (36, Opcode::Add8C),
            (50, Opcode::Mulu32C),
            (51, Opcode::Add64),
            (58, Opcode::Mul64),
            (59, Opcode::Add64C),
            (63, Opcode::Mulu64C),
            (64, Opcode::In),
            (66, Opcode::Loop),
            (69, Opcode::Jmp),
        ];
        for (code, opcode) in expected {
            assert_eq!(Opcode::from_code(code), Some(opcode));
        }
        assert_eq!(Opcode::from_code(0), None);
        assert_eq!(Opcode::from_code(71), None);
    }

    #[test]
    fn groups_lie_one_behind_the_other() {
        assert_eq!(Opcode::Popcnt8.group(), Some(Group::G11));
        assert_eq!(Opcode::Add8.group(), Some(Group::G21));
        assert_eq!(Opcode::Mulu32C.group(), Some(Group::G22));
        assert_eq!(Opcode::Mul64.group(), Some(Group::G42));
        assert_eq!(Opcode::Mulu64C.group(), Some(Group::G44));
        assert_eq!(Opcode::In.group(), None);
    }
}
