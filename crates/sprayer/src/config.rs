//! Where a sprayer stands, whom it serves, and whom it listens to.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    time::Duration,
};

use ipnet::IpNet;
use wire::sprayer::DEFAULT_MAX_SEGMENT_SIZE;

/// What a sprayer is told.
#[derive(Clone)]
pub struct SprayerConfig {
    /// Its one socket. Private by preference: the password travels in clear text.
    pub bind: SocketAddr,
    /// What a subscriber must know, and what is shown to those that this one subscribes to.
    pub password: String,
    /// Whether an empty password is meant to be one (rule R-S3).
    pub empty_password_allowed: bool,
    /// Networks from which subscriptions are taken; none means from everywhere.
    pub subscriber_networks: Vec<IpNet>,
    /// Subscribers at once, beside those of `spray_at`.
    pub subscribers_max: usize,
    /// New subscribers per second.
    pub new_subscribers_per_second: u32,
    /// How long a subscription lasts.
    pub subscription_time: Duration,
    /// Bytes of a datagram's content.
    pub max_segment_size: usize,
    /// Addresses that are sent everything without asking.
    pub spray_at: Vec<SocketAddr>,
    /// Sprayers whose announcements are taken and passed on; data of others are not taken.
    pub subscribe_to: Vec<SocketAddr>,
    /// A group to join: what `subscribe_to` send there comes without a subscription.
    pub multicast: Option<Ipv4Addr>,
    /// Tasks that receive.
    pub receivers: NonZeroUsize,
}

impl SprayerConfig {
    /// The usual limits.
    pub fn new(bind: SocketAddr, password: impl Into<String>) -> Self {
        Self {
            bind,
            password: password.into(),
            empty_password_allowed: false,
            subscriber_networks: Vec::new(),
            subscribers_max: 64,
            new_subscribers_per_second: 16,
            subscription_time: Duration::from_secs(30),
            max_segment_size: DEFAULT_MAX_SEGMENT_SIZE,
            spray_at: Vec::new(),
            subscribe_to: Vec::new(),
            multicast: None,
            receivers: NonZeroUsize::MIN,
        }
    }
}

impl fmt::Debug for SprayerConfig {
    /// Without the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SprayerConfig")
            .field("bind", &self.bind)
            .field("spray_at", &self.spray_at)
            .field("subscribe_to", &self.subscribe_to)
            .field("multicast", &self.multicast)
            .finish_non_exhaustive()
    }
}
