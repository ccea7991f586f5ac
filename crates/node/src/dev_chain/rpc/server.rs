//! HTTP around the calls: logins, limits, ordered faults, and the way to the websocket.
//!
//! Status 401 and 503 have pktd's plain texts; everything else is answered with status 200 or by closing the
//! connection. Unlike pktd, connections may be kept for further calls.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request as HttpRequest, Response, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use super::{Access, Answer, Request, RpcUsers, websocket};
use crate::dev_chain::{DevChain, faults::Conduct};
use crate::rpc_server::{self, Closed, Respond, ServeLimits, body_of, json, off_the_network, plain};

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
        let (chain, calls) = (self.clone(), Semaphore::new(limits.calls));
        let service = Service { chain, users, limits: limits.clone(), calls, stop: stop.clone() };
        rpc_server::serve(listener, Arc::new(service), limits, stop).await;
    }
}

impl Respond for Service {
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
        let body = body_of(request, &self.limits).await?;
        self.call(access, &body).await
    }
}

impl Service {
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
            Conduct::Answer | Conduct::Lose => {}
        }
        match answer(&self.chain, access, request).await? {
            Answer::HangUp => Err(Closed::HangUp),
            Answer::Json(_) if conduct == Conduct::Lose => Err(Closed::HangUp),
            Answer::Json(answer) => Ok(json(format!("{answer}\n"))),
        }
    }
}

async fn answer(chain: &DevChain, access: Access, request: Request) -> Result<Answer, Closed> {
    let chain = chain.clone();
    off_the_network(move || chain.answer_request(access, &request)).await
}

/// The same for a websocket, where nobody is hung up on.
pub(super) async fn answer_text(chain: &DevChain, access: Access, request: Request) -> Answer {
    answer(chain, access, request).await.unwrap_or(Answer::HangUp)
}
