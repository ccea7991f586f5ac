//! The extra data of a block, and how a pool lays it out: it makes the work of each connection its own.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 1.5.

use std::fmt;

use crate::address::ADDRESS_SIZE;
use crate::{Address, CompactTarget};
use byte_reader::excerpt;

/// Up to 255 bytes that a block carries for its miner.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ExtraData(Vec<u8>);

impl ExtraData {
    /// The most bytes that a block takes.
    pub const LONGEST: usize = 255;

    /// `None` for more than [`LONGEST`](Self::LONGEST) bytes.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= Self::LONGEST).then_some(Self(bytes))
    }

    /// As much of the bytes as a block takes.
    pub fn cut(bytes: &[u8]) -> Self {
        Self(bytes[..bytes.len().min(Self::LONGEST)].to_vec())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ExtraData {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ExtraData({})", hex::encode(&self.0))
    }
}

/// The number by which a miner tells its machines apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u32);

/// A number that no two live connections of a pool share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionNonce(pub u32);

/// The name with which a pool's extra data begins: printable ASCII, at most 200 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolName(String);

/// Why a text is no pool name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a pool's name is 1 to {} printable ASCII characters, not \"{found}\"", PoolName::LONGEST)]
pub struct PoolNameError {
    /// The text, cut to a readable length.
    pub found: String,
}

impl PoolName {
    /// The most characters of a name.
    pub const LONGEST: usize = 200;

    /// From the configured name.
    pub fn new(name: &str) -> Result<Self, PoolNameError> {
        let printable = name.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let fits = (1..=Self::LONGEST).contains(&name.len());
        (printable && fits)
            .then(|| Self(name.to_owned()))
            .ok_or_else(|| PoolNameError { found: excerpt(name) })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const _: () = assert!(PoolName::LONGEST + SessionExtraData::TAIL <= ExtraData::LONGEST);

/// What the extra data of one connection says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionExtraData {
    /// The pool.
    pub pool: PoolName,
    /// Who is credited.
    pub address: Address,
    /// Which connection it is.
    pub session: SessionNonce,
    /// The share target that was announced with this extra data.
    pub target: CompactTarget,
}

impl SessionExtraData {
    /// Bytes behind the name.
    const TAIL: usize = 1 + ADDRESS_SIZE + 4 + 4;

    /// The bytes.
    pub fn to_extra_data(&self) -> ExtraData {
        let mut bytes = self.pool.0.as_bytes().to_vec();
        bytes.push(0);
        bytes.extend(self.address.0);
        bytes.extend(self.session.0.to_be_bytes());
        bytes.extend(self.target.0.to_be_bytes());
        ExtraData(bytes)
    }

    /// Reads what a pool laid out like this; `None` for any other extra data.
    pub fn parse(extra_data: &ExtraData) -> Option<Self> {
        let bytes = extra_data.as_bytes();
        let (name, tail) = bytes.split_at_checked(bytes.len().checked_sub(Self::TAIL)?)?;
        let (zero, tail) = tail.split_first()?;
        let (address, tail) = tail.split_first_chunk()?;
        let (session, tail) = tail.split_first_chunk()?;
        let pool = PoolName::new(std::str::from_utf8(name).ok()?).ok()?;
        (*zero == 0).then_some(Self {
            pool,
            address: Address(*address),
            session: SessionNonce(u32::from_be_bytes(*session)),
            target: CompactTarget(u32::from_be_bytes(tail.try_into().ok()?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_recorded_pool_is_read() {
        let bytes =
            b"test-pool\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\
                      \x12\xbf\x71\x9e\x1f\x10\xaa\xaa";
        let session = SessionExtraData::parse(&ExtraData::cut(bytes)).unwrap();
        assert_eq!(session.pool.as_str(), "test-pool");
        assert_eq!((session.session.0, session.target.0), (0x12bf_719e, 0x1f10_aaaa));
        assert_eq!(session.to_extra_data().as_bytes(), bytes);
    }

    #[test]
    fn a_name_is_short_and_printable() {
        assert!(PoolName::new(&"x".repeat(200)).is_ok());
        for wrong in ["", "a\0b", "Grübe", "a\nb", &"x".repeat(201)] {
            assert!(PoolName::new(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_laid_out_is_read(name in "[ -~]{1,200}", address: [u8; 20], numbers: [u32; 2]) {
            let session = SessionExtraData {
                pool: PoolName::new(&name).unwrap(),
                address: Address(address),
                session: SessionNonce(numbers[0]),
                target: CompactTarget(numbers[1]),
            };
            prop_assert_eq!(SessionExtraData::parse(&session.to_extra_data()), Some(session));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..255)) {
            let extra_data = ExtraData::new(bytes).unwrap();
            if let Some(session) = SessionExtraData::parse(&extra_data) {
                prop_assert_eq!(session.to_extra_data(), extra_data);
            }
        }
    }
}
