//! Calls of those who mine.

use nimiq::Timestamp;
use serde_json::{Value, json};
use tracing::info;

use super::Refusal;
use super::params::Params;
use crate::nimiq_dev_chain::{NimiqDevChain, SubmitFault};

impl NimiqDevChain {
    pub(super) fn get_block_template(&self, params: &Params) -> Result<Value, Refusal> {
        self.refuse_without_consensus()?;
        let (miner, extra_data) = params.miner();
        let template = self.template(miner, extra_data);
        let (next, body) = (&template.next, &template.body);
        // The first sibling of the miner's leaf is the extra data's.
        let path = body.miner_proof();
        let siblings: Vec<String> =
            path.siblings().iter().skip(1).map(|sibling| sibling.hash.to_string()).collect();
        let transactions: Vec<String> =
            body.transactions.iter().map(|transaction| hex::encode(transaction.to_bytes())).collect();
        Ok(json!({
            "header": {
                "version": nimiq::header::VERSION,
                "prevHash": next.previous.to_string(),
                "interlinkHash": next.interlink_hash.to_string(),
                "accountsHash": template.accounts_hash.to_string(),
                "nBits": next.target.0,
                "height": next.height.0,
            },
            "interlink": hex::encode(next.interlink.to_bytes()),
            "target": next.target.0,
            "body": {
                "hash": body.hash().to_string(),
                "minerAddr": body.miner.to_hex(),
                "extraData": hex::encode(body.extra_data.as_bytes()),
                "transactions": transactions,
                "merkleHashes": siblings,
                "prunedAccounts": [],
            },
        }))
    }

    pub(super) fn get_work(&self, params: &Params) -> Result<Value, Refusal> {
        self.refuse_without_consensus()?;
        let (miner, extra_data) = params.miner();
        let template = self.template(miner, extra_data);
        let block = template.block(Timestamp((self.shared.clock)()), 0).to_bytes();
        let (header, suffix) = block.split_at(nimiq::header::HEADER_SIZE);
        Ok(json!({
            "data": hex::encode(header),
            "suffix": hex::encode(suffix),
            "target": template.next.target.0,
            "algorithm": "nimiq-argon2",
        }))
    }

    /// Says nothing about blocks that are no good, unless they cannot be read.
    pub(super) fn submit_block(&self, params: &Params) -> Result<(), Refusal> {
        let bytes = params.bytes(0).unwrap_or_default();
        match self.submit(&bytes) {
            Ok(_) => Ok(()),
            Err(SubmitFault::Violation(violation)) => {
                info!(%violation, "a submitted block is not accepted");
                Ok(())
            }
            Err(fault) => Err(Refusal::exception(fault.to_string())),
        }
    }

    fn refuse_without_consensus(&self) -> Result<(), Refusal> {
        if *self.shared.consensus.borrow() {
            return Ok(());
        }
        Err(Refusal { code: Refusal::NO_TEMPLATE, message: "No consensus".to_owned() })
    }
}
