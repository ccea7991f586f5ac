//! Telling the node whom to pay, and seeing that it will (rules R-P17 and R-P18; 11.7).
//!
//! One cycle: make the document → write its table into the book → send it, again and again until the next cycle is
//! due → look at the node's template. A table is refused as a whole because of a single address; that one is found by
//! sending halves, and its part goes to the error address. After three cycles without success all goes there.

use std::sync::Arc;
use std::time::Duration;

use ledger::DurableLedger;
use ledger::book::{Book, PayoutOutcome, PayoutTable, PayoutTableNumber};
use node::NodeError;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::who_to_pay::{Portion, WhoToPay};
use wire::{Decimal, PktAddress};

use super::{PayMakerConfig, PayoutNode, Shared, template_check};
use crate::metrics::Metrics;

/// Waits between tries: 1, 2, 4 … 30 s.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Cycles without success after which the error address is paid.
const CYCLES_BEFORE_ERROR_ADDRESS: u32 = 3;
/// Calls spent on finding refused addresses in one cycle. Sixteen among a hundred thousand take about 500.
const PROBES: u32 = 512;

/// The payouts of one PayMaker.
pub(super) struct Payouts<N, B> {
    shared: Arc<Shared>,
    ledger: Arc<DurableLedger>,
    node: N,
    book: B,
    error_address: PktAddress,
    cycle: Duration,
    tables_kept: Duration,
    failed_cycles: u32,
    figures: Figures,
}

struct Figures {
    configured: Counter,
    failed: Counter,
    to_error_address: Counter,
    differs: Gauge,
    payees: Gauge,
}

impl Figures {
    fn new(metrics: &Metrics) -> Self {
        let outcome = |outcome| {
            metrics
                .with_label("outcome", outcome)
                .counter("payout_cycles", "Payout cycles, by how they ended")
        };
        Self {
            configured: outcome("configured"),
            failed: outcome("failed"),
            to_error_address: outcome("to_error_address"),
            differs: metrics
                .gauge("payout_differs", "1 if the node's template pays otherwise than it was told"),
            payees: metrics.gauge("payout_payees", "Addresses in the payout table that was sent last"),
        }
    }
}

impl<N: PayoutNode, B: Book> Payouts<N, B> {
    pub(super) fn new(
        config: &PayMakerConfig,
        shared: Arc<Shared>,
        ledger: Arc<DurableLedger>,
        node: N,
        book: B,
    ) -> Self {
        Self {
            figures: Figures::new(&shared.metrics),
            shared,
            ledger,
            node,
            book,
            error_address: config.error_address,
            cycle: config.update_cycle,
            tables_kept: config.payout_tables_kept,
            failed_cycles: 0,
        }
    }

