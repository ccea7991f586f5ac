//! The past in figures, for charts: how much work came in when, of the whole pool and of each address.
//!
//! Three grains are kept side by side, each for its time: minutes for hours, ten minutes for days, hours for a month.
//! A [`Row`] packs the points of one owner over an hour or a day, so a month of one address is thirty rows. What is
//! recorded is added to what is there, so late work finds its place; [`store`] keeps rows in a database.

mod recorder;
mod row;
pub mod store;

pub use recorder::Recorder;
pub use row::{Row, RowFault};

use crate::UnixMillis;

/// Whose figures: the pool's, or those of an address by the number that its store gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u64);

impl Owner {
    /// The whole pool. Its points are there for every minute in which somebody recorded, even where nothing came.
    pub const POOL: Self = Self(0);
}

/// Work of one owner in one span of time. Sums stop at the greatest number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Point {
    /// Accepted announcements.
    pub announcements: u64,
    /// Hash operations that they took on average.
    pub announcement_work: u64,
    /// What they earned, in credits of 10⁻¹².
    pub announcement_credits: u64,
    /// Accepted shares.
    pub shares: u64,
    /// Hash operations that they stand for.
    pub share_work: u64,
    /// What they earned, in credits of 10⁻¹².
    pub share_credits: u64,
}

impl Point {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let (one, other) = (self.numbers(), other.numbers());
        Self::of_numbers(std::array::from_fn(|index| one[index].saturating_add(other[index])))
    }

    fn numbers(self) -> [u64; 6] {
        [
            self.announcements,
            self.announcement_work,
            self.announcement_credits,
            self.shares,
            self.share_work,
            self.share_credits,
        ]
    }

    fn of_numbers(numbers: [u64; 6]) -> Self {
        let [announcements, announcement_work, announcement_credits, shares, share_work, share_credits] =
            numbers;
        Self { announcements, announcement_work, announcement_credits, shares, share_work, share_credits }
    }
}

/// How fine points are, and how long they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grain {
    /// A minute each, for three hours.
    Minute,
    /// Ten minutes each, for three days.
    TenMinutes,
    /// An hour each, for 32 days.
    Hour,
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

impl Grain {
    /// All of them, finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::TenMinutes, Self::Hour];

    /// Time of one point, in milliseconds.
    pub const fn step_ms(self) -> u64 {
        match self {
            Self::Minute => MINUTE_MS,
            Self::TenMinutes => 10 * MINUTE_MS,
            Self::Hour => HOUR_MS,
        }
    }

    /// Time of one row, in milliseconds: rows begin at multiples of it.
    pub const fn row_ms(self) -> u64 {
        match self {
            Self::Minute => HOUR_MS,
            Self::TenMinutes | Self::Hour => DAY_MS,
        }
    }

    /// How long rows are kept after their end, in milliseconds.
    pub const fn kept_ms(self) -> u64 {
        match self {
            Self::Minute => 2 * HOUR_MS,
            Self::TenMinutes => 2 * DAY_MS,
            Self::Hour => 31 * DAY_MS,
        }
    }

    /// Points of one row.
    pub const fn points(self) -> usize {
        (self.row_ms() / self.step_ms()) as usize
    }

    /// The row that a time belongs to, by its start, and the place in it.
    pub fn place(self, time: UnixMillis) -> (UnixMillis, usize) {
        let within = time.0 % self.row_ms();
        (UnixMillis(time.0 - within), (within / self.step_ms()) as usize)
    }

    /// Rows that start before this are forgotten at `now`.
    pub fn oldest_start(self, now: UnixMillis) -> UnixMillis {
        now.minus(self.kept_ms() + self.row_ms())
    }

    /// Its number in the store.
    pub const fn number(self) -> u8 {
        match self {
            Self::Minute => 0,
            Self::TenMinutes => 1,
            Self::Hour => 2,
        }
    }
}

/// The minute that a time belongs to, by its start.
pub fn minute(time: UnixMillis) -> UnixMillis {
    UnixMillis(time.0 - time.0 % MINUTE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_place_in_each_grain() {
        let time = UnixMillis(DAY_MS + 25 * MINUTE_MS + 5);
        assert_eq!(Grain::Minute.place(time), (UnixMillis(DAY_MS), 25));
        assert_eq!(Grain::TenMinutes.place(time), (UnixMillis(DAY_MS), 2));
        assert_eq!(Grain::Hour.place(UnixMillis(2 * DAY_MS - 1)), (UnixMillis(DAY_MS), 23));
    }

    #[test]
    fn every_grain_reaches_as_far_back_as_its_chart() {
        // The hour, the day, and the thirty days that charts show, with the row that is only begun.
        for (grain, shown) in
            [(Grain::Minute, HOUR_MS), (Grain::TenMinutes, DAY_MS), (Grain::Hour, 30 * DAY_MS)]
        {
            let now = UnixMillis(1_700_000_000_000);
            let (oldest_row, _) = grain.place(now.minus(shown));
            assert!(grain.oldest_start(now) < oldest_row, "{grain:?}");
        }
    }
}
