//! The `/whotopay` document: made at most as often as is cheap, shown to all who ask, and sent to the node as shown.
//!
//! How one is made: the ledger's → changed by the operator's hook → adjusted by what the node has taught us.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use ledger::{DurableLedger, UnixMillis};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use wire::PktAddress;
use wire::who_to_pay::{Portion, WhoToPay};

use super::PayMakerConfig;
use super::update_hook::{Payees, UpdateHook};
use crate::metrics::{Metrics, Stage, StageTimes};

/// A document of an unchanged ledger is shown so long: its clock and speeds move on.
const UNCHANGED_FOR: Duration = Duration::from_secs(1);
/// Making a document that took less is done for whoever asks, so that he sees his last upload in it.
const CHEAP: Duration = Duration::from_millis(25);
/// A document that was dear is made again after so many times the time it took.
const REST: u32 = 8;
/// How long a request for a document of the past waits for its turn.
const PAST_WAIT: Duration = Duration::from_secs(5);

/// Makes documents and remembers the newest.
pub(super) struct Documents {
    payees: Payees,
    /// Who gets the fee.
    fee_address: Option<PktAddress>,
    hook: Option<UpdateHook>,
    clock: fn() -> UnixMillis,
    newest: ArcSwapOption<Snapshot>,
    making: AsyncMutex<()>,
    /// Documents of the past are made one at a time: anybody may ask for any number of them.
    past: Semaphore,
    adjustments: Mutex<Adjustments>,
    times: StageTimes,
    hook_failures: Counter,
}

/// What the node has taught us about the table.
#[derive(Debug, Clone, Default)]
pub(super) struct Adjustments {
    /// Addresses that the node refuses (rule R-P17).
    pub(super) refused: BTreeSet<PktAddress>,
    /// How the node's template differs from what was sent.
    pub(super) difference: Option<String>,
}

struct Snapshot {
    json: Bytes,
    document: Arc<WhoToPay>,
    changes: u64,
    made: Instant,
    cost: Duration,
}

impl Documents {
    pub(super) fn new(config: &PayMakerConfig, metrics: &Metrics) -> Self {
        Self {
            payees: Payees {
                default_address: config.rules.default_address,
                error_address: config.error_address,
            },
            fee_address: config.rules.pool_fee_address.as_ref().and_then(|address| address.parse().ok()),
            hook: config.update_hook.clone(),
            clock: config.clock,
            newest: ArcSwapOption::empty(),
            making: AsyncMutex::new(()),
            past: Semaphore::new(1),
            adjustments: Mutex::default(),
            times: metrics.stage(Stage::Document),
            hook_failures: metrics
                .counter("update_hook_failures", "Documents that the update hook failed to change"),
        }
    }

    /// Whether an address may be paid for something else than its work: the fee, or what nobody has earned.
    pub(super) fn pays_besides_work(&self, address: &PktAddress) -> bool {
        let Payees { default_address, error_address } = &self.payees;
        [default_address, error_address].contains(&address) || self.fee_address.as_ref() == Some(address)
    }

    /// The document as of now; where it is dear it may be some moments old. `None`: it could not be made.
    pub(super) async fn current(self: &Arc<Self>, ledger: &Arc<DurableLedger>) -> Option<Bytes> {
        self.snapshot(ledger).await.map(|snapshot| snapshot.json.clone())
    }

    /// The same, to be read here.
    pub(super) async fn current_document(
        self: &Arc<Self>,
        ledger: &Arc<DurableLedger>,
    ) -> Option<Arc<WhoToPay>> {
        self.snapshot(ledger).await.map(|snapshot| Arc::clone(&snapshot.document))
    }

