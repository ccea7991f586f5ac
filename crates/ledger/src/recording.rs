//! What events are for charts: work by address and minute, with the credits that it earns by what is known now.

use hashbrown::HashMap;
use wire::{Event, PktAddress};

use crate::UnixMillis;
use crate::chain::Timeline;
use crate::credit::{Credits, encryptions};
use crate::posts::Period;
use crate::rates::Rates;
use crate::series::{Point, minute};
use crate::state::Ledger;

/// One credit, in the units that credits are counted in.
const ONE_CREDIT: u128 = 1 << 96;
/// Credits of charts are counted in units of 10⁻¹².
const UNITS_PER_CREDIT: u128 = 1_000_000_000_000;

impl Ledger {
    /// What events that have just been accepted are for charts.
    pub fn record(&self, events: &[Event]) -> Vec<(PktAddress, UnixMillis, Point)> {
        let mut rates = self.rates();
        let points = events.iter().filter_map(|event| match event {
            Event::Anns(event) => {
                let time = UnixMillis(event.time_ms);
                let signed = if self.rules.has_private_seed {
                    event.accepted.saturating_sub(event.unsigned)
                } else {
                    event.accepted
                };
                let point = Point {
                    announcements: event.accepted.into(),
                    announcement_work: narrow(encryptions(event.target, event.accepted)),
                    announcement_credits: units(rates.credit_of(time, event.target, signed)),
                    ..Point::default()
                };
                Some((event.pay_to, time, point))
            }
            Event::Share(event) => {
                let time = UnixMillis(event.time_ms);
                let point = Point {
                    shares: 1,
                    share_work: narrow(event.encryptions),
                    share_credits: units(rates.credit_of(time, event.target, 1)),
                    ..Point::default()
                };
                Some((event.pay_to, time, point))
            }
            Event::Block(_) => None,
        });
        points.collect()
    }

    /// All work since a time by address and minute: what has to be recorded again after a restart.
    pub fn record_since(&self, since: UnixMillis) -> Vec<(PktAddress, UnixMillis, Point)> {
        let period = Period { oldest: since, newest: UnixMillis(u64::MAX) };
        let mut rates = self.rates();
        let mut sums: HashMap<(PktAddress, UnixMillis), Point> = HashMap::new();
        for slot in self.posts.slots(period) {
            for post in self.posts.posts_of(slot, period) {
                let time = self.posts.time_of(slot, post);
                let point = Point {
                    announcements: post.accepted.into(),
                    announcement_work: narrow(encryptions(post.target, post.accepted)),
                    announcement_credits: units(rates.credit(time, post)),
                    ..Point::default()
                };
                let sum = sums.entry((self.addresses.get(post.address), minute(time))).or_default();
                *sum = sum.plus(point);
            }
        }
        for (time, _, share) in self.shares.newest_first(period) {
            let point = Point {
                shares: 1,
                share_work: narrow(share.encryptions),
                share_credits: units(rates.credit_of(time, share.target, 1)),
                ..Point::default()
            };
            let sum = sums.entry((self.addresses.get(share.address), minute(time))).or_default();
            *sum = sum.plus(point);
        }
        sums.into_iter().map(|((address, minute), point)| (address, minute, point)).collect()
    }

    fn rates(&self) -> Rates<'_> {
        let mut rates = Rates::new(Timeline::new(&self.chain), self.rules.has_private_seed);
        rates.enter(UnixMillis(0), UnixMillis(u64::MAX));
        rates
    }
}

fn narrow(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn units(credits: Credits) -> u64 {
    let whole = (credits / ONE_CREDIT).saturating_mul(UNITS_PER_CREDIT);
    // Less than 2⁹⁶, of which the lowest bits do not matter.
    let rest = (((credits % ONE_CREDIT) >> 32) * UNITS_PER_CREDIT) >> 64;
    narrow(whole.saturating_add(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_become_trillionths() {
        assert_eq!(units(ONE_CREDIT), 1_000_000_000_000);
        assert_eq!(units(ONE_CREDIT * 5 / 2), 2_500_000_000_000);
        assert_eq!(units(ONE_CREDIT / 4096), 244_140_625);
        assert_eq!(units(u128::MAX), u64::MAX, "it stops at the greatest number");
        assert_eq!(units(0), 0);
    }
}
