//! The PROXY protocol, versions 1 and 2: what a proxy says before a connection about whom it speaks for.
//!
//! | version | layout |
//! |---|---|
//! | 1 | `PROXY TCP4 source destination port port` or `PROXY UNKNOWN …`, CR LF; at most 107 bytes |
//! | 2 | 12 bytes of signature, version and command, family and transport, length (16 bits, big endian), addresses, options |
//!
//! Options are skipped. A header of version 2 is read up to [`MOST_BYTES`]; the specification (haproxy.org,
//! `proxy-protocol.txt`) allows 64 KiB, which nobody needs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header that is read.
pub const MOST_BYTES: usize = 4096;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_1: &[u8] = b"PROXY";
/// With the line's end.
const LONGEST_LINE: usize = 107;
const VERSION_2_START: usize = 16;

/// Whom a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The proxy itself, or somebody whose address it does not know or that is no internet address.
    Own,
    /// A client.
    For {
        /// Its address.
        source: SocketAddr,
        /// What it connected to.
        destination: SocketAddr,
    },
}

/// Why bytes do not begin with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    /// Neither version begins so.
    #[error("PROXY protocol: byte {at} is no byte of a header of version 1 or 2")]
    NoHeader {
        /// The first byte that does not fit.
        at: usize,
    },
    /// A line of version 1 that is none.
    #[error("PROXY protocol, version 1: expected {expected}")]
    Line {
        /// What should have been there.
        expected: &'static str,
    },
    /// A field of version 2 with a value that it may not have.
    #[error("PROXY protocol, version 2: byte {at}: expected {expected}")]
    Field {
        /// Where the field is.
        at: usize,
        /// What should have been there.
        expected: &'static str,
    },
}

impl ProxyHeader {
    /// Reads the header that `bytes` begin with; gives it with its length, or `None` as long as its end is missing. That is
    /// never so for [`MOST_BYTES`] bytes or more.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProxyFault> {
        let differs = |start: &[u8]| bytes.iter().zip(start).position(|(found, wanted)| found != wanted);
        match (differs(&SIGNATURE), differs(VERSION_1)) {
            (None, _) if bytes.len() >= SIGNATURE.len() => version_2(bytes),
            (_, None) if bytes.len() >= VERSION_1.len() => version_1(bytes),
            (Some(second), Some(first)) => Err(ProxyFault::NoHeader { at: first.max(second) }),
            _ => Ok(None),
        }
    }

    /// In version 1, which has text.
    pub fn to_line(&self) -> String {
        match self {
            Self::Own => "PROXY UNKNOWN\r\n".to_owned(),
            Self::For { source, destination } => {
                let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
                let (from, to) = (source.ip(), destination.ip());
                format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port())
            }
        }
    }

    /// In version 2. Both addresses must be of one family; else the client is not named.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        match self {
            Self::For { source: SocketAddr::V4(source), destination: SocketAddr::V4(destination) } => {
                bytes.extend([0x21, 0x11, 0, 12]);
                bytes.extend(source.ip().octets());
                bytes.extend(destination.ip().octets());
                bytes.extend(source.port().to_be_bytes());
                bytes.extend(destination.port().to_be_bytes());
            }
            Self::For { source: SocketAddr::V6(source), destination: SocketAddr::V6(destination) } => {
                bytes.extend([0x21, 0x21, 0, 36]);
                bytes.extend(source.ip().octets());
                bytes.extend(destination.ip().octets());
                bytes.extend(source.port().to_be_bytes());
                bytes.extend(destination.port().to_be_bytes());
            }
            Self::Own | Self::For { .. } => bytes.extend([0x20, 0, 0, 0]),
        }
        bytes
    }
}

