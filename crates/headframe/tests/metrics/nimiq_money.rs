//! Prometheus watches a Nimiq pool whose disks are full, whose node refuses, and whose money is gone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger::UnixMillis;
use ledger::nimiq::payout_state::PayoutTurn;
use ledger::nimiq::{NewShare, PayoutLease};
use nimiq::transaction::Payment;
use nimiq::{BlockHash, Height, Luna, Network, PrivateKey, ShareWeight, Transaction};

use crate::nimiq_pool::client::{Answer, Client};
use crate::nimiq_pool::node_front::Conduct;
use crate::nimiq_pool::{Pool, miner};
use crate::prometheus::Prometheus;
use crate::sandbox::{eventually, folder};

/// Room for some shares, and for no page of the accounts behind their first.
const NO_PAGE: u64 = 4096;
/// Room for the beginning of a segment, and for no share.
const NO_SHARE: u64 = 64;

/// Waits until Prometheus has seen a role's figures, so that it sees what changes from then on.
fn until_watched(prometheus: &Prometheus, role: &str) {
    let query = format!("headframe_role_ready{{role=\"{role}\"}}");
    eventually(&format!("figures of {role} in Prometheus"), || prometheus.asked(&query));
}

#[test]
fn full_disks_and_a_node_that_takes_no_block_make_their_alerts_fire() {
    let (_folder, path) = folder();
    let mut pool = Pool::on_sqlite();
    let prometheus = Prometheus::start(&path, &pool.figures());
    pool.start("service", None);
    pool.until_followed();
    pool.start("server", None);
    let mut client = eventually("the server to take a client", || Client::register(pool.port, &[5; 32]));
    until_watched(&prometheus, "nimiq_service");
    until_watched(&prometheus, "nimiq_server");
    for alert in [
        "ServiceBehind",
        "DutyNotHeld",
        "StorageFails",
        "RefusalRateHigh",
        "AccountsUnreachable",
        "BlocksLost",
        "IntakeStopped",
        "OutboxGrowing",
        "EventsSetAside",
    ] {
        prometheus.until_silent(alert);
    }

    // The service cannot write: the chain leaves it behind, and its lease runs out.
    pool.limit_files("service", Some(NO_PAGE));
    pool.bury(20);
    prometheus.until_fires("ServiceBehind", "role", "nimiq_service");
    prometheus.until_fires("DutyNotHeld", "role", "nimiq_service");
    pool.limit_files("service", None);
    prometheus.until_silent("ServiceBehind");
    prometheus.until_silent("DutyNotHeld");

    // The accounts take no shares, which stay with the server, and there are more all the time.
    pool.limit_files("server", Some(NO_PAGE));
    client.listen();
    let accepted = |client: &mut Client| assert!(matches!(client.share(), Answer::Accepted(_)));
    accepted(&mut client);
    prometheus.until_fires("AccountsUnreachable", "role", "nimiq_server");
    eventually("OutboxGrowing to fire", || {
        accepted(&mut client);
        // Few shares: they fill what room there is.
        std::thread::sleep(Duration::from_secs(2));
        let firing = prometheus.firing("OutboxGrowing");
        firing.iter().any(|labels| labels["role"] == "nimiq_server").then_some(())
    });
    pool.limit_files("server", None);
    prometheus.until_silent("AccountsUnreachable");
    prometheus.until_silent("OutboxGrowing");

    eventually("all shares to be in the accounts", || {
        let missing =
            "sum(headframe_nimiq_shares_accepted_total)-sum(headframe_nimiq_shares_delivered_total)";
        prometheus.asked(missing).filter(|missing| *missing == 0.0)
    });

    // The accounts have other shares under the numbers that it gives next, as after a wrong backup.
    give_the_next_numbers_away(&pool);
    client.listen();
    accepted(&mut client);
    prometheus.until_fires("EventsSetAside", "role", "nimiq_server");

    // The server cannot write, and takes no share that it cannot keep.
    pool.limit_files("server", Some(NO_SHARE));
    client.listen();
    let mut refused = || assert!(matches!(client.share(), Answer::Refused(..)));
    eventually("StorageFails to fire", || {
        refused();
        prometheus.firing("StorageFails").first().map(drop)
    });
    eventually("RefusalRateHigh to fire", || {
        refused();
        prometheus.firing("RefusalRateHigh").first().map(drop)
    });
    pool.limit_files("server", None);
    prometheus.until_silent("StorageFails");

    // The node takes no block.
    pool.front.treat_all(Some(Conduct::Refuse("submitBlock")));
    for _ in 0..3 {
        assert!(matches!(client.block(), Answer::Accepted(_)));
    }
    prometheus.until_fires("BlocksLost", "role", "nimiq_server");

    // The miners go.
    drop(client);
    prometheus.until_fires("IntakeStopped", "work", "nimiq shares");
}

