//! Payouts: what is booked for each fits its state, and the signed bytes say what the row says.

use std::collections::BTreeMap;

use nimiq::Address;
use nimiq::hash::blake2b_256;

use super::rows::{Entry, Payout, Rows};

pub(super) fn check(rows: &Rows, findings: &mut Vec<String>) {
    for payout in &rows.payouts {
        check_state(payout, rows, findings);
        check_bytes(payout, findings);
    }
}

fn check_state(payout: &Payout, rows: &Rows, findings: &mut Vec<String>) {
    let about = |kind: &str| -> Vec<&Entry> {
        let standing =
            rows.entries.values().filter(|entry| entry.payout == Some(payout.number) && !entry.reversed);
        standing.filter(|entry| entry.kind == kind).collect()
    };
    let (debits, confirmations) = (about("payout"), about("confirmation"));
    let expected = match payout.state.as_str() {
        "confirmed" => (1, 1),
        "expired" | "review" => (0, 0),
        _ => (1, 0),
    };
    if expected != (debits.len(), confirmations.len()) {
        findings.push(format!(
            "payout {} is {}: {} debits and {} confirmations stand in the book",
            payout.number,
            payout.state,
            debits.len(),
            confirmations.len()
        ));
    }
    let (value, fee, debit) =
        (i128::from(payout.value), i128::from(payout.network_fee), i128::from(payout.debit));
    if debit != value && debit != value + fee {
        findings.push(format!("payout {} debits {debit} for {value} and a fee of {fee}", payout.number));
    }
    let account = payout.user.map_or(("fee".to_owned(), 0), |user| ("mature".to_owned(), user));
    let mut lines = BTreeMap::from([(account, -debit), (("outgoing".to_owned(), 0), value + fee)]);
    *lines.entry(("fee".to_owned(), 0)).or_default() -= value + fee - debit;
    let paid = [(("outgoing", 0), -(value + fee)), (("paid", 0), value), (("network_fees", 0), fee)];
    let paid =
        paid.into_iter().map(|((account, user), amount)| ((account.to_owned(), user), amount)).collect();
    for (entries, mut lines) in [(debits, lines), (confirmations, paid)] {
        lines.retain(|_, amount| *amount != 0);
        if entries.iter().any(|entry| entry.lines != lines) {
            findings.push(format!("payout {} is not booked as {lines:?}", payout.number));
        }
    }
}

/// A basic transaction, by the offsets of `docs/protocol/nimiq-pool.md` 2.8.
fn check_bytes(payout: &Payout, findings: &mut Vec<String>) {
    let bytes = &payout.signed;
    if bytes.len() != 138 || bytes[0] != 0 {
        findings.push(format!(
            "payout {} holds {} bytes that are no basic transaction",
            payout.number,
            bytes.len()
        ));
        return;
    }
    let number =
        |from: usize, to: usize| bytes[from..to].iter().fold(0i128, |sum, byte| sum << 8 | i128::from(*byte));
    let mut recipient = [0; 20];
    recipient.copy_from_slice(&bytes[33..53]);
    let says = (Address(recipient).to_string(), number(53, 61), number(61, 69), number(69, 73));
    let row = (
        payout.recipient.clone(),
        i128::from(payout.value),
        i128::from(payout.network_fee),
        i128::from(payout.validity_start),
    );
    if says != row {
        findings.push(format!("payout {}: the row says {row:?}, its transaction {says:?}", payout.number));
    }
    let sender = &blake2b_256(&[&bytes[1..33]])[..20];
    let hash = blake2b_256(&[&[0, 0], sender, &[0], &recipient, &[0], &bytes[53..74], &[0]]);
    if hash.as_slice() != payout.hash {
        findings.push(format!("payout {} is stored under the hash of another transaction", payout.number));
    }
}
