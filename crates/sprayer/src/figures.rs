//! What a sprayer counts.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// Figures of one sprayer; clones share them. Whoever starts it decides where they are shown.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Addresses that are sent announcements.
    pub subscribers: Gauge,
    /// Announcements sent to subscribers, each as often as it was sent.
    pub sent: Counter,
    /// Announcements that a subscriber did not get because its queue was full.
    pub dropped: Counter,
    /// Announcements received from other sprayers.
    pub received: Counter,
    /// Announcements that other sprayers sent and that never came.
    pub lost: Counter,
    /// Announcements that came faster than whoever uses them here could take them.
    pub not_taken: Counter,
    /// Announcements received again and not passed on.
    pub repeated: Counter,
    /// Subscriptions refused.
    pub refused: Counter,
    /// Datagrams with announcements from senders that this one has not subscribed to.
    pub foreign: Counter,
}
