//! Transactions: what is signed and hashed, the two forms in which it travels, and what makes one valid.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.8.

mod basic;
mod content;
mod defect;
mod extended;

use crate::{FormatError, TransactionHash};
use byte_reader::ByteReader;

pub use basic::{BasicTransaction, Payment};
pub use content::{Content, Party, VALIDITY_BLOCKS, block_order};
pub use defect::Defect;
pub use extended::ExtendedTransaction;

/// A transaction in either form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Transaction {
    /// A payment from a key's own address, without data: the form of payouts.
    Basic(BasicTransaction),
    /// Everything else.
    Extended(ExtendedTransaction),
}

const BASIC: u8 = 0;
const EXTENDED: u8 = 1;

impl Transaction {
    /// Reads a transaction.
    pub fn read(reader: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        let start = reader.offset();
        match reader.u8("transaction type")? {
            BASIC => BasicTransaction::read(reader).map(Self::Basic),
            EXTENDED => ExtendedTransaction::read(reader).map(Self::Extended),
            other => Err(reader.error_at(start, "transaction type", "0 or 1", other.to_string())),
        }
    }

    /// Reads a transaction that is all of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = ByteReader::new("transaction", bytes);
        let transaction = Self::read(&mut reader)?;
        reader.end()?;
        Ok(transaction)
    }

    /// Appends the serialised form.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Basic(transaction) => {
                bytes.push(BASIC);
                transaction.write(bytes);
            }
            Self::Extended(transaction) => {
                bytes.push(EXTENDED);
                transaction.write(bytes);
            }
        }
    }

    /// The serialised form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// What is hashed and signed.
    pub fn content(&self) -> Content {
        match self {
            Self::Basic(transaction) => transaction.content(),
            Self::Extended(transaction) => transaction.content.clone(),
        }
    }

    /// The transaction's name. Its proof is no part of it.
    pub fn hash(&self) -> TransactionHash {
        self.content().hash()
    }
}

impl From<BasicTransaction> for Transaction {
    fn from(transaction: BasicTransaction) -> Self {
        Self::Basic(transaction)
    }
}

impl From<ExtendedTransaction> for Transaction {
    fn from(transaction: ExtendedTransaction) -> Self {
        Self::Extended(transaction)
    }
}
