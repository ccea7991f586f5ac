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

/// Proxies that speak the PROXY protocol.
fn proxies(network: &str) -> Proxies {
    let networks = vec![network.parse().unwrap()];
    Proxies { networks, proxy_protocol: true, ..Proxies::default() }
}

/// A listener that answers who asks, behind a proxy on this machine that speaks the PROXY protocol.
async fn behind_a_proxy(limits: Limits) -> Served {
    let who = get(|Extension(client): Extension<Client>| async move { client.address.to_string() });
    let limits = Limits { proxies: proxies("127.0.0.1/32").into(), ..limits };
    served(Router::new().route("/", who), limits).await
}

const ASK: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn p12_a_trusted_proxy_names_the_client_in_both_versions() {
    let served = behind_a_proxy(Limits::default()).await;
    let (source, destination) = ("203.0.113.7:4711".parse().unwrap(), "192.0.2.1:80".parse().unwrap());
    let header = ProxyHeader::For { source, destination };
    for start in [header.to_line().into_bytes(), header.to_bytes()] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        // In pieces, and what follows in one piece with the last.
        let whole = [&start[..], ASK.as_bytes()].concat();
        for piece in [&whole[..9], &whole[9..20], &whole[20..]] {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("\r\n203.0.113.7"), "{answer}");
    }
    let own = talk(served.address, &(ProxyHeader::Own.to_line() + ASK)).await;
    assert!(own.ends_with("\r\n127.0.0.1"), "{own}");
    // Whom it speaks for may not speak for anybody else.
    let claim = ASK.replace("host: x", "host: x\r\nx-forwarded-for: 6.6.6.6");
    let claimed = talk(served.address, &(header.to_line() + &claim)).await;
    assert!(claimed.ends_with("\r\n203.0.113.7"), "{claimed}");
}

#[tokio::test]
async fn p12_a_proxy_must_begin_with_its_header_and_nobody_else_may() {
    let served = behind_a_proxy(Limits { header_time: Duration::from_millis(50), ..Limits::default() }).await;
    for start in [ASK, "PROXY TCP4 nonsense\r\n", "PROXY TCP4 203.0.113.7 "] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Closed without an answer, or reset.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{start:?}");
    }
    for proxies in [Proxies::default(), proxies("192.0.2.1/32")] {
        let limits = Limits { proxies: proxies.into(), ..Limits::default() };
        let served = self::served(Router::new().route("/", get(|| async { "here" })), limits).await;
        let forged = talk(served.address, &format!("PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\n{ASK}")).await;
        assert!(forged.starts_with("HTTP/1.1 400 "), "{forged}");
    }
}

#[tokio::test]
async fn p12_proxies_are_believed_and_no_longer_believed_without_a_restart() {
    let trusted = TrustedProxies::default();
    let who = get(|Extension(client): Extension<Client>| async move { client.address.to_string() });
    let limits = Limits { proxies: trusted.clone(), ..Limits::default() };
    let served = served(Router::new().route("/", who), limits).await;
    let ask = ASK.replace("host: x", "host: x\r\nx-forwarded-for: 203.0.113.7");
    let named = Proxies { proxy_protocol: false, ..proxies("127.0.0.1/32") };
    for (proxies, client) in [(None, "127.0.0.1"), (Some(named), "203.0.113.7"), (None, "127.0.0.1")] {
        trusted.replace(proxies.unwrap_or_default());
        let answer = talk(served.address, &ask).await;
        assert!(answer.ends_with(&format!("\r\n{client}")), "{answer}");
    }
}

#[tokio::test]
async fn p12_connections_count_for_the_client_behind_the_proxy() {
    let served = behind_a_proxy(Limits { connections_per_address: 1, ..Limits::default() }).await;
    let start =
        |client: &str| format!("PROXY TCP4 {client} 192.0.2.1 1 2\r\n{}", ASK.replace("close", "keep-alive"));
    let mut held = TcpStream::connect(served.address).await.unwrap();
    held.write_all(start("203.0.113.7").as_bytes()).await.unwrap();
    held.readable().await.unwrap();
    let mut second = TcpStream::connect(served.address).await.unwrap();
    second.write_all(start("203.0.113.7").as_bytes()).await.unwrap();
    let mut nothing = Vec::new();
    let _ = second.read_to_end(&mut nothing).await;
    assert!(nothing.is_empty());
    let other = talk(served.address, &format!("PROXY TCP4 203.0.113.8 192.0.2.1 1 2\r\n{ASK}")).await;
    assert!(other.ends_with("\r\n203.0.113.8"), "{other}");
}
