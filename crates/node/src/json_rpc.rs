//! One node's JSON-RPC: a call, its limits, and the kinds of fault it can meet.
//!
//! Source: `docs/protocol/packetcrypt-pool.md` 12 and `packetcrypt-blocks.md` 7.1. The node answers status 200
//! even for errors, 401 for a wrong password and 503 for one client too many; it serves ten clients at a time,
//! so a [`JsonRpc`] never has more calls under way than it was told.
//!
//! Invariant: a call ends, within its time limit and with a reply no longer than the limit, whatever the node does.

use std::{
    fmt,
    num::NonZeroUsize,
    path::PathBuf,
    time::{Duration, Instant},
};

use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::call_observer::Observer;
use crate::tls::{TlsTrust, TrustFault};

/// Longest error text of a node that is passed on, in characters.
const LONGEST_MESSAGE: usize = 500;

/// How one proves to a node that one may ask it.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all.
    #[default]
    None,
    /// HTTP basic authentication (`--rpcuser`, `--rpcpass`).
    Password {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// The file into which a node without a configured password writes `user:password`. It is read anew for
    /// every call, because each start of the node writes another one.
    CookieFile(PathBuf),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("None"),
            Self::Password { user, .. } => write!(formatter, "Password {{ user: {user:?}, password: *** }}"),
            Self::CookieFile(path) => write!(formatter, "CookieFile({path:?})"),
        }
    }
}

impl Credentials {
    /// User and password to send now, if any.
    pub(crate) async fn basic(&self) -> Result<Option<(String, String)>, NodeError> {
        match self {
            Self::None => Ok(None),
            Self::Password { user, password } => Ok(Some((user.clone(), password.clone()))),
            Self::CookieFile(path) => {
                let unreadable = |reason: String| NodeError::Unauthorized {
                    what: format!("cannot read the cookie file {}: {reason}", path.display()),
                };
                let cookie = tokio::fs::read_to_string(path).await;
                let cookie = cookie.map_err(|error| unreadable(error.to_string()))?;
                let pair = cookie.trim().split_once(':');
                let (user, password) =
                    pair.ok_or_else(|| unreadable("expected \"user:password\"".to_owned()))?;
                Ok(Some((user.to_owned(), password.to_owned())))
            }
        }
    }
}

/// Where a node is and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// `http://host:port` or `https://host:port`; any path.
    pub url: String,
    /// How to log in.
    pub credentials: Credentials,
    /// Which certificate is believed, for `https`.
    pub trust: TlsTrust,
}

impl NodeAddress {
    /// A node with a user and a password.
    pub fn new(url: impl Into<String>, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            credentials: Credentials::Password { user: user.into(), password: password.into() },
            trust: TlsTrust::default(),
        }
    }
}

/// Why a node gave no usable answer, by whose fault it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Nobody answers there, or not in time.
    #[error("the node cannot be reached: {what}")]
    Unreachable {
        /// What happened to the connection.
        what: String,
    },
    /// The node does not know us (status 401), or the cookie file cannot be read.
    #[error("the node refuses our user and password: {what}")]
    Unauthorized {
        /// What exactly was refused.
        what: String,
    },
    /// The node has too many clients (status 503).
    #[error("the node has too many clients at once (its limit is --rpcmaxclients, 10 by default)")]
    TooBusy,
    /// The node understood the call and refuses it.
    #[error("{}", rpc_text(*code, message))]
    Rpc {
        /// Its error code; pktd leaves it out for some decoding errors.
        code: Option<i64>,
        /// First line of its message, without call stack (rule R-K7).
        message: String,
    },
    /// What came back is not what this call returns.
    #[error("unexpected answer of the node: {what}")]
    BadReply {
        /// What was expected and what came.
        what: String,
    },
}

fn rpc_text(code: Option<i64>, message: &str) -> String {
    match code {
        Some(code) => format!("the node says error {code}: {message}"),
        None => format!("the node says: {message}"),
    }
}

impl NodeError {
    /// Whether another node might answer where this one did not. A refusal of the call itself would be the same
    /// everywhere.
    pub fn is_the_nodes_fault(&self) -> bool {
        !matches!(self, Self::Rpc { .. })
    }

    /// A short name for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Unauthorized { .. } => "unauthorized",
            Self::TooBusy => "too_busy",
            Self::Rpc { .. } => "rpc",
            Self::BadReply { .. } => "bad_reply",
        }
    }

    pub(crate) fn bad_reply(what: impl Into<String>) -> Self {
        Self::BadReply { what: what.into() }
    }
}

