//! What the admin API answers, good or bad: JSON with a code and a sentence.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

/// Why something was not answered or not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(super) struct Fault {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Fault {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The token is missing or wrong.
    pub(super) fn unauthorized() -> Self {
        let message = "show the admin token: authorization: Bearer TOKEN";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// The client may not ask at all.
    pub(super) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// A browser sends something else than JSON, as forms of other pages can.
    pub(super) fn no_json() -> Self {
        let message = "what a browser sends must have `content-type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "no_json", message)
    }

    /// It has guessed too often.
    pub(super) fn too_many() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "too many wrong tokens from this address",
        )
    }

    /// The body does not say what is to be done.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// There is no such thing.
    pub(super) fn absent(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// There is no such path.
    pub(super) fn unknown(path: &str, known: &[&str]) -> Self {
        let path: String = path.chars().take(100).collect();
        Self::absent(format!("there is no {path:?}; there are {}", known.join(", ")))
    }

    /// The path knows another method.
    pub(super) fn method() -> Self {
        let message = "what is read is asked with GET, what is done with POST";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// It cannot be done or told now.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// Nothing may be done that is not written down.
    pub(super) fn audit(error: &std::io::Error) -> Self {
        let message = format!("the audit log cannot be used: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "audit_failed", message)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        json(self.status, &json!({"code": self.code, "message": self.message}))
    }
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
