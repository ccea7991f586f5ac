//! The book by itself: every entry balances, every counter-entry mirrors its entry, balances are sums.

use std::collections::BTreeMap;

use super::rows::{AccountKey, Rows};

pub(super) fn check(rows: &Rows, findings: &mut Vec<String>) {
    let mut sums: BTreeMap<AccountKey, i128> = BTreeMap::new();
    for (number, entry) in &rows.entries {
        let sum: i128 = entry.lines.values().sum();
        if sum != 0 {
            findings.push(format!("entry {number} sums to {sum} luna, not to 0"));
        }
        for (account, amount) in &entry.lines {
            *sums.entry(account.clone()).or_default() += amount;
        }
        if (entry.kind == "reversal") != entry.reverses.is_some() {
            findings.push(format!("entry {number} is a {} and takes back {:?}", entry.kind, entry.reverses));
        }
        if let Some(target) = entry.reverses {
            check_mirror(rows, *number, target, findings);
        }
    }
    for account in sums.keys().chain(rows.balances.keys()) {
        let (sum, balance) = (
            sums.get(account).copied().unwrap_or_default(),
            rows.balances.get(account).copied().unwrap_or_default(),
        );
        if sum != balance {
            let (name, user) = account;
            findings.push(format!(
                "the balance of account {name} of user {user} is {balance} luna, its lines sum to {sum}"
            ));
        }
    }
    findings.dedup();
}

fn check_mirror(rows: &Rows, number: i64, target: i64, findings: &mut Vec<String>) {
    let (Some(entry), Some(original)) = (rows.entries.get(&number), rows.entries.get(&target)) else {
        findings.push(format!("entry {number} takes back entry {target}, which is not there"));
        return;
    };
    let mirrored: BTreeMap<_, _> =
        original.lines.iter().map(|(account, amount)| (account.clone(), -amount)).collect();
    if mirrored != entry.lines {
        findings.push(format!("entry {number} is not the counter-entry of entry {target}"));
    }
    if (entry.block, entry.payout) != (original.block, original.payout) || target >= number {
        findings.push(format!("entry {number} takes back entry {target}, which is about something else"));
    }
}
