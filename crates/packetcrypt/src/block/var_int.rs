//! Bitcoin's variable-length integers, read strictly: only the shortest form of a number is one.

/// A cursor over untrusted bytes.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

/// What was wrong where the cursor stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadFault {
    /// The bytes end inside a field.
    #[error("the bytes end in the middle of a field that needs {missing} more")]
    TooShort {
        /// How many bytes are missing, as far as is known.
        missing: u64,
    },
    /// A number is not in its shortest form.
    #[error("the number {value} is not written in its shortest form")]
    NotShortest {
        /// The number.
        value: u64,
    },
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.offset..).unwrap_or_default()
    }

    /// The next `count` bytes. Nothing is allocated, so a huge count is only an error.
    pub(crate) fn take(&mut self, count: u64) -> Result<&'a [u8], ReadFault> {
        let rest = self.rest();
        let taken = usize::try_from(count)
            .ok()
            .and_then(|count| rest.get(..count))
            .ok_or(ReadFault::TooShort { missing: count.saturating_sub(rest.len() as u64) })?;
        self.offset += taken.len();
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadFault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    /// A variable-length integer in its shortest form.
    pub(crate) fn var_int(&mut self) -> Result<u64, ReadFault> {
        let [first] = self.array::<1>()?;
        let (value, least) = match first {
            0xfd => (u64::from(u16::from_le_bytes(self.array()?)), 0xfd),
            0xfe => (u64::from(u32::from_le_bytes(self.array()?)), 0x1_0000),
            0xff => (u64::from_le_bytes(self.array()?), 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < least { Err(ReadFault::NotShortest { value }) } else { Ok(value) }
    }
}

/// Appends `value` in its shortest form.
pub(crate) fn write_var_int(out: &mut Vec<u8>, value: u64) {
    if value < 0xfd {
        out.push(value as u8);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(0xfd);
        out.extend(value.to_le_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xfe);
        out.extend(value.to_le_bytes());
    } else {
        out.push(0xff);
        out.extend(value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_longer_form_than_needed_is_refused() {
        let long_forms: [&[u8]; 3] =
            [&[0xfd, 0xfc, 0], &[0xfe, 0xff, 0xff, 0, 0], &[0xff, 1, 0, 0, 0, 0, 0, 0, 0]];
        for bytes in long_forms {
            assert!(matches!(Cursor::new(bytes).var_int(), Err(ReadFault::NotShortest { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn an_absurd_length_is_only_an_error() {
        let mut cursor = Cursor::new(&[1, 2, 3]);
        assert_eq!(cursor.take(u64::MAX), Err(ReadFault::TooShort { missing: u64::MAX - 3 }));
        assert_eq!(cursor.offset(), 0);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: u64) {
            let mut bytes = Vec::new();
            write_var_int(&mut bytes, value);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.var_int(), Ok(value));
            prop_assert!(cursor.rest().is_empty());
        }
    }
}
