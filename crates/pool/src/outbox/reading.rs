//! Reading a segment file from its start, up to the end or the first byte that makes no sense.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::record::{self, HEADER_BYTES, MAGIC, Stored};

/// How a segment file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes up to the end of the last whole record (0: not even the magic).
    pub good_bytes: u64,
    /// Whether something follows that is no record.
    pub torn: bool,
}

/// Gives each whole record to `take`, in order.
pub(super) fn read(path: &Path, mut take: impl FnMut(Stored<'_>)) -> io::Result<Extent> {
    let mut file = BufReader::with_capacity(256 * 1024, File::open(path)?);
    let mut magic = [0; MAGIC.len()];
    if fill(&mut file, &mut magic)? < magic.len() || &magic != MAGIC {
        return Ok(Extent { good_bytes: 0, torn: true });
    }
    let mut good_bytes = MAGIC.len() as u64;
    let mut payload = Vec::new();
    loop {
        let mut header = [0; HEADER_BYTES];
        match fill(&mut file, &mut header)? {
            0 => return Ok(Extent { good_bytes, torn: false }),
            HEADER_BYTES => {}
            _ => return Ok(Extent { good_bytes, torn: true }),
        }
        let Some((length, crc)) = record::decode_header(header) else {
            return Ok(Extent { good_bytes, torn: true });
        };
        payload.resize(length, 0);
        let whole = fill(&mut file, &mut payload)? == length;
        match record::decode_payload(&payload, crc) {
            Some(stored) if whole => take(stored),
            _ => return Ok(Extent { good_bytes, torn: true }),
        }
        good_bytes += (HEADER_BYTES + length) as u64;
    }
}

/// Reads until `buffer` is full or the file ends; returns the bytes read.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
