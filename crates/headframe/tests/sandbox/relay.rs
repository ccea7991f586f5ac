//! A relay between miners, handlers and PayMaker that writes down who was told what, and can be cut.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokio::net::TcpListener;

/// A post and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// First part of the path: `ann`, `blk`, `pay`.
    pub to: String,
    /// What was sent.
    pub body: Bytes,
    /// What was answered; `None` if nobody did.
    pub answer: Option<(StatusCode, Bytes)>,
}

/// Relays `/NAME/…` to the base URL of that name.
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    client: reqwest::Client,
    targets: HashMap<String, String>,
    cut: Mutex<Vec<String>>,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Relay {
    /// Starts on a free port.
    pub fn start(targets: &[(&str, String)]) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Arc::new(Shared {
            client: reqwest::Client::new(),
            targets: targets.iter().map(|(name, base)| ((*name).to_owned(), base.clone())).collect(),
            cut: Mutex::default(),
            exchanges: Mutex::default(),
        });
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(relay).with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, _runtime: runtime }
    }

    /// Nothing passes to this name any more, until [`mend`](Self::mend).
    pub fn cut(&self, name: &str) {
        self.shared.cut.lock().unwrap().push(name.to_owned());
    }

    /// Everything passes again.
    pub fn mend(&self) {
        self.shared.cut.lock().unwrap().clear();
    }

    /// Posts to this name so far.
    pub fn posts(&self, to: &str) -> Vec<Exchange> {
        self.shared.exchanges.lock().unwrap().iter().filter(|exchange| exchange.to == to).cloned().collect()
    }
}

async fn relay(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let answer = |status: StatusCode, body: Bytes| {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response
    };
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str()).trim_start_matches('/');
    let (to, rest) = path.split_once('/').unwrap_or((path, ""));
    let Ok(body) = axum::body::to_bytes(body, 64 << 20).await else {
        return answer(StatusCode::BAD_REQUEST, Bytes::new());
    };
    let got = if shared.cut.lock().unwrap().iter().any(|name| name == to) {
        None
    } else {
        let base = shared.targets.get(to).map(String::as_str).unwrap_or_default();
        let mut headers = parts.headers.clone();
        for name in ["host", "content-length", "transfer-encoding", "connection"] {
            headers.remove(name);
        }
        let request = shared.client.request(parts.method.clone(), format!("{base}/{rest}"));
        match request.headers(headers).body(body.clone()).send().await {
            Ok(reply) => {
                let status = reply.status();
                reply.bytes().await.ok().map(|body| (status, body))
            }
            Err(_) => None,
        }
    };
    if parts.method == "POST" {
        let exchange = Exchange { to: to.to_owned(), body, answer: got.clone() };
        shared.exchanges.lock().unwrap().push(exchange);
    }
    match got {
        Some((status, body)) => answer(status, body),
        None => answer(StatusCode::BAD_GATEWAY, Bytes::new()),
    }
}
