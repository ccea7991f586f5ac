//! What a block miner can be told.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use sprayer::SprayerConfig;
use wire::{PktAddress, sprayer::DEFAULT_MAX_SEGMENT_SIZE};

use crate::{
    mining_threads::Placement,
    pool_client::{FollowOptions, PoolUrl},
};

/// How to mine blocks, and for whom. [`new`](Self::new) gives the reference's defaults
/// (`docs/protocol/packetcrypt-pool.md` 8.1); every field may be changed.
#[derive(Debug, Clone)]
pub struct BlockMinerConfig {
    /// The pool.
    pub pool: PoolUrl,
    /// Whom the shares are credited to.
    pub pay_to: PktAddress,
    /// How many threads mine, and where.
    pub placement: Placement,
    /// Bytes for announcements. Trees come on top: about 140 bytes for each announcement mined with.
    pub memory: usize,
    /// Part of the memory that is not mined with, so that there is room for what arrives.
    pub min_free: Fraction,
    /// Where announcements come from.
    pub source: AnnouncementSource,
    /// Of so many arriving announcements one is checked completely; 1 checks all.
    pub check_one_in: NonZeroU32,
    /// Shares uploaded at the same time.
    pub uploaders: NonZeroUsize,
    /// Time for the upload of a share.
    pub upload_timeout: Duration,
    /// Pause between two readings of the pool's configuration.
    pub poll: Duration,
    /// Pause between two statuses.
    pub status_interval: Duration,
}

/// Where a block miner gets announcements from.
#[derive(Debug, Clone)]
pub enum AnnouncementSource {
    /// From the files of the pool's announcement handlers (rule R-B4).
    Http(HttpSource),
    /// From sprayers.
    Sprayers(SprayerSource),
}

/// Downloads of announcement files.
#[derive(Clone)]
pub struct HttpSource {
    /// `x-pc-passwd`, where the handlers want one.
    pub password: Option<String>,
    /// Parallel downloads, for each handler.
    pub downloaders: NonZeroUsize,
    /// Pause between two readings of a handler's index; its cache lifetime is 3 s (rule R-D1).
    pub index_interval: Duration,
}

/// A subscription to sprayers.
#[derive(Clone)]
pub struct SprayerSource {
    /// Who is subscribed to. Data from others are ignored.
    subscribe: Vec<SocketAddr>,
    /// Our own address.
    pub bind: SocketAddr,
    /// The sprayers' password.
    password: String,
    /// Group to join; data come from there without a subscription.
    pub multicast: Option<Ipv4Addr>,
    /// Tasks that receive.
    pub receivers: NonZeroUsize,
    /// Bytes of the datagrams sent to those who subscribe to this miner, with the same password: it passes on what it
    /// receives.
    pub max_segment_size: usize,
}

/// Why a subscription cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SprayerSourceFault {
    /// Nobody to subscribe to.
    #[error("no sprayer to subscribe to was given")]
    NoSprayer,
    /// Sprayers ignore subscriptions without a password.
    #[error("a subscription needs the sprayers' password")]
    NoPassword,
    /// Only IPv4 groups can be joined, from an IPv4 address.
    #[error("{0} is no IPv4 multicast group, or the own address is not IPv4")]
    NotMulticast(Ipv4Addr),
}

/// A number from 0 to less than 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Fraction(f64);

/// A number that is no [`Fraction`].
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("expected a fraction from 0 to less than 1, found {0}")]
pub struct NoFraction(pub f64);

impl TryFrom<f64> for Fraction {
    type Error = NoFraction;

    fn try_from(number: f64) -> Result<Self, NoFraction> {
        if (0.0..1.0).contains(&number) { Ok(Self(number)) } else { Err(NoFraction(number)) }
    }
}

impl Fraction {
    /// What is left of a number when this part of it is taken away, rounded down.
    pub fn removed_from(self, number: u64) -> u64 {
        (number as f64 * (1.0 - self.0)) as u64
    }
}

