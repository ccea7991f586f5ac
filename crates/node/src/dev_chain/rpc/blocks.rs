//! What the chain holds: blocks, headers, heights (`docs/protocol/packetcrypt-blocks.md` 7.5).

use base64::{Engine, engine::general_purpose::STANDARD};
use packetcrypt::{
    BlockHash, CompactTarget, Height,
    block::{
        Transaction,
        commitment::find_in,
        elements::PROOF_VERSION,
        header::{HEADER_SIZE, double_sha256},
        transaction::Output,
    },
    target::effective_target,
};
use serde_json::{Number, Value, json};
use wire::{pkt_address::ChainAddress, var_int};

use super::{NoResult, params::Params, refusal::Refusal};
use crate::dev_chain::{
    DevChain, State,
    chain::BlockIndex,
    rules::{STEWARD_SCRIPT, issued_before, median_time, subsidy},
};

/// Base units of one PKT.
const UNITS_PER_PKT: f64 = (1u64 << 30) as f64;
/// pktd counts the proof twice in sizes and weights (pitfall 9.9).
const COUNTED_TWICE: usize = 4100;
/// pktd shows every difficulty relative to the public network's easiest target.
const BASE: CompactTarget = CompactTarget(0x1f0f_ffff);

/// Effective target of the genesis block, whose proof is of a version that reckons otherwise.
const GENESIS_EFFECTIVE: CompactTarget = CompactTarget(0x1e0f_ffff);

impl DevChain {
    pub(super) fn get_best_block(&self, params: &Params) -> Result<Value, Refusal> {
        params.none()?;
        let tip = self.tip();
        Ok(json!({"hash": tip.hash.to_string(), "height": tip.height.0}))
    }

    pub(super) fn get_best_block_hash(&self, params: &Params) -> Result<Value, Refusal> {
        params.none()?;
        Ok(json!(self.tip().hash.to_string()))
    }

    pub(super) fn get_block_count(&self, params: &Params) -> Result<Value, Refusal> {
        params.none()?;
        Ok(json!(self.tip().height.0))
    }

    pub(super) fn get_block_hash(&self, params: &Params) -> Result<Value, Refusal> {
        params.count(1, 1)?;
        let height =
            u32::try_from(params.integer(0, "index")?).map_err(|_| Refusal::height_out_of_range())?;
        let state = self.state();
        let index = state.chain.at_height(Height(height)).ok_or_else(Refusal::height_out_of_range)?;
        Ok(json!(state.chain.block(index).hash.to_string()))
    }

    pub(super) fn get_block_header(&self, params: &Params) -> Result<Value, Refusal> {
        params.count(1, 2)?;
        let (hash, verbose) = (block_hash(params)?, params.flag(1, "verbose", true)?);
        let state = self.state();
        let index = state.chain.find(&hash).ok_or_else(Refusal::block_not_found)?;
        let block = state.chain.block(index);
        if !verbose {
            return Ok(json!(hex::encode(block.place.header.to_bytes())));
        }
        let place = PlaceInChain::of(&state, index)?;
        let header = &block.place.header;
        let mut described = json!({
            "hash": block.hash.to_string(),
            "confirmations": place.confirmations,
            "height": block.place.height.0,
            "version": header.version,
            "versionHex": format!("{:08x}", header.version),
            "merkleroot": shown(header.merkle_root.0),
            "time": header.time,
            "nonce": header.nonce,
            "bits": format!("{:x}", header.bits.0),
            "difficulty": difficulty(header.bits, BASE),
            "previousblockhash": header.previous.to_string(),
        });
        insert(&mut described, "nextblockhash", place.next.map(|next| json!(next.to_string())));
        Ok(described)
    }

