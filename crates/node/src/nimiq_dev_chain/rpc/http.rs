//! HTTP around the calls: login, origins, limits and ordered faults.
//!
//! Source: `docs/protocol/nimiq-pool.md` 3.1.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, ORIGIN, REFERER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::is_command;
use crate::dev_chain::faults::Conduct;
use crate::dev_chain::rpc::RpcUsers;
use crate::nimiq_dev_chain::NimiqDevChain;
use crate::rpc_server::{self, Closed, Respond, ServeLimits, body_of, json, off_the_network, plain};

struct Service {
    chain: NimiqDevChain,
    users: RpcUsers,
    limits: ServeLimits,
    calls: Semaphore,
    stop: CancellationToken,
}

impl NimiqDevChain {
    /// Answers JSON-RPC on `listener` until `stop`; then lets calls under way finish.
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
    async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
        let headers = request.headers();
        if headers.contains_key(ORIGIN) || headers.contains_key(REFERER) {
            return Ok(plain(StatusCode::FORBIDDEN, ""));
        }
        if self.users.access(headers.get(AUTHORIZATION).map(HeaderValue::as_bytes)).is_none() {
            let mut response = plain(StatusCode::UNAUTHORIZED, "");
            let realm = HeaderValue::from_static("Basic realm=\"Nimiq JSON-RPC\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, realm);
            return Ok(response);
        }
        if request.method() != Method::POST {
            return Ok(plain(StatusCode::OK, "Nimiq JSON-RPC Server\r\n"));
        }
        let body = body_of(request, &self.limits).await?;
        self.call(body).await
    }
}

impl Service {
    async fn call(&self, body: Bytes) -> Result<Response<Full<Bytes>>, Closed> {
        let command = is_command(&body);
        let conduct = if command { Conduct::Answer } else { self.chain.faults().conduct() };
        let permit = self.calls.try_acquire();
        match conduct {
            _ if permit.is_err() && !command => return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "")),
            Conduct::Refuse => return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "")),
            Conduct::Wait(time) => {
                self.stop.run_until_cancelled(tokio::time::sleep(time)).await;
            }
            Conduct::Answer | Conduct::Lose => {}
        }
        let chain = self.chain.clone();
        let answer = off_the_network(move || chain.answer(&body)).await?;
        if conduct == Conduct::Lose {
            return Err(Closed::HangUp);
        }
        let text = if answer.body.is_empty() { String::new() } else { format!("{}\r\n", answer.body) };
        let mut response = json(text);
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
        Ok(response)
    }
}
