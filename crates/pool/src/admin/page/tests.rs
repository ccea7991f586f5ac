//! The page as a browser of the operator's meets it, and as the browser of somebody who was led astray does.

use axum::body::Body;
use axum::response::Response;
use http::Request;
use http_body_util::BodyExt;

use super::super::readings::QUEUES;
use super::super::tests::{Stand, TOKEN};
use super::*;
use crate::metrics::Stage;

const HERE: &str = "127.0.0.1";
const HOST: (&str, &str) = ("host", "127.0.0.1:8079");
const ORIGIN: (&str, &str) = ("origin", "http://127.0.0.1:8079");
const OPENED: (&str, &str) = ("sec-fetch-site", "none");
const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");
const SAME_SITE: (&str, &str) = ("sec-fetch-site", "same-site");
const FOREIGN: (&str, &str) = ("sec-fetch-site", "cross-site");
const JSON: (&str, &str) = ("content-type", "application/json");
const BAN: &str = r#"{"subject": "192.0.2.7", "minutes": 1, "reason": "x", "dry_run": true}"#;

type Headers = &'static [(&'static str, &'static str)];

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(if method == "POST" { Body::from(BAN) } else { Body::empty() }).unwrap()
}

async fn text(answer: Response) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Each: method, path, from where, headers, the status.
async fn all_are_answered(stand: &Stand, table: &[(&str, &str, &str, Headers, u16)]) {
    for (method, path, from, headers, status) in table {
        let answer = stand.answer(from, request(method, path, headers)).await;
        assert_eq!(answer.status(), *status, "{method} {path} from {from} {headers:?}");
    }
}

