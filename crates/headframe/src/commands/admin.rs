//! `headframe admin`: asks a running process for what operators want to know, and has it do things.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use node::TlsTrust;
use pool::admin::AdminToken;
use reqwest::Method;
use serde_json::{Value, json};

use super::config;
use crate::cli::{AdminArguments, AdminCommand, BansCommand};
use crate::config::{Config, Files};
use crate::roles::site::reachable;
use crate::serve::admin::{ADDRESS, FOLDER};

/// For everything that a process answers.
const TIME: Duration = Duration::from_secs(30);

/// Asks, and prints the answer as JSON; an answer that is none of success is an error.
pub async fn run(arguments: &AdminArguments) -> anyhow::Result<()> {
    let config = config::load(&arguments.configuration, Vec::new(), Files::MayBeElsewhere)?;
    let url = match &arguments.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", address(&config)?),
    };
    let token = arguments.token_file.as_deref().or(config.admin.token_file.as_deref());
    let token = token.map(AdminToken::from_file).transpose()?;
    let (method, path, body) = request(&arguments.command);
    let client = TlsTrust::PublicAuthorities.http_client()?.timeout(TIME).build()?;
    let mut request = client.request(method, format!("{url}/admin/{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token.reveal());
    }
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    let answer = request.send().await.with_context(|| format!("no admin API answers at {url}"))?;
    let status = answer.status();
    let text = answer.text().await?;
    let value: Value =
        serde_json::from_str(&text).with_context(|| format!("{url} answers {status}, no JSON"))?;
    if !status.is_success() {
        let message = value["message"].as_str().unwrap_or("no reason given");
        anyhow::bail!("{status}: {message}");
    }
    writeln!(std::io::stdout(), "{value:#}")?;
    Ok(())
}

fn request(command: &AdminCommand) -> (Method, &'static str, Option<Value>) {
    match command {
        AdminCommand::Queues => (Method::GET, "queues", None),
        AdminCommand::Stages => (Method::GET, "stages", None),
        AdminCommand::Acts => (Method::GET, "acts", None),
        AdminCommand::Config => (Method::GET, "config", None),
        AdminCommand::ConfigDiff => (Method::GET, "config/difference", None),
        AdminCommand::Audit => (Method::GET, "audit", None),
        AdminCommand::Bans(BansCommand::List) => (Method::GET, "bans", None),
        AdminCommand::Bans(BansCommand::Add { subject, minutes, reason, dry_run }) => {
            let body = json!({"subject": subject, "minutes": minutes, "reason": reason, "dry_run": dry_run});
            (Method::POST, "bans", Some(body))
        }
        AdminCommand::Bans(BansCommand::Lift { subject, dry_run }) => {
            (Method::POST, "bans/lift", Some(json!({"subject": subject, "dry_run": dry_run})))
        }
        AdminCommand::Reload { dry_run } => (Method::POST, "reload", Some(json!({"dry_run": dry_run}))),
        AdminCommand::Restart { role, name, dry_run } => {
            (Method::POST, "restart", Some(json!({"role": role, "name": name, "dry_run": dry_run})))
        }
        AdminCommand::Retry { what, dry_run } => {
            (Method::POST, "retry", Some(json!({"what": what, "dry_run": dry_run})))
        }
    }
}

/// Where the configuration says, or where `up` has noted it.
fn address(config: &Config) -> anyhow::Result<SocketAddr> {
    if let Some(listen) = config.admin.listen {
        return Ok(reachable(listen));
    }
    let file = config.pool.data.join(FOLDER).join("up").join(ADDRESS);
    noted(&file).with_context(|| {
        format!(
            "nothing says where the admin API is: neither `admin.listen` nor {}; give --config or --data of the running \
             process, or --url",
            file.display()
        )
    })
}

fn noted(file: &Path) -> anyhow::Result<SocketAddr> {
    Ok(std::fs::read_to_string(file)?.trim().parse()?)
}
