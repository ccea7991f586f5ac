//! HTTP for the dev chains' RPC: the accept loop, limits, bodies, and ordered faults.
//!
//! Connections may be kept for further calls. What a request is answered with is the business of a [`Respond`].

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Bounds of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeLimits {
    /// Calls being answered at once; further ones get status 503. pktd's default is 10.
    pub calls: usize,
    /// Open connections; further ones wait.
    pub connections: usize,
    /// Bytes of a request.
    pub body: usize,
    /// Time for the head of a request, and for its body.
    pub receive: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self { calls: 32, connections: 256, body: 16 << 20, receive: Duration::from_secs(10) }
    }
}

/// Why a connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error("closed without an answer")]
    HangUp,
    #[error("the request could not be received: {0}")]
    Body(String),
    #[error("the answer was not made: {0}")]
    Answer(String),
}

/// Answers requests.
pub(crate) trait Respond: Send + Sync + 'static {
    /// The answer to one request; an error closes the connection.
    fn respond(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Full<Bytes>>, Closed>> + Send;
}

/// Answers on `listener` until `stop`; then lets calls under way finish.
pub(crate) async fn serve(
    listener: TcpListener,
    service: Arc<impl Respond>,
    limits: ServeLimits,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // The semaphore is never closed, so the error cannot come.
        let Some(Ok(place)) = stop.run_until_cancelled(places.clone().acquire_owned()).await else {
            break;
        };
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { break };
        match accepted {
            Ok((stream, _)) => {
                let (service, stop) = (service.clone(), stop.clone());
                connections.spawn(async move {
                    serve_connection(service, stream, limits.receive, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Too many open files, mostly: wait for some to be closed.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    let drained = timeout(limits.receive, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        connections.shutdown().await;
    }
}

async fn serve_connection(
    service: Arc<impl Respond>,
    stream: TcpStream,
    receive: Duration,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let respond = service_fn(move |request| service.clone().respond(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(receive)
        .serve_connection(TokioIo::new(stream), respond)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection to the dev chain ended");
    }
}

/// The body of a request, if it is neither too long nor too slow.
pub(crate) async fn body_of(request: Request<Incoming>, limits: &ServeLimits) -> Result<Bytes, Closed> {
    if request.body().size_hint().lower() > limits.body as u64 {
        return Err(Closed::Body("it is too long".to_owned()));
    }
    let body = timeout(limits.receive, Limited::new(request, limits.body).collect());
    let body = body.await.map_err(|_| Closed::Body("it took too long".to_owned()))?;
    Ok(body.map_err(|error| Closed::Body(error.to_string()))?.to_bytes())
}

/// Answers away from the network threads: checks take milliseconds, and writing waits for the disk.
pub(crate) async fn off_the_network<T: Send + 'static>(
    answer: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Closed> {
    tokio::task::spawn_blocking(answer).await.map_err(|error| Closed::Answer(error.to_string()))
}

/// A short text.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// A JSON text.
pub(crate) fn json(text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
