//! A cursor over a binary document whose errors say which field was cut short, and where.

use packetcrypt::{CompactTarget, Height};

use crate::{FormatError, var_int};

/// Reads the fields of a binary document one after the other.
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
            return Err(self.error(field, format!("{count} bytes"), format!("{}", self.rest().len())));
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

    /// Four bytes, little endian.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, FormatError> {
        self.array(field).map(u32::from_le_bytes)
    }

    /// Four bytes that are a compact target.
    pub fn target(&mut self, field: &'static str) -> Result<CompactTarget, FormatError> {
        self.u32(field).map(CompactTarget)
    }

    /// Four bytes that are a block height: an `i32` that is not negative.
    pub fn height(&mut self, field: &'static str) -> Result<Height, FormatError> {
        let start = self.offset;
        let height = self.u32(field)?;
        if i32::try_from(height).is_err() {
            return Err(self.error_at(start, field, "a height from 0 to 2147483647", height.to_string()));
        }
        Ok(Height(height))
    }

    /// A variable-length integer.
    pub fn var_int(&mut self, field: &'static str) -> Result<u64, FormatError> {
        match var_int::read(self.rest()) {
            Some((value, length)) => {
                self.offset += length;
                Ok(value)
            }
            None => Err(self.error(field, "a variable-length integer", "the end")),
        }
    }

    /// A variable-length integer, and that many bytes.
    pub fn prefixed(&mut self, field: &'static str) -> Result<&'a [u8], FormatError> {
        let start = self.offset;
        let length = self.var_int(field)?;
        let rest = self.rest().len();
        if usize::try_from(length).is_ok_and(|length| length <= rest) {
            return self.take(field, length as usize);
        }
        Err(self.error_at(start, field, format!("{length} bytes"), format!("{rest} behind its length")))
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
        FormatError::Bytes {
            document: self.document,
            field,
            offset,
            expected: expected.into(),
            found: found.into(),
        }
    }
}
