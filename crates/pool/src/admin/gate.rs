//! Who may use the admin API.
//!
//! With a token: whoever shows it, from wherever the listener is reached. Without: this machine alone, and then only if
//! the request names it as such, since a web page that an operator looks at can send requests to this machine too, under
//! its own name or under one that it has pointed here. What a browser sends on behalf of a page is refused either way.

use std::net::IpAddr;

use axum::extract::Request;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, HeaderName};

use super::AdminConfig;
use super::fault::Fault;
use crate::admission::{Allowance, Counted};
use crate::listener::Client;

/// Wrong tokens from one address, at once and in a minute.
const GUESSES: Allowance = Allowance::new(10.0, 1.0 / 6.0);
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets a request in, and says who it is from.
pub(super) fn admit(config: &AdminConfig, request: &Request) -> Result<String, Fault> {
    let (client, headers) = (Client::of(request.extensions()), request.headers());
    if headers.contains_key(ORIGIN) || headers.contains_key(FETCH_SITE) {
        return Err(Fault::forbidden("this is not for web pages"));
    }
    let Some(token) = &config.token else {
        let is_here =
            client.address.to_canonical().is_loopback() && host(headers).is_some_and(names_this_machine);
        let refused = "without a token (`admin.token_file`) only this machine may ask, and by its own name";
        return if is_here { Ok(client.address.to_string()) } else { Err(Fault::forbidden(refused)) };
    };
    let guesses = |cost| config.admission.take(Counted::Guesses, client, GUESSES, cost);
    if bearer(headers).is_some_and(|shown| token.is(shown)) {
        return Ok(format!("{} with the token", client.address));
    }
    if guesses(1.0).is_err() { Err(Fault::too_many()) } else { Err(Fault::unauthorized()) }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, shown) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| shown.trim())
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST)?.to_str().ok()
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
    use super::*;

    #[test]
    fn only_the_names_of_this_machine_are_its_own() {
        for own in ["localhost", "LOCALHOST:80", "127.0.0.1", "127.1.2.3:9", "[::1]:80", "[::1]"] {
            assert!(names_this_machine(own), "{own}");
        }
        for other in
            ["", "pool.example", "127.0.0.1.evil.example", "192.0.2.1", "[2001:db8::1]:80", "0.0.0.0"]
        {
            assert!(!names_this_machine(other), "{other}");
        }
    }
}