impl BlockMinerConfig {
    /// Mines for `pool` with a thread for each CPU and 4 GiB of announcements that are downloaded over HTTP.
    pub fn new(pool: PoolUrl, pay_to: PktAddress) -> Self {
        Self {
            pool,
            pay_to,
            placement: Placement::one_per_cpu(),
            memory: 4 << 30,
            min_free: Fraction(0.1),
            source: AnnouncementSource::Http(HttpSource::default()),
            check_one_in: NonZeroU32::MIN.saturating_add(31),
            uploaders: NonZeroUsize::MIN.saturating_add(3),
            upload_timeout: Duration::from_secs(30),
            poll: FollowOptions::BLOCKS.poll,
            status_interval: Duration::from_secs(10),
        }
    }
}

impl Default for HttpSource {
    fn default() -> Self {
        Self {
            password: None,
            downloaders: NonZeroUsize::MIN.saturating_add(29),
            index_interval: Duration::from_secs(5),
        }
    }
}

impl SprayerSource {
    /// A subscription to `subscribe` from the address `bind`.
    pub fn new(
        subscribe: Vec<SocketAddr>,
        bind: SocketAddr,
        password: String,
        multicast: Option<Ipv4Addr>,
    ) -> Result<Self, SprayerSourceFault> {
        if subscribe.is_empty() {
            return Err(SprayerSourceFault::NoSprayer);
        }
        if password.is_empty() {
            return Err(SprayerSourceFault::NoPassword);
        }
        if let Some(group) = multicast
            && !(group.is_multicast() && bind.is_ipv4())
        {
            return Err(SprayerSourceFault::NotMulticast(group));
        }
        let receivers = NonZeroUsize::MIN.saturating_add(3);
        let max_segment_size = DEFAULT_MAX_SEGMENT_SIZE;
        Ok(Self { subscribe, bind, password, multicast, receivers, max_segment_size })
    }

    pub(crate) fn subscribe(&self) -> &[SocketAddr] {
        &self.subscribe
    }

    /// For the sprayer that this miner is.
    pub(crate) fn to_config(&self) -> SprayerConfig {
        SprayerConfig {
            subscribe_to: self.subscribe.clone(),
            multicast: self.multicast,
            receivers: self.receivers,
            max_segment_size: self.max_segment_size,
            ..SprayerConfig::new(self.bind, self.password.as_str())
        }
    }
}

impl std::fmt::Debug for HttpSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("HttpSource")
            .field("password", &self.password.as_ref().map(|_| "secret"))
            .field("downloaders", &self.downloaders)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SprayerSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SprayerSource")
            .field("subscribe", &self.subscribe)
            .field("bind", &self.bind)
            .field("multicast", &self.multicast)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(
        subscribe: &[&str],
        password: &str,
        multicast: Option<Ipv4Addr>,
    ) -> Result<(), SprayerSourceFault> {
        let subscribe = subscribe.iter().map(|address| address.parse().unwrap()).collect();
        let bind = "127.0.0.1:0".parse().unwrap();
        SprayerSource::new(subscribe, bind, password.into(), multicast).map(|_| ())
    }

    #[test]
    fn a_subscription_needs_a_sprayer_and_a_password() {
        assert_eq!(source(&["127.0.0.1:1"], "secret", None), Ok(()));
        assert_eq!(source(&[], "secret", None), Err(SprayerSourceFault::NoSprayer));
        assert_eq!(source(&["127.0.0.1:1"], "", None), Err(SprayerSourceFault::NoPassword));
        let group = Ipv4Addr::new(10, 0, 0, 1);
        let fault = SprayerSourceFault::NotMulticast(group);
        assert_eq!(source(&["127.0.0.1:1"], "secret", Some(group)), Err(fault));
    }

    #[test]
    fn fractions_leave_something() {
        assert_eq!(Fraction::try_from(0.1).unwrap().removed_from(1000), 900);
        assert_eq!(Fraction::try_from(0.0).unwrap().removed_from(1000), 1000);
        for number in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
            assert!(Fraction::try_from(number).is_err());
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let http = HttpSource { password: Some("hunter2".into()), ..HttpSource::default() };
        let bind = "127.0.0.1:0".parse().unwrap();
        let sprayers = SprayerSource::new(vec![bind], bind, "hunter2".into(), None).unwrap();
        assert!(!format!("{http:?}{sprayers:?}").contains("hunter2"));
    }
}
