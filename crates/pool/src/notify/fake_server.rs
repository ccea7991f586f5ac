//! A server that takes what it is sent and answers as it is told, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::extract::Request;
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

/// It lives as long as the test.
pub struct FakeServer {
    base: String,
    status: Arc<AtomicU16>,
    requests: Mutex<mpsc::UnboundedReceiver<Got>>,
}

/// A request.
#[derive(Debug)]
pub struct Got {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Got {
    /// A header's value.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("{name} in {:?}", self.headers)).to_str().unwrap()
    }
}

impl FakeServer {
    /// One that answers with this status.
    pub async fn start(status: u16) -> Self {
        let (sender, requests) = mpsc::unbounded_channel();
        let status = Arc::new(AtomicU16::new(status));
        let answer = Arc::clone(&status);
        let take = move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec();
            sender.send(Got { path: parts.uri.path().to_owned(), headers: parts.headers, body }).unwrap();
            StatusCode::from_u16(answer.load(Ordering::Relaxed)).unwrap()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
        Self { base, status, requests: Mutex::new(requests) }
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// From now on it answers so.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// The next request.
    pub async fn next(&self) -> Got {
        self.requests.lock().await.recv().await.unwrap()
    }

    /// The next request, if one has come already.
    pub fn taken(&self) -> Option<Got> {
        self.requests.try_lock().unwrap().try_recv().ok()
    }
}
