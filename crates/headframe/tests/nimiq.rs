//! Our Nimiq miner against our Nimiq server, both as programs, in every mode and over TLS: shares of each mode are
//! accepted and credited to its address, and the chain takes blocks of each.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;

use std::path::Path;
use std::time::Duration;

use nimiq::Address;
use sandbox::{Http, Program, eventually, folder, within};
use serde_json::{Value, json};

/// Time for a block, which takes 65,536 hashes, on a machine that does ten other things.
const LONG: Duration = Duration::from_mins(10);

/// A Nimiq pool on a chain of its own.
struct Pool {
    _program: Program,
    http: Http,
    base: String,
    node: String,
    server: String,
}

impl Pool {
    fn start(folder: &Path, certificate: &Path, key: &Path) -> Self {
        let set = |key: &str, value: &str| ["--set".to_owned(), format!("{key}={value}")];
        let mut arguments: Vec<String> =
            ["up", "--listen", "127.0.0.1:0", "--data"].map(str::to_owned).into();
        arguments.push(folder.display().to_string());
        for (key, value) in [
            ("pool.run_packetcrypt", "no"),
            ("nimiq_dev_chain.listen", "127.0.0.1:0"),
            ("nimiq_server.main.listen", "127.0.0.1:0"),
            ("nimiq_server.main.certificate", certificate.to_str().unwrap()),
            ("nimiq_server.main.key", key.to_str().unwrap()),
            ("nimiq_server.main.start_difficulty", "0.005"),
            ("nimiq_server.main.dumb_start_difficulty", "0.005"),
        ] {
            arguments.extend(set(key, value));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut program = Program::headframe(&arguments);
        let node = url(&program.line(&["Nimiq dev chain:", "http://"]), "http://");
        let server = url(&program.line(&["Nimiq server main:", "wss://"]), "wss://");
        let base = url(&program.line(&["figures:", "http://"]), "http://");
        let base = base.trim_end_matches("/metrics").to_owned();
        Self { _program: program, http: Http::new(), base, node, server }
    }

    fn accepted(&self, mode: &str) -> f64 {
        let labels = format!(r#"mode="{mode}""#);
        self.http.metric(&self.base, "headframe_nimiq_shares_accepted_total", &labels).unwrap_or(0.0)
    }
}

/// The URL in a line, which begins with `scheme`.
fn url(line: &str, scheme: &str) -> String {
    let rest = &line[line.find(scheme).unwrap_or_else(|| panic!("no {scheme} in {line}"))..];
    rest.split_whitespace().next().unwrap_or_default().to_owned()
}

/// Figures of the newest status that a miner has printed.
fn status(miner: &Program) -> Option<Value> {
    let printed = miner.printed();
    let mut statuses = printed.iter().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    statuses.find_map(|status| status.get("nimiq").cloned())
}

#[test]
fn shares_and_blocks_of_every_mode_count() {
    let (_folder, path) = folder();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (path.join("certificate.pem"), path.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let pool = Pool::start(&path.join("data"), &certificate, &key);
    let height = || pool.http.nimiq_rpc(&pool.node, "blockNumber", &json!([])).as_u64().unwrap();

    for (number, mode) in ["nano", "smart", "dumb"].into_iter().enumerate() {
        let (before, address) = (height(), Address([number as u8 + 1; 20]).to_string());
        let mut arguments =
            vec!["--log-format", "json", "mine", "nimiq", &pool.server, "--address", &address];
        arguments.extend(["--mode", mode, "--network", "dev", "--threads", "2"]);
        arguments.extend(["--certificate", certificate.to_str().unwrap(), "--device", mode]);
        if mode == "smart" {
            arguments.extend(["--node", &pool.node]);
        }
        let mut miner = Program::headframe(&arguments);
        eventually(&format!("a {mode} client's shares to be accepted"), || {
            (pool.accepted(mode) >= 5.0).then_some(())
        });
        within(LONG, &format!("a {mode} client's block"), || (height() > before).then_some(()));
        miner.interrupt();
        assert!(miner.wait().success());
        let status = eventually("the last status", || status(&miner));
        assert_eq!(status["mode"], mode);
        assert!(status["shares"]["blocks"].as_u64().unwrap() >= 1, "{status}");
        assert_eq!(status["shares"]["refused"], json!({}), "{status}");
    }
}
