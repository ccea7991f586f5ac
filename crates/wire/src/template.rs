//! `bt_<n>.bin`: the node's whole block template, for block handlers (`docs/protocol/packetcrypt-pool.md` 3.3).

use packetcrypt::{
    Height,
    block::{Header, header::HEADER_SIZE},
};

use byte_reader::ByteReader;

use crate::{FormatError, var_int, work::height_in_name};

/// The largest template that is read: a block of the largest weight, with its coinbase twice more.
pub const LIMIT: usize = 16 << 20;
/// The only format there is.
const FORMAT_VERSION: u64 = 1;

const DOCUMENT: &str = "block template";

/// Everything that a block is made of but the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockTemplate {
    /// Height of the block to be mined.
    pub height: Height,
    /// Header, with the root of the unfilled commitment and nonce 0.
    pub header: Header,
    /// The coinbase in the encoding without witness.
    pub coinbase_no_witness: Vec<u8>,
    /// Merkle branch of the coinbase, lowest level first, in internal order.
    pub branch: Vec<[u8; 32]>,
    /// All transactions in the encoding with witness, the coinbase first.
    pub transactions: Vec<Vec<u8>>,
}

impl BlockTemplate {
    /// Reads a template.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        FormatError::check_length(DOCUMENT, bytes.len(), LIMIT)?;
        let mut reader = ByteReader::new(DOCUMENT, bytes);
        let version = number(&mut reader, "format version")?;
        if version != FORMAT_VERSION {
            let found = version.to_string();
            return Err(reader.error_at(0, "format version", FORMAT_VERSION.to_string(), found).into());
        }
        let height = height(&mut reader)?;
        let header = Header::from_bytes(&exactly(&mut reader, "block header")?);
        let coinbase_no_witness = var_int::read_prefixed(&mut reader, "coinbase without witness")?.to_vec();
        let branch = list(&mut reader, "merkle branch", |items| exactly(items, "merkle branch"))?;
        let transactions = list(&mut reader, "transactions", |items| {
            Ok(var_int::read_prefixed(items, "transaction")?.to_vec())
        })?;
        reader.end()?;
        Ok(Self { height, header, coinbase_no_witness, branch, transactions })
    }

    /// The bytes to serve.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_number(&mut bytes, FORMAT_VERSION);
        write_number(&mut bytes, u64::from(self.height.0));
        var_int::write_prefixed(&mut bytes, &self.header.to_bytes());
        var_int::write_prefixed(&mut bytes, &self.coinbase_no_witness);
        write_list(&mut bytes, self.branch.iter().map(<[u8; 32]>::as_slice));
        write_list(&mut bytes, self.transactions.iter().map(Vec::as_slice));
        bytes
    }
}

/// The end of the path that the template for `height` is served under.
pub fn file_name(height: Height) -> String {
    format!("bt_{height}.bin")
}

/// The height in the name of a template file; `None` if the name is no template's.
pub fn parse_file_name(name: &str) -> Option<Height> {
    height_in_name(name, "bt_")
}

/// A variable-length integer with its length before it.
fn number(reader: &mut ByteReader<'_>, field: &'static str) -> Result<u64, FormatError> {
    let start = reader.offset();
    let item = var_int::read_prefixed(reader, field)?;
    match var_int::read(item) {
        Some((number, length)) if length == item.len() => Ok(number),
        _ => Err(reader.error_at(start, field, "one variable-length integer", hex::encode(item)).into()),
    }
}

fn height(reader: &mut ByteReader<'_>) -> Result<Height, FormatError> {
    let start = reader.offset();
    let height = number(reader, "height")?;
    match i32::try_from(height) {
        Ok(_) => Ok(Height(height as u32)),
        Err(_) => {
            Err(reader.error_at(start, "height", "a height from 0 to 2147483647", height.to_string()).into())
        }
    }
}

/// `N` bytes with their length before them.
fn exactly<const N: usize>(reader: &mut ByteReader<'_>, field: &'static str) -> Result<[u8; N], FormatError> {
    let start = reader.offset();
    let item = var_int::read_prefixed(reader, field)?;
    item.try_into()
        .map_err(|_| reader.error_at(start, field, format!("{N} bytes"), item.len().to_string()).into())
}

/// Items, one after the other, in an item of their own. Offsets in errors count from the start of the list.
fn list<T>(
    reader: &mut ByteReader<'_>,
    field: &'static str,
    item: impl Fn(&mut ByteReader<'_>) -> Result<T, FormatError>,
) -> Result<Vec<T>, FormatError> {
    let mut items = ByteReader::new(DOCUMENT, var_int::read_prefixed(reader, field)?);
    let mut list = Vec::new();
    while !items.rest().is_empty() {
        list.push(item(&mut items)?);
    }
    Ok(list)
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    let mut item = Vec::new();
    var_int::write(&mut item, number);
    var_int::write_prefixed(out, &item);
}

fn write_list<'a>(out: &mut Vec<u8>, items: impl Iterator<Item = &'a [u8]>) {
    let mut list = Vec::new();
    items.for_each(|item| var_int::write_prefixed(&mut list, item));
    var_int::write_prefixed(out, &list);
}

const _: () = assert!(HEADER_SIZE == 80);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;

    fn template() -> impl Strategy<Value = BlockTemplate> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..300);
        let lists = (prop::collection::vec(any::<[u8; 32]>(), 0..3), prop::collection::vec(bytes(), 0..3));
        (arbitrary::header(), arbitrary::height(), bytes(), lists).prop_map(
            |(header, height, coinbase_no_witness, (branch, transactions))| BlockTemplate {
                height,
                header,
                coinbase_no_witness,
                branch,
                transactions,
            },
        )
    }

    fn sample() -> Vec<u8> {
        BlockTemplate {
            height: Height(67),
            header: Header::from_bytes(&[1; HEADER_SIZE]),
            coinbase_no_witness: vec![2; 3],
            branch: vec![[3; 32]],
            transactions: vec![vec![4; 5]],
        }
        .to_bytes()
    }

    #[test]
    fn another_format_version_is_refused() {
        let mut bytes = sample();
        bytes[1] = 2;
        let fault = BlockTemplate::parse(&bytes).unwrap_err().to_string();
        assert_eq!(fault, "block template, byte 0: format version: expected 1, found 2");
    }

    #[test]
    fn every_cut_and_every_tail_is_refused() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert!(BlockTemplate::parse(&bytes[..length]).is_err(), "{length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        let fault = BlockTemplate::parse(&longer).unwrap_err().to_string();
        assert!(fault.ends_with("end: expected nothing more, found 1 bytes"), "{fault}");
    }

    #[test]
    fn a_length_beyond_all_memory_is_only_an_error() {
        let bytes = [&[1, 1, 1, 67, 0xff][..], &[0xff; 8]].concat();
        let fault = BlockTemplate::parse(&bytes).unwrap_err().to_string();
        assert!(
            fault.starts_with("block template, byte 4: block header: expected 18446744073709551615 bytes")
        );
    }

    proptest! {
        #[test]
        fn round_trip(template in template()) {
            prop_assert_eq!(BlockTemplate::parse(&template.to_bytes()), Ok(template));
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>) {
            let _ = BlockTemplate::parse(&bytes);
            let _ = BlockTemplate::parse(&[&[1, 1, 1, 67, 80][..], &[0; 80], &bytes].concat());
        }
    }
}
