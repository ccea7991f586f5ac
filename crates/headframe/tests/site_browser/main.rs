//! The website in a real browser, in front of a running pool: what visitors see, and that it lives.
//!
//! These tests run where `AXE_CORE_FOLDER` names the installed accessibility audit and Debian's `chromium` and
//! `chromium-driver` are there, as `cargo xtask test --step site-browser` sees to; elsewhere they say that they were
//! skipped. `SCHEMATHESIS` names the program that compares the API with its document. Screenshots of every page stay in
//! `target/screenshots`.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod admin;
mod api;
mod audit;
mod browser;
mod operator;
mod pool;
mod roles;
#[path = "../sandbox/mod.rs"]
mod sandbox;
mod visitor;

use std::process::Command;

/// Whether there is a browser, and an audit.
fn is_equipped() -> bool {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let missing = [
        (has("chromium"), "chromium: apt-get install chromium"),
        (has("chromedriver"), "chromedriver: apt-get install chromium-driver"),
        (audit::axe().is_some(), "axe-core: cargo xtask test --step site-browser installs it"),
    ];
    for (_, what) in missing.iter().filter(|(is_there, _)| !is_there) {
        println!("SKIPPED: the tests in a browser need {what}");
    }
    missing.iter().all(|(is_there, _)| *is_there)
}
