//! `headframe nimiq payout` as an operator calls it: what would be paid, one round of it, and keys that it refuses.

#![allow(clippy::unwrap_used, reason = "these are tests")]

#[path = "../nimiq_pool/mod.rs"]
mod nimiq_pool;
#[path = "../sandbox/mod.rs"]
mod sandbox;

use std::os::unix::fs::PermissionsExt;

use ledger::UnixMillis;
use ledger::nimiq::payout_state::PayoutState;
use nimiq::Luna;
use nimiq_pool::{Pool, miner};
use sandbox::{Program, eventually};
use serde_json::Value;

/// A pool that owes its miners, without a payout that runs.
fn pool() -> Pool {
    let mut pool = Pool::on_sqlite();
    pool.start("service", None);
    pool.earn_and_mature();
    pool
}

/// What a command prints that must end well.
fn printed(mut command: Program) -> Vec<String> {
    assert!(command.wait().success());
    command.ended_printing()
}

/// The payments that a round says it has made; its log is beside them.
fn paid_once(pool: &Pool) -> Vec<String> {
    let lines = printed(pool.command("payout", &["--once"]));
    lines.into_iter().filter(|line| line.starts_with("payout ")).collect()
}

fn states(pool: &Pool) -> Vec<PayoutState> {
    let rows = [1, 2]
        .map(|number| pool.ask("payouts", async |accounts| accounts.payouts_to(miner(number), 100).await));
    rows.into_iter().flatten().map(|payout| payout.state).collect()
}

#[test]
fn a_dry_run_changes_nothing_and_once_pays_just_that() {
    let pool = pool();
    let table = printed(pool.command("payout", &["--dry-run"]));
    let lines = printed(pool.command("payout", &["--dry-run", "--json"]));
    let planned: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let planned: Vec<String> = planned
        .iter()
        .map(|payment| {
            assert_eq!(payment["kind"], "automatic");
            let value = Luna(payment["value"].as_u64().unwrap());
            format!("{value} to {}", payment["recipient"].as_str().unwrap())
        })
        .collect();
    assert_eq!(planned.len(), 2);
    assert!(table.last().unwrap().contains("2 payouts"), "{table:?}");
    for number in [1, 2] {
        assert!(table.iter().any(|line| line.starts_with(&miner(number).to_string())), "{table:?}");
    }
    assert!(!pool.is_anything_waiting(), "a dry run sends nothing");
    assert_eq!(states(&pool), []);

    let paid = paid_once(&pool);
    let expected: Vec<String> = planned
        .iter()
        .zip(1..)
        .map(|(payment, number)| format!("payout {number}: {payment} (automatic)"))
        .collect();
    assert_eq!(paid, expected);
    assert!(pool.is_anything_waiting());
    // A second round has nothing more to pay; later ones book what the chain shows.
    assert_eq!(paid_once(&pool), Vec::<String>::new());
    for blocks in [1, 10] {
        pool.bury(blocks);
        assert_eq!(paid_once(&pool), Vec::<String>::new());
    }
    assert!(states(&pool).iter().all(|state| matches!(state, PayoutState::Confirmed { .. })));
    pool.assert_paid_once();
    pool.verify();
}

#[test]
fn who_has_chosen_a_higher_threshold_waits_as_far_as_the_operator_allows() {
    let pool = pool();
    let chosen = Luna(9_000 * Luna::PER_NIM);
    pool.ask("a threshold", async |accounts| {
        accounts.choose_threshold(miner(1), chosen, 7, b"proof", UnixMillis(1)).await
    });
    let planned = |more: &[&str]| -> Vec<(String, u64)> {
        let lines = printed(pool.command("payout", &[&["--dry-run", "--json"], more].concat()));
        let payments = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let facts = |payment: Value| {
            (payment["recipient"].as_str().unwrap().to_owned(), payment["above"].as_u64().unwrap())
        };
        payments.map(facts).collect()
    };
    let second = (miner(2).to_string(), 50 * Luna::PER_NIM);
    assert_eq!(planned(&[]), std::slice::from_ref(&second));
    let first = (miner(1).to_string(), 1_000 * Luna::PER_NIM);
    assert_eq!(planned(&["--set", "nimiq_payout.most_threshold=1000"]), [first, second]);
}

#[test]
fn a_reserve_that_is_too_small_is_said_and_ends_with_1() {
    let pool = pool();
    for flags in [&["--dry-run"][..], &["--once"]] {
        let mut command =
            pool.command("payout", &[flags, &["--set", "nimiq_payout.reserve=1000000"]].concat());
        command.line(&["the pool's address holds", "nothing is paid"]);
        assert_eq!(command.wait().code(), Some(1));
    }
    assert_eq!(states(&pool), []);
}

#[test]
fn a_key_that_others_can_read_is_refused_and_not_shown() {
    let pool = pool();
    let key = pool.key_file();
    let secret = std::fs::read_to_string(&key).unwrap();
    for mode in [0o640, 0o604, 0o660] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        for flags in [&["--once"][..], &[]] {
            let mut command = pool.command("payout", flags);
            command.line(&["headframe: the key file", &format!("has mode {mode:04o}"), "chmod 600"]);
            assert_eq!(command.wait().code(), Some(1));
            assert!(command.ended_printing().iter().all(|line| !line.contains(secret.trim())));
        }
    }
    assert_eq!(states(&pool), []);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(paid_once(&pool).len(), 2);
}

#[test]
fn a_key_and_a_signing_command_exclude_each_other() {
    let pool = pool();
    pool.configure("nimiq_payout", r#"signing_command = ["/bin/false"]"#);
    for flags in [&["--once"][..], &[]] {
        let mut command = pool.command("payout", flags);
        command.line(&["nimiq_payout.signing_command", "does the same as `key_file`", "keep one of them"]);
        assert_eq!(command.wait().code(), Some(3));
    }
    assert_eq!(states(&pool), []);
}

/// The agent refuses to sign: nothing is stored, and who signs is told.
#[test]
fn an_agent_that_signs_nothing_leaves_everybody_due() {
    let pool = pool();
    pool.configure("nimiq_payout", r#"signing_command = ["/bin/false"]"#);
    pool.configure_without("key_file");
    let mut command = pool.command("payout", &["--once"]);
    command.line(&["a payout is not signed", "the signing agent ended with exit status: 1"]);
    assert_eq!(command.wait().code(), Some(1));
    assert_eq!(states(&pool), []);
    eventually("the plan to be the same", || {
        (printed(pool.command("payout", &["--dry-run", "--json"])).len() == 2).then_some(())
    });
}
