//! Faults of a Nimiq node, of the pool's account, and of the database of its accounts.

use std::os::unix::fs::PermissionsExt;

use ledger::local_postgres::{Durability, LocalPostgres};
use ledger::nimiq::Accounts;
use node::dev_chain::rpc::RpcUsers;
use serde_json::{Value, json};
use sqlx::Connection;

use crate::patient::{ACCOUNT, Patient, Report, doctor};
use crate::sandbox::free_ports;
use crate::sick_node::{SetClock, SickNode, nimiq_chain};

fn altered(patient: &Patient, alter: fn(&str, &mut Value)) -> SickNode {
    SickNode::altered_nimiq(nimiq_chain(&patient.path("chain"), &SetClock::default()), alter)
}

/// What is said of a pool on this node.
fn report(patient: &Patient, node: &SickNode) -> Report {
    doctor(&patient.on_nimiq_node(&node.url, "", ""), &[])
}

#[test]
fn a_node_that_is_well_is_found_to_be_so() {
    let patient = Patient::new();
    let node =
        SickNode::nimiq(nimiq_chain(&patient.path("chain"), &SetClock::default()), RpcUsers::default());
    let report = report(&patient, &node);
    report.has_no_fault();
    for good in ["consensus", "gives templates", "block 3 is", "has the same time"] {
        report.says(&["ok ", &node.url, good]);
    }
}

#[test]
fn a_node_that_is_not_there_is_a_fault() {
    let patient = Patient::new();
    let [nobody] = free_ports();
    let report = doctor(&patient.on_nimiq_node(&format!("http://127.0.0.1:{nobody}"), "", ""), &[]);
    report.fault(&["Nimiq node", "cannot be reached"], "correct `url` of [[nimiq_node]]");
}

#[test]
fn a_node_that_hangs_is_a_fault() {
    let patient = Patient::new();
    let chain = nimiq_chain(&patient.path("chain"), &SetClock::default());
    chain.faults().slow(std::time::Duration::from_mins(10));
    let report = report(&patient, &SickNode::nimiq(chain, RpcUsers::default()));
    report.fault(&["Nimiq node", "cannot be reached"], "correct `url` of [[nimiq_node]]");
}

#[test]
fn what_is_no_node_of_this_chain_is_a_fault() {
    let patient = Patient::new();
    let chain = crate::sick_node::pkt_chain(&patient.path("chain"), &SetClock::default());
    let report = report(&patient, &SickNode::pktd(chain, RpcUsers::default()));
    report.fault(&["Nimiq node"], "correct `url` of [[nimiq_node]]");
}

#[test]
fn a_node_that_does_not_know_us_is_a_fault() {
    let patient = Patient::new();
    let chain = nimiq_chain(&patient.path("chain"), &SetClock::default());
    let node = SickNode::nimiq(chain, RpcUsers::only("pool", "f00dcafe"));
    let report = |login: &str| doctor(&patient.on_nimiq_node(&node.url, login, ""), &[]);
    report("user = \"pool\"\npassword = \"f00dcafe\"").has_no_fault();
    let fix = "give [[nimiq_node]] the user and password that the node was started with";
    report("user = \"pool\"\npassword = \"deadbeef\"").fault(&[&node.url, "refuses our user"], fix);
    report("").fault(&[&node.url, "refuses our user"], fix);
}

#[test]
fn a_node_without_its_network_is_a_fault() {
    let patient = Patient::new();
    let chain = nimiq_chain(&patient.path("chain"), &SetClock::default());
    chain.set_consensus(false);
    let report = report(&patient, &SickNode::nimiq(chain, RpcUsers::default()));
    report.fault(&["Nimiq node", "has no consensus"], "look at its connections");
}

#[test]
fn a_node_whose_chain_stands_still_is_a_fault() {
    let patient = Patient::new();
    let clock = SetClock::ahead(-3 * 3600);
    let chain = nimiq_chain(&patient.path("chain"), &clock);
    clock.set_ahead(0);
    let report = report(&patient, &SickNode::nimiq(chain, RpcUsers::default()));
    report.fault(&["newest block, 3, is", "minutes old"], "look at its connections");
    report.has_one_fault();
}

#[test]
fn a_clock_that_is_behind_the_chain_is_a_fault() {
    let patient = Patient::new();
    let chain = nimiq_chain(&patient.path("chain"), &SetClock::ahead(600));
    let report = report(&patient, &SickNode::nimiq(chain, RpcUsers::default()));
    report.fault(&["newest block, 3, is", "in the future"], "set the clock");
    report.has_one_fault();
}

#[test]
fn a_node_with_another_time_is_a_fault() {
    for (date, order) in
        [("Tue, 01 Jan 2097 00:00:00 GMT", "ahead of ours"), ("Tue, 01 Jan 2019 00:00:00 GMT", "behind ours")]
    {
        let patient = Patient::new();
        let chain = nimiq_chain(&patient.path("chain"), &SetClock::default());
        let report = report(&patient, &SickNode::nimiq_at(chain, date));
        report.fault(&["Nimiq node", "its clock is", order], "set both clocks");
        report.has_one_fault();
    }
}

