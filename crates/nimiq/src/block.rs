//! Blocks, whole and light: a header with its interlink, and the body or nothing.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.2.

use crate::header::Header;
use crate::interlink::Interlink;
use crate::{Body, FormatError};
use byte_reader::ByteReader;

/// The most bytes of a whole block.
pub const LARGEST_BLOCK: usize = 100_000;

const LIGHT: u8 = 0;
const WHOLE: u8 = 1;

/// A whole block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// What the proof of work is about.
    pub header: Header,
    /// Earlier blocks that it refers to.
    pub interlink: Interlink,
    /// What it does.
    pub body: Body,
}

/// A block without its body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LightBlock {
    /// What the proof of work is about.
    pub header: Header,
    /// Earlier blocks that it refers to.
    pub interlink: Interlink,
}

impl Block {
    /// Reads a whole block. Whether its parts belong together is for [`LightBlock`] and the chain to say.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = ByteReader::new("block", bytes);
        if bytes.len() > LARGEST_BLOCK {
            return Err(reader.error(
                "size",
                format!("at most {LARGEST_BLOCK} bytes"),
                bytes.len().to_string(),
            ));
        }
        let (header, interlink) = read_light(&mut reader, WHOLE)?;
        let body = Body::read(&mut reader)?;
        reader.end()?;
        Ok(Self { header, interlink, body })
    }

    /// The serialised form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = light_bytes(&self.header, &self.interlink, WHOLE);
        self.body.write(&mut bytes);
        bytes
    }

    /// The block without its body.
    pub fn to_light(&self) -> LightBlock {
        LightBlock { header: self.header, interlink: self.interlink.clone() }
    }

    /// Whether the body is the one that the header names.
    pub fn has_its_body(&self) -> bool {
        self.body.hash() == self.header.body_hash
    }
}

impl LightBlock {
    /// Reads a light block.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = ByteReader::new("light block", bytes);
        let (header, interlink) = read_light(&mut reader, LIGHT)?;
        reader.end()?;
        Ok(Self { header, interlink })
    }

    /// The serialised form.
    pub fn to_bytes(&self) -> Vec<u8> {
        light_bytes(&self.header, &self.interlink, LIGHT)
    }
}

fn read_light(reader: &mut ByteReader<'_>, kind: u8) -> Result<(Header, Interlink), FormatError> {
    let header = Header::read(reader)?;
    let interlink = Interlink::read(reader, header.previous)?;
    let start = reader.offset();
    let found = reader.u8("body flag")?;
    if found != kind {
        return Err(reader.error_at(start, "body flag", kind.to_string(), found.to_string()));
    }
    Ok((header, interlink))
}

fn light_bytes(header: &Header, interlink: &Interlink, kind: u8) -> Vec<u8> {
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend(interlink.to_bytes());
    bytes.push(kind);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlockHash, Network};

    fn block() -> Block {
        let genesis = Network::Dev.genesis_block();
        let interlink = Interlink::new(vec![BlockHash([4; 32]); 3], genesis.header.hash());
        let body = crate::body::tests::body(2);
        Block { header: Header { previous: genesis.header.hash(), ..genesis.header }, interlink, body }
    }

    #[test]
    fn what_is_written_is_read() {
        let block = block();
        assert_eq!(Block::parse(&block.to_bytes()), Ok(block.clone()));
        let light = block.to_light();
        assert_eq!(LightBlock::parse(&light.to_bytes()), Ok(light));
    }

    #[test]
    fn a_light_block_is_no_whole_one() {
        let block = block();
        assert!(Block::parse(&block.to_light().to_bytes()).is_err());
        assert!(LightBlock::parse(&block.to_bytes()).is_err());
    }

    #[test]
    fn a_block_beyond_the_limit_is_refused_before_it_is_read() {
        let error = Block::parse(&vec![0; LARGEST_BLOCK + 1]).unwrap_err();
        assert_eq!(error.to_string(), "block, byte 0: size: expected at most 100000 bytes, found 100001");
    }
}
