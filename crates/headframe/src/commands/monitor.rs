//! `headframe monitor restart` and `test-notification`: what people order, from a running monitor or without one.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use pool::http_client;
use pool::monitor::{Message, Severity};
use pool::notify::Notice;
use pool::site::facts::Moment;
use serde_json::Value;

use crate::cli::{MonitorCommand, RestartRole, Role};
use crate::commands::config;
use crate::config::Files;
use crate::roles;

const ANSWER_LIMIT: usize = 64 << 10;
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Does what was ordered.
pub async fn run(command: MonitorCommand) -> anyhow::Result<()> {
    match command {
        MonitorCommand::Restart(order) => restart(&order).await,
        MonitorCommand::TestNotification(role) => test_notification(&role).await,
    }
}

async fn restart(order: &RestartRole) -> anyhow::Result<()> {
    let config = config::load(&order.configuration, Vec::new(), Files::MayBeElsewhere)?;
    let token = roles::monitor::token_of_running(&config, &config.pool.data.join(roles::monitor::FOLDER))?;
    for part in [&order.role, &order.name] {
        let fits =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter);
        anyhow::ensure!(
            part.chars().all(fits),
            "{part:?} is no role and no name: those are of a-z, 0-9 and -"
        );
    }
    let url = roles::monitor::url(&config);
    let wanted = format!("{url}/monitor/restart?role={}&name={}", order.role, order.name);
    let request = http_client::client()?.post(wanted).bearer_auth(token.reveal());
    let answer = http_client::ask(request, ANSWER_LIMIT, ANSWER_TIME).await;
    let answer = answer.with_context(|| format!("no monitor answers at {url}"))?;
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = said["message"].as_str().unwrap_or("it does not say why");
    anyhow::ensure!(answer.status.is_success(), "the monitor at {url} refuses: {said}");
    writeln!(std::io::stdout(), "{said}")?;
    Ok(())
}

/// Says for each way what came of it; an error if any of them does not work.
async fn test_notification(role: &Role) -> anyhow::Result<()> {
    let config = config::load(&role.configuration, Vec::new(), Files::MayBeElsewhere)?;
    let destinations = roles::notify::destinations(&config)?;
    anyhow::ensure!(!destinations.is_empty(), "nobody would be told: the configuration has no [[notify]]");
    let message = Message {
        subject: "test".to_owned(),
        severity: Severity::Info,
        resolved: false,
        text: "somebody wants to know whether messages about this pool arrive: this one did".to_owned(),
    };
    let notice = Notice { pool: config.site.name.clone(), at: Moment::now(), messages: vec![message] };
    let http = http_client::client()?;
    let mut failed = 0;
    for destination in &destinations {
        let kind = destination.channel.kind();
        let outcome = match destination.channel.send(&http, &notice).await {
            Ok(()) => "it was taken".to_owned(),
            Err(fault) => {
                failed += 1;
                fault.to_string()
            }
        };
        writeln!(std::io::stdout(), "{} ({kind}): {outcome}", destination.name)?;
    }
    anyhow::ensure!(failed == 0, "{failed} of {} ways do not work", destinations.len());
    Ok(())
}
