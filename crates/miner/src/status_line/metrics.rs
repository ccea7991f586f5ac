//! A miner's figures as Prometheus metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{Status, StatusOutput};
use crate::{
    announcements::AnnouncementStatus,
    blocks::{BlockStatus, ShareCounts},
    nimiq::NimiqStatus,
};

type Labels = Vec<(&'static str, String)>;
type Totals = Family<Labels, Counter>;
type Values = Family<Labels, Gauge<u64, AtomicU64>>;

/// Metrics that show the newest status. Made once per process; serves any number of miners in it.
#[derive(Debug, Clone, Default)]
pub struct StatusMetrics {
    announcements: Totals,
    announcement_rate: Values,
    uploading: Values,
    good_rate: Values,
    reachable: Values,
    attempts_rate: Values,
    set: Values,
    stored: Values,
    arrivals: Totals,
    shares: Totals,
    blocks: Totals,
    nimiq_rate: Values,
    nimiq_balance: Values,
}

impl StatusMetrics {
    /// Puts the metrics into a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self {
            announcements,
            announcement_rate,
            uploading,
            good_rate,
            reachable,
            attempts_rate,
            set,
            stored,
            arrivals,
            shares,
            blocks,
            nimiq_rate,
            nimiq_balance,
        } = metrics.clone();
        registry.register(
            "miner_announcements",
            "Announcements by what became of them, for each pool",
            announcements,
        );
        registry.register(
            "miner_announcements_per_second",
            "Announcements found per second over the last ten seconds",
            announcement_rate,
        );
        registry.register("miner_announcements_uploading", "Announcements on their way to a pool", uploading);
        registry.register(
            "miner_good_rate_percent",
            "Announcements accepted out of all whose fate became known since the last status",
            good_rate,
        );
        registry.register(
            "miner_pool_reachable",
            "Whether the pool's configuration could be read the last time",
            reachable,
        );
        registry.register(
            "miner_block_attempts_per_second",
            "Hash attempts of the block miner per second",
            attempts_rate,
        );
        registry.register("miner_set_announcements", "Announcements that the block miner mines with", set);
        registry.register("miner_stored_announcements", "Announcements in the block miner's memory", stored);
        registry.register(
            "miner_arrived_announcements",
            "Announcements that reached the block miner, by what became of them",
            arrivals,
        );
        registry.register("miner_shares", "Shares by what became of them", shares);
        registry.register("miner_blocks", "Shares that were blocks", blocks);
        registry.register(
            "miner_nimiq_hashes_per_second",
            "Hashes of the Nimiq miner per second",
            nimiq_rate,
        );
        registry.register("miner_nimiq_balance_luna", "What the pool owes the Nimiq miner", nimiq_balance);
        metrics
    }

    fn announcement_status(&self, status: &AnnouncementStatus) {
        set_value(&self.announcement_rate, &Labels::new(), status.announcements_per_second);
        for pool in &status.pools {
            let labels = |outcome: &str| vec![("pool", pool.url.clone()), ("outcome", outcome.to_owned())];
            let total = &pool.total;
            for (outcome, count) in [
                ("accepted", total.accepted),
                ("duplicate", total.duplicate),
                ("rejected", total.rejected_in_all()),
                ("overload", total.overload),
                ("overflow", total.overflow),
                ("lost", total.lost),
            ] {
                set_total(&self.announcements, &labels(outcome), count);
            }
            let pool_label = vec![("pool", pool.url.clone())];
            set_value(&self.uploading, &pool_label, pool.uploading);
            set_value(&self.good_rate, &pool_label, pool.good_rate_percent);
            set_value(&self.reachable, &pool_label, pool.reachable.into());
        }
    }

    fn block_status(&self, status: &BlockStatus) {
        let pool = || vec![("pool", status.pool.clone())];
        let outcome = |outcome: &str| vec![("pool", status.pool.clone()), ("outcome", outcome.to_owned())];
        set_value(&self.reachable, &pool(), status.reachable.into());
        set_value(&self.attempts_rate, &pool(), status.hashes_per_second);
        set_value(&self.set, &pool(), status.announcements_in_set);
        set_value(&self.stored, &pool(), status.announcements_stored);
        let arrivals = &status.arrivals;
        for (fate, count) in [
            ("stored", arrivals.stored),
            ("duplicate", arrivals.duplicate),
            ("invalid", arrivals.invalid),
            ("useless", arrivals.useless),
            ("lost_on_the_way", arrivals.lost_on_the_way),
        ] {
            set_total(&self.arrivals, &outcome(fate), count);
        }
        let ShareCounts { accepted, stale, rejected, overflow, lost, faulty, blocks, .. } = status.shares;
        for (fate, count) in [
            ("accepted", accepted),
            ("stale", stale),
            ("rejected", rejected),
            ("overflow", overflow),
            ("lost", lost),
            ("faulty", faulty),
        ] {
            set_total(&self.shares, &outcome(fate), count);
        }
        set_total(&self.blocks, &pool(), blocks);
    }

    fn nimiq_status(&self, status: &NimiqStatus) {
        let pool = || vec![("pool", status.pool.clone())];
        let outcome = |outcome: &str| vec![("pool", status.pool.clone()), ("outcome", outcome.to_owned())];
        set_value(&self.reachable, &pool(), status.registered.into());
        set_value(&self.nimiq_rate, &pool(), status.hashes_per_second);
        let shares = &status.shares;
        for (fate, count) in [
            ("accepted", shares.accepted),
            ("stale", shares.expired + shares.stale),
            ("rejected", shares.refused_in_all()),
            ("lost", shares.lost),
        ] {
            set_total(&self.shares, &outcome(fate), count);
        }
        set_total(&self.blocks, &pool(), shares.blocks);
        if let Some(balance) = status.balance {
            set_value(&self.nimiq_balance, &pool(), balance.luna);
        }
    }
}

impl StatusOutput for StatusMetrics {
    fn status(&self, status: &Status) {
        match status {
            Status::Announcements(status) => self.announcement_status(status),
            Status::Blocks(status) => self.block_status(status),
            Status::Nimiq(status) => self.nimiq_status(status),
        }
    }
}

fn set_total(family: &Totals, labels: &Labels, total: u64) {
    family.get_or_create(labels).inner().store(total, Relaxed);
}

fn set_value(family: &Values, labels: &Labels, value: u64) {
    family.get_or_create(labels).set(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{announcements::PoolStatus, upload::CountsAt};

    #[test]
    fn the_newest_status_is_shown() {
        let mut registry = Registry::default();
        let metrics = StatusMetrics::register(&mut registry);
        for accepted in [5, 9] {
            let pool = PoolStatus {
                url: "http://a".into(),
                good_rate_percent: 100,
                total: CountsAt { accepted, ..CountsAt::default() },
                ..PoolStatus::default()
            };
            metrics.status(&Status::Announcements(AnnouncementStatus {
                pools: vec![pool],
                ..AnnouncementStatus::default()
            }));
        }
        metrics.status(&Status::Blocks(BlockStatus {
            pool: "http://a".into(),
            shares: ShareCounts { blocks: 3, ..ShareCounts::default() },
            ..BlockStatus::default()
        }));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"miner_announcements_total{pool="http://a",outcome="accepted"} 9"#,
            r#"miner_good_rate_percent{pool="http://a"} 100"#,
            r#"miner_blocks_total{pool="http://a"} 3"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} not in {text}");
        }
    }
}
