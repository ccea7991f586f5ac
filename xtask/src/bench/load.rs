//! The load that measurements put on a server: HTTP over one connection, with as little work for the client as can
//! be, because it shares the machine's processors with the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

/// An answer that takes longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Headers of a request besides those that every request has.
pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body, if the status is 200.
    pub fn success(self) -> anyhow::Result<Vec<u8>> {
        let text = String::from_utf8_lossy(&self.body);
        anyhow::ensure!(
            self.status == 200,
            "status {}: {}",
            self.status,
            text.chars().take(300).collect::<String>()
        );
        Ok(self.body)
    }

    /// The body as JSON, if the status is 200.
    pub fn json(self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::from_slice(&self.success()?)?)
    }
}

/// A kept-alive connection to a server.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(server: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server).with_context(|| format!("connecting to {server}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Asks for a document.
    pub fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.stream.write_all(&request("GET", path, &[], 0))?;
        self.answer()
    }

    /// Posts a body.
    pub fn post(&mut self, path: &str, headers: Headers<'_>, body: &[u8]) -> anyhow::Result<Answer> {
        self.stream.write_all(&request("POST", path, headers, body.len()))?;
        self.stream.write_all(body)?;
        self.answer()
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        self.received.clear();
        let mut chunk = [0; 16 * 1024];
        loop {
            let length = self.stream.read(&mut chunk).context("no answer in time")?;
            anyhow::ensure!(length > 0, "the server closed the connection");
            self.received.extend_from_slice(&chunk[..length]);
            let Some(shape) = Shape::read(&self.received)? else { continue };
            if self.received.len() >= shape.end {
                let body = self.received[shape.head..shape.end].to_vec();
                return Ok(Answer { status: shape.status, body });
            }
        }
    }
}

/// The bytes of a request up to its body.
pub fn request(method: &str, path: &str, headers: Headers<'_>, body: usize) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n");
    if method == "POST" {
        text += &format!("content-length: {body}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// How an answer divides into head and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Its status code.
    pub status: u16,
    /// Bytes of its head.
    pub head: usize,
    /// Bytes of head and body.
    pub end: usize,
}

impl Shape {
    /// The shape of an answer of which the beginning has arrived; `None` as long as the head is not complete.
    pub fn read(received: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(head) = received.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4)
        else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&received[..head]).context("the head of an answer")?;
        let status = text.split(' ').nth(1).context("an answer without a status")?.parse()?;
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
        });
        let length = length.context("an answer without a content length")??;
        Ok(Some(Self { status, head, end: head + length }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_divided_by_its_content_length() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(Shape::read(answer).unwrap(), Some(Shape { status: 200, head: 38, end: 41 }));
        assert_eq!(Shape::read(&answer[..30]).unwrap(), None);
        assert!(Shape::read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
