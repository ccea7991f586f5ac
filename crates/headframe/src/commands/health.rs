//! `headframe health`: whether the roles of a running process are well, for people, scripts and containers.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use pool::health::asking::{self, ToldState};
use pool::http_client;

use crate::cli::Running;
use crate::commands::config;
use crate::config::Files;
use crate::roles::site::{origin, reachable};

/// Prints a line for each role of the process; fails unless all are ready.
pub async fn run(arguments: &Running) -> anyhow::Result<ExitCode> {
    let url = if let Some(url) = &arguments.url {
        origin(url)
    } else {
        let config = config::load(&arguments.configuration, Vec::new(), Files::MayBeElsewhere)?;
        format!("http://{}", reachable(config.http.listen))
    };
    let told = asking::ask(&http_client::client()?, &format!("{url}/healthz")).await;
    let told = told.with_context(|| format!("nothing answers at {url} as a pool does"))?;
    let mut output = std::io::stdout();
    for role in &told.roles {
        writeln!(output, "{}", line(role))?;
    }
    Ok(if told.roles.iter().all(|role| role.ready) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `ann_handler main: not ready: starting`
fn line(role: &ToldState) -> String {
    let name = [role.role.as_str(), &role.name].join(" ");
    let mut line = format!("{}: {}", name.trim_end(), if role.ready { "ready" } else { "not ready" });
    for why in [&role.reason, &role.note].into_iter().flatten() {
        line.push_str(": ");
        line.push_str(why);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_one_line() {
        let ready = ToldState {
            role: "master".to_owned(),
            name: String::new(),
            started_at: None,
            ready: true,
            reason: None,
            note: None,
        };
        assert_eq!(line(&ready), "master: ready");
        let waits = ToldState {
            role: "ann_handler".to_owned(),
            name: "main".to_owned(),
            started_at: None,
            ready: false,
            reason: Some("starting".to_owned()),
            note: None,
        };
        assert_eq!(line(&waits), "ann_handler main: not ready: starting");
    }
}
