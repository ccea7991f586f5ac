//! `/api/v1/events`: server-sent events, with a place for each listener and no more.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderName, StatusCode};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::broadcast::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::answer::Fault;
use super::parameters::Parameters;
use crate::listener::Client;
use crate::metrics::Metrics;
use crate::site::SiteLimits;
use crate::site::address;

/// Proxies close what is silent for a minute.
const SILENCE: Duration = Duration::from_secs(20);
/// What is said when there is nothing to say.
const NOTHING: Bytes = Bytes::from_static(b":\n\n");
/// At first, so that a browser that is cut off comes back after five seconds.
const HELLO: Bytes = Bytes::from_static(b"retry: 5000\n\n");

/// The places for listeners.
pub(super) struct Listeners {
    places: Arc<Semaphore>,
    most_of_an_address: usize,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    open: Gauge,
    shutdown: CancellationToken,
}

/// One listener's place; given back when the stream ends.
struct Place {
    _permit: OwnedSemaphorePermit,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    counted: Option<IpAddr>,
    open: Gauge,
}

impl Listeners {
    pub(super) fn new(limits: SiteLimits, metrics: &Metrics, shutdown: CancellationToken) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.streams)),
            most_of_an_address: limits.streams_per_address,
            by_address: Arc::default(),
            open: metrics.gauge("event_streams", "Event streams that are open"),
            shutdown,
        }
    }

    fn place(&self, client: Client) -> Result<Place, Fault> {
        let full = || {
            let message = "too many listen already; pages refresh themselves meanwhile";
            Fault::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
        };
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| full())?;
        let counted = (!client.exempt).then(|| client.group());
        if let Some(address) = counted {
            let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let count = by_address.entry(address).or_default();
            if *count >= self.most_of_an_address {
                let message = "too many event streams from this address";
                return Err(Fault::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", message));
            }
            *count += 1;
        }
        self.open.inc();
        let (by_address, open) = (Arc::clone(&self.by_address), self.open.clone());
        Ok(Place { _permit: permit, by_address, counted, open })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
        let Some(address) = self.counted else { return };
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

/// What happens from now on: `block`, `payout`, and with an address `work` that was accepted of it. A listener that
/// falls behind is cut off.
#[utoipa::path(get, path = "/api/v1/events", tag = "pool",
    params(("address" = Option<String>, Query, description = "Whose accepted work is told, too")),
    responses(
        (status = 200, description = "Server-sent events", body = String, content_type = "text/event-stream"),
        (status = 400, description = "Asked wrongly", body = Fault),
        (status = 429, description = "Asked too often, or too many streams of one address", body = Fault),
        (status = 503, description = "Too many listen already", body = Fault),
    )
)]
pub(super) async fn events(
    State(api): State<Arc<Api>>,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Fault> {
    parameters.only(&["address"])?;
    let text = parameters.decoded("address")?.filter(|text| !text.is_empty());
    let chains = api.facts.now().chains();
    let address = text.map(|text| address::read(&text, &chains)).transpose()?;
    let place = api.listeners.place(Client::of(request.extensions()))?;
    let of_pool = api.facts.events().of_pool();
    let of_address = address.map(|address| api.facts.events().of_address(address));
    let shutdown = api.listeners.shutdown.clone();
    let listener = Listener { of_pool, of_address, shutdown, place, greeted: false };
    let frames = stream::unfold(listener, |mut listener| async move {
        let frame = listener.next().await?;
        Some((Ok::<Bytes, Infallible>(frame), listener))
    });
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would keep events back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

struct Listener {
    of_pool: Receiver<Bytes>,
    of_address: Option<Receiver<Bytes>>,
    shutdown: CancellationToken,
    #[allow(dead_code)] // held until the stream ends
    place: Place,
    greeted: bool,
}

impl Listener {
    /// The next thing to write; `None` ends the stream: the listener fell behind, or the pool stops.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            return Some(HELLO);
        }
        let of_address = async {
            match &mut self.of_address {
                Some(receiver) => receiver.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = self.of_pool.recv() => event.ok(),
            event = of_address => event.ok(),
            () = tokio::time::sleep(SILENCE) => Some(NOTHING),
            () = self.shutdown.cancelled() => None,
        }
    }
}
