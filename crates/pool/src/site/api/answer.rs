//! Answers: JSON with an ETag, tables as CSV, and faults that say what would be right.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::site::FactsFault;
use crate::site::address::AddressProblem;
use crate::site::facts::{Moment, PoolFacts};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const CSV: HeaderValue = HeaderValue::from_static("text/csv; charset=utf-8");
/// Whoever cannot be answered now is told to come back after so many seconds.
const RETRY_SECONDS: u64 = 5;

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "code": "address_misspelt",
    "message": "this is meant as an address of PKT, but its checksum is wrong, so there is a typing error in it",
    "suggestion": "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2"
}))]
pub(super) struct Fault {
    /// A short code for programs.
    code: String,
    /// A sentence for people.
    message: String,
    /// What was probably meant, or would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<String>,
    #[serde(skip)]
    status: StatusCode,
}

impl Fault {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), suggestion: None, status }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_parameter", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn suggesting(self, suggestion: impl Into<String>) -> Self {
        Self { suggestion: Some(suggestion.into()), ..self }
    }
}

impl From<AddressProblem> for Fault {
    fn from(problem: AddressProblem) -> Self {
        let fault = Self::new(StatusCode::BAD_REQUEST, problem.code(), problem.to_string());
        Self { suggestion: problem.suggestion().map(str::to_owned), ..fault }
    }
}

impl From<FactsFault> for Fault {
    fn from(fault: FactsFault) -> Self {
        match &fault {
            FactsFault::Absent(_) => Self::not_found(fault.to_string()),
            FactsFault::Unavailable { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", fault.to_string())
            }
            FactsFault::Overloaded => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", fault.to_string())
            }
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = self.status;
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        }
        response
    }
}

/// A body with its ETag, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(super) struct Whole {
    body: Bytes,
    etag: HeaderValue,
    content_type: HeaderValue,
}

impl Whole {
    pub(super) fn json(value: &impl Serialize) -> Result<Self, Fault> {
        let body = serde_json::to_vec(value).map_err(|error| {
            tracing::error!(%error, "an answer of the API could not be written");
            Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "unwritable", "the answer could not be written")
        })?;
        Ok(Self::new(body.into(), JSON))
    }

    pub(super) fn new(body: Bytes, content_type: HeaderValue) -> Self {
        let hash = blake2b_simd::Params::new().hash_length(8).hash(&body);
        // Quotes and hexadecimal digits: always a good header.
        let etag = HeaderValue::from_str(&format!("\"{}\"", hash.to_hex()));
        Self { body, etag: etag.unwrap_or(HeaderValue::from_static("\"\"")), content_type }
    }

    /// The answer; 304 to somebody who has it.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response {
        let known = asked.get_all(IF_NONE_MATCH).iter().any(|value| names(value, &self.etag));
        let body = if known { Body::empty() } else { Body::from(self.body.clone()) };
        let mut response = Response::new(body);
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            response.headers_mut().insert(CONTENT_TYPE, self.content_type.clone());
        }
        response.headers_mut().insert(ETAG, self.etag.clone());
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

/// Whether an `If-None-Match` names an ETag; weakly compared, as RFC 9110 wants.
fn names(header: &HeaderValue, etag: &HeaderValue) -> bool {
    let Ok(text) = header.to_str() else { return false };
    text.split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one).as_bytes() == etag.as_bytes())
}

/// Answers of one picture of the pool, each made when somebody asks for it first.
#[derive(Default)]
pub(super) struct Prepared {
    of: Mutex<(Moment, HashMap<&'static str, Whole>)>,
}

impl Prepared {
    /// The answer of that name for `facts`.
    pub(super) fn get(
        &self,
        name: &'static str,
        facts: &Arc<PoolFacts>,
        make: impl FnOnce(&PoolFacts) -> Result<Whole, Fault>,
    ) -> Result<Whole, Fault> {
        if let Some(whole) = self.known(name, facts.gathered_at) {
            return Ok(whole);
        }
        let whole = make(facts)?;
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.0 < facts.gathered_at {
            *of = (facts.gathered_at, HashMap::new());
        }
        if of.0 == facts.gathered_at {
            of.1.insert(name, whole.clone());
        }
        Ok(whole)
    }

    fn known(&self, name: &'static str, at: Moment) -> Option<Whole> {
        let of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.0 == at { of.1.get(name).cloned() } else { None }
    }
}

/// `GET /api/v1/openapi.json`; and whatever else is asked of the API is told that it is not there.
pub(super) fn document_route(document: String) -> Router {
    let whole = Whole::new(document.into(), JSON);
    let answer = move |headers: HeaderMap| async move { whole.answer(&headers) };
    let nothing =
        async || Fault::not_found("the API has nothing there; /api/v1/openapi.json says what it has");
    Router::new().route("/api/v1/openapi.json", get(answer)).route("/api/{*rest}", get(nothing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_recognised_in_any_list() {
        let whole = Whole::json(&1).unwrap();
        let etag = whole.etag.to_str().unwrap().to_owned();
        for header in [etag.clone(), format!("W/{etag}"), format!("\"a\", {etag}"), "*".to_owned()] {
            let asked = HeaderMap::from_iter([(IF_NONE_MATCH, header.parse().unwrap())]);
            assert_eq!(whole.answer(&asked).status(), StatusCode::NOT_MODIFIED, "{header}");
        }
        let asked = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("\"x\""))]);
        assert_eq!(whole.answer(&asked).status(), StatusCode::OK);
    }

    #[test]
    fn an_answer_is_made_once_for_each_picture() {
        let prepared = Prepared::default();
        let mut facts = crate::site::facts::sample::pool();
        let first = Arc::new(facts.clone());
        prepared.get("x", &first, |_| Whole::json(&1)).unwrap();
        prepared.get("x", &first, |_| panic!("made twice")).unwrap();
        facts.gathered_at.0 += 1;
        let second = prepared.get("x", &Arc::new(facts), |_| Whole::json(&2)).unwrap();
        assert_eq!(&second.body[..], b"2");
        let old = prepared.get("x", &first, |_| Whole::json(&3)).unwrap();
        assert_eq!(&old.body[..], b"3", "somebody still holds the older picture");
    }
}
