//! `headframe ledger backup | verify | restore`: a whole pool is backed up while it works, killed, and made again
//! elsewhere. What it had accepted before is credited once, and it goes on.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;
mod whole_pool;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ledger::local_postgres::{Durability, LocalPostgres};
use ledger::nimiq::Accounts;
use sandbox::{Program, eventually, folder};
use serde_json::Value;
use whole_pool::Up;

/// Runs a command that must end well; gives what it prints.
fn run(arguments: &[&str]) -> Vec<String> {
    let mut program = Program::headframe(arguments);
    let status = program.wait();
    let lines = program.ended_printing();
    assert!(status.success(), "{arguments:?}: {status}\n{}", lines.join("\n"));
    lines
}

/// The work that lies on disk, by its events' ids: all that a miner was told about is there before.
fn events_in(data: &Path) -> BTreeSet<String> {
    let files = files_in(data).into_iter().filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_segment = name.starts_with("events_") && !path.to_str().unwrap().contains("/nimiq/");
        is_segment || (name.starts_with("paylog_") && path.extension().is_some_and(|end| end == "bin"))
    });
    // A segment that is closed meanwhile has another name, or is an upload by now.
    let texts = files.filter_map(|path| fs::read(path).ok());
    let ids = texts.flat_map(|bytes| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let events = text.split("{\"type\":\"").skip(1).filter(|event| !event.starts_with("block"));
        let ids =
            events.filter_map(|event| event.split("\"eventId\":\"").nth(1)?.get(..32).map(str::to_owned));
        ids.collect::<Vec<_>>()
    });
    ids.collect()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

/// Events that the PayMaker has accepted.
fn uploaded(data: &Path) -> BTreeSet<String> {
    events_in(&data.join("pay-maker/ledger/uploads"))
}

fn store(data: &Path) -> String {
    format!("sqlite://{}", data.join("nimiq/accounts.db").display())
}

#[test]
fn a_pool_that_was_backed_up_while_it_worked_is_made_again_elsewhere() {
    let (_folder, path) = folder();
    let [data, backup, again] = ["data", "backup", "again"].map(|name| path.join(name));
    let [data_text, backup_text, again_text] = [&data, &backup, &again].map(|path| path.to_str().unwrap());
    let mut up = Up::start(data_text);
    eventually("work of all kinds to be accepted", || {
        let events = events_in(&data).len();
        (events > 20 && uploaded(&data).len() > 5 && up.nimiq_shares() > 3.0).then_some(())
    });
    let (accepted, shares) = (events_in(&data), up.nimiq_shares());
    run(&["ledger", "backup", backup_text, "--data", data_text]);
    up.program.kill();
    drop(up);

    let lines = run(&["ledger", "verify", "--backup", backup_text]);
    assert!(lines.iter().any(|line| line.contains("accounts on SQLite")), "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with("0 findings")), "{lines:?}");
    let lines = run(&["ledger", "restore", backup_text, "--data", again_text]);
    assert!(lines.iter().any(|line| line.starts_with("payouts are held")), "{lines:?}");
    fs::copy(data.join("nimiq/pool.key"), again.join("nimiq/pool.key")).unwrap();

    let mut up = Up::start(again_text);
    up.program.line(&["payouts are held", "restored from a backup"]);
    eventually("everything that had been accepted to be with the PayMaker", || {
        accepted.is_subset(&uploaded(&again)).then_some(())
    });
    eventually("all Nimiq shares to be in the accounts", || (shares_in(&again) >= shares).then_some(()));
    eventually("the pool to accept more", || {
        (uploaded(&again).difference(&accepted).count() > 5 && up.nimiq_shares() > 3.0).then_some(())
    });
    assert_eq!(run(&["ledger", "release-payouts", "--store", &store(&again)]), ["payouts go on"]);
    up.program.interrupt();
    assert!(up.program.wait().success());
    pays_as_if_each_event_came_once(&again, again_text);
    run(&["ledger", "verify", "--store", &store(&again)]);
}

fn shares_in(data: &Path) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let accounts = Accounts::open(&store(data)).await.unwrap();
        let newest = accounts.newest_share().await.unwrap();
        let (count, _) = accounts.weight_between(ledger::nimiq::Sequence(0), newest).await.unwrap();
        accounts.close().await;
        count as f64
    })
}

/// The restored ledger, which got parts of its events twice, pays as one that saw each once.
fn pays_as_if_each_event_came_once(data: &Path, data_text: &str) {
    let uploads: Vec<_> = files_in(&data.join("pay-maker/ledger/uploads"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    let mut seen = BTreeSet::new();
    let once: Vec<String> = uploads
        .iter()
        .flat_map(|path| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            seen.insert(event["eventId"].as_str().unwrap().to_owned())
        })
        .collect();
    let log = data.join("once.ndjson");
    fs::write(&log, once.join("\n") + "\n").unwrap();
    let pay = |logs: &[&str]| -> Value {
        let arguments = [&["who-to-pay", "--data", data_text, "--events"], logs].concat();
        // Of an event that came twice it warns, with the file's path.
        let lines: Vec<String> = run(&arguments).into_iter().filter(|line| !line.starts_with('/')).collect();
        serde_json::from_str(&lines.concat()).unwrap()
    };
    let all: Vec<&str> = uploads.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(pay(&all)["result"], pay(&[log.to_str().unwrap()])["result"]);
}

#[test]
fn accounts_on_postgres_are_dumped_and_restored() {
    if !LocalPostgres::is_there_for_tests() {
        return;
    }
    let server = LocalPostgres::start(Durability::Fast).unwrap();
    let [from, to] = [(); 2].map(|()| format!("nimiq.accounts={}", server.new_database().unwrap()));
    let url = |set: &str| set.split_once('=').unwrap().1.to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let opened = |url: String| runtime.block_on(Accounts::open(&url)).unwrap();
    let first = runtime.block_on(opened(url(&from)).server("first")).unwrap();

    let (_folder, path) = folder();
    let [data, backup, again] = ["data", "backup", "again"].map(|name| path.join(name));
    fs::create_dir(&data).unwrap();
    let [data, backup, again] = [&data, &backup, &again].map(|path| path.to_str().unwrap());
    run(&["ledger", "backup", backup, "--data", data, "--set", &from]);
    run(&["ledger", "verify", "--backup", backup]);
    run(&["ledger", "restore", backup, "--data", again, "--set", &to]);
    let restored = opened(url(&to));
    assert_eq!(runtime.block_on(restored.server("first")).unwrap(), first);
    assert!(runtime.block_on(restored.payouts_held()).unwrap().is_some());
    // A database that holds something is left as it is.
    let third = path.join("third");
    let mut refused =
        Program::headframe(&["ledger", "restore", backup, "--data", third.to_str().unwrap(), "--set", &to]);
    refused.line(&["pg_restore ended with"]);
    assert!(!refused.wait().success());
}

#[test]
fn a_restore_that_did_not_end_starts_nothing() {
    let (_folder, path) = folder();
    fs::write(path.join(ledger::backup::UNFINISHED), "").unwrap();
    let mut up = Program::headframe(&["up", "--data", path.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    up.line(&["was not restored to the end"]);
    assert!(!up.wait().success());
}
