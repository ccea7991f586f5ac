//! The dev chain's own commands: blocks without work, and misbehaviour.

use std::time::Duration;

use serde_json::{Value, json};

use super::{params::Params, refusal::Refusal};
use crate::{
    dev_chain::{DevChain, chain::Change, commanded::CommandFault},
    failover::Tip,
};

/// What their names begin with.
pub const PREFIX: &str = "devchain_";

impl DevChain {
    pub(super) fn command(&self, method: &str, params: &Params) -> Result<Value, Refusal> {
        match method {
            "devchain_extend" => {
                params.count(0, 1)?;
                let count = if params.get(0).is_some() { params.u32(0, "count")? } else { 1 };
                changed(self.extend(count))
            }
            "devchain_reorganise" => {
                params.count(1, 1)?;
                changed(self.reorganise(params.u32(0, "depth")?))
            }
            "devchain_stall" => ordered(params, |time| self.faults().stall(time)),
            "devchain_slow" => ordered(params, |time| self.faults().slow(time)),
            "devchain_refuse" => ordered(params, |time| self.faults().refuse(time)),
            "devchain_lose" => {
                params.count(1, 1)?;
                self.faults().lose(params.u32(0, "calls")?);
                Ok(Value::Null)
            }
            "devchain_behave" => {
                params.none()?;
                self.faults().end();
                Ok(Value::Null)
            }
            _ => Err(Refusal::method_not_found()),
        }
    }
}

fn ordered(params: &Params, order: impl FnOnce(Duration)) -> Result<Value, Refusal> {
    params.count(1, 1)?;
    order(Duration::from_millis(u64::from(params.u32(0, "milliseconds")?)));
    Ok(Value::Null)
}

fn changed(change: Result<Change, CommandFault>) -> Result<Value, Refusal> {
    let change = change.map_err(|fault| Refusal::untyped(fault.to_string()))?;
    let hashes = |tips: &[Tip]| tips.iter().map(|tip| tip.hash.to_string()).collect::<Vec<_>>();
    Ok(json!({"disconnected": hashes(&change.disconnected), "connected": hashes(&change.connected)}))
}
