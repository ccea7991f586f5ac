//! One WebSocket connection to a pool: messages come in, texts go out, and a pool that falls silent is noticed.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt, stream::SplitSink, stream::SplitStream};
use node::{TlsTrust, TrustFault};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};
use wire::nimiq::{ClientMessage, LARGEST_SERVER_MESSAGE, ServerMessage};

use super::NimiqPoolUrl;

/// Time to open the connection.
const OPEN: Duration = Duration::from_secs(20);
/// How often the pool is asked for a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// A pool that says nothing for so long is gone: it was asked three times, and pings by itself every ten seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// Time for one message to be taken. A pool that has too much to do may stop reading for a while.
const SEND: Duration = Duration::from_secs(30);
/// Messages that wait for the socket.
const MOST_WAITING: usize = 4;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection ended, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionFault {
    /// The file with its certificate cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustFault),
    /// Nobody answers, or somebody who does not speak WebSocket, or shows a certificate that is not believed.
    #[error("cannot connect: {0}")]
    Open(#[source] Box<tungstenite::Error>),
    /// It broke.
    #[error("the connection broke: {0}")]
    Broken(#[source] Box<tungstenite::Error>),
    /// The pool closed it.
    #[error("the pool closed the connection")]
    Closed,
    /// It does not open, or the pool takes and says nothing any more.
    #[error("no sign of life for {} s", .0.as_secs())]
    Silent(Duration),
    /// What the pool says is no message.
    #[error("the pool sends something that is no message: {0}")]
    Malformed(#[from] wire::FormatError),
}

/// What comes from the pool.
pub struct Incoming {
    stream: SplitStream<Socket>,
    last_heard: Instant,
}

/// What goes to the pool.
pub struct Outgoing {
    queue: mpsc::Sender<Message>,
    writer: JoinHandle<()>,
}

/// Connects to a pool.
pub async fn open(url: &NimiqPoolUrl, trust: &TlsTrust) -> Result<(Incoming, Outgoing), ConnectionFault> {
    let connector = Connector::Rustls(trust.client_config()?.into());
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_SERVER_MESSAGE))
        .max_frame_size(Some(LARGEST_SERVER_MESSAGE));
    let opening = connect_async_tls_with_config(url.as_str(), Some(config), true, Some(connector));
    let opened = timeout(OPEN, opening).await.map_err(|_| ConnectionFault::Silent(OPEN))?;
    let (socket, _) = opened.map_err(|error| ConnectionFault::Open(Box::new(error)))?;
    let (sink, stream) = socket.split();
    let (queue, waiting) = mpsc::channel(MOST_WAITING);
    let writer = tokio::spawn(write(sink, waiting));
    Ok((Incoming { stream, last_heard: Instant::now() }, Outgoing { queue, writer }))
}

impl Incoming {
    /// The next message. May be dropped while it waits, without loss.
    pub async fn receive(&mut self) -> Result<ServerMessage, ConnectionFault> {
        loop {
            let frame = timeout_at(self.last_heard + SILENCE, self.stream.next()).await;
            let frame = frame.map_err(|_| ConnectionFault::Silent(SILENCE))?;
            let frame = frame.ok_or(ConnectionFault::Closed)?;
            let frame = frame.map_err(|error| match error {
                tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
                    ConnectionFault::Closed
                }
                error => ConnectionFault::Broken(Box::new(error)),
            })?;
            self.last_heard = Instant::now();
            match frame {
                Message::Text(text) => return Ok(ServerMessage::parse(text.as_bytes())?),
                Message::Binary(bytes) => return Ok(ServerMessage::parse(&bytes)?),
                Message::Close(_) => return Err(ConnectionFault::Closed),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }
}

impl Outgoing {
    /// Waits until a message can be sent. May be dropped while it waits.
    pub async fn ready(&self) -> Result<Permit<'_>, ConnectionFault> {
        self.queue.reserve().await.map(Permit).map_err(|_| ConnectionFault::Silent(SEND))
    }

    /// Sends what waits and says farewell.
    pub async fn close(self) {
        let Self { queue, writer } = self;
        drop(queue);
        let _ = timeout(SEND, writer).await;
    }
}

/// Room for one message.
pub struct Permit<'a>(mpsc::Permit<'a, Message>);

impl Permit<'_> {
    /// Takes the room.
    pub fn send(self, message: &ClientMessage) {
        self.0.send(Message::text(message.to_text()));
    }
}

/// Writes until there is nobody left who sends, or the pool takes nothing more.
async fn write(mut sink: SplitSink<Socket, Message>, mut waiting: mpsc::Receiver<Message>) {
    let mut heartbeats = tokio::time::interval(HEARTBEAT);
    loop {
        let message = tokio::select! {
            message = waiting.recv() => message,
            _ = heartbeats.tick() => Some(Message::Ping(Vec::new().into())),
        };
        let Some(message) = message else { break };
        if !matches!(timeout(SEND, sink.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
    let _ = timeout(SEND, sink.close()).await;
}
