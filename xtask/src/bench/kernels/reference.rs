//! The reference library, measured by a program of its own that answers one question at a time.
//!
//! The library is not part of the workspace (`differential/Cargo.toml` says why).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context;

/// The running program.
pub struct Reference {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reference {
    /// Builds the program with everything that this processor can do, and starts it with a file of announcements.
    pub fn start(announcements: &Path) -> anyhow::Result<Self> {
        let folder = crate::reference::target_folder().join("differential-native");
        let cargo = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO"));
            let place = ["--quiet", "--manifest-path", "differential/Cargo.toml", "--target-dir"];
            command.args(arguments).args(place).arg(&folder).env("CFLAGS", "-march=native");
            command
        };
        let program = folder.join("release/reference-speed");
        let clean = cargo(&["clean", "--release", "--package", "packetcrypt-sys"]).status()?;
        let build = cargo(&["build", "--release", "--bin", "reference-speed"]).status()?;
        anyhow::ensure!(clean.success() && build.success(), "the reference cannot be built");
        let mut child = Command::new(program)
            .arg(announcements)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the program that measures the reference")?;
        let questions = child.stdin.take().context("it has no input")?;
        let answers = BufReader::new(child.stdout.take().context("it has no output")?);
        Ok(Self { child, questions, answers })
    }

    /// Its figure of a measure.
    pub fn measure(&mut self, name: &str) -> anyhow::Result<f64> {
        writeln!(self.questions, "{name}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        answer.trim().parse().with_context(|| format!("{name}: the reference's figure is {answer:?}"))
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
