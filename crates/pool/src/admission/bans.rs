//! Who is shut out, why and until when. Plain data; the clock is an argument.
//!
//! A ban by the pool lasts ten minutes, and twice as long each time its subject is banned again, up to a day. A day
//! after its end it is forgotten that there was one. An operator bans for as long as is wanted.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use hashbrown::HashMap;
use ipnet::IpNet;
use ledger::UnixMillis;
use serde::{Deserialize, Serialize};
use wire::PktAddress;

/// The first ban; each further one lasts twice as long as the last.
const FIRST_BAN: Duration = Duration::from_mins(10);
/// No ban that the pool speaks by itself is longer, and so long after its end it is forgotten.
pub const LONGEST_BAN: Duration = Duration::from_hours(24);
/// Bans that are remembered at most.
pub const MOST_BANS: usize = 100_000;
/// Characters of a reason.
const LONGEST_REASON: usize = 200;

/// Whom a ban is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// An address, or a network.
    Network(IpNet),
    /// A payout address, in the spelling of its chain.
    Payee(String),
}

/// Why a text names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an IP address, a network or a payout address, not {0:?}")]
pub struct SubjectFault(String);

impl FromStr for Subject {
    type Err = SubjectFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Ok(address) = text.parse::<IpAddr>() {
            // An IPv6 address is its network: whoever has one of them has them all.
            return Ok(Self::Network(super::Networks::of(address).narrow));
        }
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(network.trunc()));
        }
        let packetcrypt = text.parse::<PktAddress>().map(|address| address.to_string());
        let payee = packetcrypt.ok().or_else(|| text.parse::<nimiq::Address>().ok().map(|it| it.to_string()));
        let excerpt = || SubjectFault(text.chars().take(100).collect());
        payee.map(Self::Payee).ok_or_else(excerpt)
    }
}

impl TryFrom<String> for Subject {
    type Error = SubjectFault;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(IpNet::V4(network)) if network.prefix_len() == 32 => network.addr().fmt(formatter),
            Self::Network(network) => network.fmt(formatter),
            Self::Payee(payee) => formatter.write_str(payee),
        }
    }
}

/// A ban, past or present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Whom it is for.
    pub subject: Subject,
    /// A refusal code, or an operator's words.
    pub reason: String,
    /// When it was spoken, in milliseconds since 1970.
    pub since_ms: u64,
    /// When it ends.
    pub until_ms: u64,
    /// How many bans in a row this subject has had, this one included.
    pub times: u32,
}

impl Ban {
    /// One that an operator speaks.
    pub fn by_operator(subject: Subject, reason: &str, now: UnixMillis, length: Duration) -> Self {
        let reason = reason.chars().filter(|sign| !sign.is_control()).take(LONGEST_REASON).collect();
        let until_ms = now.plus(length.as_millis() as u64).0;
        Self { subject, reason, since_ms: now.0, until_ms, times: 1 }
    }

    /// Whether it holds.
    pub fn holds(&self, now: UnixMillis) -> bool {
        self.until_ms > now.0
    }

    /// Whole seconds until it ends, at least one.
    pub fn seconds_left(&self, now: UnixMillis) -> u64 {
        self.until_ms.saturating_sub(now.0).div_ceil(1000).max(1)
    }
}

/// All bans that hold or have ended lately.
#[derive(Debug, Default)]
pub struct BanBook {
    bans: HashMap<Subject, Ban>,
    /// How many bans there are of each kind, so that nothing is looked up that cannot be there.
    kinds: HashMap<Kind, usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Ipv4(u8),
    Ipv6(u8),
    Payee,
}

impl Kind {
    fn of(subject: &Subject) -> Self {
        match subject {
            Subject::Network(IpNet::V4(network)) => Self::Ipv4(network.prefix_len()),
            Subject::Network(IpNet::V6(network)) => Self::Ipv6(network.prefix_len()),
            Subject::Payee(_) => Self::Payee,
        }
    }
}

