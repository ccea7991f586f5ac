//! `headframe doctor`: looks at everything that a pool stands on, as it is seen from this machine, and says for each fault
//! how to mend it. It changes nothing.

mod accounts;
mod certificates;
mod finding;
mod machine;
mod nodes;
mod notify;
mod pool;
mod ports;

use std::io::Write;
use std::process::ExitCode;

use finding::Finding;

use crate::cli::Role;
use crate::commands::config;
use crate::config::{Config, Files, Problems};

/// Prints what was found; the exit code is 1 if there is a fault.
pub async fn run(arguments: &Role) -> anyhow::Result<ExitCode> {
    let load = |files| config::load(&arguments.configuration, Vec::new(), files);
    let mut findings = match load(Files::MustBeHere) {
        Ok(_) => vec![Finding::good("configuration", "no errors")],
        Err(error) => error.downcast::<Problems>()?.0.iter().map(of_configuration).collect(),
    };
    // Where only files are missing, as on a machine that is not the pool's, all else can be looked at.
    if let Ok(config) = load(Files::MayBeElsewhere) {
        findings.extend(examine(&config).await);
    }
    let faults = findings.iter().filter(|finding| finding.is_fault()).count();
    let mut output = std::io::stdout();
    for finding in &findings {
        writeln!(output, "{finding}")?;
    }
    writeln!(output, "{} looked at, {faults} faults", findings.len())?;
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn of_configuration(problem: &crate::config::Problem) -> Finding {
    let fix = "correct the configuration; `headframe config example` has every key with its range";
    Finding::fault("configuration", problem.to_string(), fix)
}

/// Everything, the machine first: what is wrong there makes the rest wrong too.
async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = machine::disk(config);
    findings.push(machine::open_files(config));
    let running = ports::examine(config, &mut findings).await;
    findings.extend(certificates::examine(config));
    findings.push(notify::examine(config));
    if config.runs_packetcrypt() {
        findings.extend(nodes::pktd(config, running).await);
        findings.extend(pool::examine(config, running).await);
    }
    if config.runs_nimiq() {
        findings.extend(nodes::nimiq(config, running).await);
        findings.extend(accounts::examine(config).await);
    }
    findings.extend(pool::website(config).await);
    findings
}
