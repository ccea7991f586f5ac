//! `pool.js` of PacketCrypt: Master, BlkHandlers and PayMaker. It is a program; the values that it writes out are read.

use super::draft::{Draft, quoted, quoted_list};
use super::literal::Literal;
use super::pool_toml::base;

/// What the reference calls the easiest target of a work number.
const WORK_TO_TARGET: &str = "annWorkToTarget";
const NOTHING_LIKE_IT: &str = "there is nothing like it";

/// Reads one.
pub fn read(text: &str, draft: &mut Draft) -> anyhow::Result<()> {
    let mut root = Literal::Null;
    for (path, value) in Literal::assignments(text)? {
        match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["config"] | ["module", "exports"] if matches!(value, Literal::Object(_)) => root.set(&[], value),
            ["config", ..] => root.set(&path[1..], value),
            _ => {}
        }
    }
    let Literal::Object(entries) = &root else { anyhow::bail!("it assigns nothing to `config`") };
    for (key, value) in entries {
        match (key.as_str(), value) {
            (_, Literal::Null) => {}
            ("privateSeed", Literal::Text(seed)) => draft.set("pool", "private_seed", quoted(seed)),
            ("paymakerHttpPasswd", Literal::Text(password)) => {
                draft.set("pool", "password", quoted(password));
            }
            ("masterUrl", Literal::Text(url)) => draft.set("pool", "url", quoted(url.trim_end_matches('/'))),
            ("rpc", Literal::Object(_)) => read_node(value, draft),
            ("annHandlers", Literal::List(handlers)) => read_ann_handlers(handlers, draft),
            ("blkHandlers", Literal::List(handlers)) => read_blk_handlers(handlers, draft),
            ("master", Literal::Object(keys)) => read_master(keys, draft),
            ("payMaker", Literal::Object(keys)) => read_pay_maker(keys, draft),
            ("rootWorkdir" | "checkannsPath", _) => {
                draft.note(key, "Headframe keeps its data elsewhere and in another form ([pool] data)");
            }
            ("tracker", _) => {
                draft.note(key, "a caching proxy in front of the Master does this (deploy/nginx.conf)");
            }
            _ => other(key, value, draft),
        }
    }
    Ok(())
}

fn other(key: &str, value: &Literal, draft: &mut Draft) {
    match value {
        Literal::Code(code) if code == "config" => {}
        Literal::Code(_) | Literal::Call { .. } => {
            draft.note(key, "is worked out by the program; set it by hand");
        }
        _ => draft.note(key, NOTHING_LIKE_IT),
    }
}

fn read_node(rpc: &Literal, draft: &mut Draft) {
    let text = |key: &str| match rpc.get(key) {
        Some(Literal::Text(text) | Literal::Number(text)) => Some(text.as_str()),
        _ => None,
    };
    let (protocol, host) = (text("protocol").unwrap_or("https"), text("host").unwrap_or("127.0.0.1"));
    let node = draft.table("node");
    draft.set_in(node, "url", quoted(&format!("{protocol}://{host}:{}", text("port").unwrap_or("64765"))));
    for (theirs, ours) in [("user", "user"), ("pass", "password")] {
        if let Some(value) = text(theirs) {
            draft.set_in(node, ours, quoted(value));
        }
    }
    if protocol == "https" && rpc.get("rejectUnauthorized") == Some(&Literal::Flag(false)) {
        draft.note("rpc.rejectUnauthorized", "a node is never believed unseen: name its certificate ([[node]] certificate), or use http on loopback");
    }
}

/// The order decides which handler an announcement belongs to, so the list is written out.
fn read_ann_handlers(handlers: &[Literal], draft: &mut Draft) {
    let mut urls = Vec::new();
    for (index, handler) in handlers.iter().enumerate() {
        let Some(Literal::Text(url)) = handler.get("url") else {
            draft.note(&format!("annHandlers[{index}]"), "has no url");
            continue;
        };
        let url = base(url).to_owned();
        let known = draft.tables_of("ann_handler");
        if !known.into_iter().any(|table| draft.value(table, "url") == Some(&quoted(&url))) {
            let table = draft.table("ann_handler");
            draft.set_in(table, "name", quoted(&format!("ann{index}")));
            draft.set_in(table, "url", quoted(&url));
            listen(handler, |value| draft.set_in(table, "listen", value));
        }
        urls.push(url);
    }
    draft.set("master", "announcement_urls", quoted_list(&urls));
}