impl BanBook {
    /// Bans a subject for what it did. One that is banned already stays so: what was under way does not count twice.
    /// `None` if so, or if there is no room.
    pub fn ban(&mut self, subject: Subject, reason: &str, now: UnixMillis) -> Option<&Ban> {
        let before = self.bans.get(&subject);
        if before.is_some_and(|ban| ban.holds(now)) {
            return None;
        }
        let times = before.map_or(0, |ban| ban.times).saturating_add(1);
        let until_ms = now.plus(length(times).as_millis() as u64).0;
        self.put(Ban { subject, reason: reason.to_owned(), since_ms: now.0, until_ms, times })
    }

    /// Enters a ban as it is, instead of one that there may be. `None` if there is no room.
    pub fn put(&mut self, ban: Ban) -> Option<&Ban> {
        let subject = ban.subject.clone();
        if !self.bans.contains_key(&subject) {
            if self.bans.len() >= MOST_BANS {
                return None;
            }
            *self.kinds.entry(Kind::of(&subject)).or_default() += 1;
        }
        self.bans.insert(subject.clone(), ban);
        self.bans.get(&subject)
    }

    /// Ends a ban and forgets that there was one.
    pub fn lift(&mut self, subject: &Subject) -> Option<Ban> {
        let ban = self.bans.remove(subject)?;
        self.uncount(subject);
        Some(ban)
    }

    /// What is known of a subject.
    pub fn get(&self, subject: &Subject) -> Option<&Ban> {
        self.bans.get(subject)
    }

    /// The ban that shuts out an address.
    pub fn of_address(&self, address: IpAddr, now: UnixMillis) -> Option<&Ban> {
        let address = address.to_canonical();
        let network = |kind: &Kind| match (kind, address) {
            (Kind::Ipv4(length), IpAddr::V4(_)) | (Kind::Ipv6(length), IpAddr::V6(_)) => {
                IpNet::new(address, *length).ok().map(|network| Subject::Network(network.trunc()))
            }
            _ => None,
        };
        let mut bans = self.kinds.keys().filter_map(network).filter_map(|subject| self.bans.get(&subject));
        bans.find(|ban| ban.holds(now))
    }

    /// The ban that shuts out whoever wants to be paid here.
    pub fn of_payee(&self, payee: &dyn fmt::Display, now: UnixMillis) -> Option<&Ban> {
        self.kinds.get(&Kind::Payee)?;
        self.bans.get(&Subject::Payee(payee.to_string())).filter(|ban| ban.holds(now))
    }

    /// Forgets what is long over; says how many are left.
    pub fn forget(&mut self, now: UnixMillis) -> usize {
        let lately = now.minus(LONGEST_BAN.as_millis() as u64);
        let over: Vec<Subject> =
            self.bans.values().filter(|ban| !ban.holds(lately)).map(|ban| ban.subject.clone()).collect();
        for subject in over {
            self.lift(&subject);
        }
        self.bans.len()
    }

    /// All that are remembered, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Ban> {
        self.bans.values()
    }

    /// Those that hold, newest first.
    pub fn holding(&self, now: UnixMillis) -> Vec<Ban> {
        let mut bans: Vec<Ban> = self.bans.values().filter(|ban| ban.holds(now)).cloned().collect();
        bans.sort_by(|a, b| b.since_ms.cmp(&a.since_ms).then_with(|| a.subject.cmp(&b.subject)));
        bans
    }

    fn uncount(&mut self, subject: &Subject) {
        let kind = Kind::of(subject);
        let left = self.kinds.get(&kind).map_or(0, |count| count - 1);
        if left == 0 {
            self.kinds.remove(&kind);
        } else {
            self.kinds.insert(kind, left);
        }
    }
}

