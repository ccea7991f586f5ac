//! Who may connect (`docs/protocol/nimiq-pool.md` 1.10): what [`crate::admission`] says, connections held at once by each
//! client, and bans that all servers of the pool share through the accounts.
//!
//! A ban holds at once here, a minute later on the other servers; one that is lifted likewise.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use ledger::UnixMillis;
use ledger::nimiq::{Accounts, AccountsError};
use nimiq::Address;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::nimiq::Reason;

use super::clock::unix_millis;
use crate::admission::bans::{LONGEST_BAN, MOST_BANS};
use crate::admission::{Admission, Allowance, Ban, Counted, Networks, Request, Subject};
use crate::listener::Client;
use crate::metrics::{Metrics, Original};

/// What every address is granted, and whom the operator does not want.
#[derive(Debug, Clone)]
pub struct AdmissionLimits {
    /// Connections open at once.
    pub open: u32,
    /// Connections opened in five minutes, after as many at once.
    pub fresh: NonZeroU32,
    /// Shares per second of all its connections that are verified at no price.
    pub shares_per_second: f64,
    /// Always refused.
    pub banned: Vec<Subject>,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        let fresh = NonZeroU32::new(50).unwrap_or(NonZeroU32::MIN);
        Self { open: 100, fresh, shares_per_second: 20.0, banned: Vec::new() }
    }
}

/// New connections are counted over this time.
const FRESH_OVER: Duration = Duration::from_mins(5);
/// How often the bans of other servers are read.
const REFRESH: Duration = Duration::from_mins(1);

/// The door of one server.
pub(super) struct Door {
    limits: AdmissionLimits,
    admission: Arc<Admission>,
    open: Mutex<HashMap<IpNet, u32>>,
    /// How many are connected, whatever their address.
    connected: watch::Sender<usize>,
    /// What the accounts held when they were read last.
    shared: Mutex<HashSet<Subject>>,
    accounts: Accounts,
    under_way: TaskTracker,
    spoken: Counter,
    holding: Gauge,
}

/// A connection that counts for its address until this is dropped.
pub(super) struct Admitted {
    door: Arc<Door>,
    /// Those that it counts for, unless it is exempt.
    networks: Option<Networks>,
}

impl Door {
    pub(super) fn new(
        limits: AdmissionLimits,
        admission: Arc<Admission>,
        accounts: Accounts,
        under_way: TaskTracker,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let holding = metrics.gauge("nimiq_bans_holding", "Bans that hold now");
        metrics.alias("pool_ips_banned", "Bans that hold now", Original::Gauge(holding.clone()));
        Arc::new(Self {
            limits,
            admission,
            open: Mutex::default(),
            connected: watch::Sender::new(0),
            shared: Mutex::default(),
            accounts,
            under_way,
            spoken: metrics.counter("nimiq_bans", "Bans that this server spoke"),
            holding,
        })
    }

    /// How many are connected.
    pub(super) fn connected(&self) -> watch::Receiver<usize> {
        self.connected.subscribe()
    }

    /// Lets a connection in, or says why not.
    pub(super) fn admit(self: &Arc<Self>, client: Client) -> Result<Admitted, Reason> {
        let address = client.address.to_canonical();
        let unwanted = |one: &Subject| matches!(one, Subject::Network(network) if network.contains(&address));
        if self.limits.banned.iter().any(unwanted) {
            return Err(Reason::Banned);
        }
        if self.admission.is_exempt(client) {
            return Ok(Admitted::new(self, None));
        }
        match self.admission.enter(client, Request::Connection) {
            Ok(()) => {}
            Err(wire::Refusal::Banned { .. }) => return Err(Reason::Banned),
            Err(_) => return Err(Reason::TooManyConnections),
        }
        let fresh = f64::from(self.limits.fresh.get());
        let fresh = Allowance::new(fresh, fresh / FRESH_OVER.as_secs_f64());
        let taken = self.admission.take(Counted::Connections, client, fresh, 1.0);
        taken.map_err(|_wait| Reason::TooManyConnections)?;
        self.take_places(Networks::of(address))
    }

    /// Whether this payout address is not wanted.
    pub(super) fn is_unwanted(&self, payee: &Address) -> bool {
        let subject = Subject::Payee(payee.to_string());
        self.limits.banned.contains(&subject) || self.admission.payee_not_banned(payee).is_err()
    }

