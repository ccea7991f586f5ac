//! Pools that refuse shares, talk nonsense, or show a certificate of their own.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn refused_shares_are_counted_by_reason() {
    let pool = FakePool::start().await;
    let mut miner = start(&pool, MiningMode::Nano { node: None });
    let mut client = pool.registered().await;
    client.say(&settings(b"one", EASY)).await;
    client.say(&new_block(&nano_job(1, EASY), genesis())).await;
    use nimiq::share::Refusal;
    for refusal in [Refusal::BadPrevious, Refusal::BadPrevious, Refusal::Duplicate, Refusal::Expired] {
        client.share().await;
        client.say(&Reason::Share(refusal).into()).await;
    }
    client.say(&Reason::AlreadyRegistered.into()).await;
    let status = miner.status(|status| status.shares.expired == 1).await;
    let refused: Vec<_> = status.shares.refused.into_iter().collect();
    assert_eq!(refused, [("bad_prev", 2), ("duplicate_share", 1)]);
    miner.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_talks_nonsense_is_left_and_tried_again() {
    let pool = FakePool::start().await;
    let miner = start(&pool, MiningMode::Nano { node: None });
    let too_long = format!(r#"{{"message":"error","reason":"{}"}}"#, "x".repeat(1 << 17));
    for nonsense in [
        "no json",
        "[]",
        "{}",
        r#"{"message":7}"#,
        r#"{"message":"settings"}"#,
        r#"{"message":"settings","address":"nobody","extraData":"AA==","targetCompact":520159232}"#,
        r#"{"message":"new-block","bodyHash":"AA==","accountsHash":"AA==","previousBlock":"AA=="}"#,
        r#"{"message":"balance"}"#,
        &settings(b"one", EASY).to_text().replace("\"targetCompact\":536936447", "\"targetCompact\":1"),
        &ServerMessage::NewBlock(Box::new(NewBlock::Dumb(genesis().header))).to_text(),
        &too_long,
    ] {
        let mut client = pool.registered().await;
        client.say_text(nonsense).await;
        client.until_gone().await;
    }
    // A message that is only unknown is no nonsense.
    let mut client = pool.registered().await;
    client.say_text(r#"{"message":"maintenance","at":[1]}"#).await;
    client.say(&settings(b"one", EASY)).await;
    client.say(&new_block(&nano_job(1, EASY), genesis())).await;
    assert_eq!(header(&client.share().await).previous, NETWORK.genesis_hash());
    miner.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_with_a_certificate_of_its_own_is_believed_where_the_certificate_is_given() {
    let pool = FakePool::start_with_tls().await;
    let miner = start(&pool, MiningMode::Nano { node: None });
    let mut client = pool.registered().await;
    client.say(&settings(b"one", EASY)).await;
    client.say(&new_block(&nano_job(1, EASY), genesis())).await;
    client.share().await;
    miner.stop().await;

    let url = pool.url();
    let untrusted = connection::open(&url, &TlsTrust::PublicAuthorities);
    let (opened, handshake) = tokio::join!(untrusted, pool.stream());
    assert!(matches!(opened, Err(ConnectionFault::Open(_))));
    assert!(handshake.is_err());
}
