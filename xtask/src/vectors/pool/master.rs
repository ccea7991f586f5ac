//! What the Master serves: files byte for byte, and recorded requests.

use packetcrypt::{BlockHash, CompactTarget, Height};
use serde::Deserialize;
use serde_json::Value;
use wire::block_info::BlockInfo;
use wire::pool_config::PoolConfig;
use wire::template::BlockTemplate;
use wire::work::WorkFile;
use wire::{template, work};

use super::{Tally, VectorFile, Verdict, each, holds, same, single};

pub(super) fn check(file: &VectorFile<'_>) -> Option<anyhow::Result<Tally>> {
    let (stem, extension) = file.name.rsplit_once('.')?;
    match (stem, extension) {
        ("http", "json") => Some(exchanges(file)),
        (stem, "json") if stem.starts_with("config") => {
            Some(file.bytes().map(|bytes| single(config(&bytes))))
        }
        (stem, "json") if stem.starts_with("blkinfo_") => Some(block_info(file)),
        (stem, "bin") if stem.starts_with("work_") => Some(work_file(file, stem)),
        (stem, "bin") if stem.starts_with("bt_") => Some(block_template(file, stem)),
        (stem, "json") if stem.starts_with("work_") || stem.starts_with("bt_") => {
            Some(Ok(Tally::companion(format!("{stem}.bin"))))
        }
        _ => None,
    }
}

/// A `config.json` of a pool is written back byte for byte.
pub(super) fn config(bytes: &[u8]) -> Verdict {
    let config = PoolConfig::parse(bytes).map_err(|fault| fault.to_string())?;
    same("written back", &String::from_utf8_lossy(bytes).as_ref(), &config.to_json().as_str())
}

fn block_info(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    let bytes = file.bytes()?;
    // blkinfo_<height>_<hash>.json, where the name says them
    let hash = file.name.trim_end_matches(".json").rsplit('_').next().unwrap_or_default();
    Ok(single(block_info_text(&bytes, BlockHash::from_display_hex(hash).ok())))
}

fn block_info_text(bytes: &[u8], named: Option<BlockHash>) -> Verdict {
    let info = BlockInfo::parse(bytes).map_err(|fault| fault.to_string())?;
    same("hash of the name", &named.unwrap_or(info.header.hash), &info.header.hash)?;
    same("written back", &String::from_utf8_lossy(bytes).as_ref(), &info.to_json().as_str())
}

fn work_file(file: &VectorFile<'_>, stem: &str) -> anyhow::Result<Tally> {
    let bytes = file.bytes()?;
    let decoded = file.beside(format!("{stem}.json")).ok();
    let row = || {
        let work = WorkFile::parse(&bytes).map_err(|fault| fault.to_string())?;
        same("written back", &bytes, &work.to_bytes())?;
        if !work.coinbase.is_empty() {
            same("merkle root", &work.header.merkle_root, &work.merkle_root())?;
        }
        decoded.map_or(Ok(()), |decoded| work_fields(&work, &decoded))
    };
    Ok(single(row()))
}

fn work_fields(work: &WorkFile, decoded: &[u8]) -> Verdict {
    let decoded: DecodedWork = serde_json::from_slice(decoded).map_err(|fault| fault.to_string())?;
    same("header", &decoded.header, &hex::encode(work.header.to_bytes()))?;
    let fields = &decoded.header_fields;
    same("version", &fields.version, &(work.header.version as u32))?;
    same("previous", &fields.previous_block_display_order, &work.header.previous.to_string())?;
    same("time", &fields.time, &work.header.time)?;
    same("bits", &fields.bits, &work.header.bits.to_string())?;
    let key = work.signing_key.map_or([0; 32], |key| *key.as_bytes());
    same("signing key", &decoded.signing_key, &hex::encode(key))?;
    same("share target", &decoded.share_target, &work.share_target.to_string())?;
    same("announcement target", &decoded.ann_target, &work.ann_target.to_string())?;
    same("height", &Height(decoded.height), &work.height)?;
    same("coinbase", &decoded.coinbase_no_witness, &hex::encode(&work.coinbase))?;
    same("branch", &decoded.coinbase_merkle_branch, &work.branch.iter().map(hex::encode).collect())
}

