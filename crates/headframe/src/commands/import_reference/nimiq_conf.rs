//! The `.conf` files of the Nimiq pool, which are JSON5: one for each of server, service and payout, with the same keys.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nimiq::Address;

use super::draft::{Draft, quoted, quoted_list};
use super::literal::Literal;

const SERVER: &str = "nimiq_server";
const SERVICE: &str = "nimiq_service";
const PAYOUT: &str = "nimiq_payout";

/// Reads one.
pub fn read(text: &str, draft: &mut Draft) -> anyhow::Result<()> {
    let root = Literal::parse(text)?;
    let Literal::Object(sections) = &root else { anyhow::bail!("expected an object in braces") };
    if draft.tables_of(SERVER).is_empty() {
        draft.set(SERVER, "name", quoted("main"));
    }
    for (section, value) in sections {
        let keys = match value {
            Literal::Object(keys) => keys.as_slice(),
            _ => &[],
        };
        match section.as_str() {
            "pool" => keys.iter().for_each(|(key, value)| read_pool(key, value, draft)),
            "poolServer" => keys.iter().for_each(|(key, value)| read_server(key, value, draft)),
            "poolPayout" => keys.iter().for_each(|(key, value)| read_payout(key, value, draft)),
            "poolService" | "poolValidate" => {
                for (key, value) in keys {
                    read_database(section, key, value, draft);
                }
            }
            "reverseProxy" => read_proxy(value, draft),
            "rpcServer" => read_node(value, draft),
            "network" => read_network(value, draft),
            "wallet" if value.get("seed").is_some_and(|seed| *seed != Literal::Null) => {
                draft.note(
                    "wallet.seed",
                    "put it into a file of mode 0600, and name that ([nimiq_payout] key_file)",
                );
            }
            "poolMetricsServer" => {
                draft.note(section, "every process serves /metrics ([[nimiq_server]] metrics_listen)");
            }
            _ => draft.note(
                section,
                "is of the node within the reference; Headframe asks a node of its own ([[nimiq_node]])",
            ),
        }
    }
    if draft.tables_of("nimiq_node").is_empty() {
        draft.set("nimiq_node", "url", quoted("http://127.0.0.1:8648"));
        draft.note("rpcServer", "a node of its own is needed, with --rpc; its usual address was taken");
    }
    Ok(())
}

fn read_pool(key: &str, value: &Literal, draft: &mut Draft) {
    let full = format!("pool.{key}");
    match (key, value) {
        ("name", Literal::Text(name)) => draft.set("nimiq", "name", quoted(name)),
        ("address", Literal::Text(address)) => draft.set("nimiq", "address", quoted(address)),
        ("payoutConfirmations", Literal::Number(blocks)) => {
            draft.set(SERVICE, "confirmations", blocks.clone());
        }
        ("poolFee", Literal::Number(fee)) => draft.set(SERVICE, "pool_fee", fee.clone()),
        ("pplnsShares", Literal::Number(shares)) => {
            draft.set(SERVICE, "window", quoted(&format!("last {shares} shares")));
        }
        ("pplnsBlocks", Literal::Number(blocks)) => {
            draft.set(SERVICE, "window", quoted(&format!("last {blocks} times the block's work")));
        }
        ("autoPayOutLimit", Literal::Number(luna)) => match luna.parse::<u64>() {
            Ok(luna) => draft.set(PAYOUT, "automatic_above", nim(luna)),
            Err(_) => draft.note(&full, "is no whole number of luna"),
        },
        ("networkFee", Literal::Number(luna)) => draft.set(PAYOUT, "fee_per_byte", luna.clone()),
        ("startDifficulty", Literal::Number(difficulty)) => {
            draft.set(SERVER, "start_difficulty", difficulty.clone());
        }
        ("minDifficulty", Literal::Number(difficulty)) => {
            draft.set(SERVER, "least_difficulty", difficulty.clone());
        }
        ("desiredSps", Literal::Number(shares)) => draft.set(SERVER, "shares_per_second", shares.clone()),
        ("allowedErrors", Literal::Number(errors)) => draft.set(SERVER, "allowed_errors", errors.clone()),
        ("maxConnPerIP", Literal::Number(most)) => draft.set(SERVER, "connections_per_address", most.clone()),
        ("maxConnInTimePerIP", Literal::Number(most)) => {
            draft.set(SERVER, "new_connections_per_address", most.clone());
        }
        ("connectionTimeout", Literal::Number(millis)) => match millis.parse::<u64>() {
            Ok(millis) => draft.set(SERVER, "silent_for", (millis / 1000).to_string()),
            Err(_) => draft.note(&full, "is no whole number of milliseconds"),
        },
        ("banned", Literal::List(banned)) => read_banned(banned, draft),
        ("databaseRetentionBlocks", _) => {
            draft.note(&full, "shares are kept by number and age ([nimiq_service] keep_shares)");
        }
        ("spsTimeUnit" | "flushSharesInterval" | "maxConnTimeUnit", _) => {
            draft.note(&full, "is not to be set here");
        }
        _ => draft.note(&full, "there is nothing like it"),
    }
}

