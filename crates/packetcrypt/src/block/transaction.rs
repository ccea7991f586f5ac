//! A Bitcoin transaction, read only as far as PacketCrypt and a pool need: inputs' scripts, outputs, id.
//!
//! Both serialisations are understood: the plain one, and the one with marker, flag and witness. What is read
//! borrows from the bytes; nothing is allocated by a number that was read.

use super::header::double_sha256;
use super::var_int::{Cursor, ReadFault};

/// The fewest bytes that an input and an output can take.
const INPUT_MIN: usize = 32 + 4 + 1 + 4;
const OUTPUT_MIN: usize = 8 + 1;

/// An input of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// Id of the transaction whose output is spent, internal order; zero in a coinbase.
    pub spent_id: [u8; 32],
    /// Which output is spent; 0xffffffff in a coinbase.
    pub spent_index: u32,
    /// The script.
    pub script: &'a [u8],
    /// Sequence number.
    pub sequence: u32,
}

/// An output of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output<'a> {
    /// Base units (2^30 are one PKT).
    pub value: i64,
    /// The script that says who may spend it.
    pub script: &'a [u8],
}

/// A transaction that borrows from the bytes it was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction<'a> {
    /// Version.
    pub version: i32,
    /// Where the coins come from.
    pub inputs: Vec<Input<'a>>,
    /// Where they go.
    pub outputs: Vec<Output<'a>>,
    /// Whether marker, flag and witness are there.
    pub has_witness: bool,
    /// The witness items of each input, where there are any.
    pub witness: Vec<Vec<&'a [u8]>>,
    /// Lock time.
    pub lock_time: u32,
    /// The bytes that count for the id, in up to three pieces: without marker, flag and witness.
    plain: [&'a [u8]; 3],
}

/// Why bytes are no transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionFault {
    /// A field could not be read.
    #[error("{field} at byte {offset} of the transaction: {fault}")]
    Field {
        /// Which field.
        field: &'static str,
        /// Where it starts.
        offset: usize,
        /// What is wrong with it.
        fault: ReadFault,
    },
    /// More inputs, outputs or witness items than the remaining bytes could hold.
    #[error("the transaction claims {count} {what}, more than its bytes can hold")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The number claimed.
        count: u64,
    },
    /// The marker is there, but the flag behind it is not 1.
    #[error("the flag behind the witness marker is {0}, not 1")]
    WrongFlag(u8),
    /// Bytes behind the end.
    #[error("{0} bytes behind the end of the transaction")]
    TrailingBytes(usize),
}

/// Puts the name and place of a field to what went wrong in it.
fn field<'a, T>(
    name: &'static str,
    cursor: &mut Cursor<'a>,
    read: impl FnOnce(&mut Cursor<'a>) -> Result<T, ReadFault>,
) -> Result<T, TransactionFault> {
    let offset = cursor.offset();
    read(cursor).map_err(|fault| TransactionFault::Field { field: name, offset, fault })
}

/// A number of things that take at least `least` bytes each.
fn count(what: &'static str, least: usize, cursor: &mut Cursor<'_>) -> Result<u64, TransactionFault> {
    let count = field(what, cursor, Cursor::var_int)?;
    if count > (cursor.rest().len() / least) as u64 {
        return Err(TransactionFault::TooMany { what, count });
    }
    Ok(count)
}

fn prefixed<'a>(name: &'static str, cursor: &mut Cursor<'a>) -> Result<&'a [u8], TransactionFault> {
    field(name, cursor, |cursor| {
        let length = cursor.var_int()?;
        cursor.take(length)
    })
}

fn input<'a>(cursor: &mut Cursor<'a>) -> Result<Input<'a>, TransactionFault> {
    Ok(Input {
        spent_id: field("spent transaction", cursor, Cursor::array)?,
        spent_index: u32::from_le_bytes(field("spent output", cursor, Cursor::array)?),
        script: prefixed("input script", cursor)?,
        sequence: u32::from_le_bytes(field("sequence", cursor, Cursor::array)?),
    })
}

fn output<'a>(cursor: &mut Cursor<'a>) -> Result<Output<'a>, TransactionFault> {
    Ok(Output {
        value: i64::from_le_bytes(field("output value", cursor, Cursor::array)?),
        script: prefixed("output script", cursor)?,
    })
}

