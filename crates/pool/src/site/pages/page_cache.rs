//! A page is made once for each picture of the pool, however many ask for it, and however many of them at once; and
//! compressed once, if any of them takes it so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use http::header::{CONTENT_ENCODING, HeaderValue, VARY};
use http::response::Parts;
use http::{Method, StatusCode};
use tokio::sync::OnceCell;

use super::super::Facts;
use super::super::facts::Moment;
use super::super::static_files;

/// How long a page is the page where the picture stays: its ages go on.
const FRESH_FOR: Duration = Duration::from_secs(2);
/// A larger page is answered and not kept.
const LARGEST_KEPT: usize = 128 << 10;
/// A smaller page takes as many packets either way.
const WORTH_COMPRESSING: usize = 1 << 10;
/// No page is as large.
const LARGEST: usize = 4 << 20;

/// The pages of the newest picture, by address with its question.
pub(super) struct PageCache {
    facts: Facts,
    /// Pages kept at once, each of at most 128 KiB. Beyond, questions are answered and not kept.
    most: usize,
    /// Longer addresses are somebody's own invention.
    longest_address: usize,
    places: Mutex<HashMap<String, Arc<Place>>>,
}

/// A page that is there, or is being made: the first who asks makes it, the others wait for that.
struct Place {
    picture: Moment,
    fresh_until: Instant,
    page: OnceCell<Page>,
}

impl Place {
    fn new(picture: Moment) -> Self {
        Self { picture, fresh_until: Instant::now() + FRESH_FOR, page: OnceCell::new() }
    }
}

#[derive(Clone)]
struct Page {
    parts: Parts,
    body: Bytes,
    /// The same with gzip, once somebody has asked for it; nothing where that failed.
    compressed: Arc<OnceLock<Option<Bytes>>>,
}

impl Page {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        match to_bytes(body, LARGEST).await {
            Ok(body) => Self { parts, body, compressed: Arc::default() },
            Err(_) => Self {
                parts: StatusCode::INTERNAL_SERVER_ERROR.into_response().into_parts().0,
                body: Bytes::new(),
                compressed: Arc::default(),
            },
        }
    }

    /// The answer to one who asked; compressed once, for all who take it so.
    fn answer(&self, takes_gzip: bool) -> Response {
        let is_worth_it = takes_gzip && self.body.len() >= WORTH_COMPRESSING;
        let compressed = is_worth_it.then(|| {
            self.compressed.get_or_init(|| static_files::compressed(&self.body, Compression::fast())).clone()
        });
        let compressed = compressed.flatten();
        let is_compressed = compressed.is_some();
        let body = compressed.unwrap_or_else(|| self.body.clone());
        let mut answer = Response::from_parts(self.parts.clone(), Body::from(body));
        answer.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
        if is_compressed {
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer
    }

    /// Whether others may be given it. One that says that nobody answers is kept, too: they would all ask again.
    fn is_for_others(&self) -> bool {
        let status = self.parts.status;
        self.body.len() <= LARGEST_KEPT && (status == StatusCode::OK || status.is_server_error())
    }
}

impl PageCache {
    /// A cache of so many pages with addresses of at most so many bytes.
    pub(super) fn new(facts: Facts, most: usize, longest_address: usize) -> Arc<Self> {
        Arc::new(Self { facts, most, longest_address, places: Mutex::default() })
    }

    /// Where the page of an address is, or is to be made; `None` if there is no room for it.
    fn place(&self, address: String) -> Option<Arc<Place>> {
        let picture = self.facts.now().gathered_at;
        let is_fresh = |place: &Place| place.picture == picture && Instant::now() < place.fresh_until;
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(&address).filter(|place| is_fresh(place)) {
            return Some(Arc::clone(place));
        }
        if places.len() >= self.most {
            places.retain(|_, place| is_fresh(place));
        }
        if places.len() >= self.most {
            return None;
        }
        let place = Arc::new(Place::new(picture));
        places.insert(address, Arc::clone(&place));
        Some(place)
    }

    /// Takes a page back that is not for others; those who have waited for it get it all the same.
    fn forget(&self, address: &str, place: &Arc<Place>) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.get(address).is_some_and(|known| Arc::ptr_eq(known, place)) {
            places.remove(address);
        }
    }
}

