//! Work of the last 24 hours by device: brought up to date with the shares that are new, and read when somebody looks at an
//! address. A device that is silent is shown as long as its last share is a day old.

use std::collections::{BTreeMap, HashMap};

use ledger::UnixMillis;
use ledger::nimiq::store::DeviceWork;
use ledger::nimiq::{Accounts, AccountsError, Sequence, UserId};

const HOUR_MS: u64 = 3_600_000;
const HOURS: u64 = 24;
/// Shares that are added up in one round: after a start a day of a large pool takes some rounds.
const AT_ONCE: u64 = 100_000;
/// Devices that there is room for; beyond, new ones are not shown.
const MOST: usize = 500_000;

/// One device of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeviceDay {
    /// The number that it gave itself.
    pub(super) device: u32,
    /// Its shares of the last 24 hours.
    pub(super) shares: u64,
    /// When the newest was accepted.
    pub(super) newest: UnixMillis,
}

/// What one device did.
#[derive(Debug, Default)]
struct Hours {
    newest: UnixMillis,
    /// Shares by the hour since 1970.
    shares: BTreeMap<u64, u64>,
}

/// The devices of all addresses.
#[derive(Debug, Default)]
pub(super) struct Devices {
    by_user: HashMap<UserId, HashMap<u32, Hours>>,
    count: usize,
    /// Up to which share all are counted; `None` before the first round.
    counted: Option<Sequence>,
    /// The hour in which old ones were forgotten last.
    forgotten_at: u64,
}

/// What is to be read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: Sequence,
    last: Sequence,
}

impl Devices {
    /// The next shares that are not counted; none if there are no new ones.
    fn next(&self, since: Sequence, newest: Sequence) -> Option<Span> {
        let first = Sequence(self.counted.map_or(since.0, |counted| counted.0 + 1));
        let last = Sequence(newest.0.min(first.0.saturating_add(AT_ONCE - 1)));
        (first <= last).then_some(Span { first, last })
    }

    fn add(&mut self, work: &[DeviceWork], last: Sequence, now: UnixMillis) {
        self.counted = Some(last);
        for one in work {
            let devices = self.by_user.entry(one.user).or_default();
            if !devices.contains_key(&one.device) {
                if self.count >= MOST {
                    continue;
                }
                self.count += 1;
            }
            let hours = devices.entry(one.device).or_default();
            hours.newest = hours.newest.max(one.newest);
            *hours.shares.entry(one.newest.0 / HOUR_MS).or_default() += one.shares;
        }
        self.forget(now.0 / HOUR_MS);
    }

    /// Once an hour, what is older than a day.
    fn forget(&mut self, hour: u64) {
        if self.forgotten_at == hour {
            return;
        }
        self.forgotten_at = hour;
        for devices in self.by_user.values_mut() {
            for hours in devices.values_mut() {
                hours.shares.retain(|number, _| number + HOURS > hour);
            }
            devices.retain(|_, hours| !hours.shares.is_empty());
        }
        self.by_user.retain(|_, devices| !devices.is_empty());
        self.count = self.by_user.values().map(HashMap::len).sum();
    }

    /// The devices of an address, most recent first.
    pub(super) fn of(&self, user: UserId) -> Vec<DeviceDay> {
        let devices = self.by_user.get(&user).into_iter().flatten();
        let mut devices: Vec<DeviceDay> = devices
            .map(|(device, hours)| DeviceDay {
                device: *device,
                shares: hours.shares.values().sum(),
                newest: hours.newest,
            })
            .collect();
        devices.sort_by_key(|device| std::cmp::Reverse((device.newest, device.device)));
        devices
    }
}

/// Counts shares that are new; a day's at first, in some rounds.
pub(super) async fn count(
    devices: &std::sync::Mutex<Devices>,
    accounts: &Accounts,
    newest: Sequence,
    now: UnixMillis,
) -> Result<(), AccountsError> {
    let locked = || devices.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let is_first = locked().counted.is_none();
    let since =
        if is_first { accounts.first_share_since(now.minus(HOURS * HOUR_MS)).await? } else { Sequence(0) };
    let Some(span) = locked().next(since, newest) else { return Ok(()) };
    let work = accounts.work_between(span.first, span.last).await?;
    locked().add(&work, span.last, now);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(user: u64, device: u32, shares: u64, newest: u64) -> DeviceWork {
        DeviceWork { user: UserId(user), device, shares, weight: 1, newest: UnixMillis(newest) }
    }

    #[test]
    fn shares_are_counted_once_and_forgotten_after_a_day() {
        let mut devices = Devices::default();
        let now = 100 * HOUR_MS;
        let span = devices.next(Sequence(7), Sequence(9)).unwrap();
        assert_eq!(span, Span { first: Sequence(7), last: Sequence(9) });
        devices.add(
            &[work(1, 5, 2, now - 1), work(1, 6, 1, now), work(2, 5, 9, now)],
            span.last,
            UnixMillis(now),
        );
        assert_eq!(devices.next(Sequence(0), Sequence(9)), None);
        let rest = devices.next(Sequence(0), Sequence(10 * AT_ONCE)).unwrap();
        assert_eq!((rest.first, rest.last.0 - rest.first.0 + 1), (Sequence(10), AT_ONCE));
        devices.add(&[work(1, 5, 3, now + HOUR_MS)], rest.last, UnixMillis(now + HOUR_MS));
        let shown: Vec<_> = devices.of(UserId(1)).iter().map(|one| (one.device, one.shares)).collect();
        assert_eq!(shown, [(5, 5), (6, 1)], "most recent first");
        let next_day = now + 24 * HOUR_MS;
        devices.add(&[], rest.last, UnixMillis(next_day));
        let shown: Vec<_> = devices.of(UserId(1)).iter().map(|one| (one.device, one.shares)).collect();
        assert_eq!((shown, devices.count), (vec![(5, 3)], 1));
        assert!(devices.of(UserId(2)).is_empty());
    }
}