#[tokio::test]
async fn u8_the_page_and_its_files_are_served_and_refuse_everything_foreign() {
    let stand = Stand::new(None);
    for path in ["/admin", "/admin/"].into_iter().chain(FILES.iter().map(|file| file.path)) {
        let answer = stand.answer(HERE, request("GET", path, &[HOST, OPENED])).await;
        assert_eq!(answer.status(), 200, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        for part in
            ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'none'"]
        {
            assert!(header("content-security-policy").contains(part), "{path}: {part}");
        }
        assert!(!header("content-security-policy").contains("unsafe"), "{path}");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(!answer.headers().contains_key("access-control-allow-origin"), "{path}");
    }
    let page = text(stand.answer(HERE, request("GET", "/admin", &[HOST])).await).await;
    assert!(page.contains("data-token=\"none\"") && page.contains("headframe admin"), "{page}");
    let data = stand.answer(HERE, request("GET", "/admin/bans", &[HOST, OWN])).await;
    assert_eq!(data.headers()["cache-control"], "no-store");
    assert_eq!(data.headers()["x-frame-options"], "DENY");
}

/// Without a token: what passes first, then the table of what is refused.
#[tokio::test]
async fn u8_without_a_token_only_this_machine_s_own_page_passes() {
    all_are_answered(
        &Stand::new(None),
        &[
            ("GET", "/admin", HERE, &[HOST, OPENED], 200),
            ("GET", "/admin/page.js", HERE, &[HOST, OWN], 200),
            ("GET", "/admin/queues", HERE, &[HOST, OWN], 200),
            ("GET", "/admin/queues", HERE, &[HOST, OWN, ORIGIN], 200),
            ("POST", "/admin/bans", HERE, &[HOST, OWN, ORIGIN, JSON], 200),
            ("POST", "/admin/bans", HERE, &[HOST, ORIGIN, JSON], 200),
            // A program, not a browser.
            ("GET", "/admin/queues", HERE, &[HOST], 200),
            ("POST", "/admin/bans", HERE, &[HOST], 200),
            // Another page asks, or leads here: of another site, of another port of this machine, in a sandbox.
            ("GET", "/admin", HERE, &[HOST, FOREIGN], 403),
            ("GET", "/admin", HERE, &[HOST, SAME_SITE], 403),
            ("GET", "/admin/page.js", HERE, &[HOST, FOREIGN], 403),
            ("GET", "/admin/queues", HERE, &[HOST, FOREIGN], 403),
            ("GET", "/admin/queues", HERE, &[HOST, SAME_SITE], 403),
            ("POST", "/admin/bans", HERE, &[HOST, FOREIGN, ("origin", "http://evil.example"), JSON], 403),
            ("POST", "/admin/bans", HERE, &[HOST, SAME_SITE, ("origin", "http://127.0.0.1:8080"), JSON], 403),
            ("POST", "/admin/bans", HERE, &[HOST, ("origin", "null"), JSON], 403),
            ("OPTIONS", "/admin/bans", HERE, &[HOST, FOREIGN, ("origin", "http://evil.example")], 403),
            // The headers of a browser that do not agree.
            ("POST", "/admin/bans", HERE, &[HOST, OWN, ("origin", "http://evil.example"), JSON], 403),
            ("POST", "/admin/bans", HERE, &[HOST, FOREIGN, ORIGIN, JSON], 403),
            ("GET", "/admin/queues", HERE, &[HOST, OWN, FOREIGN], 403),
            // What its user types is the page, not data and no act.
            ("GET", "/admin/queues", HERE, &[HOST, OPENED], 403),
            ("POST", "/admin/bans", HERE, &[HOST, OPENED, JSON], 403),
            // A name that somebody has pointed here; its page is of one origin with what it asks.
            ("GET", "/admin", HERE, &[("host", "rebound.example:8079"), OPENED], 403),
            ("GET", "/admin/queues", HERE, &[("host", "rebound.example:8079"), OWN], 403),
            (
                "POST",
                "/admin/bans",
                HERE,
                &[("host", "rebound.example"), OWN, ("origin", "http://rebound.example"), JSON],
                403,
            ),
            ("GET", "/admin", HERE, &[OPENED], 403),
            // Another machine.
            ("GET", "/admin", "192.0.2.1", &[HOST, OPENED], 403),
            ("GET", "/admin/page.js", "192.0.2.1", &[HOST, OWN], 403),
            ("GET", "/admin/queues", "192.0.2.1", &[HOST, OWN], 403),
            // What a form can send.
            ("POST", "/admin/bans", HERE, &[HOST, OWN, ORIGIN, ("content-type", "text/plain")], 415),
            ("POST", "/admin/bans", HERE, &[HOST, OWN, ORIGIN], 415),
            ("POST", "/admin", HERE, &[HOST, OWN, ORIGIN, JSON], 405),
        ],
    )
    .await;
}

/// With one: the page is anybody's, since there is nothing in it; everything else wants the token, and the same of browsers.
#[tokio::test]
async fn u8_with_a_token_the_page_is_shown_and_tells_nothing_without_it() {
    let stand = Stand::new(Some(TOKEN));
    const AWAY: &str = "192.0.2.1";
    const PROXIED: (&str, &str) = ("host", "admin.example");
    const PROXY: (&str, &str) = ("origin", "https://admin.example");
    const SHOWN: (&str, &str) = ("authorization", "Bearer 0f9a3c5e7b1d24680f9a3c5e7b1d2468");
    all_are_answered(
        &stand,
        &[
            ("GET", "/admin", AWAY, &[PROXIED, OPENED], 200),
            ("GET", "/admin", AWAY, &[PROXIED], 200),
            ("GET", "/admin/style.css", AWAY, &[PROXIED, OWN], 200),
            ("GET", "/admin/queues", AWAY, &[PROXIED, OWN, SHOWN], 200),
            ("POST", "/admin/bans", AWAY, &[PROXIED, OWN, PROXY, JSON, SHOWN], 200),
            ("GET", "/admin/queues", AWAY, &[PROXIED, OWN], 401),
            ("POST", "/admin/bans", AWAY, &[PROXIED, OWN, PROXY, JSON], 401),
            ("GET", "/admin", AWAY, &[PROXIED, FOREIGN], 403),
            ("GET", "/admin/queues", AWAY, &[PROXIED, FOREIGN, SHOWN], 403),
            ("GET", "/admin/queues", AWAY, &[PROXIED, OPENED, SHOWN], 403),
            ("POST", "/admin/bans", AWAY, &[PROXIED, ("origin", "https://evil.example"), JSON, SHOWN], 403),
            ("POST", "/admin/bans", AWAY, &[PROXIED, OWN, PROXY, SHOWN], 415),
        ],
    )
    .await;
    let page = text(stand.answer(AWAY, request("GET", "/admin", &[PROXIED])).await).await;
    assert!(page.contains("data-token=\"needed\"") && !page.contains(TOKEN), "{page}");
    let mut last = 0;
    for _ in 0..12 {
        let guess = ("authorization", "Bearer 00000000000000000000000000000000");
        last =
            stand.answer(AWAY, request("GET", "/admin/acts", &[PROXIED, OWN, guess])).await.status().as_u16();
    }
    assert_eq!(last, 429, "a page is no way around the limit");
}

/// Nothing inline, which the policy would refuse; and each script that another takes is served.
#[test]
fn the_files_keep_the_policy_and_know_each_other() {
    let page = FILES[0].text;
    assert_eq!(page.matches(TOKEN_PLACE).count(), 1);
    for inline in [" style=", "<style", " onclick=", " onsubmit=", "javascript:", "http://", "https://"] {
        assert!(!page.contains(inline), "{inline}");
    }
    let named = |text: &str, before: &str| -> Vec<String> {
        text.split(before).skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned)).collect()
    };
    for address in named(page, " src=\"").into_iter().chain(named(page, " href=\"/")) {
        let address = if address.starts_with('/') { address } else { format!("/{address}") };
        assert!(FILES.iter().any(|file| file.path == address), "{address}");
    }
    for script in FILES.iter().filter(|file| file.content_type == SCRIPT) {
        for other in named(script.text, "from \"./") {
            assert!(
                FILES.iter().any(|file| file.path == format!("/admin/{other}")),
                "{}: {other}",
                script.path
            );
        }
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "localStorage.setItem(\"t",
        ] {
            let is_theme = sink.starts_with("local") && script.text.contains("setItem(\"theme\"");
            assert!(!script.text.contains(sink) || is_theme, "{}: {sink}", script.path);
        }
    }
}

#[test]
fn the_page_has_words_for_all_that_it_shows() {
    let page = FILES[0].text;
    for (queue, _) in QUEUES {
        assert!(page.contains(&format!("data-words=\"queue.{queue}\"")), "{queue}");
    }
    for stage in Stage::ALL {
        assert!(page.contains(&format!("data-words=\"stage.{}\"", stage.name())), "{}", stage.name());
    }
    for script in FILES.iter().filter(|file| file.content_type == SCRIPT) {
        for key in script.text.split("words(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(page.contains(&format!("data-words=\"{key}\"")), "{}: {key}", script.path);
        }
    }
}
