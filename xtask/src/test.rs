//! `cargo xtask test`: every check there is, in the order in which a fault is cheapest to find.

pub mod ahead;
mod package;
pub mod programs;
mod second_run;
mod side_by_side;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use ledger::local_postgres::LocalPostgres;
use packetcrypt::backend::{BACKEND_VARIABLE, Backend};

use crate::reference::{nimiq_core, packetcrypt as packetcrypt_program, target_folder};
use crate::{tidy, vectors};
use side_by_side::Job;

/// A check by its name on the command line.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> anyhow::Result<()>,
}

const STEPS: &[Step] = &[
    Step {
        name: "tools",
        about: "what the checks need: rustfmt, clippy, a C compiler, PostgreSQL, Prometheus, nginx, node, Chromium",
        run: tools,
    },
    Step { name: "tidy", about: "the house rules", run: tidy::run },
    Step { name: "format", about: "cargo fmt --check", run: || cargo(&["fmt", "--all", "--check"]) },
    Step {
        name: "lints",
        about: "cargo clippy, warnings are errors",
        run: || cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]),
    },
    Step {
        name: "vectors",
        about: "the test vectors in vectors/",
        run: || vectors::run(Path::new("vectors")),
    },
    Step {
        name: "tests",
        about: "unit, property, role, end-to-end, fault and interoperability tests",
        run: tests,
    },
    Step {
        name: "nimiq-network",
        about: "real Nimiq nodes and stock miners beside our node client, chain and pool",
        run: nimiq_network,
    },
    Step {
        name: "package",
        about: "the Debian package in a fresh root with systemd, and a pool started from it",
        run: package::run,
    },
    Step {
        name: "site-browser",
        about: "every page of the website in Chromium, its accessibility audit, and the API against its document",
        run: crate::site_browser::run,
    },
    Step {
        name: "backends",
        about: "the proof of work and the roles that check it, with each backend forced",
        run: backends,
    },
    Step {
        name: "differential",
        about: "our proof of work against the reference library, on random inputs",
        run: differential,
    },
    Step {
        name: "fuzz",
        about: "two seconds of mutated input for each parser",
        run: || crate::fuzz::run(None, 2),
    },
];

/// The test programs that take longest, the longest first: they begin first, so that none of them runs alone at the end.
const LONGEST: [&str; 7] = ["metrics", "nimiq_faults", "pool", "interoperability", "backup", "faults", "up"];
/// Those of them that wait most of their time.
const WAITING: [&str; 3] = ["metrics", "nimiq_faults", "backup"];

/// Runs all steps, or those named.
pub fn run(only: &[String]) -> anyhow::Result<()> {
    for name in only {
        let known = STEPS.iter().any(|step| step.name == name);
        anyhow::ensure!(known, "there is no step {name:?}");
    }
    std::env::set_current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?;
    for step in STEPS {
        println!("step {:13} {}", step.name, step.about);
    }
    let mut failed = Vec::new();
    for step in STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)) {
        println!("\n==> {}: {}", step.name, step.about);
        let start = Instant::now();
        let result = (step.run)();
        if only.is_empty() && step.name == "tools" {
            ahead::begin();
        }
        let seconds = start.elapsed().as_secs();
        match result {
            Ok(()) => println!("==> {}: passed in {seconds} s", step.name),
            Err(error) => {
                println!("==> {}: FAILED after {seconds} s: {error:#}", step.name);
                failed.push(step.name);
            }
        }
    }
    second_run::report();
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    println!("\nall checks passed");
    Ok(())
}

fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(env!("CARGO")).args(arguments).status().context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}

/// The tests of the folder `differential`, whose manifest says why it stands apart and what is cleaned first.
fn differential() -> anyhow::Result<()> {
    let place = ["--manifest-path", "differential/Cargo.toml", "--target-dir", "target/differential"];
    cargo(&[&["clean", "--quiet", "--package", "packetcrypt-sys"][..], &place].concat())?;
    cargo(&[&["test", "--quiet"][..], &place].concat())
}

/// All tests of the workspace, documentation tests included.
fn tests() -> anyhow::Result<()> {
    let mut programs = programs::build()?;
    let reference = match ahead::PACKETCRYPT.get() {
        Ok(program) => {
            println!("reference programs: {}", program.display());
            Some(program)
        }
        Err(error) if in_ci() => return Err(error.context("needed for the interoperability tests")),
        Err(error) => {
            println!("SKIPPED: the interoperability tests, since there are no reference programs: {error:#}");
            None
        }
    };
    // Tests that wait need no processor each.
    let threads = 2 * std::thread::available_parallelism()?.get();
    let rank = |name: &str| LONGEST.iter().position(|long| *long == name).unwrap_or(LONGEST.len());
    programs.sort_by_key(|program| rank(&program.name));
    let mut jobs: Vec<Job> = programs
        .iter()
        .map(|program| {
            let mut command = program.command();
            if WAITING.contains(&program.name.as_str()) {
                command.env("RUST_TEST_THREADS", threads.to_string());
            }
            command.envs(reference.iter().map(|file| (packetcrypt_program::VARIABLE, file)));
            Job { name: format!("{} ({})", program.name, program.package), command }
        })
        .collect();
    let mut documentation = Command::new(env!("CARGO"));
    documentation.args(["test", "--workspace", "--doc", "--quiet"]);
    jobs.push(Job { name: "documentation".to_owned(), command: documentation });
    side_by_side::run(jobs)
}

