//! The programs of the Debian package `prometheus`: promtool, and Prometheus itself with the rules that operators are given.
//!
//! The rules run in quick motion: a minute of theirs is a second here.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::deployed::deployed;
use crate::sandbox::{Http, Program, eventually, free_ports};

/// Runs promtool with `input`; gives what it answers.
fn promtool(arguments: &[&str], input: &str) -> Output {
    let started = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = started.unwrap_or_else(|error| {
        panic!("promtool cannot be started ({error}); install it with: apt-get install prometheus")
    });
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    promtool.wait_with_output().unwrap()
}

/// Runs promtool, which must find nothing wrong.
pub fn run(arguments: &[&str]) {
    let Output { status, stdout, stderr } = promtool(arguments, "");
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "promtool {arguments:?} ended with {status}:\n{said}");
}

/// What `promtool check metrics` finds fault with: nothing, if all is well.
pub fn check_metrics(text: &str) -> String {
    let Output { status, stdout, stderr } = promtool(&["check", "metrics"], text);
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() || !said.is_empty(), "promtool ended with {status} and says nothing");
    said
}

/// A Prometheus that watches a pool.
pub struct Prometheus {
    _program: Program,
    http: Http,
    address: String,
}

impl Prometheus {
    /// Starts one in a folder of its own, with the configuration and the rules that operators are given and these
    /// targets.
    pub fn start(folder: &Path, targets: &[String]) -> Self {
        let folder = folder.join("prometheus");
        std::fs::create_dir(&folder).unwrap();
        let targets: Vec<String> = targets.iter().map(|target| format!("          - {target}\n")).collect();
        let targets = targets.concat();
        let given = deployed("prometheus/prometheus.yml");
        let own = given.replace("          - 127.0.0.1:8080\n", &targets).replace("15s", "250ms");
        assert!(own.contains(&targets) && own.contains("250ms"), "{own}");
        std::fs::write(folder.join("prometheus.yml"), own).unwrap();
        let rules = in_quick_motion(&deployed("prometheus/alerts.yml"));
        std::fs::write(folder.join("alerts.yml"), rules).unwrap();
        let [port] = free_ports();
        let address = format!("127.0.0.1:{port}");
        let arguments = [
            format!("--config.file={}", folder.join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address={address}"),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let program = Program::start(Path::new("prometheus"), &arguments);
        Self { _program: program, http: Http::new(), address }
    }

    /// The labels of the alerts of this name that fire now.
    pub fn firing(&self, alert: &str) -> Vec<Value> {
        let asked = self.http.json(&format!("http://{}/api/v1/alerts", self.address));
        let alerts = asked.and_then(|mut answer| answer["data"]["alerts"].as_array_mut().map(std::mem::take));
        let fires = |now: &Value| now["state"] == "firing" && now["labels"]["alertname"] == alert;
        alerts.unwrap_or_default().into_iter().filter(fires).map(|mut alert| alert["labels"].take()).collect()
    }

    /// Waits for an alert.
    pub fn until_fires(&self, alert: &str, label: &str, value: &str) {
        eventually(&format!("{alert} with {label}={value} to fire"), || {
            self.firing(alert).iter().any(|labels| labels[label] == value).then_some(())
        });
    }

    /// Waits for its end.
    pub fn until_silent(&self, alert: &str) {
        eventually(&format!("{alert} to be gone"), || self.firing(alert).is_empty().then_some(()));
    }

    /// The first value that a query finds.
    pub fn asked(&self, query: &str) -> Option<f64> {
        let answer = self.http.json(&format!("http://{}/api/v1/query?query={query}", self.address))?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

/// Rules with every time divided by sixty; two hours of waiting, which are written in seconds, by an hour.
fn in_quick_motion(rules: &str) -> String {
    let mut quick = String::new();
    let mut digits = String::new();
    let mut letters = rules.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        let ends = letters.peek().is_none_or(|next| !next.is_ascii_alphanumeric());
        let unit = match letter {
            'm' if ends && !digits.is_empty() => 's',
            'h' if ends && !digits.is_empty() => 'm',
            other => other,
        };
        quick.push_str(&digits);
        digits.clear();
        quick.push(unit);
    }
    (quick + &digits).replace("_seconds > 7200", "_seconds > 2")
}

#[test]
fn quick_motion_changes_times_and_nothing_else() {
    let slow = "rate(a[10m]) > 1\nfor: 5m\nsum(increase(b[6h])) > 0.25 and c offset 20m\nsum by (name)";
    let quick = "rate(a[10s]) > 1\nfor: 5s\nsum(increase(b[6m])) > 0.25 and c offset 20s\nsum by (name)";
    assert_eq!(in_quick_motion(slow), quick);
}