fn read_blk_handlers(handlers: &[Literal], draft: &mut Draft) {
    for (index, handler) in handlers.iter().enumerate() {
        let table = draft.table("blk_handler");
        draft.set_in(table, "name", quoted(&format!("blk{index}")));
        if let Some(Literal::Text(url)) = handler.get("url") {
            draft.set_in(table, "url", quoted(base(url)));
        }
        listen(handler, |value| draft.set_in(table, "listen", value));
        if let Some(Literal::Number(requests)) = handler.get("maxConnections") {
            draft.set_in(table, "requests", requests.clone());
        }
    }
}

/// Host and port; without a host the reference listens everywhere.
fn listen(role: &Literal, set: impl FnOnce(String)) {
    let Some(Literal::Number(port)) = role.get("port") else { return };
    let host = match role.get("host") {
        Some(Literal::Text(host)) if host.contains(':') => format!("[{host}]"),
        Some(Literal::Text(host)) if host == "localhost" => "127.0.0.1".to_owned(),
        Some(Literal::Text(host)) => host.clone(),
        _ => "0.0.0.0".to_owned(),
    };
    set(quoted(&format!("{host}:{port}")));
}

fn read_master(keys: &[(String, Literal)], draft: &mut Draft) {
    listen(&Literal::Object(keys.to_vec()), |value| draft.set("master", "listen", value));
    for (key, value) in keys {
        match (key.as_str(), value) {
            ("port" | "host", _) | (_, Literal::Null) => {}
            ("annMinWork", Literal::Call { function, arguments }) if function.ends_with(WORK_TO_TARGET) => {
                match arguments.first() {
                    Some(Literal::Number(work)) => draft.set("master", "announcement_work", work.clone()),
                    _ => draft.note(
                        "master.annMinWork",
                        "is worked out by the program; set announcement_work by hand",
                    ),
                }
            }
            ("annMinWork", Literal::Number(target)) => {
                draft.set("master", "announcement_target", target.clone());
            }
            ("shareWorkDivisor", Literal::Number(divisor)) => {
                draft.set("master", "share_divisor", divisor.clone());
            }
            ("mineOldAnns", Literal::Number(blocks)) => draft.set("master", "mine_old_anns", blocks.clone()),
            ("annVersions", Literal::List(versions)) if versions[..] == [Literal::Number("1".to_owned())] => {
            }
            ("shareMinWork", _) => {
                draft.note("master.shareMinWork", "a share is always a part of a block (share_divisor)");
            }
            _ => other(&format!("master.{key}"), value, draft),
        }
    }
}

fn read_pay_maker(keys: &[(String, Literal)], draft: &mut Draft) {
    const SECTION: &str = "pay_maker";
    listen(&Literal::Object(keys.to_vec()), |value| draft.set(SECTION, "listen", value));
    for (key, value) in keys {
        let ours = match key.as_str() {
            "updateCycle" => "update_cycle",
            "historyDepth" => "history",
            "blockPayoutFraction" => "block_payout_fraction",
            "poolFee" => "pool_fee",
            "pplnsAnnConstantX" => "announcement_window",
            "pplnsBlkConstantX" => "block_window",
            "poolFeeAddress" => "pool_fee_address",
            "defaultAddress" => "default_address",
            "errorAddress" => "error_address",
            _ => "",
        };
        match (key.as_str(), value) {
            ("port" | "host", _) | (_, Literal::Null) => {}
            ("url", Literal::Text(url)) => draft.set(SECTION, "url", quoted(url.trim_end_matches('/'))),
            ("annCompressor", Literal::Object(_)) => read_slots(value, draft),
            ("updateHook", _) => {
                draft.note("payMaker.updateHook", "make it a program of its own (update_hook)");
            }
            ("maxConnections", _) => draft.note(
                "payMaker.maxConnections",
                "what is open at once is limited for the whole process ([http] connections)",
            ),
            (_, Literal::Number(number)) if !ours.is_empty() => draft.set(SECTION, ours, number.clone()),
            (_, Literal::Text(address)) if !ours.is_empty() => draft.set(SECTION, ours, quoted(address)),
            _ => other(&format!("payMaker.{key}"), value, draft),
        }
    }
}

fn read_slots(compressor: &Literal, draft: &mut Draft) {
    if let Some(Literal::Number(millis)) = compressor.get("timespanMs") {
        match millis.parse::<u64>() {
            Ok(millis) if millis % 1000 == 0 => draft.set("pay_maker", "slot", (millis / 1000).to_string()),
            _ => draft.note("payMaker.annCompressor.timespanMs", "is no whole number of seconds"),
        }
    }
    if let Some(Literal::Number(slots)) = compressor.get("slotsToKeepEvents") {
        draft.set("pay_maker", "slots_to_keep_events", slots.clone());
    }
}
