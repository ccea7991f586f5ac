//! Certificates with their keys, and an https server that shows one and has nothing to say.

use std::path::{Path, PathBuf};

use axum::Router;
use pool::Metrics;
use pool::listener::{self, Limits, Tls};
use tokio_util::sync::CancellationToken;

/// A certificate for `localhost` that ends so many days from now, and its key.
pub fn certificate(folder: &Path, days: i64) -> (PathBuf, PathBuf) {
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let date = |days| {
        let date = today.checked_add(jiff::Span::new().days(days)).unwrap();
        let part = |number: i8| u8::try_from(number).unwrap();
        rcgen::date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    parameters.not_after = date(days);
    // One that ends in the far future begins in the near one.
    if days > 1000 {
        parameters.not_before = date(2);
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let own = parameters.self_signed(&key).unwrap();
    let files = (folder.join(format!("{days}.pem")), folder.join(format!("{days}.key")));
    std::fs::write(&files.0, own.pem()).unwrap();
    std::fs::write(&files.1, key.serialize_pem()).unwrap();
    files
}

/// Answers 404 to everybody who believes it.
pub struct TlsServer {
    pub url: String,
    pub certificate: PathBuf,
    _runtime: tokio::runtime::Runtime,
}

impl TlsServer {
    pub fn start(folder: &Path) -> Self {
        let (certificate, key) = certificate(folder, 300);
        let tls = Tls::from_files(&certificate, &key).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        runtime.spawn(async move {
            let (metrics, stop) = (Metrics::new(), CancellationToken::new());
            listener::serve_with(listener, Some(tls), Router::new(), Limits::default(), &metrics, stop).await;
        });
        Self { url, certificate, _runtime: runtime }
    }
}
