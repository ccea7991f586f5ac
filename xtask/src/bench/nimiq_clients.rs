//! Clients of a Nimiq server, over TLS, by the thousand: as small as they can be, for the server is what is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use nimiq::{Address, DeviceId, Network};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use wire::nimiq::{ClientMessage, Mode, Register, ServerMessage, Settings};

/// Longest wait for anything that a server is to say.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a server is reached.
#[derive(Clone)]
pub struct Door {
    /// Its port for miners.
    pub address: SocketAddr,
    /// Who trusts its certificate.
    pub tls: TlsConnector,
}

/// A registered client.
pub struct Client {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    /// What it was told to mine with.
    pub settings: Settings,
}

impl Door {
    /// To a server with this certificate.
    pub fn new(
        address: SocketAddr,
        certificate: &rustls::pki_types::CertificateDer<'static>,
    ) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { address, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Only shakes hands.
    pub async fn shake_hands(&self) -> anyhow::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(self.tls.connect(ServerName::from(self.address.ip()), stream).await?)
    }

    /// Registers, and has heard everything up to the balance.
    pub async fn register(&self, mode: Mode, address: Address) -> anyhow::Result<Client> {
        let stream = self.shake_hands().await?;
        let config = WebSocketConfig::default().read_buffer_size(512).write_buffer_size(0);
        let url = format!("wss://{}/", self.address);
        let (mut socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await?;
        let register = Register {
            mode,
            address,
            device_id: DeviceId(1),
            device_data: None,
            genesis_hash: Network::Dev.genesis_hash(),
            start_difficulty: None,
            device_name: None,
        };
        socket.send(Message::text(ClientMessage::Register(register).to_text())).await?;
        let mut settings = None;
        loop {
            match hear(&mut socket).await? {
                ServerMessage::Settings(told) => settings = Some(told),
                ServerMessage::Balance(_) => break,
                ServerMessage::Error { reason } => anyhow::bail!("the server says: {reason}"),
                _ => {}
            }
        }
        Ok(Client { socket, settings: settings.context("no settings")? })
    }
}

impl Client {
    /// Sends these messages one behind the other.
    pub async fn send_all(&mut self, messages: &[String]) -> anyhow::Result<()> {
        for message in messages {
            self.socket.feed(Message::text(message.as_str())).await?;
        }
        Ok(self.socket.flush().await?)
    }

    /// Returns when the server has told of a new block, which is not read: that would be the client's work.
    pub async fn new_block(&mut self) -> anyhow::Result<()> {
        while !hear_text(&mut self.socket).await?.contains(r#""new-block""#) {}
        Ok(())
    }
}

/// The next message.
async fn hear(socket: &mut WebSocketStream<TlsStream<TcpStream>>) -> anyhow::Result<ServerMessage> {
    Ok(ServerMessage::parse(hear_text(socket).await?.as_bytes())?)
}

/// The text of the next message. Pings are answered on the way.
async fn hear_text(socket: &mut WebSocketStream<TlsStream<TcpStream>>) -> anyhow::Result<Utf8Bytes> {
    loop {
        let frame = tokio::time::timeout(PATIENCE, socket.next()).await?;
        match frame.context("the server has hung up")?? {
            Message::Text(text) => return Ok(text),
            Message::Close(_) => anyhow::bail!("the server has hung up"),
            _ => {}
        }
    }
}
