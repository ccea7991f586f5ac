//! For which request the program acts, so that a log line can say of which one it comes.
//!
//! Every request of a [listener](crate::listener) has an id. Its answer carries that as [`HEADER`], and the lines that are
//! logged while the request is worked on end with it: in its own task, and in those that it starts with [`carry`]. What it
//! costs is one allocation for each request; nothing is formatted unless somebody logs.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use http::header::{HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// In which header an answer names its request, and a trusted proxy the one that it passes on.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken from a proxy, in bytes.
const LONGEST_ID: usize = 64;
/// What is shown of a path, in characters, and of a method, in bytes.
const SHOWN_OF_PATH: usize = 120;
const SHOWN_OF_METHOD: usize = 16;

tokio::task_local! {
    static CURRENT: Option<RequestContext>;
}

/// A request that is being worked on. Shown as `request=… method=… path=… client=…`, without the query.
#[derive(Debug, Clone)]
pub struct RequestContext(Arc<Known>);

#[derive(Debug)]
struct Known {
    id: HeaderValue,
    method: Method,
    uri: Uri,
    client: IpAddr,
}

impl RequestContext {
    /// Of a request that `client` has sent. The id is its own if it has one and comes `through_proxy`, else a new one.
    pub fn of<B>(request: &Request<B>, client: IpAddr, through_proxy: bool) -> Self {
        let named = request.headers().get(HEADER).filter(|id| through_proxy && is_sound(id));
        let id = named.cloned().unwrap_or_else(new_id);
        Self(Arc::new(Known { id, method: request.method().clone(), uri: request.uri().clone(), client }))
    }

    /// The request for which the current task works.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Option::clone).ok().flatten()
    }

    /// What the answer says in [`HEADER`].
    pub fn id(&self) -> HeaderValue {
        self.0.id.clone()
    }

    /// Does something on behalf of a request, if there is one.
    ///
    /// An `async fn` would keep room for `action` twice, where it comes from and where it is waited for: six KiB for each
    /// client of a Nimiq server.
    pub fn within<F: Future>(context: Option<Self>, action: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(context, action)
    }

    fn id_text(&self) -> &str {
        // Ids are letters, digits and marks only.
        self.0.id.to_str().unwrap_or_default()
    }

    fn method_text(&self) -> &str {
        let method = self.0.method.as_str();
        method.get(..SHOWN_OF_METHOD).unwrap_or(method)
    }

    fn path_text(&self) -> String {
        self.0.uri.path().chars().take(SHOWN_OF_PATH).flat_map(char::escape_debug).collect()
    }
}

/// For a task of its own that still acts for the current request.
pub fn carry<F: Future>(action: F) -> impl Future<Output = F::Output> {
    RequestContext::within(RequestContext::current(), action)
}

impl fmt::Display for RequestContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, method, path) = (self.id_text(), self.method_text(), self.path_text());
        write!(formatter, "request={id} method={method} path={path} client={}", self.0.client)
    }
}

impl Serialize for RequestContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("RequestContext", 4)?;
        object.serialize_field("id", self.id_text())?;
        object.serialize_field("method", self.method_text())?;
        object.serialize_field("path", &self.path_text())?;
        object.serialize_field("client", &self.0.client)?;
        object.end()
    }
}

/// Whether a proxy's id can stand in a log line as it is.
fn is_sound(id: &HeaderValue) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(is_plain)
}

/// An id that no other request of this process has, and hardly one of another process: 16 hexadecimal digits.
fn new_id() -> HeaderValue {
    static FIRST: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("the first request"));
    static BEFORE: AtomicU64 = AtomicU64::new(0);
    let number = FIRST.wrapping_add(BEFORE.fetch_add(1, Ordering::Relaxed));
    let mut digits = [0; 16];
    // Of sixteen bytes that fit; a digit is a letter or a number, which a header may have.
    let _ = hex::encode_to_slice(mixed(number).to_be_bytes(), &mut digits);
    HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("unknown"))
}

/// The finalizer of SplitMix64, a permutation: neighbouring numbers look nothing like each other.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn context(path: &str, id: Option<&str>, through_proxy: bool) -> RequestContext {
        let mut request = Request::post(path).body(()).unwrap();
        if let Some(id) = id {
            request.headers_mut().insert(HEADER, HeaderValue::from_str(id).unwrap());
        }
        RequestContext::of(&request, CLIENT, through_proxy)
    }

    fn known() -> Option<HeaderValue> {
        RequestContext::current().map(|context| context.id())
    }

    #[test]
    fn ids_are_new_unless_a_trusted_proxy_has_given_one() {
        let own = (0..10_000).map(|_| context("/", None, false).id());
        let own = own.collect::<HashSet<_>>();
        assert_eq!(own.len(), 10_000);
        assert!(own.iter().all(|id| id.len() == 16 && is_sound(id)));
        assert_eq!(context("/", Some("from-nginx_1.2"), true).id(), "from-nginx_1.2");
        assert_ne!(context("/", Some("from-a-client"), false).id(), "from-a-client");
        for unsound in ["", "a b", "a\"b", "ä", &"a".repeat(65)] {
            assert_eq!(context("/", Some(unsound), true).id().len(), 16, "{unsound}");
        }
    }

    #[test]
    fn a_task_takes_no_second_room_for_what_it_does() {
        let action = async {
            let room = [0_u8; 10_000];
            tokio::task::yield_now().await;
            room.len()
        };
        let alone = size_of_val(&action);
        let within = size_of_val(&RequestContext::within(None, action));
        assert!(within < alone + 100, "{within} bytes, {alone} alone");
    }

    #[test]
    fn what_is_shown_is_short_and_harmless() {
        let shown = context("/m/pkt1?secret=1", Some("1"), true).to_string();
        assert_eq!(shown, "request=1 method=POST path=/m/pkt1 client=192.0.2.7");
        let long = context(&format!("/{}", "x".repeat(5000)), Some("1"), true);
        assert_eq!(serde_json::to_value(&long).unwrap()["path"].as_str().unwrap().len(), SHOWN_OF_PATH);
        // The control character with which some terminals begin a command.
        let escape = context("/\u{9b}31m", Some("1"), true).to_string();
        assert!(escape.contains(r"path=/\u{9b}31m"), "{escape}");
    }

    #[tokio::test]
    async fn tasks_that_carry_it_know_the_request() {
        assert_eq!(known(), None);
        let request = context("/", Some("7"), true);
        let tasks = async {
            let (carried, forgotten) = (carry(async { known() }), async { known() });
            let (carried, forgotten) = tokio::join!(tokio::spawn(carried), tokio::spawn(forgotten));
            (known(), carried.unwrap(), forgotten.unwrap())
        };
        let (own, carried, forgotten) = RequestContext::within(Some(request), tasks).await;
        let seven = Some(HeaderValue::from_static("7"));
        assert_eq!((own, carried, forgotten), (seven.clone(), seven, None));
        assert_eq!(carry(async { known() }).await, None);
    }
}
