//! The first bytes of a connection from a proxy that speaks the PROXY protocol.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use wire::proxy_protocol::{MOST_BYTES, ProxyFault, ProxyHeader};

/// Looked at at once; a header is rarely longer.
const USUAL_BYTES: usize = 256;

/// Why a proxy's connection is closed unanswered.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxiedFault {
    #[error(transparent)]
    Header(#[from] ProxyFault),
    #[error("the connection ended, or broke, before its PROXY header")]
    Ended(#[from] io::Error),
    #[error("no PROXY header within {} s", .0.as_secs())]
    Late(Duration),
}

/// Takes the header from the stream, and not a byte more.
pub(super) async fn read_header(stream: &mut TcpStream, time: Duration) -> Result<ProxyHeader, ProxiedFault> {
    tokio::time::timeout(time, take_header(stream)).await.unwrap_or(Err(ProxiedFault::Late(time)))
}

async fn take_header(stream: &mut TcpStream) -> Result<ProxyHeader, ProxiedFault> {
    let mut held = Vec::new();
    loop {
        let before = held.len();
        // What cannot be decided yet belongs to the header, so it is taken; what follows it stays in the stream.
        held.resize((before + USUAL_BYTES).min(MOST_BYTES), 0);
        let seen = stream.peek(&mut held[before..]).await?;
        if seen == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let header = ProxyHeader::parse(&held[..before + seen])?;
        let upto = header.map_or(before + seen, |(_, length)| length);
        stream.read_exact(&mut held[before..upto]).await?;
        if let Some((header, _)) = header {
            return Ok(header);
        }
        held.truncate(upto);
    }
}
