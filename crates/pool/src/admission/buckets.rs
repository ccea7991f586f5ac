//! Token buckets of a great many clients, in little memory.
//!
//! A bucket is a single number: the moment at which it will be full again. A full bucket is the same as none, so its
//! place is free for another and nothing ever has to be swept. The places are in sets of eight, and the key says which
//! set; if all eight hold buckets that are not full, the one that is soonest full is forgotten. That errs in favour of
//! its client: what is forgotten is a debt. Keys come from a keyed hash, so nobody outside can crowd a set.
//!
//! Memory is taken when the table is made, and by the system only as far as it is used: 16 bytes for each bucket.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Places of a set: keys and times fill two cache lines.
const WAYS: usize = 8;
/// Parts with a lock each; a power of two.
const SHARDS: usize = 64;
/// No debt is longer than a full bucket and this, so that nobody is shut out for hours by what cannot be undone.
const LONGEST_WAIT: u64 = 600_000_000;

/// Eight keys, then the eight moments at which their buckets are full.
type Set = [u64; 2 * WAYS];

/// How much may be asked for at once, and how fast that comes back, in any unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    at_once: f64,
    per_second: f64,
}

impl Allowance {
    /// Both must be above 0.
    pub const fn new(at_once: f64, per_second: f64) -> Self {
        Self { at_once, per_second }
    }

    /// The same for as many clients together.
    #[must_use]
    pub fn times(self, clients: u32) -> Self {
        let clients = f64::from(clients);
        Self { at_once: self.at_once * clients, per_second: self.per_second * clients }
    }

    /// In how many microseconds a cost is paid back.
    fn micros(self, cost: f64) -> u64 {
        (cost / self.per_second * 1e6).round() as u64
    }

    fn depth(self) -> u64 {
        self.micros(self.at_once)
    }
}

/// The buckets; all times are microseconds of one clock that does not go back.
pub struct Buckets {
    shards: Box<[Mutex<Vec<Set>>]>,
    forgotten: AtomicU64,
}

impl Buckets {
    /// Room for about so many buckets that are not full.
    pub fn new(room: usize) -> Self {
        let sets = room.div_ceil(WAYS * SHARDS).max(1);
        let shards = (0..SHARDS).map(|_| Mutex::new(vec![[0; 2 * WAYS]; sets])).collect();
        Self { shards, forgotten: AtomicU64::new(0) }
    }

    /// Takes `cost` from a bucket, or says after which time that can be.
    pub fn take(&self, key: u64, allowance: Allowance, cost: f64, now: u64) -> Result<(), Duration> {
        let hold = allowance.micros(cost);
        // What costs more than a bucket holds is granted to a full one.
        let depth = allowance.depth().max(hold);
        let mut excess = 0;
        self.change(key, now, |owed| {
            excess = owed.saturating_add(hold).saturating_sub(depth);
            if excess == 0 { owed + hold } else { owed }
        });
        if excess == 0 { Ok(()) } else { Err(Duration::from_micros(excess)) }
    }

    /// Takes `cost` from a bucket even if it does not hold that: the rest is a debt.
    pub fn charge(&self, key: u64, allowance: Allowance, cost: f64, now: u64) {
        let most = allowance.depth().saturating_add(LONGEST_WAIT);
        self.change(key, now, |owed| owed.saturating_add(allowance.micros(cost)).min(most.max(owed)));
    }

    /// Puts `cost` back.
    pub fn give(&self, key: u64, allowance: Allowance, cost: f64, now: u64) {
        self.change(key, now, |owed| owed.saturating_sub(allowance.micros(cost)));
    }

    /// How long a bucket is in debt.
    pub fn debt(&self, key: u64, allowance: Allowance, now: u64) -> Option<Duration> {
        let debt = self.owed(key, now).saturating_sub(allowance.depth());
        (debt > 0).then(|| Duration::from_micros(debt))
    }

    /// Microseconds until a bucket is full.
    pub fn owed(&self, key: u64, now: u64) -> u64 {
        let mut found = 0;
        self.change(key, now, |owed| {
            found = owed;
            owed
        });
        found
    }

    /// Buckets that were forgotten while they were not full.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Buckets that are not full.
    pub fn count(&self, now: u64) -> usize {
        let of_set = |set: &Set| set[WAYS..].iter().filter(|full_at| **full_at > now).count();
        self.shards.iter().map(|shard| lock(shard).iter().map(of_set).sum::<usize>()).sum()
    }

    /// Changes how much a bucket lacks, given and told in microseconds until it is full.
    fn change(&self, key: u64, now: u64, change: impl FnOnce(u64) -> u64) {
        let mut sets = lock(&self.shards[(key >> 58) as usize % SHARDS]);
        let number = ((key & 0xffff_ffff) * sets.len() as u64) >> 32;
        let Some((keys, times)) = sets.get_mut(number as usize).map(|set| set.split_at_mut(WAYS)) else {
            return;
        };
        let mine = (0..WAYS).find(|&place| keys[place] == key && times[place] > now);
        let owed = mine.map_or(0, |place| times[place] - now);
        let after = change(owed);
        if after == owed {
            return;
        }
        let place = mine.unwrap_or_else(|| {
            let soonest = (0..WAYS).min_by_key(|&place| times[place]).unwrap_or(0);
            if times[soonest] > now {
                self.forgotten.fetch_add(1, Ordering::Relaxed);
            }
            soonest
        });
        keys[place] = key;
        times[place] = now.saturating_add(after);
    }
}

