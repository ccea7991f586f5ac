//! The accept loop: every byte that a role receives over HTTP comes through here, within limits.
//!
//! [`Limits`] bound connections in total and per address, the time of a request's header (also the time a
//! kept-alive connection may idle), and the time a client may take to read an answer. Bodies are read by the
//! routes themselves with [`read_body`], which bounds bytes and time. [`Client`] says who asks; it is found in the
//! extensions of each request, and so is [`Held`], with which a task that takes a connection over keeps its place.
//! Each request has an id, which its answer and the log lines about it name ([`request_context`]).
//! Proxies of the operator's may name the client, in a header of each request or, by the PROXY protocol, in front of
//! all; what anybody else says of itself counts for nothing.

mod body;
mod client;
mod connections;
mod proxied;
mod proxies;
mod stall;
mod tls;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use wire::proxy_protocol::ProxyHeader;

pub use body::{BodyFault, BodyLimits, drain_body, read_body, read_body_into};
pub use client::{Client, address_group};
pub use proxies::{Proxies, TrustedProxies};

use crate::metrics::Metrics;
use crate::request_context::{self, RequestContext};
use connections::{Place, Places};
use stall::StallGuard;
pub use tls::{Tls, TlsFault};

/// hyper's smallest read buffer: a waiting long-poll client costs about this much.
const READ_BUFFER_BYTES: usize = 8 * 1024;
/// Read buffer of listeners that receive large posts. Also the longest header they take, so not larger than needed.
const LARGE_READ_BUFFER_BYTES: usize = 64 * 1024;
/// Connections waiting to be accepted; systems cut this to their own limit, 4096 on Linux.
const BACKLOG: u32 = 4096;
/// Time after the stop signal in which a client may still ask on a connection that it has kept open. A request that is on
/// its way when a connection is closed is lost; so nearly all of them get an answer, which says that it is the last.
const LAST_REQUEST: Duration = Duration::from_millis(500);
/// Pause after a failed accept (usually: no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a listener grants its clients.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once, all clients together; more are closed unanswered.
    pub connections: usize,
    /// Connections open at once from one address (IPv6: one /64); loopback and trusted proxies are exempt.
    pub connections_per_address: usize,
    /// Time for a request's header, and for the pause between two requests of one connection.
    pub header_time: Duration,
    /// Time in which a client must take some bytes of its answer.
    pub write_time: Duration,
    /// Time that open requests have to finish after the stop signal.
    pub drain_time: Duration,
    /// Proxies that are believed when they say whom they speak for.
    pub proxies: TrustedProxies,
    /// Whether requests with bodies of megabytes are usual: larger read buffers, more memory per connection.
    pub large_bodies: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 25_000,
            connections_per_address: 256,
            header_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(5),
            proxies: TrustedProxies::default(),
            large_bodies: false,
        }
    }
}

/// Begins to listen. A crowd that connects at once, as after a restart, waits in the system's queue: one that does
/// not fit there would try again only after a second.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // So that a restart need not wait until connections of the last run are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The place of a request's connection among the listener's limits. A WebSocket outlives its request: whoever speaks
/// on it keeps this as long.
#[derive(Clone)]
pub struct Held(#[expect(dead_code, reason = "it is there to be dropped")] Arc<Place>);

/// Serves `router` on `listener` until `shutdown`, then lets open requests finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    metrics: &Metrics,
    shutdown: CancellationToken,
) {
    serve_with(listener, None, router, limits, metrics, shutdown).await;
}