    pub(super) fn get_block(&self, params: &Params) -> Result<Value, Refusal> {
        params.count(1, 4)?;
        let hash = block_hash(params)?;
        let (verbose, with_transactions, with_proof) = (
            params.flag(1, "verbose", true)?,
            params.flag(2, "verbosetx", false)?,
            params.flag(3, "verbosepcp", false)?,
        );
        let state = self.state();
        let index = state.chain.find(&hash).ok_or_else(Refusal::block_not_found)?;
        let bytes = Self::block_bytes(&state, state.chain.block(index));
        let bytes = bytes.map_err(|fault| Refusal::internal(fault.to_string()))?;
        if !verbose {
            return Ok(json!(hex::encode(bytes)));
        }
        let parts = BlockParts::read(&bytes).ok_or_else(|| Refusal::internal("a stored block is broken"))?;
        let mut described = self.describe_block(&state, index, &parts)?;
        if with_transactions {
            replace_ids_by_transactions(&mut described, &parts.transactions);
        }
        insert(&mut described, "packetcryptproof", with_proof.then(|| json!(hex::encode(parts.elements))));
        Ok(described)
    }

    fn describe_block(
        &self,
        state: &State,
        index: BlockIndex,
        parts: &BlockParts<'_>,
    ) -> Result<Value, Refusal> {
        let block = state.chain.block(index);
        let (header, height) = (&block.place.header, block.place.height);
        let place = PlaceInChain::of(state, index)?;
        let counted = parts.length + COUNTED_TWICE;
        let (least_work, count) = parts.commitment();
        let is_genesis = height.0 == 0;
        let effective =
            if is_genesis { GENESIS_EFFECTIVE } else { effective_target(header.bits, least_work, count) };
        let ids: Vec<String> =
            parts.transactions.iter().map(|(transaction, _)| shown(transaction.id())).collect();
        let mut described = json!({
            "hash": block.hash.to_string(),
            "confirmations": place.confirmations,
            "strippedsize": counted,
            "size": parts.length,
            "weight": counted * 4,
            "height": height.0,
            "version": header.version,
            "versionHex": format!("{:08x}", header.version),
            "merkleroot": shown(header.merkle_root.0),
            "tx": ids,
            "time": header.time,
            "nonce": header.nonce,
            "bits": format!("{:x}", header.bits.0),
            "difficulty": difficulty(header.bits, BASE),
            "previousblockhash": header.previous.to_string(),
        });
        insert(&mut described, "nextblockhash", place.next.map(|next| json!(next.to_string())));
        let steward = if is_genesis { "unknown".to_owned() } else { steward_address() };
        let proof = [
            ("packetcryptversion", json!(if is_genesis { 0 } else { PROOF_VERSION })),
            ("packetcryptanncount", json!(count)),
            ("packetcryptannbits", json!(format!("{:x}", least_work.0))),
            ("packetcryptanndifficulty", difficulty(least_work, CompactTarget::EASIEST)),
            ("packetcryptblkdifficulty", difficulty(effective, CompactTarget::EASIEST)),
            ("packetcryptblkbits", json!(format!("{:x}", effective.0))),
            ("sblockreward", json!(subsidy(height).to_string())),
            ("networksteward", json!(steward)),
            ("blocksuntilretarget", json!(self.rules().blocks_until_retarget(height))),
        ];
        for (name, value) in proof {
            insert(&mut described, name, Some(value));
        }
        let estimate = self.rules().retarget_estimate(&state.chain.branch(index));
        insert(&mut described, "retargetestimate", estimate.map(number));
        Ok(described)
    }

    pub(super) fn get_difficulty(&self, params: &Params) -> Result<Value, Refusal> {
        params.none()?;
        let state = self.state();
        Ok(difficulty(state.chain.block(state.chain.tip()).place.header.bits, BASE))
    }

