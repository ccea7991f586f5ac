//! `new-block`: what a client that does not build blocks itself is to mine (`docs/protocol/nimiq-pool.md` 1.4).

use std::ops::Deref;
use std::sync::Arc;

use nimiq::{AccountsHash, BodyHash, CompactTarget, Header, LightBlock};
use serde::Serialize;

use super::members::{self, to_base64};
use super::server_message::Members;
use crate::{FormatError, json};

const DOCUMENT: &str = "new-block";

/// The form for nano clients: they make the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNanoBlock {
    /// Root of the body, with this client's extra data in it.
    pub body_hash: BodyHash,
    /// Root of the accounts after it.
    pub accounts_hash: AccountsHash,
    /// The head.
    pub previous: PreviousBlock,
    /// The network's target on top of it, which only our pools say: clients that follow the chain know it by themselves.
    pub next_target: Option<CompactTarget>,
}

/// A head and its spelling, which is the longest part of the message and the same for all clients: clones share both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousBlock(Arc<Spelled>);

#[derive(Debug, PartialEq, Eq)]
struct Spelled {
    block: LightBlock,
    base64: String,
}

impl From<LightBlock> for PreviousBlock {
    fn from(block: LightBlock) -> Self {
        let base64 = to_base64(block.to_bytes());
        Self(Arc::new(Spelled { block, base64 }))
    }
}

impl Deref for PreviousBlock {
    type Target = LightBlock;

    fn deref(&self) -> &LightBlock {
        &self.0.block
    }
}

/// What to mine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewBlock {
    /// A body on a head.
    Nano(NewNanoBlock),
    /// A complete header, but for its nonce.
    Dumb(Header),
}

impl NewBlock {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, FormatError> {
        if members.block_header.is_some() {
            let header = members::base64(DOCUMENT, "blockHeader", members.block_header.as_deref())?;
            return Header::parse(&header)
                .map(Self::Dumb)
                .map_err(members::malformed(DOCUMENT, "blockHeader"));
        }
        let (body, accounts) = (members.body_hash.as_deref(), members.accounts_hash.as_deref());
        let previous = members::base64(DOCUMENT, "previousBlock", members.previous_block.as_deref())?;
        let next_target = members.next_target.as_ref();
        let next_target =
            next_target.map(|number| members::u32(DOCUMENT, "nBits", Some(number))).transpose()?;
        Ok(Self::Nano(NewNanoBlock {
            body_hash: members::hash(DOCUMENT, "bodyHash", body, BodyHash::from_base64)?,
            accounts_hash: members::hash(DOCUMENT, "accountsHash", accounts, AccountsHash::from_base64)?,
            previous: LightBlock::parse(&previous)
                .map_err(members::malformed(DOCUMENT, "previousBlock"))?
                .into(),
            next_target: next_target.map(CompactTarget),
        }))
    }

    pub(super) fn to_text(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Nano<'a> {
            message: &'static str,
            body_hash: String,
            accounts_hash: String,
            previous_block: &'a str,
            #[serde(rename = "nBits", skip_serializing_if = "Option::is_none")]
            next_target: Option<u32>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Dumb {
            message: &'static str,
            block_header: String,
        }
        match self {
            Self::Nano(block) => json::compact(&Nano {
                message: DOCUMENT,
                body_hash: block.body_hash.to_base64(),
                accounts_hash: block.accounts_hash.to_base64(),
                previous_block: &block.previous.0.base64,
                next_target: block.next_target.map(|target| target.0),
            }),
            Self::Dumb(header) => {
                json::compact(&Dumb { message: DOCUMENT, block_header: to_base64(header.to_bytes()) })
            }
        }
    }
}