fn lock(shard: &Mutex<Vec<Set>>) -> MutexGuard<'_, Vec<Set>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::hash::{BuildHasher, RandomState};

    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;
    /// Ten at once, then two in a second.
    const TEN: Allowance = Allowance::new(10.0, 2.0);

    #[test]
    fn so_many_at_once_and_then_as_fast_as_they_come_back() {
        let buckets = Buckets::new(100);
        assert!((0..10).all(|_| buckets.take(7, TEN, 1.0, 0).is_ok()));
        assert_eq!(buckets.take(7, TEN, 1.0, 0), Err(Duration::from_millis(500)));
        assert_eq!(buckets.take(7, TEN, 1.0, SECOND / 2), Ok(()));
        assert_eq!(buckets.take(7, TEN, 2.0, SECOND / 2), Err(Duration::from_secs(1)));
        assert_eq!(buckets.take(8, TEN, 11.0, 0), Ok(()), "a full bucket pays for anything");
        assert_eq!(buckets.take(8, TEN, 1.0, 0), Err(Duration::from_secs(1)));
    }

    #[test]
    fn a_debt_is_paid_back_and_is_not_endless() {
        let buckets = Buckets::new(100);
        buckets.charge(7, TEN, 12.0, 0);
        assert_eq!(buckets.debt(7, TEN, 0), Some(Duration::from_secs(1)));
        assert_eq!(buckets.debt(7, TEN, SECOND), None);
        buckets.give(7, TEN, 8.0, SECOND);
        assert_eq!(buckets.owed(7, SECOND), SECOND);
        (0..100).for_each(|_| buckets.charge(7, TEN, 1e12, 0));
        assert_eq!(buckets.debt(7, TEN, 0), Some(Duration::from_mins(10)));
    }

    #[test]
    fn full_buckets_make_room_before_any_other() {
        let buckets = Buckets::new(1);
        (0..8).for_each(|key| buckets.charge(key, TEN, 2.0, 0));
        (8..16).for_each(|key| buckets.charge(key, TEN, 4.0, SECOND));
        assert_eq!((buckets.count(SECOND), buckets.forgotten()), (8, 0));
        buckets.charge(16, TEN, 6.0, SECOND);
        assert_eq!((buckets.count(SECOND), buckets.forgotten()), (8, 1));
        assert_eq!(buckets.owed(16, SECOND), 3 * SECOND);
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Take(u8, u8),
        Charge(u8, u8),
        Give(u8, u8),
        Wait(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (any::<u8>(), 0..20u8).prop_map(|(client, cost)| Step::Take(client, cost)),
            (any::<u8>(), any::<u8>()).prop_map(|(client, cost)| Step::Charge(client, cost)),
            (any::<u8>(), 0..20u8).prop_map(|(client, cost)| Step::Give(client, cost)),
            (0..2000u16).prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 0..300)
    }

    proptest! {
        /// The table against buckets that are as one writes them down: tokens that come back.
        #[test]
        fn the_table_is_a_table_of_token_buckets(steps in steps()) {
            let (buckets, secret) = (Buckets::new(100_000), RandomState::new());
            let (mut model, mut now) = (HashMap::<u8, (f64, u64)>::new(), 0);
            for step in steps {
                let tokens = |model: &HashMap<u8, (f64, u64)>, client: u8, now: u64| {
                    model.get(&client).map_or(10.0, |(tokens, at)| (tokens + (now - at) as f64 / 5e5).min(10.0))
                };
                match step {
                    Step::Wait(millis) => now += u64::from(millis) * 1000,
                    Step::Take(client, cost) => {
                        let (has, cost) = (tokens(&model, client, now), f64::from(cost));
                        let granted = buckets.take(secret.hash_one(client), TEN, cost, now).is_ok();
                        prop_assert_eq!(granted, has + 1e-6 >= cost.min(10.0), "{} of {}", cost, has);
                        if granted {
                            model.insert(client, (has - cost, now));
                        }
                    }
                    Step::Charge(client, cost) => {
                        let has = tokens(&model, client, now) - f64::from(cost);
                        buckets.charge(secret.hash_one(client), TEN, f64::from(cost), now);
                        model.insert(client, (has.max(-1200.0), now));
                    }
                    Step::Give(client, cost) => {
                        let has = tokens(&model, client, now) + f64::from(cost);
                        buckets.give(secret.hash_one(client), TEN, f64::from(cost), now);
                        model.insert(client, (has.min(10.0), now));
                    }
                }
            }
        }

        /// Too small a table forgets debts, and never invents one.
        #[test]
        fn what_is_forgotten_is_in_favour_of_the_client(steps in steps()) {
            let (small, large, secret) = (Buckets::new(1), Buckets::new(100_000), RandomState::new());
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Wait(millis) => now += u64::from(millis) * 1000,
                    Step::Take(client, cost) | Step::Charge(client, cost) | Step::Give(client, cost) => {
                        // In the small one all are in one set.
                        let (crowded, spread) = (u64::from(client), secret.hash_one(client));
                        small.charge(crowded, TEN, f64::from(cost), now);
                        large.charge(spread, TEN, f64::from(cost), now);
                        prop_assert!(small.owed(crowded, now) <= large.owed(spread, now));
                    }
                }
            }
            prop_assert!(small.count(now) <= WAYS);
        }
    }
}
