//! Tells the program what it is built from: the commit of the source tree, or what a packager sets as `HEADFRAME_BUILD`.
//! A source tree without either builds a program that does not know.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=HEADFRAME_BUILD");
    if std::env::var_os("HEADFRAME_BUILD").is_some() {
        return;
    }
    // Each commit, and each change of branches, adds a line there.
    if let Some(log) = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo:rustc-env=HEADFRAME_BUILD={commit}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned())
}
