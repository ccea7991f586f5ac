//! What the node's replies say, checked.
//!
//! Source: `docs/protocol/nimiq-pool.md` 3.2 and 3.3.

use nimiq::account::PrunedAccount;
use nimiq::light_block_recovery::BlockFacts;
use nimiq::{
    AccountsHash, Address, BlockHash, Body, BodyHash, CompactTarget, ExtraData, Height, Interlink,
    InterlinkHash, Luna, ProofOfWork, Timestamp, Transaction, TransactionHash,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::changes::BlockId;
use crate::json_rpc::NodeError;

/// A block, as far as the node tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// What its header follows from.
    pub facts: BlockFacts,
    /// Whom it pays.
    pub miner: Address,
    /// What its miner wrote.
    pub extra_data: ExtraData,
    /// The fees of its transactions, which its miner gets beside the reward.
    pub fees: Luna,
}

/// What to mine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTemplate {
    /// The head.
    pub previous: BlockHash,
    /// The height of the block to mine.
    pub height: Height,
    /// The network's target.
    pub target: CompactTarget,
    /// Earlier blocks that it must refer to.
    pub interlink: Interlink,
    /// Root of the interlink.
    pub interlink_hash: InterlinkHash,
    /// Root of the accounts after the block. Does not depend on the extra data.
    pub accounts_hash: AccountsHash,
    /// The body that the node proposes, with extra data that nobody wants.
    pub body: Body,
}

/// Where a transaction stands in the valid chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The height of its block.
    pub height: Height,
    /// The hash of its block.
    pub block: BlockHash,
    /// Blocks from its own to the head, both counted.
    pub confirmations: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockReply {
    number: u32,
    hash: String,
    pow: String,
    parent_hash: String,
    nonce: u32,
    body_hash: String,
    accounts_hash: String,
    difficulty: String,
    timestamp: u32,
    miner: String,
    extra_data: String,
    transactions: Vec<TransactionReply>,
}

/// A block, where no more is wanted than which it is.
#[derive(Deserialize)]
struct BlockIdReply {
    number: u32,
    hash: String,
}

#[derive(Deserialize)]
struct TransactionReply {
    fee: u64,
}

