//! What an operator can have done.

use std::time::Duration;

use axum::body::Body;
use ledger::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::AdminConfig;
use super::fault::Fault;
use crate::admission::{Ban, Subject};
use crate::listener::{BodyLimits, read_body};
use crate::monitor::RoleName;
use crate::pay_maker::system_clock;

const LIMITS: BodyLimits = BodyLimits { bytes: 16 << 10, time: Duration::from_secs(10) };
/// A year.
const LONGEST_MINUTES: u64 = 525_600;

/// One act, as it was asked for.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Act {
    Ban(BanRequest),
    Lift(LiftRequest),
    Reload(ReloadRequest),
    Restart(RestartRequest),
    Retry(RetryRequest),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BanRequest {
    subject: String,
    minutes: u64,
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LiftRequest {
    subject: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReloadRequest {
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RestartRequest {
    role: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryRequest {
    what: String,
    #[serde(default)]
    dry_run: bool,
}

impl Act {
    /// Reads the body of a post to one of the paths of acts.
    pub(super) async fn read(path: &str, body: Body) -> Result<Self, Fault> {
        let body = read_body(body, LIMITS).await.map_err(|fault| Fault::bad(fault.to_string()))?;
        let read = match path {
            "/admin/bans" => serde_json::from_slice(&body).map(Self::Ban),
            "/admin/bans/lift" => serde_json::from_slice(&body).map(Self::Lift),
            "/admin/reload" => serde_json::from_slice(&body).map(Self::Reload),
            "/admin/restart" => serde_json::from_slice(&body).map(Self::Restart),
            _ => serde_json::from_slice(&body).map(Self::Retry),
        };
        read.map_err(|error| Fault::bad(error.to_string()))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ban(_) => "ban",
            Self::Lift(_) => "lift",
            Self::Reload(_) => "reload",
            Self::Restart(_) => "restart",
            Self::Retry(_) => "retry",
        }
    }

    pub(super) fn is_dry_run(&self) -> bool {
        match self {
            Self::Ban(BanRequest { dry_run, .. })
            | Self::Lift(LiftRequest { dry_run, .. })
            | Self::Reload(ReloadRequest { dry_run })
            | Self::Restart(RestartRequest { dry_run, .. })
            | Self::Retry(RetryRequest { dry_run, .. }) => *dry_run,
        }
    }

    /// Does it, unless it is a dry run; says what was or would be done.
    pub(super) async fn carry_out(&self, config: &AdminConfig) -> Result<Value, Fault> {
        match self {
            Self::Ban(request) => request.carry_out(config).await,
            Self::Lift(request) => request.carry_out(config).await,
            Self::Reload(request) => request.carry_out(config).await,
            Self::Restart(request) => request.carry_out(config),
            Self::Retry(request) => request.carry_out(config),
        }
    }
}

/// What can be started again and what can be done now, by the names that requests give it.
pub(super) fn known(config: &AdminConfig) -> Value {
    let mut retries: Vec<(&str, Vec<&str>)> = Vec::new();
    for retry in &config.retries {
        match retries.iter_mut().find(|(what, _)| *what == retry.what) {
            Some((_, roles)) => roles.push(&retry.role),
            None => retries.push((retry.what, vec![&retry.role])),
        }
    }
    let restarts = (config.restarts.roles)();
    let restarts = restarts.iter().map(|role| json!({"role": role.role, "name": role.name}));
    let retries = retries.iter().map(|(what, roles)| json!({"what": what, "roles": roles}));
    json!({
        "process": config.process,
        "restart": restarts.collect::<Vec<_>>(),
        "retry": retries.collect::<Vec<_>>(),
    })
}

fn subject(text: &str) -> Result<Subject, Fault> {
    text.parse().map_err(|fault: crate::admission::SubjectFault| Fault::bad(fault.to_string()))
}

impl BanRequest {
    async fn carry_out(&self, config: &AdminConfig) -> Result<Value, Fault> {
        let subject = subject(&self.subject)?;
        if !(1..=LONGEST_MINUTES).contains(&self.minutes) {
            return Err(Fault::bad(format!(
                "`minutes` is {}, expected 1 to {LONGEST_MINUTES}",
                self.minutes
            )));
        }
        if self.reason.trim().is_empty() {
            return Err(Fault::bad("`reason` is empty: whoever looks at the bans later wants to know"));
        }
        let ban =
            Ban::by_operator(subject, &self.reason, system_clock(), Duration::from_secs(self.minutes * 60));
        if self.dry_run {
            return Ok(json!({"would_ban": ban}));
        }
        if let Some(accounts) = &config.accounts {
            let (since, until) = (UnixMillis(ban.since_ms), UnixMillis(ban.until_ms));
            let stored = accounts.ban(&ban.subject.to_string(), &ban.reason, since, until).await;
            stored
                .map_err(|error| Fault::unavailable(format!("the accounts do not take the ban: {error}")))?;
        }
        if !config.admission.adopt(ban.clone()) {
            return Err(Fault::unavailable("there are too many bans"));
        }
        Ok(json!({"banned": ban}))
    }
}

impl LiftRequest {
    async fn carry_out(&self, config: &AdminConfig) -> Result<Value, Fault> {
        let subject = subject(&self.subject)?;
        let absent = || Fault::absent(format!("{subject} is not banned by this process"));
        if self.dry_run {
            return Ok(json!({"would_lift": config.admission.known(&subject).ok_or_else(absent)?}));
        }
        let shared = match &config.accounts {
            Some(accounts) => accounts.lift_ban(&subject.to_string()).await,
            None => Ok(false),
        };
        let shared =
            shared.map_err(|error| Fault::unavailable(format!("the accounts keep the ban: {error}")))?;
        match config.admission.lift(&subject) {
            Some(ban) => Ok(json!({"lifted": ban})),
            None if shared => Ok(json!({"lifted": {"subject": subject}})),
            None => Err(absent()),
        }
    }
}

impl ReloadRequest {
    async fn carry_out(&self, config: &AdminConfig) -> Result<Value, Fault> {
        let taken = (config.configuration.reload)(self.dry_run).await;
        let report = taken.map_err(|reason| Fault::unavailable(format!("nothing has changed: {reason}")))?;
        Ok(if self.dry_run { json!({"would_be": report}) } else { report })
    }
}

impl RestartRequest {
    fn carry_out(&self, config: &AdminConfig) -> Result<Value, Fault> {
        let role = RoleName::new(self.role.replace('-', "_"), self.name.clone());
        let known = (config.restarts.roles)();
        if !known.contains(&role) {
            let role: String = role.to_string().chars().take(100).collect();
            let known = known.iter().map(RoleName::to_string).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none, only as a whole".to_owned() } else { known };
            return Err(Fault::absent(format!(
                "{role:?} cannot be started again alone here; this process can start again: {known}"
            )));
        }
        if self.dry_run {
            return Ok(json!({"would_start_again": role.to_string()}));
        }
        if !(config.restarts.order)(&role) {
            return Err(Fault::unavailable("it is being started again, or too many orders wait for it"));
        }
        Ok(json!({"is_being_started_again": role.to_string()}))
    }
}

impl RetryRequest {
    fn carry_out(&self, config: &AdminConfig) -> Result<Value, Fault> {
        let chosen: Vec<_> = config.retries.iter().filter(|retry| retry.what == self.what).collect();
        if chosen.is_empty() {
            let mut known: Vec<_> = config.retries.iter().map(|retry| retry.what).collect();
            known.dedup();
            let what: String = self.what.chars().take(100).collect();
            let known = known.join(", ");
            return Err(Fault::absent(format!(
                "nothing here can do {what:?} now; this process can do: {known}"
            )));
        }
        let roles: Vec<&str> = chosen.iter().map(|retry| retry.role.as_str()).collect();
        if self.dry_run {
            return Ok(json!({"would_tell": roles}));
        }
        for retry in &chosen {
            retry.nudge.now();
        }
        Ok(json!({"told": roles}))
    }
}
