//! The long form: any content, and a proof whose shape depends on the sender's kind of account.

use super::content::Content;
use crate::FormatError;
use byte_reader::ByteReader;

/// A transaction in the long form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExtendedTransaction {
    /// What is hashed and signed.
    pub content: Content,
    /// That the sender says it: a signature proof, where that is a basic account.
    pub proof: Vec<u8>,
}

impl ExtendedTransaction {
    /// Reads what follows the type.
    pub(super) fn read(reader: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        let content = Content::read(reader)?;
        let length = usize::from(reader.u16("proof length")?);
        Ok(Self { content, proof: reader.take("proof", length)?.to_vec() })
    }

    /// Appends what follows the type. A proof beyond 65,535 bytes is cut, as its length is written in two bytes.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        self.content.write(bytes);
        let proof = &self.proof[..self.proof.len().min(usize::from(u16::MAX))];
        bytes.extend((proof.len() as u16).to_be_bytes());
        bytes.extend(proof);
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::tests::content;
    use super::*;
    use crate::Transaction;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            data in prop::collection::vec(any::<u8>(), 0..200),
            proof in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let transaction = Transaction::from(ExtendedTransaction { content: Content { data, ..content() }, proof });
            let bytes = transaction.to_bytes();
            prop_assert_eq!(Transaction::parse(&bytes), Ok(transaction));
            for length in 0..bytes.len() {
                prop_assert!(Transaction::parse(&bytes[..length]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(transaction) = Transaction::parse(&bytes) {
                prop_assert_eq!(transaction.to_bytes(), bytes);
            }
        }
    }
}
