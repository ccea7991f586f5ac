//! What stands before every answer: who may ask how often, how long a question may be, who may read the answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};
use prometheus_client::metrics::counter::Counter;

use super::answer::Fault;
use crate::admission::{Admission, Allowance, Counted};
use crate::listener::Client;
use crate::metrics::Metrics;
use crate::site::SiteLimits;

/// Bytes of a path with its parameters.
const LONGEST: usize = 2048;

struct Gate {
    admission: Arc<Admission>,
    allowance: Allowance,
    answered: Counter,
    refused: Counter,
}

/// Puts the gate before `routes`.
pub(super) fn guard(
    routes: Router,
    limits: SiteLimits,
    admission: Arc<Admission>,
    metrics: &Metrics,
) -> Router {
    let per_minute = f64::from(limits.requests_per_minute.max(1));
    let gate = Arc::new(Gate {
        admission,
        allowance: Allowance::new(per_minute, per_minute / 60.0),
        answered: metrics.counter("api_requests", "Requests to the API that were let through"),
        refused: metrics
            .counter("api_requests_refused", "Requests to the API that came too often or were too long"),
    });
    let routes = routes.method_not_allowed_fallback(async || {
        Fault::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "the API is only read: GET and HEAD")
    });
    routes.layer(from_fn_with_state(gate, pass))
}

async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let mut response = match gate.look_at(&request) {
        Err(fault) => {
            gate.refused.inc();
            fault.into_response()
        }
        // The router says in `Allow` what may be asked of the path.
        Ok(()) if request.method() == Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        Ok(()) => {
            gate.answered.inc();
            next.run(request).await
        }
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag, retry-after"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

impl Gate {
    fn look_at(&self, request: &Request) -> Result<(), Fault> {
        let length = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        if length > LONGEST {
            let message = format!("the address has {length} characters, and {LONGEST} are read");
            return Err(Fault::new(StatusCode::URI_TOO_LONG, "too_long", message));
        }
        let client = Client::of(request.extensions());
        // Who is banned may look all the same: the ban is for what was sent, and here is told what became of it.
        self.admission.take(Counted::Looks, client, self.allowance, 1.0).map_err(|_wait| {
            let message = "too many requests from this address; try again in a few seconds";
            Fault::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message)
        })
    }
}