fn length(times: u32) -> Duration {
    FIRST_BAN.saturating_mul(1 << times.saturating_sub(1).min(16)).min(LONGEST_BAN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
    const MINUTE: u64 = 60_000;

    fn subject(text: &str) -> Subject {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_ban_ends_and_the_next_one_lasts_twice_as_long() {
        let mut book = BanBook::default();
        let mut now = NOW;
        for minutes in [10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440] {
            let ban = book.ban(subject("192.0.2.1"), "invalid_share", now).unwrap();
            assert_eq!(ban.until_ms - ban.since_ms, minutes * MINUTE);
            assert!(book.ban(subject("192.0.2.1"), "invalid_share", now).is_none(), "it is banned already");
            assert!(book.of_address(address("::ffff:192.0.2.1"), now).is_some());
            now = now.plus(minutes * MINUTE);
            assert!(book.of_address(address("192.0.2.1"), now).is_none());
        }
        assert_eq!(book.forget(now.plus(1439 * MINUTE)), 1);
        assert_eq!(book.forget(now.plus(1440 * MINUTE)), 0);
        assert_eq!(book.ban(subject("192.0.2.1"), "x", now).unwrap().times, 1);
    }

    #[test]
    fn networks_and_payees_are_banned_and_lifted() {
        let mut book = BanBook::default();
        let payee = "pkt1q5lhplx6swyfq6h7202u6lmfhw3ey26d7m5qm9w";
        for text in ["198.51.100.0/22", "2001:db8::5", payee] {
            book.put(Ban::by_operator(subject(text), "asked for it\n", NOW, Duration::from_mins(1))).unwrap();
        }
        assert!(book.of_address(address("198.51.103.255"), NOW).is_some());
        assert!(book.of_address(address("198.51.104.0"), NOW).is_none());
        assert!(book.of_address(address("2001:db8::77"), NOW).is_some(), "its network is banned");
        assert!(book.of_payee(&payee, NOW).is_some());
        assert_eq!(book.holding(NOW).len(), 3);
        assert_eq!(book.lift(&subject(payee)).unwrap().reason, "asked for it");
        assert!(book.of_payee(&payee, NOW).is_none() && book.kinds.len() == 2);
        assert!(book.holding(NOW.plus(MINUTE)).is_empty());
    }

    #[test]
    fn subjects_are_written_as_they_are_read() {
        let nimiq = "NQ76 2NH6 LDHV UJ2C MATR VLDH J5TG JGQA CNQ9";
        for (text, written) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.9/24", "192.0.2.0/24"),
            ("2001:db8::7", "2001:db8::/64"),
            (nimiq, nimiq),
        ] {
            assert_eq!(subject(text).to_string(), written);
            assert_eq!(subject(written), subject(text));
        }
        assert!("everybody".parse::<Subject>().is_err());
    }

    #[test]
    fn bans_are_bounded() {
        let mut book = BanBook::default();
        for number in 0..MOST_BANS as u32 {
            book.ban(Subject::Network(IpAddr::from(number.to_be_bytes()).into()), "x", NOW).unwrap();
        }
        assert!(book.ban(subject("192.0.2.1"), "x", NOW).is_none());
    }

    proptest! {
        /// The shortcut by kinds never hides a ban, and never shows one that is not there.
        #[test]
        fn an_address_is_banned_if_a_network_that_holds_it_is(
            networks in proptest::collection::vec((any::<u32>(), 0..=32u8), 0..8),
            lifted in any::<u8>(),
            address in any::<u32>(),
        ) {
            let mut book = BanBook::default();
            // Close together, so that some hold the address.
            let network = |(bits, length): (u32, u8)| {
                IpNet::new(IpAddr::from((address ^ (bits & 0xff)).to_be_bytes()), length).unwrap().trunc()
            };
            let mut networks: Vec<IpNet> = networks.into_iter().map(network).collect();
            networks.sort();
            networks.dedup();
            for network in &networks {
                book.ban(Subject::Network(*network), "x", NOW);
            }
            if !networks.is_empty() {
                let gone = networks.remove(usize::from(lifted) % networks.len());
                prop_assert!(book.lift(&Subject::Network(gone)).is_some());
            }
            let address = IpAddr::from(address.to_be_bytes());
            let expected = networks.iter().any(|network| network.contains(&address));
            prop_assert_eq!(book.of_address(address, NOW).is_some(), expected);
        }
    }
}