#[derive(Deserialize)]
struct DecodedWork {
    header: String,
    header_fields: DecodedHeader,
    signing_key: String,
    share_target: String,
    ann_target: String,
    height: u32,
    coinbase_no_witness: String,
    coinbase_merkle_branch: Vec<String>,
}

#[derive(Deserialize)]
struct DecodedHeader {
    version: u32,
    previous_block_display_order: String,
    time: u32,
    bits: String,
}

fn block_template(file: &VectorFile<'_>, stem: &str) -> anyhow::Result<Tally> {
    let bytes = file.bytes()?;
    let decoded = file.beside(format!("{stem}.json")).ok();
    let row = || {
        let template = BlockTemplate::parse(&bytes).map_err(|fault| fault.to_string())?;
        same("written back", &bytes, &template.to_bytes())?;
        decoded.map_or(Ok(()), |decoded| template_fields(&template, &decoded))
    };
    Ok(single(row()))
}

fn template_fields(template: &BlockTemplate, decoded: &[u8]) -> Verdict {
    #[derive(Deserialize)]
    struct Decoded {
        height: u32,
        header: String,
        coinbase_no_witness: String,
        merkle_branch: Vec<String>,
        transactions: Vec<String>,
    }
    let decoded: Decoded = serde_json::from_slice(decoded).map_err(|fault| fault.to_string())?;
    same("height", &Height(decoded.height), &template.height)?;
    same("header", &decoded.header, &hex::encode(template.header.to_bytes()))?;
    same("coinbase", &decoded.coinbase_no_witness, &hex::encode(&template.coinbase_no_witness))?;
    same("branch", &decoded.merkle_branch, &template.branch.iter().map(hex::encode).collect())?;
    same("transactions", &decoded.transactions, &template.transactions.iter().map(hex::encode).collect())
}

/// A recorded request to the Master.
#[derive(Deserialize)]
struct Exchange {
    note: String,
    path: String,
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<Value>,
    body_hex: Option<String>,
}

fn exchanges(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    let exchanges: Vec<Exchange> = file.json()?;
    Ok(each(&exchanges, |exchange| format!("{} ({})", exchange.path, exchange.note), exchange))
}

fn exchange(exchange: &Exchange) -> Verdict {
    let name = exchange.path.rsplit('/').next().unwrap_or_default();
    let served = exchange.status == 200;
    let body = exchange.body.as_ref().and_then(Value::as_str).unwrap_or_default();
    if exchange.status == 300 {
        let sent =
            |name: &str| exchange.headers.iter().any(|(one, value)| one == name && value == "try-again");
        holds("300 without x-pc-longpoll", sent("x-pc-longpoll"))?;
    }
    match name {
        "config.json" if !body.is_empty() && served => config(body.as_bytes()),
        name if name.starts_with("work_") => {
            holds(
                "a file that is served has a name that is known",
                work::parse_file_name(name).is_some() || !served,
            )?;
            let bytes = exchange.body_hex.as_ref().map(hex::decode);
            match bytes {
                Some(Ok(bytes)) => WorkFile::parse(&bytes).map(drop).map_err(|fault| fault.to_string()),
                Some(Err(fault)) => Err(fault.to_string()),
                None => Ok(()),
            }
        }
        name if name.starts_with("bt_") => holds(
            "a file that is served has a name that is known",
            template::parse_file_name(name).is_some() || !served,
        ),
        name if name.starts_with("blkinfo_") => {
            let hash = BlockInfo::parse_file_name(name);
            if !served {
                return Ok(());
            }
            holds("a block info that is served has a name that is known", hash.is_some())?;
            block_info_text(body.as_bytes(), hash)
        }
        _ => holds("nothing else is served", !served || name == "config.json"),
    }
}

/// Eight hexadecimal digits that are a compact target.
pub(super) fn compact_target(digits: &str) -> Result<CompactTarget, String> {
    u32::from_str_radix(digits, 16).map(CompactTarget).map_err(|fault| format!("{digits}: {fault}"))
}
