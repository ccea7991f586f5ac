//! A Nimiq pool for tests: it says exactly what a test tells it to say.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use node::TlsTrust;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::{Duration, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};
use wire::nimiq::{ClientMessage, Register, ServerMessage, Share};

use super::NimiqPoolUrl;

/// Longer than any test waits.
const PATIENCE: Duration = Duration::from_mins(2);

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) struct FakePool {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    /// The file with its certificate.
    certificate: Option<tempfile::NamedTempFile>,
}

/// A miner that has connected.
pub(super) struct Client(WebSocketStream<Box<dyn Stream>>);

impl FakePool {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, tls: None, certificate: None }
    }

    /// With a certificate that it has signed itself.
    pub(super) async fn start_with_tls() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(certificate.path(), made.cert.pem()).unwrap();
        let chain = vec![CertificateDer::from(made.cert)];
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        Self { tls: Some(Arc::new(config).into()), certificate: Some(certificate), ..Self::start().await }
    }

    pub(super) fn url(&self) -> NimiqPoolUrl {
        let port = self.listener.local_addr().unwrap().port();
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        format!("{scheme}://localhost:{port}").parse().unwrap()
    }

    pub(super) fn trust(&self) -> TlsTrust {
        let certificate = self.certificate.as_ref();
        certificate
            .map_or(TlsTrust::PublicAuthorities, |file| TlsTrust::CertificateFile(file.path().to_owned()))
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> Client {
        Client(accept_async(self.stream().await.unwrap()).await.unwrap())
    }

    /// The next connection before anything is said on it; an error where the miner does not believe the certificate.
    pub(super) async fn stream(&self) -> std::io::Result<Box<dyn Stream>> {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.expect("a connection")?;
        Ok(match &self.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.accept(stream).await?),
        })
    }

    /// The next connection, registered.
    pub(super) async fn registered(&self) -> Client {
        let mut client = self.accept().await;
        client.register().await;
        client.say(&ServerMessage::Registered).await;
        client
    }
}

impl Client {
    pub(super) async fn say(&mut self, message: &ServerMessage) {
        self.say_text(&message.to_text()).await;
    }

    pub(super) async fn say_text(&mut self, text: &str) {
        self.0.send(Message::text(text.to_owned())).await.unwrap();
    }

    /// What the miner says next; `None` when it has gone.
    pub(super) async fn hear(&mut self) -> Option<ClientMessage> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("something from the miner") {
                Some(Ok(Message::Text(text))) => return Some(ClientMessage::parse(text.as_bytes()).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    pub(super) async fn register(&mut self) -> Register {
        match self.hear().await {
            Some(ClientMessage::Register(register)) => register,
            other => panic!("expected a registration, not {other:?}"),
        }
    }

    pub(super) async fn share(&mut self) -> Share {
        match self.hear().await {
            Some(ClientMessage::Share(share)) => *share,
            other => panic!("expected a share, not {other:?}"),
        }
    }

    /// Listens until the miner has gone.
    pub(super) async fn until_gone(mut self) {
        while self.hear().await.is_some() {}
    }
}
