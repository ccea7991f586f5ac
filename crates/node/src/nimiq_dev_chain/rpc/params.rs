//! The parameters of a call, and the node's complaints about them.

use nimiq::{Address, BlockHash, ExtraData, Height, TransactionHash};
use serde_json::Value;

use super::Refusal;

/// The parameters of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Params(Vec<Value>);

impl Params {
    /// From the member `params`: a list, or a single value.
    pub fn new(params: Option<Value>) -> Self {
        Self(match params {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(params)) => params,
            Some(single) => vec![single],
        })
    }

    /// The parameter at `index`, unless it was left out.
    pub fn get(&self, index: usize) -> Option<&Value> {
        self.0.get(index)
    }

    /// A text; empty if it is none.
    pub fn text(&self, index: usize) -> &str {
        self.get(index).and_then(Value::as_str).unwrap_or_default()
    }

    /// A truth value; `false` if it is none.
    pub fn flag(&self, index: usize) -> bool {
        self.get(index) == Some(&Value::Bool(true))
    }

    /// A number from 0 to 2^32 − 1, written as such or as text.
    pub fn u32(&self, index: usize) -> Option<u32> {
        let value = self.get(index)?;
        value.as_u64().and_then(|number| u32::try_from(number).ok()).or_else(|| value.as_str()?.parse().ok())
    }

    /// An address in any of its forms.
    pub fn address(&self, index: usize) -> Result<Address, Refusal> {
        Address::parse_any(self.text(index)).map_err(|_| Refusal::exception("Invalid address format"))
    }

    /// Whom a template pays and what it says; where one cannot be read, the node's own, which here is nobody's.
    pub fn miner(&self) -> (Address, ExtraData) {
        let address = Address::parse_any(self.text(0)).unwrap_or(Address([0; 20]));
        let extra_data = hex::decode(self.text(1)).ok().and_then(ExtraData::new);
        (address, extra_data.unwrap_or_default())
    }

    /// A block's hash.
    pub fn block_hash(&self, index: usize) -> Result<BlockHash, Refusal> {
        let read =
            BlockHash::from_hex(self.text(index)).or_else(|_| BlockHash::from_base64(self.text(index)));
        read.map_err(|fault| Refusal::exception(fault.to_string()))
    }

    /// A transaction's hash.
    pub fn transaction_hash(&self, index: usize) -> Result<TransactionHash, Refusal> {
        let text = self.text(index);
        let read = TransactionHash::from_hex(text).or_else(|_| TransactionHash::from_base64(text));
        read.map_err(|fault| Refusal::exception(fault.to_string()))
    }

    /// A height: a number, `latest`, or `latest-k`. 0 is taken as 1.
    pub fn height(&self, index: usize, head: Height) -> Result<Height, Refusal> {
        let text = self.text(index);
        let height = match text.strip_prefix("latest") {
            Some("") => Some(head.0),
            Some(back) => {
                back.strip_prefix('-').and_then(|k| k.parse().ok()).and_then(|k| head.0.checked_sub(k))
            }
            None => self.u32(index),
        };
        let height = height.map(|height| height.max(Height::GENESIS.0)).filter(|height| *height <= head.0);
        height.map(Height).ok_or_else(|| Refusal::exception("Invalid height"))
    }

    /// Bytes in hexadecimal digits.
    pub fn bytes(&self, index: usize) -> Option<Vec<u8>> {
        hex::decode(self.text(index)).ok()
    }
}
