//! The test programs of the workspace. They are built once, with everything in it, and then run by whichever step needs
//! them: asked for a single package, cargo would choose other features for what it stands on and compile most of it again.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;
use serde_json::Value;

use super::second_run;

/// A test program.
pub struct TestProgram {
    /// The package that it belongs to.
    pub package: String,
    /// `lib`, `bin` or `test`, which stands for a file of its own.
    pub kind: String,
    /// What cargo calls it.
    pub name: String,
    file: PathBuf,
    /// Where cargo would run it.
    folder: PathBuf,
}

impl TestProgram {
    /// Runs it, as cargo would.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.file);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }

    /// Runs it to its end, and fails if a test did, also in a second run.
    pub fn run(&self, arguments: &[&str], environment: &[(&str, &std::ffi::OsStr)]) -> anyhow::Result<()> {
        let command = || {
            let mut command = self.command();
            command.envs(environment.iter().copied());
            command
        };
        let mut first = command();
        first.args(arguments);
        let (said, is_well) = second_run::shown(first)?;
        let is_well = is_well || second_run::run(&self.name, command(), &second_run::failed_tests(&said))?;
        anyhow::ensure!(is_well, "{} {}: tests failed", self.package, self.name);
        Ok(())
    }
}

/// Builds all test programs that are not there yet.
pub fn build() -> anyhow::Result<Vec<TestProgram>> {
    Ok(artifacts()?.iter().filter_map(program).collect())
}

/// Our program itself, as the tests run it.
pub fn headframe() -> anyhow::Result<PathBuf> {
    let found = artifacts()?.into_iter().find(is_headframe);
    let file = found.and_then(|message| Some(message["executable"].as_str()?.into()));
    file.context("cargo has built no program headframe")
}

/// What cargo says of all that the tests need, built where it is not there yet.
fn artifacts() -> anyhow::Result<Vec<Value>> {
    let arguments =
        ["test", "--workspace", "--no-run", "--quiet", "--message-format=json-render-diagnostics"];
    let mut cargo = Command::new(env!("CARGO"));
    let said = cargo.args(arguments).stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    anyhow::ensure!(said.status.success(), "cargo {} failed", arguments.join(" "));
    let said = String::from_utf8_lossy(&said.stdout);
    Ok(said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn is_headframe(message: &Value) -> bool {
    message["reason"] == "compiler-artifact"
        && message["target"]["kind"][0] == "bin"
        && message["target"]["name"] == "headframe"
        && message["profile"]["test"] == false
}

/// The test program that a message of cargo's announces.
fn program(message: &Value) -> Option<TestProgram> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let folder = PathBuf::from(message["manifest_path"].as_str()?).parent()?.to_owned();
    Some(TestProgram {
        package: folder.file_name()?.to_str()?.to_owned(),
        kind: message["target"]["kind"][0].as_str()?.to_owned(),
        name: message["target"]["name"].as_str()?.to_owned(),
        file: message["executable"].as_str()?.into(),
        folder,
    })
}

/// The test program of the file `tests/NAME`.
pub fn named(name: &str) -> anyhow::Result<TestProgram> {
    let programs = build()?.into_iter();
    let mut found = programs.filter(|program| program.kind == "test" && program.name == name);
    found.next().with_context(|| format!("there is no test program {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::{is_headframe, program};

    #[test]
    fn what_cargo_says_of_a_test_program_is_understood() {
        let message = serde_json::json!({
            "reason": "compiler-artifact",
            "manifest_path": "/house/crates/pool/Cargo.toml",
            "target": {"kind": ["lib"], "name": "pool"},
            "profile": {"test": true},
            "executable": "/house/target/debug/deps/pool-1",
        });
        let pool = program(&message).unwrap();
        assert_eq!((pool.package.as_str(), pool.kind.as_str(), pool.name.as_str()), ("pool", "lib", "pool"));
        assert_eq!(pool.command().get_current_dir(), Some(std::path::Path::new("/house/crates/pool")));
        let mut plain = message.clone();
        plain["profile"]["test"] = false.into();
        assert!(program(&plain).is_none());
        assert!(!is_headframe(&plain));
        plain["target"] = serde_json::json!({"kind": ["bin"], "name": "headframe"});
        assert!(is_headframe(&plain));
    }
}
