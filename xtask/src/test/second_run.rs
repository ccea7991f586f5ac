//! A second run for a test that failed, by itself. Many tests start ten processes, nodes and browsers among them, and share
//! two processors with others of their kind: the second run tells whether the program or the crowd was at fault. Nothing
//! is hidden: the first failure stays in the output, and whoever needed a second run is named at the end.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

/// Tests that failed once and then passed.
static NEEDED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The tests that a test program's output says have failed: what it lists at its end.
pub fn failed_tests(said: &str) -> Vec<String> {
    let Some((_, list)) = said.rsplit_once("\nfailures:\n") else { return Vec::new() };
    list.lines().map_while(|line| line.strip_prefix("    ")).map(str::to_owned).collect()
}

/// Runs only these tests, one after the other, and says whether all pass now. `command` is the test program without
/// arguments.
pub fn run(name: &str, mut command: Command, tests: &[String]) -> anyhow::Result<bool> {
    if tests.is_empty() {
        return Ok(false);
    }
    println!("--- {name}: once more, alone: {}", tests.join(", "));
    command.args(tests).args(["--exact", "--test-threads=1"]);
    let (said, is_well) = shown(command)?;
    // A name that means no test any more would pass.
    let all = said.contains(&format!("test result: ok. {} passed;", tests.len()));
    if is_well && all {
        let tests = tests.iter().map(|test| format!("{name} {test}"));
        NEEDED.lock().unwrap_or_else(PoisonError::into_inner).extend(tests);
    }
    Ok(is_well && all)
}

/// Runs a command; shows what it says as it says it, and gives it, with whether all went well.
pub fn shown(mut command: Command) -> anyhow::Result<(String, bool)> {
    let program = command.get_program().to_owned();
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut said = String::new();
    if let Some(output) = child.stdout.take() {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            print!("{text}");
            said.push_str(&text);
            line.clear();
        }
    }
    Ok((said, child.wait()?.success()))
}

/// Says which tests needed a second run.
pub fn report() {
    let needed = NEEDED.lock().unwrap_or_else(PoisonError::into_inner);
    if !needed.is_empty() {
        println!("\nfailed beside others and passed alone: {}", needed.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{failed_tests, run};

    const SAID: &str = "test a ... FAILED\n\nfailures:\n\n---- b::a stdout ----\nfailures:\nno\n\nfailures:\n    b::a\n    \
                        c\n\ntest result: FAILED. 5 passed; 2 failed";

    #[test]
    fn those_that_failed_are_known_from_the_list_at_the_end() {
        assert_eq!(failed_tests(SAID), ["b::a", "c"]);
        assert!(failed_tests("test result: ok. 5 passed; 0 failed").is_empty());
        assert!(failed_tests("Aborted").is_empty());
    }

    #[test]
    fn only_a_run_of_all_of_them_clears_them() {
        let says = |text: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", text]);
            command
        };
        let tests = ["b::a".to_owned(), "c".to_owned()];
        assert!(run("two", says("echo 'test result: ok. 2 passed; 0 failed'"), &tests).unwrap());
        assert!(!run("one", says("echo 'test result: ok. 1 passed; 0 failed'"), &tests).unwrap());
        assert!(!run("again", says("echo 'test result: ok. 2 passed; 0 failed'; exit 101"), &tests).unwrap());
        assert!(!run("none", says("echo 'test result: ok. 0 passed; 0 failed'"), &[]).unwrap());
    }
}
