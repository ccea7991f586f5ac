//! `headframe doctor` finds the faults that are planted here, and says what mends each of them.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sandbox::{Http, Program, eventually, free_ports};
use serde_json::json;

/// Somebody whom a PKT pool can pay.
const PAYEE: &str = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";

/// A folder for one patient.
struct Patient {
    folder: tempfile::TempDir,
    http: u16,
}

impl Patient {
    fn new() -> Self {
        let [http] = free_ports();
        Self { folder: tempfile::tempdir().unwrap(), http }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A PacketCrypt pool with few connections, and more lines.
    fn configuration(&self, more: &str) -> PathBuf {
        let file = self.path("pool.toml");
        let text = format!(
            "[pool]\ndata = \"{}\"\n[http]\nlisten = \"127.0.0.1:{}\"\nconnections = 64\n{more}",
            self.path("data").display(),
            self.http
        );
        std::fs::write(&file, text).unwrap();
        file
    }

    /// On this real node.
    fn on_node(&self, url: &str, more: &str) -> PathBuf {
        self.configuration(&format!(
            "{more}\n[[node]]\nurl = \"{url}\"\n[pay_maker]\ndefault_address = \"{PAYEE}\"\nerror_address = \"{PAYEE}\"\n"
        ))
    }
}

fn doctor(configuration: &Path, more: &[&str]) -> Report {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headframe"));
    command.arg("doctor").arg("--config").arg(configuration).args(more);
    Report::of(&command.output().unwrap())
}

/// What the doctor said.
struct Report {
    text: String,
    code: Option<i32>,
}

impl Report {
    fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        Self { text: text.into_owned(), code: output.status.code() }
    }

    /// There is a fault with all these words, and in the line behind it a fix with these.
    fn fault(&self, words: &[&str], fix: &str) {
        let mut lines = self.text.lines().zip(self.text.lines().skip(1));
        let found = lines.any(|(line, next)| {
            line.starts_with("FAULT") && words.iter().all(|word| line.contains(word)) && next.contains(fix)
        });
        assert!(found, "no fault with {words:?}, mended by {fix:?}:\n{}", self.text);
        assert_eq!(self.code, Some(1), "{}", self.text);
    }

    fn has_no_fault(&self) {
        assert!(!self.text.contains("FAULT"), "{}", self.text);
        assert_eq!(self.code, Some(0), "{}", self.text);
    }
}

