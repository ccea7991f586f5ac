//! A mail server that takes every message and hands it to the test.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

use super::{Security, SmtpServer};

/// It lives as long as the test.
pub struct FakeMailServer {
    port: u16,
    messages: Mutex<mpsc::UnboundedReceiver<Mail>>,
}

/// A message.
#[derive(Debug)]
pub struct Mail {
    /// To whom.
    pub to: Vec<String>,
    /// Its text, decoded.
    pub text: String,
}

impl Mail {
    /// What stands between two pieces of its text.
    pub fn between(&self, before: &str, after: &str) -> String {
        let (_, rest) = self.text.split_once(before).unwrap();
        rest.split_once(after).unwrap().0.to_owned()
    }
}

impl FakeMailServer {
    /// Starts it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, messages) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, sender.clone()));
            }
        });
        Self { port, messages: Mutex::new(messages) }
    }

    /// As those name it who send by it.
    pub fn server(&self) -> SmtpServer {
        SmtpServer { host: "127.0.0.1".to_owned(), port: self.port, security: Security::None, login: None }
    }

    /// The next message.
    pub async fn next(&self) -> Mail {
        self.messages.lock().await.recv().await.unwrap()
    }
}

async fn take(stream: TcpStream, messages: mpsc::UnboundedSender<Mail>) {
    let mut lines = BufReader::new(stream);
    let (mut to, mut body, mut line, mut in_message) = (Vec::new(), String::new(), String::new(), false);
    lines.write_all(b"220 ready\r\n").await.unwrap();
    while lines.read_line(&mut line).await.unwrap_or(0) > 0 {
        let said = std::mem::take(&mut line);
        if in_message && said != ".\r\n" {
            body.push_str(&said);
            continue;
        }
        if in_message {
            let (_, text) = body.split_once("\r\n\r\n").unwrap();
            let text = STANDARD.decode(text.replace("\r\n", "")).unwrap();
            messages
                .send(Mail { to: std::mem::take(&mut to), text: String::from_utf8(text).unwrap() })
                .unwrap();
        }
        in_message = said == "DATA\r\n";
        to.extend(said.strip_prefix("RCPT TO:<").map(|rest| rest.trim_end_matches(">\r\n").to_owned()));
        let reply: &[u8] = if in_message { b"354 go on\r\n" } else { b"250 ok\r\n" };
        lines.write_all(reply).await.unwrap();
    }
}
