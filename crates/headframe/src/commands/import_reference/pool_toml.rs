//! `pool.toml` of packetcrypt_rs: its AnnHandlers.

use std::net::SocketAddr;

use anyhow::Context;
use toml::{Table, Value};

use super::draft::{Draft, quoted, quoted_list};

/// The section of ours for an AnnHandler.
const SECTION: &str = "ann_handler";

/// Reads one.
pub fn read(text: &str, draft: &mut Draft) -> anyhow::Result<()> {
    let document: Table = text.parse().context("expected TOML")?;
    for (key, value) in &document {
        match (key.as_str(), value) {
            ("paymaker_http_password", Value::String(password)) => {
                draft.set("pool", "password", quoted(password));
            }
            ("master_url", Value::String(url)) => draft.set("pool", "url", quoted(url.trim_end_matches('/'))),
            ("root_workdir", _) => {
                draft.note(key, "Headframe keeps its data elsewhere and in another form ([pool] data)");
            }
            (SECTION, Value::Table(handlers)) => {
                handlers.iter().for_each(|(name, handler)| read_handler(name, handler, draft));
            }
            _ => draft.note(key, "there is nothing like it"),
        }
    }
    Ok(())
}

fn read_handler(name: &str, handler: &Value, draft: &mut Draft) {
    let table = draft.table(SECTION);
    let ours: String =
        name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    draft.set_in(table, "name", quoted(&ours));
    let Value::Table(keys) = handler else { return };
    for (key, value) in keys {
        let full = format!("{SECTION}.{name}.{key}");
        match (key.as_str(), value) {
            ("block_miner_passwd", Value::String(password)) => {
                draft.set_in(table, "password", quoted(password));
            }
            ("num_workers", Value::Integer(threads)) => draft.set_in(table, "threads", threads.to_string()),
            ("input_queue_len", Value::Integer(posts)) => {
                draft.set_in(table, "queue_posts", posts.to_string());
            }
            ("files_to_keep", Value::Integer(files)) => {
                draft.set_in(table, "files_to_keep", files.to_string());
            }
            ("mss", Value::Integer(bytes)) => draft.set_in(table, "segment_bytes", bytes.to_string()),
            ("public_url", Value::String(url)) => draft.set_in(table, "url", quoted(base(url))),
            ("bind_pub", Value::String(address)) => draft.set_in(table, "listen", quoted(address)),
            ("bind_pvt", Value::String(address)) if !address.is_empty() => {
                draft.set_in(table, "sprayer_listen", quoted(address));
            }
            ("bind_pvt", Value::String(_)) => {}
            ("subscribe_to", Value::Array(others)) => addresses(table, "subscribe_to", &full, others, draft),
            ("spray_at", Value::Array(others)) => addresses(table, "spray_at", &full, others, draft),
            ("skip_check_chance", value) if is_zero(value) => {}
            ("skip_check_chance", _) => {
                draft.note(&full, "the reference checks everything whatever stands there; here it would not (skip_check_chance)");
            }
            ("spray_workers", _) => draft.note(&full, "the feed needs no threads of its own"),
            _ => draft.note(&full, "there is nothing like it"),
        }
    }
}

/// The URL that miners post to has `/submit` at its end; ours has not.
pub(super) fn base(url: &str) -> &str {
    url.trim_end_matches('/').trim_end_matches("/submit")
}

fn is_zero(value: &Value) -> bool {
    value.as_integer() == Some(0) || value.as_float() == Some(0.0)
}

/// Takes those that are addresses: the reference also takes names of hosts.
fn addresses(table: usize, key: &'static str, full: &str, others: &[Value], draft: &mut Draft) {
    let mut taken = Vec::new();
    for other in others {
        match other.as_str().filter(|other| other.parse::<SocketAddr>().is_ok()) {
            Some(address) => taken.push(address),
            None => draft.note(full, &format!("{other} is no IP address with a port")),
        }
    }
    if !taken.is_empty() {
        draft.set_in(table, key, quoted_list(&taken));
    }
}
