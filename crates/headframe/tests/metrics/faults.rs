//! A real Prometheus watches a real pool with the rules that operators are given, while roles and nodes are killed: the
//! right alerts fire, and are gone when all is well again.
//!
//! The rules run in quick motion: a minute of theirs is a second here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::deployed::deployed;
use crate::sandbox::{Http, Program, eventually, folder, free_ports};

/// Each role as a process of its own, with a Prometheus.
struct Watched {
    folder: PathBuf,
    running: BTreeMap<&'static str, Program>,
    http: Http,
    node: String,
    prometheus: String,
}

/// The roles, those first that others ask.
const ROLES: [&str; 7] =
    ["dev-chain", "master", "pay-maker", "ann-handler", "blk-handler", "announcement miner", "block miner"];

impl Watched {
    fn start(folder: &Path) -> Self {
        let [chain, master, ann, blk, pay, prometheus] = free_ports();
        let text = format!(
            r#"
            [pool]
            password = "a password between roles"
            data = "{data}"
            url = "http://127.0.0.1:{master}"
            [dev_chain]
            listen = "127.0.0.1:{chain}"
            [master]
            listen = "127.0.0.1:{master}"
            [[ann_handler]]
            name = "main"
            listen = "127.0.0.1:{ann}"
            [[blk_handler]]
            name = "main"
            listen = "127.0.0.1:{blk}"
            [pay_maker]
            listen = "127.0.0.1:{pay}"
            update_cycle = 1
            "#,
            data = folder.join("data").display(),
        );
        std::fs::write(folder.join("pool.toml"), text).unwrap();
        let targets: Vec<String> =
            [master, ann, blk, pay].map(|port| format!("          - 127.0.0.1:{port}\n")).into();
        let mut watched = Self {
            folder: folder.to_owned(),
            running: BTreeMap::new(),
            http: Http::new(),
            node: format!("127.0.0.1:{chain}"),
            prometheus: format!("127.0.0.1:{prometheus}"),
        };
        watched.write_prometheus(&targets.concat());
        for role in ROLES {
            watched.start_role(role, &format!("http://127.0.0.1:{master}"));
        }
        watched.start_prometheus();
        watched
    }

    fn start_role(&mut self, role: &'static str, master: &str) {
        let (data, file) = (self.folder.join("data"), self.folder.join("pool.toml"));
        let (data, file) = (data.to_str().unwrap(), file.to_str().unwrap());
        let arguments = match role {
            "dev-chain" => vec![role, "--data", data, "--listen", &self.node],
            "ann-handler" | "blk-handler" => vec![role, "main", "--config", file],
            "announcement miner" => {
                vec!["mine", "announcements", master, "--pay-to", ADDRESS, "--threads", "1"]
            }
            "block miner" => vec!["mine", "blocks", master, "--pay-to", ADDRESS, "--threads", "1"],
            _ => vec![role, "--config", file],
        };
        self.running.insert(role, Program::headframe(&arguments));
    }

    /// The configuration and the rules that operators are given, with these targets, in quick motion.
    fn write_prometheus(&self, targets: &str) {
        let given = deployed("prometheus/prometheus.yml");
        let own = given.replace("          - 127.0.0.1:8080\n", targets).replace("15s", "250ms");
        assert_ne!(given, own);
        std::fs::write(self.folder.join("prometheus.yml"), own).unwrap();
        std::fs::write(self.folder.join("alerts.yml"), in_quick_motion(&deployed("prometheus/alerts.yml")))
            .unwrap();
    }

