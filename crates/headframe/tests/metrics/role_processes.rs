//! A PacketCrypt pool whose roles are processes of their own, with miners, and a Prometheus that watches it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::prometheus::Prometheus;
use crate::sandbox::relay::Relay;
use crate::sandbox::{Http, Program, free_ports};

/// Each role as a process of its own, with a Prometheus.
pub struct Watched {
    folder: PathBuf,
    running: BTreeMap<&'static str, Program>,
    node: String,
    master: String,
    /// Where the BlkHandler's admin API answers.
    admin: String,
    /// The PayMaker itself: who only looks at it does so past the relay.
    pay_maker: String,
    pub prometheus: Prometheus,
    /// Between the roles and the node, and between handlers and PayMaker.
    pub relay: Relay,
}

/// The roles, those first that others ask.
const ROLES: [&str; 8] = [
    "dev-chain",
    "master",
    "pay-maker",
    "ann-handler",
    "blk-handler",
    "monitor",
    "announcement miner",
    "block miner",
];

impl Watched {
    pub fn start(folder: &Path) -> Self {
        let [chain, master, ann, blk, pay, monitor, admin, nobody] = free_ports();
        let base = |port: u16| format!("http://127.0.0.1:{port}");
        let relay = Relay::start(&[("node", base(chain)), ("pay", base(pay))]);
        let text = format!(
            r#"
            [pool]
            password = "a password between roles"
            data = "{data}"
            url = "http://127.0.0.1:{master}"
            chain = "dev"
            [[node]]
            url = "http://{relay}/node"
            user = "x"
            password = "x"
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
            url = "http://{relay}/pay"
            error_address = "{ERROR_ADDRESS}"
            default_address = "{DEFAULT_ADDRESS}"
            update_cycle = 1
            [monitor]
            listen = "127.0.0.1:{monitor}"
            [[notify]]
            name = "nobody"
            kind = "webhook"
            url = "http://127.0.0.1:{nobody}/"
            "#,
            data = folder.join("data").display(),
            relay = relay.address,
        );
        std::fs::write(folder.join("pool.toml"), text).unwrap();
        let targets = [master, ann, blk, pay, monitor].map(|port| format!("127.0.0.1:{port}"));
        let mut watched = Self {
            folder: folder.to_owned(),
            running: BTreeMap::new(),
            node: format!("127.0.0.1:{chain}"),
            master: format!("http://127.0.0.1:{master}"),
            admin: format!("127.0.0.1:{admin}"),
            pay_maker: base(pay),
            prometheus: Prometheus::start(folder, &targets),
            relay,
        };
        for role in ROLES {
            watched.start_role(role);
        }
        watched
    }

    pub fn start_role(&mut self, role: &'static str) {
        let (data, file) = (self.folder.join("data"), self.folder.join("pool.toml"));
        let (data, file) = (data.to_str().unwrap(), file.to_str().unwrap());
        let admin = format!("admin.listen={}", self.admin);
        let pay_maker = format!("pay_maker.url={}", self.pay_maker);
        let arguments = match role {
            "dev-chain" => vec![role, "--data", data, "--listen", &self.node],
            "ann-handler" => vec![role, "main", "--config", file],
            "blk-handler" => vec![role, "main", "--config", file, "--set", &admin],
            "monitor" => vec![role, "--config", file, "--set", &pay_maker],
            "announcement miner" => {
                vec!["mine", "announcements", &self.master, "--pay-to", ADDRESS, "--threads", "1"]
            }
            "block miner" => vec!["mine", "blocks", &self.master, "--pay-to", ADDRESS, "--threads", "1"],
            _ => vec![role, "--config", file],
        };
        self.running.insert(role, Program::headframe(&arguments));
    }

    /// The operator has the BlkHandler upload what it has, without any pause.
    pub fn upload_now(&self, http: &Http) {
        let body = br#"{"what": "outboxes"}"#.to_vec();
        http.post(&format!("http://{}/admin/retry", self.admin), &[], body);
    }

    pub fn kill(&mut self, role: &'static str) {
        self.running.remove(role).unwrap().kill();
    }
}

/// Whom the miners mine for.
const ADDRESS: &str = "pkt1qa6l3hd3ttfrvjjq3ee8vw6rpmhzmhsw69ytecrvad02jqmhz0jxq0rs86s";
/// Who is paid where nobody else can be.
pub const ERROR_ADDRESS: &str = "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t";
/// Who gets what no window covers.
const DEFAULT_ADDRESS: &str = "pKTcgnvpPdXQ6HztTC5snBc69887g471zE";