impl<'a> Transaction<'a> {
    /// Reads the transaction at the start of `bytes`; also gives how many bytes it takes.
    pub fn read(bytes: &'a [u8]) -> Result<(Self, usize), TransactionFault> {
        let mut cursor = Cursor::new(bytes);
        let version = i32::from_le_bytes(field("version", &mut cursor, Cursor::array)?);
        let has_witness = cursor.rest().first() == Some(&0);
        if has_witness {
            let [_, flag] = field("witness marker", &mut cursor, Cursor::array::<2>)?;
            if flag != 1 {
                return Err(TransactionFault::WrongFlag(flag));
            }
        }
        let body = cursor.offset();
        let inputs = (0..count("inputs", INPUT_MIN, &mut cursor)?)
            .map(|_| input(&mut cursor))
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = (0..count("outputs", OUTPUT_MIN, &mut cursor)?)
            .map(|_| output(&mut cursor))
            .collect::<Result<Vec<_>, _>>()?;
        let body_end = cursor.offset();
        let witness = if has_witness { read_witness(inputs.len(), &mut cursor)? } else { Vec::new() };
        let tail = cursor.offset();
        let lock_time = u32::from_le_bytes(field("lock time", &mut cursor, Cursor::array)?);
        let end = cursor.offset();
        let plain = [0..4, body..body_end, tail..end].map(|piece| bytes.get(piece).unwrap_or_default());
        Ok((Self { version, inputs, outputs, has_witness, witness, lock_time, plain }, end))
    }

    /// Reads a transaction that `bytes` consist of.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, TransactionFault> {
        let (transaction, length) = Self::read(bytes)?;
        match bytes.len() - length {
            0 => Ok(transaction),
            more => Err(TransactionFault::TrailingBytes(more)),
        }
    }

    /// The id: double SHA-256 of the plain serialisation, internal order. The witness never counts.
    pub fn id(&self) -> [u8; 32] {
        double_sha256(&self.plain)
    }

    /// The plain serialisation: without marker, flag and witness.
    pub fn to_plain_bytes(&self) -> Vec<u8> {
        self.plain.concat()
    }

    /// Whether it has one input that spends nothing, as a coinbase does.
    pub fn is_coinbase(&self) -> bool {
        matches!(self.inputs[..], [input] if input.spent_id == [0; 32] && input.spent_index == u32::MAX)
    }
}

fn read_witness<'a>(inputs: usize, cursor: &mut Cursor<'a>) -> Result<Vec<Vec<&'a [u8]>>, TransactionFault> {
    (0..inputs)
        .map(|_| (0..count("witness items", 1, cursor)?).map(|_| prefixed("witness item", cursor)).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A coinbase with one input and one output; with or without witness.
    fn coinbase(with_witness: bool) -> Vec<u8> {
        let mut bytes = vec![1, 0, 0, 0];
        if with_witness {
            bytes.extend([0, 1]);
        }
        bytes.push(1);
        bytes.extend([0; 32]);
        bytes.extend([0xff; 4]);
        bytes.extend([2, 0x51, 0]);
        bytes.extend([0xff; 4]);
        bytes.extend([1, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0x51]);
        if with_witness {
            bytes.extend([1, 3, 9, 9, 9]);
        }
        bytes.extend([0; 4]);
        bytes
    }

    #[test]
    fn the_witness_does_not_change_the_id() {
        let (plain, witness) = (coinbase(false), coinbase(true));
        let (plain_read, witness_read) =
            (Transaction::from_bytes(&plain).unwrap(), Transaction::from_bytes(&witness).unwrap());
        assert_eq!(plain_read.id(), witness_read.id());
        assert_eq!(witness_read.to_plain_bytes(), plain);
        assert_eq!(plain_read.id(), double_sha256(&[&plain]));
        assert_eq!(witness_read.witness, [[[9u8; 3].as_slice()]]);
        assert!(plain_read.is_coinbase());
        assert_eq!(plain_read.outputs, [Output { value: 7, script: &[0x51] }]);
    }

    #[test]
    fn an_absurd_count_is_refused_before_anything_is_made_for_it() {
        let mut bytes = coinbase(false);
        bytes.splice(4..5, [0xfe, 0xff, 0xff, 0xff, 0xff]);
        let fault = Transaction::from_bytes(&bytes).unwrap_err();
        assert_eq!(fault, TransactionFault::TooMany { what: "inputs", count: 0xffff_ffff });
    }

    #[test]
    fn every_cut_and_every_addition_is_refused() {
        for whole in [coinbase(false), coinbase(true)] {
            for length in 0..whole.len() {
                assert!(Transaction::from_bytes(&whole[..length]).is_err(), "cut to {length}");
            }
            let longer = [whole.as_slice(), &[0]].concat();
            assert_eq!(Transaction::from_bytes(&longer), Err(TransactionFault::TrailingBytes(1)));
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let _ = Transaction::read(&bytes);
        }
    }
}