    fn start_prometheus(&mut self) {
        let place = |name: &str| self.folder.join(name).display().to_string();
        let arguments = [
            format!("--config.file={}", place("prometheus.yml")),
            format!("--storage.tsdb.path={}", place("prometheus")),
            format!("--web.listen-address={}", self.prometheus),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.running.insert("prometheus", Program::start(Path::new("prometheus"), &arguments));
    }

    fn kill(&mut self, role: &'static str) {
        self.running.remove(role).unwrap().kill();
    }

    /// The labels of the alerts of this name that fire now.
    fn firing(&self, alert: &str) -> Vec<Value> {
        let asked = self.http.json(&format!("http://{}/api/v1/alerts", self.prometheus));
        let alerts = asked.and_then(|mut answer| answer["data"]["alerts"].as_array_mut().map(std::mem::take));
        let fires =
            |alert_now: &Value| alert_now["state"] == "firing" && alert_now["labels"]["alertname"] == alert;
        alerts.unwrap_or_default().into_iter().filter(fires).map(|mut alert| alert["labels"].take()).collect()
    }

    fn until_fires(&self, alert: &str, label: &str, value: &str) {
        eventually(&format!("{alert} with {label}={value} to fire"), || {
            self.firing(alert).iter().any(|labels| labels[label] == value).then_some(())
        });
    }

    fn until_silent(&self, alert: &str) {
        eventually(&format!("{alert} to be gone"), || self.firing(alert).is_empty().then_some(()));
    }

    /// A figure that Prometheus has.
    fn asked(&self, query: &str) -> Option<f64> {
        let answer = self.http.json(&format!("http://{}/api/v1/query?query={query}", self.prometheus))?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

/// Whom the miners mine for.
const ADDRESS: &str = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";

/// Rules with every time divided by sixty.
fn in_quick_motion(rules: &str) -> String {
    let mut quick = String::new();
    let mut digits = String::new();
    let mut letters = rules.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        let ends = letters.peek().is_none_or(|next| !next.is_ascii_alphanumeric());
        let unit = match letter {
            'm' if ends && !digits.is_empty() => 's',
            'h' if ends && !digits.is_empty() => 'm',
            other => other,
        };
        quick.push_str(&digits);
        digits.clear();
        quick.push(unit);
    }
    quick + &digits
}

#[test]
fn quick_motion_changes_times_and_nothing_else() {
    let slow = "rate(a[10m]) > 1\nfor: 5m\nsum(increase(b[6h])) > 0.25 and c offset 20m\nsum by (name)";
    let quick = "rate(a[10s]) > 1\nfor: 5s\nsum(increase(b[6m])) > 0.25 and c offset 20s\nsum by (name)";
    assert_eq!(in_quick_motion(slow), quick);
}

#[test]
fn faults_make_their_alerts_fire_and_mending_ends_them() {
    let (_folder, path) = folder();
    let mut pool = Watched::start(&path);
    eventually("announcements and shares in Prometheus", || {
        let accepted = |what: &str| pool.asked(&format!("sum(headframe_{what}_accepted_total)"));
        (accepted("announcements")? > 0.0 && accepted("shares")? > 0.0).then_some(())
    });
    eventually("uploads in Prometheus", || {
        pool.asked("min(headframe_outbox_uploads_total)").filter(|uploads| *uploads > 0.0)
    });
    for alert in ["ProcessDown", "PayMakerUnreachable", "NodeUnreachable", "PayoutsRefused", "RoleNotReady"] {
        pool.until_silent(alert);
    }

    // The PayMaker dies: its process is missed, and what handlers have for it waits.
    pool.kill("pay-maker");
    pool.until_fires("ProcessDown", "job", "headframe");
    pool.until_fires("PayMakerUnreachable", "role", "ann_handler");
    pool.until_fires("PayMakerUnreachable", "role", "blk_handler");
    pool.until_fires("OutboxGrowing", "role", "blk_handler");
    pool.start_role("pay-maker", "");
    pool.until_silent("ProcessDown");
    pool.until_silent("PayMakerUnreachable");
    pool.until_silent("OutboxGrowing");

    // The node dies: nobody knows new work, payouts are not taken, and in the end nothing comes in any more.
    pool.kill("dev-chain");
    pool.until_fires("NodeUnreachable", "name", "packetcrypt");
    pool.until_fires("RoleNotReady", "role", "pay_maker");
    pool.until_fires("PayoutsRefused", "outcome", "failed");
    pool.until_fires("NodeStalled", "role", "master");
    pool.start_role("dev-chain", "");
    pool.until_silent("NodeUnreachable");
    pool.until_silent("NodeStalled");
    pool.until_silent("PayoutsRefused");

    // The miners go.
    pool.kill("announcement miner");
    pool.kill("block miner");
    pool.until_fires("IntakeStopped", "work", "announcements");
    pool.until_fires("IntakeStopped", "work", "shares");
}
