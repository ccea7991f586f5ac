//! PostgreSQL's roles: each duty can do its work, and nothing of the others'.

use super::stand::{Stand, address, foreign, hash};
use crate::UnixMillis;
use crate::nimiq::{Accounts, AccountsError, ChainUpdate, PayoutLease, ServiceLease};

impl Stand {
    /// The same accounts, opened by another role.
    async fn role(&self, name: &str) -> Accounts {
        Accounts::open(&self.url.replace("postgres@", &format!("{name}@"))).await.unwrap()
    }
}

async fn refused(accounts: &Accounts, sql: &'static str) {
    let error = sqlx::query(sql).execute(&accounts.writer).await.unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{sql}: {error}");
}

const CREDIT: &str = "INSERT INTO lines (entry, account, user_id, amount) VALUES (1, 'mature', 1, 1000000)";
const BALANCE: &str = "UPDATE balances SET amount = 1000000";
const PAYOUT: &str = "UPDATE payouts SET state = 'prepared'";

#[tokio::test]
async fn the_server_takes_shares_and_can_neither_credit_nor_pay() {
    let Some(mut stand) = Stand::postgres().await else { return };
    assert!(stand.accounts.grant_roles().await.unwrap());
    assert!(stand.accounts.grant_roles().await.unwrap());
    stand.accounts = stand.role("headframe_server").await;
    stand.server = stand.accounts.server("server-2").await.unwrap();
    stand.work(&[1, 2], hash(0, 100)).await;
    let mut bad = stand.share(1, hash(0, 100));
    bad.weight = nimiq::ShareWeight(0);
    assert_eq!(stand.accounts.accept_shares(stand.server, &[bad]).await.unwrap().set_aside.len(), 1);
    stand.accounts.balance(address(1)).await.unwrap();
    stand.accounts.request_payout(address(1), 5, b"proof", stand.time()).await.unwrap();
    for luna in [5, 6] {
        let chosen = nimiq::Luna(luna);
        stand.accounts.choose_threshold(address(1), chosen, luna, b"proof", stand.time()).await.unwrap();
    }
    stand.accounts.ban("192.0.2.1", "invalid_block", stand.time(), UnixMillis(u64::MAX)).await.unwrap();
    assert_eq!(stand.accounts.bans(stand.time(), 5).await.unwrap().len(), 1);
    for sql in [
        CREDIT,
        BALANCE,
        PAYOUT,
        "INSERT INTO entries (id, chain, kind, rule, at_ms) VALUES (1, 'nimiq', 'reward', '', 0)",
        "UPDATE blocks SET main_chain = 1",
        "INSERT INTO blocks (id, chain, hash, height) VALUES (99, 'nimiq', '', 5)",
        "UPDATE shares SET weight = 1",
        "DELETE FROM shares",
        "UPDATE leases SET token = 0",
    ] {
        refused(&stand.accounts, sql).await;
    }
    let taken = stand.accounts.take_lease::<ServiceLease>("server", stand.time(), stand.time()).await;
    assert!(matches!(taken, Err(AccountsError::Database { .. })));
}

#[tokio::test]
async fn service_and_payout_can_do_their_work_and_the_site_only_look() {
    let Some(mut stand) = Stand::postgres().await else { return };
    stand.accounts.grant_roles().await.unwrap();
    stand.earn().await;
    let until = UnixMillis(u64::MAX);
    let service = stand.role("headframe_service").await;
    let lease = service.take_lease::<ServiceLease>("host-1", stand.time(), until).await.unwrap().unwrap();
    let joined = (102..=111).map(|height| foreign(0, height)).collect();
    let update = ChainUpdate { left: vec![], joined };
    assert_eq!(service.follow(&lease, &update, 10, stand.time()).await.unwrap().matured.len(), 1);
    service.settle(&lease, &stand.rules, stand.time()).await.unwrap();
    let rule = crate::nimiq::RetentionRule { shares: 0, millis: 0 };
    service.compact_shares(&lease, rule, stand.time()).await.unwrap();
    refused(&service, PAYOUT).await;
    refused(&service, "DELETE FROM lines").await;
    refused(&service, "UPDATE window_parts SET weight = '1'").await;
    refused(&service, "UPDATE found_blocks SET reward = 1").await;
    stand.accounts = stand.role("headframe_payout").await;
    stand.payout =
        stand.accounts.take_lease::<PayoutLease>("host-1", stand.time(), until).await.unwrap().unwrap();
    assert_eq!(super::payouts::pay_all(&stand, 111).await.len(), 2);
    refused(&stand.accounts, "UPDATE found_blocks SET state = 'mature'").await;
    refused(&stand.accounts, "DELETE FROM payouts").await;
    refused(&stand.accounts, "UPDATE payouts SET signed = ''").await;
    refused(&stand.accounts, "UPDATE payouts SET value = 1").await;
    stand.accounts = stand.role("headframe_site").await;
    stand.assert_sound().await;
    assert_eq!(stand.accounts.found_blocks(5).await.unwrap().len(), 1);
    for sql in [CREDIT, BALANCE, PAYOUT, "DELETE FROM bans", "SELECT proof FROM payout_requests"] {
        refused(&stand.accounts, sql).await;
    }
}

#[tokio::test]
async fn sqlite_has_no_roles() {
    assert!(!Stand::sqlite().await.accounts.grant_roles().await.unwrap());
}