#[derive(Deserialize)]
struct TemplateReply {
    header: TemplateHeader,
    interlink: String,
    body: TemplateBody,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TemplateHeader {
    version: u16,
    prev_hash: String,
    interlink_hash: String,
    accounts_hash: String,
    n_bits: u32,
    height: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TemplateBody {
    hash: String,
    miner_addr: String,
    extra_data: String,
    transactions: Vec<String>,
    pruned_accounts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptReply {
    transaction_hash: String,
    block_number: u32,
    block_hash: String,
    confirmations: u32,
}

/// Reads which block `getBlockByNumber` gave, with or without transactions.
pub fn block_id(reply: Value) -> Result<BlockId, NodeError> {
    let reply: BlockIdReply = members("a block", reply)?;
    Ok(BlockId { height: Height(reply.number), hash: read("hash", BlockHash::from_hex(&reply.hash))? })
}

/// Reads `getBlockByNumber` and `getBlockByHash`, asked for with transactions.
pub fn block(reply: Value) -> Result<BlockInfo, NodeError> {
    let reply: BlockReply = members("a block", reply)?;
    let fees = Luna::checked_sum(reply.transactions.iter().map(|transaction| Luna(transaction.fee)));
    let facts = BlockFacts {
        height: Height(reply.number),
        hash: read("hash", BlockHash::from_hex(&reply.hash))?,
        previous: read("parentHash", BlockHash::from_hex(&reply.parent_hash))?,
        proof_of_work: read("pow", ProofOfWork::from_hex(&reply.pow))?,
        difficulty: read("difficulty", reply.difficulty.parse())?,
        body_hash: read("bodyHash", BodyHash::from_hex(&reply.body_hash))?,
        accounts_hash: read("accountsHash", AccountsHash::from_hex(&reply.accounts_hash))?,
        timestamp: Timestamp(reply.timestamp),
        nonce: reply.nonce,
    };
    Ok(BlockInfo {
        facts,
        miner: address("miner", &reply.miner)?,
        extra_data: extra_data(&reply.extra_data)?,
        fees: fees.ok_or_else(|| NodeError::bad_reply("a block's fees are more money than there is"))?,
    })
}

/// Reads `getBlockTemplate`, asked for `miner`. A node that cannot read the address answers for its own.
pub fn template(reply: Value, miner: &Address, genesis: &BlockHash) -> Result<NodeTemplate, NodeError> {
    let TemplateReply { header, interlink, body } = members("a template", reply)?;
    if header.version != nimiq::header::VERSION {
        let found = header.version;
        return Err(NodeError::bad_reply(format!("a template of version {found}, which is unknown here")));
    }
    let previous = read("prevHash", BlockHash::from_hex(&header.prev_hash))?;
    let interlink = read("interlink", Interlink::parse(&bytes("interlink", &interlink)?, previous))?;
    let interlink_hash = read("interlinkHash", InterlinkHash::from_hex(&header.interlink_hash))?;
    if interlink.hash(genesis) != interlink_hash {
        return Err(NodeError::bad_reply(
            "the template's interlink is not that of its header on this network",
        ));
    }
    let hash = read("body.hash", BodyHash::from_hex(&body.hash))?;
    let body = template_body(&body)?;
    if body.miner != *miner {
        return Err(NodeError::bad_reply(format!("the template pays {}, not {miner}", body.miner)));
    }
    if body.hash() != hash {
        return Err(NodeError::bad_reply("the template's body does not have the hash that it says"));
    }
    Ok(NodeTemplate {
        previous,
        height: Height(header.height),
        target: CompactTarget(header.n_bits),
        interlink,
        interlink_hash,
        accounts_hash: read("accountsHash", AccountsHash::from_hex(&header.accounts_hash))?,
        body,
    })
}

fn template_body(body: &TemplateBody) -> Result<Body, NodeError> {
    let transaction =
        |digits: &String| read("a transaction", Transaction::parse(&bytes("a transaction", digits)?));
    let pruned =
        |digits: &String| read("a pruned account", PrunedAccount::parse(&bytes("a pruned account", digits)?));
    Ok(Body {
        miner: address("minerAddr", &body.miner_addr)?,
        extra_data: extra_data(&body.extra_data)?,
        transactions: body.transactions.iter().map(transaction).collect::<Result<_, _>>()?,
        pruned_accounts: body.pruned_accounts.iter().map(pruned).collect::<Result<_, _>>()?,
    })
}

/// Reads `getTransactionReceipt` of this transaction.
pub fn receipt(reply: Value, hash: &TransactionHash) -> Result<Receipt, NodeError> {
    let reply: ReceiptReply = members("a receipt", reply)?;
    if read("transactionHash", TransactionHash::from_hex(&reply.transaction_hash))? != *hash {
        return Err(NodeError::bad_reply(format!("the receipt of another transaction than {hash}")));
    }
    Ok(Receipt {
        height: Height(reply.block_number),
        block: read("blockHash", BlockHash::from_hex(&reply.block_hash))?,
        confirmations: reply.confirmations,
    })
}

/// Reads a list of transaction hashes.
pub fn transaction_hashes(reply: &Value) -> Result<Vec<TransactionHash>, NodeError> {
    let unexpected = || NodeError::bad_reply("expected a list of transaction hashes");
    let list = reply.as_array().ok_or_else(unexpected)?;
    list.iter()
        .map(|hash| {
            let hash = hash.as_str().ok_or_else(unexpected)?;
            read("a transaction hash", TransactionHash::from_hex(hash))
        })
        .collect()
}

/// Reads a height.
pub fn height(reply: &Value) -> Result<Height, NodeError> {
    let height = reply.as_u64().and_then(|height| u32::try_from(height).ok());
    height.map(Height).ok_or_else(|| NodeError::bad_reply(format!("expected a height, not {}", short(reply))))
}

/// Reads an amount.
pub fn luna(reply: &Value) -> Result<Luna, NodeError> {
    let amount = reply.as_u64().map(Luna);
    amount.ok_or_else(|| NodeError::bad_reply(format!("expected an amount in luna, not {}", short(reply))))
}

/// Reads an amount that may have decimals, and takes the next whole one.
pub fn rounded_up(reply: &Value) -> Result<Luna, NodeError> {
    let number = reply.as_number().map(ToString::to_string).unwrap_or_default();
    let (whole, part) = number.split_once('.').unwrap_or((&number, ""));
    let is_plain = part.bytes().all(|digit| digit.is_ascii_digit());
    let more = u64::from(part.bytes().any(|digit| digit != b'0'));
    let amount = whole.parse::<u64>().ok().filter(|_| is_plain).and_then(|whole| whole.checked_add(more));
    amount.map(Luna).ok_or_else(|| NodeError::bad_reply(format!("expected an amount, not {}", short(reply))))
}

fn members<T: DeserializeOwned>(what: &str, reply: Value) -> Result<T, NodeError> {
    serde_json::from_value(reply)
        .map_err(|error| NodeError::bad_reply(format!("this is not {what}: {error}")))
}

fn read<T, E: std::fmt::Display>(member: &str, value: Result<T, E>) -> Result<T, NodeError> {
    value.map_err(|error| NodeError::bad_reply(format!("{member}: {error}")))
}

fn bytes(member: &str, digits: &str) -> Result<Vec<u8>, NodeError> {
    read(member, hex::decode(digits))
}

fn address(member: &str, digits: &str) -> Result<Address, NodeError> {
    let address = bytes(member, digits)?.try_into().map(Address);
    address.map_err(|_| NodeError::bad_reply(format!("{member}: an address has 20 bytes")))
}

fn extra_data(digits: &str) -> Result<ExtraData, NodeError> {
    let data = ExtraData::new(bytes("extraData", digits)?);
    data.ok_or_else(|| NodeError::bad_reply("extraData: a block has at most 255 bytes of it"))
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_with_decimals_is_rounded_up() {
        let read = |text: &str| rounded_up(&serde_json::from_str(text).unwrap()).ok();
        for (text, expected) in [("0", 0), ("1", 1), ("1.0", 1), ("0.5", 1), ("2.000001", 3)] {
            assert_eq!(read(text), Some(Luna(expected)), "{text}");
        }
        for text in ["-1", "\"1\"", "null", "1e3", "18446744073709551615.5", "[]"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