fn version_1(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyFault> {
    let fault = |expected| ProxyFault::Line { expected };
    let window = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        let may_go_on = bytes.len() < LONGEST_LINE;
        return if may_go_on { Ok(None) } else { Err(fault("an end of the line within 107 bytes")) };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or(fault("CR LF at the end of the line"))?;
    let line = str::from_utf8(line).map_err(|_| fault("ASCII"))?;
    let mut words = line.strip_prefix("PROXY ").ok_or(fault("a space behind PROXY"))?.split(' ');
    let length = end + 1;
    let is_ipv4 = match words.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => return Ok(Some((ProxyHeader::Own, length))),
        Some("TCP4") => true,
        Some("TCP6") => false,
        _ => return Err(fault("TCP4, TCP6 or UNKNOWN")),
    };
    let mut address = || {
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        address.filter(|address| address.is_ipv4() == is_ipv4).ok_or(fault("two addresses of the family"))
    };
    let (source, destination) = (address()?, address()?);
    let mut port = || words.next().and_then(decimal_port).ok_or(fault("two ports from 0 to 65535"));
    let (source_port, destination_port) = (port()?, port()?);
    if words.next().is_some() {
        return Err(fault("nothing behind the ports"));
    }
    let (source, destination) =
        (SocketAddr::new(source, source_port), SocketAddr::new(destination, destination_port));
    Ok(Some((ProxyHeader::For { source, destination }, length)))
}

/// Digits only, without leading zeros.
fn decimal_port(word: &str) -> Option<u16> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| is_plain)
}

fn version_2(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyFault> {
    let fault = |at, expected| ProxyFault::Field { at, expected };
    let Some(&[version_and_command, family, high, low]) = bytes.get(SIGNATURE.len()..VERSION_2_START) else {
        return Ok(None);
    };
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(fault(12, "version 2 and the command LOCAL or PROXY")),
    };
    let length = VERSION_2_START + usize::from(u16::from_be_bytes([high, low]));
    if length > MOST_BYTES {
        return Err(fault(14, "at most 4080 bytes of addresses and options"));
    }
    let addresses = match family {
        0x11 => 12,
        0x21 => 36,
        // Unspecified, datagrams, Unix sockets: nobody whom a limit could be for.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => 0,
        _ => return Err(fault(13, "a family and a transport that are known")),
    };
    if length < VERSION_2_START + addresses && !is_local {
        return Err(fault(14, "room for the addresses of the family"));
    }
    let Some(body) = bytes.get(VERSION_2_START..length) else { return Ok(None) };
    let header = if is_local { ProxyHeader::Own } else { addresses_of(family, body) };
    Ok(Some((header, length)))
}

