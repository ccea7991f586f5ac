//! HTTP with limits: every request ends in time, and no answer is read past a bound.
//!
//! A miner on a bad line must never hang on a connection that is dead without saying so, so there is no request
//! without a time limit; and a pool is a stranger, so no body is read that is longer than its kind can be.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use node::{TlsTrust, TrustFault};
use reqwest::StatusCode;

/// What this program calls itself towards a pool (`docs/protocol/packetcrypt-pool.md` 2.1).
pub const USER_AGENT: &str = concat!("headframe/", env!("CARGO_PKG_VERSION"));

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status line's number.
    pub status: StatusCode,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpFault {
    /// Nothing listens there, the name does not resolve, the certificate is wrong, the connection broke.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// The time for the whole exchange is over.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The body is longer than this kind of document can be.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// An answer with another status than 200.
    #[error("answered with status {0}")]
    Status(u16),
}

/// A client whose requests all have the same time limit.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    timeout: Duration,
}

/// HTTP cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupFault {
    /// The library refuses.
    #[error("cannot set up HTTP: {}", whole_reason(.0))]
    Library(#[from] reqwest::Error),
    /// Its TLS does.
    #[error("cannot set up HTTP: {0}")]
    Tls(#[from] TrustFault),
}

impl HttpClient {
    /// Every request has `timeout` from the first byte sent to the last byte read.
    pub fn new(timeout: Duration) -> Result<Self, HttpSetupFault> {
        Self::build(timeout, usize::MAX)
    }

    /// One that makes a new connection for every request: for a second try where the first connection failed.
    pub fn without_reuse(timeout: Duration) -> Result<Self, HttpSetupFault> {
        Self::build(timeout, 0)
    }

    fn build(timeout: Duration, idle_connections: usize) -> Result<Self, HttpSetupFault> {
        let client = TlsTrust::PublicAuthorities
            .http_client()?
            .user_agent(USER_AGENT)
            .timeout(timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(idle_connections)
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { client, timeout })
    }

    /// `GET url`; the answer with any status, its body at most `limit` bytes.
    pub async fn get(
        &self,
        url: &str,
        headers: &[(&'static str, &str)],
        limit: usize,
    ) -> Result<Answer, HttpFault> {
        self.exchange(self.client.get(url), headers, limit).await
    }

    /// `GET url`, where anything but status 200 is a fault.
    pub async fn get_document(
        &self,
        url: &str,
        headers: &[(&'static str, &str)],
        limit: usize,
    ) -> Result<Bytes, HttpFault> {
        let answer = self.get(url, headers, limit).await?;
        if answer.status == StatusCode::OK {
            Ok(answer.body)
        } else {
            Err(HttpFault::Status(answer.status.as_u16()))
        }
    }

    /// `POST url` with `body`; the answer with any status, its body at most `limit` bytes.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
        limit: usize,
    ) -> Result<Answer, HttpFault> {
        self.exchange(self.client.post(url).body(body), headers, limit).await
    }

    async fn exchange(
        &self,
        mut request: reqwest::RequestBuilder,
        headers: &[(&'static str, &str)],
        limit: usize,
    ) -> Result<Answer, HttpFault> {
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send().await.map_err(|error| self.fault(&error))?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.fault(&error))? {
            if body.len() + chunk.len() > limit {
                return Err(HttpFault::TooLong(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status(), body: body.freeze() })
    }

    fn fault(&self, error: &reqwest::Error) -> HttpFault {
        if error.is_timeout() {
            HttpFault::TimedOut(self.timeout)
        } else {
            HttpFault::NoAnswer(whole_reason(error))
        }
    }
}

/// An error with all that caused it; the library's own text stops at "error sending request".
fn whole_reason(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
