//! The page of the admin API: files that are part of the program, and what browsers are told to refuse on it.
//!
//! There are no data in them. Its scripts (`page/`) ask the API for all that they show, as everybody does, and put it in
//! as text. The look is the site's, as it was built in: what an operator puts into the site's folder changes nothing here.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const ICON: &str = "image/svg+xml";

/// The page asks nobody but its listener, runs and wears nothing but its own files, stands in no frame, sends no form, and
/// has no way to turn a text into markup.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// On every answer of the listener: no cache keeps it, no other page reads, frames or learns of it.
const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("cache-control", "no-store"),
];

/// The place in `page.html` that says whether its script must ask for a token first.
const TOKEN_PLACE: &str = "{token}";

/// One file of the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageFile {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const fn file(path: &'static str, content_type: &'static str, text: &'static str) -> PageFile {
    PageFile { path, content_type, text }
}

/// All of them.
const FILES: &[PageFile] = &[
    file("/admin", HTML, include_str!("page/page.html")),
    file("/admin/page.css", STYLE, include_str!("page/page.css")),
    file("/admin/page.js", SCRIPT, include_str!("page/page.js")),
    file("/admin/acts.js", SCRIPT, include_str!("page/acts.js")),
    file("/admin/audit.js", SCRIPT, include_str!("page/audit.js")),
    file("/admin/bans.js", SCRIPT, include_str!("page/bans.js")),
    file("/admin/client.js", SCRIPT, include_str!("page/client.js")),
    file("/admin/configuration.js", SCRIPT, include_str!("page/configuration.js")),
    file("/admin/orders.js", SCRIPT, include_str!("page/orders.js")),
    file("/admin/numbers.js", SCRIPT, include_str!("page/numbers.js")),
    file("/admin/figures.js", SCRIPT, include_str!("page/figures.js")),
    file("/admin/tables.js", SCRIPT, include_str!("page/tables.js")),
    file("/admin/words.js", SCRIPT, include_str!("page/words.js")),
    file("/admin/style.css", STYLE, include_str!("../../../../site/static/style.css")),
    file("/admin/theme.js", SCRIPT, include_str!("../../../../site/static/theme.js")),
    file("/admin/format.js", SCRIPT, include_str!("../../../../site/static/format.js")),
    file("/admin/icon.svg", ICON, include_str!("../../../../site/static/icon.svg")),
];

impl PageFile {
    /// The file that is asked for, if it is one of the page's.
    pub(super) fn asked_for(request: &Request) -> Option<Self> {
        let path = request.uri().path();
        let path = if path == "/admin/" { "/admin" } else { path };
        let is_read = request.method() == Method::GET;
        FILES.iter().find(|file| is_read && file.path == path).copied()
    }

    /// The answer with it; the page is told whether a token is needed, so that it asks for it before it asks for data.
    pub(super) fn answer(self, token_is_needed: bool) -> Response {
        let body = match self.content_type {
            HTML => {
                Body::from(self.text.replace(TOKEN_PLACE, if token_is_needed { "needed" } else { "none" }))
            }
            _ => Body::from(self.text),
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        response
    }
}

/// Puts onto an answer what every answer of the listener carries.
pub(super) fn secure(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
