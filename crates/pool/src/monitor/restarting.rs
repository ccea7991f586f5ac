//! Starting something again: a process by a command of the operator's, a role of this process by its supervision.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::mpsc;

use super::watch::RoleName;

/// How long a command may take.
const COMMAND_TIME: Duration = Duration::from_secs(60);

/// How a process, or a role of it, is started again.
#[derive(Debug, Clone)]
pub enum RestartMethod {
    /// Not at all, from here.
    None,
    /// By a program with its arguments; in those, `{unit}`, `{host}`, `{role}` and `{name}` are replaced.
    Command {
        /// The program and its arguments.
        words: Vec<String>,
        /// The systemd unit of the whole process.
        unit: String,
        /// The host that it runs on.
        host: String,
    },
    /// The process is this one: its supervision starts single roles.
    Tasks(mpsc::Sender<RestartOrder>),
}

/// A role of this process is to be started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartOrder {
    /// Which.
    pub role: RoleName,
    /// Why.
    pub reason: String,
}

/// Why something was not started again.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestartFault {
    #[error("no way to do that is configured (`monitor.restart_command`)")]
    NoWay,
    #[error("only its single roles can be started again")]
    Whole,
    #[error("it is being stopped")]
    Stopping,
    #[error("cannot run {program}: {source}")]
    Program { program: String, source: std::io::Error },
    #[error("{program} did not end within {} s", COMMAND_TIME.as_secs())]
    Late { program: String },
    #[error("{program} ended with {status}: {said}")]
    Failed { program: String, status: std::process::ExitStatus, said: String },
}

impl RestartMethod {
    /// Whether a whole process that is dead can be started so.
    pub fn restarts_processes(&self) -> bool {
        matches!(self, Self::Command { .. })
    }

    /// Starts a process again, or one role of it. `first` is the role that a whole process is known by.
    pub(super) async fn carry_out(
        &self,
        role: Option<&RoleName>,
        first: Option<&RoleName>,
        reason: &str,
    ) -> Result<(), RestartFault> {
        match self {
            Self::None => Err(RestartFault::NoWay),
            Self::Command { words, unit, host } => {
                let known_as = role.or(first);
                run(&replaced(words, unit, host, known_as)).await
            }
            Self::Tasks(orders) => {
                let role = role.ok_or(RestartFault::Whole)?.clone();
                let order = RestartOrder { role, reason: reason.to_owned() };
                orders.send(order).await.map_err(|_| RestartFault::Stopping)
            }
        }
    }
}

fn replaced(words: &[String], unit: &str, host: &str, role: Option<&RoleName>) -> Vec<String> {
    let (kind, name) = role.map_or(("", ""), |role| (role.role.as_str(), role.name.as_str()));
    let word = |word: &String| {
        word.replace("{unit}", unit).replace("{host}", host).replace("{role}", kind).replace("{name}", name)
    };
    words.iter().map(word).collect()
}

async fn run(words: &[String]) -> Result<(), RestartFault> {
    let Some((program, arguments)) = words.split_first() else { return Err(RestartFault::NoWay) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let program = program.clone();
    let output = match tokio::time::timeout(COMMAND_TIME, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(source)) => return Err(RestartFault::Program { program, source }),
        Err(_) => return Err(RestartFault::Late { program }),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next_back().unwrap_or("it says nothing").to_owned();
    Err(RestartFault::Failed { program, status: output.status, said })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> RestartMethod {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let (unit, host) = ("headframe-ann-handler@main".to_owned(), "10.0.0.3".to_owned());
        RestartMethod::Command { words, unit, host }
    }

    #[tokio::test]
    async fn a_command_is_told_what_to_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("said");
        let script = format!("echo \"$0 $1 $2 $3\" > {}", file.display());
        let method = command(&["sh", "-c", &script, "{unit}", "{host}", "{role}", "{name}"]);
        let role = RoleName::new("ann_handler", "main");
        method.carry_out(None, Some(&role), "dead").await.unwrap();
        assert_eq!(
            std::fs::read_to_string(file).unwrap(),
            "headframe-ann-handler@main 10.0.0.3 ann_handler main\n"
        );
    }

    #[tokio::test]
    async fn a_command_that_fails_is_quoted() {
        let fault = |words| async move {
            command(words).carry_out(None, None, "dead").await.unwrap_err().to_string()
        };
        let said = fault(&["sh", "-c", "echo no such unit >&2; exit 5"]).await;
        assert_eq!(said, "sh ended with exit status: 5: no such unit");
        assert!(fault(&["/nowhere/at-all"]).await.starts_with("cannot run /nowhere/at-all: "));
        assert!(RestartMethod::None.carry_out(None, None, "dead").await.is_err());
    }

    #[tokio::test]
    async fn a_role_of_this_process_is_ordered_from_its_supervision() {
        let (sender, mut orders) = mpsc::channel(1);
        let method = RestartMethod::Tasks(sender);
        let role = RoleName::new("master", "");
        method.carry_out(Some(&role), None, "stuck").await.unwrap();
        assert_eq!(orders.recv().await, Some(RestartOrder { role, reason: "stuck".to_owned() }));
        assert!(method.carry_out(None, None, "dead").await.is_err());
    }
}
