//! What the connections of one client address may have the server verify together (`docs/protocol/nimiq-pool.md` 1.7).
//!
//! An address is granted so many shares per second. Where it has many connections, each is asked for fewer. What comes all the
//! same is looked at, too, but priced as what looking costs; an address that has spent what [`crate::admission`] grants it
//! is slowed down, and only one that is far in debt hears that its shares are too many.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio_util::sync::CancellationToken;

use crate::admission::{Admission, Allowance, Counted, price};
use crate::listener::Client;
use crate::metrics::Metrics;

/// Seconds of its rate that an address may use at once: difficulties need as long to settle.
const AT_ONCE: f64 = 60.0;
/// No connection is asked for fewer shares per second, or chance alone would let it seem silent.
const LEAST_RATE: f64 = 1.0 / 60.0;
/// How long a connection is slowed down for one share. Whoever is longer in debt is not looked at.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The budgets of all addresses.
pub(super) struct ShareBudget {
    per_second: f64,
    admission: Arc<Admission>,
    priced: Counter,
}

/// How a share is paid for that is to be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paid {
    /// It is within the budget.
    Nothing,
    /// What looking costs.
    ThePrice,
}

/// An address has spent much more than it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FarBeyond;

impl ShareBudget {
    /// Each address is granted so many shares per second.
    pub(super) fn new(per_second: f64, admission: Arc<Admission>, metrics: &Metrics) -> Self {
        let priced = metrics.counter("nimiq_shares_priced", "Shares beyond what their address is granted");
        Self { per_second, admission, priced }
    }

    /// Shares per second to want of a connection, where `usual` are wanted at most. `networks` are those that it counts
    /// for: how many connections each has, and of how many addresses it is granted the budget.
    pub(super) fn rate(&self, usual: f64, networks: impl IntoIterator<Item = (u32, u32)>) -> f64 {
        let part = |(connections, times): (u32, u32)| {
            self.per_second * f64::from(times) / f64::from(connections.max(1))
        };
        let granted = networks.into_iter().map(part).fold(usual, f64::min);
        granted.max(usual.min(LEAST_RATE))
    }

    /// Before the proof of work of a share: returns when it may be looked at, or says that it is not.
    pub(super) async fn enter(
        &self,
        client: Client,
        shutdown: &CancellationToken,
    ) -> Result<Paid, FarBeyond> {
        let allowance = Allowance::new(self.per_second * AT_ONCE, self.per_second);
        if self.admission.take(Counted::Shares, client, allowance, 1.0).is_ok() {
            return Ok(Paid::Nothing);
        }
        self.priced.inc();
        if let Some(debt) = self.admission.processor_debt(client) {
            shutdown.run_until_cancelled(tokio::time::sleep(debt.min(LONGEST_PAUSE))).await;
            if debt > LONGEST_PAUSE {
                return Err(FarBeyond);
            }
        }
        self.admission.pay(client, price::NIMIQ_PROOF);
        Ok(Paid::ThePrice)
    }

    /// The proof of work of a share was wrong: it has to be paid for in any case.
    pub(super) fn wasted(&self, client: Client, paid: Paid) {
        if paid == Paid::Nothing {
            self.admission.pay(client, price::NIMIQ_PROOF);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::AdmissionConfig;

    /// So many shares per second and address, and beyond them as good as no processor time: a hundred shares at once.
    fn budget(per_second: f64) -> ShareBudget {
        let config = AdmissionConfig {
            processor: 0.000_1,
            processor_at_once: 100.0 * price::NIMIQ_PROOF.as_secs_f64(),
            ..AdmissionConfig::default()
        };
        let metrics = Metrics::new();
        ShareBudget::new(per_second, Arc::new(Admission::new(config, &metrics)), &metrics)
    }

    fn client(address: &str) -> Client {
        Client { address: address.parse().unwrap(), exempt: false }
    }

    #[test]
    fn many_connections_are_asked_for_their_part_and_few_for_the_usual() {
        let budget = budget(2.0);
        let rate = |networks: &[(u32, u32)]| (budget.rate(0.2, networks.iter().copied()) * 1e6).round() / 1e6;
        let expected = [
            (rate(&[]), 0.2),
            (rate(&[(1, 1), (1, 16)]), 0.2),
            (rate(&[(10, 1), (160, 16)]), 0.2),
            (rate(&[(20, 1), (20, 16)]), 0.1),
            // The neighbourhood has spent what it is granted.
            (rate(&[(1, 1), (320, 16)]), 0.1),
            (rate(&[(1_000_000, 1), (1_000_000, 16)]), 0.016_667),
        ];
        for (found, expected) in expected {
            assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
        }
        assert!((budget.rate(0.01, [(1_000_000, 1)]) - 0.01).abs() < 1e-9, "no more than is usual");
    }

    /// How the next shares of an address are paid for, one after the other.
    async fn enter(budget: &ShareBudget, from: &str, count: usize) -> Vec<Result<Paid, FarBeyond>> {
        let mut paid = Vec::new();
        for _ in 0..count {
            paid.push(budget.enter(client(from), &CancellationToken::new()).await);
        }
        paid
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_beyond_the_budget_has_its_price_and_only_a_long_debt_is_refused() {
        let budget = budget(0.001);
        assert_eq!(enter(&budget, "192.0.2.1", 1).await, [Ok(Paid::Nothing)]);
        assert_eq!(enter(&budget, "192.0.2.1", 50).await, [Ok(Paid::ThePrice); 50]);
        assert_eq!(budget.priced.get(), 50);
        // What was paid for is not paid for again because it is wrong.
        (0..1000).for_each(|_| budget.wasted(client("192.0.2.1"), Paid::ThePrice));
        assert_eq!(budget.admission.processor_debt(client("192.0.2.1")), None);
        // Longer in debt than a connection is ever slowed down.
        (0..150).for_each(|_| budget.wasted(client("192.0.2.1"), Paid::Nothing));
        assert_eq!(enter(&budget, "192.0.2.1", 2).await, [Err(FarBeyond); 2]);
        assert_eq!(enter(&budget, "198.51.100.1", 1).await, [Ok(Paid::Nothing)], "another address");
    }

    /// A debt that is soon paid back costs time, and nothing else.
    #[tokio::test(start_paused = true)]
    async fn a_short_debt_is_waited_for() {
        let budget = budget(0.001);
        enter(&budget, "192.0.2.1", 101).await;
        (0..5).for_each(|_| budget.wasted(client("192.0.2.1"), Paid::Nothing));
        let began = tokio::time::Instant::now();
        assert_eq!(enter(&budget, "192.0.2.1", 1).await, [Ok(Paid::ThePrice)]);
        assert!((Duration::from_nanos(1)..=LONGEST_PAUSE).contains(&began.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn private_addresses_are_granted_everything() {
        let budget = budget(0.001);
        assert!(enter(&budget, "10.0.0.1", 2000).await.iter().all(|paid| *paid == Ok(Paid::Nothing)));
        assert_eq!(budget.priced.get(), 0);
    }
}
