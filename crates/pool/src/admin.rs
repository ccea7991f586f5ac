//! The admin API of a process: what its roles have queued, whom it bans, by which configuration it runs, and the few
//! things that an operator may have done at once; and a page that shows it.
//!
//! | request | answer |
//! |---|---|
//! | `GET /admin` | the page ([`page`]) |
//! | `GET /admin/queues` | what waits, of each role |
//! | `GET /admin/stages` | how long the stages of the work take, of each role |
//! | `GET /admin/bans` | the bans that hold, with reason and end |
//! | `POST /admin/bans` | bans `subject` for `minutes`, because of `reason` |
//! | `POST /admin/bans/lift` | ends the ban of `subject` |
//! | `GET /admin/config` | every key with the value that is in force |
//! | `GET /admin/config/difference` | what the file says by now that is not in force |
//! | `GET /admin/acts` | the names of what can be started again and of what can be done now |
//! | `POST /admin/reload` | reads the configuration again, and says what has changed and what waits for a restart |
//! | `POST /admin/restart` | has the role `role` (and `name`) started again while the others go on |
//! | `POST /admin/retry` | does `what` now: `payouts`, `nimiq-payouts`, `outboxes` |
//! | `GET /admin/audit` | the last acts |
//!
//! Posts are JSON, and with `"dry_run": true` say what would be done. Every act, done, refused or only tried, is in the
//! audit log ([`audit`]) before it is answered. Who may ask is decided in [`gate`]: with a token anybody who shows it,
//! without one this machine alone, and of web pages only its own.

mod acts;
mod audit;
mod fault;
mod gate;
mod page;
mod readings;
mod token;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::Method;
use ledger::nimiq::Accounts;
use serde_json::Value;

pub use token::{AdminToken, TokenFault};

use crate::admission::Admission;
use crate::metrics::Metrics;
use crate::monitor::RoleName;
use crate::nudge::Nudge;
use acts::Act;
use audit::AuditLog;
use fault::Fault;
use page::PageFile;

/// Something that a role can be told to do now.
pub struct Retry {
    /// Its name in requests: `payouts`.
    pub what: &'static str,
    /// Whose it is, for people: `PayMaker`, `AnnHandler main`.
    pub role: String,
    /// What the role waits with.
    pub nudge: Nudge,
}

/// The configuration of the process, for people.
pub struct Configuration {
    /// Every key with the value in force, secrets left out.
    pub in_force: Box<dyn Fn() -> Value + Send + Sync>,
    /// What the file says by now that is not in force; or why it cannot be read.
    pub difference: Box<dyn Fn() -> Result<Value, String> + Send + Sync>,
    /// Reads it again, or (`true`) only says what that would change; or why it changes nothing.
    pub reload: Box<dyn Fn(bool) -> BoxFuture<'static, Result<Value, String>> + Send + Sync>,
}

/// The roles of the process that can be started again while the others go on.
pub struct Restarts {
    /// All of them.
    pub roles: Box<dyn Fn() -> Vec<RoleName> + Send + Sync>,
    /// Orders it. `false` if it cannot be ordered now.
    pub order: Box<dyn Fn(&RoleName) -> bool + Send + Sync>,
}

/// What the API stands on.
pub struct AdminConfig {
    /// The name of the process, for people: `up`, `ann-handler main`.
    pub process: String,
    /// What a client must show; `None`: it must be on this machine.
    pub token: Option<AdminToken>,
    /// Limits and bans of the process.
    pub admission: Arc<Admission>,
    /// Where the bans of Nimiq servers are shared.
    pub accounts: Option<Accounts>,
    /// Where the queues show.
    pub metrics: Metrics,
    /// What can be done now.
    pub retries: Vec<Retry>,
    /// By what the process runs.
    pub configuration: Configuration,
    /// What can be started again.
    pub restarts: Restarts,
}

/// The API.
pub struct Admin {
    config: AdminConfig,
    audit: AuditLog,
}

impl Admin {
    /// Opens the audit log, a file that is only added to.
    pub fn open(config: AdminConfig, audit: &Path) -> io::Result<Self> {
        Ok(Self { config, audit: AuditLog::open(audit)? })
    }

    /// All of `/admin/…`.
    pub fn routes(self) -> Router {
        Router::new().fallback(answer).with_state(Arc::new(self))
    }
}

async fn answer(State(admin): State<Arc<Admin>>, request: Request) -> Response {
    let answer = match PageFile::asked_for(&request) {
        Some(file) => {
            gate::admit_to_page(&admin.config, &request).map(|()| file.answer(admin.config.token.is_some()))
        }
        None => admin.answer(request).await.map(|value| fault::json(http::StatusCode::OK, &value)),
    };
    page::secure(answer.unwrap_or_else(Fault::into_response))
}

impl Admin {
    async fn answer(&self, request: Request) -> Result<Value, Fault> {
        let who = gate::admit(&self.config, &request)?;
        let path = request.uri().path().trim_end_matches('/').to_owned();
        let method = request.method().clone();
        match (&method, path.as_str()) {
            (&Method::GET, "/admin/queues") => Ok(readings::queues(&self.config.metrics)),
            (&Method::GET, "/admin/stages") => Ok(readings::stages(&self.config.metrics)),
            (&Method::GET, "/admin/acts") => Ok(acts::known(&self.config)),
            (&Method::GET, "/admin/bans") => Ok(serde_json::json!(self.config.admission.holding())),
            (&Method::GET, "/admin/config") => Ok((self.config.configuration.in_force)()),
            (&Method::GET, "/admin/config/difference") => {
                (self.config.configuration.difference)().map_err(Fault::unavailable)
            }
            (&Method::GET, "/admin/audit") => self.audit.last().await.map_err(|error| Fault::audit(&error)),
            (
                &Method::POST,
                "/admin/bans" | "/admin/bans/lift" | "/admin/reload" | "/admin/restart" | "/admin/retry",
            ) => {
                let act = Act::read(&path, request.into_body()).await?;
                self.carry_out(&who, act).await
            }
            (_, known) if KNOWN.contains(&known) => Err(Fault::method()),
            _ => Err(Fault::unknown(&path, KNOWN)),
        }
    }

    /// Does what is asked, or says what it would be; in both cases it is written down.
    async fn carry_out(&self, who: &str, act: Act) -> Result<Value, Fault> {
        let outcome = act.carry_out(&self.config).await;
        let result = match &outcome {
            Ok(value) => value.clone(),
            Err(fault) => Value::from(fault.to_string()),
        };
        let noted = self.audit.note(who, &act, outcome.is_ok(), &result).await;
        if let Err(error) = noted {
            tracing::error!(%error, who, "an act of the operator's is not in the audit log");
            return Err(Fault::audit(&error));
        }
        tracing::info!(who, act = act.name(), dry_run = act.is_dry_run(), %result, "the operator acted");
        outcome
    }
}

/// What there is, for whoever asks for something else.
const KNOWN: &[&str] = &[
    "/admin",
    "/admin/queues",
    "/admin/stages",
    "/admin/acts",
    "/admin/bans",
    "/admin/bans/lift",
    "/admin/config",
    "/admin/config/difference",
    "/admin/reload",
    "/admin/restart",
    "/admin/retry",
    "/admin/audit",
];
