//! A block as it is submitted: header, proof, transactions.
//!
//! Source: `docs/protocol/packetcrypt-blocks.md` 1.2 and 1.5. The proof is read by our stricter rules.

use packetcrypt::block::{
    Elements, Header, MerkleRoot, Transaction, elements::ElementsFault, header::HEADER_SIZE,
    transaction::TransactionFault,
};
use wire::var_int;

use crate::merkle;

/// Bytes of a block at most, proof included.
pub const LARGEST_BLOCK: usize = 1_000_000;

/// A block that could be read; nothing of it has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmittedBlock<'a> {
    /// Its header.
    pub header: Header,
    /// Its proof and signatures.
    pub elements: Elements,
    /// Its transactions; the first ought to be the coinbase.
    pub transactions: Vec<Transaction<'a>>,
    /// Its own bytes, without what may follow.
    pub bytes: &'a [u8],
}

/// Why bytes are no block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFault {
    /// Too short for a header.
    #[error("ErrUnexpectedEOF: {found} bytes, but a header alone has 80")]
    Header {
        /// How many there are.
        found: usize,
    },
    /// The proof cannot be read.
    #[error("{0}")]
    Elements(#[from] ElementsFault),
    /// The number of transactions is missing.
    #[error("EOF: the number of transactions is missing behind the proof")]
    Count,
    /// A transaction cannot be read.
    #[error("transaction {index}: {fault}")]
    Transaction {
        /// Which one.
        index: u64,
        /// Why not.
        fault: TransactionFault,
    },
}

impl DecodeFault {
    /// Whether the proof is of another version than today's, which pktd does not count as unreadable.
    pub fn is_other_version(&self) -> bool {
        matches!(self, Self::Elements(ElementsFault::Version(_) | ElementsFault::Missing(4)))
    }
}

impl<'a> SubmittedBlock<'a> {
    /// Reads a block from the front of some bytes; what follows is ignored, as pktd does.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeFault> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_SIZE>() else {
            return Err(DecodeFault::Header { found: bytes.len() });
        };
        let (elements, length) = Elements::read(rest)?;
        let rest = rest.get(length..).unwrap_or_default();
        let (count, length) = var_int::read(rest).ok_or(DecodeFault::Count)?;
        let mut rest = rest.get(length..).unwrap_or_default();
        let mut transactions = Vec::new();
        for index in 0..count {
            let read = Transaction::read(rest).map_err(|fault| DecodeFault::Transaction { index, fault })?;
            transactions.push(read.0);
            rest = rest.get(read.1..).unwrap_or_default();
        }
        let bytes = bytes.get(..bytes.len() - rest.len()).unwrap_or_default();
        Ok(Self { header: Header::from_bytes(header), elements, transactions, bytes })
    }

    /// The root over its transactions.
    pub fn merkle_root(&self) -> MerkleRoot {
        let ids: Vec<[u8; 32]> = self.transactions.iter().map(Transaction::id).collect();
        merkle::root_of(&ids)
    }
}
