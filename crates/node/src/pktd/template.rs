//! `getrawblocktemplate`: what to mine next, validated before it is published (rule R-M6).
//!
//! Source: `docs/protocol/packetcrypt-blocks.md` 2 and 7.2. A node that answers with something inconsistent would
//! make every miner of the pool work for nothing, so all parts are checked against each other: the coinbase with
//! the header, the branch with the transactions, the two forms of the coinbase, and that the place for the
//! miner's commitment is there exactly once.

use packetcrypt::{
    CompactTarget, Height,
    block::{
        commitment::PLACEHOLDER,
        header::{HEADER_SIZE, Header, MerkleRoot},
        transaction::{Transaction, TransactionFault},
    },
};
use serde::Deserialize;
use serde_json::Value;
use wire::template::BlockTemplate;

use crate::merkle::branch_of_first;

/// Why a template cannot be mined on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// The reply has other members, or members of other types.
    #[error("no block template: {0}")]
    Shape(String),
    /// Something that should be hexadecimal is not.
    #[error("{field} of the block template is not hexadecimal")]
    Hex {
        /// Which member.
        field: &'static str,
    },
    /// The header has another length.
    #[error("the header of the block template has {found} bytes, expected 80")]
    HeaderLength {
        /// Its length.
        found: usize,
    },
    /// A hash of the Merkle branch has another length.
    #[error("the Merkle branch of the block template holds a hash of {found} bytes, expected 32")]
    BranchLength {
        /// Its length.
        found: usize,
    },
    /// A transaction cannot be read.
    #[error("transaction {index} of the block template: {fault}")]
    Transaction {
        /// Which one; 0 is the coinbase.
        index: usize,
        /// Why not.
        fault: TransactionFault,
    },
    /// There is no transaction at all.
    #[error("the block template has no transactions, not even a coinbase")]
    NoTransactions,
    /// The first transaction spends something.
    #[error("the first transaction of the block template is no coinbase")]
    NoCoinbase,
    /// `coinbase_no_witness` is another transaction.
    #[error("coinbase_no_witness is not the first transaction without its witness")]
    TwoCoinbases,
    /// The place for the commitment is missing, or it is not clear which one it is.
    #[error(
        "the {form} of the block template has {found} places for the PacketCrypt commitment, expected one"
    )]
    Placeholders {
        /// Which form of the coinbase.
        form: &'static str,
        /// How many.
        found: usize,
    },
    /// The header commits to other transactions.
    #[error("the Merkle root in the header is not that of the coinbase and its branch")]
    MerkleRoot,
    /// The branch belongs to other transactions.
    #[error("the Merkle branch is not that of the transactions")]
    MerkleBranch,
    /// The header's target cannot be met by anything.
    #[error("the header of the block template has bits {0}, which are no target")]
    Bits(CompactTarget),
}

#[derive(Deserialize)]
struct Reply {
    height: u32,
    header: String,
    coinbase_no_witness: String,
    merklebranch: Vec<String>,
    transactions: Vec<String>,
}

/// Reads and validates the reply of `getrawblocktemplate`.
pub fn read(reply: Value) -> Result<BlockTemplate, TemplateFault> {
    let reply: Reply =
        serde_json::from_value(reply).map_err(|error| TemplateFault::Shape(error.to_string()))?;
    let header = decode("header", &reply.header)?;
    let header = <[u8; HEADER_SIZE]>::try_from(&header[..])
        .map_err(|_| TemplateFault::HeaderLength { found: header.len() })?;
    let branch = reply.merklebranch.iter().map(|hash| {
        let hash = decode("merklebranch", hash)?;
        <[u8; 32]>::try_from(&hash[..]).map_err(|_| TemplateFault::BranchLength { found: hash.len() })
    });
    let transactions = reply.transactions.iter().map(|bytes| decode("transactions", bytes));
    let template = BlockTemplate {
        height: Height(reply.height),
        header: Header::from_bytes(&header),
        coinbase_no_witness: decode("coinbase_no_witness", &reply.coinbase_no_witness)?,
        branch: branch.collect::<Result<_, _>>()?,
        transactions: transactions.collect::<Result<_, _>>()?,
    };
    check(&template)?;
    Ok(template)
}

/// Checks that the parts of a template fit together.
pub fn check(template: &BlockTemplate) -> Result<(), TemplateFault> {
    if !template.header.bits.is_announcement_target() {
        return Err(TemplateFault::Bits(template.header.bits));
    }
    let mut ids = Vec::new();
    for (index, bytes) in template.transactions.iter().enumerate() {
        let transaction =
            Transaction::from_bytes(bytes).map_err(|fault| TemplateFault::Transaction { index, fault })?;
        if index == 0 {
            check_coinbase(template, &transaction, bytes)?;
        }
        ids.push(transaction.id());
    }
    let coinbase_id = ids.first().ok_or(TemplateFault::NoTransactions)?;
    if MerkleRoot::of_coinbase(*coinbase_id, &template.branch) != template.header.merkle_root {
        return Err(TemplateFault::MerkleRoot);
    }
    if branch_of_first(&ids) != template.branch {
        return Err(TemplateFault::MerkleBranch);
    }
    Ok(())
}

fn check_coinbase(
    template: &BlockTemplate,
    coinbase: &Transaction<'_>,
    bytes: &[u8],
) -> Result<(), TemplateFault> {
    if !coinbase.is_coinbase() {
        return Err(TemplateFault::NoCoinbase);
    }
    if coinbase.to_plain_bytes() != template.coinbase_no_witness {
        return Err(TemplateFault::TwoCoinbases);
    }
    let forms = [("coinbase_no_witness", &template.coinbase_no_witness[..]), ("first transaction", bytes)];
    for (form, bytes) in forms {
        let found = placeholders(bytes);
        if found != 1 {
            return Err(TemplateFault::Placeholders { form, found });
        }
    }
    Ok(())
}

