//! The reference programs (announcement miner and handler) in a pool of ours, both ways.
//!
//! They run where `PACKETCRYPT_PROGRAM` names the program, as `cargo xtask test` does after installing it;
//! elsewhere these tests say that they were skipped.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;

use std::path::{Path, PathBuf};

use sandbox::{Http, Program, eventually, folder, free_ports, within};
use serde_json::{Value, json};
use wire::pkt_address::ChainAddress;

/// The reference handler uploads its events after one to two minutes.
const UPLOAD_PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);

fn reference_program(test: &str) -> Option<PathBuf> {
    let program = std::env::var_os("PACKETCRYPT_PROGRAM").map(PathBuf::from);
    if program.is_none() {
        println!("SKIPPED {test}: PACKETCRYPT_PROGRAM names no program (cargo xtask test installs it)");
    }
    program
}

fn address(number: u8) -> String {
    ChainAddress::WitnessPublicKeyHash([number; 20]).to_string()
}

/// A pool without miners on a dev chain of a few blocks.
struct Pool {
    _program: Program,
    http: Http,
    base: String,
    node: String,
}

impl Pool {
    fn start(data: &Path, more: &[&str]) -> Self {
        let data = data.to_str().unwrap();
        let mut arguments =
            vec!["up", "--data", data, "--listen", "127.0.0.1:0", "--dev-chain-listen", "127.0.0.1:0"];
        arguments.extend(["--set", "pool.password=a password between roles", "--set", "nimiq.run=no"]);
        arguments.extend(more.iter().flat_map(|set| ["--set", set]));
        let mut program = Program::headframe(&arguments);
        let url = |line: String| line[line.find("http://").unwrap()..].to_owned();
        let node = url(program.line(&["dev chain:", "http://"]));
        let base = url(program.line(&["Master:", "http://"])).strip_suffix("/master").unwrap().to_owned();
        let pool = Self { _program: program, http: Http::new(), base, node };
        pool.extend(8);
        eventually("the Master to have work on the newest block", || {
            let config = pool.http.json(&format!("{}/master/config.json", pool.base))?;
            (config["currentHeight"] == 9).then_some(())
        });
        pool
    }

    /// New blocks, without work.
    fn extend(&self, blocks: u32) {
        self.http.rpc(&self.node, "devchain_extend", &json!([blocks]));
    }

    fn metric(&self, name: &str, labels: &str) -> f64 {
        self.http.metric(&self.base, name, labels).unwrap_or(0.0)
    }
}

#[test]
fn the_reference_miner_mines_into_our_pool_and_everything_is_accepted() {
    let Some(reference) = reference_program("reference miner") else { return };
    let (_folder, path) = folder();
    let pool = Pool::start(&path, &[]);
    let url = format!("{}/master", pool.base);
    let mut miner = Program::start(&reference, &["ann", "-t", "1", "-p", &address(7), &url]);
    let accepted = || pool.metric("headframe_announcements_accepted_total", "");
    eventually("announcements of the reference miner", || (accepted() > 500.0).then_some(()));
    let before = accepted();
    // Work changes under its hands.
    for _ in 0..3 {
        pool.extend(1);
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
    eventually("announcements on the new block", || (accepted() > before + 500.0).then_some(()));
    // Its status line says what part was accepted: `… ok: 100% (…)`.
    miner.line(&["ok: "]);
    for line in miner.printed().iter().filter(|line| line.contains(" ok: ")) {
        assert!(line.contains(" ok: 100% "), "{line}");
    }
    assert!(pool.metric("headframe_refusals_total", "role=\"ann_handler\"") < 1.0);
}

#[test]
fn our_miner_mines_into_the_reference_handler_whose_events_our_pay_maker_takes() {
    let Some(reference) = reference_program("reference handler") else { return };
    let (_folder, path) = folder();
    let [port] = free_ports();
    let handler_url = format!("http://127.0.0.1:{port}");
    let pool = Pool::start(&path.join("pool"), &[&format!("master.announcement_urls=[\"{handler_url}\"]")]);
    let configuration = path.join("reference.toml");
    let text = format!(
        "paymaker_http_password = \"a password between roles\"\nmaster_url = \"{}/master\"\nroot_workdir = \"{}\"\n\
         [ann_handler.ah0]\nskip_check_chance = 0.0\nnum_workers = 1\ninput_queue_len = 64\n\
         public_url = \"{handler_url}/submit\"\nbind_port = {port}\nfiles_to_keep = 10\n",
        pool.base,
        path.join("reference").display(),
    );
    std::fs::write(&configuration, text).unwrap();
    let mut handler = Program::start(&reference, &["-v", "ah", "-C", configuration.to_str().unwrap(), "ah0"]);
    handler.line(&["New work: height: 9"]);

    let url = format!("{}/master", pool.base);
    let miner = Program::headframe(&[
        "--log-format",
        "json",
        "mine",
        "announcements",
        &url,
        "--pay-to",
        &address(9),
        "--threads",
        "1",
    ]);
    let newest_status = || {
        let status = |line: &String| serde_json::from_str::<Value>(line).ok()?.get("announcements").cloned();
        miner.printed().iter().rev().find_map(status)
    };
    let total = eventually("the reference handler to accept announcements", || {
        let total = newest_status()?["pools"][0]["total"].clone();
        (total["accepted"].as_u64()? > 0).then_some(total)
    });
    assert_eq!(total["rejected"], json!({}), "{total}");
    // So that the announcements after this block have something to be worth.
    pool.extend(1);
    within(UPLOAD_PATIENCE, "events of the reference handler in our ledger", || {
        let document = pool.http.json(&format!("{}/paymaker/whotopay", pool.base))?;
        document["units"].get(address(9)).map(drop)
    });
    assert!(pool.metric("headframe_refusals_total", "role=\"pay_maker\"") < 1.0);
}
