//! The accounts that blocks carry: those that a block removes from the accounts tree.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.8 and 2.10. Only contracts are removed; how they are written follows from the
//! bodies in `vectors/nimiq/merkle.json`.

use crate::{Address, FormatError, Height, Luna};
use byte_reader::ByteReader;

/// What kind of account an address has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum AccountType {
    /// A balance that a key owns.
    #[default]
    Basic = 0,
    /// A balance that becomes its owner's in steps.
    Vesting = 1,
    /// A balance that belongs to whoever shows a secret in time.
    HashedTimeLocked = 2,
}

impl AccountType {
    /// Reads the byte of an account type.
    pub fn read(reader: &mut ByteReader<'_>, field: &'static str) -> Result<Self, FormatError> {
        let start = reader.offset();
        match reader.u8(field)? {
            0 => Ok(Self::Basic),
            1 => Ok(Self::Vesting),
            2 => Ok(Self::HashedTimeLocked),
            other => Err(reader.error_at(start, field, "an account type from 0 to 2", other.to_string())),
        }
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// A balance that a key owns.
    Basic {
        /// What it holds.
        balance: Luna,
    },
    /// A balance that becomes its owner's in steps.
    Vesting {
        /// What it holds.
        balance: Luna,
        /// Whose it becomes.
        owner: Address,
        /// When the first step begins.
        start: Height,
        /// Blocks of a step.
        step_blocks: u32,
        /// What each step frees.
        step_amount: Luna,
        /// What is freed in all.
        total_amount: Luna,
    },
    /// A balance that belongs to whoever shows a secret in time.
    HashedTimeLocked {
        /// What it holds.
        balance: Luna,
        /// Who gets it back after the time.
        sender: Address,
        /// Who gets it for the secret.
        recipient: Address,
        /// How the secret is hashed.
        algorithm: SecretHash,
        /// The hashed secret.
        hash_root: Vec<u8>,
        /// How often it is hashed.
        hash_count: u8,
        /// When the time is over.
        timeout: Height,
        /// What it held at first.
        total_amount: Luna,
    },
}

/// How a time-locked contract hashes its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SecretHash {
    /// BLAKE2b, 32 bytes.
    Blake2b = 1,
    /// Argon2d, 32 bytes.
    Argon2d = 2,
    /// SHA-256, 32 bytes.
    Sha256 = 3,
    /// SHA-512, 64 bytes.
    Sha512 = 4,
}

impl SecretHash {
    fn read(reader: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        let start = reader.offset();
        match reader.u8("hash algorithm")? {
            1 => Ok(Self::Blake2b),
            2 => Ok(Self::Argon2d),
            3 => Ok(Self::Sha256),
            4 => Ok(Self::Sha512),
            other => Err(reader.error_at(start, "hash algorithm", "one from 1 to 4", other.to_string())),
        }
    }

    const fn size(self) -> usize {
        match self {
            Self::Blake2b | Self::Argon2d | Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

fn luna(reader: &mut ByteReader<'_>, field: &'static str) -> Result<Luna, FormatError> {
    Luna::read(reader, field)
}

fn address(reader: &mut ByteReader<'_>, field: &'static str) -> Result<Address, FormatError> {
    reader.array(field).map(Address)
}

impl Account {
    /// Reads an account.
    pub fn read(reader: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        let account_type = AccountType::read(reader, "account type")?;
        let balance = luna(reader, "balance")?;
        Ok(match account_type {
            AccountType::Basic => Self::Basic { balance },
            AccountType::Vesting => Self::Vesting {
                balance,
                owner: address(reader, "vesting owner")?,
                start: Height(reader.u32("vesting start")?),
                step_blocks: reader.u32("vesting step blocks")?,
                step_amount: luna(reader, "vesting step amount")?,
                total_amount: luna(reader, "vesting total amount")?,
            },
            AccountType::HashedTimeLocked => {
                let (sender, recipient) = (address(reader, "sender")?, address(reader, "recipient")?);
                let algorithm = SecretHash::read(reader)?;
                Self::HashedTimeLocked {
                    balance,
                    sender,
                    recipient,
                    algorithm,
                    hash_root: reader.take("hash root", algorithm.size())?.to_vec(),
                    hash_count: reader.u8("hash count")?,
                    timeout: Height(reader.u32("timeout")?),
                    total_amount: luna(reader, "total amount")?,
                }
            }
        })
    }

    /// Which kind it is.
    pub fn account_type(&self) -> AccountType {
        match self {
            Self::Basic { .. } => AccountType::Basic,
            Self::Vesting { .. } => AccountType::Vesting,
            Self::HashedTimeLocked { .. } => AccountType::HashedTimeLocked,
        }
    }

    /// Appends the serialised form.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.account_type() as u8);
        match self {
            Self::Basic { balance } => bytes.extend(balance.0.to_be_bytes()),
            Self::Vesting { balance, owner, start, step_blocks, step_amount, total_amount } => {
                bytes.extend(balance.0.to_be_bytes());
                bytes.extend(owner.0);
                bytes.extend(start.0.to_be_bytes());
                bytes.extend(step_blocks.to_be_bytes());
                bytes.extend(step_amount.0.to_be_bytes());
                bytes.extend(total_amount.0.to_be_bytes());
            }
            Self::HashedTimeLocked {
                balance,
                sender,
                recipient,
                algorithm,
                hash_root,
                hash_count,
                timeout,
                total_amount,
            } => {
                bytes.extend(balance.0.to_be_bytes());
                bytes.extend(sender.0);
                bytes.extend(recipient.0);
                bytes.push(*algorithm as u8);
                bytes.extend(hash_root);
                bytes.push(*hash_count);
                bytes.extend(timeout.0.to_be_bytes());
                bytes.extend(total_amount.0.to_be_bytes());
            }
        }
    }
}

/// An account that a block removes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrunedAccount {
    /// Where it was.
    pub address: Address,
    /// What it was.
    pub account: Account,
}

impl PrunedAccount {
    /// Reads a pruned account.
    pub fn read(reader: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        let address = address(reader, "pruned account address")?;
        Ok(Self { address, account: Account::read(reader)? })
    }

    /// Reads a pruned account that is all of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = ByteReader::new("pruned account", bytes);
        let account = Self::read(&mut reader)?;
        reader.end()?;
        Ok(account)
    }

    /// Appends the serialised form.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.address.0);
        self.account.write(bytes);
    }

    /// The serialised form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> [Account; 3] {
        let (balance, address) = (Luna(7), Address([3; 20]));
        [
            Account::Basic { balance },
            Account::Vesting {
                balance,
                owner: address,
                start: Height(5),
                step_blocks: 6,
                step_amount: Luna(8),
                total_amount: Luna(9),
            },
            Account::HashedTimeLocked {
                balance,
                sender: address,
                recipient: Address([4; 20]),
                algorithm: SecretHash::Sha512,
                hash_root: vec![1; 64],
                hash_count: 2,
                timeout: Height(10),
                total_amount: Luna(11),
            },
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for account in accounts() {
            let pruned = PrunedAccount { address: Address([9; 20]), account };
            let bytes = pruned.to_bytes();
            assert_eq!(PrunedAccount::parse(&bytes), Ok(pruned));
            for length in 0..bytes.len() {
                assert!(PrunedAccount::parse(&bytes[..length]).is_err(), "{length} bytes");
            }
        }
    }

    #[test]
    fn unknown_kinds_are_refused() {
        let mut bytes = vec![0; 20];
        bytes.push(3);
        let error = PrunedAccount::parse(&bytes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "pruned account, byte 20: account type: expected an account type from 0 to 2, found 3"
        );
    }
}