fn decode(field: &'static str, text: &str) -> Result<Vec<u8>, TemplateFault> {
    hex::decode(text).map_err(|_| TemplateFault::Hex { field })
}

fn placeholders(coinbase: &[u8]) -> usize {
    coinbase.windows(PLACEHOLDER.len()).filter(|window| **window == PLACEHOLDER).count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::merkle::root_of;

    /// From `vectors/pktd-rpc/genesis_getrawblocktemplate.json`.
    fn recorded() -> Value {
        let recording = include_str!("../../../../vectors/pktd-rpc/genesis_getrawblocktemplate.json");
        let recording: Value = serde_json::from_str(recording).unwrap();
        let body: Value = serde_json::from_str(recording["response_body"].as_str().unwrap()).unwrap();
        body["result"].clone()
    }

    fn altered(change: impl FnOnce(&mut Value)) -> Result<BlockTemplate, TemplateFault> {
        let mut reply = recorded();
        change(&mut reply);
        read(reply)
    }

    /// A template with further transactions, its header made to fit.
    fn with_transactions(count: usize) -> Value {
        let mut reply = recorded();
        let text = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
        let coinbase = text(&reply["coinbase_no_witness"]);
        let mut transactions = vec![coinbase];
        transactions.extend((0..count).map(|number| {
            let mut spend = hex::decode("0100000001").unwrap();
            spend.extend([number as u8 + 1; 36]);
            spend.extend([0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0]);
            spend
        }));
        let ids: Vec<[u8; 32]> =
            transactions.iter().map(|bytes| Transaction::from_bytes(bytes).unwrap().id()).collect();
        let mut header = text(&reply["header"]);
        header[36..68].copy_from_slice(&root_of(&ids).0);
        reply["header"] = json!(hex::encode(header));
        reply["merklebranch"] = branch_of_first(&ids).iter().map(hex::encode).collect::<Vec<_>>().into();
        reply["transactions"] = transactions.iter().map(hex::encode).collect::<Vec<_>>().into();
        reply
    }

    #[test]
    fn a_recorded_template_is_read() {
        let template = read(recorded()).unwrap();
        assert_eq!(template.height, Height(1));
        assert_eq!(template.header.bits, CompactTarget(0x1f0f_ffff));
        let genesis = "0bdc1712a46194e552cf417ab0439c2d4f456c35cf63a0a406964c6f93432d85";
        assert_eq!(template.header.previous.to_string(), genesis);
    }

    #[test]
    fn pitfall_9_15_branches_are_read_in_internal_order() {
        for count in 0..6 {
            let template = read(with_transactions(count)).unwrap();
            assert_eq!(template.transactions.len(), count + 1);
        }
    }

    #[test]
    fn r_m6_a_header_of_another_length_is_refused() {
        let fault = altered(|reply| reply["header"] = json!("00".repeat(79)));
        assert_eq!(fault, Err(TemplateFault::HeaderLength { found: 79 }));
    }

    #[test]
    fn r_m6_a_missing_or_doubled_place_for_the_commitment_is_refused() {
        let pattern = hex::encode(PLACEHOLDER);
        let other = pattern.replacen("6a30", "6a31", 1);
        let without = altered(|reply| {
            let coinbase = reply["coinbase_no_witness"].as_str().unwrap().replace(&pattern, &other);
            reply["transactions"] = json!([coinbase]);
            reply["coinbase_no_witness"] = json!(coinbase);
        });
        assert!(matches!(without, Err(TemplateFault::Placeholders { found: 0, .. })));
        assert_eq!(placeholders(&[PLACEHOLDER, PLACEHOLDER].concat()), 2);
    }

    #[test]
    fn r_m6_a_root_or_branch_of_other_transactions_is_refused() {
        let root = altered(|reply| {
            reply["header"] = json!(reply["header"].as_str().unwrap().replace("2cd0", "2cd1"));
        });
        assert_eq!(root, Err(TemplateFault::MerkleRoot));
        let mut reply = with_transactions(3);
        reply["transactions"][3] = reply["transactions"][2].clone();
        assert_eq!(read(reply), Err(TemplateFault::MerkleBranch));
    }

    #[test]
    fn r_m6_two_coinbases_that_differ_are_refused() {
        let fault = altered(|reply| {
            let coinbase = reply["coinbase_no_witness"].as_str().unwrap().replacen("01", "02", 1);
            reply["coinbase_no_witness"] = json!(coinbase);
        });
        assert_eq!(fault, Err(TemplateFault::TwoCoinbases));
    }

    #[test]
    fn r_m6_impossible_bits_are_refused() {
        let fault = altered(|reply| {
            reply["header"] = json!(reply["header"].as_str().unwrap().replace("ffff0f1f", "ffff8f1f"));
        });
        assert_eq!(fault, Err(TemplateFault::Bits(CompactTarget(0x1f8f_ffff))));
    }

    #[test]
    fn r_m6_trailing_bytes_and_missing_transactions_are_refused() {
        let trailing = altered(|reply| {
            reply["transactions"][0] = json!(reply["transactions"][0].as_str().unwrap().to_owned() + "00");
        });
        let fault = TransactionFault::TrailingBytes(1);
        assert_eq!(trailing, Err(TemplateFault::Transaction { index: 0, fault }));
        assert_eq!(altered(|reply| reply["transactions"] = json!([])), Err(TemplateFault::NoTransactions));
        assert!(matches!(altered(|reply| reply["height"] = json!(-1)), Err(TemplateFault::Shape(_))));
    }
}
