//! The monitor over real processes: one that is killed is started again, and people are told once.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use sandbox::{Http, Program, eventually, folder, free_ports};

/// Takes webhooks; gives its URL and the bodies.
fn webhook() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, bodies) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut length, mut line) = (0, String::new());
            while stream.read_line(&mut line).unwrap() > 2 {
                let (name, value) = line.split_once(':').unwrap_or_default();
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            stream.get_mut().write_all(answer).unwrap();
            if sender.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (url, bodies)
}

/// What the restart command started is killed when the test ends.
struct Started(PathBuf);

impl Drop for Started {
    fn drop(&mut self) {
        if let Ok(process) = std::fs::read_to_string(&self.0) {
            // It may have ended by itself.
            let _ = Command::new("kill").args(["-9", process.trim()]).status();
        }
    }
}

/// A script that starts a Master in the background, as systemd would.
fn restart_script(folder: &Path, configuration: &Path) -> (PathBuf, Started) {
    let (script, process) = (folder.join("restart"), folder.join("process"));
    let text = format!(
        "[ \"$1\" = headframe-master ] || exit 1\n{} master --config {} > {} 2>&1 &\necho $! > {}\n",
        env!("CARGO_BIN_EXE_headframe"),
        configuration.display(),
        folder.join("master.log").display(),
        process.display(),
    );
    std::fs::write(&script, text).unwrap();
    (script, Started(process))
}

#[test]
fn a_role_that_is_killed_runs_again_and_people_are_told_once() {
    let (_folder, path) = folder();
    let [chain, master, monitor] = free_ports();
    let (hook, bodies) = webhook();
    let configuration = path.join("pool.toml");
    let (script, _started) = restart_script(&path, &configuration);
    let text = format!(
        r#"
        [pool]
        password = "a password between roles"
        data = "{data}"
        [dev_chain]
        listen = "127.0.0.1:{chain}"
        [http]
        listen = "127.0.0.1:{master}"
        [nimiq]
        run = "no"
        [site]
        run = false
        [monitor]
        listen = "127.0.0.1:{monitor}"
        interval = 1
        restart_command = ["sh", "{script}", "{{unit}}"]
        [master]
        listen = "127.0.0.1:{master}"
        announcement_urls = ["http://127.0.0.1:{master}"]
        block_urls = ["http://127.0.0.1:{master}"]
        [pay_maker]
        listen = "127.0.0.1:{monitor}"
        [[notify]]
        name = "hook"
        kind = "webhook"
        url = "{hook}"
        "#,
        data = path.join("data").display(),
        script = script.display(),
    );
    std::fs::write(&configuration, text).unwrap();
    let file = configuration.to_str().unwrap();
    let data = path.join("data");
    let _chain = Program::headframe(&[
        "dev-chain",
        "--data",
        data.to_str().unwrap(),
        "--listen",
        &format!("127.0.0.1:{chain}"),
    ]);
    let mut master_process = Program::headframe(&["master", "--config", file]);
    let http = Http::new();
    let is_well = || http.get(&format!("http://127.0.0.1:{master}/healthz"));
    eventually("the Master to be well", is_well);
    let mut watching = Program::headframe(&["monitor", "--config", file]);
    let figures = format!("http://127.0.0.1:{monitor}");
    let metric = |name: &str| http.metric(&figures, name, "");
    eventually("the monitor to see everybody", || {
        metric("headframe_monitor_processes_down").filter(|down| *down == 0.0)
    });

    master_process.kill();
    eventually("the Master to be well again", is_well);
    watching.line(&["starting it again", "master"]);
    let first = eventually("somebody to be told", || bodies.try_recv().ok());
    let told = &first["messages"][0];
    assert!(told["text"].as_str().unwrap().starts_with("is down at "), "{first}");
    assert_eq!((&told["severity"], first["messages"].as_array().unwrap().len()), (&"critical".into(), 1));
    eventually("the monitor to see the new Master", || {
        metric("headframe_monitor_processes_down").filter(|down| *down == 0.0)
    });
    assert_eq!(metric("headframe_monitor_restarts_total"), Some(1.0));
    assert!(bodies.try_recv().is_err(), "within the quiet time nothing more is said");
}

/// Kind and name of a role, as a command line wants them.
fn of_role(state: &Value) -> (String, &str) {
    (state["role"].as_str().unwrap().replace('_', "-"), state["name"].as_str().unwrap())
}

#[test]
fn every_role_of_up_is_started_again_on_order_while_the_others_go_on() {
    let (_folder, path) = folder();
    let [port] = free_ports();
    let (data, listen) = (path.to_str().unwrap(), format!("127.0.0.1:{port}"));
    let place = ["--data", data, "--listen", &listen];
    let ports = ["--dev-chain-listen", "127.0.0.1:0", "--set", "nimiq_dev_chain.listen=127.0.0.1:0"];
    let server = ["--set", "nimiq_server.main.listen=127.0.0.1:0"];
    let mut up = Program::headframe(&[&["up"], &place[..], &ports[..], &server[..]].concat());
    let (http, base) = (Http::new(), format!("http://{listen}"));
    eventually("the pool to be well", || http.get(&format!("{base}/healthz")));
    let health = http.json(&format!("{base}/healthz")).unwrap();
    let roles: Vec<(String, &str)> = health["roles"].as_array().unwrap().iter().map(of_role).collect();
    assert_eq!(roles.len(), 9, "{health}");
    // By turns the admin API and the monitor are asked for it; the monitor itself comes last.
    for (number, (role, name)) in roles.iter().enumerate() {
        let through_admin = ["admin", "--data", data, "restart", role, name];
        let through_monitor = [&["monitor", "restart", role, name], &place[..]].concat();
        let mut ordered =
            Program::headframe(if number % 2 == 0 { &through_admin[..] } else { &through_monitor[..] });
        assert!(ordered.wait().success(), "{:?}", ordered.printed());
        eventually("the role to run again", || {
            let health = http.json(&format!("{base}/healthz"))?;
            let roles = health["roles"].as_array()?;
            let state = roles.iter().find(|state| of_role(state) == (role.clone(), *name))?;
            let note = state["note"].as_str()?;
            (state["ready"] == true && note.starts_with("started again: ")).then_some(())
        });
    }
    let mut unknown = Program::headframe(&[&["monitor", "restart", "dev-chain"], &place[..]].concat());
    unknown.line(&["the monitor at", "refuses: there is no dev_chain; there are:", "ann_handler main"]);
    assert!(!unknown.wait().success());
    up.interrupt();
    assert!(up.wait().success());
}