/// Answers from the cache, or makes the page and keeps it.
pub(super) async fn serve(State(cache): State<Arc<PageCache>>, request: Request, next: Next) -> Response {
    let address = request.uri().path_and_query().map_or("/", |address| address.as_str());
    if request.method() != Method::GET || address.len() > cache.longest_address {
        return next.run(request).await;
    }
    let address = address.to_owned();
    let takes_gzip = static_files::takes_gzip(request.headers());
    let Some(place) = cache.place(address.clone()) else { return next.run(request).await };
    let page = place.page.get_or_init(async || Page::of(next.run(request).await).await).await;
    if !page.is_for_others() {
        cache.forget(&address, &place);
    }
    page.answer(takes_gzip)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    fn cache() -> Arc<PageCache> {
        PageCache::new(Facts::sample(), 8, 40)
    }

    /// A site whose pages take a moment to be made, and say how many have been made.
    fn site(cache: &Arc<PageCache>, status: StatusCode) -> Router {
        let made = Arc::new(AtomicUsize::new(0));
        let page = move || {
            let made = Arc::clone(&made);
            async move {
                tokio::task::yield_now().await;
                (status, (made.fetch_add(1, Ordering::Relaxed) + 1).to_string())
            }
        };
        Router::new().route("/", get(page)).layer(from_fn_with_state(Arc::clone(cache), serve))
    }

    async fn ask(site: &Router, address: &str) -> String {
        let request = Request::get(address).body(Body::empty()).unwrap();
        let answer = site.clone().oneshot(request).await.unwrap();
        String::from_utf8(to_bytes(answer.into_body(), 100).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn many_who_ask_at_once_get_one_page() {
        let site = site(&cache(), StatusCode::OK);
        let asking = (0..50).map(|_| ask(&site, "/?range=7d"));
        assert!(futures_util::future::join_all(asking).await.iter().all(|page| page == "1"));
        assert_eq!(ask(&site, "/?range=1h").await, "2");
    }

    #[tokio::test]
    async fn a_page_is_compressed_for_those_who_take_it_so() {
        let long = "a table of the pool ".repeat(200);
        let site = {
            let long = long.clone();
            Router::new()
                .route("/", get(move || async move { long }))
                .layer(from_fn_with_state(cache(), serve))
        };
        for (accepted, is_compressed) in [("gzip, br", true), ("gzip;q=0", false), ("", false)] {
            let request = Request::get("/").header("accept-encoding", accepted).body(Body::empty()).unwrap();
            let answer = site.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.headers()[VARY], "accept-encoding");
            assert_eq!(answer.headers().contains_key(CONTENT_ENCODING), is_compressed, "{accepted}");
            let body = to_bytes(answer.into_body(), 10_000).await.unwrap();
            let read: Box<dyn std::io::Read> = if is_compressed {
                Box::new(flate2::read::GzDecoder::new(&body[..]))
            } else {
                Box::new(&body[..])
            };
            assert_eq!(std::io::read_to_string(read).unwrap(), long, "{accepted}");
        }
    }

    #[tokio::test]
    async fn made_up_questions_do_not_fill_it_beyond_its_bound() {
        let cache = cache();
        let site = site(&cache, StatusCode::OK);
        for number in 0..100 {
            ask(&site, &format!("/?page={number}")).await;
        }
        ask(&site, &format!("/?{}", "x".repeat(100))).await;
        assert_eq!(cache.places.lock().unwrap().len(), 8);
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_kept_and_that_nobody_answers_is() {
        for (status, kept) in
            [(StatusCode::NOT_FOUND, 0), (StatusCode::SERVICE_UNAVAILABLE, 1), (StatusCode::OK, 1)]
        {
            let cache = cache();
            ask(&site(&cache, status), "/").await;
            assert_eq!(cache.places.lock().unwrap().len(), kept, "{status}");
        }
    }

    #[tokio::test]
    async fn an_old_page_is_made_again() {
        let cache = cache();
        let place = cache.place("/".to_owned()).unwrap();
        assert!(Arc::ptr_eq(&place, &cache.place("/".to_owned()).unwrap()));
        let old = Arc::new(Place { fresh_until: Instant::now(), ..Place::new(place.picture) });
        let of_another_picture = Arc::new(Place::new(Moment(1)));
        for stale in [old, of_another_picture] {
            cache.places.lock().unwrap().insert("/".to_owned(), Arc::clone(&stale));
            assert!(!Arc::ptr_eq(&stale, &cache.place("/".to_owned()).unwrap()));
        }
    }
}