/// The tests of our program among real nodes and miners. One after the other: each mines, and all would miss their time.
fn nimiq_network() -> anyhow::Result<()> {
    let packages = match ahead::NIMIQ_CORE.get() {
        Ok(packages) => packages,
        Err(error) if in_ci() => return Err(error.context("needed for the tests with real Nimiq nodes")),
        Err(error) => {
            println!("SKIPPED: the tests with real Nimiq nodes, which are not there: {error:#}");
            return Ok(());
        }
    };
    programs::named("nimiq_network")?
        .run(&["--test-threads=1"], &[(nimiq_core::VARIABLE, packages.as_os_str())])
}

/// The tests of what computes or checks proofs of work, once for each backend that this machine has.
fn backends() -> anyhow::Result<()> {
    let programs = programs::build()?;
    for backend in Backend::ALL {
        if !backend.is_supported() {
            println!("SKIPPED: the backend {backend}, which this processor cannot run");
            continue;
        }
        println!("--- {BACKEND_VARIABLE}={backend}");
        let name = backend.to_string();
        let environment = [(BACKEND_VARIABLE, name.as_ref())];
        for program in programs.iter().filter(|program| program.package == "packetcrypt") {
            program.run(&["--quiet"], &environment)?;
        }
        let pool = programs.iter().find(|program| program.package == "pool" && program.kind == "lib");
        let pool = pool.context("the crate pool has no unit tests")?;
        pool.run(&["--quiet", "ann_handler", "blk_handler"], &environment)?;
    }
    Ok(())
}

/// Whether a machine, not a person, is looking: then nothing may be skipped.
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// Checks for what the other steps need, installs what is missing where that is possible, and says so.
fn tools() -> anyhow::Result<()> {
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !answers(env!("CARGO"), &[tool, "--version"]) {
            println!("installing {component} with rustup");
            let status = Command::new("rustup").args(["component", "add", component]).status();
            let done = status.is_ok_and(|status| status.success());
            anyhow::ensure!(
                done,
                "{component} is missing; install it with: rustup component add {component}"
            );
        }
    }
    if !answers("cc", &["--version"]) {
        install_package("a C compiler", "build-essential")?;
    }
    if LocalPostgres::programs().is_none() {
        install_package("PostgreSQL", "postgresql")?;
    }
    if !answers("promtool", &["--version"]) {
        install_package("Prometheus", "prometheus")?;
    }
    if !answers("nginx", &["-v"]) {
        install_package("nginx", "nginx-light")?;
    }
    for (program, package, question) in nimiq_core::TOOLS {
        if !answers(program, &[question]) {
            install_package(program, package)?;
        }
    }
    if rustix::process::geteuid().is_root() {
        package::tools()?;
        crate::site_browser::tools()?;
    }
    Ok(())
}

/// Installs a Debian package, if that is allowed; else says how.
pub fn install_package(what: &str, package: &str) -> anyhow::Result<()> {
    let by_hand = format!("install it with: apt-get install {package}");
    anyhow::ensure!(rustix::process::geteuid().is_root(), "{what} is missing; {by_hand}");
    println!("installing {what} with apt-get");
    let apt_get = |arguments: &[&str]| {
        let status = Command::new("apt-get").args(arguments).status();
        status.is_ok_and(|status| status.success())
    };
    let install = ["install", "--yes", package];
    // A fresh machine does not know of any package yet.
    let done = apt_get(&install) || (apt_get(&["update"]) && apt_get(&install));
    anyhow::ensure!(done, "apt-get failed; {by_hand}");
    Ok(())
}

/// Whether a program is there and answers.
pub fn answers(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Checks licences, sources and known faults of the dependencies with cargo-deny. A command of its own: building
/// that tool takes longer than everything else.
pub fn deny() -> anyhow::Result<()> {
    let root = target_folder().join("tools");
    let own = root.join("bin/cargo-deny");
    let program = if answers("cargo-deny", &["--version"]) {
        "cargo-deny".into()
    } else {
        if !own.exists() {
            println!("installing cargo-deny into {}; once, many minutes", root.display());
            let root = root.to_str().context("the path of the target folder is not UTF-8")?;
            cargo(&["install", "cargo-deny", "--locked", "--quiet", "--root", root])?;
        }
        own
    };
    let status = Command::new(program).args(["check", "bans", "licenses", "sources"]).status()?;
    anyhow::ensure!(status.success(), "cargo deny found something");
    Ok(())
}
