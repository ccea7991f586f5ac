//! Recorded calls of the chain node: `pktd-rpc/*.json`, one HTTP exchange each, and `node_rpc.json`, one exchange of
//! each method that a pool uses.
//!
//! Every exchange is looked at twice. The pool's client must read the node's reply as what it means. And the dev
//! chain, asked the same, must answer alike: with the same result on a fresh chain, the same code and text where it
//! refuses, the same members of the same types otherwise. Where the answer depends on a chain that the dev chain
//! does not have (most shares and blocks), only the first half applies.

mod client;
mod dev_chain;

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use super::Tally;

/// One HTTP exchange.
#[derive(Deserialize)]
struct Exchange {
    name: String,
    http_method: String,
    http_status: u16,
    request_body: String,
    response_body: String,
}

/// Runs one file of this family; `None` for files of others.
pub fn check(path: &Path) -> Option<anyhow::Result<Tally>> {
    let (folder, name) = (path.parent()?.file_name()?.to_str()?, path.file_name()?.to_str()?);
    match (folder, name) {
        (_, "node_rpc.json") => Some(run_methods(path)),
        ("pktd-rpc", _) if path.extension()? == "json" => Some(run_exchange(path)),
        _ => None,
    }
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

fn run_exchange(path: &Path) -> anyhow::Result<Tally> {
    let exchange: Exchange =
        serde_json::from_value(read(path)?).with_context(|| path.display().to_string())?;
    let mut tally = Tally::default();
    run(&exchange, &mut tally)?;
    Ok(tally)
}

/// `{method: {"request": …, "response": …}}`, all with status 200.
fn run_methods(path: &Path) -> anyhow::Result<Tally> {
    let methods = read(path)?;
    let methods = methods.as_object().context("expected an object of methods")?;
    let mut tally = Tally::default();
    for (name, case) in methods {
        let exchange = Exchange {
            name: name.clone(),
            http_method: "POST".to_owned(),
            http_status: 200,
            request_body: case["request"].to_string(),
            response_body: case["response"].to_string(),
        };
        run(&exchange, &mut tally)?;
    }
    Ok(tally)
}

fn run(exchange: &Exchange, tally: &mut Tally) -> anyhow::Result<()> {
    tally.row("as the client reads it", client::problem(exchange));
    if let Some(problem) = dev_chain::problem(exchange)? {
        tally.row("as the dev chain answers it", problem.because());
    }
    Ok(())
}
