//! A full disk, as far as a process can tell: its files may grow no more. The server takes no share that it cannot keep and
//! says so; the accounts book all of a step or nothing; and everybody goes on by himself once there is room.

use crate::nimiq_pool::client::Answer;
use crate::nimiq_pool::{Pool, miner};
use crate::sandbox::eventually;
use crate::server::{Work, client};

/// Room for the beginning of a segment, and for no share.
const NO_SHARE: u64 = 64;
/// Room for some shares of the server, and for no page of the accounts behind their first.
const NO_PAGE: u64 = 4096;

#[test]
fn a_share_that_finds_no_room_is_refused_with_an_error_until_there_is_room() {
    let mut pool = Pool::on_sqlite();
    pool.start("service", None);
    pool.until_followed();
    pool.start("server", None);
    let mut client = client(&pool);
    let mut work = Work::default();
    for _ in 0..2 {
        for _ in 0..3 {
            assert!(work.note(client.share()));
        }
        pool.limit_files("server", Some(NO_SHARE));
        for _ in 0..3 {
            let Answer::Refused(_, reason) = client.share() else { panic!("there is no room for a share") };
            assert_eq!(reason, "share not stored");
        }
        assert!(pool.trouble("server").contains("no share is taken"), "{}", pool.trouble("server"));
        pool.limit_files("server", None);
    }
    assert!(work.note(client.share()));
    eventually("the server to be well again", || pool.trouble("server").is_empty().then_some(()));
    // What was refused was never noted as sent, so it would be noticed in the accounts.
    pool.kill("server");
    pool.start("server", None);
    work.is_credited_once(&mut pool);
}

#[test]
fn accounts_without_room_keep_no_share_from_being_taken_and_lose_none() {
    let mut pool = Pool::on_sqlite();
    pool.start("service", None);
    pool.until_followed();
    pool.start("server", None);
    let mut client = client(&pool);
    let mut work = Work::default();
    pool.limit_files("server", Some(NO_PAGE));
    for _ in 0..5 {
        assert!(work.note(client.share()));
    }
    eventually("the server to say that the accounts take nothing", || {
        pool.trouble("server").contains("the accounts took no shares").then_some(())
    });
    assert!(work.note(client.share()));
    pool.limit_files("server", None);
    work.is_credited_once(&mut pool);
    assert_eq!(pool.trouble("server"), "");
}

#[test]
fn service_and_payout_book_nothing_by_halves_and_go_on_when_there_is_room() {
    let mut pool = Pool::on_sqlite();
    pool.start("service", None);
    pool.start("payout", None);
    pool.until_followed();
    eventually("the payout to be ready", || pool.trouble("payout").is_empty().then_some(()));
    pool.limit_files("service", Some(NO_PAGE));
    pool.limit_files("payout", Some(NO_PAGE));
    pool.earn();
    pool.bury(10);
    eventually("the service to say that it cannot book", || {
        pool.trouble("service").contains("accounts").then_some(())
    });
    assert_eq!(pool.credited(), 0);
    pool.assert_sound();
    pool.limit_files("service", None);
    eventually("the block to be booked and mature", || pool.is_settled(true).then_some(()));
    let credited = pool.credited();
    assert!(credited > 0);

    eventually("the payout to say that it cannot book", || {
        pool.trouble("payout").contains("accounts").then_some(())
    });
    assert_eq!(pool.credited(), credited, "nobody is paid");
    assert!(!pool.is_anything_waiting());
    pool.limit_files("payout", None);
    pool.live_until(Pool::all_is_final);
    pool.assert_paid_once();
    assert_eq!(pool.chain.balance(&miner(1)).0 + pool.chain.balance(&miner(2)).0, credited.cast_unsigned());
    pool.verify();
}
