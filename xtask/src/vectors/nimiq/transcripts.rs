//! `transcripts.json`: recorded sessions. Every frame is read, and written back as it was; every share is judged as far
//! as it can be from the session alone.

mod frames;
mod session;
mod share;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use nimiq::share::smart::PoolLeaf;
use nimiq::{Network, PrivateKey};
use serde::Deserialize;

use super::super::Tally;
use super::{address, array, difference, first, read, shown};
use frames::Frame;
use session::Session;
use share::RecordedShare;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    #[serde(default, rename = "about")]
    _about: String,
    config: Config,
    keys: BTreeMap<String, Key>,
    #[serde(default)]
    stock_smart: Vec<Frame>,
    #[serde(default)]
    stock_nano: Vec<Frame>,
    #[serde(default)]
    stock_smart_later: Vec<Frame>,
    #[serde(default)]
    stock_nano_later: Vec<Frame>,
    #[serde(default)]
    edge: Vec<Situation>,
    #[serde(default)]
    edge_master: Vec<Situation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Config {
    pool_name: String,
    pool_address: String,
    network: String,
    genesis_hash: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Key {
    private_key: String,
    address: String,
}

/// A session that shows one situation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Situation {
    case: String,
    messages: Vec<Frame>,
    #[serde(default)]
    share: Option<RecordedShare>,
}

/// The pool that was recorded.
struct Pool {
    name: String,
    leaf: PoolLeaf,
    address: nimiq::Address,
    network: Network,
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let file: File = read(path)?;
    let mut tally = Tally::default();
    let pool = file.config.check(&mut tally)?;
    for (name, key) in &file.keys {
        let derived = PrivateKey::new(&array(&key.private_key)?).public_key().address();
        tally.row(format_args!("key {name}"), shown("address", &key.address, derived));
    }
    for (name, frames) in [
        ("stockSmart", &file.stock_smart),
        ("stockNano", &file.stock_nano),
        ("stockSmartLater", &file.stock_smart_later),
        ("stockNanoLater", &file.stock_nano_later),
    ] {
        Session::new(&pool, name, true).run(frames, &mut tally)?;
    }
    for case in file.edge.iter().chain(&file.edge_master) {
        let shares = Session::new(&pool, &case.case, false).run(&case.messages, &mut tally)?;
        if let Some(recorded) = &case.share {
            let share = shares.first().with_context(|| format!("{}: no share was sent", case.case))?;
            tally.row(format_args!("{}: the share", case.case), recorded.check(share)?);
        }
    }
    Ok(tally)
}

impl Config {
    fn check(&self, tally: &mut Tally) -> anyhow::Result<Pool> {
        let network: Network = self.network.parse()?;
        let address = address(&self.pool_address)?;
        let problem = first([
            shown("genesis", &self.genesis_hash, network.genesis_hash().to_base64()),
            difference("address", self.pool_address.as_str(), address.to_string().as_str()),
        ]);
        tally.row("config", problem);
        Ok(Pool { name: self.pool_name.clone(), leaf: PoolLeaf::new(&address), address, network })
    }
}
