//! Asking another process how its roles are: its `/healthz`.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::http_client::{self, HttpFault};

/// The largest answer that is read.
const LIMIT: usize = 256 << 10;
/// How long a process may take to tell how it is; longer is silence.
const TIME: Duration = Duration::from_secs(2);
/// Roles that one process may tell of.
const MOST_ROLES: usize = 256;

/// What a process tells of one of its roles.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ToldState {
    /// Kind of role, e.g. `ann_handler`.
    pub role: String,
    /// Name of this one; empty where a pool has only one.
    pub name: String,
    /// When it was started, in milliseconds since 1970, if it says so.
    #[serde(default)]
    pub started_at: Option<u64>,
    /// Whether it does its work.
    pub ready: bool,
    /// Why it does not.
    #[serde(default)]
    pub reason: Option<String>,
    /// What people should know, though it is no trouble.
    #[serde(default)]
    pub note: Option<String>,
}

/// What a process tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ToldHealth {
    /// Version of its program, if it says so.
    #[serde(default)]
    pub version: Option<String>,
    /// What that was built from.
    #[serde(default)]
    pub build: Option<String>,
    /// Its roles; at most 256 of them.
    pub roles: Vec<ToldState>,
}

/// Why a process tells nothing.
#[derive(Debug, thiserror::Error)]
pub enum AskFault {
    /// There is no answer.
    #[error(transparent)]
    Http(#[from] HttpFault),
    /// There is one that makes no sense.
    #[error("status {status}, and its health cannot be read: {reason}")]
    Unreadable {
        /// Its status.
        status: StatusCode,
        /// What is wrong with it.
        reason: serde_json::Error,
    },
}

/// Asks; `url` is that of its `/healthz`, which answers 503 with the same report while a role is not ready.
pub async fn ask(http: &reqwest::Client, url: &str) -> Result<ToldHealth, AskFault> {
    let answer = http_client::ask(http.get(url), LIMIT, TIME).await?;
    let mut told: ToldHealth = serde_json::from_slice(&answer.body)
        .map_err(|reason| AskFault::Unreadable { status: answer.status, reason })?;
    told.roles.truncate(MOST_ROLES);
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::super::{Health, Program, routes};
    use super::*;

    #[tokio::test]
    async fn what_a_process_tells_is_what_another_hears() {
        let (well, ill) = (Health::starting("master", ""), Health::starting("ann_handler", "main"));
        well.ready();
        well.note("started again");
        ill.trouble("the disk is full");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let program = Program { version: "1.2", build: Some("4f1c") };
        let router =
            routes(vec![well, ill], program).route("/other", axum::routing::get(|| async { "hello" }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let http = http_client::client().unwrap();
        let told = ask(&http, &format!("{url}/healthz")).await.unwrap();
        assert_eq!((told.version.as_deref(), told.build.as_deref()), (Some("1.2"), Some("4f1c")));
        assert!(told.roles.iter().all(|role| role.started_at.is_some_and(|at| at > 0)));
        let told: Vec<_> = told
            .roles
            .iter()
            .map(|told| (&*told.role, &*told.name, told.ready, told.reason.as_deref(), told.note.as_deref()))
            .collect();
        let starting = Some("the disk is full");
        assert_eq!(
            told,
            [
                ("master", "", true, None, Some("started again")),
                ("ann_handler", "main", false, starting, None)
            ]
        );
        let fault = ask(&http, &format!("{url}/other")).await.unwrap_err().to_string();
        assert!(fault.starts_with("status 200 OK, and its health cannot be read: "), "{fault}");
    }
}
