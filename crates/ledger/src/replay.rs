//! A distribution computed again from event logs, by the same code as in a running PayMaker.

use crate::{Ledger, Receipt, Rules, UnixMillis};

/// A ledger that has seen these uploads, and what became of each.
///
/// [`Ledger::who_to_pay`] then gives, bit for bit, the document of a PayMaker with these rules that has accepted
/// the same events; the order of the uploads only matters where `slotsToKeepEvents` is configured. `now` is the
/// clock that events may not be far ahead of.
pub fn replay<'a>(
    rules: Rules,
    uploads: impl IntoIterator<Item = &'a str>,
    now: UnixMillis,
) -> (Ledger, Vec<Receipt>) {
    let mut ledger = Ledger::new(rules);
    let receipts = uploads.into_iter().map(|text| ledger.admit(ledger.examine(text, now)).0).collect();
    (ledger, receipts)
}
