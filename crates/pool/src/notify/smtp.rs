//! Handing a message to an SMTP server (RFC 5321), over TLS from the start, after STARTTLS (RFC 3207), or without it to a
//! relay on the same machine.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use node::TlsTrust;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::email::MailAddress;
use super::secret::SecretText;

/// How long the whole conversation may take.
const TIME: Duration = Duration::from_secs(30);
/// A reply may have so many bytes in all its lines.
const LONGEST_REPLY: u64 = 16 << 10;

/// How the way to the server is kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS, asked for in the clear and then demanded (port 587).
    StartTls,
    /// TLS from the start (port 465).
    Tls,
    /// None: for a relay on this machine (port 25).
    None,
}

/// A server that takes e-mail.
#[derive(Debug, Clone)]
pub struct SmtpServer {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way is kept secret.
    pub security: Security,
    /// User name and password, if it wants them. Never shown to a server without TLS.
    pub login: Option<(String, SecretText)>,
}

/// Why a server did not take a message.
#[derive(Debug, thiserror::Error)]
pub enum SmtpFault {
    /// The connection fails.
    #[error("the mail server {server}: {source}")]
    Connection {
        /// Which.
        server: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The conversation takes too long.
    #[error("the mail server {server} did not take it within {} s", TIME.as_secs())]
    Late {
        /// Which.
        server: String,
    },
    /// It says no.
    #[error("the mail server answers {code} to {command}: {text}")]
    Refused {
        /// To what.
        command: &'static str,
        /// Its code.
        code: u16,
        /// Its words.
        text: String,
    },
    /// It says something that is no reply.
    #[error("the mail server answers {command} with something that is no reply")]
    NoReply {
        /// To what.
        command: &'static str,
    },
    /// TLS is wanted, and it has none.
    #[error(
        "the mail server offers no STARTTLS; without it nothing is sent (`security = \"none\"` for a local relay)"
    )]
    NoTls,
    /// The name cannot be one in a certificate.
    #[error("{0:?} is no name of a server")]
    Name(String),
}

impl SmtpFault {
    /// Whether the same message may be taken later: everything but a final no (5xx).
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused { code, .. } => *code < 500,
            Self::Connection { .. } | Self::Late { .. } | Self::NoReply { .. } => true,
            Self::NoTls | Self::Name(_) => false,
        }
    }
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// One conversation.
struct Conversation<'s> {
    server: &'s SmtpServer,
    wire: BufReader<Box<dyn Wire>>,
}

struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl SmtpServer {
    /// Hands a message over to all of `to`; lines of the message end in CR LF.
    pub(super) async fn send(
        &self,
        from: &MailAddress,
        to: &[MailAddress],
        message: &str,
    ) -> Result<(), SmtpFault> {
        let late = |_| SmtpFault::Late { server: self.name() };
        tokio::time::timeout(TIME, self.converse(from, to, message)).await.map_err(late)?
    }

    async fn converse(&self, from: &MailAddress, to: &[MailAddress], message: &str) -> Result<(), SmtpFault> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let mut wire: Box<dyn Wire> = Box::new(stream.map_err(|source| self.broken(source))?);
        if self.security == Security::Tls {
            wire = self.with_tls(wire).await?;
        }
        let mut talk = Conversation { server: self, wire: BufReader::new(wire) };
        talk.expect("the connection", 2).await?;
        let mut offers = talk.order("EHLO", "EHLO headframe", 2).await?;
        if self.security == Security::StartTls {
            if !offers.offers("STARTTLS") {
                return Err(SmtpFault::NoTls);
            }
            talk.order("STARTTLS", "STARTTLS", 2).await?;
            // What came in the clear behind that reply is not listened to.
            let wire = self.with_tls(talk.wire.into_inner()).await?;
            talk = Conversation { server: self, wire: BufReader::new(wire) };
            offers = talk.order("EHLO", "EHLO headframe", 2).await?;
        }
        talk.log_in(&offers).await?;
        talk.order("MAIL", &format!("MAIL FROM:<{}>", from.as_str()), 2).await?;
        for to in to {
            talk.order("RCPT", &format!("RCPT TO:<{}>", to.as_str()), 2).await?;
        }
        talk.order("DATA", "DATA", 3).await?;
        // A line that begins with a dot would end the message: it gets a second one.
        let body = message.replace("\r\n.", "\r\n..");
        talk.say(&format!("{body}.\r\n")).await?;
        talk.expect("the message", 2).await?;
        // It has been taken: whatever becomes of the farewell.
        let _ = talk.say("QUIT\r\n").await;
        Ok(())
    }

    async fn with_tls(&self, wire: Box<dyn Wire>) -> Result<Box<dyn Wire>, SmtpFault> {
        let config = TlsTrust::PublicAuthorities.client_config();
        let config = config.map_err(|error| self.broken(std::io::Error::other(error)))?;
        let name = ServerName::try_from(self.host.clone());
        let name = name.map_err(|_| SmtpFault::Name(self.host.clone()))?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, wire).await;
        Ok(Box::new(stream.map_err(|source| self.broken(source))?))
    }

    fn broken(&self, source: std::io::Error) -> SmtpFault {
        SmtpFault::Connection { server: self.name(), source }
    }

    fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl Conversation<'_> {
    async fn say(&mut self, text: &str) -> Result<(), SmtpFault> {
        let server = self.server;
        let sent = async {
            self.wire.write_all(text.as_bytes()).await?;
            self.wire.flush().await
        };
        sent.await.map_err(|source| server.broken(source))
    }

    /// Says a line, and expects a reply whose code begins with `kind`.
    async fn order(&mut self, command: &'static str, line: &str, kind: u16) -> Result<Reply, SmtpFault> {
        self.say(&format!("{line}\r\n")).await?;
        self.expect(command, kind).await
    }

    async fn expect(&mut self, command: &'static str, kind: u16) -> Result<Reply, SmtpFault> {
        let reply = self.reply(command).await?;
        if reply.code / 100 == kind {
            return Ok(reply);
        }
        Err(SmtpFault::Refused { command, code: reply.code, text: reply.lines.join(" ") })
    }

    /// One reply: lines `250-text`, the last of them `250 text`.
    async fn reply(&mut self, command: &'static str) -> Result<Reply, SmtpFault> {
        let server = self.server;
        let mut bounded = (&mut self.wire).take(LONGEST_REPLY);
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            bounded.read_until(b'\n', &mut line).await.map_err(|source| server.broken(source))?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            let Some(code) = code.filter(|code| (200..600).contains(code)) else {
                return Err(SmtpFault::NoReply { command });
            };
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
        }
    }

    /// Shows user name and password (RFC 4616), but to nobody in the clear.
    async fn log_in(&mut self, offers: &Reply) -> Result<(), SmtpFault> {
        let Some((user, password)) = &self.server.login else { return Ok(()) };
        if self.server.security == Security::None {
            return Err(SmtpFault::NoTls);
        }
        if !offers.offers("AUTH") {
            let text = "it does not ask for a login".to_owned();
            return Err(SmtpFault::Refused { command: "AUTH", code: 502, text });
        }
        let shown = STANDARD.encode(format!("\0{user}\0{}", password.reveal()));
        self.order("AUTH", &format!("AUTH PLAIN {shown}"), 2).await.map(drop)
    }
}

impl Reply {
    /// Whether a line of it begins with this word.
    fn offers(&self, word: &str) -> bool {
        let first = |line: &String| line.split([' ', '=']).next().unwrap_or_default().to_ascii_uppercase();
        self.lines.iter().any(|line| first(line) == word)
    }
}

#[cfg(test)]
mod tests;
