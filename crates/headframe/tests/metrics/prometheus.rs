//! The programs of the Debian package `prometheus`.

use std::io::Write;
use std::process::{Command, Output, Stdio};

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
