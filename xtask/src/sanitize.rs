//! `cargo xtask sanitize`: the kernels of the proof of work under tools that watch every access to memory. A command of
//! its own: it takes many minutes. What no tool can run is skipped aloud; the test `guard_pages` covers that too.

use std::process::Command;

use anyhow::Context;

use crate::test::{answers, install_package};

/// The architecture whose kernels are watched. Named, so that what runs at build time is not watched with them.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The tests that run every kernel.
const TESTS: [&str; 2] = ["backend::against_plain", "base_multiplication"];

/// What Miri can run in minutes: the wide interpreter over registers that every processor has, and of the plain path the
/// interpreter and the hashes.
const FOR_MIRI: [&str; 6] = [
    "backend::wide_machine",
    "hash::tests::expansion_overwrites",
    "hash::tests::the_stream",
    "instruction::tests",
    "rand_hash::tests::outputs_are_added",
    "rand_hash::tests::pitfall_17",
];

/// Runs the tests under valgrind and, where there is a nightly compiler, with AddressSanitizer and in Miri.
pub fn run() -> anyhow::Result<()> {
    valgrind()?;
    if !answers("rustup", &["run", "nightly", "cargo", "--version"]) {
        println!(
            "SKIPPED: AddressSanitizer and Miri, which need a nightly compiler: rustup toolchain install nightly"
        );
        return Ok(());
    }
    address_sanitizer()?;
    miri()
}

/// Valgrind translates AVX2, and has no AVX-512: there the tests of that backend find no processor for it.
fn valgrind() -> anyhow::Result<()> {
    if !answers("valgrind", &["--version"]) {
        install_package("valgrind", "valgrind")?;
    }
    println!("==> valgrind: the backends plain and avx2");
    println!("SKIPPED: avx512, which valgrind cannot run");
    let mut command = Command::new(env!("CARGO"));
    command
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "valgrind --quiet --error-exitcode=1")
        .args(["test", "--package", "packetcrypt", "--lib", "--target", TARGET, "--"])
        .args(TESTS)
        .args(["--test-threads", "1"]);
    expect_success(command, "valgrind")
}

/// A compiler option that only nightly compilers know.
fn address_sanitizer() -> anyhow::Result<()> {
    println!("==> AddressSanitizer: every backend that this machine has");
    let mut command = Command::new("rustup");
    command
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .args(["run", "nightly", "cargo", "test", "--package", "packetcrypt", "--lib", "--target", TARGET])
        .args(["--target-dir", "target/sanitizer", "--"])
        .args(TESTS)
        .arg("item");
    expect_success(command, "AddressSanitizer")
}

/// Miri knows no assembly, and has no processor to ask what it can: there every backend but the plain one is missing.
fn miri() -> anyhow::Result<()> {
    if !answers("rustup", &["run", "nightly", "cargo", "miri", "--version"]) {
        println!(
            "SKIPPED: Miri, which is a component: rustup component add --toolchain nightly miri rust-src"
        );
        return Ok(());
    }
    println!("==> Miri: both interpreters, the hashes of the plain path");
    let mut command = Command::new("rustup");
    command
        .env("MIRIFLAGS", "-Zmiri-disable-isolation")
        .args(["run", "nightly", "cargo", "miri", "test", "--package", "packetcrypt", "--lib"])
        .args(["--target-dir", "target/miri", "--"])
        .args(FOR_MIRI);
    expect_success(command, "Miri")
}

fn expect_success(mut command: Command, tool: &str) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {tool}"))?;
    anyhow::ensure!(status.success(), "{tool} found something");
    Ok(())
}
