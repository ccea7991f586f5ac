//! Variable-length integers, as Bitcoin has them (`docs/protocol/packetcrypt-pool.md` 3.1).

use byte_reader::{ByteReader, FormatError};

/// The number that `bytes` start with, and how many bytes it takes; `None` where they end too early.
///
/// A number in a longer form than it needs is accepted, as all peers do.
pub fn read(bytes: &[u8]) -> Option<(u64, usize)> {
    let (first, rest) = bytes.split_first()?;
    Some(match first {
        0xfd => (u64::from(u16::from_le_bytes(*rest.first_chunk()?)), 3),
        0xfe => (u64::from(u32::from_le_bytes(*rest.first_chunk()?)), 5),
        0xff => (u64::from_le_bytes(*rest.first_chunk()?), 9),
        small => (u64::from(*small), 1),
    })
}

/// The next field, which has its length before it.
pub fn read_prefixed<'a>(reader: &mut ByteReader<'a>, field: &'static str) -> Result<&'a [u8], FormatError> {
    let start = reader.offset();
    let (length, width) =
        read(reader.rest()).ok_or_else(|| reader.error(field, "a variable-length integer", "the end"))?;
    reader.take(field, width)?;
    let rest = reader.rest().len();
    match usize::try_from(length) {
        Ok(length) if length <= rest => reader.take(field, length),
        _ => {
            Err(reader.error_at(start, field, format!("{length} bytes"), format!("{rest} behind its length")))
        }
    }
}

/// Appends `value` in its shortest form.
pub fn write(out: &mut Vec<u8>, value: u64) {
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

/// Appends the length of `bytes`, and the bytes.
pub fn write_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    write(out, bytes.len() as u64);
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_starts_where_the_shorter_one_ends() {
        for (value, length) in [
            (0, 1),
            (0xfc, 1),
            (0xfd, 3),
            (0xffff, 3),
            (0x1_0000, 5),
            (0xffff_ffff, 5),
            (0x1_0000_0000, 9),
            (u64::MAX, 9),
        ] {
            let mut bytes = Vec::new();
            write(&mut bytes, value);
            assert_eq!((bytes.len(), read(&bytes)), (length, Some((value, length))), "{value:#x}");
        }
    }

    #[test]
    fn a_cut_number_is_none() {
        for cut in [&[][..], &[0xfd], &[0xfd, 1], &[0xfe, 1, 2, 3], &[0xff, 1, 2, 3, 4, 5, 6, 7]] {
            assert_eq!(read(cut), None, "{cut:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(value: u64, tail: Vec<u8>) {
            let mut bytes = Vec::new();
            write(&mut bytes, value);
            let length = bytes.len();
            bytes.extend(tail);
            prop_assert_eq!(read(&bytes), Some((value, length)));
        }
    }
}
