//! Reading a request's body within limits of size and time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;

/// How large a body may be, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Largest body, in bytes.
    pub bytes: usize,
    /// Time from the first to the last byte.
    pub time: Duration,
}

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// It is longer than the route allows, or says so in its header.
    #[error("the body is longer than the {limit} bytes accepted here")]
    TooLarge {
        /// Largest body of the route, in bytes.
        limit: usize,
    },
    /// It did not arrive in time.
    #[error("the body did not arrive within {} seconds", time.as_secs())]
    TooSlow {
        /// Time that the route allows.
        time: Duration,
    },
    /// All requests together hold as much as they may.
    #[error("there is no room for another body now")]
    NoRoom,
    /// The connection broke, or the transfer encoding is malformed.
    #[error("the body ended early: {reason}")]
    Broken {
        /// What the HTTP library says.
        reason: String,
    },
}

/// Reads a whole body within `limits`. Never holds more than the limit plus one read buffer.
pub async fn read_body(body: Body, limits: BodyLimits) -> Result<Bytes, BodyFault> {
    read_body_into(BytesMut::new(), body, limits, |_| true, |_| ()).await
}

/// As [`read_body`], but reads into `buffer`, whose content is overwritten, and asks `reserve` for room before it
/// keeps each part; without room it is [`BodyFault::NoRoom`]. `look` is shown all that has come after each part.
pub async fn read_body_into(
    mut buffer: BytesMut,
    body: Body,
    limits: BodyLimits,
    reserve: impl FnMut(usize) -> bool,
    look: impl FnMut(&[u8]),
) -> Result<Bytes, BodyFault> {
    buffer.clear();
    match tokio::time::timeout(limits.time, collect(buffer, body, limits.bytes, reserve, look)).await {
        Ok(collected) => collected,
        Err(_elapsed) => Err(BodyFault::TooSlow { time: limits.time }),
    }
}

/// Reads a body without keeping it, so that a client that is still sending gets its answer. Gives up at `limits`.
pub async fn drain_body(mut body: Body, limits: BodyLimits) {
    let drained = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > limits.bytes {
                return;
            }
        }
    };
    // Whether it ended in time makes no difference: the answer follows.
    let _ = tokio::time::timeout(limits.time, drained).await;
}

async fn collect(
    mut collected: BytesMut,
    mut body: Body,
    limit: usize,
    mut reserve: impl FnMut(usize) -> bool,
    mut look: impl FnMut(&[u8]),
) -> Result<Bytes, BodyFault> {
    let announced = body.size_hint().exact();
    if announced.is_some_and(|bytes| bytes > limit as u64) {
        return Err(BodyFault::TooLarge { limit });
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyFault::Broken { reason: error.to_string() })?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limit - collected.len() {
            return Err(BodyFault::TooLarge { limit });
        }
        if !reserve(data.len()) {
            return Err(BodyFault::NoRoom);
        }
        if announced == Some(data.len() as u64) {
            look(&data);
            return Ok(data);
        }
        if collected.is_empty() {
            // The announced length is within the limit, but a client that only announces shall not cost memory.
            let expected = announced.unwrap_or(0).min(1 << 20) as usize;
            collected.reserve(expected.max(data.len()));
        }
        collected.extend_from_slice(&data);
        look(&collected);
    }
    Ok(collected.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    const LIMITS: BodyLimits = BodyLimits { bytes: 10, time: Duration::from_secs(5) };

    fn chunked(chunks: Vec<&'static [u8]>) -> Body {
        Body::from_stream(stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>)))
    }

    #[tokio::test]
    async fn chunks_are_joined_up_to_the_limit() {
        let whole = read_body(chunked(vec![b"01234", b"56789"]), LIMITS).await;
        assert_eq!(whole.unwrap(), "0123456789");
        let longer = read_body(chunked(vec![b"01234", b"56789", b"!"]), LIMITS).await;
        assert_eq!(longer, Err(BodyFault::TooLarge { limit: 10 }));
    }

    #[tokio::test]
    async fn what_has_come_is_shown_after_each_part() {
        let mut seen = Vec::new();
        for body in [chunked(vec![b"012", b"3456"]), Body::from("0123456")] {
            let look = |so_far: &[u8]| seen.push(so_far.len());
            read_body_into(BytesMut::new(), body, LIMITS, |_| true, look).await.unwrap();
        }
        assert_eq!(seen, [3, 7, 7]);
    }

    #[tokio::test]
    async fn a_length_announced_beyond_the_limit_is_refused_unread() {
        let refused = read_body(Body::from("01234567890"), LIMITS).await;
        assert_eq!(refused, Err(BodyFault::TooLarge { limit: 10 }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_cut_off() {
        let endless = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let refused = read_body(endless, LIMITS).await;
        assert_eq!(refused, Err(BodyFault::TooSlow { time: LIMITS.time }));
    }
}
