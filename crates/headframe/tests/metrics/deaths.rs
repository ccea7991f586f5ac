//! Prometheus watches a pool whose processes are killed: the right alerts fire, and are gone when all is well again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::prometheus::Prometheus;
use crate::sandbox::{Program, eventually, folder, free_ports};

/// Each role as a process of its own, with a Prometheus.
struct Watched {
    folder: PathBuf,
    running: BTreeMap<&'static str, Program>,
    node: String,
    master: String,
    prometheus: Prometheus,
}

/// The roles, those first that others ask.
const ROLES: [&str; 7] =
    ["dev-chain", "master", "pay-maker", "ann-handler", "blk-handler", "announcement miner", "block miner"];

impl Watched {
    fn start(folder: &Path) -> Self {
        let [chain, master, ann, blk, pay] = free_ports();
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
        let targets = [master, ann, blk, pay].map(|port| format!("127.0.0.1:{port}"));
        let mut watched = Self {
            folder: folder.to_owned(),
            running: BTreeMap::new(),
            node: format!("127.0.0.1:{chain}"),
            master: format!("http://127.0.0.1:{master}"),
            prometheus: Prometheus::start(folder, &targets),
        };
        for role in ROLES {
            watched.start_role(role);
        }
        watched
    }

    fn start_role(&mut self, role: &'static str) {
        let (data, file) = (self.folder.join("data"), self.folder.join("pool.toml"));
        let (data, file) = (data.to_str().unwrap(), file.to_str().unwrap());
        let arguments = match role {
            "dev-chain" => vec![role, "--data", data, "--listen", &self.node],
            "ann-handler" | "blk-handler" => vec![role, "main", "--config", file],
            "announcement miner" => {
                vec!["mine", "announcements", &self.master, "--pay-to", ADDRESS, "--threads", "1"]
            }
            "block miner" => vec!["mine", "blocks", &self.master, "--pay-to", ADDRESS, "--threads", "1"],
            _ => vec![role, "--config", file],
        };
        self.running.insert(role, Program::headframe(&arguments));
    }

    fn kill(&mut self, role: &'static str) {
        self.running.remove(role).unwrap().kill();
    }
}

/// Whom the miners mine for.
const ADDRESS: &str = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";

#[test]
fn deaths_make_their_alerts_fire_and_life_ends_them() {
    let (_folder, path) = folder();
    let mut pool = Watched::start(&path);
    eventually("announcements and shares in Prometheus", || {
        let accepted = |what: &str| pool.prometheus.asked(&format!("sum(headframe_{what}_accepted_total)"));
        (accepted("announcements")? > 0.0 && accepted("shares")? > 0.0).then_some(())
    });
    eventually("uploads in Prometheus", || {
        pool.prometheus.asked("min(headframe_outbox_uploads_total)").filter(|uploads| *uploads > 0.0)
    });
    for alert in ["ProcessDown", "PayMakerUnreachable", "NodeUnreachable", "PayoutsRefused", "RoleNotReady"] {
        pool.prometheus.until_silent(alert);
    }

    // The PayMaker dies: its process is missed, and what handlers have for it waits.
    pool.kill("pay-maker");
    pool.prometheus.until_fires("ProcessDown", "job", "headframe");
    pool.prometheus.until_fires("PayMakerUnreachable", "role", "ann_handler");
    pool.prometheus.until_fires("PayMakerUnreachable", "role", "blk_handler");
    pool.prometheus.until_fires("OutboxGrowing", "role", "blk_handler");
    pool.start_role("pay-maker");
    pool.prometheus.until_silent("ProcessDown");
    pool.prometheus.until_silent("PayMakerUnreachable");
    pool.prometheus.until_silent("OutboxGrowing");

    // The node dies: nobody knows new work, payouts are not taken, and in the end nothing comes in any more.
    pool.kill("dev-chain");
    pool.prometheus.until_fires("NodeUnreachable", "name", "packetcrypt");
    pool.prometheus.until_fires("RoleNotReady", "role", "pay_maker");
    pool.prometheus.until_fires("PayoutsRefused", "outcome", "failed");
    pool.prometheus.until_fires("NodeStalled", "role", "master");
    pool.start_role("dev-chain");
    pool.prometheus.until_silent("NodeUnreachable");
    pool.prometheus.until_silent("NodeStalled");
    pool.prometheus.until_silent("PayoutsRefused");

    // The miners go.
    pool.kill("announcement miner");
    pool.kill("block miner");
    pool.prometheus.until_fires("IntakeStopped", "work", "announcements");
    pool.prometheus.until_fires("IntakeStopped", "work", "shares");

    // A process that somebody starts again and again.
    eventually("ProcessRestarts to fire", || {
        pool.kill("pay-maker");
        pool.start_role("pay-maker");
        std::thread::sleep(Duration::from_secs(2));
        pool.prometheus.firing("ProcessRestarts").first().map(drop)
    });
}
