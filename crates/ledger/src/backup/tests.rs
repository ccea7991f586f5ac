//! What is copied, in which order, and what is not restored. A whole pool is backed up under load by the program's own tests.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use wire::EventId;

use super::{BackupError, MANIFEST, Stage, UNFINISHED, check, files, restore, take};
use crate::UnixMillis;
use crate::nimiq::Accounts;
use crate::nimiq::audit::audit;

fn put(folder: &Path, path: &str, bytes: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn upload(text: &str) -> String {
    format!("pay-maker/ledger/uploads/paylog_5_{}.bin", EventId::of_upload(text.as_bytes()))
}

/// A data folder with one of everything.
async fn data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("ann/main/outbox/events/events_000000000001.confirmed", "first"),
        ("ann/main/outbox/events/events_000000000002.open", "second"),
        ("ann/main/outbox/events/lock", ""),
        ("pay-maker/ledger/segments/0000000000.seg", "segment"),
        (&upload("an upload"), "an upload"),
        ("pay-maker/ledger/uploads/paylog_6_x.tmp", "half an upl"),
        ("nimiq/pool.key", "a secret"),
        ("nimiq/payout/holder", "me"),
        ("dev-chain/blocks.dat", "blocks"),
    ] {
        put(folder.path(), path, text.as_bytes());
    }
    let accepted = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    fs::File::open(folder.path().join(upload("an upload"))).unwrap().set_modified(accepted).unwrap();
    let accounts = Accounts::open(&accounts_in(folder.path())).await.unwrap();
    accounts.server("main").await.unwrap();
    folder
}

fn accounts_in(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("nimiq/accounts.db").display())
}

fn files_in(folder: &Path) -> Vec<String> {
    let all = Stage::ALL.into_iter().flat_map(|stage| files::list(folder, stage).unwrap());
    let mut names: Vec<_> =
        all.map(|path| path.strip_prefix(folder).unwrap().display().to_string()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn everything_but_locks_keys_and_half_files_is_there_again() {
    let (data, backup, target) = (data().await, tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let taken = take(data.path(), None, backup.path(), UnixMillis(7)).await.unwrap();
    assert_eq!(taken.files, 7);
    let checked = check(backup.path()).unwrap();
    assert_eq!((checked.begun, checked.files, checked.uploads), (UnixMillis(7), 7, 1));
    let restored = target.path().join("data");
    assert_eq!(restore(backup.path(), &restored, None).await.unwrap(), checked);
    assert_eq!(files_in(&restored), files_in(data.path()));
    for path in [
        "nimiq/pool.key",
        "ann/main/outbox/events/lock",
        "pay-maker/ledger/uploads/paylog_6_x.tmp",
        UNFINISHED,
    ] {
        assert!(!restored.join(path).exists(), "{path}");
    }
    let modified = fs::metadata(restored.join(upload("an upload"))).unwrap().modified().unwrap();
    let accepted_at = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    assert_eq!(accepted_at, 1_700_000_000_123, "the clock by which its lines were judged");
    let accounts = Accounts::open(&accounts_in(&restored)).await.unwrap();
    assert_eq!(audit(&accounts).await.unwrap().findings, Vec::<String>::new());
    let held = accounts.payouts_held().await.unwrap();
    assert_eq!(held.as_deref(), Some("they were restored from a backup of 7"));
}

#[tokio::test]
async fn a_backup_that_is_not_whole_restores_nothing() {
    let (data, backup, target) = (data().await, tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    take(data.path(), None, backup.path(), UnixMillis(7)).await.unwrap();
    let damaged = async |expected: &str| {
        let fault = restore(backup.path(), target.path(), None).await.unwrap_err().to_string();
        assert!(fault.contains(expected), "{fault}");
        assert!(files::is_empty(target.path()).unwrap());
    };
    put(backup.path(), "dev-chain/blocks.dat", b"blOcks");
    damaged("dev-chain/blocks.dat has other bytes than were copied").await;
    put(backup.path(), "dev-chain/blocks.dat", b"block");
    damaged("dev-chain/blocks.dat has 5 bytes, not 6").await;
    fs::remove_file(backup.path().join("dev-chain/blocks.dat")).unwrap();
    damaged("dev-chain/blocks.dat is missing").await;
    let manifest = backup.path().join(MANIFEST);
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap().replace("blocks.dat", "blocks.dot")).unwrap();
    damaged("the manifest of the backup").await;
    fs::remove_file(&manifest).unwrap();
    damaged("is no backup").await;
}

#[tokio::test]
async fn an_upload_that_is_not_what_was_accepted_is_found() {
    let (data, backup) = (data().await, tempfile::tempdir().unwrap());
    put(data.path(), &upload("an upload"), b"another");
    take(data.path(), None, backup.path(), UnixMillis(7)).await.unwrap();
    let fault = check(backup.path()).unwrap_err().to_string();
    assert!(fault.contains("holds other bytes than the PayMaker accepted"), "{fault}");
}

#[tokio::test]
async fn nothing_is_written_over() {
    let (data, backup) = (data().await, tempfile::tempdir().unwrap());
    let is_not_empty = |error| matches!(error, BackupError::NotEmpty(_));
    put(backup.path(), "a file", b"");
    assert!(is_not_empty(take(data.path(), None, backup.path(), UnixMillis(7)).await.unwrap_err()));
    fs::remove_file(backup.path().join("a file")).unwrap();
    take(data.path(), None, backup.path(), UnixMillis(7)).await.unwrap();
    assert!(is_not_empty(restore(backup.path(), data.path(), None).await.unwrap_err()));
}

#[tokio::test]
async fn accounts_that_lie_elsewhere_are_in_it() {
    let (data, elsewhere, backup) = (data().await, data().await, tempfile::tempdir().unwrap());
    fs::remove_dir_all(data.path().join("nimiq")).unwrap();
    let url = accounts_in(elsewhere.path());
    take(data.path(), Some(&url), backup.path(), UnixMillis(7)).await.unwrap();
    assert!(check(backup.path()).unwrap().accounts.is_some());
}
