//! Hash functions and CryptoCycle states.

use anyhow::bail;
use packetcrypt::crypto_cycle::State;
use packetcrypt::hash::{blake2b_256, blake2b_512, expand};
use packetcrypt::item::{ITEM_SIZE, Workshop, update_version_0};
use serde_json::Value;

use super::{Row, expanded};

pub(super) fn hash(row: &Row) -> anyhow::Result<()> {
    match row.text("kind")? {
        "blake2b" => {
            let message = row.bytes("msg")?;
            row.same_bytes("h64", &blake2b_512(&[&message]))?;
            row.same_bytes("h32", &blake2b_256(&message))
        }
        kind @ ("expand" | "expand_digest") => {
            let mut out = vec![0; usize::try_from(row.number("len")?)?];
            expand(&row.array("seed")?, u32::try_from(row.number("num")?)?, &mut out);
            if kind == "expand" {
                return row.same_bytes("out", &out);
            }
            row.same_bytes("tail", &out[out.len().saturating_sub(16)..])?;
            row.same_digest("out_blake2b256", &out)
        }
        kind => bail!("unknown kind {kind:?}"),
    }
}

pub(super) fn crypto_cycle(row: &Row) -> anyhow::Result<()> {
    match row.text("kind")? {
        "init" => check_state(row, &State::init(&row.array("seed")?, row.text("nonce")?.parse()?)),
        "crypt" => {
            let mut state = State::from(row.expanded("state_seed", "state_num")?);
            let control = u32::try_from(row.hex_number("header_word")?)?;
            state.as_bytes_mut()[12..16].copy_from_slice(&control.to_le_bytes());
            state.crypt();
            check_control_word(row, &state)?;
            check_state(row, &state)
        }
        "make_fuzzable" => {
            let mut state = State::from(row.expanded("state_seed", "state_num")?);
            state.make_fuzzable();
            check_control_word(row, &state)
        }
        "update" => {
            let mut state = initial_state(row)?;
            state.update(&row.expanded("item_seed", "item_num")?);
            check_control_word(row, &state)?;
            row.same("out_item_no", state.item_number().to_string())?;
            check_state(row, &state)
        }
        "update_v0" => {
            let mut state = initial_state(row)?;
            let item = row.expanded("item_seed", "item_num")?;
            update_version_0(&mut state, &item, &mut Workshop::new())?;
            check_state(row, &state)
        }
        "sequence" => sequence(row),
        kind => bail!("unknown kind {kind:?}"),
    }
}

fn sequence(row: &Row) -> anyhow::Result<()> {
    let mut state = State::init(&row.array("seed")?, row.text("nonce")?.parse()?);
    let mut item_numbers = Vec::new();
    for (seed, number) in row.list("item_seeds")?.iter().zip(row.list("item_nums")?) {
        let mut bytes = [0; 32];
        hex::decode_to_slice(seed.as_str().unwrap_or_default(), &mut bytes)?;
        let item: [u8; ITEM_SIZE] = expanded(&bytes, number.as_u64().unwrap_or_default())?;
        item_numbers.push(Value::from(state.item_number().to_string()));
        state.update(&item);
    }
    row.same("item_no_before_update", item_numbers)?;
    if row.flag("smul")? {
        state.multiply_scalars();
    }
    row.same_bytes("hash", &state.finish().0)?;
    row.same_digest("out_blake2b256", state.as_bytes())
}

fn initial_state(row: &Row) -> anyhow::Result<State> {
    Ok(State::init(&row.array("init_seed")?, row.text("init_nonce")?.parse()?))
}

fn check_control_word(row: &Row, state: &State) -> anyhow::Result<()> {
    row.same("out_header_word", format!("{:08x}", state.control_word()))
}

fn check_state(row: &Row, state: &State) -> anyhow::Result<()> {
    row.same_bytes("out_head", &state.as_bytes()[..64])?;
    if row.has("out") {
        row.same_bytes("out", state.as_bytes())?;
    }
    row.same_digest("out_blake2b256", state.as_bytes())
}