    async fn snapshot(self: &Arc<Self>, ledger: &Arc<DurableLedger>) -> Option<Arc<Snapshot>> {
        if let Some(snapshot) = self.recent(ledger) {
            return Some(snapshot);
        }
        let _turn = match (self.making.try_lock(), self.newest.load().as_ref()) {
            (Ok(turn), _) => turn,
            // Somebody is at it, and it takes a while.
            (Err(_), Some(snapshot)) if snapshot.cost >= CHEAP => return Some(Arc::clone(snapshot)),
            (Err(_), _) => self.making.lock().await,
        };
        if let Some(snapshot) = self.recent(ledger) {
            return Some(snapshot);
        }
        let (documents, ledger) = (Arc::clone(self), Arc::clone(ledger));
        let changes = ledger.changes();
        let made = Instant::now();
        let making = tokio::task::spawn_blocking(move || {
            let document = documents.make(&ledger, None);
            (Bytes::from(document.to_json()), Arc::new(document))
        });
        let (json, document) = making.await.ok()?;
        let snapshot = Arc::new(Snapshot { json, document, changes, made, cost: made.elapsed() });
        self.newest.store(Some(Arc::clone(&snapshot)));
        Some(snapshot)
    }

    /// The document as if events after `newest` did not exist; `None`: too many ask for such.
    pub(super) async fn past(
        self: &Arc<Self>,
        ledger: &Arc<DurableLedger>,
        newest: UnixMillis,
    ) -> Option<Bytes> {
        let _turn = tokio::time::timeout(PAST_WAIT, self.past.acquire()).await.ok()?.ok()?;
        let (documents, ledger) = (Arc::clone(self), Arc::clone(ledger));
        let making = tokio::task::spawn_blocking(move || documents.make(&ledger, Some(newest)).to_json());
        making.await.ok().map(Bytes::from)
    }

    /// Makes a document; blocks for as long as that takes.
    pub(super) fn make(&self, ledger: &DurableLedger, newest: Option<UnixMillis>) -> WhoToPay {
        let started = Instant::now();
        let mut document = ledger.read().who_to_pay((self.clock)(), newest);
        if let Some(hook) = &self.hook {
            self.change(&mut document, hook);
        }
        self.with_adjustments(|adjustments| adjustments.apply(&mut document, self.payees.error_address));
        self.times.since(started);
        document
    }

    /// A hook that fails leaves the document as it is: the ledger's own distribution is never wrong.
    fn change(&self, document: &mut WhoToPay, hook: &UpdateHook) {
        match hook.change(document, self.payees) {
            Ok(changed) => *document = changed,
            Err(fault) => {
                self.hook_failures.inc();
                tracing::error!(%fault, "the update hook failed");
                document.warn.push(format!("the update hook failed, paying as without it: {fault}"));
            }
        }
    }

    pub(super) fn with_adjustments<T>(&self, action: impl FnOnce(&mut Adjustments) -> T) -> T {
        action(&mut self.adjustments.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest document is shown no more.
    pub(super) fn forget(&self) {
        self.newest.store(None);
    }

    fn recent(&self, ledger: &DurableLedger) -> Option<Arc<Snapshot>> {
        let snapshot = self.newest.load_full()?;
        let age = snapshot.made.elapsed();
        let is_good = if snapshot.cost < CHEAP {
            snapshot.changes == ledger.changes() && age < UNCHANGED_FOR
        } else {
            age < UNCHANGED_FOR.max(snapshot.cost * REST)
        };
        is_good.then_some(snapshot)
    }
}

impl Adjustments {
    /// The part of a refused address goes to the error address, and the document says so.
    pub(super) fn apply(&self, document: &mut WhoToPay, error_address: PktAddress) {
        document.warn.extend(self.difference.clone());
        let Some(mut units) = document.units.take().map(|units| units.0) else { return };
        let mut moved = 0;
        units.retain(|(address, part)| {
            let is_refused = self.refused.contains(address) && *address != error_address;
            if is_refused {
                moved += part;
                let part = Portion::from_units(*part).unwrap_or_default();
                document
                    .warn
                    .push(format!("the node refuses {address}, paying its [{part}] to errorAddress"));
            }
            !is_refused
        });
        match units.iter_mut().find(|(address, _)| *address == error_address) {
            Some((_, part)) => *part += moved,
            None if moved > 0 => units.push((error_address, moved)),
            None => {}
        }
        document.set_units(units);
    }
}
