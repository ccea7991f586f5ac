//! What a server counts of its clients and their shares.

use nimiq::ShareWeight;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use wire::nimiq::Mode;

use crate::metrics::{Metrics, Original, Stage, StageTimes};

/// Hashes that a share of difficulty 1 takes on average.
const HASHES_OF_DIFFICULTY_1: f64 = 65_536.0;

/// Figures of one server.
pub(super) struct Figures {
    metrics: Metrics,
    /// Connections that have not registered.
    pub unregistered: Gauge,
    smart: OfMode,
    nano: OfMode,
    dumb: OfMode,
    hashes: Counter,
    pub without_body: Counter,
    pub not_stored: Counter,
    pub payout_requests: Counter,
    pub receive: StageTimes,
    pub duplicate: StageTimes,
    pub store: StageTimes,
    pub reply: StageTimes,
    pub to_client: StageTimes,
}

/// Figures of the clients of one mode.
pub(super) struct OfMode {
    /// Connections.
    pub clients: Gauge,
    /// Shares that count.
    pub accepted: Counter,
}

/// Why a connection was ended by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// It did not register in time.
    NotRegistered,
    /// No share of it was accepted for too long.
    Silent,
    /// It sent what is no message, or nothing that belongs here.
    Protocol,
    /// It was told why.
    Refused,
    /// The server stops.
    Shutdown,
    /// It is gone, or takes nothing.
    Gone,
}

impl Closing {
    /// The code in logs and metrics.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::NotRegistered => "not_registered",
            Self::Silent => "silent",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::Shutdown => "shutdown",
            Self::Gone => "gone",
        }
    }
}

impl Figures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let of_mode = |mode: Mode| {
            let metrics = metrics.with_label("mode", mode.name());
            OfMode {
                clients: metrics.gauge("nimiq_clients", "Registered connections, by mode"),
                accepted: metrics.counter("nimiq_shares_accepted", "Shares that count, by mode"),
            }
        };
        let figures = Self {
            unregistered: metrics.gauge("nimiq_clients_unregistered", "Connections that have not registered"),
            smart: of_mode(Mode::Smart),
            nano: of_mode(Mode::Nano),
            dumb: of_mode(Mode::Dumb),
            hashes: metrics.counter(
                "nimiq_share_hashes",
                "Hashes that the accepted shares take on average, all together",
            ),
            without_body: metrics
                .counter("nimiq_block_without_body", "Shares that were blocks, but came without their body"),
            not_stored: metrics
                .counter("nimiq_shares_not_stored", "Good shares that the disk did not take, not credited"),
            payout_requests: metrics
                .counter("nimiq_payout_requests", "Payout requests with a good signature"),
            receive: metrics.stage(Stage::Receive),
            duplicate: metrics.stage(Stage::Duplicate),
            store: metrics.stage(Stage::Store),
            reply: metrics.stage(Stage::Reply),
            to_client: metrics.stage(Stage::TemplateToClient),
            metrics: metrics.clone(),
        };
        figures.show_aliases();
        figures
    }

    /// Shows the reference's names too.
    fn show_aliases(&self) {
        let clients = [
            ("unregistered", &self.unregistered),
            ("smart", &self.smart.clients),
            ("nano", &self.nano.clients),
            ("dumb", &self.dumb.clients),
        ];
        for (kind, gauge) in clients {
            let metrics = self.metrics.with_label("client", kind);
            metrics.alias("pool_clients", "Connections", Original::Gauge(gauge.clone()));
        }
        self.metrics.alias(
            "pool_total_share_difficulty",
            "Difficulty of all accepted shares since the start",
            Original::Divided(self.hashes.clone(), HASHES_OF_DIFFICULTY_1),
        );
    }

    pub(super) fn of(&self, mode: Mode) -> &OfMode {
        match mode {
            Mode::Smart => &self.smart,
            Mode::Nano => &self.nano,
            Mode::Dumb => &self.dumb,
        }
    }

    /// A share counts.
    pub(super) fn accepted(&self, mode: Mode, weight: ShareWeight) {
        self.of(mode).accepted.inc();
        self.hashes.inc_by(weight.0 / ShareWeight::PER_HASH);
    }

    /// Something was refused, by its code.
    pub(super) fn refused(&self, code: &'static str) {
        let metrics = self.metrics.with_label("reason", code);
        metrics.counter("nimiq_refusals", "Messages and connections refused, by reason").inc();
    }

    /// A share was refused, by its code and the mode of its client.
    pub(super) fn share_refused(&self, mode: Mode, code: &'static str) {
        self.refused(code);
        let metrics = self.metrics.with_label("mode", mode.name()).with_label("reason", code);
        metrics.counter("nimiq_shares_refused", "Shares refused, by mode and reason").inc();
    }

    /// The server ended a connection.
    pub(super) fn closed(&self, closing: Closing) {
        let metrics = self.metrics.with_label("reason", closing.code());
        metrics.counter("nimiq_connections_closed", "Connections that ended, by reason").inc();
    }
}
