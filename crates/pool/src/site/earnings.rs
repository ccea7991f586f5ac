//! What an address can expect to earn: a range, because blocks come by chance.

use super::facts::{Amount, Earnings, Interval};
use super::luck;

/// Income of somebody who gets `amount` of every block, where the pool finds `per_day` blocks a day on average.
pub fn of_blocks(amount: Amount, per_day: f64) -> Earnings {
    let over = |days: f64| {
        let expected_blocks = per_day * days;
        let (low, high) = luck::poisson_band(expected_blocks);
        let expected = amount.units as f64 * expected_blocks;
        let part = |part: f64| Amount { units: (expected * part) as i64, coin: amount.coin };
        Interval { low: part(low), expected: part(1.0), high: part(high) }
    };
    Earnings { day: Some(over(1.0)), week: Some(over(7.0)), month: Some(over(30.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_narrows_with_time() {
        let earnings = of_blocks(Amount::luna(1000), 4.0);
        let relative = |interval: &Option<Interval>| {
            let interval = interval.as_ref().unwrap();
            assert!(interval.low.units <= interval.expected.units);
            assert!(interval.expected.units <= interval.high.units);
            (interval.high.units - interval.low.units) as f64 / interval.expected.units as f64
        };
        assert_eq!(earnings.day.as_ref().unwrap().expected, Amount::luna(4000));
        assert_eq!(earnings.month.as_ref().unwrap().expected, Amount::luna(120_000));
        assert!(relative(&earnings.day) > relative(&earnings.week));
        assert!(relative(&earnings.week) > relative(&earnings.month));
    }

    #[test]
    fn a_pool_that_finds_nothing_pays_nothing() {
        let day = of_blocks(Amount::luna(1000), 0.0).day.unwrap();
        assert_eq!((day.low.units, day.expected.units, day.high.units), (0, 0, 0));
    }
}