#[test]
fn payouts_that_do_not_arrive_make_their_alerts_fire() {
    let (_folder, path) = folder();
    let mut pool = Pool::on_sqlite();
    let prometheus = Prometheus::start(&path, &pool.figures());
    pool.start("service", None);
    pool.start("payout", None);
    until_watched(&prometheus, "nimiq_payout");
    for alert in ["PayoutSendsRefused", "PayoutUnconfirmed", "ReserveShort", "PayoutNeedsAPerson"] {
        prometheus.until_silent(alert);
    }

    // The node refuses payouts.
    pool.front.treat_all(Some(Conduct::Refuse("sendRawTransaction")));
    pool.earn_and_mature();
    prometheus.until_fires("PayoutSendsRefused", "outcome", "refused");
    prometheus.until_fires("PayoutUnconfirmed", "role", "nimiq_payout");
    pool.front.treat_all(None);
    pool.kill("payout");
    pool.start("payout", None);
    pool.live_until(Pool::all_is_final);
    prometheus.until_silent("PayoutSendsRefused");
    prometheus.until_silent("PayoutUnconfirmed");

    // The operator takes the money that miners are owed, and brings it back.
    pool.earn();
    let elsewhere = PrivateKey::new(&[0x77; 32]);
    let taken = pay(&pool, &PrivateKey::new(&[9; 32]), &elsewhere, pool.chain.balance(&Pool::address()));
    pool.bury(10);
    prometheus.until_fires("ReserveShort", "role", "nimiq_payout");
    pay(&pool, &elsewhere, &PrivateKey::new(&[9; 32]), taken);
    pool.live_until(Pool::all_is_final);
    prometheus.until_silent("ReserveShort");

    // A payout is given up that is mined after all.
    pool.front.treat_all(Some(Conduct::Refuse("sendRawTransaction")));
    pool.earn_and_mature();
    let id = eventually("a payout to be prepared", || {
        let under_way = pool.ask("payouts", async |accounts| accounts.payouts_under_way().await);
        under_way.iter().find(|payout| payout.recipient == miner(1)).map(|payout| payout.id)
    });
    pool.stop("payout");
    give_up(&pool, id);
    let given_up = pool.ask("payouts", async |accounts| accounts.payouts_to(miner(1), 1).await).remove(0);
    pool.chain.send(Transaction::parse(&given_up.signed).unwrap());
    pool.bury(1);
    pool.start("payout", None);
    prometheus.until_fires("PayoutNeedsAPerson", "state", "review");
}

/// Sends all of `coins` but the fee, which is mined at once; gives what arrives.
fn pay(pool: &Pool, from: &PrivateKey, to: &PrivateKey, coins: Luna) -> Luna {
    let payment = Payment {
        recipient: to.public_key().address(),
        value: Luna(coins.0 - 138),
        fee: Luna(138),
        validity_start: pool.chain.head().height,
        network: Network::Dev.id(),
    };
    pool.chain.send(Transaction::from(payment.sign(from)));
    pool.bury(1);
    payment.value
}

/// Stores shares of somebody else under the numbers that come next on the server.
fn give_the_next_numbers_away(pool: &Pool) {
    let server = pool.ask("the server", async |accounts| accounts.server("main").await);
    let last = pool.ask("its last number", async |accounts| accounts.last_server_sequence(server).await);
    let shares = [1, 2, 3].map(|number: u8| NewShare {
        server_sequence: last + u64::from(number),
        address: miner(1),
        device: 7,
        previous_block: pool.chain.head().hash,
        hash: BlockHash([number; 32]),
        weight: ShareWeight(1 << 20),
        accepted_at: now(),
    });
    pool.ask("shares to be stored", async |accounts| accounts.accept_shares(server, &shares).await);
}

fn now() -> UnixMillis {
    UnixMillis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

/// Books a payout as expired that could still be mined, as somebody would whose node is on a fork.
fn give_up(pool: &Pool, id: ledger::nimiq::PayoutId) {
    let now = now();
    let lease: PayoutLease = eventually("the duty", || {
        let until = now.plus(60_000);
        pool.ask("the duty", async |accounts| accounts.take_lease("a fork", now, until).await)
    });
    let far = Height(pool.chain.head().height.0 + 200);
    pool.ask("the end of a payout", async |accounts| {
        accounts.turn_payout(&lease, id, PayoutTurn::Expire { head: far }, 10, now).await
    });
    pool.runtime.block_on(pool.accounts.release_lease(lease)).unwrap();
}
