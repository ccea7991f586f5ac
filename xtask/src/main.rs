//! `cargo xtask`: builds, tests and measures Headframe.

mod vectors;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, tests and measures Headframe")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every vector file under a folder
    Vectors {
        /// The folder, searched with all its sub-folders
        #[arg(default_value = "vectors")]
        folder: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Vectors { folder } => vectors::run(&folder),
    }
}
