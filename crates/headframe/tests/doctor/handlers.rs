//! The Master and its handlers as miners see them.

use std::process::Command;

use crate::patient::{Patient, Report, doctor};
use crate::sandbox::{Http, Program, eventually, free_ports};
use crate::tls_server::TlsServer;

/// Of a public address.
const PASSWORD: &str = "pool.password=b7f3c01d9e8a4c55";

#[test]
fn a_pool_before_its_first_start_is_well() {
    let patient = Patient::new();
    let report = doctor(&patient.configuration("[nimiq]\nrun = \"no\"\n"), &[]);
    report.has_no_fault();
    report.says(&["unseen", "Master"]);
}

#[test]
fn handlers_that_differ_from_the_masters_or_cannot_be_reached_are_faults() {
    let patient = Patient::new();
    let [chain, nobody] = free_ports();
    let running = patient.configuration(&format!(
        "[nimiq]\nrun = \"no\"\n[dev_chain]\nlisten = \"127.0.0.1:{chain}\"\n\
         [[ann_handler]]\nname = \"main\"\n[[ann_handler]]\nname = \"wrong\"\nurl = \"http://127.0.0.1:{}/ann/other\"\n\
         [[blk_handler]]\nname = \"main\"\nurl = \"http://127.0.0.1:{nobody}/blk/main\"\n",
        patient.http
    ));
    let _pool = Program::headframe(&["up", "--config", running.to_str().unwrap(), "--set", PASSWORD]);
    let http = Http::new();
    let config = format!("http://127.0.0.1:{}/master/config.json", patient.http);
    eventually("the Master to have work", || http.get(&config));
    let report = doctor(&running, &[]);
    report.says(&["ok ", "handler", "/ann/main/submit", "can be reached"]);
    report.fault(&["handler", "/ann/other/submit", "no handler behind this URL"], "correct its `url`");
    report.fault(&["handler", "/blk/main/submit", "cannot be reached"], "start it, or correct its `url`");
    report.says(&["ok ", "is the pool's, which runs"]);
    report.says(&["ok ", "PayMaker", "can be reached"]);
    let other = doctor(&running, &["--set", "ann_handler.main.url=http://127.0.0.1:1/ann/other"]);
    other.fault(&["Master", "names the AnnHandlers"], "the same configuration file");
    let other = doctor(&running, &["--set", "blk_handler.main.url=http://127.0.0.1:1/blk/other"]);
    other.fault(&["Master", "names the BlkHandlers"], "the same configuration file");
    doctor(&running, &["--set", PASSWORD]).says(&["ok ", "PayMaker", "knows `pool.password`"]);
    doctor(&running, &["--set", "pool.password=0f9a3c5e7b1d2468"])
        .fault(&["PayMaker", "refuses `pool.password`"], "the same `pool.password`");
    let elsewhere = format!("pay_maker.url=http://127.0.0.1:{}/nothing", patient.http);
    doctor(&running, &["--set", &elsewhere]).fault(&["PayMaker", "no PayMaker"], "correct `pay_maker.url`");
    let site = format!("site.url=http://127.0.0.1:{}", patient.http);
    doctor(&running, &["--set", &site]).says(&["ok ", "website", "can be reached"]);
    doctor(&running, &["--set", &format!("{site}/pool")])
        .fault(&["website", "answers 404"], "correct `site.url`");
    let nothing = format!("pool.url=http://127.0.0.1:{}/nothing", patient.http);
    doctor(&running, &["--set", &nothing]).fault(&["Master", "answers 404"], "correct `pool.url`");
}

#[test]
fn a_master_that_cannot_be_reached_or_is_none_is_a_fault() {
    let patient = Patient::new();
    let [nobody] = free_ports();
    let file = patient.configuration("[nimiq]\nrun = \"no\"\n");
    let at = |url: &str| doctor(&file, &["--set", &format!("pool.url={url}")]);
    at(&format!("http://127.0.0.1:{nobody}/master"))
        .fault(&["Master", "cannot be reached"], "start the Master, or correct `pool.url`");
    let stranger = TlsServer::start(&patient.path(""));
    let master = format!("{}/master", stranger.url);
    at(&master).fault(&["Master", "certificate"], "give its proxy a certificate");
    doctor(&file, &["--set", &format!("site.url={}", stranger.url)])
        .fault(&["website", "certificate"], "give its proxy a certificate");
    // A machine that believes the stranger reaches it, and finds no Master.
    let mut command = Command::new(env!("CARGO_BIN_EXE_headframe"));
    command.args(["doctor", "--set", &format!("pool.url={master}"), "--config"]).arg(&file);
    let believing = command.env("SSL_CERT_FILE", &stranger.certificate).output().unwrap();
    Report::of(&believing).fault(&["Master", "answers 404"], "correct `pool.url`");
}

#[test]
fn a_url_that_means_another_machine_to_everybody_else_is_a_fault() {
    let patient = Patient::new();
    let file = patient.configuration("[nimiq]\nrun = \"no\"\n");
    for host in ["127.0.0.1:1", "localhost:1", "[::1]:1"] {
        let set = [
            PASSWORD.to_owned(),
            format!("pool.url=http://{host}/master"),
            format!("ann_handler.main.url=http://{host}/ann/main"),
            format!("blk_handler.main.url=http://{host}/blk/main"),
            format!("pay_maker.url=http://{host}/paymaker"),
            format!("http.listen=0.0.0.0:{}", patient.http),
        ];
        let mut flags: Vec<&str> = set.iter().flat_map(|key| ["--set", key]).collect();
        let report = doctor(&file, &flags);
        for key in ["pool.url", "ann_handler.main.url", "blk_handler.main.url"] {
            report.fault(
                &[&format!("`{key}`"), "leads everybody to their own machine"],
                "the name or address that miners reach this one by",
            );
        }
        // For miners on this machine alone it is right.
        flags.truncate(flags.len() - 2);
        let report = doctor(&file, &flags);
        assert!(!report.text.contains("their own machine"), "{}", report.text);
    }
}
