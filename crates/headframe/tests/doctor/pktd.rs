//! Faults of a PacketCrypt node.

use node::dev_chain::rpc::RpcUsers;
use serde_json::{Value, json};

use crate::patient::{Patient, doctor};
use crate::sandbox::{Http, Program, free_ports};
use crate::sick_node::{SetClock, SickNode, pkt_chain};
use crate::tls_server::TlsServer;

/// A node of a chain of its own: where it answers.
fn node(patient: &Patient) -> (Program, String) {
    let folder = patient.path("chain");
    let arguments = ["dev-chain", "--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()];
    let mut program = Program::headframe(&arguments);
    let line = program.line(&["http://"]);
    let url = line[line.find("http://").unwrap()..].split_whitespace().next().unwrap().to_owned();
    (program, url)
}

/// One in this process, whose replies are altered.
fn altered(patient: &Patient, alter: fn(&str, &mut Value)) -> SickNode {
    SickNode::altered_pktd(pkt_chain(&patient.path("chain"), &SetClock::default()), alter)
}

#[test]
fn a_node_that_is_well_is_found_to_be_so() {
    let patient = Patient::new();
    let (_node, url) = node(&patient);
    Http::new().rpc(&url, "devchain_extend", &json!([2]));
    let report = doctor(&patient.on_node(&url, "", ""), &[]);
    report.has_no_fault();
    for good in ["block 2 is", "gives templates", "has the same time", "can pay `pay_maker.default_address`"]
    {
        report.says(&["ok ", &url, good]);
    }
}

#[test]
fn a_node_that_is_not_there_is_a_fault() {
    let patient = Patient::new();
    let [nobody] = free_ports();
    let report = doctor(&patient.on_node(&format!("http://127.0.0.1:{nobody}"), "", ""), &[]);
    report.fault(&["PacketCrypt node", "cannot be reached"], "start the node, or correct `url` of [[node]]");
}

#[test]
fn a_node_that_has_too_many_clients_is_a_fault() {
    let patient = Patient::new();
    let (_node, url) = node(&patient);
    Http::new().rpc(&url, "devchain_refuse", &json!([600_000]));
    let report = doctor(&patient.on_node(&url, "", ""), &[]);
    report.fault(&["PacketCrypt node", "too many clients"], "--rpcmaxclients");
}

#[test]
fn a_node_that_hangs_is_a_fault() {
    let patient = Patient::new();
    let (_node, url) = node(&patient);
    Http::new().rpc(&url, "devchain_slow", &json!([600_000]));
    let report = doctor(&patient.on_node(&url, "", ""), &[]);
    report.fault(&["PacketCrypt node", "cannot be reached"], "start the node, or correct `url`");
}

#[test]
fn a_node_that_does_not_know_us_or_lets_us_do_little_is_a_fault() {
    let patient = Patient::new();
    let chain = pkt_chain(&patient.path("chain"), &SetClock::default());
    let limited = RpcUsers::only("guest", "0f1e2d3c").full;
    let node = SickNode::pktd(chain, RpcUsers { limited, ..RpcUsers::only("pool", "f00dcafe") });
    let report = |login: &str| doctor(&patient.on_node(&node.url, login, ""), &[]);

    report("user = \"pool\"\npassword = \"f00dcafe\"").has_no_fault();
    let login = "give [[node]] the user and password that the node was started with";
    report("user = \"pool\"\npassword = \"deadbeef\"").fault(&[&node.url, "refuses our user"], login);
    report("").fault(&[&node.url, "refuses our user"], login);
    let cookie = format!("cookie_file = \"{}\"", patient.path("rpc.cookie").display());
    report(&cookie)
        .fault(&[&node.url, "cannot read the cookie file"], "let the account that runs the pool read it");
    let guest = report("user = \"guest\"\npassword = \"0f1e2d3c\"");
    guest.fault(&[&node.url, "gives no template", "limited user"], "--rpcuser and --rpcpass");
}

#[test]
fn a_node_whose_chain_stands_still_is_a_fault() {
    let patient = Patient::new();
    let clock = SetClock::ahead(-3 * 3600);
    let chain = pkt_chain(&patient.path("chain"), &clock);
    clock.set_ahead(0);
    let node = SickNode::pktd(chain, RpcUsers::default());
    let report = doctor(&patient.on_node(&node.url, "", ""), &[]);
    report.fault(&[&node.url, "newest block, 2, is", "minutes old"], "getpeerinfo");
    report.has_one_fault();
}

#[test]
fn a_node_with_another_time_is_a_fault() {
    for (ahead, order) in [(600, "ahead of ours"), (-600, "behind ours")] {
        let patient = Patient::new();
        // No block may be older than the one before it, and none is in the future.
        let clock = SetClock::ahead(ahead.min(0));
        let chain = pkt_chain(&patient.path("chain"), &clock);
        clock.set_ahead(ahead);
        let node = SickNode::pktd(chain, RpcUsers::default());
        let report = doctor(&patient.on_node(&node.url, "", ""), &[]);
        report.fault(&[&node.url, "its clock is", order], "set both clocks");
        report.has_one_fault();
    }
}

#[test]
fn a_node_that_gives_no_template_is_a_fault() {
    let without_address = |method: &str, reply: &mut Value| {
        if method == "getrawblocktemplate" {
            let text = "0.0.0-custom A coinbase transaction has been requested, but the server has not been configured \
                        with any payment addresses via --miningaddr";
            *reply = json!({"result": null, "error": {"code": -32603, "message": text}, "id": reply["id"]});
        }
    };
    let patient = Patient::new();
    let report = doctor(&patient.on_node(&altered(&patient, without_address).url, "", ""), &[]);
    report.fault(&["gives no template", "payment addresses"], "start pktd with --miningaddr");
    report.has_one_fault();

    let busy = |method: &str, reply: &mut Value| {
        if method == "getrawblocktemplate" {
            let text = "0.0.0-custom ErrRPCClientNotConnected(-9): not connected";
            *reply = json!({"result": null, "error": {"code": -9, "message": text}, "id": reply["id"]});
        }
    };
    let patient = Patient::new();
    let report = doctor(&patient.on_node(&altered(&patient, busy).url, "", ""), &[]);
    report.fault(&["gives no template", "not connected"], "wait until the node is in sync");

    let nonsense = |method: &str, reply: &mut Value| {
        if method == "getrawblocktemplate" {
            reply["result"] = json!({"height": 3});
        }
    };
    let patient = Patient::new();
    let report = doctor(&patient.on_node(&altered(&patient, nonsense).url, "", ""), &[]);
    report.fault(&["gives no template", "unexpected answer"], "correct `url` of [[node]]");
}

#[test]
fn an_address_that_the_node_cannot_pay_is_a_fault() {
    let unknown = |method: &str, reply: &mut Value| {
        if method == "validateaddress" {
            reply["result"] = json!({"isvalid": false});
        }
    };
    let patient = Patient::new();
    let report = doctor(&patient.on_node(&altered(&patient, unknown).url, "", ""), &[]);
    for key in ["default_address", "error_address", "pool_fee_address"] {
        let key = format!("pay_maker.{key}");
        report.fault(
            &["cannot pay pkt1q6hqsqhqdgqf", &key],
            &format!("give another address as `{key}`, or a node"),
        );
    }
}

#[test]
fn each_of_several_nodes_is_looked_at() {
    let patient = Patient::new();
    let [nobody] = free_ports();
    let node = altered(&patient, |_, _| {});
    let second = format!("[[node]]\nurl = \"http://127.0.0.1:{nobody}\"");
    let report = doctor(&patient.on_node(&node.url, "", &second), &[]);
    report.says(&["ok ", &node.url, "gives templates"]);
    report.fault(&[&format!(":{nobody}"), "cannot be reached"], "start the node");
    report.has_one_fault();
}

#[test]
fn a_node_whose_certificate_nobody_vouches_for_is_a_fault() {
    let patient = Patient::new();
    let node = TlsServer::start(&patient.path(""));
    let report = doctor(&patient.on_node(&node.url, "", ""), &[]);
    report.fault(&[&node.url, "certificate"], "give its own as `certificate` of [[node]]");
}
