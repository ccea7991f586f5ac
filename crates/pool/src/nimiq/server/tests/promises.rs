//! What the protocol promises besides good and bad shares: how frames travel, how large they are, how connections end, how
//! long things take, what is never used twice.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use wire::nimiq::{ClientMessage, LARGEST_CLIENT_MESSAGE, Mode, Share};

use super::stand::{Miner, Stand};
use crate::nimiq::server::Times;

#[tokio::test(flavor = "multi_thread")]
async fn compression_is_not_negotiated_though_clients_offer_it() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let mut request = format!("ws://{}/", server.address).into_client_request().unwrap();
    let offer = HeaderValue::from_static("permessage-deflate; client_max_window_bits");
    request.headers_mut().insert("sec-websocket-extensions", offer);
    let (_socket, response) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers().get("sec-websocket-extensions"), None);
    assert_eq!(response.headers().get("sec-websocket-protocol"), None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_read_up_to_256_kib() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    assert_eq!(LARGEST_CLIENT_MESSAGE, 256 << 10);
    for (size, is_read) in [(LARGEST_CLIENT_MESSAGE, true), (LARGEST_CLIENT_MESSAGE + 1, false)] {
        let mut miner = Miner::connect(&server).await;
        let mut text = ClientMessage::Register(miner.registration(Mode::Smart)).to_text();
        text.extend(std::iter::repeat_n(' ', size - text.len()));
        miner.send_raw(Message::text(text)).await;
        assert_eq!(miner.hear().await.is_some(), is_read, "{size} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_without_a_status_code() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let mut miner = Miner::connect(&server).await;
    miner.send("{nope").await;
    assert_eq!(miner.hear_close().await, Some(None));
}

/// What the address has done is no act that its specification calls malicious.
#[tokio::test(flavor = "multi_thread")]
async fn slips_and_errors_end_connections_and_ban_nobody() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let from = "192.0.2.77";
    for message in ["{nope", r#"{"message":"share","nonce":1}"#, r#"{"message":"register","mode":"turbo"}"#] {
        let mut miner = Miner::try_connect(&server, from, None).await.unwrap();
        miner.send(message).await;
        miner.hear_the_end().await;
    }
    let mut miner = Miner::try_connect(&server, from, None).await.unwrap();
    miner.send_register(Mode::Smart).await;
    // More errors than are allowed.
    let Share::Smart(mut bad) = miner.mine(&stand.chain, 0) else { panic!("a smart share") };
    bad.header.timestamp.0 += 3600;
    for _ in 0..=stand.config("main").terms.allowed_errors {
        miner.share(Share::Smart(bad.clone())).await;
    }
    miner.hear_the_end().await;
    let mut miner = Miner::try_connect(&server, from, None).await.unwrap();
    miner.send_register(Mode::Nano).await;
    let share = miner.mine(&stand.chain, 0);
    miner.share(share).await;
    stand.credited(1).await;
    assert_eq!(server.figure(r#"headframe_nimiq_bans_total{role="nimiq_server",name="main"}"#), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_request_is_good_for_once() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let mut miner = Miner::register(&server, Mode::Smart).await;
    let request = miner.payout_request(&miner.key.clone());
    let nonce = miner.settings.as_ref().unwrap().nonce;
    miner.say(&request).await;
    miner.hear_until(|miner| miner.settings.as_ref().unwrap().nonce != nonce).await;
    miner.say(&request).await;
    assert_eq!(miner.hear_error().await, "invalid payout proof");
    miner.hear_the_end().await;
    assert_eq!(stand.accounts.payout_requests().await.unwrap().len(), 1);
}

#[test]
fn the_usual_times_are_those_of_the_specification() {
    let times = Times::default();
    assert_eq!((times.register, times.silence), (Duration::from_secs(30), Duration::from_mins(10)));
    assert_eq!(times.balance, Duration::from_mins(5));
    assert!(times.tick <= Duration::from_secs(15), "a client ends a connection without pings");
    assert!(times.header <= Duration::from_mins(1));
    assert_eq!(times.unknown_head, Duration::from_secs(3));
    assert!((Duration::from_secs(10)..=Duration::from_secs(30)).contains(&times.body));
}
