//! What the checking of ungrouped announcements may cost for one address (rule R-A14).
//!
//! Announcements of one hard nonce are checked together, for about a tenth of what one costs that shares its programs
//! with no other. Miners make hundreds with each hard nonce; a client that never repeats one makes the handler pay the
//! full price for each. The time that this takes is a debt of the address, which is paid back steadily; whoever owes
//! too much has to wait. Grouped announcements cost nothing here.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::listener::Client;

/// Seconds of one processor that an address may owe: what a miner leaves behind that was cut off for a while, and all
/// miners behind one address together, are far below.
const DEBT_MAX: f64 = 30.0;
/// More than an announcement ever costs: a thread that was put aside meanwhile is not the client's fault.
const DEAREST: Duration = Duration::from_millis(1);
/// Longest time for which an address has to wait.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// Shortest time between two looks for debts that are paid back.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);
/// Addresses remembered; beyond, those that owe nothing any more make room, or nobody is added.
const REMEMBERED: usize = 65_536;

/// The debts of all addresses.
pub(super) struct CheckingBudget {
    /// Seconds that are paid back in each second.
    rate: f64,
    debts: Mutex<Debts>,
}

#[derive(Debug, Default)]
struct Debts {
    of: HashMap<IpAddr, Debt>,
    /// When room was made last.
    swept: Option<Instant>,
}

impl Debts {
    /// Whether a debt of this address can be noted, after those that are paid back have made room.
    fn has_room_for(&mut self, address: IpAddr, rate: f64, now: Instant) -> bool {
        if self.of.len() < REMEMBERED || self.of.contains_key(&address) {
            return true;
        }
        // Many addresses that come one after the other must not make this costly.
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_PAUSE) {
            self.swept = Some(now);
            self.of.retain(|_, debt| debt.now(rate, now) > 0.0);
        }
        self.of.len() < REMEMBERED
    }
}

#[derive(Debug, Clone, Copy)]
struct Debt {
    seconds: f64,
    at: Instant,
}

impl Debt {
    /// What is left of it.
    fn now(&self, rate: f64, now: Instant) -> f64 {
        (self.seconds - rate * now.saturating_duration_since(self.at).as_secs_f64()).max(0.0)
    }
}

impl CheckingBudget {
    /// An address may take `rate` of the time of one processor, in the long run.
    pub(super) fn new(rate: f64) -> Self {
        Self { rate, debts: Mutex::default() }
    }

    /// How long a client has to wait before its next post is looked at.
    pub(super) fn must_wait(&self, client: Client, now: Instant) -> Option<Duration> {
        if client.exempt {
            return None;
        }
        let debts = self.debts.lock().unwrap_or_else(PoisonError::into_inner);
        let surplus = debts.of.get(&client.group())?.now(self.rate, now) - DEBT_MAX;
        let wait = (surplus / self.rate).min(LONGEST_WAIT.as_secs_f64());
        (wait > 0.0).then(|| Duration::from_secs_f64(wait))
    }

    /// Some ungrouped announcements of a client were checked in this time.
    pub(super) fn charge(&self, client: Client, announcements: usize, time: Duration, now: Instant) {
        if client.exempt {
            return;
        }
        let price = time.min(DEAREST * announcements as u32).as_secs_f64();
        let mut debts = self.debts.lock().unwrap_or_else(PoisonError::into_inner);
        if !debts.has_room_for(client.group(), self.rate, now) {
            return;
        }
        let debt = debts.of.entry(client.group()).or_insert(Debt { seconds: 0.0, at: now });
        *debt = Debt { seconds: debt.now(self.rate, now) + price, at: now };
    }

    /// What a client owes.
    #[cfg(test)]
    pub(super) fn owed(&self, client: Client, now: Instant) -> f64 {
        let debts = self.debts.lock().unwrap_or_else(PoisonError::into_inner);
        debts.of.get(&client.group()).map_or(0.0, |debt| debt.now(self.rate, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn client(address: &str) -> Client {
        Client { address: address.parse().unwrap(), exempt: false }
    }

    /// Charges `seconds` in checks of 1000 announcements.
    fn charge(budget: &CheckingBudget, client: Client, seconds: u32, now: Instant) {
        (0..seconds).for_each(|_| budget.charge(client, 1000, 1000 * MILLISECOND, now));
    }

    #[test]
    fn r_a14_whoever_owes_too_much_waits_until_it_is_paid_back() {
        let (budget, now) = (CheckingBudget::new(0.5), Instant::now());
        let (hostile, honest) = (client("192.0.2.1"), client("192.0.2.2"));
        charge(&budget, hostile, 30, now);
        assert_eq!(budget.must_wait(hostile, now), None, "so much is granted");
        charge(&budget, hostile, 5, now);
        assert_eq!(budget.must_wait(hostile, now), Some(Duration::from_secs(10)));
        assert_eq!(budget.must_wait(honest, now), None);
        assert_eq!(budget.must_wait(hostile, now + Duration::from_secs(10)), None);
        charge(&budget, hostile, 2, now + Duration::from_secs(10));
        assert_eq!(budget.must_wait(hostile, now + Duration::from_secs(10)), Some(Duration::from_secs(4)));
    }

    #[test]
    fn r_a14_an_ipv6_network_is_one_client_and_loopback_none() {
        let (budget, now) = (CheckingBudget::new(0.1), Instant::now());
        charge(&budget, client("2001:db8::1"), 40, now);
        assert!(budget.must_wait(client("2001:db8::2"), now).is_some());
        assert!(budget.must_wait(client("2001:db8:0:1::2"), now).is_none());
        let local = Client { address: "127.0.0.1".parse().unwrap(), exempt: true };
        charge(&budget, local, 40, now);
        assert_eq!(budget.must_wait(local, now), None);
    }

    #[test]
    fn a_thread_that_was_put_aside_is_not_the_fault_of_the_client() {
        let (budget, now) = (CheckingBudget::new(0.1), Instant::now());
        budget.charge(client("192.0.2.1"), 32, Duration::from_hours(1), now);
        assert_eq!(budget.must_wait(client("192.0.2.1"), now), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (budget, now) = (CheckingBudget::new(0.5), Instant::now());
        let address = |number: u32| Client { address: IpAddr::from(number.to_be_bytes()), exempt: false };
        (0..70_000).for_each(|number| budget.charge(address(number), 1, MILLISECOND, now));
        assert_eq!(budget.debts.lock().unwrap().of.len(), REMEMBERED);
        budget.charge(address(80_000), 1, MILLISECOND, now + SWEEP_PAUSE);
        assert_eq!(budget.debts.lock().unwrap().of.len(), 1, "the others owe nothing any more");
    }
}
