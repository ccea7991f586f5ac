//! Calls about transactions, in the chain and waiting.

use std::collections::BTreeMap;

use nimiq::{Transaction, TransactionHash};
use serde_json::{Map, Value, json};

use super::Refusal;
use super::blocks::{at, confirmations};
use super::params::Params;
use crate::nimiq_dev_chain::NimiqDevChain;
use crate::nimiq_dev_chain::chain::{Chain, KnownBlock};
use crate::nimiq_dev_chain::mempool::Sent;

/// Transactions that one call lists at most.
const LONGEST_LIST: usize = 1000;

impl NimiqDevChain {
    /// Returns the hash also of what is dropped without a word.
    pub(super) fn send_raw_transaction(&self, params: &Params) -> Result<Value, Refusal> {
        let transaction = params.bytes(0).and_then(|bytes| Transaction::parse(&bytes).ok());
        let transaction = transaction.ok_or_else(|| Refusal::exception("Primitive: Invalid length"))?;
        let hash = transaction.hash();
        match self.send(transaction) {
            Sent::Waiting | Sent::Mined | Sent::Dropped => Ok(json!(hash.to_string())),
            Sent::Invalid => Err(Refusal::exception("Transaction invalid")),
        }
    }

    /// Counts by luna for each byte.
    pub(super) fn mempool(&self) -> Value {
        const BUCKETS: [u64; 14] = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
        let state = self.state();
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        for (_, transaction) in state.mempool.waiting() {
            let per_byte = transaction.content().fee.0 / transaction.to_bytes().len() as u64;
            let bucket = BUCKETS.into_iter().rev().find(|bucket| *bucket <= per_byte).unwrap_or(0);
            *counts.entry(bucket).or_default() += 1;
        }
        let mut answer: Map<String, Value> =
            counts.iter().map(|(bucket, count)| (bucket.to_string(), json!(count))).collect();
        answer.insert("buckets".to_owned(), json!(counts.keys().rev().collect::<Vec<_>>()));
        answer.insert("total".to_owned(), json!(counts.values().sum::<u64>()));
        Value::Object(answer)
    }

    pub(super) fn mempool_content(&self, params: &Params) -> Value {
        let state = self.state();
        let waiting = state.mempool.waiting().map(|(hash, transaction)| {
            if params.flag(0) { plain(transaction, true) } else { json!(hash.to_string()) }
        });
        waiting.collect()
    }

    pub(super) fn get_transaction_by_hash(&self, params: &Params) -> Result<Value, Refusal> {
        let (state, hash) = (self.state(), params.transaction_hash(0)?);
        if let Some((known, index)) = find(&state.chain, &hash) {
            return Ok(transaction_in_block(&state.chain, known, index, false, true));
        }
        let waiting = state.mempool.find(&hash).map(|transaction| plain(transaction, true));
        waiting.ok_or_else(|| Refusal::exception("Unknown transaction hash"))
    }

    pub(super) fn transaction_at_number(&self, params: &Params) -> Result<Value, Refusal> {
        let state = self.state();
        Ok(nth(&state.chain, at(&state.chain, params)?, params))
    }

    pub(super) fn transaction_at_hash(&self, params: &Params) -> Result<Value, Refusal> {
        let (state, hash) = (self.state(), params.block_hash(0)?);
        Ok(state.chain.find(&hash).map_or(Value::Null, |known| nth(&state.chain, known, params)))
    }

    /// Only of what the valid chain holds.
    pub(super) fn get_transaction_receipt(&self, params: &Params) -> Result<Value, Refusal> {
        let (state, hash) = (self.state(), params.transaction_hash(0)?);
        let Some((known, index)) = find(&state.chain, &hash) else { return Ok(Value::Null) };
        let header = &known.block.header;
        Ok(json!({
            "transactionHash": hash.to_string(),
            "transactionIndex": index,
            "blockNumber": header.height.0,
            "blockHash": known.hash.to_string(),
            "confirmations": confirmations(&state.chain, header.height),
            "timestamp": header.timestamp.0,
        }))
    }

    /// Those that wait, then those of the chain, the newest first.
    pub(super) fn get_transactions_by_address(&self, params: &Params) -> Result<Value, Refusal> {
        let (state, address) = (self.state(), params.address(0)?);
        let limit = params.u32(1).map_or(LONGEST_LIST, |limit| (limit as usize).min(LONGEST_LIST));
        let mut found: Vec<Value> = state
            .mempool
            .transactions_of(&address)
            .take(limit)
            .map(|transaction| plain(transaction, true))
            .collect();
        for known in state.chain.newest_first() {
            for (index, transaction) in known.block.body.transactions.iter().enumerate() {
                let content = transaction.content();
                let concerned = [content.sender.address, content.recipient.address].contains(&address);
                if concerned && found.len() < limit {
                    found.push(transaction_in_block(&state.chain, known, index, false, true));
                }
            }
        }
        Ok(Value::Array(found))
    }
}

fn find<'a>(chain: &'a Chain, hash: &TransactionHash) -> Option<(&'a KnownBlock, usize)> {
    let inclusion = chain.inclusion(hash)?;
    Some((chain.at(inclusion.height)?, inclusion.index))
}

fn nth(chain: &Chain, known: &KnownBlock, params: &Params) -> Value {
    let index = params.u32(1).map_or(usize::MAX, |index| index as usize);
    match known.block.body.transactions.get(index) {
        Some(_) => transaction_in_block(chain, known, index, true, false),
        None => Value::Null,
    }
}

/// The transaction object of one in a block. Lists of a block give the position, look-ups the proof.
pub(super) fn transaction_in_block(
    chain: &Chain,
    known: &KnownBlock,
    index: usize,
    with_index: bool,
    with_proof: bool,
) -> Value {
    let Some(transaction) = known.block.body.transactions.get(index) else { return Value::Null };
    let header = &known.block.header;
    let mut object = json!({
        "hash": transaction.hash().to_string(),
        "blockHash": known.hash.to_string(),
        "blockNumber": header.height.0,
        "timestamp": header.timestamp.0,
        "confirmations": confirmations(chain, header.height),
    });
    if with_index {
        object["transactionIndex"] = json!(index);
    }
    if let (Value::Object(object), Value::Object(rest)) = (&mut object, plain(transaction, with_proof)) {
        object.extend(rest);
    }
    object
}

/// The transaction object of one that waits.
fn plain(transaction: &Transaction, with_proof: bool) -> Value {
    let content = transaction.content();
    let (from, to) = (content.sender.address, content.recipient.address);
    let data = if content.data.is_empty() { Value::Null } else { json!(hex::encode(&content.data)) };
    let mut object = json!({
        "hash": content.hash().to_string(),
        "from": from.to_hex(),
        "fromAddress": from.to_string(),
        "to": to.to_hex(),
        "toAddress": to.to_string(),
        "value": content.value.0,
        "fee": content.fee.0,
        "data": data,
    });
    if with_proof {
        object["proof"] = json!(hex::encode(proof(transaction)));
    }
    object["flags"] = json!(content.flags);
    object
}

/// The proof in the form that all transactions have.
fn proof(transaction: &Transaction) -> Vec<u8> {
    match transaction {
        Transaction::Basic(basic) => [&basic.public_key.0[..], &[0], &basic.signature.0].concat(),
        Transaction::Extended(extended) => extended.proof.clone(),
    }
}
