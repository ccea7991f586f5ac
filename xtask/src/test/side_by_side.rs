//! Runs commands a few at a time. Most test programs wait more than they compute, so one more than there are processors
//! keeps these busy.

use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::Context;

use super::second_run;

/// Something to run.
pub struct Job {
    /// What is printed of it.
    pub name: String,
    /// Its output is shown when it has ended.
    pub command: Command,
}

/// Runs them all, the first ones first, and fails if one did. Tests that failed get a second run when all others have
/// ended.
pub fn run(jobs: Vec<Job>) -> anyhow::Result<()> {
    let at_once = std::thread::available_parallelism()?.get() + 1;
    let waiting = Mutex::new(jobs.into_iter());
    let next = || waiting.lock().ok()?.next();
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(Job { name, mut command }) = next() {
            let start = Instant::now();
            let output = command.output().with_context(|| format!("cannot start {name}"));
            let tests = match show(&name, start, output) {
                (_, true) => continue,
                (said, false) => second_run::failed_tests(&said),
            };
            if let Ok(mut failed) = failed.lock() {
                failed.push((Job { name, command }, tests));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(work);
        }
    });
    let mut still = Vec::new();
    for (Job { name, command }, tests) in failed.into_inner().context("a thread has panicked")? {
        if !second_run::run(&name, command, &tests)? {
            still.push(name);
        }
    }
    anyhow::ensure!(still.is_empty(), "failed: {}", still.join(", "));
    Ok(())
}

/// Prints it in one piece, and gives it, with whether all went well.
fn show(name: &str, start: Instant, output: anyhow::Result<Output>) -> (String, bool) {
    let (said, is_well) = match output {
        Ok(output) => {
            let said = [output.stderr, output.stdout].concat();
            (String::from_utf8_lossy(&said).into_owned(), output.status.success())
        }
        Err(error) => (format!("{error:#}"), false),
    };
    let result = if is_well { "passed" } else { "FAILED" };
    println!("--- {name}: {result} after {} s\n{said}", start.elapsed().as_secs());
    (said, is_well)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Job, run};

    fn job(program: &str) -> Job {
        Job { name: program.to_owned(), command: Command::new(program) }
    }

    #[test]
    fn those_that_fail_and_those_that_are_not_there_are_named_and_the_others_run() {
        assert!(run(vec![job("true"), job("true")]).is_ok());
        let jobs = ["false", "true", "/no/such/program", "true", "true"].map(job);
        let said = run(jobs.into()).unwrap_err().to_string();
        assert!(said.contains("false") && said.contains("/no/such/program"), "{said}");
        assert!(!said.contains("true"), "{said}");
    }
}
