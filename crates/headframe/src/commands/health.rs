//! `headframe health`: whether the roles of a running process are well, for people, scripts and containers.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use pool::http_client;
use serde_json::Value;

use crate::cli::Running;
use crate::commands::config;
use crate::config::Files;
use crate::roles::site::{origin, reachable};

/// For an answer that has a line for each role.
const ANSWER_LIMIT: usize = 1 << 20;
/// Longer than any process needs that is well.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Prints a line for each role of the process; fails unless all are ready.
pub async fn run(arguments: &Running) -> anyhow::Result<ExitCode> {
    let url = if let Some(url) = &arguments.url {
        origin(url)
    } else {
        let config = config::load(&arguments.configuration, Vec::new(), Files::MayBeElsewhere)?;
        format!("http://{}", reachable(config.http.listen))
    };
    let request = http_client::client()?.get(format!("{url}/healthz"));
    let answer = http_client::ask(request, ANSWER_LIMIT, ANSWER_TIME).await;
    let answer = answer.with_context(|| format!("nothing answers at {url}"))?;
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let roles = said["roles"].as_array().with_context(|| format!("what answers at {url} is no Headframe"))?;
    let mut output = std::io::stdout();
    for role in roles {
        writeln!(output, "{}", line(role))?;
    }
    Ok(if answer.status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `ann_handler main: not ready: starting`
fn line(role: &Value) -> String {
    let text = |key: &str| role[key].as_str().unwrap_or_default();
    let name = [text("role"), text("name")].join(" ");
    let mut line =
        format!("{}: {}", name.trim_end(), if role["ready"] == true { "ready" } else { "not ready" });
    for why in ["reason", "note"] {
        if let Some(why) = role[why].as_str() {
            line.push_str(": ");
            line.push_str(why);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::line;

    #[test]
    fn a_role_has_one_line() {
        let ready = json!({"role": "master", "name": "", "ready": true});
        assert_eq!(line(&ready), "master: ready");
        let waits = json!({"role": "ann_handler", "name": "main", "ready": false, "reason": "starting"});
        assert_eq!(line(&waits), "ann_handler main: not ready: starting");
    }
}
