//! `headframe up --mine` from an empty folder, as the README promises: announcements, shares and blocks are accepted,
//! the blocks pay the miners as the PayMaker shows; Nimiq shares are accepted, its blocks credited, and a miner is paid
//! by a transaction in the chain; ^C drains, and the next start goes on with the same chains, ledger and accounts.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;
mod whole_pool;

use std::collections::BTreeMap;
use std::time::Duration;

use sandbox::{Program, eventually, folder, within};
use serde_json::json;
use whole_pool::Up;

/// Units of a distribution (docs/protocol/packetcrypt-pool.md 11.10).
const UNITS: u64 = 1_000_000_000_000;

/// Time for a Nimiq block, which takes 65,536 hashes, while the other miners have the processors too.
const LONG: Duration = Duration::from_mins(10);

#[test]
fn a_pool_mines_pays_stops_and_goes_on() {
    let (_folder, path) = folder();
    let data = path.to_str().unwrap();
    let mut up = Up::start(data);

    // Announcements, shares, blocks.
    let accepted = |name: &str| up.http.metric(&up.base, name, "").unwrap_or(0.0);
    eventually("announcements to be accepted", || {
        (accepted("headframe_announcements_accepted_total") > 0.0).then_some(())
    });
    let tables = watch_until_both_miners_are_paid(&up);
    eventually("a Nimiq share to be accepted", || (up.nimiq_shares() > 0.0).then_some(()));
    within(LONG, "a block of the Nimiq chain", || (up.nimiq_height() > 1).then_some(()));
    let paid = within(LONG, "a payout in the Nimiq chain", || {
        // Whoever mines the next blocks: the first makes the credits mature, a later one takes the payout in.
        up.extend_nimiq_chain();
        Some(up.nimiq_paid()).filter(|paid| *paid > 0)
    });
    let health = up.http.get(&format!("{}/healthz", up.base)).unwrap();
    assert!(health.contains("\"ok\""), "{health}");

    // The coinbase of the newest block divides what is not the steward's as a table that was shown.
    let height = up.height();
    let coinbase = up.coinbase(height);
    assert!(
        tables.iter().any(|table| pays_as_shown(&coinbase, table)),
        "the block at {height} pays {coinbase:?}, which was never shown; the last table shown: {:?}",
        tables.last()
    );

    // ^C drains and ends well; what was known is known again.
    up.program.interrupt();
    let status = up.program.wait();
    assert!(status.success(), "{status}");
    let hash_of = |up: &Up, height: u64| up.http.rpc(&up.node, "getblockhash", &json!([height]));
    let paid_before = tables.last().unwrap().keys().cloned().collect::<Vec<_>>();
    drop(up);
    let accounts = format!("sqlite://{data}/nimiq/accounts.db");
    let audit = Program::headframe(&["ledger", "verify", "--store", &accounts]).wait();
    assert!(audit.success(), "the accounts do not add up: {audit}");

    let again = Up::start(data);
    let _ = hash_of(&again, height);
    assert!(again.nimiq_paid() >= paid, "the Nimiq chain is another one");
    let nimiq_height = again.nimiq_height();
    within(LONG, "the Nimiq chain to go on", || (again.nimiq_height() > nimiq_height).then_some(()));
    eventually("a Nimiq share to be accepted again", || (again.nimiq_shares() > 0.0).then_some(()));
    eventually("the ledger to be loaded", || {
        let paid = again.http.json(&format!("{}/paymaker/whotopay", again.base))?;
        paid_before.iter().all(|address| paid["result"].get(address).is_some()).then_some(())
    });
    eventually("the chain to go on", || (again.height() > height).then_some(()));
}

/// Collects the tables that the PayMaker shows until a block was found while both miners were in one.
fn watch_until_both_miners_are_paid(up: &Up) -> Vec<BTreeMap<String, u64>> {
    let mut tables: Vec<BTreeMap<String, u64>> = Vec::new();
    let mut height_with_both = None;
    eventually("a block that pays both miners", || {
        let table = up.who_to_pay();
        if tables.last() != Some(&table) {
            tables.push(table);
        }
        let height = up.height();
        if tables.last().is_some_and(|table| table.len() >= 3) {
            height_with_both.get_or_insert(height);
        }
        // One block more than the one whose template may have been made before.
        (up.coinbase(height).len() >= 4 && height_with_both.is_some_and(|both| height > both + 1))
            .then_some(())
    });
    tables
}

/// Whether a coinbase gives everybody in the table their part; each amount may be rounded by a base unit.
fn pays_as_shown(coinbase: &BTreeMap<String, u64>, table: &BTreeMap<String, u64>) -> bool {
    let pool: Vec<_> = coinbase.iter().filter(|(address, _)| table.contains_key(*address)).collect();
    let reward: u64 = pool.iter().map(|(_, amount)| **amount).sum();
    let rounding = table.len() as u64;
    pool.len() == table.len()
        && pool.iter().all(|(address, amount)| {
            let part = u128::from(reward) * u128::from(table[*address]) / u128::from(UNITS);
            (part as u64).abs_diff(**amount) <= rounding
        })
}
