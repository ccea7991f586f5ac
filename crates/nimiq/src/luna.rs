//! Amounts of money: whole luna, and arithmetic that cannot wrap.

use std::fmt;

use byte_reader::ByteReader;

use crate::{FormatError, LARGEST_U64};

/// An amount in luna; 1 NIM is 100,000 luna (`docs/protocol/nimiq-pool.md` 0.2).
///
/// Never negative, and arithmetic is checked: money that does not fit is an error of the caller's to name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Luna(pub u64);

impl Luna {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Luna of one NIM.
    pub const PER_NIM: u64 = 100_000;

    /// Reads an amount of at most [`LARGEST_U64`].
    pub fn read(reader: &mut ByteReader<'_>, field: &'static str) -> Result<Self, FormatError> {
        let start = reader.offset();
        let amount = reader.u64(field)?;
        if amount > LARGEST_U64 {
            return Err(reader.error_at(start, field, "at most 2^53 - 1", amount.to_string()));
        }
        Ok(Self(amount))
    }

    /// The sum, unless it does not fit.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, unless `other` is larger.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// The amount `count` times, unless it does not fit.
    pub const fn checked_mul(self, count: u64) -> Option<Self> {
        match self.0.checked_mul(count) {
            Some(product) => Some(Self(product)),
            None => None,
        }
    }

    /// The sum of all, unless it does not fit.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

/// In NIM, for people: `1.5 NIM`, with as many decimals as there are.
impl fmt::Display for Luna {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / Self::PER_NIM, self.0 % Self::PER_NIM);
        if part == 0 {
            return write!(formatter, "{whole} NIM");
        }
        let decimals = format!("{part:05}");
        write!(formatter, "{whole}.{} NIM", decimals.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_that_the_clients_refuse_is_refused() {
        let read = |amount: u64| Luna::read(&mut ByteReader::new("thing", &amount.to_be_bytes()), "value");
        assert_eq!(read(LARGEST_U64), Ok(Luna(LARGEST_U64)));
        assert!(read(LARGEST_U64 + 1).is_err());
    }

    #[test]
    fn amounts_are_shown_in_nim() {
        assert_eq!(Luna(0).to_string(), "0 NIM");
        assert_eq!(Luna(440_597_429).to_string(), "4405.97429 NIM");
        assert_eq!(Luna(150_000).to_string(), "1.5 NIM");
        assert_eq!(Luna(1).to_string(), "0.00001 NIM");
    }

    #[test]
    fn money_that_does_not_fit_is_none() {
        assert_eq!(Luna(u64::MAX).checked_add(Luna(1)), None);
        assert_eq!(Luna(1).checked_sub(Luna(2)), None);
        assert_eq!(Luna(u64::MAX).checked_mul(2), None);
        assert_eq!(Luna::checked_sum([Luna(1), Luna(2)]), Some(Luna(3)));
        assert_eq!(Luna::checked_sum([Luna(u64::MAX), Luna(2)]), None);
    }
}
