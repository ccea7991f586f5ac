//! `headframe admin` against a running `up`: it finds it by the data folder, sees what waits, bans and lifts, has things
//! done at once, and sees what the file says by now; and all that it did is in the audit log, over a restart too. The page
//! for browsers is served by the same listener, to nobody else's page.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;
mod whole_pool;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use sandbox::{Http, Program, eventually, folder};
use serde_json::{Value, json};
use whole_pool::Up;

/// Runs the client; gives what it printed, or its error.
fn admin(file: &Path, arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_headframe"))
        .arg("admin")
        .args(["--config", file.to_str().unwrap()])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    if !output.status.success() {
        return Err(text(&output.stderr));
    }
    Ok(serde_json::from_str(&text(&output.stdout)).unwrap())
}

/// Writes the file of a pool on free ports.
fn write(file: &Path, data: &Path, mine_old_anns: u32) {
    let data = data.display();
    let text = format!(
        "[pool]\ndata = \"{data}\"\n[http]\nlisten = \"127.0.0.1:0\"\n[dev_chain]\nlisten = \"127.0.0.1:0\"\n\
         [nimiq]\nrun = \"no\"\n[site]\nrun = false\n[master]\nmine_old_anns = {mine_old_anns}\n"
    );
    std::fs::write(file, text).unwrap();
}

#[test]
fn u8_operators_see_and_act_and_all_of_it_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("pool.toml"), folder.path().join("data"));
    write(&file, &data, 2);
    let mut program = Program::headframe(&["up", "--config", file.to_str().unwrap()]);
    let line = program.line(&["admin API:", "http://"]);
    let url = line[line.find("http://").unwrap()..].split("/admin").next().unwrap().to_owned();
    let ask = |arguments: &[&str]| admin(&file, arguments);
    eventually("queues", || {
        ask(&["queues"]).ok().filter(|queues| queues.to_string().contains("posts_waiting"))
    });

    let stages = ask(&["stages"]).unwrap();
    assert!(stages.as_array().unwrap().iter().any(|stage| stage["stage"] == "check"), "{stages}");
    let acts = ask(&["acts"]).unwrap();
    assert_eq!((&acts["process"], &acts["retry"][0]["what"]), (&"up".into(), &"payouts".into()));
    assert!(acts["restart"].to_string().contains("ann_handler"), "{acts}");

    let ban = ["bans", "add", "198.51.100.0/24", "--minutes", "60", "--reason", "floods"];
    assert_eq!(ask(&[&ban[..], &["--dry-run"]].concat()).unwrap()["would_ban"]["reason"], "floods");
    assert_eq!(ask(&["bans", "list"]).unwrap().as_array().unwrap().len(), 0);
    ask(&ban).unwrap();
    ask(&["bans", "add", "192.0.2.1", "--minutes", "60", "--reason", "floods"]).unwrap();
    assert_eq!(ask(&["retry", "payouts"]).unwrap()["told"][0], "PayMaker");
    assert_eq!(ask(&["retry", "outboxes", "--dry-run"]).unwrap()["would_tell"].as_array().unwrap().len(), 2);
    assert!(ask(&["retry", "everything"]).unwrap_err().contains("this process can do: payouts, outboxes"));
    assert!(
        ask(&["bans", "add", "nobody", "--minutes", "1", "--reason", "x"])
            .unwrap_err()
            .contains("expected an IP")
    );

    assert_eq!(ask(&["config-diff"]).unwrap(), Value::Array(Vec::new()));
    write(&file, &data, 3);
    let difference = ask(&["config-diff"]).unwrap();
    assert_eq!(
        (&difference[0]["key"], &difference[0]["in_force"], &difference[0]["written"]),
        (&"master.mine_old_anns".into(), &"2".into(), &"3".into())
    );
    assert_eq!(ask(&["config"]).unwrap()["master.mine_old_anns"], "2");

    // The file is read again: first only to see what that would be, then with a mistake in it, then in earnest.
    let report = &ask(&["reload", "--dry-run"]).unwrap()["would_be"];
    assert_eq!(report["in_force"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(ask(&["config"]).unwrap()["master.mine_old_anns"], "2");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{good}share_divisor = \"many\"\n")).unwrap();
    assert!(ask(&["reload"]).unwrap_err().contains("share_divisor"), "the client reads the same file");
    let (status, fault) = Http::new().post(&format!("{url}/admin/reload"), &[], b"{}".to_vec()).unwrap();
    assert_eq!(status, 503, "{fault}");
    assert!(fault.contains("nothing has changed") && fault.contains("share_divisor"), "{fault}");
    std::fs::write(&file, format!("{good}[admission]\nmistakes = 7\nclients = 5000\n")).unwrap();
    let report = ask(&["reload"]).unwrap();
    let keys = |part: &str| -> Vec<String> {
        report[part].as_array().unwrap().iter().map(|change| change["key"].to_string()).collect()
    };
    assert_eq!(keys("in_force"), ["\"admission.mistakes\"", "\"master.mine_old_anns\""]);
    assert_eq!(keys("waiting_for_a_restart"), ["\"admission.clients\""]);
    assert_eq!(ask(&["config"]).unwrap()["master.mine_old_anns"], "3");
    write(&file, &data, 3);

    browsers_get_the_page_and_no_other_page_anything(url.strip_prefix("http://").unwrap());

    program.kill();
    let mut program = Program::headframe(&["up", "--config", file.to_str().unwrap()]);
    program.line(&["admin API:"]);
    assert_eq!(ask(&["bans", "list"]).unwrap().as_array().unwrap().len(), 2, "bans outlive a kill");
    ask(&["bans", "lift", "192.0.2.1"]).unwrap();
    let audit = ask(&["audit"]).unwrap();
    let acts: Vec<_> = audit.as_array().unwrap().iter().map(|act| act["act"].as_str().unwrap()).collect();
    assert_eq!(
        acts,
        ["lift", "reload", "reload", "reload", "ban", "retry", "retry", "retry", "ban", "ban", "ban"]
    );
    assert!(audit.as_array().unwrap().iter().all(|act| act["who"] == "127.0.0.1"));
}