    /// A cycle at once, then one after the other until the stop signal; on a thread of their own, since a table of a
    /// hundred thousand payees is written, read and compared for many milliseconds at a time, in which a thread of the
    /// runtime would leave requests waiting.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        if self.cycle.is_zero() {
            return;
        }
        let runtime = Handle::current();
        let cycles = tokio::task::spawn_blocking(move || runtime.block_on(self.cycles(shutdown)));
        if let Err(fault) = cycles.await
            && let Ok(panic) = fault.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }

    async fn cycles(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let next = Instant::now() + self.cycle;
            tokio::select! { () = self.one_cycle(next) => {}, () = shutdown.cancelled() => return }
            let nudge = self.shared.payouts.clone();
            tokio::select! { _ = nudge.pause_until(next) => {}, () = shutdown.cancelled() => return }
        }
    }

    async fn one_cycle(&mut self, until: Instant) {
        let document = self.document().await;
        let number = self.write_table(&document).await;
        match self.send(document, until).await {
            Ok(sent) => {
                self.failed_cycles = 0;
                self.figures.configured.inc();
                self.figures.payees.set(sent.len() as i64);
                self.shared.health.ready();
                self.write_outcome(number, &PayoutOutcome::Configured).await;
                self.look_at_template(number, &sent).await;
            }
            Err(error) => self.cycle_failed(number, &error).await,
        }
    }

    async fn document(&self) -> WhoToPay {
        let (documents, ledger) = (Arc::clone(&self.shared.documents), Arc::clone(&self.ledger));
        let making = tokio::task::spawn_blocking(move || documents.make(&ledger, None));
        making.await.unwrap_or_default()
    }

    /// Sends the table until the node takes it or time is up; gives the units that it took.
    async fn send(
        &mut self,
        mut document: WhoToPay,
        until: Instant,
    ) -> Result<Vec<(PktAddress, u64)>, NodeError> {
        let mut wait = FIRST_WAIT;
        loop {
            let units = units(&document);
            let error = match self.node.configure(&parts(&units)).await {
                Ok(()) => return Ok(units),
                Err(error) => error,
            };
            tracing::warn!(%error, payees = units.len(), "the node did not take the payout table");
            if !error.is_the_nodes_fault() && self.exclude_refused(&units).await {
                document = self.document().await;
                continue;
            }
            if Instant::now() + wait >= until {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Finds the addresses that the node refuses, and leaves them out from now on. `false`: none was found.
    async fn exclude_refused(&self, units: &[(PktAddress, u64)]) -> bool {
        let refused = match self.find_refused(units).await {
            Ok(refused) => refused,
            Err(error) => {
                tracing::warn!(%error, "looking for the address that the node refuses failed");
                return false;
            }
        };
        for address in &refused {
            tracing::error!(%address, "the node refuses to pay this address; its part goes to the error address");
        }
        self.shared.documents.with_adjustments(|adjustments| adjustments.refused.extend(&refused));
        self.shared.documents.forget();
        !refused.is_empty()
    }

    /// Halves the table until the culprits stand alone (rule R-P17). What is not in the half that is tried is paid
    /// to the error address meanwhile, never to somebody else.
    async fn find_refused(&self, units: &[(PktAddress, u64)]) -> Result<Vec<PktAddress>, NodeError> {
        let mut refused = Vec::new();
        let mut probes = 0;
        let nobody = &units[..0];
        if !self.takes(nobody).await? {
            return Ok(refused);
        }
        let mut suspects = vec![units];
        while let Some(group) = suspects.pop() {
            probes += 1;
            if probes > PROBES {
                break;
            }
            match group {
                [] => {}
                _ if self.takes(group).await? => {}
                [(address, _)] => refused.push(*address),
                _ => {
                    let (first, second) = group.split_at(group.len() / 2);
                    suspects.extend([second, first]);
                }
            }
        }
        Ok(refused)
    }

    /// Whether the node takes these payees, with the rest for the error address.
    async fn takes(&self, payees: &[(PktAddress, u64)]) -> Result<bool, NodeError> {
        let paid: u64 = payees.iter().map(|(_, units)| units).sum();
        let rest = Portion::WHOLE.units().saturating_sub(paid);
        let mut table: Vec<_> =
            payees.iter().copied().filter(|(address, _)| *address != self.error_address).collect();
        let own: u64 =
            payees.iter().filter(|(address, _)| *address == self.error_address).map(|(_, units)| units).sum();
        if rest + own > 0 {
            table.push((self.error_address, rest + own));
        }
        match self.node.configure(&parts(&table)).await {
            Ok(()) => Ok(true),
            Err(error) if !error.is_the_nodes_fault() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn cycle_failed(&mut self, number: Option<PayoutTableNumber>, error: &NodeError) {
        self.failed_cycles += 1;
        self.figures.failed.inc();
        self.shared.health.trouble(format!("the node takes no payout table: {error}"));
        self.write_outcome(number, &PayoutOutcome::Refused(error.to_string())).await;
        if self.failed_cycles < CYCLES_BEFORE_ERROR_ADDRESS {
            return;
        }
        match self.node.configure(&[(self.error_address, Decimal::ONE)]).await {
            Ok(()) => {
                self.figures.to_error_address.inc();
                tracing::error!(cycles = self.failed_cycles, "the node is told to pay the error address");
            }
            Err(error) => tracing::error!(%error, "the node does not even take the error address"),
        }
    }

    /// What is shown equals what is sent equals what the node's template pays.
    async fn look_at_template(&self, number: Option<PayoutTableNumber>, sent: &[(PktAddress, u64)]) {
        let difference = match self.node.template().await {
            Ok(template) => {
                if let Some(reward) = template_check::paid_to(&template, sent) {
                    self.shared.won_blocks.set_next_reward(reward, (self.shared.clock)());
                }
                template_check::difference(&template, sent)
            }
            Err(error) => {
                tracing::warn!(%error, "the node gives no template to compare the payouts with");
                return;
            }
        };
        let differs = difference.is_some();
        let outcome = match &difference {
            None => PayoutOutcome::PaidAsSent,
            Some(difference) => {
                tracing::error!(difference, "the node's template does not pay what was sent");
                PayoutOutcome::PaidOtherwise(difference.clone())
            }
        };
        self.shared.documents.with_adjustments(|adjustments| adjustments.difference = difference);
        self.write_outcome(number, &outcome).await;
        // Last: who sees it in the figures finds it in the book and the document.
        self.figures.differs.set(i64::from(differs));
    }

    async fn write_table(&self, document: &WhoToPay) -> Option<PayoutTableNumber> {
        let now = (self.shared.clock)();
        let table = PayoutTable {
            made_at: now,
            newest_event: self.ledger.read().newest_event(),
            share_window: document.share_window.clone().unwrap_or_default(),
            announcement_window: document.ann_window.clone().unwrap_or_default(),
            payees: units(document),
        };
        let keep_since = now.minus(self.tables_kept.as_millis() as u64);
        match self.book.add_payout_table(&table, keep_since).await {
            Ok(number) => Some(number),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a payout table could not be written into the book"
                );
                None
            }
        }
    }

    async fn write_outcome(&self, number: Option<PayoutTableNumber>, outcome: &PayoutOutcome) {
        let Some(number) = number else { return };
        if let Err(error) = self.book.add_outcome(number, (self.shared.clock)(), outcome).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a payout's outcome could not be written into the book"
            );
        }
    }
}

fn units(document: &WhoToPay) -> Vec<(PktAddress, u64)> {
    document.units.as_ref().map(|units| units.0.clone()).unwrap_or_default()
}

/// The form that the node takes: parts of 1 with at most twelve decimals (11.10.5).
fn parts(units: &[(PktAddress, u64)]) -> Vec<(PktAddress, Decimal)> {
    let part = |units: u64| Portion::from_units(units).unwrap_or_default().to_decimal();
    units.iter().map(|(address, units)| (*address, part(*units))).collect()
}