fn addresses_of(family: u8, body: &[u8]) -> ProxyHeader {
    let port = |at: usize| body.get(at..at + 2).and_then(|port| port.try_into().ok()).map(u16::from_be_bytes);
    let ipv4 = |at: usize| {
        let octets: Option<[u8; 4]> = body.get(at..at + 4).and_then(|octets| octets.try_into().ok());
        octets.map(|octets| IpAddr::V4(Ipv4Addr::from(octets)))
    };
    let ipv6 = |at: usize| {
        let octets: Option<[u8; 16]> = body.get(at..at + 16).and_then(|octets| octets.try_into().ok());
        octets.map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
    };
    let found = match family {
        0x11 => ipv4(0).zip(ipv4(4)).zip(port(8).zip(port(10))),
        0x21 => ipv6(0).zip(ipv6(16)).zip(port(32).zip(port(34))),
        _ => None,
    };
    match found {
        Some(((source, destination), (source_port, destination_port))) => ProxyHeader::For {
            source: SocketAddr::new(source, source_port),
            destination: SocketAddr::new(destination, destination_port),
        },
        None => ProxyHeader::Own,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(source: &str, destination: &str) -> ProxyHeader {
        ProxyHeader::For { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    #[test]
    fn headers_of_the_specification_are_read() {
        let line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n";
        let expected = named("192.168.0.1:56324", "192.168.0.11:443");
        assert_eq!(ProxyHeader::parse(line), Ok(Some((expected, 47))));
        let longest = "PROXY UNKNOWN ffff:f:f:f:f:f:f:ffff ffff:f:f:f:f:f:f:ffff 65535 65535\r\n";
        assert_eq!(ProxyHeader::parse(longest.as_bytes()), Ok(Some((ProxyHeader::Own, longest.len()))));
        let mut with_options = named("[2001:db8::1]:1", "[2001:db8::2]:2").to_bytes();
        with_options[15] += 5;
        with_options.extend([0x04, 0, 2, 0, 0, b'G']);
        let expected = named("[2001:db8::1]:1", "[2001:db8::2]:2");
        assert_eq!(ProxyHeader::parse(&with_options), Ok(Some((expected, with_options.len() - 1))));
        let unix = [&SIGNATURE[..], &[0x21, 0x31, 0, 216], &[b'x'; 216]].concat();
        assert_eq!(ProxyHeader::parse(&unix), Ok(Some((ProxyHeader::Own, unix.len()))));
    }

    #[test]
    fn what_is_no_header_is_told_apart_from_half_a_one() {
        for half in ["", "P", "PROXY", "PROXY TCP4 192.0.2.1 ", "\r\n\r\n", "PROXY UNKNOWN\r"] {
            assert_eq!(ProxyHeader::parse(half.as_bytes()), Ok(None), "{half:?}");
        }
        assert_eq!(ProxyHeader::parse(b"GET / HTTP/1.1\r\n"), Err(ProxyFault::NoHeader { at: 0 }));
        assert_eq!(ProxyHeader::parse(b"PROPFIND / HTTP/1.1"), Err(ProxyFault::NoHeader { at: 3 }));
        for line in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 2001:db8::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXYTCP4\r\n",
            "PROXYX TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        ] {
            assert!(matches!(ProxyHeader::parse(line.as_bytes()), Err(ProxyFault::Line { .. })), "{line:?}");
        }
        let endless = [b"PROXY ".as_slice(), &[b'x'; 200]].concat();
        assert!(matches!(ProxyHeader::parse(&endless), Err(ProxyFault::Line { .. })));
        for (start, at) in [
            ([0x31, 0x11, 0, 12], 12),
            ([0x21, 0x41, 0, 12], 13),
            ([0x21, 0x11, 0, 11], 14),
            ([0x21, 0, 0xff, 0xff], 14),
        ] {
            let bytes = [&SIGNATURE[..], &start, &[0; 300]].concat();
            assert!(
                matches!(ProxyHeader::parse(&bytes), Err(ProxyFault::Field { at: found, .. }) if found == at),
                "{start:?}"
            );
        }
    }

    fn header() -> impl Strategy<Value = ProxyHeader> {
        let ipv4 =
            (any::<[u8; 4]>(), any::<u16>()).prop_map(|(octets, port)| SocketAddr::from((octets, port)));
        let ipv6 =
            (any::<[u8; 16]>(), any::<u16>()).prop_map(|(octets, port)| SocketAddr::from((octets, port)));
        let of = |(source, destination)| ProxyHeader::For { source, destination };
        prop_oneof![
            Just(ProxyHeader::Own),
            (ipv4.clone(), ipv4).prop_map(of),
            (ipv6.clone(), ipv6).prop_map(of),
        ]
    }

    proptest! {
        /// Whatever follows, and however little has come, in both versions.
        #[test]
        fn what_is_written_is_read(header in header(), behind in proptest::collection::vec(any::<u8>(), 0..50)) {
            for written in [header.to_line().into_bytes(), header.to_bytes()] {
                let whole = [written.clone(), behind.clone()].concat();
                prop_assert_eq!(ProxyHeader::parse(&whole), Ok(Some((header, written.len()))));
                for cut in 0..written.len() {
                    prop_assert_eq!(ProxyHeader::parse(&written[..cut]), Ok(None));
                }
            }
        }

        #[test]
        fn so_many_bytes_always_decide(start: bool, bytes in proptest::collection::vec(any::<u8>(), MOST_BYTES..=MOST_BYTES)) {
            let start: &[u8] = if start { VERSION_1 } else { &SIGNATURE };
            let bytes = [start, &bytes].concat();
            prop_assert_ne!(ProxyHeader::parse(&bytes[..MOST_BYTES]), Ok(None));
        }
    }
}
