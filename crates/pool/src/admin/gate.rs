//! Who may use the admin API, and from where its page may ask.
//!
//! With a token: whoever shows it, from wherever the listener is reached. Without: this machine alone, and then only if
//! the request names it as such, since a web page that an operator looks at can send requests to this machine too, under
//! its own name or under one that it has pointed here.
//!
//! Of what a browser sends, only what the page of this very listener asks for passes, token or not: the browser says on
//! whose behalf it asks (`sec-fetch-site`, `origin`), and no page can make it say something else. What is done on its
//! behalf must come as JSON, which no form of another page can send.

use std::net::IpAddr;

use axum::extract::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method};

use super::AdminConfig;
use super::fault::Fault;
use crate::admission::{Allowance, Counted};
use crate::listener::Client;

/// Wrong tokens from one address, at once and in a minute.
const GUESSES: Allowance = Allowance::new(10.0, 1.0 / 6.0);
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets a request for data or for an act in, and says who it is from.
pub(super) fn admit(config: &AdminConfig, request: &Request) -> Result<String, Fault> {
    let (client, headers) = (Client::of(request.extensions()), request.headers());
    let browser = Browser::of(headers)?;
    browser.asks_for_its_own_page()?;
    if browser.is_one && request.method() == Method::POST && !is_json(headers) {
        return Err(Fault::no_json());
    }
    let Some(token) = &config.token else {
        this_machine(client, headers)?;
        return Ok(client.address.to_string());
    };
    let guesses = |cost| config.admission.take(Counted::Guesses, client, GUESSES, cost);
    if bearer(headers).is_some_and(|shown| token.is(shown)) {
        return Ok(format!("{} with the token", client.address));
    }
    if guesses(1.0).is_err() { Err(Fault::too_many()) } else { Err(Fault::unauthorized()) }
}

/// Lets a request for the page itself in, in which there are no data: with a token whoever reaches the listener sees it.
pub(super) fn admit_to_page(config: &AdminConfig, request: &Request) -> Result<(), Fault> {
    let headers = request.headers();
    let browser = Browser::of(headers)?;
    if !browser.is_opened_by_its_user {
        browser.asks_for_its_own_page()?;
    }
    if config.token.is_none() { this_machine(Client::of(request.extensions()), headers) } else { Ok(()) }
}

/// What a request says of the page that it was sent for.
struct Browser {
    /// Whether a browser sent it.
    is_one: bool,
    /// Somebody typed the address or chose a bookmark: no page asks.
    is_opened_by_its_user: bool,
    /// The page that asks, if one does, is of this listener.
    is_own: bool,
}

impl Browser {
    fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        let (site, origin) = (only(headers, &FETCH_SITE)?, only(headers, &ORIGIN)?);
        let is_own_site = site.is_none_or(|site| site == "same-origin");
        let is_own_origin = match origin {
            Some(origin) => only(headers, &HOST)?.is_some_and(|host| is_of(origin, host)),
            None => true,
        };
        Ok(Self {
            is_one: site.is_some() || origin.is_some(),
            is_opened_by_its_user: site == Some("none") && origin.is_none(),
            is_own: is_own_site && is_own_origin,
        })
    }

    fn asks_for_its_own_page(&self) -> Result<(), Fault> {
        let refused = "only the admin page itself may ask for this; type the address /admin, or use a bookmark: no other \
                       page leads there";
        if self.is_own { Ok(()) } else { Err(Fault::forbidden(refused)) }
    }
}

/// A header that is there once at most: of two, somebody on the way may have believed the other.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Fault> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    let refused = || Fault::forbidden(&format!("expected one header `{name}` of plain characters"));
    if values.next().is_some() { Err(refused()) } else { first.to_str().map(Some).map_err(|_| refused()) }
}

/// Whether an origin is that of the host that was asked. A proxy may have made it HTTPS; the port is part of the host.
fn is_of(origin: &str, host: &str) -> bool {
    let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    own.is_some_and(|own| !own.is_empty() && own.eq_ignore_ascii_case(host))
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// What everybody must keep who asks without a token.
fn this_machine(client: Client, headers: &HeaderMap) -> Result<(), Fault> {
    let is_here =
        client.address.to_canonical().is_loopback() && only(headers, &HOST)?.is_some_and(names_this_machine);
    let refused = "without a token (`admin.token_file`) only this machine may ask, and by its own name";
    if is_here { Ok(()) } else { Err(Fault::forbidden(refused)) }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, shown) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| shown.trim())
}