/// Sends a request with exactly these headers; gives the head of the answer, in small letters.
fn head(address: &str, request: &str, headers: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nconnection: close\r\n{}\r\n\r\n", headers.join("\r\n")).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).split("\r\n\r\n").next().unwrap().to_lowercase()
}

fn browsers_get_the_page_and_no_other_page_anything(address: &str) {
    let host = format!("host: {address}");
    let (opened, own) = ("sec-fetch-site: none", "sec-fetch-site: same-origin");
    for path in ["/admin", "/admin/", "/admin/page.js", "/admin/style.css"] {
        let answer = head(address, &format!("GET {path}"), &[&host, opened]);
        assert!(answer.starts_with("http/1.1 200"), "{path}: {answer}");
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self';",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
        ] {
            assert!(answer.contains(header), "{path}: {header} is not in {answer}");
        }
    }
    assert!(head(address, "GET /admin/queues", &[&host, own]).starts_with("http/1.1 200"));
    let port = address.rsplit(':').next().unwrap();
    let rebound = format!("host: rebound.example:{port}");
    for (request, headers) in [
        ("GET /admin", vec![rebound.as_str(), opened]),
        ("GET /admin/queues", vec![&rebound, own]),
        ("GET /admin", vec![&host, "sec-fetch-site: cross-site"]),
        ("GET /admin/queues", vec![&host, "sec-fetch-site: same-site"]),
        ("GET /admin/queues", vec![&host, opened]),
        (
            "POST /admin/bans/lift",
            vec![&host, "origin: http://evil.example", "content-type: application/json"],
        ),
        ("POST /admin/bans/lift", vec![&host, own, "origin: null", "content-type: application/json"]),
        ("OPTIONS /admin/bans/lift", vec![&host, "origin: http://evil.example"]),
    ] {
        let answer = head(address, request, &headers);
        assert!(answer.starts_with("http/1.1 403"), "{request} {headers:?}: {answer}");
        assert!(!answer.contains("access-control"), "{answer}");
    }
    let form =
        head(address, "POST /admin/reload", &[&host, own, "content-type: text/plain", "content-length: 0"]);
    assert!(form.starts_with("http/1.1 415"), "{form}");
}

#[test]
fn u8_a_public_admin_api_wants_a_token_that_nobody_guesses() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let set = format!("admin.token_file={}", token.display());
    let starts = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_headframe"))
            .args([
                "doctor",
                "--set",
                "admin.listen=192.0.2.1:8079",
                "--data",
                folder.path().to_str().unwrap(),
            ])
            .args(more)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(starts(&[]).contains("`admin.token_file` is missing: the admin API at 192.0.2.1:8079"));
    std::fs::write(&token, "0123456789abcdef0123456789abcdef\n").unwrap();
    assert!(starts(&["--set", &set]).contains("`admin.token_file` is easy to guess"));
}

/// A round of payouts at once, which the schedule has once a day: miners are paid, and what is under way is compared with
/// the chain.
#[test]
fn u8_nimiq_payouts_are_made_on_order() {
    let (_folder, path) = folder();
    let data = path.to_str().unwrap();
    let mut up = Up::with(data, &["nimiq_payout.interval=86400", "nimiq_payout.automatic_above=0.1"]);
    let line = up.program.line(&["Nimiq service:", "the blocks that pay"]);
    let pool = line.rsplit("that pay ").next().unwrap().to_owned();
    eventually("a share to be accepted", || (up.nimiq_shares() > 0.0).then_some(()));
    let planned = || up.http.metric(&up.base, "headframe_nimiq_payout_last_plan_timestamp_seconds", "");
    let order = || {
        let words = ["admin", "--data", data, "retry", "nimiq-payouts"];
        let output = Command::new(env!("CARGO_BIN_EXE_headframe")).args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let first = eventually("the first plan", || planned().filter(|time| *time > 0.0));
    eventually("another plan", || {
        order();
        planned().filter(|time| *time > first)
    });
    eventually("the miner to be paid", || {
        up.http.nimiq_rpc(&up.nimiq_node, "devchain_extend", &json!([pool, 1]));
        up.extend_nimiq_chain();
        order();
        (up.nimiq_paid() > 0).then_some(())
    });
    let settled = || up.http.metric(&up.base, "headframe_nimiq_payouts", "state=\"confirmed\"");
    eventually("that to be booked", || {
        up.extend_nimiq_chain();
        order();
        settled().filter(|payouts| *payouts > 0.0)
    });
}
