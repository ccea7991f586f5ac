//! The short form: a key pays from its own address, without data.

use super::content::{Content, Party};
use crate::{Address, FormatError, Height, Luna, NetworkId, PrivateKey, PublicKey, Signature};
use byte_reader::ByteReader;

/// A payment that nobody has signed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Payment {
    /// Who is paid.
    pub recipient: Address,
    /// What the recipient gets.
    pub value: Luna,
    /// What the miner gets.
    pub fee: Luna,
    /// The first block that may take it.
    pub validity_start: Height,
    /// The network on which it means anything.
    pub network: NetworkId,
}

/// A signed payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BasicTransaction {
    /// Whose address pays.
    pub public_key: PublicKey,
    /// What is paid, and to whom.
    pub payment: Payment,
    /// The key's signature over the content.
    pub signature: Signature,
}

impl Payment {
    /// The content, with `sender` as the one who pays.
    pub fn content(&self, sender: Address) -> Content {
        Content {
            data: Vec::new(),
            sender: Party::basic(sender),
            recipient: Party::basic(self.recipient),
            value: self.value,
            fee: self.fee,
            validity_start: self.validity_start,
            network: self.network,
            flags: 0,
        }
    }

    /// Pays from the address of `key`.
    pub fn sign(&self, key: &PrivateKey) -> BasicTransaction {
        let public_key = key.public_key();
        let signature = key.sign(&self.content(public_key.address()).to_bytes());
        BasicTransaction { public_key, payment: *self, signature }
    }
}

impl BasicTransaction {
    /// Bytes of the serialised form, with its type.
    pub const SIZE: usize = 138;

    /// What is hashed and signed.
    pub fn content(&self) -> Content {
        self.payment.content(self.public_key.address())
    }

    /// Whether the signature is the key's, over this content.
    pub fn verifies(&self) -> bool {
        self.public_key.verifies(&self.content().to_bytes(), &self.signature)
    }

    /// Reads what follows the type.
    pub(super) fn read(reader: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            public_key: PublicKey(reader.array("public key")?),
            payment: Payment {
                recipient: Address(reader.array("recipient")?),
                value: Luna::read(reader, "value")?,
                fee: Luna::read(reader, "fee")?,
                validity_start: Height(reader.u32("validityStartHeight")?),
                network: NetworkId(reader.u8("networkId")?),
            },
            signature: Signature(reader.array("signature")?),
        })
    }

    /// Appends what follows the type.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.public_key.0);
        bytes.extend(self.payment.recipient.0);
        bytes.extend(self.payment.value.0.to_be_bytes());
        bytes.extend(self.payment.fee.0.to_be_bytes());
        bytes.extend(self.payment.validity_start.0.to_be_bytes());
        bytes.push(self.payment.network.0);
        bytes.extend(self.signature.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Transaction;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            recipient: [u8; 20],
            amounts in [0u64..1 << 53, 0u64..1 << 53],
            validity_start: u32,
            network: u8,
        ) {
            let payment = Payment {
                recipient: Address(recipient),
                value: Luna(amounts[0]),
                fee: Luna(amounts[1]),
                validity_start: Height(validity_start),
                network: NetworkId(network),
            };
            let signed = payment.sign(&PrivateKey::new(&[7; 32]));
            prop_assert!(signed.verifies());
            let bytes = Transaction::from(signed).to_bytes();
            prop_assert_eq!(bytes.len(), BasicTransaction::SIZE);
            prop_assert_eq!(Transaction::parse(&bytes), Ok(signed.into()));
            let changed = BasicTransaction { payment: Payment { fee: Luna(amounts[1] ^ 1), ..payment }, ..signed };
            prop_assert!(!changed.verifies());
        }
    }
}
