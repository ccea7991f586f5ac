//! Faults of the machine: ports, data folder, disk, open files, certificates.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

use crate::patient::{Patient, Report, doctor};
use crate::sandbox::{Http, Program, eventually, free_ports};
use crate::tls_server::certificate;

/// A PacketCrypt pool on the embedded chain.
const PKT_ALONE: &str = "[nimiq]\nrun = \"no\"\n";

#[test]
fn a_port_that_another_program_has_is_a_fault() {
    let patient = Patient::new();
    let _other = TcpListener::bind(("127.0.0.1", patient.http)).unwrap();
    let report = doctor(&patient.configuration(PKT_ALONE), &[]);
    report.fault(&["`http.listen`", "another program"], "ss -ltnp");
}

/// Whatever has a port of its own: on a free one nothing is wrong, and where somebody is there already, it is.
#[test]
fn every_port_is_looked_at() {
    let patient = Patient::new();
    let [admin, chain, nimiq_chain, server, master, service, feed] = free_ports();
    let file = patient.configuration(&format!(
        "[admin]\nlisten = \"127.0.0.1:{admin}\"\n[dev_chain]\nlisten = \"127.0.0.1:{chain}\"\n\
         [nimiq_dev_chain]\nlisten = \"127.0.0.1:{nimiq_chain}\"\n[master]\nlisten = \"127.0.0.1:{master}\"\n\
         [nimiq_service]\nmetrics_listen = \"127.0.0.1:{service}\"\n\
         [[ann_handler]]\nname = \"main\"\nsprayer_listen = \"127.0.0.1:{feed}\"\npassword = \"b7f3c01d9e8a4c55\"\n\
         [[nimiq_server]]\nname = \"main\"\nlisten = \"127.0.0.1:{server}\"\nconnections = 16\n"
    ));
    doctor(&file, &[]).has_no_fault();
    let tcp = [admin, chain, nimiq_chain, server, master, service];
    let _others = tcp.map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let _other_feed = UdpSocket::bind(("127.0.0.1", feed)).unwrap();
    let report = doctor(&file, &[]);
    let keys = [
        "admin.listen",
        "dev_chain.listen",
        "nimiq_dev_chain.listen",
        "nimiq_server.main.listen",
        "master.listen",
        "nimiq_service.metrics_listen",
    ];
    for (key, port) in keys.into_iter().zip(tcp) {
        report
            .fault(&[&format!(":{port} (`{key}`)"), "another program"], &format!("ss -ltnp sport = :{port}"));
    }
    report.fault(&["`ann_handler.main.sprayer_listen`", "another program"], "ss -lunp");
}

