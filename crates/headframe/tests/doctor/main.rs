//! `headframe doctor` finds the faults that are planted here, and says what mends each of them.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod handlers;
mod machine;
mod nimiq;
mod patient;
mod pktd;
#[path = "../sandbox/mod.rs"]
mod sandbox;
mod sick_node;
mod tls_server;

use patient::{Patient, doctor};

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
    let token = patient.path("admin-token");
    std::fs::write(&token, "changemechangeme").unwrap();
    let file = patient.configuration(&format!(
        "[admin]\nlisten = \"192.0.2.1:8079\"\ntoken_file = \"{}\"\n[pay_maker]\nlisten = \"192.0.2.1:8084\"\n\
         [monitor]\nlisten = \"192.0.2.1:8089\"\n[[ann_handler]]\nname = \"main\"\nlisten = \"192.0.2.1:8082\"\n",
        token.display()
    ));
    let set = [
        "--set",
        "pool.password=changeme",
        "--set",
        "ann_handler.main.password=secretsecret",
        "--set",
        "monitor.token=headframe",
    ];
    let report = doctor(&file, &set);
    for key in ["pool.password", "ann_handler.main.password", "admin.token_file", "monitor.token"] {
        report.fault(&[key, "easy to guess"], "correct the configuration");
    }
    report.says(&["pool.password", "draw one with: openssl rand -hex 16"]);
}

#[test]
fn somebody_who_cannot_be_told_is_a_fault() {
    let patient = Patient::new();
    let file = patient.configuration(
        "[nimiq]\nrun = \"no\"\n[[notify]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"https://alerts.example/\"\n\
         secret_file = \"/dev/null\"\n",
    );
    doctor(&file, &[]).fault(&["hook"], "correct");
}
