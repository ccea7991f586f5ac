//! A cursor over serialised bytes: big-endian numbers, and errors that say which field was cut short, and where.

use crate::FormatError;

/// The largest `u64` that the chain's clients take: 2^53 − 1 (`docs/protocol/nimiq-pool.md` 0.2).
pub const LARGEST_U64: u64 = (1 << 53) - 1;

/// Reads the fields of a serialised thing one after the other.
#[derive(Debug, Clone)]
pub struct ByteReader<'a> {
    document: &'static str,
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> ByteReader<'a> {
    /// Starts at the first byte of `bytes`; `document` names them in errors.
    pub fn new(document: &'static str, bytes: &'a [u8]) -> Self {
        Self { document, bytes, offset: 0 }
    }

    /// How many bytes have been read.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.offset..).unwrap_or_default()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], FormatError> {
        let Some(taken) = self.rest().get(..count) else {
            return Err(self.error(field, format!("{count} bytes"), self.rest().len().to_string()));
        };
        self.offset += count;
        Ok(taken)
    }

    /// The next `N` bytes, by value.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(field, N)?);
        Ok(array)
    }

    /// A byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, FormatError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    /// Two bytes.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, FormatError> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, FormatError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// Eight bytes that are at most [`LARGEST_U64`].
    pub fn u64(&mut self, field: &'static str) -> Result<u64, FormatError> {
        let start = self.offset;
        let number = self.array(field).map(u64::from_be_bytes)?;
        if number > LARGEST_U64 {
            return Err(self.error_at(start, field, "at most 2^53 - 1", number.to_string()));
        }
        Ok(number)
    }

    /// Refuses bytes behind the last field.
    pub fn end(&self) -> Result<(), FormatError> {
        match self.rest().len() {
            0 => Ok(()),
            more => Err(self.error("end", "nothing more", format!("{more} bytes"))),
        }
    }

    /// An error about the field that starts here.
    pub fn error(
        &self,
        field: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> FormatError {
        self.error_at(self.offset, field, expected, found)
    }

    /// An error about a field that started at `offset`.
    pub fn error_at(
        &self,
        offset: usize,
        field: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> FormatError {
        FormatError { document: self.document, field, offset, expected: expected.into(), found: found.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_which_field_was_cut_short_and_where() {
        let mut reader = ByteReader::new("thing", &[0, 7, 1]);
        assert_eq!(reader.u16("first"), Ok(7));
        let error = reader.u32("second").unwrap_err();
        assert_eq!(error.to_string(), "thing, byte 2: second: expected 4 bytes, found 1");
    }

    #[test]
    fn a_number_that_the_clients_refuse_is_refused() {
        let bytes = (LARGEST_U64 + 1).to_be_bytes();
        assert!(ByteReader::new("thing", &bytes).u64("value").is_err());
        assert_eq!(ByteReader::new("thing", &LARGEST_U64.to_be_bytes()).u64("value"), Ok(LARGEST_U64));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut reader = ByteReader::new("thing", &[1, 2]);
        assert_eq!(reader.u8("first"), Ok(1));
        assert!(reader.end().is_err());
    }
}
