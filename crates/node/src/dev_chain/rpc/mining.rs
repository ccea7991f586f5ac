//! What a pool calls: templates, shares, blocks, payouts (`docs/protocol/packetcrypt-blocks.md` 7.2 to 7.6).

use packetcrypt::{
    CompactTarget, Height,
    block::{MerkleRoot, Transaction},
};
use serde_json::{Map, Value, json};

use super::{
    VERSION,
    blocks::pkt,
    params::{Params, decode_hex, wrong_type},
    refusal::Refusal,
};
use crate::{
    dev_chain::{
        DevChain, ShareFault, SubmitFault,
        payouts::{Payouts, PayoutsFault},
        proof_check::ShareTerms,
        submitted_block::SubmittedBlock,
    },
    pktd::ShareOpinion,
};

/// Hashes in a Merkle branch at most: a tree of depth 64 has more leaves than a block has bytes.
const LONGEST_BRANCH: usize = 64;

/// The parameter of `checkpcshare`. Unknown members are ignored, missing ones are zero or empty.
struct ShareParams {
    share_target: u32,
    height: i32,
    block: String,
    coinbase: String,
    branch: Vec<String>,
}

impl DevChain {
    pub(super) fn get_raw_block_template(&self, params: &Params) -> Result<Value, Refusal> {
        params.none()?;
        let template = self
            .template()
            .map_err(|fault| Refusal::untyped(format!("Failed to create new block template: {fault}")))?;
        Ok(json!({
            "height": template.height.0,
            "header": hex::encode(template.header.to_bytes()),
            "coinbase_no_witness": hex::encode(&template.coinbase_no_witness),
            "merklebranch": template.branch.iter().map(hex::encode).collect::<Vec<_>>(),
            "transactions": template.transactions.iter().map(hex::encode).collect::<Vec<_>>(),
        }))
    }

    pub(super) fn check_pc_share(&self, params: &Params) -> Result<Value, Refusal> {
        params.count(0, 1)?;
        if params.get(0).is_none() {
            return Err(Refusal::deserialization("Share decode failed: request missing"));
        }
        let share = ShareParams::read(params.object(0, "request")?)?;
        let bytes = decode_hex(&share.block)?;
        let block = SubmittedBlock::decode(&bytes)
            .map_err(|fault| Refusal::deserialization(format!("Share decode failed: {fault}")))?;
        let coinbase = decode_hex(&share.coinbase)?;
        let (coinbase, _) =
            Transaction::read(&coinbase).map_err(|fault| Refusal::without_code(fault.to_string()))?;
        let branch = share.branch()?;
        let root = MerkleRoot::of_coinbase(coinbase.id(), &branch);
        if root != block.header.merkle_root {
            let (expected, got) = (hex::encode(block.header.merkle_root.0), hex::encode(root.0));
            let text = format!("merkle root mismatch, expected [{expected}] but got [{got}]");
            return Err(Refusal::share_verification(text));
        }
        let share_target = CompactTarget(share.share_target);
        let terms = ShareTerms { height: Height(share.height.cast_unsigned()), share_target };
        match self.check_share(&block, &coinbase, terms) {
            Ok(ShareOpinion::Ok) => Ok(json!("OK")),
            Ok(ShareOpinion::ResubmitAsBlock) => Ok(json!("RESUBMIT_AS_BLOCK")),
            Err(fault @ ShareFault::MissingParent(_)) => Err(Refusal::share_verification(fault.to_string())),
            Err(fault) => Err(Refusal::untyped(fault.to_string())),
        }
    }

    pub(super) fn submit_block(&self, params: &Params) -> Result<Value, Refusal> {
        params.count(1, 2)?;
        let bytes = decode_hex(params.text(0, "hexblock")?)?;
        match self.submit(&bytes) {
            Ok(_) => Ok(Value::Null),
            Err(SubmitFault::Decode(fault)) => {
                Err(Refusal::deserialization(format!("Block decode failed: {fault}")))
            }
            // pktd puts a call stack behind the reason; whoever reads it must take the first line.
            Err(SubmitFault::Violation(rule)) => {
                Ok(json!(format!("rejected: {VERSION} {rule}\n\n  headframe dev chain\n")))
            }
            Err(SubmitFault::Store(fault)) => Err(Refusal::internal(fault.to_string())),
        }
    }

    pub(super) fn configure_mining_payouts(&self, params: &Params) -> Result<Value, Refusal> {
        params.count(1, 1)?;
        let name = "payoutpercents";
        let payouts = Payouts::parse(params.object(0, name)?).map_err(|fault| match fault {
            PayoutsFault::Weight { .. } => wrong_type(0, name, &fault.to_string()),
            other => Refusal::untyped(other.to_string()),
        })?;
        self.configure_payouts(payouts);
        Ok(Value::Null)
    }

    pub(super) fn get_mining_payouts(&self, params: &Params) -> Result<Value, Refusal> {
        params.none()?;
        let (payouts, height) = (self.payouts(), Height(self.tip().height.0.saturating_add(1)));
        let amounts = payouts.amounts(height).map_err(|fault| Refusal::untyped(fault.to_string()))?;
        let lines = payouts.payees().iter().zip(&amounts);
        let table: Map<String, Value> =
            lines.map(|(payee, amount)| (payee.address.clone(), pkt(amount.units))).collect();
        Ok(Value::Object(table))
    }
}

impl ShareParams {
    fn read(request: &Map<String, Value>) -> Result<Self, Refusal> {
        let wrong =
            |name: &str, expected: &str| wrong_type(0, "request", &format!("{name}: expected {expected}"));
        let number = |name: &str| match request.get(name) {
            None | Some(Value::Null) => Ok(0),
            Some(value) => value.as_i64().ok_or_else(|| wrong(name, "a whole number")),
        };
        let text = |name: &str| match request.get(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(value) => value.as_str().map(str::to_owned).ok_or_else(|| wrong(name, "a string")),
        };
        let branch = match request.get("merklebranch") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(branch)) if branch.len() <= LONGEST_BRANCH => &branch[..],
            Some(_) => return Err(wrong("merklebranch", "an array of at most 64 strings")),
        };
        let branch = branch.iter().map(|hash| {
            hash.as_str().map(str::to_owned).ok_or_else(|| wrong("merklebranch", "an array of strings"))
        });
        Ok(Self {
            share_target: u32::try_from(number("sharetarget")?).map_err(|_| wrong("sharetarget", "a u32"))?,
            height: i32::try_from(number("height")?).map_err(|_| wrong("height", "an i32"))?,
            block: text("hexblock")?,
            coinbase: text("coinbase")?,
            branch: branch.collect::<Result<_, _>>()?,
        })
    }

    fn branch(&self) -> Result<Vec<[u8; 32]>, Refusal> {
        let hash = |text: &String| decode_hex(text)?.try_into().map_err(|_| Refusal::not_hex(text));
        self.branch.iter().map(hash).collect()
    }
}
