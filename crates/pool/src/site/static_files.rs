//! The site's own files: style, scripts, icons, texts, finished pages. The default ones are part of the program; an
//! operator's folder replaces them one by one, and adds its own.
//!
//! A request is looked up by name among files that were read before: no path that comes from the network ever reaches
//! the file system.

mod folder;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, StatusCode};
use rust_embed::Embed;
use sha2::{Digest, Sha256};

pub use folder::FolderError;

use super::texts::Texts;
use folder::Folder;

/// What every answer of the site says about what it may do: its own scripts and styles, nobody else's, none inline.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'";

/// A file under its address with its hash: it never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Any other: kept, but asked for again each time, which costs a few bytes.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

#[derive(Embed)]
#[folder = "../../site"]
struct Embedded;

/// One file.
#[derive(Debug)]
pub struct SiteFile {
    content: Bytes,
    /// The same with gzip, where that is much less.
    compressed: Option<Bytes>,
    content_type: HeaderValue,
    /// The start of its SHA-256, quoted; weak, because it is the same for both forms.
    etag: HeaderValue,
}

impl SiteFile {
    fn new(name: &str, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        let hash = hex::encode(&Sha256::digest(&content)[..8]);
        let etag =
            HeaderValue::try_from(format!("W/\"{hash}\"")).unwrap_or(HeaderValue::from_static("W/\"\""));
        let compressed =
            compressed(&content, Compression::best()).filter(|less| less.len() < content.len() / 10 * 9);
        Self { compressed, content, content_type: HeaderValue::from_static(content_type(name)), etag }
    }

    /// The hash in its address.
    fn version(&self) -> &str {
        self.etag.to_str().unwrap_or_default().trim_start_matches("W/").trim_matches('"')
    }

    /// Its bytes.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// The answer to a request with these headers; `asked_version` is the hash in the address.
    pub fn answer(&self, headers: &HeaderMap, asked_version: Option<&str>) -> Response {
        let caching = if asked_version == Some(self.version()) { FOR_EVER } else { ASK_AGAIN };
        let known = headers.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
        let is_known = known
            .split(',')
            .any(|tag| tag.trim().trim_start_matches("W/").trim_matches('"') == self.version());
        let compressed = self.compressed.as_ref().filter(|_| takes_gzip(headers));
        let mut response = match compressed {
            _ if is_known => StatusCode::NOT_MODIFIED.into_response(),
            Some(compressed) => {
                let mut response = Body::from(compressed.clone()).into_response();
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                response
            }
            None => Body::from(self.content.clone()).into_response(),
        };
        let answer = response.headers_mut();
        answer.insert(CONTENT_TYPE, self.content_type.clone());
        answer.insert(ETAG, self.etag.clone());
        answer.insert(CACHE_CONTROL, caching);
        answer.insert(VARY, HeaderValue::from_static("accept-encoding"));
        // A page on another host may use the script of the custom element.
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        answer.insert(
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("cross-origin"),
        );
        response
    }
}

/// Whether a client has said that it understands gzip.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted =
        headers.get(ACCEPT_ENCODING).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

/// With gzip.
pub(super) fn compressed(content: &[u8], effort: Compression) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), effort);
    encoder.write_all(content).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// All files by name, such as `static/style.css`, and the texts made of them.
#[derive(Debug)]
pub struct FileSet {
    files: BTreeMap<String, Arc<SiteFile>>,
    texts: Arc<Texts>,
}

impl FileSet {
    /// The file of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<SiteFile>> {
        self.files.get(name)
    }

    /// The texts of the pages.
    pub fn texts(&self) -> &Arc<Texts> {
        &self.texts
    }

    /// The address of a file of `static/`, with its hash, relative to the site's root.
    pub fn address(&self, name: &str) -> String {
        let file = self.files.get(&format!("static/{name}"));
        file.map_or_else(|| format!("/static/{name}"), |file| format!("/static/{name}?v={}", file.version()))
    }
}

/// The files that are served now.
#[derive(Debug)]
pub struct SiteFiles {
    current: ArcSwap<FileSet>,
    folder: Option<Folder>,
}

impl SiteFiles {
    /// The default files, with those of the operator's folder in their place.
    ///
    /// # Errors
    /// If the folder cannot be read, or holds more than a site needs.
    pub fn new(folder: Option<&Path>) -> Result<Arc<Self>, FolderError> {
        let folder = folder.map(Folder::open).transpose()?;
        let set = file_set(folder.as_ref().map(Folder::files).unwrap_or_default())?;
        Ok(Arc::new(Self { current: ArcSwap::from_pointee(set), folder }))
    }

    /// The files as they are. What an operator changes in the folder is seen within a second or two.
    pub fn current(self: &Arc<Self>) -> Arc<FileSet> {
        if self.folder.as_ref().is_some_and(Folder::is_due) {
            let files = Arc::clone(self);
            tokio::task::spawn_blocking(move || files.look_again());
        }
        self.current.load_full()
    }

    fn look_again(&self) {
        let Some(folder) = &self.folder else { return };
        match folder.look_again().and_then(|changed| changed.map(file_set).transpose()) {
            Ok(None) => {}
            Ok(Some(set)) => self.current.store(Arc::new(set)),
            Err(error) => {
                tracing::warn!(%error, "the site's folder cannot be used; the site stays as it was");
            }
        }
    }
}

fn file_set(own: BTreeMap<String, Arc<SiteFile>>) -> Result<FileSet, FolderError> {
    let own_texts = own.get(Texts::FILE).map(|file| String::from_utf8_lossy(file.content()).into_owned());
    let mut files: BTreeMap<_, _> =
        defaults().map(|(name, content)| (name.clone(), Arc::new(SiteFile::new(&name, content)))).collect();
    files.extend(own);
    let texts = match own_texts {
        None => Texts::default(),
        Some(own) => Texts::default().replaced_by(&own).map_err(FolderError::Texts)?,
    };
    Ok(FileSet { files, texts: Arc::new(texts) })
}

fn defaults() -> impl Iterator<Item = (String, Vec<u8>)> {
    Embedded::iter().filter_map(|name| Some((name.to_string(), Embedded::get(&name)?.data.into_owned())))
}

/// Writes the default files into a folder; gives back how many.
///
/// # Errors
/// If a file is there already (nothing is overwritten), or cannot be written.
pub fn export(folder: &Path) -> io::Result<usize> {
    let mut written = 0;
    for (name, content) in defaults() {
        let path = folder.join(&name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut file = std::fs::File::create_new(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        file.write_all(&content)?;
        written += 1;
    }
    Ok(written)
}

/// By the end of the name; what is not known is offered as a download, never guessed.
fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "gif" => "image/gif",
        "ico" => "image/vnd.microsoft.icon",
        "woff2" => "font/woff2",
        "txt" | "md" | "toml" | "LICENSE" => "text/plain; charset=utf-8",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}

/// Puts onto an answer what every answer of the site carries.
pub fn secure(mut response: Response) -> Response {
    for (name, value) in [
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ] {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
