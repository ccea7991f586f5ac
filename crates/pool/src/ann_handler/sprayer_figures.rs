//! The figures of a handler's sprayer, shown with the handler's own.

use sprayer::Figures;

use crate::Metrics;

/// Figures that appear in the metrics.
pub(super) fn sprayer_figures(metrics: &Metrics) -> Figures {
    Figures {
        subscribers: metrics.gauge("sprayer_subscribers", "Addresses that are sent announcements"),
        sent: metrics.counter("sprayer_sent", "Announcements sent to subscribers"),
        dropped: metrics
            .counter("sprayer_dropped", "Announcements dropped because a subscriber's queue was full"),
        received: metrics.counter("sprayer_received", "Announcements received from other sprayers"),
        lost: metrics.counter("sprayer_lost", "Announcements that other sprayers sent and that never came"),
        repeated: metrics.counter("sprayer_repeated", "Announcements received again and not passed on"),
        refused: metrics.counter("sprayer_subscriptions_refused", "Subscriptions refused"),
        foreign: metrics
            .counter("sprayer_foreign", "Datagrams of announcements from senders not subscribed to"),
        // Nobody takes announcements from a handler's sprayer but its subscribers.
        not_taken: prometheus_client::metrics::counter::Counter::default(),
    }
}