    fn take_places(self: &Arc<Self>, networks: Networks) -> Result<Admitted, Reason> {
        let groups = networks.with_factors();
        let mut open = self.open();
        let is_full = |(group, times): &(IpNet, u32)| {
            open.get(group).is_some_and(|taken| *taken >= self.limits.open.saturating_mul(*times))
        };
        if groups.iter().any(is_full) {
            return Err(Reason::TooManyConnections);
        }
        for (group, _) in groups {
            *open.entry(group).or_default() += 1;
        }
        drop(open);
        Ok(Admitted::new(self, Some(networks)))
    }

    /// Bans the address of a client at once, with the code of what it did: the specification names the few acts that no
    /// accident explains. Private addresses are not banned.
    pub(super) fn ban(self: &Arc<Self>, client: Client, reason: &'static str) {
        let Some(ban) = self.admission.ban(client, reason) else { return };
        self.spoken.inc();
        let door = Arc::clone(self);
        self.under_way.spawn(async move {
            let (since, until) = (UnixMillis(ban.since_ms), UnixMillis(ban.until_ms));
            let subject = ban.subject.to_string();
            if let Err(error) = door.accounts.ban(&subject, &ban.reason, since, until).await {
                tracing::error!(%error, subject, "a ban is not in the accounts: it holds on this server only");
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

    /// Takes over what the other servers have banned, and lifted, since the last look.
    pub(super) async fn refresh(&self) -> Result<(), AccountsError> {
        let now = unix_millis();
        let lately = now.minus(LONGEST_BAN.as_millis() as u64);
        self.accounts.forget_bans(lately).await?;
        let stored = self.accounts.bans(lately, MOST_BANS as u32).await?;
        let mut seen = HashSet::new();
        for stored in stored {
            let Ok(subject) = stored.subject.parse::<Subject>() else { continue };
            seen.insert(subject.clone());
            let times = u32::try_from(stored.times).unwrap_or(u32::MAX);
            let (reason, since_ms, until_ms) = (stored.reason, stored.since.0, stored.until.0);
            let known = self.admission.known(&subject);
            if known.is_none_or(|ban| ban.until_ms < until_ms) {
                self.admission.adopt(Ban { subject, reason, since_ms, until_ms, times });
            }
        }
        let before = std::mem::replace(&mut *self.shared(), seen);
        let lifted: Vec<Subject> = before.difference(&self.shared()).cloned().collect();
        for subject in lifted.iter().filter(|subject| self.is_holding(subject, now)) {
            self.admission.lift(subject);
        }
        self.holding.set(self.admission.holding().len() as i64);
        Ok(())
    }

    fn is_holding(&self, subject: &Subject, now: UnixMillis) -> bool {
        self.admission.known(subject).is_some_and(|ban| ban.holds(now))
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<IpNet, u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, HashSet<Subject>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    fn new(door: &Arc<Door>, networks: Option<Networks>) -> Self {
        door.connected.send_modify(|connected| *connected += 1);
        Self { door: Arc::clone(door), networks }
    }

    /// How many connections each network has that this one counts for, and how many addresses' worth it is granted.
    pub(super) fn neighbours(&self) -> impl Iterator<Item = (u32, u32)> {
        let groups = self.networks.map(Networks::with_factors);
        let open = groups.map(|groups| {
            let open = self.door.open();
            groups.map(|(group, times)| (open.get(&group).copied().unwrap_or(0), times))
        });
        open.into_iter().flatten()
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.door.connected.send_modify(|connected| *connected -= 1);
        let Some(networks) = self.networks else { return };
        let mut open = self.door.open();
        for (group, _) in networks.with_factors() {
            if let Some(taken) = open.get_mut(&group) {
                *taken -= 1;
                if *taken == 0 {
                    open.remove(&group);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn door(limits: AdmissionLimits) -> (Arc<Door>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("accounts.db").display());
        let accounts = Accounts::open(&url).await.unwrap();
        (Door::new(limits, Arc::default(), accounts, TaskTracker::new(), &Metrics::new()), folder)
    }

    /// Another server of the pool, or the same after a restart without its folder.
    fn other(door: &Door) -> Arc<Door> {
        let accounts = door.accounts.clone();
        Door::new(door.limits.clone(), Arc::default(), accounts, TaskTracker::new(), &Metrics::new())
    }

    fn client(address: &str) -> Client {
        Client { address: address.parse().unwrap(), exempt: false }
    }

    #[tokio::test]
    async fn connections_are_limited_by_address_and_network_but_not_in_private() {
        let limits = AdmissionLimits { open: 2, ..AdmissionLimits::default() };
        let (door, _folder) = door(limits).await;
        let admit = |address: &str| door.admit(client(address));
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
        let (door, _folder) = door(limits).await;
        for _ in 0..3 {
            let held = door.admit(client("192.0.2.1")).ok().unwrap();
            assert_eq!(*door.connected().borrow(), 1);
            drop(held);
        }
        assert!(door.open().is_empty() && *door.connected().borrow() == 0);
        assert_eq!(door.admit(client("192.0.2.1")).err(), Some(Reason::TooManyConnections));
    }

    #[tokio::test]
    async fn a_connection_knows_how_many_share_with_it() {
        let (door, _folder) = door(AdmissionLimits::default()).await;
        let admit = |address: &str| door.admit(client(address)).ok().unwrap();
        let (first, _second, neighbour) = (admit("192.0.2.1"), admit("192.0.2.1"), admit("192.0.2.2"));
        assert_eq!(first.neighbours().collect::<Vec<_>>(), [(2, 1), (3, 16)]);
        assert_eq!(neighbour.neighbours().collect::<Vec<_>>(), [(1, 1), (3, 16)]);
        assert_eq!(admit("2001:db8::1").neighbours().collect::<Vec<_>>(), [(1, 1), (1, 4)]);
        assert_eq!(admit("10.0.0.1").neighbours().count(), 0, "never limited");
    }

    #[tokio::test]
    async fn who_has_cost_too_much_for_nothing_has_to_wait_and_others_have_not() {
        let (door, _folder) = door(AdmissionLimits::default()).await;
        let (flood, other, private) = (client("192.0.2.1"), client("198.51.100.1"), client("10.0.0.1"));
        for client in [flood, private] {
            door.admission.pay(client, Duration::from_mins(10));
        }
        assert_eq!(door.admit(flood).err(), Some(Reason::TooManyConnections));
        assert!(door.admit(other).is_ok() && door.admit(private).is_ok());
    }

    #[tokio::test]
    async fn bans_hold_on_all_servers_until_they_are_lifted() {
        let (first, _folder) = door(AdmissionLimits::default()).await;
        first.ban(client("192.0.2.1"), "forged_proof");
        first.ban(client("2001:db8::5"), "duplicate_share");
        first.ban(client("10.0.0.1"), "forged_proof");
        first.under_way.close();
        first.under_way.wait().await;
        let second = other(&first);
        second.refresh().await.unwrap();
        assert_eq!(second.admit(client("192.0.2.1")).err(), Some(Reason::Banned));
        assert_eq!(second.admit(client("2001:db8::77")).err(), Some(Reason::Banned));
        assert!(second.admit(client("10.0.0.1")).is_ok());
        let known = second.admission.known(&"192.0.2.1".parse().unwrap()).unwrap();
        assert_eq!((known.reason.as_str(), known.times), ("forged_proof", 1));
        assert!(first.accounts.lift_ban("192.0.2.1").await.unwrap());
        second.refresh().await.unwrap();
        assert!(second.admit(client("192.0.2.1")).is_ok());
        assert_eq!(second.admit(client("2001:db8::77")).err(), Some(Reason::Banned));
    }

    #[tokio::test]
    async fn the_operator_may_refuse_a_network_or_a_payee() {
        let payee = Address([9; 20]);
        let banned =
            ["192.0.2.0/24".to_owned(), payee.to_string()].into_iter().map(|one| one.parse().unwrap());
        let limits = AdmissionLimits { banned: banned.collect(), ..AdmissionLimits::default() };
        let (door, _folder) = door(limits).await;
        assert_eq!(door.admit(client("192.0.2.77")).err(), Some(Reason::Banned));
        assert!(door.is_unwanted(&payee));
        let other = Address([8; 20]);
        let ban = Ban::by_operator(Subject::Payee(other.to_string()), "x", unix_millis(), REFRESH);
        assert!(!door.is_unwanted(&other) && door.admission.adopt(ban) && door.is_unwanted(&other));
    }
}
