//! Calls about blocks and balances.

use nimiq::Height;
use serde_json::{Value, json};

use super::Refusal;
use super::params::Params;
use super::transactions::transaction_in_block;
use crate::nimiq_dev_chain::NimiqDevChain;
use crate::nimiq_dev_chain::chain::{Chain, KnownBlock};

impl NimiqDevChain {
    pub(super) fn get_block_by_number(&self, params: &Params) -> Result<Value, Refusal> {
        let state = self.state();
        let known = at(&state.chain, params)?;
        Ok(block(&state.chain, known, params.flag(1)))
    }

    /// Finds abandoned blocks too, and reports confirmations as if they were not.
    pub(super) fn get_block_by_hash(&self, params: &Params) -> Result<Value, Refusal> {
        let (state, hash) = (self.state(), params.block_hash(0)?);
        let known = state.chain.find(&hash);
        Ok(known.map_or(Value::Null, |known| block(&state.chain, known, params.flag(1))))
    }

    pub(super) fn count_by_number(&self, params: &Params) -> Result<Value, Refusal> {
        let state = self.state();
        Ok(json!(at(&state.chain, params)?.block.body.transactions.len()))
    }

    pub(super) fn count_by_hash(&self, params: &Params) -> Result<Value, Refusal> {
        let (state, hash) = (self.state(), params.block_hash(0)?);
        let known = state.chain.find(&hash);
        Ok(known.map_or(Value::Null, |known| json!(known.block.body.transactions.len())))
    }

    pub(super) fn get_balance(&self, params: &Params) -> Result<Value, Refusal> {
        let address = params.address(0)?;
        if let Some(block) = params.get(1) {
            let block = block.as_str().map_or_else(|| block.to_string(), str::to_owned);
            return Err(Refusal::exception(format!("Cannot calculate balance at block {block}")));
        }
        Ok(json!(self.balance(&address).0))
    }

    pub(super) fn get_account(&self, params: &Params) -> Result<Value, Refusal> {
        let address = params.address(0)?;
        let (id, friendly, balance) = (address.to_hex(), address.to_string(), self.balance(&address).0);
        Ok(json!({"id": id, "address": friendly, "balance": balance, "type": 0}))
    }
}

/// The block of the valid chain that the first parameter names.
pub(super) fn at<'a>(chain: &'a Chain, params: &Params) -> Result<&'a KnownBlock, Refusal> {
    let head = chain.head().block.header.height;
    let height = params.height(0, head)?;
    chain.at(height).ok_or_else(|| Refusal::exception("Invalid height"))
}

/// How many blocks count for a height; at least one.
pub(super) fn confirmations(chain: &Chain, height: Height) -> i64 {
    i64::from(chain.head().block.header.height.0) - i64::from(height.0) + 1
}

/// The block object.
fn block(chain: &Chain, known: &KnownBlock, with_transactions: bool) -> Value {
    let (header, body) = (&known.block.header, &known.block.body);
    let transactions: Vec<Value> = if with_transactions {
        (0..body.transactions.len())
            .map(|index| transaction_in_block(chain, known, index, true, false))
            .collect()
    } else {
        body.transactions.iter().map(|transaction| json!(transaction.hash().to_string())).collect()
    };
    json!({
        "number": header.height.0,
        "hash": known.hash.to_string(),
        "pow": known.proof_of_work.to_string(),
        "parentHash": header.previous.to_string(),
        "nonce": header.nonce,
        "bodyHash": header.body_hash.to_string(),
        "accountsHash": header.accounts_hash.to_string(),
        "difficulty": header.target.difficulty().to_string(),
        "timestamp": header.timestamp.0,
        "confirmations": confirmations(chain, header.height),
        "miner": body.miner.to_hex(),
        "minerAddress": body.miner.to_string(),
        "extraData": hex::encode(body.extra_data.as_bytes()),
        "size": known.block.to_bytes().len(),
        "transactions": transactions,
    })
}
