//! Who may connect: limits for each address, and bans that are kept in the accounts (`docs/protocol/nimiq-pool.md` 1.10).
//!
//! Addresses count as themselves (IPv4), or as their /64 and, four times as loosely, their /48 (IPv6). Private ones are
//! neither limited nor banned. A ban holds at once here, a minute later on the other servers of the pool.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;
use ledger::UnixMillis;
use ledger::nimiq::{Accounts, AccountsError};
use nimiq::Address;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::nimiq::Reason;

use super::clock::unix_millis;
use crate::listener::Client;
use crate::metrics::{Metrics, Original};

/// What every address is granted, and whom the operator does not want.
#[derive(Debug, Clone)]
pub struct AdmissionLimits {
    /// Connections open at once.
    pub open: u32,
    /// Connections opened in five minutes, after as many at once.
    pub fresh: NonZeroU32,
    /// Always refused.
    pub banned: Vec<Unwanted>,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self { open: 100, fresh: NonZeroU32::new(50).unwrap_or(NonZeroU32::MIN), banned: Vec::new() }
    }
}

/// Somebody whom the operator does not want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwanted {
    /// An address or a network.
    Network(IpNet),
    /// A payout address.
    Payee(Address),
}

/// Why a text names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an IP address, a network or a payout address, not {0:?}")]
pub struct UnwantedFault(String);

impl FromStr for Unwanted {
    type Err = UnwantedFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let network = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>());
        network
            .map(Self::Network)
            .or_else(|_| text.parse().map(Self::Payee))
            .map_err(|_| UnwantedFault(text.to_owned()))
    }
}

/// New connections are counted over this time.
const FRESH_OVER: Duration = Duration::from_mins(5);
/// How much more a /48 may than one of its networks.
const LOOSER: u32 = 4;
/// The first ban; each further one lasts twice as long as the last.
const FIRST_BAN: Duration = Duration::from_mins(10);
/// No ban is longer, and so long after its end it is forgotten that there was one.
const LONGEST_BAN: Duration = Duration::from_hours(24);
/// Bans that are known here at most.
const MOST_BANS: u32 = 100_000;
/// Addresses whose new connections are remembered before those that have come to rest are forgotten.
const REMEMBERED: usize = 50_000;
/// How often the bans of other servers are read.
const REFRESH: Duration = Duration::from_mins(1);

/// The doorkeeper of one server.
pub(super) struct Admission {
    limits: AdmissionLimits,
    open: Mutex<HashMap<IpNet, u32>>,
    fresh: [DefaultKeyedRateLimiter<IpNet>; 2],
    bans: Mutex<HashMap<String, Known>>,
    accounts: Accounts,
    under_way: TaskTracker,
    spoken: Counter,
    holding: Gauge,
}

/// A ban, past or present.
#[derive(Debug, Clone, Copy)]
struct Known {
    until: UnixMillis,
    times: u64,
}

/// A connection that counts for its address until this is dropped.
pub(super) struct Admitted {
    admission: Arc<Admission>,
    groups: Vec<IpNet>,
}

impl Admission {
    pub(super) fn new(
        limits: AdmissionLimits,
        accounts: Accounts,
        under_way: TaskTracker,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let rate = |burst: NonZeroU32| {
            let quota = Quota::with_period(FRESH_OVER / burst.get()).unwrap_or(Quota::per_second(burst));
            RateLimiter::keyed(quota.allow_burst(burst))
        };
        let holding = metrics.gauge("nimiq_bans_holding", "Bans that hold now");
        metrics.alias("pool_ips_banned", "Bans that hold now", Original::Gauge(holding.clone()));
        let looser = limits.fresh.saturating_mul(NonZeroU32::new(LOOSER).unwrap_or(NonZeroU32::MIN));
        Arc::new(Self {
            fresh: [rate(limits.fresh), rate(looser)],
            limits,
            open: Mutex::default(),
            bans: Mutex::default(),
            accounts,
            under_way,
            spoken: metrics.counter("nimiq_bans", "Bans that this server spoke"),
            holding,
        })
    }

