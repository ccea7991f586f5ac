//! The three networks, and the blocks with which their chains begin.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.12.

use std::fmt;
use std::str::FromStr;

use crate::interlink::Interlink;
use crate::{
    AccountsHash, Address, Block, BlockHash, Body, CompactTarget, ExtraData, Header, Height, InterlinkHash,
    Timestamp,
};
use byte_reader::excerpt;

/// The number that a transaction carries, so that it is worth nothing on another network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkId(pub u8);

/// A network that has a genesis block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// The coin itself.
    Main,
    /// For trials on the internet.
    Test,
    /// For private chains.
    Dev,
}

/// Why a text names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a network is main, test or dev, not \"{found}\"")]
pub struct ParseNetworkError {
    /// The text, cut to a readable length.
    pub found: String,
}

/// What sets one genesis block apart from another.
struct Genesis {
    accounts_hash: [u8; 32],
    timestamp: u32,
    nonce: u32,
    extra_data: &'static str,
}

impl Network {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Main, Self::Test, Self::Dev];

    /// The number in transactions.
    pub const fn id(self) -> NetworkId {
        NetworkId(match self {
            Self::Main => 42,
            Self::Test => 1,
            Self::Dev => 2,
        })
    }

    /// The name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Test => "test",
            Self::Dev => "dev",
        }
    }

    /// Hash of the genesis block, by which clients say which network they are on.
    pub const fn genesis_hash(self) -> BlockHash {
        BlockHash(match self {
            Self::Main => digits("264aaf8a4f9828a76c550635da078eb466306a189fcc03710bee9f649c869d12"),
            Self::Test => digits("1fc28119e35b1418713218192012c7eda9e1d6d142ce8138a313366bd6068300"),
            Self::Dev => digits("5fbc78d778f12485b121cb43c4c0e50d51a06a3def993e19d5862e8fdd4874c4"),
        })
    }

    /// The genesis block.
    pub fn genesis_block(self) -> Block {
        let genesis = self.genesis();
        let body = Body {
            miner: Address([0; 20]),
            extra_data: ExtraData::cut(genesis.extra_data.as_bytes()),
            transactions: Vec::new(),
            pruned_accounts: Vec::new(),
        };
        let header = Header {
            previous: BlockHash([0; 32]),
            interlink_hash: InterlinkHash([0; 32]),
            body_hash: body.hash(),
            accounts_hash: AccountsHash(genesis.accounts_hash),
            target: CompactTarget::EASIEST,
            height: Height::GENESIS,
            timestamp: Timestamp(genesis.timestamp),
            nonce: genesis.nonce,
        };
        Block { header, interlink: Interlink::EMPTY, body }
    }

    const fn genesis(self) -> Genesis {
        match self {
            Self::Main => Genesis {
                accounts_hash: digits("1fefd44f1fa97185fda21e957545c97dc7643fa7e4efdd86e0aa4244d1e0bc5c"),
                timestamp: 1_523_727_000,
                nonce: 137_689,
                extra_data: "love ai amor mohabbat hubun cinta lyubov bhalabasa amour kauna pi'ara liebe eshq upendo prema amore katresnan sarang anpu prema yeu",
            },
            Self::Test => Genesis {
                accounts_hash: digits("2e02da3d162e20fa982029dbde9cc20f6b431ab05df1764f34af4c62a4f2b33f"),
                timestamp: 1_522_735_199,
                nonce: 79_001,
                extra_data: "TestNet",
            },
            Self::Dev => Genesis {
                accounts_hash: digits("d6dfd99bdd6d374a75efcf9e3dcc724796cfc6f0ba8c52ec92a8a274514edf06"),
                timestamp: 1_522_338_300,
                nonce: 12_432,
                extra_data: "DevNet",
            },
        }
    }
}

/// 32 bytes from lower-case hexadecimal digits of this file.
const fn digits(text: &str) -> [u8; 32] {
    let text = text.as_bytes();
    assert!(text.len() == 64);
    let mut bytes = [0; 32];
    let mut index = 0;
    while index < 64 {
        let value = match text[index] {
            digit @ b'0'..=b'9' => digit - b'0',
            letter => letter - b'a' + 10,
        };
        bytes[index / 2] = bytes[index / 2] << 4 | value;
        index += 1;
    }
    bytes
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = || ParseNetworkError { found: excerpt(text) };
        Self::ALL.into_iter().find(|network| network.name() == text).ok_or_else(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_genesis_blocks_have_their_hashes() {
        for network in Network::ALL {
            assert_eq!(network.genesis_block().header.hash(), network.genesis_hash(), "{network}");
        }
    }

    #[test]
    fn a_name_names_its_network() {
        for network in Network::ALL {
            assert_eq!(network.name().parse(), Ok(network));
        }
        assert!("bounty".parse::<Network>().is_err());
    }
}