    pub(super) fn get_block_chain_info(&self, params: &Params) -> Result<Value, NoResult> {
        params.none()?;
        let state = self.state();
        let block = state.chain.block(state.chain.tip());
        let height = block.place.height.0;
        if height == 0 {
            // pktd divides zero by zero here and finds that it cannot write the result.
            return Err(NoResult::HangUp);
        }
        let soft_fork =
            |id: &str, version: u32| json!({"id": id, "version": version, "reject": {"status": true}});
        let active = |bit: u32| json!({"status": "active", "bit": bit, "startTime": i64::MAX, "timeout": i64::MAX, "since": 0});
        Ok(json!({
            "chain": "pkt",
            "blocks": height,
            "headers": height,
            "bestblockhash": block.hash.to_string(),
            "initialblockdownload": false,
            "difficulty": difficulty(block.place.header.bits, BASE),
            "mediantime": median_time(&state.chain.branch(state.chain.tip())),
            "verificationprogress": 1,
            "pruned": false,
            "softforks": [soft_fork("bip34", 2), soft_fork("bip66", 3), soft_fork("bip65", 4)],
            "bip9_softforks": {"csv": active(0), "segwit": active(0)},
        }))
    }

    pub(super) fn get_mining_info(&self, params: &Params) -> Result<Value, Refusal> {
        params.none()?;
        let state = self.state();
        let block = state.chain.block(state.chain.tip());
        let length =
            Self::block_bytes(&state, block).map_err(|fault| Refusal::internal(fault.to_string()))?.len();
        Ok(json!({
            "blocks": block.place.height.0,
            "currentblocksize": length + COUNTED_TWICE,
            "currentblockweight": (length + COUNTED_TWICE) * 4,
            "currentblocktx": 1,
            "difficulty": difficulty(block.place.header.bits, BASE),
            "errors": "",
            "generate": false,
            "genproclimit": 2,
            "hashespersec": 0,
            "networkhashps": 0,
            "pooledtx": 0,
            "testnet": false,
        }))
    }

    pub(super) fn get_info(&self, params: &Params) -> Result<Value, Refusal> {
        params.none()?;
        let difficulty = self.get_difficulty(params)?;
        Ok(json!({
            "version": 0,
            "protocolversion": 70002,
            "blocks": self.tip().height.0,
            "timeoffset": 0,
            "connections": 0,
            "difficulty": difficulty,
            "testnet": false,
            "relayfee": 9.313225746154785e-07,
            "errors": "",
        }))
    }

    pub(super) fn get_network_steward(&self, params: &Params) -> Result<Value, Refusal> {
        params.none()?;
        let script = hex::encode(STEWARD_SCRIPT);
        Ok(json!({"script": script, "votesagainst": 0, "totalpossible": issued_before(self.tip().height)}))
    }
}

/// `validateaddress`: whether an address can be paid.
pub(super) fn validate_address(params: &Params) -> Result<Value, Refusal> {
    params.count(1, 1)?;
    Ok(match ChainAddress::parse(params.text(0, "address")?) {
        Ok(address) => json!({"isvalid": true, "address": address.to_string()}),
        Err(_) => json!({"isvalid": false}),
    })
}

/// Where a block of the best chain stands in it.
struct PlaceInChain {
    confirmations: u32,
    next: Option<BlockHash>,
}

impl PlaceInChain {
    /// Refused for a block of a side chain.
    fn of(state: &State, index: BlockIndex) -> Result<Self, Refusal> {
        let chain = &state.chain;
        let block = chain.block(index);
        if !chain.is_best(index) {
            return Err(Refusal::internal(format!(
                "Failed to obtain block height: blockchain.errNotInMainChain: block {} is not in the main chain",
                block.hash
            )));
        }
        let (height, tip) = (block.place.height, chain.block(chain.tip()).place.height);
        let next = height.checked_add(1).and_then(|next| chain.at_height(next));
        let next = next.map(|next| chain.block(next).hash);
        Ok(Self { confirmations: tip.0.saturating_sub(height.0) + 1, next })
    }
}

/// A stored block, taken apart. The genesis block has a proof of a version that is no longer accepted, so the
/// elements are only walked through here.
struct BlockParts<'a> {
    length: usize,
    elements: &'a [u8],
    /// Each with its bytes.
    transactions: Vec<(Transaction<'a>, &'a [u8])>,
}

