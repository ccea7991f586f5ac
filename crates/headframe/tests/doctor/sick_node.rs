//! Nodes that are not as they should be: chains of our own in this process, by clocks of their own, behind logins, or with
//! replies that are changed on their way.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use node::NimiqDevChain;
use node::dev_chain::rpc::{Access, Answer, RpcUsers, ServeLimits};
use node::dev_chain::rules::ChainRules;
use node::dev_chain::{Clock, DevChain, DevChainOptions};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// A clock that a test can set, in seconds ahead of the true one.
#[derive(Clone, Default)]
pub struct SetClock(Arc<AtomicI64>);

impl SetClock {
    pub fn ahead(seconds: i64) -> Self {
        Self(Arc::new(AtomicI64::new(seconds)))
    }

    pub fn set_ahead(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let ahead = Arc::clone(&self.0);
        Arc::new(move || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            u32::try_from(now.cast_signed() + ahead.load(Ordering::Relaxed)).unwrap()
        })
    }
}

/// A PacketCrypt chain of two blocks.
pub fn pkt_chain(folder: &Path, clock: &SetClock) -> DevChain {
    let options =
        DevChainOptions { rules: ChainRules::instant(), mining_address: None, clock: clock.clock() };
    let chain = DevChain::open(folder, options).unwrap();
    chain.extend(2).unwrap();
    chain
}

/// A Nimiq chain of two blocks.
pub fn nimiq_chain(folder: &Path, clock: &SetClock) -> NimiqDevChain {
    let chain = NimiqDevChain::open_with_clock(folder, clock.clock()).unwrap();
    chain.extend(nimiq::Address([7; 20]), 2).unwrap();
    chain
}

/// A node that answers until it is dropped.
pub struct SickNode {
    pub url: String,
    _runtime: Runtime,
}

impl SickNode {
    /// A pktd that knows these users.
    pub fn pktd(chain: DevChain, users: RpcUsers) -> Self {
        let serve = |listener, limits, stop| async move { chain.serve(listener, users, limits, stop).await };
        Self::serving(serve)
    }

    /// A Nimiq node that knows these users.
    pub fn nimiq(chain: NimiqDevChain, users: RpcUsers) -> Self {
        let serve = |listener, limits, stop| async move { chain.serve(listener, users, limits, stop).await };
        Self::serving(serve)
    }

    /// A pktd whose replies to some methods are others.
    pub fn altered_pktd(chain: DevChain, alter: fn(&str, &mut Value)) -> Self {
        Self::altered(alter, None, move |body| match chain.answer(Access::Full, body) {
            Answer::Json(reply) => reply,
            Answer::HangUp => Value::Null,
        })
    }

    /// A Nimiq node whose replies to some methods are others.
    pub fn altered_nimiq(chain: NimiqDevChain, alter: fn(&str, &mut Value)) -> Self {
        Self::altered(alter, None, move |body| serde_json::from_str(&chain.answer(body).body).unwrap())
    }

    /// A Nimiq node whose machine says that it is this time.
    pub fn nimiq_at(chain: NimiqDevChain, date: &'static str) -> Self {
        let answer = move |body: &[u8]| serde_json::from_str(&chain.answer(body).body).unwrap();
        Self::altered(|_, _| {}, Some(date), answer)
    }

    fn altered(
        alter: fn(&str, &mut Value),
        date: Option<&'static str>,
        answer: impl Fn(&[u8]) -> Value + Clone + Send + Sync + 'static,
    ) -> Self {
        let respond = move |body: Bytes| {
            let answer = answer.clone();
            async move {
                let mut response = Response::new(Body::empty());
                if let Some(date) = date {
                    response.headers_mut().insert("date", HeaderValue::from_static(date));
                }
                let Ok(call) = serde_json::from_slice::<Value>(&body) else {
                    *response.status_mut() = StatusCode::BAD_REQUEST;
                    return response;
                };
                let mut reply = tokio::task::spawn_blocking(move || answer(&body)).await.unwrap();
                alter(call["method"].as_str().unwrap_or_default(), &mut reply);
                *response.body_mut() = reply.to_string().into();
                response
            }
        };
        Self::serving(|listener, _, stop| async move {
            let serving = axum::serve(listener, Router::new().fallback(respond));
            serving.with_graceful_shutdown(stop.cancelled_owned()).await.unwrap();
        })
    }

    fn serving<F: Future<Output = ()> + Send + 'static>(
        serve: impl FnOnce(TcpListener, ServeLimits, CancellationToken) -> F,
    ) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(serve(listener, ServeLimits::default(), CancellationToken::new()));
        Self { url, _runtime: runtime }
    }
}