/// Luna in NIM, to the last digit.
fn nim(luna: u64) -> String {
    let text = format!("{}.{:05}", luna / 100_000, luna % 100_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Addresses of hosts as they are; payout addresses are 20 bytes in base64.
fn read_banned(banned: &[Literal], draft: &mut Draft) {
    let mut taken = Vec::new();
    for entry in banned {
        let Literal::Text(text) = entry else { continue };
        let payee = || Some(Address(STANDARD.decode(text).ok()?.try_into().ok()?).to_string());
        let host = text.parse::<IpAddr>().ok().map(|host| host.to_canonical().to_string());
        match host.or_else(payee) {
            Some(known) => taken.push(known),
            None => draft.note("pool.banned", &format!("{text:?} is no address")),
        }
    }
    draft.set(SERVER, "banned", quoted_list(&taken));
}

fn read_server(key: &str, value: &Literal, draft: &mut Draft) {
    match (key, value) {
        ("port", Literal::Number(port)) => draft.set(SERVER, "listen", quoted(&format!("0.0.0.0:{port}"))),
        ("sslCertPath", Literal::Text(path)) => draft.set(SERVER, "certificate", quoted(path)),
        ("sslKeyPath", Literal::Text(path)) => draft.set(SERVER, "key", quoted(path)),
        _ => read_database("poolServer", key, value, draft),
    }
}

fn read_payout(key: &str, value: &Literal, draft: &mut Draft) {
    match (key, value) {
        ("ownerPayoutAddress", Literal::Text(address)) => draft.set(PAYOUT, "owner_address", quoted(address)),
        _ => read_database("poolPayout", key, value, draft),
    }
}

/// What is left of a role's section: whether it runs, which units or `up` decide here, and its database.
fn read_database(section: &str, key: &str, value: &Literal, draft: &mut Draft) {
    match (key, value) {
        ("enabled", _) | (_, Literal::Null) => {}
        ("mySqlHost" | "mySqlPsw", _) => draft.note(
            &format!("{section}.{key}"),
            "the accounts are in another database ([nimiq] accounts): pay all balances out with the reference first",
        ),
        _ => draft.note(&format!("{section}.{key}"), "there is nothing like it"),
    }
}

fn read_proxy(proxy: &Literal, draft: &mut Draft) {
    if proxy.get("enabled") != Some(&Literal::Flag(true)) {
        return;
    }
    let mut proxies = Vec::new();
    let listed = match proxy.get("addresses") {
        Some(Literal::List(addresses)) => addresses.iter().collect(),
        _ => Vec::from_iter(proxy.get("address")),
    };
    for address in listed {
        let Literal::Text(text) = address else { continue };
        match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) => proxies.push(format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })),
            Err(_) => draft.note("reverseProxy.address", &format!("{text:?} is no IP address")),
        }
    }
    draft.set(SERVER, "trusted_proxies", quoted_list(&proxies));
}

fn read_node(rpc: &Literal, draft: &mut Draft) {
    let text = |key: &str| match rpc.get(key) {
        Some(Literal::Text(text) | Literal::Number(text)) => Some(text.as_str()),
        _ => None,
    };
    let port = text("port").unwrap_or("8648");
    draft.set("nimiq_node", "url", quoted(&format!("http://127.0.0.1:{port}")));
    for (theirs, ours) in [("username", "user"), ("password", "password")] {
        if let Some(value) = text(theirs) {
            draft.set("nimiq_node", ours, quoted(value));
        }
    }
}

fn read_network(network: &Literal, draft: &mut Draft) {
    match network {
        Literal::Text(network) if ["main", "test", "dev"].contains(&network.as_str()) => {
            draft.set("nimiq", "network", quoted(network));
        }
        _ => draft.note("network", "is none of main, test and dev"),
    }
}
