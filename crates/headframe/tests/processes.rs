//! What an operator does with running processes: two on one folder, a port that is taken, a new target.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use sandbox::{Http, Program, eventually, folder, free_ports};
use serde_json::json;

/// `up` without miners; gives the URL of its Master.
fn up(data: &Path, more: &[&str]) -> (Program, String) {
    let mut arguments = vec!["up", "--data", data.to_str().unwrap(), "--dev-chain-listen", "127.0.0.1:0"];
    arguments.extend(["--set", "nimiq_dev_chain.listen=127.0.0.1:0"]);
    arguments.extend(["--set", "nimiq_server.main.listen=127.0.0.1:0"]);
    arguments.extend(more);
    let mut program = Program::headframe(&arguments);
    let line = program.line(&["Master:", "http://"]);
    (program, line[line.find("http://").unwrap()..].to_owned())
}

#[test]
fn a_second_program_on_the_same_folder_is_told_who_uses_it() {
    let (_folder, path) = folder();
    let (mut first, _) = up(&path, &["--listen", "127.0.0.1:0"]);
    let data = path.to_str().unwrap();
    let mut second = Program::headframe(&["up", "--data", data, "--listen", "127.0.0.1:0"]);
    second.line(&["headframe: the data folder", "is in use by headframe up (process", "--data"]);
    assert_eq!(second.wait().code(), Some(1));

    // And after the first has ended there is nothing to clean up.
    first.interrupt();
    assert!(first.wait().success());
    up(&path, &["--listen", "127.0.0.1:0"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let (_folder, path) = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut program = Program::headframe(&["up", "--data", path.to_str().unwrap(), "--listen", &address]);
    program.line(&["headframe: cannot listen on", &address, "in use"]);
    assert_eq!(program.wait().code(), Some(1));
}

#[test]
fn m7_a_log_line_names_the_request_that_its_answer_names() {
    let (_folder, path) = folder();
    let (mut program, master) = up(&path, &["--listen", "127.0.0.1:0"]);
    let submit = format!("{}/blk/main/submit?secret=hunter2", master.strip_suffix("/master").unwrap());
    let headers = [("x-pc-payto", "nobody"), ("x-pc-sver", "1"), ("x-request-id", "of-my-own")];
    let refused = eventually("the handler to look at shares", || {
        let answer = Http::new().post_named(&submit, &headers, b"garbage".to_vec())?;
        (answer.0 == 400).then_some(answer)
    });
    let (_, _, id) = refused;
    assert_eq!(id.len(), 16, "strangers do not choose ids: {id}");
    let request = format!("request={id} method=POST path=/blk/main/submit client=127.0.0.1");
    let line = program.line(&["a share was refused", &request]);
    assert!(!line.contains("hunter2"), "{line}");
}

#[test]
fn a_program_whose_messages_nobody_reads_any_more_still_stops() {
    let (_folder, path) = folder();
    let mut child = Command::new(env!("CARGO_BIN_EXE_headframe"))
        .args(["dev-chain", "--listen", "127.0.0.1:0", "--data", path.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first_line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first_line).unwrap();
    drop(child.stderr.take());
    let stop = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(stop.success());
    let status = eventually("the program to end", || child.try_wait().unwrap());
    assert!(status.success(), "{status} after {first_line:?}");
}

/// As with a pipe whose reader has ended, or a terminal that was closed: what is logged cannot be written, and costs nothing else.
#[test]
fn a_pool_whose_messages_nobody_reads_any_more_works_on() {
    let (_folder, path) = folder();
    let mut child = Command::new(env!("CARGO_BIN_EXE_headframe"))
        .args(["up", "--listen", "127.0.0.1:0", "--dev-chain-listen", "127.0.0.1:0", "--set", "nimiq.run=no"])
        .args(["--data", path.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    while !said.contains("figures: http") {
        lines.read_line(&mut said).unwrap();
    }
    drop((lines, child.stderr.take()));
    let url = |before: &str| {
        let (_, rest) = said.split_once(before).unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let (node, health) = (url("pktd's JSON-RPC at "), url("health: "));
    let http = Http::new();
    let height =
        || Some(http.json(&health.replace("healthz", "master/config.json"))?["currentHeight"].as_u64());
    let first = eventually("the Master to have work", height);
    for _ in 0..3 {
        http.rpc(&node, "devchain_extend", &json!([1]));
    }
    eventually("the work of the newest block", || {
        height().filter(|now| *now == first.map(|first| first + 3))
    });
    let roles = eventually("every role to be well", || http.json(&health));
    for role in roles["roles"].as_array().unwrap() {
        assert!(role["ready"] == true && role["note"].is_null(), "{role}");
    }
    let stop = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(stop.success());
    let status = eventually("the pool to end", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

#[test]
fn a_reload_changes_what_it_may_says_what_waits_and_drops_nobody() {
    let (_folder, path) = folder();
    let configuration = path.join("pool.toml");
    let write = |text: &str| std::fs::write(&configuration, text).unwrap();
    write("[master]\nannouncement_work = 128\nmine_old_anns = 2\n");
    let file = configuration.to_str().unwrap();
    let (mut program, master) = up(&path.join("data"), &["--listen", "127.0.0.1:0", "--config", file]);
    let http = Http::new();
    let config = || http.json(&format!("{master}/config.json"));
    let before = eventually("the Master to have work", config);
    assert_eq!(before["annTarget"], 0x2001_ffff);
    let mut kept = KeptConnection::open(&master);
    assert_eq!(kept.ask("config.json"), 200);

    write("[master]\nannouncement_work = 256\nmine_old_anns = 1\n[http]\nconnections = 99\n");
    program.signal("HUP");
    let after = eventually("the new target", || config().filter(|config| config["mineOldAnns"] == 1));
    assert_eq!(after["annTarget"], 0x2000_ffff);
    assert_eq!(after["tipHash"], before["tipHash"]);
    program.line(&["in force now: master.mine_old_anns is 1 (it was 2)"]);
    program.line(&["waits for a restart: http.connections is 20480, and will be 99"]);
    assert_eq!(kept.ask("config.json"), 200, "the connection of before the reload");

    // A mistake changes nothing and says what it is.
    write("[master]\nannouncement_work = 0\nmine_old_anns = 9\n");
    program.signal("HUP");
    program.line(&["nothing has changed: 2 errors in the configuration"]);
    program.line(&["pool.toml:2:21", "announcement_work", "must be a whole number from 1"]);
    program.line(&["pool.toml:3:17", "mine_old_anns"]);
    assert_eq!(config().unwrap()["annTarget"], 0x2000_ffff);
    assert_eq!(kept.ask("config.json"), 200);

    // What the first reload could not put in force still waits, although nobody has touched it again.
    write(
        "[log]\nfilter = \"debug,hyper=warn\"\n[master]\nannouncement_work = 256\nmine_old_anns = 1\n[http]\nconnections = 98\n",
    );
    program.signal("HUP");
    program.line(&["waits for a restart: http.connections is 20480, and will be 98"]);
    program.line(&["in force now: log.filter is"]);
}

#[test]
fn a_reload_takes_up_a_new_certificate_and_no_wrong_one() {
    let (_folder, path) = folder();
    let [port] = free_ports();
    let (certificate, key) = (path.join("certificate.pem"), path.join("key.pem"));
    let renew = || {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        made.cert.pem()
    };
    let first = renew();
    let listen = format!("nimiq_server.main.listen=127.0.0.1:{port}");
    let shown = format!("nimiq_server.main.certificate={}", certificate.display());
    let secret = format!("nimiq_server.main.key={}", key.display());
    let arguments = [
        ("--listen", "127.0.0.1:0"),
        ("--set", "pool.run_packetcrypt=no"),
        ("--set", "nimiq_dev_chain.listen=127.0.0.1:0"),
        ("--set", &listen),
        ("--set", &shown),
        ("--set", &secret),
    ]
    .map(|(flag, value)| [flag, value])
    .concat();
    let data = path.join("data");
    let mut program =
        Program::headframe(&[&["up", "--data", data.to_str().unwrap()], &arguments[..]].concat());
    program.line(&["figures: http"]);
    let url = format!("https://localhost:{port}/");
    let answers = |trusted: &str| Http::trusting(trusted).get(&url).is_some();
    assert!(answers(&first));

    let second = renew();
    program.signal("HUP");
    eventually("the new certificate to be shown", || answers(&second).then_some(()));
    assert!(!answers(&first));

    std::fs::write(&certificate, "no certificate").unwrap();
    program.signal("HUP");
    program.line(&["nothing has changed: Nimiq server main", "holds no certificate"]);
    assert!(answers(&second));
}

/// A connection that a client keeps open between its requests.
struct KeptConnection {
    stream: BufReader<std::net::TcpStream>,
    path: String,
}

impl KeptConnection {
    fn open(url: &str) -> Self {
        let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let stream = std::net::TcpStream::connect(address).unwrap();
        Self { stream: BufReader::new(stream), path: format!("/{path}") }
    }

    /// Gets a document; gives the status.
    fn ask(&mut self, document: &str) -> u16 {
        let request = format!("GET {}/{document} HTTP/1.1\r\nhost: pool\r\n\r\n", self.path);
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| line != "\r\n") {
            let mut line = String::new();
            assert!(
                self.stream.read_line(&mut line).unwrap() > 0,
                "the connection was closed after {lines:?}"
            );
            lines.push(line);
        }
        let length = lines
            .iter()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        self.stream.read_exact(&mut vec![0; length.unwrap()]).unwrap();
        lines[0].split(' ').nth(1).unwrap().parse().unwrap()
    }
}
