//! `share`: a header whose proof of work meets the share target, in the form of each mode
//! (`docs/protocol/nimiq-pool.md` 1.3, 1.8).

use nimiq::share::{NanoShare, SmartShare};
use serde::Serialize;

use super::client_message::Members;
use super::members::{self, to_base64};
use super::register::Mode;
use crate::{FormatError, json};

const DOCUMENT: &str = "share";

/// A share, in the form that tells the mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// A header with the proofs that its block pays the pool.
    Smart(SmartShare),
    /// A light block.
    Nano(NanoShare),
    /// A nonce for the header that the pool gave.
    Dumb {
        /// The nonce.
        nonce: u32,
    },
}

impl Share {
    /// The mode that a share of this form belongs to.
    pub const fn mode(&self) -> Mode {
        match self {
            Self::Smart(_) => Mode::Smart,
            Self::Nano(_) => Mode::Nano,
            Self::Dumb { .. } => Mode::Dumb,
        }
    }

    pub(super) fn read(members: &Members<'_>) -> Result<Self, FormatError> {
        if members.block_header.is_some() {
            return read_smart(members).map(Self::Smart);
        }
        if let Some(block) = members.block.as_deref() {
            let block = members::base64(DOCUMENT, "block", Some(block))?;
            return NanoShare::parse(&block).map(Self::Nano).map_err(members::malformed(DOCUMENT, "block"));
        }
        let nonce = members::u32(DOCUMENT, "nonce", members.nonce.as_ref())?;
        Ok(Self::Dumb { nonce })
    }

    pub(super) fn to_text(&self) -> String {
        #[derive(Serialize, Default)]
        #[serde(rename_all = "camelCase")]
        struct Text {
            message: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            block_header: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            miner_addr_proof: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            extra_data_proof: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            block: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            nonce: Option<u32>,
        }
        let text = Text { message: DOCUMENT, ..Text::default() };
        json::compact(&match self {
            Self::Smart(share) => Text {
                block_header: Some(to_base64(share.header.to_bytes())),
                miner_addr_proof: Some(to_base64(share.miner_proof.to_bytes())),
                extra_data_proof: Some(to_base64(share.extra_data_proof.to_bytes())),
                block: share.block.as_ref().map(to_base64),
                ..text
            },
            Self::Nano(share) => Text { block: Some(to_base64(share.block.to_bytes())), ..text },
            Self::Dumb { nonce } => Text { nonce: Some(*nonce), ..text },
        })
    }
}

fn read_smart(members: &Members<'_>) -> Result<SmartShare, FormatError> {
    let bytes =
        |field, text: &Option<std::borrow::Cow<'_, str>>| members::base64(DOCUMENT, field, text.as_deref());
    let header = bytes("blockHeader", &members.block_header)?;
    let miner_proof = bytes("minerAddrProof", &members.miner_addr_proof)?;
    let extra_data_proof = bytes("extraDataProof", &members.extra_data_proof)?;
    let block =
        members.block.as_deref().map(|text| members::base64(DOCUMENT, "block", Some(text))).transpose()?;
    SmartShare::parse(&header, &miner_proof, &extra_data_proof, block)
        .map_err(members::malformed(DOCUMENT, "blockHeader, minerAddrProof or extraDataProof"))
}
