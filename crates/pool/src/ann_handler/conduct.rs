//! Who has sent bad proofs of work lately, and which announcements are left unchecked (rule R-A6).

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use wire::PktAddress;

use crate::listener::Client;

/// A sender of a bad proof is checked completely for this long.
const DISTRUST: Duration = Duration::from_hours(1);
/// Longest time for which an address has to wait.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Senders remembered. Beyond that everybody is distrusted until some are forgotten.
const REMEMBERED: usize = 65_536;

/// What is remembered of bad senders, and the secret by which announcements are sampled.
pub(super) struct Conduct {
    bad: Mutex<HashMap<u64, Record>>,
    /// Keyed with a secret of this process: nobody outside can tell what it gives.
    secret: RandomState,
    /// Announcements whose keyed hash is below this are left unchecked.
    skip_below: u64,
    skip_all: bool,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    since: Instant,
    strikes: u32,
}

/// Whom a bad post is remembered for.
#[derive(Hash)]
enum Sender<'a> {
    Address(IpAddr),
    PayTo(&'a [u8]),
}

impl Conduct {
    /// `skip_check_chance` from 0 to 1.
    pub(super) fn new(skip_check_chance: f64) -> Self {
        let skip_below = (skip_check_chance.clamp(0.0, 1.0) * u64::MAX as f64) as u64;
        Self {
            bad: Mutex::default(),
            secret: RandomState::new(),
            skip_below,
            skip_all: skip_check_chance >= 1.0,
        }
    }

    /// How long a client has to wait before its next post is looked at.
    pub(super) fn must_wait(&self, client: Client, now: Instant) -> Option<Duration> {
        if client.exempt {
            return None;
        }
        let key = self.secret.hash_one(Sender::Address(client.group()));
        let bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        let record = bad.get(&key)?;
        let wait = Duration::from_secs(1 << record.strikes.saturating_sub(1).min(6)).min(LONGEST_WAIT);
        wait.checked_sub(now.saturating_duration_since(record.since)).filter(|left| !left.is_zero())
    }

    /// Whether everything that this sender posts is to be checked.
    pub(super) fn is_distrusted(&self, client: Client, pay_to: &PktAddress, now: Instant) -> bool {
        let bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        let distrusted = |key: u64| {
            bad.get(&key).is_some_and(|record| now.saturating_duration_since(record.since) < DISTRUST)
        };
        bad.len() >= REMEMBERED || self.keys(client, pay_to).into_iter().any(distrusted)
    }

    /// A post of this sender held a bad proof of work.
    pub(super) fn remember(&self, client: Client, pay_to: &PktAddress, now: Instant) {
        let keys = self.keys(client, pay_to);
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        if bad.len() + keys.len() > REMEMBERED {
            bad.retain(|_, record| now.saturating_duration_since(record.since) < DISTRUST);
        }
        for key in keys {
            if bad.len() < REMEMBERED || bad.contains_key(&key) {
                let record = bad.entry(key).or_insert(Record { since: now, strikes: 0 });
                let forgiven = now.saturating_duration_since(record.since) >= DISTRUST;
                record.strikes = if forgiven { 1 } else { record.strikes.saturating_add(1) };
                record.since = now;
            }
        }
    }

    /// Whether the announcement with this hash prefix is left unchecked, where its sender is trusted.
    pub(super) fn skips(&self, prefix: u64) -> bool {
        self.skip_all || (self.skip_below > 0 && self.secret.hash_one(prefix) < self.skip_below)
    }

    /// Whether no announcement is checked.
    pub(super) fn skips_all(&self) -> bool {
        self.skip_all
    }

    /// Whether any announcement may be left unchecked.
    pub(super) fn skips_some(&self) -> bool {
        self.skip_below > 0
    }

    fn keys(&self, client: Client, pay_to: &PktAddress) -> [u64; 2] {
        let script = pay_to.script();
        [Sender::Address(client.group()), Sender::PayTo(&script)].map(|sender| self.secret.hash_one(sender))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        Client { address: address.parse().unwrap(), exempt: false }
    }

    fn pay_to() -> PktAddress {
        "pkt1q5lhplx6swyfq6h7202u6lmfhw3ey26d7m5qm9w".parse().unwrap()
    }

    fn other_pay_to() -> PktAddress {
        "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2".parse().unwrap()
    }

    #[test]
    fn w3_r_a6_the_chance_is_the_share_that_is_left_unchecked() {
        for (chance, lowest, highest) in
            [(0.0, 0, 0), (0.5, 48_000, 52_000), (0.01, 700, 1300), (1.0, 100_000, 100_000)]
        {
            let conduct = Conduct::new(chance);
            let skipped = (1..=100_000u64).filter(|prefix| conduct.skips(*prefix)).count();
            assert!((lowest..=highest).contains(&skipped), "{chance}: {skipped} of 100000");
        }
    }

    #[test]
    fn r_a6_which_are_skipped_is_a_secret_of_the_process() {
        let choices =
            |conduct: &Conduct| (1..=200u64).map(|prefix| conduct.skips(prefix)).collect::<Vec<_>>();
        let (one, other) = (Conduct::new(0.5), Conduct::new(0.5));
        assert_eq!(choices(&one), choices(&one));
        assert_ne!(choices(&one), choices(&other));
    }

    #[test]
    fn r_a6_a_bad_sender_is_distrusted_for_an_hour_by_address_and_by_payee() {
        let (conduct, now) = (Conduct::new(0.5), Instant::now());
        conduct.remember(client("192.0.2.1"), &pay_to(), now);
        assert!(conduct.is_distrusted(client("192.0.2.1"), &other_pay_to(), now));
        assert!(conduct.is_distrusted(client("192.0.2.2"), &pay_to(), now));
        assert!(!conduct.is_distrusted(client("192.0.2.2"), &other_pay_to(), now));
        assert!(!conduct.is_distrusted(client("192.0.2.1"), &pay_to(), now + DISTRUST));
    }

    #[test]
    fn bad_posts_make_an_address_wait_longer_and_longer() {
        let (conduct, now) = (Conduct::new(0.0), Instant::now());
        assert_eq!(conduct.must_wait(client("192.0.2.1"), now), None);
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            conduct.remember(client("192.0.2.1"), &pay_to(), now);
            assert_eq!(conduct.must_wait(client("192.0.2.1"), now), Some(Duration::from_secs(expected)));
        }
        assert_eq!(conduct.must_wait(client("192.0.2.1"), now + LONGEST_WAIT), None);
        assert_eq!(conduct.must_wait(client("192.0.2.2"), now), None, "others of the same payee do not wait");
        let local = Client { address: "127.0.0.1".parse().unwrap(), exempt: true };
        conduct.remember(local, &pay_to(), now);
        assert_eq!(conduct.must_wait(local, now), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (conduct, now) = (Conduct::new(0.5), Instant::now());
        for number in 0..70_000u32 {
            let address = IpAddr::from(number.to_be_bytes());
            conduct.remember(Client { address, exempt: false }, &pay_to(), now);
        }
        assert!(conduct.bad.lock().unwrap().len() <= REMEMBERED);
        assert!(
            conduct.is_distrusted(client("2001:db8::1"), &other_pay_to(), now),
            "everybody is, meanwhile"
        );
    }
}
