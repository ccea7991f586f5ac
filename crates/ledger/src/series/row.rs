//! Points packed into bytes: small where little happened.
//!
//! A row is a version byte, then each point: a byte that says which figures are there, and those figures as numbers of
//! seven bits to a byte, lowest first. 0: the point is not known. Trailing unknown points are left out.

use super::{Grain, Point};

const VERSION: u8 = 1;
/// The point is known, whatever its figures are.
const KNOWN: u8 = 0x80;

/// Points of one owner, from the start of a row on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    points: Vec<Option<Point>>,
}

/// Bytes that are no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// Written by another version.
    #[error("a row of points has version 1, not {0:?}")]
    Version(Option<u8>),
    /// More points than a row of this grain has.
    #[error("a row of this grain has at most {0} points")]
    TooLong(usize),
    /// Ends in the middle of a number.
    #[error("the row ends in the middle of a number")]
    CutShort,
    /// A number beyond 64 bits, or a point with bits that mean nothing.
    #[error("byte {0} of the row cannot stand there")]
    Byte(usize),
}

impl Row {
    /// A row of which nothing is known.
    pub fn new(grain: Grain) -> Self {
        Self { points: vec![None; grain.points()] }
    }

    /// The points in order.
    pub fn points(&self) -> &[Option<Point>] {
        &self.points
    }

    /// Adds to a point; a place beyond the end is left alone.
    pub fn add(&mut self, place: usize, point: Point) {
        if let Some(known) = self.points.get_mut(place) {
            *known = Some(known.unwrap_or_default().plus(point));
        }
    }

    /// The bytes to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let known = self.points.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let mut bytes = vec![VERSION];
        for point in &self.points[..known] {
            let Some(point) = point else {
                bytes.push(0);
                continue;
            };
            let numbers = point.numbers();
            let present = numbers.iter().enumerate().filter(|(_, number)| **number > 0);
            bytes.push(present.fold(KNOWN, |bits, (index, _)| bits | 1 << index));
            numbers.into_iter().filter(|number| *number > 0).for_each(|number| write(&mut bytes, number));
        }
        bytes
    }

    /// Reads stored bytes.
    pub fn from_bytes(grain: Grain, bytes: &[u8]) -> Result<Self, RowFault> {
        let mut row = Self::new(grain);
        let Some((&VERSION, _)) = bytes.split_first() else {
            return Err(RowFault::Version(bytes.first().copied()));
        };
        let (mut at, mut place) = (1, 0);
        while let Some(bits) = bytes.get(at).copied() {
            let slot = row.points.get_mut(place).ok_or(RowFault::TooLong(grain.points()))?;
            at += 1;
            place += 1;
            if bits == 0 {
                continue;
            }
            if bits & KNOWN == 0 || bits & 0x40 != 0 {
                return Err(RowFault::Byte(at - 1));
            }
            let mut numbers = [0; 6];
            for (index, number) in numbers.iter_mut().enumerate() {
                if bits & 1 << index != 0 {
                    *number = read(bytes, &mut at)?;
                }
            }
            *slot = Some(Point::of_numbers(numbers));
        }
        Ok(row)
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(bytes: &[u8], at: &mut usize) -> Result<u64, RowFault> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or(RowFault::CutShort)?;
        if shift == 63 && byte > 1 {
            return Err(RowFault::Byte(*at));
        }
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(RowFault::Byte(*at - 1))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::series) fn point() -> impl Strategy<Value = Point> {
        // Small numbers and large ones.
        prop::array::uniform6((0u32..64, any::<u64>()))
            .prop_map(|numbers| Point::of_numbers(numbers.map(|(shift, number)| number >> shift)))
    }

    proptest! {
        #[test]
        fn a_row_is_what_was_added(
            added in prop::collection::vec((0usize..144, point()), 0..40),
            cut in 0usize..40,
        ) {
            let grain = Grain::TenMinutes;
            let mut row = Row::new(grain);
            let mut model = vec![None; 144];
            let half = cut.min(added.len());
            for (place, point) in &added[..half] {
                row.add(*place, *point);
            }
            // Stored and read again in the middle, as over a restart.
            let mut row = Row::from_bytes(grain, &row.to_bytes()).unwrap();
            for (place, point) in &added[half..] {
                row.add(*place, *point);
            }
            for (place, point) in &added {
                let known: &mut Option<Point> = &mut model[*place];
                *known = Some(known.unwrap_or_default().plus(*point));
            }
            prop_assert_eq!(row.points(), &model[..]);
            prop_assert_eq!(Row::from_bytes(grain, &row.to_bytes()).unwrap(), row);
        }

        #[test]
        fn any_bytes_are_a_row_or_a_fault(mut bytes in prop::collection::vec(any::<u8>(), 0..200), good: bool) {
            if good && !bytes.is_empty() {
                bytes[0] = VERSION;
            }
            if let Ok(row) = Row::from_bytes(Grain::Hour, &bytes) {
                prop_assert_eq!(row.points().len(), 24);
            }
        }
    }

    #[test]
    fn quiet_rows_are_small_and_unknown_is_not_zero() {
        let mut row = Row::new(Grain::Hour);
        assert_eq!(row.to_bytes(), [VERSION]);
        row.add(1, Point::default());
        assert_eq!(row.to_bytes(), [VERSION, 0, KNOWN]);
        assert_eq!(row.points()[..3], [None, Some(Point::default()), None]);
    }
}