#[test]
fn a_node_that_gives_no_template_is_a_fault() {
    let refused = |method: &str, reply: &mut Value| {
        if method == "getBlockTemplate" {
            *reply = json!({"jsonrpc": "2.0", "error": {"code": 1, "message": "not now"}, "id": reply["id"]});
        }
    };
    let patient = Patient::new();
    let said = report(&patient, &altered(&patient, refused));
    said.fault(&["gives no template", "not now"], "wait until the node is in sync");
    said.has_one_fault();

    let of_another_network = |method: &str, reply: &mut Value| {
        if method == "getBlockTemplate" {
            reply["result"]["header"]["interlinkHash"] = json!("00".repeat(32));
        }
    };
    let patient = Patient::new();
    let said = report(&patient, &altered(&patient, of_another_network));
    said.fault(&["gives no template", "on this network"], "correct `nimiq.network`");
}

#[test]
fn a_key_that_is_not_of_the_pools_account_is_a_fault() {
    let patient = Patient::new();
    let node = altered(&patient, |_, _| {});
    let key = patient.path("pool.key");
    std::fs::write(&key, "07".repeat(32)).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let more = format!("[nimiq_payout]\nkey_file = \"{}\"", key.display());
    let file = patient.on_nimiq_node(&node.url, "", &more);
    doctor(&file, &[]).fault(&["payouts", "which is not `nimiq.address`"], "give the key of `nimiq.address`");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    doctor(&file, &[]).fault(&["payouts", "pool.key"], "chmod 600");
}

#[test]
fn a_file_that_is_not_on_this_machine_hides_nothing_else() {
    let patient = Patient::new();
    let node = altered(&patient, |_, _| {});
    let file = patient.on_nimiq_node(&node.url, "", "[nimiq_payout]\nkey_file = \"/nowhere/pool.key\"");
    let said = doctor(&file, &[]);
    said.fault(&["configuration", "/nowhere/pool.key, which cannot be read"], "correct the configuration");
    said.says(&["ok", "Nimiq node", "gives templates"]);
}

#[test]
fn accounts_that_are_no_database_are_a_fault() {
    let patient = Patient::new();
    let node = altered(&patient, |_, _| {});
    let file = patient.path("accounts.db");
    std::fs::write(&file, "this is no database, and it is longer than a header of one would have to be")
        .unwrap();
    let accounts = format!("accounts = \"sqlite://{}\"", file.display());
    let report = doctor(&patient.on_nimiq_node(&node.url, "", &accounts), &[]);
    report.fault(&["accounts of the Nimiq pool", "is no SQLite database"], "correct `nimiq.accounts`");
}

#[test]
fn a_database_server_that_is_not_there_or_knows_no_such_database_is_a_fault() {
    let patient = Patient::new();
    let node = altered(&patient, |_, _| {});
    let report = |url: &str| {
        doctor(&patient.on_nimiq_node(&node.url, "", &format!("accounts = \"{url}?sslmode=disable\"")), &[])
    };
    let fix = "is the server running, the user allowed, the database made?";
    let [nobody] = free_ports();
    report(&format!("postgres://pool@127.0.0.1:{nobody}/pool")).fault(&["accounts of the Nimiq pool"], fix);

    if LocalPostgres::programs().is_none() {
        assert!(std::env::var_os("CI").is_none(), "the tests need PostgreSQL (apt-get install postgresql)");
        eprintln!("SKIPPED: PostgreSQL is not installed (apt-get install postgresql)");
        return;
    }
    let postgres = LocalPostgres::start(Durability::Fast).unwrap();
    let url = postgres.new_database().unwrap();
    report(&url).says(&["ok ", "accounts of the Nimiq pool", "can be read"]);
    let (server, _) = url.rsplit_once('/').unwrap();
    report(&format!("{server}/nothing")).fault(&["accounts of the Nimiq pool", "nothing"], fix);
    report(&url.replace("postgres@", "nobody@")).fault(&["accounts of the Nimiq pool", "nobody"], fix);
}

/// A pool whose accounts say that somebody has so much, and somebody else so much less.
fn with_balances(mature: i64, reward: i64) -> Report {
    let patient = Patient::new();
    let node = altered(&patient, |_, _| {});
    let accounts = patient.path("data/nimiq/accounts.db");
    std::fs::create_dir_all(accounts.parent().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite://{}", accounts.display());
        Accounts::open(&url).await.unwrap().close().await;
        let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
        for (account, amount) in [("mature", mature), ("reward", reward)] {
            let insert = "INSERT INTO balances (chain, account, user_id, amount) VALUES ('nimiq', $1, 1, $2)";
            sqlx::query(insert).bind(account).bind(amount).execute(&mut database).await.unwrap();
        }
        database.close().await.unwrap();
    });
    report(&patient, &node)
}

#[test]
fn a_book_that_does_not_balance_is_a_fault() {
    let well = with_balances(0, 0);
    well.has_no_fault();
    well.says(&["ok ", "accounts of the Nimiq pool", "the book balances"]);
    with_balances(0, -1).fault(&["does not balance", "-1 Luna"], "headframe ledger verify");
}

#[test]
fn miners_whom_the_account_cannot_pay_are_a_fault() {
    let report = with_balances(1_500_000, -1_500_000);
    report.fault(
        &["the account has 0 NIM", "miners could be paid 15 NIM"],
        &format!("send the rest to {ACCOUNT}"),
    );
    report.has_one_fault();
}
