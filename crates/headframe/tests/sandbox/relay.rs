//! A relay between miners, handlers and PayMaker that writes down who was told what, and can be cut.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
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

/// Looks at the name and the body of a post, and gives the answer if it answers itself.
type StandIn = Box<dyn Fn(&str, &[u8]) -> Option<(StatusCode, Bytes)> + Send>;

struct Shared {
    client: reqwest::Client,
    targets: HashMap<String, String>,
    cut: Mutex<Vec<String>>,
    /// Answers instead of the target, where it wants to.
    stand_in: Mutex<Option<StandIn>>,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Relay {
    /// Starts on a free port.
    pub fn start(targets: &[(&str, String)]) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Arc::new(Shared {
            client: reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap(),
            targets: targets.iter().map(|(name, base)| ((*name).to_owned(), base.clone())).collect(),
            cut: Mutex::default(),
            stand_in: Mutex::default(),
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

    /// From now on this looks at each post first, until [`mend`](Self::mend).
    pub fn stand_in(&self, answers: impl Fn(&str, &[u8]) -> Option<(StatusCode, Bytes)> + Send + 'static) {
        *self.shared.stand_in.lock().unwrap() = Some(Box::new(answers));
    }

    /// Everything passes again.
    pub fn mend(&self) {
        self.shared.cut.lock().unwrap().clear();
        *self.shared.stand_in.lock().unwrap() = None;
    }

    /// Posts to this name so far.
    pub fn posts(&self, to: &str) -> Vec<Exchange> {
        self.shared.exchanges.lock().unwrap().iter().filter(|exchange| exchange.to == to).cloned().collect()
    }
}

/// Relays one request. The target sees it through to the end even if the client goes away meanwhile, as a real
/// relay that has already sent the request would.
async fn relay(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, 64 << 20).await else {
        return answer(StatusCode::BAD_REQUEST, Bytes::new());
    };
    let exchange = tokio::spawn(async move { shared.exchange(parts, body).await });
    match exchange.await.unwrap() {
        Some((status, body)) => answer(status, body),
        None => answer(StatusCode::BAD_GATEWAY, Bytes::new()),
    }
}

impl Shared {
    /// Writes a post down, passes it on, and writes its answer down.
    async fn exchange(&self, parts: Parts, body: Bytes) -> Option<(StatusCode, Bytes)> {
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str()).trim_start_matches('/');
        let (to, rest) = path.split_once('/').unwrap_or((path, ""));
        let number = (parts.method == Method::POST).then(|| {
            let mut exchanges = self.exchanges.lock().unwrap();
            exchanges.push(Exchange { to: to.to_owned(), body: body.clone(), answer: None });
            exchanges.len() - 1
        });
        let answer = self.forward(to, rest, &parts, body).await;
        if let Some(number) = number {
            self.exchanges.lock().unwrap()[number].answer.clone_from(&answer);
        }
        answer
    }

    async fn forward(&self, to: &str, rest: &str, parts: &Parts, body: Bytes) -> Option<(StatusCode, Bytes)> {
        if self.cut.lock().unwrap().iter().any(|name| name == to) {
            return None;
        }
        if parts.method == Method::POST
            && let Some(answers) = &*self.stand_in.lock().unwrap()
            && let Some(answer) = answers(to, &body)
        {
            return Some(answer);
        }
        let base = self.targets.get(to)?;
        let mut headers = parts.headers.clone();
        for name in ["host", "content-length", "transfer-encoding", "connection"] {
            headers.remove(name);
        }
        let request = self.client.request(parts.method.clone(), format!("{base}/{rest}"));
        let reply = request.headers(headers).body(body).send().await.ok()?;
        let status = reply.status();
        reply.bytes().await.ok().map(|body| (status, body))
    }
}

fn answer(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}