/// A node of a chain of its own: where it answers.
fn node(folder: &Path) -> (Program, String) {
    let arguments = ["dev-chain", "--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()];
    let mut program = Program::headframe(&arguments);
    let line = program.line(&["http://"]);
    let url = line[line.find("http://").unwrap()..].split_whitespace().next().unwrap().to_owned();
    (program, url)
}

#[test]
fn a_pool_before_its_first_start_is_well() {
    let patient = Patient::new();
    let report = doctor(&patient.configuration("[nimiq]\nrun = \"no\"\n"), &[]);
    report.has_no_fault();
    assert!(report.text.contains("unseen Master"), "{}", report.text);
}

#[test]
fn errors_of_the_configuration_are_faults() {
    let patient = Patient::new();
    let file = patient.configuration("[mastr]\n[pay_maker]\npool_fee = 2\n");
    let report = doctor(&file, &[]);
    report.fault(&["configuration", "`mastr` is no section"], "correct the configuration");
    report.fault(&["configuration", "pool_fee"], "correct the configuration");
}

#[test]
fn a_password_that_can_be_guessed_is_a_fault() {
    let patient = Patient::new();
    let file = patient.configuration("[pay_maker]\nlisten = \"192.0.2.1:8084\"\n");
    let report = doctor(&file, &["--set", "pool.password=changeme"]);
    report.fault(&["pool.password", "easy to guess"], "correct the configuration");
}

#[test]
fn a_node_that_is_well_is_found_to_be_so() {
    let patient = Patient::new();
    let (_node, url) = node(&patient.path("chain"));
    Http::new().rpc(&url, "devchain_extend", &json!([2]));
    let report = doctor(&patient.on_node(&url, ""), &[]);
    report.has_no_fault();
    for good in ["block 2 is", "gives templates", "has the same time", "can pay `pay_maker.default_address`"]
    {
        assert!(report.text.contains(good), "{good}\n{}", report.text);
    }
}

#[test]
fn a_node_that_is_not_there_is_a_fault() {
    let patient = Patient::new();
    let [nobody] = free_ports();
    let report = doctor(&patient.on_node(&format!("http://127.0.0.1:{nobody}"), ""), &[]);
    report.fault(&["PacketCrypt node", "cannot be reached"], "start the node, or correct `url`");
}

#[test]
fn a_node_that_has_too_many_clients_is_a_fault() {
    let patient = Patient::new();
    let (_node, url) = node(&patient.path("chain"));
    Http::new().rpc(&url, "devchain_refuse", &json!([600_000]));
    let report = doctor(&patient.on_node(&url, ""), &[]);
    report.fault(&["PacketCrypt node", "too many clients"], "--rpcmaxclients");
}

#[test]
fn a_node_that_hangs_is_a_fault() {
    let patient = Patient::new();
    let (_node, url) = node(&patient.path("chain"));
    Http::new().rpc(&url, "devchain_slow", &json!([600_000]));
    let report = doctor(&patient.on_node(&url, ""), &[]);
    report.fault(&["PacketCrypt node", "cannot be reached"], "start the node, or correct `url`");
}

#[test]
fn what_is_no_node_of_this_chain_is_a_fault() {
    let patient = Patient::new();
    let (_node, url) = node(&patient.path("chain"));
    let more = format!(
        "[[nimiq_node]]\nurl = \"{url}\"\n[nimiq]\nnetwork = \"dev\"\naddress = \"NQ76 2NH6 LDHV UJ2C MATR VLDH J5TG JGQA CNQ9\"\n"
    );
    let report = doctor(&patient.configuration(&more), &[]);
    report.fault(&["Nimiq node", &url], "[[nimiq_node]]");
}

#[test]
fn a_nimiq_node_without_its_network_is_a_fault() {
    let patient = Patient::new();
    let folder = patient.path("nimiq-chain");
    let mut chain = Program::headframe(&[
        "nimiq",
        "dev-chain",
        "--listen",
        "127.0.0.1:0",
        "--data",
        folder.to_str().unwrap(),
    ]);
    let line = chain.line(&["http://"]);
    let url = line[line.find("http://").unwrap()..].split_whitespace().next().unwrap();
    let more = format!(
        "[[nimiq_node]]\nurl = \"{url}\"\n[nimiq]\nnetwork = \"dev\"\naddress = \"NQ76 2NH6 LDHV UJ2C MATR VLDH J5TG JGQA CNQ9\"\n"
    );
    let file = patient.configuration(&more);
    let alone = ["--set", "pool.run_packetcrypt=no"];
    assert!(doctor(&file, &alone).text.contains("has consensus with its network"));
    Http::new().nimiq_rpc(url, "devchain_consensus", &json!([false]));
    doctor(&file, &alone).fault(&["Nimiq node", "has no consensus"], "look at its connections");
}

#[test]
fn a_port_that_another_program_has_is_a_fault() {
    let patient = Patient::new();
    let _other = TcpListener::bind(("127.0.0.1", patient.http)).unwrap();
    let report = doctor(&patient.configuration("[nimiq]\nrun = \"no\"\n"), &[]);
    report.fault(&["`http.listen`", "another program"], "ss -ltnp");
}

#[test]
fn an_address_that_this_machine_has_not_is_a_fault() {
    let patient = Patient::new();
    let file = patient.configuration("[nimiq]\nrun = \"no\"\n");
    let elsewhere = "http.listen=192.0.2.77:8080";
    let report = doctor(&file, &["--set", elsewhere, "--set", "pool.password=b7f3c01d9e8a4c55"]);
    report.fault(&["192.0.2.77:8080", "cannot be listened on"], "an address of this machine");
}

#[test]
fn a_data_folder_that_cannot_be_is_a_fault() {
    let patient = Patient::new();
    std::fs::write(patient.path("data"), "a file").unwrap();
    let report = doctor(&patient.configuration("[nimiq]\nrun = \"no\"\n"), &[]);
    report.fault(&["data folder", "cannot be written to"], "the right to write");
}

#[test]
fn too_few_open_files_are_a_fault() {
    let patient = Patient::new();
    let file = patient.configuration("[nimiq]\nrun = \"no\"\n");
    let program = env!("CARGO_BIN_EXE_headframe");
    let limited = format!("ulimit -n 100; exec {program} doctor --config {}", file.display());
    let report = Report::of(&Command::new("sh").args(["-c", &limited]).output().unwrap());
    report.fault(&["open files", "the system allows 100"], "LimitNOFILE=320");
}

/// A certificate for `localhost` that ends so many days from now, and its key.
fn certificate(folder: &Path, days: i64) -> (PathBuf, PathBuf) {
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let end = today.checked_add(jiff::Span::new().days(days)).unwrap();
    let part = |number: i8| u8::try_from(number).unwrap();
    parameters.not_after = rcgen::date_time_ymd(end.year().into(), part(end.month()), part(end.day()));
    let key = rcgen::KeyPair::generate().unwrap();
    let own = parameters.self_signed(&key).unwrap();
    let files = (folder.join(format!("{days}.pem")), folder.join(format!("{days}.key")));
    std::fs::write(&files.0, own.pem()).unwrap();
    std::fs::write(&files.1, key.serialize_pem()).unwrap();
    files
}

#[test]
fn a_certificate_that_has_ended_or_will_soon_or_has_another_key_is_a_fault() {
    let patient = Patient::new();
    let report = |certificate: &Path, key: &Path| {
        let [listen, chain] = free_ports();
        let more = format!(
            "[nimiq_dev_chain]\nlisten = \"127.0.0.1:{chain}\"\n[[nimiq_server]]\nname = \"main\"\nlisten = \"127.0.0.1:{listen}\"\n\
             connections = 16\ncertificate = \"{}\"\nkey = \"{}\"\n",
            certificate.display(),
            key.display()
        );
        doctor(&patient.configuration(&more), &["--set", "pool.run_packetcrypt=no"])
    };
    let (good, good_key) = certificate(patient.folder.path(), 300);
    let (short, short_key) = certificate(patient.folder.path(), 3);
    let (old, old_key) = certificate(patient.folder.path(), -1);
    report(&good, &good_key).has_no_fault();
    report(&short, &short_key).fault(&["certificate of nimiq_server main", "within a week"], "renew it");
    report(&old, &old_key).fault(&["certificate of nimiq_server main", "has ended"], "renew it");
    report(&good, &old_key).fault(&["certificate of nimiq_server main", "together"], "of one certificate");
}

#[test]
fn accounts_that_are_no_database_are_a_fault() {
    let patient = Patient::new();
    let file = patient.path("accounts.db");
    std::fs::write(&file, "this is no database, and it is longer than a header of one would have to be")
        .unwrap();
    let [listen, chain] = free_ports();
    let more = format!(
        "[nimiq]\naccounts = \"sqlite://{}\"\n[nimiq_dev_chain]\nlisten = \"127.0.0.1:{chain}\"\n[[nimiq_server]]\nname = \"main\"\n\
         listen = \"127.0.0.1:{listen}\"\nconnections = 16\n",
        file.display()
    );
    let report = doctor(&patient.configuration(&more), &["--set", "pool.run_packetcrypt=no"]);
    report.fault(&["accounts of the Nimiq pool", "is no SQLite database"], "correct `nimiq.accounts`");
}

#[test]
fn handlers_that_differ_from_the_masters_or_cannot_be_reached_are_faults() {
    let patient = Patient::new();
    let [chain, nobody] = free_ports();
    let running = patient.configuration(&format!(
        "[nimiq]\nrun = \"no\"\n[dev_chain]\nlisten = \"127.0.0.1:{chain}\"\n\
         [[blk_handler]]\nname = \"main\"\nurl = \"http://127.0.0.1:{nobody}/blk/main\"\n"
    ));
    let _pool = Program::headframe(&["up", "--config", running.to_str().unwrap()]);
    let http = Http::new();
    let config = format!("http://127.0.0.1:{}/master/config.json", patient.http);
    eventually("the Master to have work", || http.get(&config));
    let report = doctor(&running, &[]);
    report.fault(&["handler", "/blk/main/submit", "cannot be reached"], "start it, or correct its `url`");
    assert!(report.text.contains("is the pool's, which runs"), "{}", report.text);
    let other = doctor(&running, &["--set", "ann_handler.main.url=http://127.0.0.1:1/ann/other"]);
    other.fault(&["Master", "names the AnnHandlers"], "the same configuration file");
}
