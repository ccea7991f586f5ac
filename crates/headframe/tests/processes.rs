//! What an operator does with running processes: two on one folder, a port that is taken, a new target.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use sandbox::{Http, Program, eventually, folder};

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

#[test]
fn a_new_announcement_target_needs_no_restart() {
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

    write("[master]\nannouncement_work = 256\nmine_old_anns = 1\n");
    program.signal("HUP");
    let after = eventually("the new target", || config().filter(|config| config["mineOldAnns"] == 1));
    assert_eq!(after["annTarget"], 0x2000_ffff);
    assert_eq!(after["tipHash"], before["tipHash"]);

    // A mistake changes nothing and says what it is.
    write("[master]\nannouncement_work = 0\n");
    program.signal("HUP");
    program.line(&["pool.toml:2:21", "announcement_work", "must be a whole number from 1"]);
    assert_eq!(config().unwrap()["annTarget"], 0x2000_ffff);
}
