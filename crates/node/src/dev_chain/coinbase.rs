//! The coinbase of a template: the height in front, the payees, the steward, the place for the commitment.
//!
//! Source: `docs/protocol/packetcrypt-blocks.md` 7.2, 7.6, 8.1 and 8.4 (BIP 34). It never has a witness, because
//! the dev chain has no other transactions.

use packetcrypt::{Height, block::commitment::PLACEHOLDER};
use wire::var_int;

use super::{
    payouts::Amount,
    rules::{STEWARD_SCRIPT, steward_share, subsidy},
};

/// What pktd writes behind the height when it is not told otherwise.
pub const DEFAULT_TEXT: &str = "/P2SH/pktd/";

/// Units that a template has for the payees: the subsidy without the steward's share.
pub fn coins_for_payees(height: Height) -> u64 {
    subsidy(height) - steward_share(subsidy(height))
}

/// The coinbase of a block at `height`, in the form without witness, with these payees in this order.
///
/// `commitment_script` is [`PLACEHOLDER`] in a template.
pub fn build(
    height: Height,
    extra_nonce: u8,
    text: &str,
    payees: &[Amount],
    commitment_script: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![1, 0, 0, 0, 1];
    bytes.extend([0; 32]);
    bytes.extend([0xff; 4]);
    var_int::write_prefixed(&mut bytes, &input_script(height, extra_nonce, text));
    bytes.extend([0xff; 4]);
    var_int::write(&mut bytes, payees.len() as u64 + 2);
    for Amount { script, units } in payees {
        push_output(&mut bytes, *units, script);
    }
    push_output(&mut bytes, steward_share(subsidy(height)), &STEWARD_SCRIPT);
    push_output(&mut bytes, 0, commitment_script);
    bytes.extend([0; 4]);
    bytes
}

/// The coinbase of a template.
pub fn template(height: Height, payees: &[Amount]) -> Vec<u8> {
    build(height, 0, DEFAULT_TEXT, payees, &PLACEHOLDER)
}

/// The input script: the height, the extra nonce, the text.
fn input_script(height: Height, extra_nonce: u8, text: &str) -> Vec<u8> {
    let mut script = pushed_number(i64::from(height.0));
    script.extend(pushed_number(i64::from(extra_nonce)));
    let text: Vec<u8> = text.bytes().take(75).collect();
    script.push(text.len() as u8);
    script.extend(text);
    script
}

/// A number as scripts push it: one opcode for 0 to 16, else a length and the minimal little-endian bytes.
fn pushed_number(number: i64) -> Vec<u8> {
    match number {
        0 => vec![0],
        1..=16 => vec![0x50 + number as u8],
        _ => {
            let mut bytes = number.to_le_bytes().to_vec();
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
            if bytes.last().is_some_and(|last| last & 0x80 != 0) {
                bytes.push(0);
            }
            bytes.insert(0, bytes.len() as u8);
            bytes
        }
    }
}

/// The height that a coinbase's input script declares, as pktd reads it: little-endian bytes of a signed 64-bit
/// number behind a length, or one opcode for 0 to 16; what does not fit is cut off. `None` if there is none.
pub fn declared_height(script: &[u8]) -> Option<i64> {
    let (first, rest) = script.split_first()?;
    match first {
        0 => Some(0),
        0x51..=0x60 => Some(i64::from(first - 0x50)),
        0x01..=0x4b => {
            let pushed = rest.get(..usize::from(*first))?;
            let mut bytes = [0; 8];
            bytes.iter_mut().zip(pushed).for_each(|(to, from)| *to = *from);
            Some(i64::from_le_bytes(bytes))
        }
        _ => None,
    }
}

fn push_output(bytes: &mut Vec<u8>, units: u64, script: &[u8]) {
    bytes.extend(units.to_le_bytes());
    var_int::write_prefixed(bytes, script);
}

#[cfg(test)]
mod tests {
    use packetcrypt::block::transaction::Transaction;
    use serde_json::Value;

    use super::*;

    fn vectors(key: &str) -> Vec<Value> {
        let file = include_str!("../../../../vectors/blocks/chain.json");
        let file: Value = serde_json::from_str(file).unwrap();
        file[key].as_array().unwrap().clone()
    }

    #[test]
    fn input_scripts_are_those_of_the_vectors() {
        let rows = vectors("coinbase_script_height_script");
        for row in &rows {
            let height = Height(row[0].to_string().parse().unwrap());
            assert_eq!(hex::encode(input_script(height, 0, DEFAULT_TEXT)), row[1].as_str().unwrap());
        }
        assert!(rows.len() > 20);
    }

    #[test]
    fn declared_heights_are_those_of_the_vectors() {
        let rows = vectors("coinbase_height_parse_script_height_or_null");
        for row in &rows {
            let script = hex::decode(row[0].as_str().unwrap()).unwrap();
            assert_eq!(declared_height(&script), row[1].as_i64(), "{row}");
        }
        assert!(rows.len() > 15);
    }

    #[test]
    fn a_template_for_the_default_payee_is_the_recorded_one() {
        let recording = include_str!("../../../../vectors/pktd-rpc/genesis_getrawblocktemplate.json");
        let recording: Value = serde_json::from_str(recording).unwrap();
        let body: Value = serde_json::from_str(recording["response_body"].as_str().unwrap()).unwrap();
        let payee = Amount { script: STEWARD_SCRIPT.to_vec(), units: coins_for_payees(Height(1)) };
        let coinbase = hex::encode(template(Height(1), &[payee]));
        assert_eq!(coinbase, body["result"]["coinbase_no_witness"].as_str().unwrap());
    }

    #[test]
    fn hundreds_of_payees_make_a_readable_coinbase() {
        let payee = Amount { script: STEWARD_SCRIPT.to_vec(), units: 1 };
        let bytes = template(Height(5), &vec![payee; 300]);
        assert_eq!(Transaction::from_bytes(&bytes).unwrap().outputs.len(), 302);
    }
}
