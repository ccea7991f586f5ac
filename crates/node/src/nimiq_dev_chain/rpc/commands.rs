//! The dev chain's own commands: blocks, and misbehaviour.

use std::time::Duration;

use nimiq::{Address, BlockHash, ExtraData};
use serde_json::{Value, json};

use super::Refusal;
use super::params::Params;
use crate::nimiq_dev_chain::commanded::CommandFault;
use crate::nimiq_dev_chain::{Change, NimiqDevChain};

/// What their names begin with.
pub const PREFIX: &str = "devchain_";

impl NimiqDevChain {
    pub(super) fn command(&self, method: &str, params: &Params) -> Result<Value, Refusal> {
        match method {
            "devchain_mine" => {
                let mined = self.mine(params.address(0)?, &ExtraData::default());
                mined.map(|hash| json!(hash.to_string())).map_err(|fault| refusal(&fault))
            }
            "devchain_extend" => make(params, |miner, count| self.extend(miner, count)),
            "devchain_reorganise" => make(params, |miner, depth| self.reorganise(miner, depth)),
            "devchain_stall" => order(params, |time| self.faults().stall(time)),
            "devchain_slow" => order(params, |time| self.faults().slow(time)),
            "devchain_refuse" => order(params, |time| self.faults().refuse(time)),
            "devchain_lose" => {
                self.faults().lose(number(params, 0, "calls")?);
                Ok(json!(true))
            }
            "devchain_consensus" => {
                self.set_consensus(params.flag(0));
                Ok(json!(true))
            }
            "devchain_behave" => {
                self.faults().end();
                self.set_consensus(true);
                Ok(json!(true))
            }
            _ => Err(Refusal { code: Refusal::NOT_FOUND, message: "Method not found".to_owned() }),
        }
    }
}

fn order(params: &Params, order: impl FnOnce(Duration)) -> Result<Value, Refusal> {
    order(Duration::from_millis(u64::from(number(params, 0, "milliseconds")?)));
    Ok(json!(true))
}

fn make(
    params: &Params,
    make: impl FnOnce(Address, u32) -> Result<Change, CommandFault>,
) -> Result<Value, Refusal> {
    let change = make(params.address(0)?, number(params, 1, "blocks")?).map_err(|fault| refusal(&fault))?;
    let texts = |hashes: &[BlockHash]| hashes.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(json!({"abandoned": texts(&change.abandoned), "adopted": texts(&change.adopted)}))
}

fn number(params: &Params, index: usize, name: &str) -> Result<u32, Refusal> {
    params.u32(index).ok_or_else(|| Refusal::exception(format!("parameter {index} is the number of {name}")))
}

fn refusal(fault: &CommandFault) -> Refusal {
    Refusal::exception(fault.to_string())
}