/// `localhost` or a loopback address, with or without a port.
fn names_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_the_names_of_this_machine_are_its_own() {
        for own in ["localhost", "LOCALHOST:80", "127.0.0.1", "127.1.2.3:9", "[::1]:80", "[::1]"] {
            assert!(names_this_machine(own), "{own}");
        }
        for other in [
            "",
            "pool.example",
            "127.0.0.1.evil.example",
            "192.0.2.1",
            "[2001:db8::1]:80",
            "0.0.0.0",
            "localhost.evil.example",
            "localhost.",
            "evil.example#localhost",
        ] {
            assert!(!names_this_machine(other), "{other}");
        }
    }

    #[test]
    fn an_origin_is_that_of_the_host_or_a_stranger_s() {
        for (origin, host) in [
            ("http://127.0.0.1:8079", "127.0.0.1:8079"),
            ("http://localhost", "LOCALHOST"),
            ("http://[::1]:8079", "[::1]:8079"),
            // A proxy with TLS, which passes the host on.
            ("https://admin.example", "admin.example"),
            ("https://admin.example:8443", "admin.example:8443"),
        ] {
            assert!(is_of(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "127.0.0.1:8079"),
            ("", "127.0.0.1:8079"),
            ("127.0.0.1:8079", "127.0.0.1:8079"),
            ("http://127.0.0.1", "127.0.0.1:8079"),
            ("http://127.0.0.1:8080", "127.0.0.1:8079"),
            ("http://localhost:8079", "127.0.0.1:8079"),
            ("http://127.0.0.1:8079/", "127.0.0.1:8079"),
            ("http://127.0.0.1:8079.evil.example", "127.0.0.1:8079"),
            ("http://evil.example@127.0.0.1:8079", "127.0.0.1:8079"),
            ("file://127.0.0.1:8079", "127.0.0.1:8079"),
            ("chrome-extension://127.0.0.1:8079", "127.0.0.1:8079"),
            ("http://", ""),
        ] {
            assert!(!is_of(origin, host), "{origin} {host}");
        }
    }

    #[test]
    fn a_browser_is_told_from_a_program_and_its_own_page_from_others() {
        const OWN: (&str, &str) = ("host", "127.0.0.1:8079");
        const ORIGIN: (&str, &str) = ("origin", "http://127.0.0.1:8079");
        let site = |value| ("sec-fetch-site", value);
        // Headers; whether they are a browser's, are its user's, and are those of the page itself.
        for (sent, is_one, is_opened_by_its_user, is_own) in [
            (vec![OWN], false, false, true),
            (vec![OWN, site("same-origin")], true, false, true),
            (vec![OWN, site("same-origin"), ORIGIN], true, false, true),
            (vec![OWN, ORIGIN], true, false, true),
            (vec![OWN, site("none")], true, true, false),
            (vec![OWN, site("none"), ORIGIN], true, false, false),
            (vec![OWN, site("same-site")], true, false, false),
            (vec![OWN, site("cross-site")], true, false, false),
            (vec![OWN, site("Same-Origin")], true, false, false),
            (vec![OWN, site("")], true, false, false),
            (vec![OWN, site("cross-site"), ORIGIN], true, false, false),
            (vec![OWN, site("same-origin"), ("origin", "http://evil.example")], true, false, false),
            (vec![OWN, ("origin", "null")], true, false, false),
            (vec![ORIGIN], true, false, false),
        ] {
            let found = Browser::of(&headers(&sent)).unwrap();
            assert_eq!(
                (found.is_one, found.is_opened_by_its_user, found.is_own),
                (is_one, is_opened_by_its_user, is_own),
                "{sent:?}"
            );
        }
        for twice in [
            vec![OWN, site("same-origin"), site("cross-site")],
            vec![OWN, ORIGIN, ("origin", "http://evil.example")],
            vec![OWN, ("host", "evil.example"), ORIGIN],
        ] {
            assert!(Browser::of(&headers(&twice)).is_err(), "{twice:?}");
        }
    }

    #[test]
    fn forms_of_other_pages_send_no_json() {
        for json in ["application/json", "Application/JSON; charset=utf-8"] {
            assert!(is_json(&headers(&[("content-type", json)])), "{json}");
        }
        assert!(!is_json(&headers(&[])));
        for other in ["text/plain", "application/x-www-form-urlencoded", "text/plain; application/json", ""] {
            assert!(!is_json(&headers(&[("content-type", other)])), "{other}");
        }
    }
}