    /// Lets a connection in, or says why not.
    pub(super) fn admit(self: &Arc<Self>, client: Client) -> Result<Admitted, Reason> {
        let address = client.address.to_canonical();
        let unwanted =
            |one: &Unwanted| matches!(one, Unwanted::Network(network) if network.contains(&address));
        if self.limits.banned.iter().any(unwanted) {
            return Err(Reason::Banned);
        }
        if client.exempt || is_private(address) {
            return Ok(Admitted { admission: Arc::clone(self), groups: Vec::new() });
        }
        if self.is_banned(&subject(address), unix_millis()) {
            return Err(Reason::Banned);
        }
        let groups = groups(address);
        for (group, rate) in groups.iter().zip(&self.fresh) {
            if rate.len() > REMEMBERED {
                rate.retain_recent();
            }
            if rate.check_key(group).is_err() {
                return Err(Reason::TooManyConnections);
            }
        }
        self.take_places(groups)
    }

    /// Whether the operator does not want this payout address.
    pub(super) fn is_unwanted(&self, payee: &Address) -> bool {
        self.limits.banned.contains(&Unwanted::Payee(*payee))
    }

    fn take_places(self: &Arc<Self>, groups: Vec<IpNet>) -> Result<Admitted, Reason> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let most = [self.limits.open, self.limits.open.saturating_mul(LOOSER)];
        let is_full = |(group, most): (&IpNet, u32)| open.get(group).is_some_and(|taken| *taken >= most);
        if groups.iter().zip(most).any(is_full) {
            return Err(Reason::TooManyConnections);
        }
        for group in &groups {
            *open.entry(*group).or_default() += 1;
        }
        drop(open);
        Ok(Admitted { admission: Arc::clone(self), groups })
    }

    fn is_banned(&self, subject: &str, now: UnixMillis) -> bool {
        let bans = self.bans.lock().unwrap_or_else(PoisonError::into_inner);
        bans.get(subject).is_some_and(|ban| ban.until > now)
    }

    /// Bans the address of a client, with the code of what it did. Private addresses are not banned.
    pub(super) fn ban(self: &Arc<Self>, client: Client, reason: &'static str) {
        let address = client.address.to_canonical();
        if client.exempt || is_private(address) {
            return;
        }
        let (subject, since) = (subject(address), unix_millis());
        let mut bans = self.bans.lock().unwrap_or_else(PoisonError::into_inner);
        let times = bans.get(&subject).map_or(0, |ban| ban.times) + 1;
        let until = since.plus(length(times).as_millis() as u64);
        if bans.len() < MOST_BANS as usize || bans.contains_key(&subject) {
            bans.insert(subject.clone(), Known { until, times });
        }
        drop(bans);
        self.spoken.inc();
        tracing::warn!(subject, reason, times, minutes = length(times).as_secs() / 60, "banned");
        let admission = Arc::clone(self);
        self.under_way.spawn(async move {
            if let Err(error) = admission.accounts.ban(&subject, reason, since, until).await {
                tracing::error!(%error, subject, "a ban is not stored: it holds on this server, until a restart");
            }
        });
    }

    /// Reads the bans of all servers now and then, and forgets what is long over.
    pub(super) async fn keep(self: Arc<Self>, shutdown: CancellationToken) {
        let keeping = async {
            loop {
                if let Err(error) = self.refresh().await {
                    tracing::warn!(%error, "the bans could not be read");
                }
                tokio::time::sleep(REFRESH).await;
            }
        };
        shutdown.run_until_cancelled(keeping).await;
    }

    /// Reads the bans that hold or have ended lately.
    pub(super) async fn refresh(&self) -> Result<(), AccountsError> {
        let now = unix_millis();
        let lately = now.minus(LONGEST_BAN.as_millis() as u64);
        self.accounts.forget_bans(lately).await?;
        let stored = self.accounts.bans(lately, MOST_BANS).await?;
        let mut bans = self.bans.lock().unwrap_or_else(PoisonError::into_inner);
        bans.retain(|_, ban| ban.until > lately);
        for ban in stored {
            let known = bans.entry(ban.subject).or_insert(Known { until: ban.until, times: 0 });
            *known = Known { until: known.until.max(ban.until), times: known.times.max(ban.times) };
        }
        let holding = bans.values().filter(|ban| ban.until > now).count();
        drop(bans);
        self.holding.set(holding as i64);
        self.fresh.iter().for_each(DefaultKeyedRateLimiter::retain_recent);
        Ok(())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        for group in &self.groups {
            if let Some(taken) = open.get_mut(group) {
                *taken -= 1;
                if *taken == 0 {
                    open.remove(group);
                }
            }
        }
    }
}

