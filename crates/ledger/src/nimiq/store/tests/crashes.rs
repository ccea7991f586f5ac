//! PostgreSQL is killed in the middle of whatever it does: what was answered is there, nothing is there twice, and the
//! accounts go on without a hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::stand::{Stand, hash};
use crate::local_postgres::{Durability, LocalPostgres};
use crate::nimiq::payout_state::{PayoutState, PayoutTurn};

/// The moments at which the server is killed, after work began.
const MOMENTS: [u64; 5] = [0, 3, 10, 25, 60];

/// A server of this test alone; `None` where PostgreSQL is not installed.
async fn own_server() -> Option<(Stand, Arc<Mutex<LocalPostgres>>)> {
    LocalPostgres::programs()?;
    let server = LocalPostgres::start(Durability::Fast).unwrap();
    let url = server.new_database().unwrap();
    Some((Stand::open(url, None).await, Arc::new(Mutex::new(server))))
}

/// Kills the server after so long, and starts it again.
fn kill(server: &Mutex<LocalPostgres>, after: u64) {
    std::thread::sleep(Duration::from_millis(after));
    let mut server = server.lock().unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
}

#[tokio::test]
async fn shares_in_flight_when_the_store_dies_count_once() {
    let Some((mut stand, server)) = own_server().await else { return };
    let mut sent = 0;
    for moment in MOMENTS {
        let shares: Vec<_> = (0..2000).map(|_| stand.share(1, hash(0, 100))).collect();
        sent += shares.len();
        let killer = tokio::task::spawn_blocking({
            let server = Arc::clone(&server);
            move || kill(&server, moment)
        });
        let mut lost = 0;
        for batch in shares.chunks(100) {
            lost += usize::from(stand.accounts.accept_shares(stand.server, batch).await.is_err());
        }
        killer.await.unwrap();
        // The server's outbox sends again whatever was not answered, and what was answered may come once more.
        stand.restart().await;
        let report = stand.accounts.accept_shares(stand.server, &shares).await.unwrap();
        assert_eq!(report.credited + report.repeated, 2000, "{lost} batches without an answer");
        assert_eq!(stand.accounts.share_hashes(hash(0, 100)).await.unwrap().len(), sent);
    }
}

#[tokio::test]
async fn a_payout_survives_the_death_of_the_store_at_every_step() {
    let Some((mut stand, server)) = own_server().await else { return };
    stand.earn().await;
    stand.bury(102, 111).await;
    let ids = super::payouts::pay_all(&stand, 111).await;
    for id in ids {
        for (turn, state) in [
            (PayoutTurn::Send, PayoutState::Broadcast),
            (
                PayoutTurn::Mine { height: nimiq::Height(112) },
                PayoutState::Mined { height: nimiq::Height(112) },
            ),
            (
                PayoutTurn::Confirm { head: nimiq::Height(122) },
                PayoutState::Confirmed { height: nimiq::Height(112) },
            ),
        ] {
            stand.accounts.turn_payout(&stand.payout, id, turn, 10, stand.time()).await.unwrap();
            kill(&server, 0);
            stand.restart().await;
            let payouts = stand.accounts.payouts_settled_since(nimiq::Height(1)).await.unwrap();
            let under_way = stand.accounts.payouts_under_way().await.unwrap();
            let found = payouts.iter().chain(&under_way).find(|payout| payout.id == id);
            assert_eq!(found.map(|payout| payout.state), Some(state));
            stand.assert_sound().await;
        }
    }
    assert_eq!(stand.balance(1).await, (0, 0));
}
