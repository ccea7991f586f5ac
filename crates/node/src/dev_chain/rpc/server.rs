//! HTTP around the calls: logins, limits, ordered faults, and the way to the websocket.
//!
//! Status 401 and 503 have pktd's plain texts; everything else is answered with status 200 or by closing the
//! connection. Unlike pktd, connections may be kept for further calls.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request as HttpRequest, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE},
};
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

use super::{Access, Answer, Request, RpcUsers, websocket};
use crate::dev_chain::{DevChain, faults::Conduct};

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
enum Closed {
    #[error("closed without an answer, as pktd does")]
    HangUp,
    #[error("the request could not be received: {0}")]
    Body(String),
    #[error("the answer was not made: {0}")]
    Answer(String),
}

struct Service {
    chain: DevChain,
    users: RpcUsers,
    limits: ServeLimits,
    calls: Semaphore,
    stop: CancellationToken,
}

impl DevChain {
    /// Answers JSON-RPC and websockets on `listener` until `stop`; then lets calls under way finish.
    pub async fn serve(
        &self,
        listener: TcpListener,
        users: RpcUsers,
        limits: ServeLimits,
        stop: CancellationToken,
    ) {
        let (calls, places) = (Semaphore::new(limits.calls), Arc::new(Semaphore::new(limits.connections)));
        let chain = self.clone();
        let service = Arc::new(Service { chain, users, limits, calls, stop: stop.clone() });
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
                    let service = service.clone();
                    connections.spawn(async move {
                        service.serve_connection(stream).await;
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
        let drained =
            timeout(service.limits.receive, async { while connections.join_next().await.is_some() {} });
        if drained.await.is_err() {
            connections.shutdown().await;
        }
    }
}

impl Service {
    async fn serve_connection(self: Arc<Self>, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = self.clone();
        let respond = service_fn(move |request| service.clone().respond(request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.receive)
            .serve_connection(TokioIo::new(stream), respond)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(%error, "connection to the dev chain ended");
        }
    }

    async fn respond(
        self: Arc<Self>,
        request: HttpRequest<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Closed> {
        let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let Some(access) = self.users.access(authorization) else {
            let mut response = plain(StatusCode::UNAUTHORIZED, "401 Unauthorized.\n");
            let realm = HeaderValue::from_static("Basic realm=\"pktd RPC\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, realm);
            return Ok(response);
        };
        if request.uri().path() == "/ws" && websocket::is_wanted(&request) {
            return Ok(websocket::accept(request, self.chain.clone(), access, self.stop.clone()));
        }
        if request.method() != Method::POST {
            return Err(Closed::HangUp);
        }
        if request.body().size_hint().lower() > self.limits.body as u64 {
            return Err(Closed::Body("it is too long".to_owned()));
        }
        let body = timeout(self.limits.receive, Limited::new(request, self.limits.body).collect());
        let body = body.await.map_err(|_| Closed::Body("it took too long".to_owned()))?;
        let body = body.map_err(|error| Closed::Body(error.to_string()))?.to_bytes();
        self.call(access, &body).await
    }

    async fn call(&self, access: Access, body: &[u8]) -> Result<Response<Full<Bytes>>, Closed> {
        let request = Request::parse(body).ok_or(Closed::HangUp)?;
        let command = request.is_command();
        let busy = || plain(StatusCode::SERVICE_UNAVAILABLE, "503 Too busy.  Try again later.\n");
        let conduct = if command { Conduct::Answer } else { self.chain.faults().conduct() };
        let permit = self.calls.try_acquire();
        match conduct {
            Conduct::Refuse => return Ok(busy()),
            _ if permit.is_err() && !command => return Ok(busy()),
            Conduct::Wait(time) => {
                self.stop.run_until_cancelled(tokio::time::sleep(time)).await;
            }
            Conduct::Answer => {}
        }
        match answer(&self.chain, access, request).await? {
            Answer::HangUp => Err(Closed::HangUp),
            Answer::Json(answer) => {
                let mut response = Response::new(Full::new(Bytes::from(format!("{answer}\n"))));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Ok(response)
            }
        }
    }
}

/// Answers away from the network threads: checks take milliseconds, and writing waits for the disk.
async fn answer(chain: &DevChain, access: Access, request: Request) -> Result<Answer, Closed> {
    let chain = chain.clone();
    let answered = tokio::task::spawn_blocking(move || chain.answer_request(access, &request)).await;
    answered.map_err(|error| Closed::Answer(error.to_string()))
}

/// The same for a websocket, where nobody is hung up on.
pub(super) async fn answer_text(chain: &DevChain, access: Access, request: Request) -> Answer {
    answer(chain, access, request).await.unwrap_or(Answer::HangUp)
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