fn length(times: u64) -> Duration {
    let doubled = u32::try_from(times.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    FIRST_BAN.saturating_mul(1 << doubled).min(LONGEST_BAN)
}

/// What an address counts for: itself, or its /64 and its /48.
fn groups(address: IpAddr) -> Vec<IpNet> {
    let prefixes: &[u8] = if address.is_ipv4() { &[32] } else { &[64, 48] };
    prefixes.iter().filter_map(|prefix| IpNet::new(address, *prefix).ok()).map(|net| net.trunc()).collect()
}

/// What is banned for what came from an address.
fn subject(address: IpAddr) -> String {
    match groups(address).first() {
        Some(network) if address.is_ipv6() => network.to_string(),
        _ => address.to_string(),
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            address.is_private() || address.is_loopback() || address.is_link_local() || shared
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn admission(limits: AdmissionLimits) -> (Arc<Admission>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("accounts.db").display());
        let accounts = Accounts::open(&url).await.unwrap();
        (Admission::new(limits, accounts, TaskTracker::new(), &Metrics::new()), folder)
    }

    fn client(address: &str) -> Client {
        Client { address: address.parse().unwrap(), exempt: false }
    }

    #[tokio::test]
    async fn connections_are_limited_by_address_and_network_but_not_in_private() {
        let limits = AdmissionLimits { open: 2, ..AdmissionLimits::default() };
        let (admission, _folder) = admission(limits).await;
        let admit = |address: &str| admission.admit(client(address));
        let _held: Vec<_> = (0..2).map(|_| admit("192.0.2.1").ok().unwrap()).collect();
        assert_eq!(admit("::ffff:192.0.2.1").err(), Some(Reason::TooManyConnections));
        assert!(admit("192.0.2.2").is_ok());
        let _private: Vec<_> = (0..200).map(|_| admit("100.64.0.1").ok().unwrap()).collect();
        let networks = (0..8).map(|number| format!("2001:db8:0:{}::1", number / 2));
        let _of_one_48: Vec<_> = networks.map(|address| admit(&address).ok().unwrap()).collect();
        assert_eq!(admit("2001:db8:0:9::1").err(), Some(Reason::TooManyConnections));
        assert!(admit("2001:db8:1:9::1").is_ok());
    }

    #[tokio::test]
    async fn a_place_comes_back_but_haste_is_refused() {
        let limits = AdmissionLimits { fresh: NonZeroU32::new(3).unwrap(), ..AdmissionLimits::default() };
        let (admission, _folder) = admission(limits).await;
        for _ in 0..3 {
            drop(admission.admit(client("192.0.2.1")).ok().unwrap());
        }
        assert!(admission.open.lock().unwrap().is_empty());
        assert_eq!(admission.admit(client("192.0.2.1")).err(), Some(Reason::TooManyConnections));
    }

    #[tokio::test]
    async fn bans_survive_a_restart_and_grow() {
        let (first, _folder) = admission(AdmissionLimits::default()).await;
        first.ban(client("192.0.2.1"), "forged_proof");
        first.ban(client("2001:db8::5"), "duplicate_share");
        first.ban(client("10.0.0.1"), "forged_proof");
        first.under_way.close();
        first.under_way.wait().await;
        let restarted = Admission::new(
            AdmissionLimits::default(),
            first.accounts.clone(),
            TaskTracker::new(),
            &Metrics::new(),
        );
        restarted.refresh().await.unwrap();
        assert_eq!(restarted.admit(client("192.0.2.1")).err(), Some(Reason::Banned));
        assert_eq!(restarted.admit(client("2001:db8::77")).err(), Some(Reason::Banned));
        assert!(restarted.admit(client("10.0.0.1")).is_ok());
        restarted.ban(client("192.0.2.1"), "forged_proof");
        assert_eq!(restarted.bans.lock().unwrap()["192.0.2.1"].times, 2);
        assert_eq!([1, 2, 9].map(|times| length(times).as_secs() / 60), [10, 20, 1440]);
    }

    #[tokio::test]
    async fn the_operator_may_refuse_a_network_or_a_payee() {
        let payee = Address([9; 20]);
        let banned =
            ["192.0.2.0/24".to_owned(), payee.to_string()].into_iter().map(|one| one.parse().unwrap());
        let limits = AdmissionLimits { banned: banned.collect(), ..AdmissionLimits::default() };
        let (admission, _folder) = admission(limits).await;
        assert_eq!(admission.admit(client("192.0.2.77")).err(), Some(Reason::Banned));
        assert!(admission.is_unwanted(&payee));
        assert!("everybody".parse::<Unwanted>().is_err());
    }
}