impl<'a> BlockParts<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut at = HEADER_SIZE;
        loop {
            let kind = read_number(bytes, &mut at)?;
            let length = read_number(bytes, &mut at)?;
            if kind == 0 {
                break;
            }
            at = at.checked_add(usize::try_from(length).ok()?)?;
        }
        let elements = bytes.get(HEADER_SIZE..at)?;
        let mut transactions = Vec::new();
        for _ in 0..read_number(bytes, &mut at)? {
            let rest = bytes.get(at..)?;
            let (transaction, length) = Transaction::read(rest).ok()?;
            transactions.push((transaction, rest.get(..length)?));
            at += length;
        }
        Some(Self { length: bytes.len(), elements, transactions })
    }

    /// Least work and count as the coinbase claims them; zeros without a commitment.
    fn commitment(&self) -> (CompactTarget, u64) {
        let commitment = self.transactions.first().and_then(|(coinbase, _)| find_in(coinbase).ok());
        let Some([_, _, _, _, w0, w1, w2, w3, .., n0, n1, n2, n3, n4, n5, n6, n7]) = commitment else {
            return (CompactTarget(0), 0);
        };
        let least_work = CompactTarget(u32::from_le_bytes([w0, w1, w2, w3]));
        (least_work, u64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]))
    }
}

fn read_number(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let (number, length) = var_int::read(bytes.get(*at..)?)?;
    *at += length;
    Some(number)
}

/// What `verbosetx` asks for: whole transactions under `rawtx` where their ids stood under `tx`.
fn replace_ids_by_transactions(described: &mut Value, transactions: &[(Transaction<'_>, &[u8])]) {
    let Value::Object(block) = described else { return };
    let (hash, confirmations) = (block.get("hash").cloned(), block.get("confirmations").cloned());
    let raw = transactions.iter().map(|(transaction, bytes)| {
        json!({
            "hex": hex::encode(bytes),
            "txid": shown(transaction.id()),
            "hash": shown(double_sha256(&[bytes])),
            "size": bytes.len(),
            "vsize": bytes.len(),
            "version": transaction.version,
            "locktime": transaction.lock_time,
            "vin": transaction.inputs.iter().map(|input| {
                json!({"coinbase": hex::encode(input.script), "sequence": input.sequence})
            }).collect::<Vec<_>>(),
            "vout": transaction.outputs.iter().enumerate().map(describe_output).collect::<Vec<_>>(),
            "blockhash": hash,
            "confirmations": confirmations,
        })
    });
    let raw = raw.collect();
    if let Some(position) = block.keys().position(|name| name == "tx") {
        block.shift_remove("tx");
        block.shift_insert(position, "rawtx".to_owned(), Value::Array(raw));
    }
}

fn describe_output((number, output): (usize, &Output<'_>)) -> Value {
    let units = output.value.unsigned_abs();
    let address = match ChainAddress::from_script(output.script) {
        Some(address) => address.to_string(),
        None => format!("script:{}", STANDARD.encode(output.script)),
    };
    json!({"value": pkt(units), "svalue": units.to_string(), "n": number, "address": address})
}

fn block_hash(params: &Params) -> Result<BlockHash, Refusal> {
    let text = params.text(0, "hash")?;
    BlockHash::from_display_hex(text).map_err(|_| Refusal::not_hex(text))
}

fn steward_address() -> String {
    ChainAddress::from_script(&STEWARD_SCRIPT).map(|address| address.to_string()).unwrap_or_default()
}

/// 32 bytes in the order in which people read hashes.
fn shown(hash: [u8; 32]) -> String {
    BlockHash::from_internal(hash).to_string()
}

fn insert(object: &mut Value, name: &str, value: Option<Value>) {
    if let (Value::Object(object), Some(value)) = (object, value) {
        object.insert(name.to_owned(), value);
    }
}

fn difficulty(bits: CompactTarget, base: CompactTarget) -> Value {
    bits.difficulty(base).map_or(json!(0), number)
}

/// Base units as PKT.
pub(super) fn pkt(units: u64) -> Value {
    number(units as f64 / UNITS_PER_PKT)
}

/// A double as Go prints it: whole numbers without a point.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return json!(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}