/// The same; with `tls`, to clients that speak that.
pub async fn serve_with(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
    metrics: &Metrics,
    shutdown: CancellationToken,
) {
    let figures = Figures::new(metrics);
    let places = Places::new(&limits, metrics);
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    while let Some((stream, peer)) = accept(&listener, &figures, &shutdown).await {
        let proxies = limits.proxies.now();
        let Some(place) = places.take(peer.ip(), proxies.trust(peer.ip())) else {
            figures.refused.inc();
            continue;
        };
        figures.accepted.inc();
        // Only a hint to the kernel: an answer is sent all the same where it fails.
        let _ = stream.set_nodelay(true);
        let connection = Connection { peer, router: router.clone(), limits: limits.clone(), proxies, place };
        let (tls, shutdown, cut, refused) =
            (tls.clone(), shutdown.clone(), cut.clone(), figures.refused.clone());
        // On the heap, so that a connection takes the memory of its own kind, not of the greatest one.
        let serving: Pin<Box<dyn Future<Output = ()> + Send>> = if connection.begins_with_header() {
            Box::pin(connection.serve_proxied(tls, stream, shutdown, refused))
        } else {
            connection.begin(tls, stream, shutdown)
        };
        connections.spawn(async move {
            tokio::select! { () = serving => {}, () = cut.cancelled() => {} }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.drain_time, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections cut: they did not finish in time");
        cut.cancel();
        connections.wait().await;
    }
}

/// Counters of one listener.
struct Figures {
    accepted: Counter,
    refused: Counter,
    failed: Counter,
}

impl Figures {
    fn new(metrics: &Metrics) -> Self {
        Self {
            accepted: metrics.counter("connections_accepted", "Connections accepted"),
            refused: metrics.counter("connections_refused", "Connections closed because a limit was reached"),
            failed: metrics.counter("connections_failed", "Connections that could not be accepted"),
        }
    }
}

/// The next connection; `None` after the stop signal.
async fn accept(
    listener: &TcpListener,
    figures: &Figures,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    let mut failed = 0_u64;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(connection) => {
                if failed > 1 {
                    tracing::warn!(times = failed, "connections are accepted again");
                }
                return Some(connection);
            }
            Err(error) => {
                figures.failed.inc();
                failed += 1;
                if failed == 1 {
                    tracing::warn!(%error, "a connection could not be accepted");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection that was accepted.
struct Connection {
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    proxies: Arc<Proxies>,
    place: Place,
}

impl Connection {
    /// Whether it must begin with a header of the PROXY protocol.
    fn begins_with_header(&self) -> bool {
        self.proxies.proxy_protocol && self.proxies.trust(self.peer.ip())
    }

    fn begin(
        self,
        tls: Option<Tls>,
        stream: TcpStream,
        shutdown: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let stream = StallGuard::new(stream, self.limits.write_time);
        match tls {
            None => Box::pin(self.serve(stream, shutdown)),
            Some(tls) => Box::pin(self.serve_tls(tls, stream, shutdown)),
        }
    }

    /// Finds out first whom a proxy speaks for; the connection then counts for that client.
    async fn serve_proxied(
        mut self,
        tls: Option<Tls>,
        mut stream: TcpStream,
        shutdown: CancellationToken,
        refused: Counter,
    ) {
        let reading = proxied::read_header(&mut stream, self.limits.header_time);
        match shutdown.run_until_cancelled(reading).await {
            None => return,
            Some(Ok(ProxyHeader::Own)) => {}
            Some(Ok(ProxyHeader::For { source, .. })) => {
                self.peer = source;
                if !self.place.count_for(source.ip()) {
                    refused.inc();
                    return;
                }
            }
            Some(Err(fault)) => {
                refused.inc();
                tracing::warn!(proxy = %self.peer, %fault, "a trusted proxy's connection was refused");
                return;
            }
        }
        self.begin(tls, stream, shutdown).await;
    }

    /// Shakes hands first, in the time that a header may take.
    async fn serve_tls(self, tls: Tls, stream: StallGuard<TcpStream>, shutdown: CancellationToken) {
        let handshake = tokio::time::timeout(self.limits.header_time, tls.acceptor().accept(stream));
        match shutdown.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => self.serve(stream, shutdown).await,
            Some(Ok(Err(error))) => tracing::debug!(peer = %self.peer, %error, "no TLS"),
            Some(Err(_)) => tracing::debug!(peer = %self.peer, "the TLS handshake took too long"),
            None => {}
        }
    }

    async fn serve<S>(self, stream: S, shutdown: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { peer, router, limits, proxies, place } = self;
        let stops = shutdown.clone();
        let (trusted, place) = (proxies.trust(peer.ip()), Held(Arc::new(place)));
        let service = service_fn(move |mut request: Request<Incoming>| {
            let believed = if trusted { &proxies.networks[..] } else { &[] };
            let client = Client::of_request(peer.ip(), believed, proxies.forwarded_header, request.headers());
            request.extensions_mut().insert(client);
            request.extensions_mut().insert(place.clone());
            let (router, stops) = (router.clone(), stops.clone());
            let context = RequestContext::of(&request, client.address, trusted);
            let id = context.id();
            RequestContext::within(Some(context), async move {
                let answer = router.oneshot(request.map(Body::new)).await;
                let mut answer = answer.map_err(|impossible: Infallible| match impossible {})?;
                tracing::debug!(status = answer.status().as_u16(), "answered");
                answer.headers_mut().insert(request_context::HEADER, id);
                if stops.is_cancelled() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            })
        });
        let buffer = if limits.large_bodies { LARGE_READ_BUFFER_BYTES } else { READ_BUFFER_BYTES };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_time)
            .max_buf_size(buffer)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shutdown.cancelled() => {
                if let Ok(ended) = tokio::time::timeout(LAST_REQUEST, connection.as_mut()).await {
                    ended
                } else {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "connection ended early");
        }
    }
}

#[cfg(test)]
mod tests;