/// One of several machines, where a file that is good everywhere names ports of roles that run elsewhere.
#[test]
fn ports_of_a_role_that_runs_alone_are_its_own() {
    let patient = Patient::new();
    let [chain, nimiq_chain, master, server, metrics] = free_ports();
    let file = patient.configuration(&format!(
        "[dev_chain]\nlisten = \"127.0.0.1:{chain}\"\n[nimiq_dev_chain]\nlisten = \"127.0.0.1:{nimiq_chain}\"\n\
         [master]\nlisten = \"127.0.0.1:{master}\"\n[[nimiq_server]]\nname = \"main\"\nlisten = \"127.0.0.1:{server}\"\n\
         metrics_listen = \"127.0.0.1:{metrics}\"\nconnections = 16\n"
    ));
    let folder = patient.path("chains");
    let arguments = |chain: &str, port: u16| {
        let mut words: Vec<String> = chain.split(' ').map(str::to_owned).collect();
        words.extend(["--listen".to_owned(), format!("127.0.0.1:{port}")]);
        words.extend(["--data".to_owned(), folder.display().to_string()]);
        words
    };
    let start = |words: &[String]| Program::headframe(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let _chains = [start(&arguments("dev-chain", chain)), start(&arguments("nimiq dev-chain", nimiq_chain))];
    let configuration = file.to_str().unwrap();
    let secret = ["--set", "pool.password=b7f3c01d9e8a4c55"];
    let _master = Program::headframe(&[&["master", "--config", configuration][..], &secret].concat());
    let _server = Program::headframe(&["nimiq", "server", "main", "--config", configuration]);
    let http = Http::new();
    for port in [master, metrics] {
        let health = format!("http://127.0.0.1:{port}/healthz");
        eventually("the role to answer", || http.json_whatever_the_status(&health));
    }
    let report = doctor(&file, &[]);
    for key in ["master.listen", "nimiq_server.main.listen", "nimiq_server.main.metrics_listen"] {
        report.says(&["ok ", &format!("`{key}`"), "is the pool's, which runs"]);
    }
    for key in ["dev_chain.listen", "nimiq_dev_chain.listen"] {
        report.says(&["ok ", &format!("`{key}`"), "a chain answers there"]);
    }
    report.says(&["ok ", "`http.listen`", "is free"]);
}

#[test]
fn an_address_that_this_machine_has_not_is_a_fault() {
    let patient = Patient::new();
    let file = patient.configuration(PKT_ALONE);
    let elsewhere = "http.listen=192.0.2.77:8080";
    let report = doctor(&file, &["--set", elsewhere, "--set", "pool.password=b7f3c01d9e8a4c55"]);
    report.fault(&["192.0.2.77:8080", "cannot be listened on"], "an address of this machine");
    // A role may run on another machine.
    let elsewhere = ["--set", "master.listen=192.0.2.77:8080", "--set", "pool.password=b7f3c01d9e8a4c55"];
    doctor(&file, &elsewhere).says(&["unseen", "`master.listen`", "no address of this machine"]);
}

#[test]
fn a_data_folder_that_cannot_be_is_a_fault() {
    let patient = Patient::new();
    std::fs::write(patient.path("data"), "a file").unwrap();
    let report = doctor(&patient.configuration(PKT_ALONE), &[]);
    report.fault(&["data folder", "cannot be written to"], "the right to write");
}

/// A small disk of its own, where the system lets a test have one.
#[test]
fn a_disk_with_little_room_is_a_fault() {
    let patient = Patient::new();
    let file = patient.configuration(PKT_ALONE);
    let data = patient.path("data");
    std::fs::create_dir(&data).unwrap();
    let in_own_mounts = |script: &str| {
        let all = format!("mount -t tmpfs -o size=4m none {} && {script}", data.display());
        Command::new("unshare").args(["-rm", "sh", "-c", &all]).output().unwrap()
    };
    if !in_own_mounts("true").status.success() {
        assert!(std::env::var_os("CI").is_none(), "the test needs unshare -rm");
        eprintln!("SKIPPED: this system lets nobody mount");
        return;
    }
    let program = env!("CARGO_BIN_EXE_headframe");
    let report = Report::of(&in_own_mounts(&format!("{program} doctor --config {}", file.display())));
    report.fault(&["data folder", "only 4 MiB free"], "make room, or move `pool.data` to a larger disk");
    report.has_one_fault();
}

#[test]
fn too_few_open_files_are_a_fault() {
    let patient = Patient::new();
    let file = patient.configuration(PKT_ALONE);
    let program = env!("CARGO_BIN_EXE_headframe");
    let limited = format!("ulimit -n 100; exec {program} doctor --config {}", file.display());
    let report = Report::of(&Command::new("sh").args(["-c", &limited]).output().unwrap());
    report.fault(&["open files", "the system allows 100"], "LimitNOFILE=320");
}

#[test]
fn a_certificate_that_cannot_be_used_now_is_a_fault() {
    let patient = Patient::new();
    let told = |certificate: &Path, key: &Path, url: &str| {
        let [listen, chain] = free_ports();
        let more = format!(
            "[nimiq_dev_chain]\nlisten = \"127.0.0.1:{chain}\"\n[[nimiq_server]]\nname = \"main\"\nlisten = \"127.0.0.1:{listen}\"\n\
             connections = 16\ncertificate = \"{}\"\nkey = \"{}\"\n{url}",
            certificate.display(),
            key.display()
        );
        doctor(&patient.configuration(&more), &["--set", "pool.run_packetcrypt=no"])
    };
    let report = |certificate: &Path, key: &Path| told(certificate, key, "");
    let certificate = |days| certificate(&patient.path(""), days);
    let (good, good_key) = certificate(300);
    let (short, short_key) = certificate(3);
    let (old, old_key) = certificate(-1);
    let (young, young_key) = certificate(2000);
    let subject = "certificate of nimiq_server main";
    report(&good, &good_key).has_no_fault();
    told(&good, &good_key, "url = \"wss://localhost:8444\"\n").has_no_fault();
    told(&good, &good_key, "url = \"wss://pool.example:8444\"\n")
        .fault(&[subject, "is not for pool.example"], "or give `nimiq_server.main.url` the name");
    report(&short, &short_key).fault(&[subject, "within a week"], "renew it");
    report(&old, &old_key).fault(&[subject, "has ended"], "renew it");
    report(&young, &young_key).fault(&[subject, "not valid yet"], "set the clock");
    report(&good, &old_key).fault(&[subject, "together"], "of one certificate");
    let empty = patient.path("empty.pem");
    std::fs::write(&empty, "").unwrap();
    report(&empty, &good_key).fault(&[subject, "holds no certificate"], "both PEM");
    report(&patient.path("nothing.pem"), &good_key)
        .fault(&["nimiq_server.main.certificate"], "correct the configuration");
}
