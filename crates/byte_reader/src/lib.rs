//! A cursor over serialised bytes, and errors that say which field was cut short, and where.
//!
//! Total and bounded: it reads what is there, and never more. Both chains' formats are read with it; numbers are
//! big-endian, as Nimiq has them, unless a method's name says otherwise.

mod format_error;

pub use format_error::{FormatError, excerpt};

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

    /// Eight bytes.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, FormatError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// Four bytes, little-endian.
    pub fn u32_le(&mut self, field: &'static str) -> Result<u32, FormatError> {
        self.array(field).map(u32::from_le_bytes)
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
    fn numbers_are_big_endian_unless_it_is_said() {
        let mut reader = ByteReader::new("thing", &[0, 0, 1, 2, 0, 0, 1, 2]);
        assert_eq!(reader.u32("first"), Ok(0x0102));
        assert_eq!(reader.u32_le("second"), Ok(0x0201_0000));
        assert_eq!(reader.offset(), 8);
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut reader = ByteReader::new("thing", &[1, 2]);
        assert_eq!(reader.u8("first"), Ok(1));
        assert!(reader.end().is_err());
    }
}
