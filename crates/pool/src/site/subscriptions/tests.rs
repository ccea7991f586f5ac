//! Orders of miners with their keys, and what they are told.

use nimiq::PrivateKey;
use sha2::{Digest, Sha256};

use super::*;
use crate::site::facts::sample;

const POOL: &str = "https://pool.example";
const NOW: Moment = Moment(1_790_000_000_000);

fn key() -> PrivateKey {
    PrivateKey::new(&[7; 32])
}

fn order(action: Action, url: &str, time: u64) -> Order {
    let target = Target::read("ntfy", url, true).unwrap();
    Order { address: MinerAddress::Nimiq(key().public_key().address()), action, target, time }
}

/// As a wallet signs.
fn signature(text: &str) -> String {
    let hash = Sha256::new_with_prefix(b"\x16Nimiq Signed Message:\n");
    let hash: [u8; 32] = hash.chain_update(text.len().to_string()).chain_update(text).finalize().into();
    hex::encode(key().sign(&hash).0)
}

#[test]
fn an_order_is_of_its_address_and_of_now() {
    let seconds = NOW.0 / 1000;
    let order = order(Action::Subscribe, "https://ntfy.sh/t", seconds);
    let text = order.text(POOL);
    assert!(text.starts_with("Headframe notifications: subscribe ntfy https://ntfy.sh/t for NQ"), "{text}");
    assert!(text.ends_with(" at https://pool.example, time 1790000000"), "{text}");
    let public = hex::encode(key().public_key().0);
    assert_eq!(order.check(POOL, &signature(&text), &public, NOW), Ok(()));
    assert!(matches!(
        order.check("https://other", &signature(&text), &public, NOW),
        Err(OrderFault::Signature(_))
    ));
    assert_eq!(order.check(POOL, "00", &public, NOW), Err(OrderFault::NimiqForm));
    assert_eq!(order.check(POOL, &signature(&text), &public, Moment(NOW.0 + 601_000)), Err(OrderFault::Time));
}

#[tokio::test]
async fn what_was_ordered_is_there_after_a_restart_and_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site");
    let mut time = NOW.0 / 1000;
    let pool = sample::pool().identity;
    let open = || Arc::new(Subscriptions::open(&path, false, None).unwrap());
    let subscriptions = open();
    for number in 0..MOST_OF_ADDRESS {
        time += 1;
        let order = order(Action::Subscribe, &format!("https://ntfy.sh/{number}"), time);
        let standing = Arc::clone(&subscriptions).obey(order.clone(), &pool, NOW).await.unwrap();
        assert_eq!((standing.targets, standing.secret), (number + 1, None));
        assert_eq!(Arc::clone(&subscriptions).obey(order, &pool, NOW).await, Err(OrderFault::Repeated));
    }
    let one_more = order(Action::Subscribe, "https://ntfy.sh/more", time + 1);
    assert_eq!(Arc::clone(&subscriptions).obey(one_more.clone(), &pool, NOW).await, Err(OrderFault::TooMany));
    let subscriptions = open();
    assert_eq!(subscriptions.count(&one_more.address), MOST_OF_ADDRESS);
    let standing = Arc::clone(&subscriptions).obey(
        order(Action::Unsubscribe, "https://ntfy.sh/0", time + 1),
        &pool,
        NOW,
    );
    assert_eq!(standing.await.unwrap().targets, MOST_OF_ADDRESS - 1);
    let again = order(Action::Unsubscribe, "https://ntfy.sh/0", time + 2);
    assert_eq!(Arc::clone(&subscriptions).obey(again, &pool, NOW).await, Err(OrderFault::Unknown));
    let webhook = Order {
        target: Target::read("webhook", "https://x.example/hook", false).unwrap(),
        ..order(Action::Subscribe, "https://ntfy.sh/0", time + 3)
    };
    assert_eq!(Arc::clone(&subscriptions).obey(webhook, &pool, NOW).await.unwrap().secret.unwrap().len(), 32);
}