/// Why a client cannot even be made: the configuration is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFault {
    /// No node at all.
    #[error("at least one node is needed")]
    NoNodes,
    /// An address that is none.
    #[error(
        "{url:?} is no address of a node (expected \"http://host:port\" or \"https://host:port\"): {reason}"
    )]
    Url {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate file cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustFault),
    /// The HTTP library refuses.
    #[error("HTTP client: {0}")]
    Http(String),
}

/// What bounds the calls to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls under way at once; further ones wait.
    pub connections: NonZeroUsize,
    /// Time to get a connection.
    pub connect: Duration,
    /// Longest reply, in bytes.
    pub largest_reply: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            connections: NonZeroUsize::new(6).unwrap_or(NonZeroUsize::MIN),
            connect: Duration::from_secs(2),
            // A full block of 4 MB as hex, and then some.
            largest_reply: 16 << 20,
        }
    }
}

/// How a node speaks JSON-RPC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// As Bitcoin's descendants do: version 1.0, a result or an error in every reply.
    #[default]
    Bitcoin,
    /// As Nimiq's node does: version 2.0, and neither of them where a call returns nothing.
    Nimiq,
}

/// The calls to one node.
#[derive(Debug)]
pub struct JsonRpc {
    dialect: Dialect,
    http: reqwest::Client,
    address: NodeAddress,
    slots: Semaphore,
    largest_reply: usize,
    observer: Observer,
}

impl JsonRpc {
    /// Prepares calls to a node; does not ask it anything yet.
    pub fn new(address: NodeAddress, limits: CallLimits) -> Result<Self, ConfigFault> {
        check_url(&address.url)?;
        let http = address.trust.http_client()?.connect_timeout(limits.connect);
        // A node that sends us, with our password, to somewhere else is none.
        let http = http.no_proxy().redirect(reqwest::redirect::Policy::none());
        let http = http.build().map_err(|error| ConfigFault::Http(with_causes(&error)))?;
        let slots = Semaphore::new(limits.connections.get());
        let (dialect, largest_reply) = (Dialect::default(), limits.largest_reply);
        Ok(Self { dialect, http, address, slots, largest_reply, observer: None })
    }

    /// The same node, with somebody who is told of the calls.
    #[must_use]
    pub fn observed_by(self, observer: Observer) -> Self {
        Self { observer, ..self }
    }

    /// The same node, spoken to in another way.
    #[must_use]
    pub fn in_dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// Where the node is.
    pub fn address(&self) -> &NodeAddress {
        &self.address
    }

