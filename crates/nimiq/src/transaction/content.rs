//! What a transaction says, apart from the proof that its sender says it; and the order of transactions in a block.

use std::cmp::{Ordering, Reverse};

use crate::account::AccountType;
use crate::hash::blake2b_256;
use crate::{Address, FormatError, Height, Luna, NetworkId, TransactionHash};
use byte_reader::ByteReader;

/// How many blocks may take a transaction, from its validity start on.
pub const VALIDITY_BLOCKS: u32 = 120;

/// One end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Party {
    /// Whose account it is.
    pub address: Address,
    /// What kind of account it is.
    pub account_type: AccountType,
}

/// What is hashed and signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    /// For the recipient; what makes a contract, if it is one.
    pub data: Vec<u8>,
    /// Who pays.
    pub sender: Party,
    /// Who is paid.
    pub recipient: Party,
    /// What the recipient gets.
    pub value: Luna,
    /// What the miner gets.
    pub fee: Luna,
    /// The first block that may take it.
    pub validity_start: Height,
    /// The network on which it means anything.
    pub network: NetworkId,
    /// 1 if it makes a contract.
    pub flags: u8,
}

impl Party {
    /// A basic account.
    pub const fn basic(address: Address) -> Self {
        Self { address, account_type: AccountType::Basic }
    }

    fn read(
        reader: &mut ByteReader<'_>,
        address: &'static str,
        account_type: &'static str,
    ) -> Result<Self, FormatError> {
        let address = Address(reader.array(address)?);
        Ok(Self { address, account_type: AccountType::read(reader, account_type)? })
    }
}

impl Content {
    /// Reads a content.
    pub fn read(reader: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        let length = usize::from(reader.u16("data length")?);
        Ok(Self {
            data: reader.take("data", length)?.to_vec(),
            sender: Party::read(reader, "sender", "sender type")?,
            recipient: Party::read(reader, "recipient", "recipient type")?,
            value: Luna::read(reader, "value")?,
            fee: Luna::read(reader, "fee")?,
            validity_start: Height(reader.u32("validityStartHeight")?),
            network: NetworkId(reader.u8("networkId")?),
            flags: reader.u8("flags")?,
        })
    }

    /// Appends the serialised form. Data beyond 65,535 bytes is cut, as its length is written in two bytes.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let data = &self.data[..self.data.len().min(usize::from(u16::MAX))];
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
        for party in [&self.sender, &self.recipient] {
            bytes.extend(party.address.0);
            bytes.push(party.account_type as u8);
        }
        bytes.extend(self.value.0.to_be_bytes());
        bytes.extend(self.fee.0.to_be_bytes());
        bytes.extend(self.validity_start.0.to_be_bytes());
        bytes.extend([self.network.0, self.flags]);
    }

    /// The bytes to sign and to hash.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// The transaction's name.
    pub fn hash(&self) -> TransactionHash {
        TransactionHash(blake2b_256(&[&self.to_bytes()]))
    }

    /// Whether the block at `height` may take it.
    pub fn is_valid_at(&self, height: Height) -> bool {
        let end = u64::from(self.validity_start.0) + u64::from(VALIDITY_BLOCKS);
        self.validity_start <= height && u64::from(height.0) < end
    }
}

/// The order in which a block must hold its transactions.
pub fn block_order(first: &Content, second: &Content) -> Ordering {
    fn key(content: &Content) -> impl Ord + '_ {
        (
            (content.recipient.address, content.validity_start, Reverse(content.fee), Reverse(content.value)),
            (
                content.sender.address,
                content.recipient.account_type,
                content.sender.account_type,
                content.flags,
            ),
            (content.data.len(), &content.data),
        )
    }
    key(first).cmp(&key(second))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn content() -> Content {
        Content {
            data: Vec::new(),
            sender: Party::basic(Address([1; 20])),
            recipient: Party::basic(Address([2; 20])),
            value: Luna(5),
            fee: Luna(1),
            validity_start: Height(10),
            network: NetworkId(2),
            flags: 0,
        }
    }

    #[test]
    fn a_transaction_is_valid_for_120_blocks() {
        let valid = |height| content().is_valid_at(Height(height));
        assert!(!valid(9) && valid(10) && valid(129) && !valid(130));
        let last = Content { validity_start: Height(u32::MAX), ..content() };
        assert!(last.is_valid_at(Height(u32::MAX)));
    }

    #[test]
    fn the_order_in_a_block_follows_its_rules_one_by_one() {
        let first = content();
        let later = [
            Content { recipient: Party::basic(Address([3; 20])), fee: Luna(9), ..content() },
            Content { validity_start: Height(11), fee: Luna(9), ..content() },
            Content { fee: Luna(0), value: Luna(9), ..content() },
            Content { value: Luna(4), sender: Party::basic(Address([0; 20])), ..content() },
            Content { sender: Party::basic(Address([2; 20])), ..content() },
            Content { flags: 1, ..content() },
            Content { data: vec![0], ..content() },
        ];
        for second in later {
            assert_eq!(block_order(&first, &second), Ordering::Less, "{second:?}");
            assert_eq!(block_order(&second, &first), Ordering::Greater, "{second:?}");
        }
        let (short, long) = (vec![9], vec![0, 0]);
        let with = |data| Content { data, ..content() };
        assert_eq!(block_order(&with(short), &with(long)), Ordering::Less);
    }
}
