//! The body of a block: whom it pays, what its miner wrote, its transactions, and the accounts that it removes.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.5 and 2.10.

use crate::account::PrunedAccount;
use crate::merkle::{self, MerklePath};
use crate::{Address, BodyHash, ExtraData, FormatError, Luna, MerkleHash, Transaction};
use byte_reader::ByteReader;

/// The body of a block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Body {
    /// Who gets the reward and the fees.
    pub miner: Address,
    /// What the miner wrote.
    pub extra_data: ExtraData,
    /// In the order of [`block_order`](crate::transaction::block_order).
    pub transactions: Vec<Transaction>,
    /// Contracts that are used up.
    pub pruned_accounts: Vec<PrunedAccount>,
}

/// The leaf of the miner's address.
pub fn miner_leaf(miner: &Address) -> MerkleHash {
    MerkleHash::of_leaf(&miner.0)
}

/// The leaf of the extra data.
pub fn extra_data_leaf(extra_data: &ExtraData) -> MerkleHash {
    MerkleHash::of_leaf(extra_data.as_bytes())
}

const MINER_LEAF: usize = 0;
const EXTRA_DATA_LEAF: usize = 1;

impl Body {
    /// Reads a body.
    pub fn read(reader: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        let miner = Address(reader.array("miner address")?);
        let length = usize::from(reader.u8("extra data length")?);
        let extra_data = ExtraData::cut(reader.take("extra data", length)?);
        let mut transactions = Vec::new();
        for _ in 0..reader.u16("transaction count")? {
            transactions.push(Transaction::read(reader)?);
        }
        let mut pruned_accounts = Vec::new();
        for _ in 0..reader.u16("pruned account count")? {
            pruned_accounts.push(PrunedAccount::read(reader)?);
        }
        Ok(Self { miner, extra_data, transactions, pruned_accounts })
    }

    /// Reads a body that is all of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = ByteReader::new("block body", bytes);
        let body = Self::read(&mut reader)?;
        reader.end()?;
        Ok(body)
    }

    /// Appends the serialised form. More than 65,535 transactions or accounts, which no block holds, are cut.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.miner.0);
        bytes.push(self.extra_data.as_bytes().len() as u8);
        bytes.extend(self.extra_data.as_bytes());
        let transactions = counted(&self.transactions);
        bytes.extend((transactions.len() as u16).to_be_bytes());
        for transaction in transactions {
            transaction.write(bytes);
        }
        let pruned_accounts = counted(&self.pruned_accounts);
        bytes.extend((pruned_accounts.len() as u16).to_be_bytes());
        for account in pruned_accounts {
            account.write(bytes);
        }
    }

    /// The serialised form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// The leaves of the body's tree. A pruned account is the hash of nothing, by an old slip that became consensus.
    pub fn leaves(&self) -> Vec<MerkleHash> {
        let mut leaves = vec![miner_leaf(&self.miner), extra_data_leaf(&self.extra_data)];
        leaves.extend(self.transactions.iter().map(|transaction| MerkleHash(transaction.hash().0)));
        leaves.extend(self.pruned_accounts.iter().map(|_| merkle::empty_root()));
        leaves
    }

    /// What a header carries.
    pub fn hash(&self) -> BodyHash {
        BodyHash(merkle::root(&self.leaves()).0)
    }

    /// The path of the miner's address, as a smart client proves whom its block pays.
    pub fn miner_proof(&self) -> MerklePath {
        MerklePath::of(&self.leaves(), MINER_LEAF).unwrap_or_default()
    }

    /// The path of the extra data.
    pub fn extra_data_proof(&self) -> MerklePath {
        MerklePath::of(&self.leaves(), EXTRA_DATA_LEAF).unwrap_or_default()
    }

    /// The sum of the fees; `None` where it is more than any chain's.
    pub fn fees(&self) -> Option<Luna> {
        Luna::checked_sum(self.transactions.iter().map(|transaction| transaction.content().fee))
    }
}

fn counted<T>(items: &[T]) -> &[T] {
    &items[..items.len().min(usize::from(u16::MAX))]
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::account::Account;
    use crate::transaction::Payment;
    use crate::{Height, NetworkId, PrivateKey};

    /// A body with `count` transactions and a pruned account.
    pub(crate) fn body(count: u8) -> Body {
        let payment = |index| Payment {
            recipient: Address([index; 20]),
            value: Luna(5),
            fee: Luna(2),
            validity_start: Height(10),
            network: NetworkId(2),
        };
        let key = PrivateKey::new(&[7; 32]);
        Body {
            miner: Address([1; 20]),
            extra_data: ExtraData::cut(b"extra"),
            transactions: (0..count).map(|index| payment(index).sign(&key).into()).collect(),
            pruned_accounts: vec![PrunedAccount {
                address: Address([3; 20]),
                account: Account::Basic { balance: Luna(0) },
            }],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let body = body(3);
        let bytes = body.to_bytes();
        assert_eq!(Body::parse(&bytes), Ok(body));
        for length in 0..bytes.len() {
            assert!(Body::parse(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn both_proofs_lead_to_the_body_hash() {
        for count in 0..9 {
            let body = body(count);
            let root = MerkleHash(body.hash().0);
            assert_eq!(body.miner_proof().fold(miner_leaf(&body.miner)), root);
            assert_eq!(body.extra_data_proof().fold(extra_data_leaf(&body.extra_data)), root);
        }
    }

    #[test]
    fn fees_are_summed() {
        assert_eq!(body(3).fees(), Some(Luna(6)));
    }
}