    /// Calls `method` and returns the `result` of the reply, all within `time`.
    pub async fn call(
        &self,
        method: &'static str,
        params: Value,
        time: Duration,
    ) -> Result<Value, NodeError> {
        let started = Instant::now();
        let answer = tokio::time::timeout(time, self.call_unbounded(method, params)).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(NodeError::Unreachable { what: format!("no answer to {method} within {time:?}") })
        });
        if let Some(observer) = &self.observer {
            observer.ended(method, started.elapsed(), answer.as_ref().map(drop));
        }
        answer
    }

    async fn call_unbounded(&self, method: &'static str, params: Value) -> Result<Value, NodeError> {
        // The semaphore is never closed, so the error cannot come.
        let _slot = self.slots.acquire().await.map_err(|_| NodeError::TooBusy)?;
        let version = match self.dialect {
            Dialect::Bitcoin => "1.0",
            Dialect::Nimiq => "2.0",
        };
        let body =
            json!({"jsonrpc": version, "id": "headframe", "method": method, "params": params}).to_string();
        let request =
            self.http.post(&self.address.url).header(http::header::CONTENT_TYPE, "application/json");
        let request = match self.address.credentials.basic().await? {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        };
        let response = request.body(body).send().await.map_err(|error| unreachable_because(&error))?;
        let status = response.status();
        let body = self.read_body(response).await?;
        match self.dialect {
            Dialect::Bitcoin => parse_reply(status, &body),
            Dialect::Nimiq => Ok(result_in(status, &body)?.unwrap_or_default()),
        }
    }

    async fn read_body(&self, mut response: reqwest::Response) -> Result<Vec<u8>, NodeError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable_because(&error))? {
            if body.len() + chunk.len() > self.largest_reply {
                let limit = self.largest_reply;
                return Err(NodeError::bad_reply(format!("it is longer than {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Reads a reply of the node as `docs/protocol/packetcrypt-blocks.md` 7.1 describes it: its `result`, or the
/// fault it stands for.
pub fn parse_reply(status: StatusCode, body: &[u8]) -> Result<Value, NodeError> {
    let result = result_in(status, body)?;
    result.ok_or_else(|| NodeError::bad_reply("neither \"result\" nor \"error\" in it"))
}

/// The `result` of a reply, if it has one, unless it stands for a fault.
fn result_in(status: StatusCode, body: &[u8]) -> Result<Option<Value>, NodeError> {
    match status {
        StatusCode::UNAUTHORIZED => {
            return Err(NodeError::Unauthorized { what: "status 401".to_owned() });
        }
        StatusCode::SERVICE_UNAVAILABLE => return Err(NodeError::TooBusy),
        _ => {}
    }
    // Bitcoin-like nodes send errors with status 500; the body decides.
    let reply: Value = serde_json::from_slice(body).map_err(|error| {
        NodeError::bad_reply(format!("status {status}, and the body is no JSON: {error}"))
    })?;
    let Value::Object(mut reply) = reply else {
        return Err(NodeError::bad_reply("expected a JSON object with \"result\" and \"error\""));
    };
    match reply.remove("error") {
        None | Some(Value::Null) => {}
        Some(error) => return Err(parse_error(&error)),
    }
    Ok(reply.remove("result"))
}

fn parse_error(error: &Value) -> NodeError {
    let code = error.get("code").and_then(Value::as_i64);
    let message = error.get("message").and_then(Value::as_str).unwrap_or("no message");
    NodeError::Rpc { code, message: first_line(message) }
}

/// The first line of a node's text, bounded: the rest is a call stack.
pub(crate) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(LONGEST_MESSAGE).collect()
}

fn check_url(url: &str) -> Result<(), ConfigFault> {
    let fault = |reason: &str| ConfigFault::Url { url: url.to_owned(), reason: reason.to_owned() };
    let parsed: http::Uri = url.parse().map_err(|_| fault("it cannot be read"))?;
    match parsed.scheme_str() {
        Some("http" | "https")
            if parsed.authority().is_some_and(|authority| !authority.host().is_empty()) =>
        {
            Ok(())
        }
        Some("http" | "https") => Err(fault("the host is missing")),
        _ => Err(fault("it does not begin with http:// or https://")),
    }
}

fn unreachable_because(error: &reqwest::Error) -> NodeError {
    NodeError::Unreachable { what: with_causes(error) }
}

/// An error with what caused it, because the outermost text alone says only "error sending request".
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_of_null_is_a_result() {
        let body = br#"{"result":null,"error":null,"id":1}"#;
        assert_eq!(parse_reply(StatusCode::OK, body), Ok(Value::Null));
    }

    #[test]
    fn r_k7_an_error_is_cut_to_its_first_line() {
        let body = br#"{"result":null,"error":{"code":-5,"message":"0.0.0-custom ErrX(-5): no\n\n  rpc.go:1","stack":["a"]},"id":1}"#;
        let expected = NodeError::Rpc { code: Some(-5), message: "0.0.0-custom ErrX(-5): no".to_owned() };
        assert_eq!(parse_reply(StatusCode::OK, body), Err(expected));
    }

    #[test]
    fn an_error_without_a_code_is_still_an_error() {
        let body = br#"{"result":null,"error":{"message":"EOF"},"id":1}"#;
        let expected = NodeError::Rpc { code: None, message: "EOF".to_owned() };
        assert_eq!(parse_reply(StatusCode::OK, body), Err(expected));
    }

    #[test]
    fn statuses_and_broken_bodies_name_the_fault() {
        assert!(matches!(parse_reply(StatusCode::UNAUTHORIZED, b"x"), Err(NodeError::Unauthorized { .. })));
        assert_eq!(parse_reply(StatusCode::SERVICE_UNAVAILABLE, b"x"), Err(NodeError::TooBusy));
        for body in [&b""[..], b"{", b"[]", b"{}", b"5"] {
            assert!(matches!(parse_reply(StatusCode::OK, body), Err(NodeError::BadReply { .. })));
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let address = NodeAddress::new("http://localhost:1", "x", "very-secret");
        assert!(!format!("{address:?}").contains("very-secret"));
    }

    #[test]
    fn an_address_that_is_none_is_refused_with_a_reason() {
        for url in ["", "localhost:64765", "ftp://host", "http://"] {
            let made = JsonRpc::new(NodeAddress::new(url, "", ""), CallLimits::default());
            assert!(matches!(made, Err(ConfigFault::Url { .. })), "{url:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_answered_without_panic(status in 100u16..600, body: Vec<u8>) {
            if let Ok(status) = StatusCode::from_u16(status) {
                let _ = parse_reply(status, &body);
            }
        }
    }
}
