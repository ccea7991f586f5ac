//! `cargo xtask`: builds, tests and measures Headframe.

mod bench;
mod dist;
mod fuzz;
mod reference;
mod sanitize;
mod site_browser;
mod test;
mod tidy;
mod vectors;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, tests and measures Headframe")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every check there is; `.ci/run` calls this
    Test {
        /// Only this step (see the list that is printed at the start); may be repeated
        #[arg(long = "step", value_name = "STEP")]
        steps: Vec<String>,
    },
    /// Measures speed and memory, in a build with optimisation
    Bench {
        /// What to measure: pool, nimiq, site, or kernels (of the proof of work)
        area: String,
        /// Only the measurements whose name contains this
        #[arg(long)]
        only: Option<String>,
    },
    /// Runs an AnnHandler that checks no proof of work; started by `bench`
    #[command(hide = true)]
    ServeUnchecked(bench::UncheckedHandler),
    /// Feeds the parsers with mutated inputs
    Fuzz {
        /// One target; without it: all of them
        target: Option<String>,
        /// How long for each target
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Makes what is handed to operators: program, manual, completions, Debian package, container image
    Dist(dist::Dist),
    /// Checks the house rules
    Tidy,
    /// Checks licences, sources and known faults of the dependencies (installs cargo-deny where it is missing)
    Deny,
    /// Runs the kernels of the proof of work under valgrind, AddressSanitizer and Miri; takes many minutes
    Sanitize,
    /// Installs the reference programs that the interoperability tests run against
    Reference,
    /// Runs every vector file under a folder
    Vectors {
        /// The folder, searched with all its sub-folders
        #[arg(default_value = "vectors")]
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Test { steps } => test::run(&steps),
        Task::Bench { area, only } => bench::run(&area, only.as_deref()),
        Task::ServeUnchecked(handler) => bench::serve_unchecked(handler),
        Task::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Task::Dist(dist) => dist::run(&dist),
        Task::Tidy => tidy::run(),
        Task::Deny => test::deny(),
        Task::Sanitize => sanitize::run(),
        Task::Reference => {
            println!("{}", reference::packetcrypt::install()?.display());
            println!("{}", reference::nimiq_core::install()?.display());
            Ok(())
        }
        Task::Vectors { folder } => vectors::run(&folder),
    }
}
