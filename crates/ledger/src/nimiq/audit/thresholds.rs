//! Thresholds: each is signed by the miner whose it is, and an automatic payout is above the one that it names.

use nimiq::SignatureProof;

use super::rows::{Rows, Threshold};

pub(super) fn check(rows: &Rows, findings: &mut Vec<String>) {
    for threshold in rows.thresholds.iter().filter(|threshold| !is_signed(threshold)) {
        let (address, luna) = (&threshold.address, threshold.luna);
        findings.push(format!("the threshold of {luna} luna of {address} is not signed by its owner"));
    }
    for payout in &rows.payouts {
        let entries = rows.entries.values().filter(|entry| entry.payout == Some(payout.number));
        for entry in entries.filter(|entry| entry.kind == "payout") {
            let named =
                entry.rule.strip_prefix("automatic, above ").and_then(|rest| rest.strip_suffix(" luna"));
            let Some(named) = named else { continue };
            if named.parse().is_ok_and(|threshold: i64| payout.debit > threshold) {
                continue;
            }
            findings.push(format!("payout {} takes {} luna, not above {named}", payout.number, payout.debit));
        }
    }
}

/// By the bytes of `docs/protocol/nimiq-pool.md` 1.3.
fn is_signed(threshold: &Threshold) -> bool {
    let message =
        [&b"POOL_THRESHOLD"[..], &threshold.luna.to_be_bytes(), &threshold.nonce.to_be_bytes()].concat();
    SignatureProof::parse(&threshold.proof).is_ok_and(|proof| {
        proof.signer().to_string() == threshold.address
            && proof.public_key.verifies(&message, &proof.signature)
    })
}
