//! A whole pool of both chains with its miners, and its figures.

use std::path::{Path, PathBuf};

use crate::sandbox::{Http, Program, eventually};

/// `headframe up --mine`.
pub struct Pool {
    program: Program,
    http: Http,
    /// Where it serves.
    base: String,
    /// Where it keeps everything.
    data: PathBuf,
}

impl Pool {
    /// Starts one in a folder of its own.
    pub fn start(folder: &Path) -> Self {
        Self::with(folder, &["--mine"])
    }

    /// The same without miners, with a configuration besides the ports.
    pub fn configured(folder: &Path, configuration: &str) -> Self {
        let file = folder.join("pool.toml");
        std::fs::write(&file, configuration).unwrap();
        Self::with(folder, &["--config", file.to_str().unwrap()])
    }

    /// The same on a disk of its own, of which less than a tenth is free. Needs root.
    pub fn on_a_disk_that_is_nearly_full(folder: &Path, configuration: &str) -> Self {
        let file = folder.join("pool.toml");
        std::fs::write(&file, configuration).unwrap();
        let data = folder.join("data");
        std::fs::create_dir(&data).unwrap();
        let script = r#"
            mount -t tmpfs -o size=200m tmpfs "$1"
            head -c 185m /dev/zero > "$1/ballast"
            shift
            exec "$@"
        "#;
        let own = [data.to_str().unwrap(), env!("CARGO_BIN_EXE_headframe")];
        Self::launched(&data, &["--config", file.to_str().unwrap()], |arguments| {
            let outer = ["--mount", "sh", "-euc", script, "sh"];
            Program::start(Path::new("unshare"), &[&outer, &own[..], arguments].concat())
        })
    }

    /// Takes the ballast off that disk.
    pub fn free_the_disk(&self) {
        let data = self.data.strip_prefix("/").unwrap();
        let root = Path::new("/proc").join(self.program.id().to_string()).join("root");
        std::fs::remove_file(root.join(data).join("ballast")).unwrap();
    }

    /// How many files it may have open; `None`: as many as the system allows.
    pub fn limit_open_files(&self, files: Option<u64>) {
        let process = rustix::process::Pid::from_raw(self.program.id().cast_signed());
        let present = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let limit = rustix::process::Rlimit { current: files.or(present.maximum), maximum: present.maximum };
        rustix::process::prlimit(process, rustix::process::Resource::Nofile, limit).unwrap();
    }

    fn with(folder: &Path, more: &[&str]) -> Self {
        Self::launched(folder, more, Program::headframe)
    }

    fn launched(folder: &Path, more: &[&str], launch: impl Fn(&[&str]) -> Program) -> Self {
        let mut arguments: Vec<String> =
            ["up", "--listen", "127.0.0.1:0", "--dev-chain-listen", "127.0.0.1:0", "--data"]
                .map(str::to_owned)
                .into();
        arguments.push(folder.display().to_string());
        let usual = [
            ("pay_maker.update_cycle", "1"),
            ("mine.memory_mebibytes", "64"),
            ("nimiq_dev_chain.listen", "127.0.0.1:0"),
            ("nimiq_server.main.listen", "127.0.0.1:0"),
        ];
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        for (key, value) in usual {
            arguments.extend(["--set".to_owned(), format!("{key}={value}")]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut program = launch(&arguments);
        let base = url_in(&program.line(&["figures:", "http://"])).trim_end_matches("/metrics").to_owned();
        Self { program, http: Http::new(), base, data: folder.to_owned() }
    }

    /// Host and port that it serves on.
    pub fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// The URL of its PacketCrypt chain.
    pub fn node(&mut self) -> String {
        url_in(&self.program.line(&["dev chain:", "pktd", "http://"]))
    }

    /// The URL of its Nimiq chain.
    pub fn nimiq_node(&mut self) -> String {
        url_in(&self.program.line(&["Nimiq dev chain:", "http://"]))
    }

    /// What it serves at `/metrics`.
    pub fn metrics(&self) -> String {
        eventually("the figures", || self.http.get(&format!("{}/metrics", self.base)))
    }

    /// A JSON document of the API.
    pub fn json(&self, path: &str) -> serde_json::Value {
        eventually(path, || self.http.json(&format!("{}{path}", self.base)))
    }

    /// The sum over all series of a metric that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let text = self.metrics();
        let wanted: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let series = text.lines().filter_map(|line| line.rsplit_once(' ')).filter(|(series, _)| {
            series.split('{').next() == Some(name) && wanted.iter().all(|label| series.contains(label))
        });
        series.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
    }

    /// Work has come from the miners of both chains and has been counted.
    pub fn until_every_role_has_worked(&self) {
        for (name, labels) in [
            ("headframe_announcements_accepted_total", ("role", "ann_handler")),
            ("headframe_shares_accepted_total", ("role", "blk_handler")),
            ("headframe_events_credited_total", ("role", "pay_maker")),
            ("headframe_stage_seconds_count", ("stage", "document")),
            ("headframe_stage_seconds_count", ("stage", "template_to_client")),
            ("headframe_nimiq_shares_delivered_total", ("role", "nimiq_server")),
            ("headframe_outbox_uploads_total", ("role", "ann_handler")),
            ("headframe_outbox_uploads_total", ("role", "blk_handler")),
            ("headframe_nimiq_duty_held", ("role", "nimiq_payout")),
        ] {
            eventually(&format!("{name} {labels:?}"), || (self.sum(name, &[labels]) > 0.0).then_some(()));
        }
    }
}

/// The URL in a line.
fn url_in(line: &str) -> String {
    line[line.find("http://").unwrap()..].split_whitespace().next().unwrap_or_default().to_owned()
}
