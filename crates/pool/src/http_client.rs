//! How roles ask other servers over HTTP: one connection pool, bounded replies, errors in one line.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode};
use node::TlsTrust;

use crate::request_context;

/// Time to make a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long an unused connection is kept.
const IDLE_TIME: Duration = Duration::from_secs(20);
/// What is quoted of an answer, in characters.
const QUOTED: usize = 300;

/// Why a request brought nothing. The text names all causes, outermost first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpFault {
    /// Nobody there, or a broken answer.
    #[error("{0}")]
    Transport(String),
    /// No whole answer in time.
    #[error("{0}")]
    Late(String),
    /// An answer that is longer than anything sensible.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// Largest answer that is read.
        limit: usize,
    },
    /// Another status than the one that was hoped for.
    #[error("status {0}")]
    Status(StatusCode),
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// What a log line quotes of it: the beginning of its body, and the request by which its sender's log names it.
    pub fn said(&self) -> String {
        let text: String = String::from_utf8_lossy(&self.body).chars().take(QUOTED).collect();
        match self.headers.get(request_context::HEADER).map(HeaderValue::to_str) {
            Some(Ok(id)) => format!("{text} (there request={id})"),
            _ => text,
        }
    }
}

/// The client that all roles of a process share.
pub fn client() -> Result<reqwest::Client, HttpFault> {
    let builder = TlsTrust::PublicAuthorities.http_client();
    builder
        .map_err(|error| HttpFault::Transport(with_causes(&error)))?
        .user_agent(concat!("headframe/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIME)
        .pool_idle_timeout(IDLE_TIME)
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .build()
        .map_err(|error| HttpFault::Transport(with_causes(&error)))
}

/// Sends `request` and reads at most `limit` bytes of the answer, all within `time`.
pub async fn ask(
    request: reqwest::RequestBuilder,
    limit: usize,
    time: Duration,
) -> Result<Answer, HttpFault> {
    let transport = |error: reqwest::Error| {
        let fault = if error.is_timeout() { HttpFault::Late } else { HttpFault::Transport };
        fault(with_causes(&error))
    };
    let mut answer = request.timeout(time).send().await.map_err(transport)?;
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(transport)? {
        if chunk.len() > limit - body.len() {
            return Err(HttpFault::TooLong { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: answer.status(), headers: answer.headers().clone(), body: body.freeze() })
}

/// The body of a successful answer.
pub async fn fetch(
    client: &reqwest::Client,
    url: &str,
    limit: usize,
    time: Duration,
) -> Result<Bytes, HttpFault> {
    let answer = ask(client.get(url), limit, time).await?;
    if answer.status == StatusCode::OK { Ok(answer.body) } else { Err(HttpFault::Status(answer.status)) }
}

/// An error with everything that caused it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;

    async fn serve() -> String {
        let router = Router::new().route("/long", get(|| async { "x".repeat(1000) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    #[tokio::test]
    async fn answers_are_bounded_and_other_statuses_are_faults() {
        let (url, client) = (serve().await, client().unwrap());
        let time = Duration::from_secs(20);
        let long = format!("{url}/long");
        assert_eq!(fetch(&client, &long, 1000, time).await.unwrap().len(), 1000);
        assert_eq!(fetch(&client, &long, 999, time).await, Err(HttpFault::TooLong { limit: 999 }));
        let nothing = fetch(&client, &format!("{url}/none"), 999, time).await;
        assert_eq!(nothing, Err(HttpFault::Status(StatusCode::NOT_FOUND)));
    }
}
