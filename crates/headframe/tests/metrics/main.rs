//! What a whole pool shows at `/metrics`: read by Prometheus' own checker, found in the operators' notes, and enough for
//! the alerts and dashboards that they are given.
//!
//! Needs the Debian package `prometheus`; `cargo xtask test` installs it.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod deaths;
mod deployed;
mod faults;
mod limits;
mod money;
mod nimiq_money;
#[path = "../nimiq_pool/mod.rs"]
mod nimiq_pool;
mod pool;
mod prometheus;
mod role_processes;
#[path = "../sandbox/mod.rs"]
mod sandbox;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pool::Pool;
use sandbox::eventually;

/// A file of the project.
fn project_file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The names of all families in a text for Prometheus, with their types.
fn families(text: &str) -> Vec<(&str, &str)> {
    let typed = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    typed.collect()
}

#[test]
fn what_up_serves_is_clean_and_noted() {
    let (_folder, path) = sandbox::folder();
    let pool = Pool::start(&path);
    pool.until_every_role_has_worked();
    let text = pool.metrics();

    assert_eq!(prometheus::check_metrics(&text), "", "promtool finds fault with:\n{text}");

    let notes = std::fs::read_to_string(project_file("docs/operators/metrics.md")).unwrap();
    let missing: BTreeSet<&str> = families(&text)
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !notes.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "docs/operators/metrics.md does not tell of {missing:?}");

    for (role, stages) in [
        ("master", &["publish", "template_to_client"][..]),
        ("ann_handler", &["receive", "wait", "check", "duplicate", "store", "reply", "deliver"]),
        ("blk_handler", &["receive", "check", "duplicate", "store", "reply", "deliver"]),
        ("pay_maker", &["receive", "check", "duplicate", "store", "reply", "document"]),
        ("nimiq_server", &["receive", "check", "duplicate", "store", "reply", "deliver"]),
        ("nimiq_service", &["round", "store"]),
        ("nimiq_payout", &["round"]),
    ] {
        for stage in stages {
            let seen = pool.sum("headframe_stage_seconds_count", &[("role", role), ("stage", stage)]);
            assert!(seen > 0.0, "{role} has not timed {stage}");
        }
    }
    for (role, method) in [("packetcrypt", "getrawblocktemplate"), ("nimiq", "getBlockTemplate")] {
        let calls = pool.sum("headframe_node_call_seconds_count", &[("name", role), ("method", method)]);
        assert!(calls > 0.0, "{method} is not timed");
    }
}

#[test]
fn names_of_the_reference_have_our_values() {
    let (_folder, path) = sandbox::folder();
    let pool = Pool::start(&path);
    pool.until_every_role_has_worked();
    // The miner goes on, so what is read first is not more.
    let reference = pool.sum("pool_total_share_difficulty", &[("name", "main")]);
    let ours = pool.sum("headframe_nimiq_share_hashes_total", &[("name", "main")]) / 65_536.0;
    assert!(reference > 0.0 && reference <= ours, "{reference} is not {ours}");
    for (alias, labels, own, own_labels) in [
        ("pool_clients", ("client", "nano"), "headframe_nimiq_clients", ("mode", "nano")),
        ("pool_clients", ("client", "smart"), "headframe_nimiq_clients", ("mode", "smart")),
        ("pool_ips_banned", ("name", "main"), "headframe_nimiq_bans_holding", ("name", "main")),
    ] {
        assert!(
            (pool.sum(alias, &[labels]) - pool.sum(own, &[own_labels])).abs() < 0.5,
            "{alias} {labels:?}"
        );
    }
    assert!(pool.sum("chain_head_height", &[("name", "main")]) >= 1.0);
    assert!(pool.sum("headframe_nimiq_template_timestamp_seconds", &[]) > 1e9, "there is a template");
}

#[test]
fn public_figures_are_those_of_the_website() {
    let (_folder, path) = sandbox::folder();
    let pool = Pool::start(&path);
    pool.until_every_role_has_worked();
    for series in [
        [
            "headframe_pool_hashes_per_second{chain=\"packetcrypt\",of=\"blocks\"}",
            "/packetcrypt/block_speed/value",
        ],
        ["headframe_pool_hashes_per_second{chain=\"nimiq\",of=\"blocks\"}", "/nimiq/speed/value"],
        ["headframe_pool_miners{chain=\"packetcrypt\",of=\"blocks\"}", "/packetcrypt/miners/blocks/value"],
        ["headframe_pool_shares{chain=\"nimiq\"}", "/nimiq/shares/value"],
    ] {
        let [series, place] = series;
        // Both are of the moment that they name; a picture lasts two seconds.
        let (shown, told) = eventually(&format!("{series} and {place} of one moment"), || {
            let (text, facts) = (pool.metrics(), pool.json("/api/v1/pool"));
            let value = |name: &str| -> Option<f64> {
                text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.parse().ok()
            };
            let gathered = value("headframe_pool_gathered_timestamp_seconds{}")?;
            let same = (gathered * 1000.0 - facts["gathered_at"].as_f64()?).abs() < 0.5;
            same.then_some((value(series)?, facts.pointer(place)?.as_f64()?))
        });
        assert!((shown - told).abs() <= told.abs() * 1e-9, "{series} is {shown}, the website says {told}");
    }
}
