//! Pages that are the same for everybody are made once a second, however many ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::response::Parts;
use http::{Method, StatusCode};

/// How long a page is the page: the finest unit of its ages.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Pages kept at once. There are fewer, unless somebody makes questions up; those are answered and not kept.
const MOST: usize = 64;
/// A question that is longer is somebody's own, such as an address.
const LONGEST_QUESTION: usize = 48;
/// No page is as large.
const LARGEST: usize = 4 << 20;

/// The pages of this second, by address.
#[derive(Default)]
pub(super) struct PageCache(Mutex<HashMap<String, Page>>);

struct Page {
    made: Instant,
    parts: Parts,
    body: Bytes,
}

impl Page {
    fn is_fresh(&self) -> bool {
        self.made.elapsed() < FRESH_FOR
    }
}

impl PageCache {
    fn get(&self, address: &str) -> Option<Response> {
        let pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let page = pages.get(address).filter(|page| page.is_fresh())?;
        Some(Response::from_parts(page.parts.clone(), Body::from(page.body.clone())))
    }

    fn keep(&self, address: String, parts: &Parts, body: &Bytes) {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.len() >= MOST {
            pages.retain(|_, page| page.is_fresh());
        }
        if pages.len() < MOST {
            pages.insert(address, Page { made: Instant::now(), parts: parts.clone(), body: body.clone() });
        }
    }
}

/// Answers from the cache, or asks for the page and keeps it.
pub(super) async fn serve(State(cache): State<Arc<PageCache>>, request: Request, next: Next) -> Response {
    let uri = request.uri();
    let is_own = uri.query().is_some_and(|question| question.len() > LONGEST_QUESTION);
    if request.method() != Method::GET || is_own {
        return next.run(request).await;
    }
    let address = uri.path_and_query().map_or_else(String::new, ToString::to_string);
    if let Some(page) = cache.get(&address) {
        return page;
    }
    let (parts, body) = next.run(request).await.into_parts();
    let Ok(body) = to_bytes(body, LARGEST).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if parts.status == StatusCode::OK {
        cache.keep(address, &parts, &body);
    }
    Response::from_parts(parts, Body::from(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> (Parts, Bytes) {
        (Response::new(()).into_parts().0, Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn made_up_questions_do_not_fill_it_beyond_its_bound() {
        let cache = PageCache::default();
        let (parts, body) = page("one");
        for number in 0..1000 {
            cache.keep(format!("/?page={number}"), &parts, &body);
        }
        assert_eq!(cache.0.lock().unwrap().len(), MOST);
        assert!(cache.get("/?page=0").is_some() && cache.get("/?page=999").is_none());
    }

    #[test]
    fn an_old_page_is_made_again() {
        let cache = PageCache::default();
        let (parts, body) = page("one");
        cache.keep("/".to_owned(), &parts, &body);
        cache.0.lock().unwrap().get_mut("/").unwrap().made -= FRESH_FOR;
        assert!(cache.get("/").is_none());
    }
}
