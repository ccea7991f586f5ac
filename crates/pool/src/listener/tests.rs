//! The listener over real sockets.

use std::net::SocketAddr;

use axum::Extension;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

struct Served {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn served(router: Router, limits: Limits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let task = tokio::spawn(async move { serve(listener, router, limits, &Metrics::new(), stop).await });
    Served { address, shutdown, task }
}

/// Sends `request` and reads until the server closes.
async fn talk(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn echo(limits: BodyLimits) -> Router {
    let answer = move |body: Body| async move {
        match read_body(body, limits).await {
            Ok(body) => format!("{} bytes", body.len()),
            Err(fault) => fault.to_string(),
        }
    };
    Router::new().route("/echo", post(answer))
}

#[tokio::test]
async fn requests_know_who_asks() {
    let router =
        Router::new().route(
            "/",
            get(|Extension(client): Extension<Client>| async move {
                format!("{} {}", client.address, client.exempt)
            }),
        );
    let served = served(router, Limits::default()).await;
    let answer = talk(served.address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("127.0.0.1 true"), "{answer}");
}

#[tokio::test]
async fn a_half_sent_header_is_cut_off() {
    let limits = Limits { header_time: Duration::from_millis(50), ..Limits::default() };
    let served = served(Router::new(), limits).await;
    let answer = talk(served.address, "GET / HTTP/1.1\r\nhost: x\r\n").await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let limits = Limits { header_time: Duration::from_millis(50), ..Limits::default() };
    let served = served(Router::new().route("/", get(|| async { "here" })), limits).await;
    let answer = talk(served.address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.contains("here"), "{answer}");
}

#[tokio::test]
async fn r_k9_a_trickled_body_is_cut_off() {
    let body = BodyLimits { bytes: 100, time: Duration::from_millis(50) };
    let served = served(echo(body), Limits::default()).await;
    let request = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\nslow";
    let answer = talk(served.address, request).await;
    assert!(answer.contains("did not arrive within"), "{answer}");
}

#[tokio::test]
async fn an_endless_body_ends_at_the_limit() {
    let body = BodyLimits { bytes: 10, time: Duration::from_secs(10) };
    let served = served(echo(body), Limits::default()).await;
    let request = "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nff\r\n".to_owned();
    let answer = talk(served.address, &(request + &"x".repeat(200))).await;
    assert!(answer.contains("longer than the 10 bytes"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_their_places_come_back() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let served = served(Router::new().route("/", get(|| async { "here" })), limits).await;
    let first = TcpStream::connect(served.address).await.unwrap();
    let mut second = TcpStream::connect(served.address).await.unwrap();
    let mut nothing = Vec::new();
    // Closed without an answer, or reset.
    let _ = second.read_to_end(&mut nothing).await;
    assert!(nothing.is_empty());
    drop(first);
    let mut answer = String::new();
    while !answer.contains("here") {
        let mut again = TcpStream::connect(served.address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        if again.write_all(request).await.is_ok() {
            let _ = again.read_to_string(&mut answer).await;
        }
    }
}

#[tokio::test]
async fn the_stop_signal_lets_an_open_request_finish() {
    let (enter, entered) = tokio::sync::oneshot::channel();
    let enter = std::sync::Arc::new(std::sync::Mutex::new(Some(enter)));
    let (leave, left) = tokio::sync::watch::channel(false);
    let router = Router::new().route(
        "/",
        get(move || {
            let told = enter.lock().unwrap().take().unwrap().send(());
            let mut left = left.clone();
            async move {
                told.unwrap();
                left.wait_for(|left| *left).await.unwrap();
                "finished"
            }
        }),
    );
    let served = served(router, Limits::default()).await;
    let client = tokio::spawn(talk(served.address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    entered.await.unwrap();
    served.shutdown.cancel();
    leave.send_replace(true);
    assert!(client.await.unwrap().ends_with("finished"));
    served.task.await.unwrap();
}

#[tokio::test]
async fn a_request_that_does_not_finish_is_cut_after_the_drain_time() {
    let (enter, entered) = tokio::sync::oneshot::channel();
    let enter = std::sync::Arc::new(std::sync::Mutex::new(Some(enter)));
    let router = Router::new().route(
        "/",
        get(move || {
            let told = enter.lock().unwrap().take().unwrap().send(());
            async move {
                told.unwrap();
                std::future::pending::<()>().await;
            }
        }),
    );
    let limits = Limits { drain_time: Duration::from_millis(30), ..Limits::default() };
    let served = served(router, limits).await;
    let client = tokio::spawn(talk(served.address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    entered.await.unwrap();
    served.shutdown.cancel();
    served.task.await.unwrap();
    assert_eq!(client.await.unwrap(), "");
}

#[tokio::test]
async fn a_crowd_may_connect_before_anybody_is_accepted() {
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let mut crowd = Vec::new();
    for number in 0..400 {
        let connecting = tokio::time::timeout(Duration::from_secs(60), TcpStream::connect(address)).await;
        crowd.push(connecting.unwrap_or_else(|_| panic!("client {number} does not get in")).unwrap());
    }
}
