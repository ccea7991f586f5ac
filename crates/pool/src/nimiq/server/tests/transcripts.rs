//! The recorded sessions of stock clients and of single situations (`vectors/nimiq/transcripts.json`), played to our server.
//!
//! The recorded chain is another one, so none of the recorded shares may count here. What needs no chain is answered as
//! recorded, but for what the specification has as "Ours".

use serde_json::Value;
use std::sync::Arc;
use wire::nimiq::Mode;

use super::stand::{Miner, Stand};
use crate::nimiq::server::Terms;

/// What the server said to one session, and whether it was still there at the end.
struct Played {
    reasons: Vec<String>,
    shares: usize,
    open: bool,
}

fn frames<'v>(session: &'v Value, from: &'v str) -> impl Iterator<Item = &'v str> {
    let frames = session.as_array().into_iter().flatten();
    frames.filter(move |frame| frame["from"] == from).filter_map(|frame| frame["text"].as_str())
}

fn recorded_reasons(session: &Value) -> Vec<String> {
    let reason = |text: &str| {
        let message: Value = serde_json::from_str(text).unwrap();
        message["reason"].as_str().map(str::to_owned)
    };
    frames(session, "server").filter_map(reason).collect()
}

/// Sends what the client sent, and one more registration, which shows that everything before has been dealt with.
async fn play(server: &super::stand::Server, session: &Value) -> Played {
    let mut miner = Miner::connect(server).await;
    let mut shares = 0;
    for text in frames(session, "client") {
        shares += usize::from(text.contains(r#""message":"share""#));
        miner.send_raw(tokio_tungstenite::tungstenite::Message::text(text)).await;
    }
    let last = wire::nimiq::ClientMessage::Register(miner.registration(Mode::Smart)).to_text();
    miner.send_raw(tokio_tungstenite::tungstenite::Message::text(last)).await;
    let again = "already registered";
    let twice = recorded_reasons(session).iter().filter(|reason| *reason == again).count() + 1;
    let seen = |miner: &Miner| miner.errors.iter().filter(|reason| *reason == again).count();
    while seen(&miner) < twice && miner.hear().await.is_some() {}
    let open = seen(&miner) == twice;
    if open {
        miner.errors.pop();
    }
    Played { reasons: miner.errors, shares, open }
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_sessions_are_answered_as_the_specification_wants_and_credited_nothing() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/nimiq/transcripts.json");
    let transcripts: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let stand = Stand::new().await;
    let mut config = stand.config("main");
    let pool = transcripts["config"]["poolAddress"].as_str().unwrap().parse().unwrap();
    let fee = "0.01".parse().unwrap();
    config.terms = Arc::new(Terms::new(config.terms.name.clone(), pool, fee, config.terms.network));
    let server = stand.start_with(config, None).await;
    for stock in ["stockSmart", "stockNano"] {
        let session = &transcripts[stock];
        let played = play(&server, session).await;
        assert!(played.shares > 20 && !played.reasons.is_empty(), "{stock}");
        assert!(played.reasons.iter().all(|reason| is_of_share(reason)), "{stock}: {:?}", played.reasons);
    }
    for edge in transcripts["edge"].as_array().unwrap() {
        let (case, session) = (edge["case"].as_str().unwrap(), &edge["messages"]);
        let played = play(&server, session).await;
        match case {
            "payout_no_proof" => {
                assert_eq!(played.reasons, ["payout request requires a signature proof"]);
                assert!(played.open);
            }
            // Signed for the nonce of the recording.
            "payout_valid" | "payout_bad_proof" => {
                assert_eq!(played.reasons, ["invalid payout proof"], "{case}");
                assert!(!played.open, "{case}");
            }
            _ if played.shares == 0 || case.ends_with("before_register") => {
                assert_eq!(played.reasons, recorded_reasons(session), "{case}");
            }
            _ => {
                let one_each = played.reasons.len() == played.shares;
                assert!(one_each || !played.open, "{case}: {:?}", played.reasons);
                assert!(
                    played.reasons.iter().all(|reason| is_of_share(reason)),
                    "{case}: {:?}",
                    played.reasons
                );
            }
        }
    }
    stand.credited(0).await;
    server.stop().await;
    stand.credited(0).await;
}

fn is_of_share(reason: &str) -> bool {
    reason.starts_with("invalid share: ") || reason == "share expired"
}
