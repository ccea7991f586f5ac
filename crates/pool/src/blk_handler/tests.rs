//! Recorded shares against a Master, a node and a PayMaker of our making.

pub(super) mod recorded;
mod sandbox;

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use http::StatusCode;
use node::NodeError;
use node::pktd::{ShareOpinion, SubmitOutcome};
use packetcrypt::Height;
use serde_json::{Value, json};
use tower::ServiceExt;
use wire::Event;
use wire::share_post::SharePost;
use wire::signing_key::PrivateSeed;

use super::admission::signatures;
use recorded::{Chain, Post, read, submit_cases};
use sandbox::{Answer, Sandbox};

fn refused_with(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(answer.json["result"], json!(""), "{answer:?}");
    let error = answer.json["error"][0].as_str().unwrap();
    assert!(error.starts_with(&format!("{code}: ")), "{error}");
}

fn accepted(answer: &Answer) -> &Value {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json["error"], json!([]), "{answer:?}");
    &answer.json["result"]
}

/// The recorded requests, each to a handler of its own, with what we answer (our deviations are rules R-K1 to R-K5).
#[tokio::test]
async fn recorded_requests_get_the_documented_answers() {
    let mut checked = 0;
    for case in submit_cases("submit.json") {
        let sandbox = Sandbox::start(Chain::of_submit_cases(), |_| {}).await;
        let answer = sandbox.send(case.request()).await;
        match case.name.as_str() {
            "good" | "again" | "no_sver" | "other_header_fields" | "path" | "query" => {
                // The id is that of the header that counts, whatever was sent (rule R-K1).
                let good = submit_cases("submit.json").remove(0);
                let mut expected: Value = serde_json::from_str(&good.body).unwrap();
                expected["result"]["time"] = json!(Sandbox::NOW);
                assert_eq!(accepted(&answer), &expected["result"], "{}", case.name);
                let warnings = answer.json["warn"].as_array().unwrap();
                assert_eq!(warnings.len(), usize::from(case.name == "no_sver"), "{}", case.name);
            }
            "no_payto" | "bad_payto" => refused_with(&answer, 400, "invalid_pay_to"),
            "stale" => {
                let expected: Value = serde_json::from_str(&case.body).unwrap();
                assert_eq!(answer.json["error"], expected["error"]);
                assert_eq!(answer.status, StatusCode::BAD_REQUEST);
            }
            "nonce_changed" | "merkle_root_changed" | "commit_changed" | "ann_changed" => {
                refused_with(&answer, 400, "invalid_share");
            }
            "commit_short" | "commit_long" => refused_with(&answer, 400, "invalid_commitment"),
            "no_pcp" => refused_with(&answer, 400, "first_element_not_proof"),
            "parent_future" => refused_with(&answer, 400, "parent_out_of_range"),
            "signed_no_key" => refused_with(&answer, 400, "signing_key_not_configured"),
            "trailing" => refused_with(&answer, 400, "malformed_share"),
            "not_json" | "json_array" | "json_missing" => refused_with(&answer, 400, "not_parsable"),
            "empty" => refused_with(&answer, 400, "no_content"),
            "too_big" => refused_with(&answer, 400, "body_too_large"),
            "get" => assert_eq!((answer.status.as_u16(), answer.text.as_str()), (405, "")),
            other => panic!("a recorded case that this test does not know: {other}"),
        }
        checked += 1;
    }
    assert!(checked > 20);
}

#[tokio::test]
async fn shares_that_wait_together_get_each_its_own_answer() {
    let sandbox = Sandbox::start(Chain::of_submit_cases(), |_| {}).await;
    let cases = submit_cases("submit.json");
    let send = |name| sandbox.send(cases.iter().find(|case| case.name == name).unwrap().request());
    // The one thread takes what has come meanwhile together.
    let (bad, one, other) = tokio::join!(send("nonce_changed"), send("good"), send("again"));
    refused_with(&bad, 400, "invalid_share");
    // The same share twice: whichever comes first.
    let (good, again) = if one.status == StatusCode::OK { (one, other) } else { (other, one) };
    accepted(&good);
    refused_with(&again, 400, "duplicate_share");
    assert!(sandbox.metrics.text().contains("headframe_hard_nonces_kept{"));
    assert_eq!(sandbox.share_events().await.len(), 1);
}

#[tokio::test]
async fn a_bad_share_of_the_same_id_does_not_take_the_place_of_a_good_one() {
    let sandbox = Sandbox::start(Chain::of_submit_cases(), |_| {}).await;
    let cases = submit_cases("submit.json");
    let send = |name| sandbox.send(cases.iter().find(|case| case.name == name).unwrap().request());
    // Same header, same low nonce, another announcement; it comes first.
    let (bad, good) = tokio::join!(send("ann_changed"), send("good"));
    refused_with(&bad, 400, "invalid_share");
    accepted(&good);
}

#[tokio::test]
async fn r_k2_what_ends_or_hangs_the_reference_handler_is_refused_and_the_next_share_is_taken() {
    let sandbox = Sandbox::start(Chain::of_submit_cases(), |_| {}).await;
    for case in submit_cases("peer_crashes.json") {
        let answer = sandbox.send(case.request()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}: {answer:?}", case.name);
        assert_ne!(answer.json["error"], json!([]), "{}", case.name);
    }
    accepted(&sandbox.send(submit_cases("submit.json")[0].request()).await);
    assert_eq!(sandbox.share_events().await.len(), 1);
}

#[tokio::test]
async fn r_k1_a_share_sent_again_with_another_header_time_is_a_duplicate() {
    let sandbox = Sandbox::start(Chain::of_submit_cases(), |_| {}).await;
    let cases = submit_cases("submit.json");
    let case = |name| cases.iter().find(|case| case.name == name).unwrap();
    accepted(&sandbox.send(case("good").request()).await);
    for name in ["again", "other_header_fields"] {
        refused_with(&sandbox.send(case(name).request()).await, 400, "duplicate_share");
    }
    assert_eq!(sandbox.share_events().await.len(), 1);
}

#[tokio::test]
async fn r_k4_a_share_is_a_duplicate_after_a_restart_too() {
    let sandbox = Sandbox::start(Chain::at_114926(), |_| {}).await;
    accepted(&sandbox.send(Post::ordinary().request()).await);
    let sandbox = sandbox.restart().await;
    refused_with(&sandbox.send(Post::ordinary().request()).await, 400, "duplicate_share");
    assert_eq!(sandbox.share_events().await.len(), 1);
}

#[tokio::test]
async fn r_k5_a_share_without_a_usable_address_is_refused_and_may_come_again_with_one() {
    let sandbox = Sandbox::start(Chain::at_114926(), |_| {}).await;
    for address in ["nobody", "pkt1sj0s7u", ""] {
        let post = Post::ordinary().pay_to(address);
        refused_with(&sandbox.send(post.request()).await, 400, "invalid_pay_to");
    }
    assert!(sandbox.share_events().await.is_empty());
    accepted(&sandbox.send(Post::ordinary().request()).await);
}

#[tokio::test]
async fn pitfall_9_1_a_claimed_least_work_of_20000001_is_refused() {
    let sandbox = Sandbox::start(Chain::at_114926(), |_| {}).await;
    let post = Post::ordinary().with_least_work("01000020");
    let answer = sandbox.send(post.request()).await;
    refused_with(&answer, 400, "invalid_commitment");
    assert!(answer.json["error"][0].as_str().unwrap().contains("not canonical"), "{answer:?}");
}

#[tokio::test]
async fn a_share_that_reaches_the_block_target_becomes_the_recorded_block() {
    let sandbox = Sandbox::start(Chain::at_114926(), |_| {}).await;
    let answer = sandbox.send(Post::winning().request()).await;
    let recorded = read("blocks-real/pool-114926.json");
    let event = accepted(&answer);
    assert_eq!((&event["block"], &event["headerHash"]), (&json!(true), &recorded["block_hash"]));
    assert_eq!(sandbox.node.blocks(), [hex::decode(recorded["block"].as_str().unwrap()).unwrap()]);
    let [Event::Share(event)] = &sandbox.share_events().await[..] else { panic!("one share") };
    assert_eq!(event.won_block.unwrap().to_string(), recorded["block_hash"].as_str().unwrap());
}

#[tokio::test]
async fn w8_a_second_winning_share_is_submitted_at_once_when_the_first_was_refused() {
    let sandbox = Sandbox::start(Chain::at_114927(), |_| {}).await;
    sandbox.node.answer_submission(Ok(SubmitOutcome::Rejected("bad something".into())));
    let first = sandbox.send(Post::winning_at_114927().request()).await;
    // Credited all the same (rule R-K6).
    assert_eq!(accepted(&first)["block"], json!(false));
    let warning = first.json["warn"][0].as_str().unwrap();
    assert_eq!(warning, "node_refused_block: error submitting block [bad something]");
    let second = sandbox.send(Post::also_winning_at_114927().request()).await;
    assert_eq!(accepted(&second)["block"], json!(true));
    assert_eq!((sandbox.node.blocks().len(), sandbox.share_events().await.len()), (2, 2));
}

#[tokio::test]
async fn r_k6_after_a_block_was_accepted_a_second_one_of_the_same_work_is_an_ordinary_share() {
    let sandbox = Sandbox::start(Chain::at_114927(), |_| {}).await;
    assert_eq!(accepted(&sandbox.send(Post::winning_at_114927().request()).await)["block"], json!(true));
    assert_eq!(
        accepted(&sandbox.send(Post::also_winning_at_114927().request()).await)["block"],
        json!(false)
    );
    assert_eq!((sandbox.node.blocks().len(), sandbox.share_events().await.len()), (1, 2));
}

#[tokio::test]
async fn r_k6_a_block_that_the_node_has_already_is_a_conflict_and_a_credited_share() {
    let sandbox = Sandbox::start(Chain::at_114926(), |_| {}).await;
    sandbox.node.answer_submission(Ok(SubmitOutcome::AlreadyKnown));
    let answer = sandbox.send(Post::winning().request()).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.json["error"][0].as_str().unwrap().contains("already have block"), "{answer:?}");
    assert_eq!(answer.json["result"]["block"], json!(false));
    assert_eq!(sandbox.share_events().await.len(), 1);
}

#[tokio::test]
async fn r_k6_a_block_known_already_after_a_lost_answer_is_ours() {
    let sandbox = Sandbox::start(Chain::at_114926(), |_| {}).await;
    sandbox.node.answer_submission(Err(NodeError::Unreachable { what: "connection reset".into() }));
    sandbox.node.answer_submission(Ok(SubmitOutcome::AlreadyKnown));
    let answer = sandbox.send(Post::winning().request()).await;
    assert_eq!(accepted(&answer)["block"], json!(true));
    assert_eq!(sandbox.node.blocks().len(), 2, "handed over again");
}

#[tokio::test]
async fn a_block_is_submitted_even_if_the_share_cannot_be_stored() {
    let sandbox = Sandbox::start(Chain::at_114926(), |_| {}).await;
    sandbox.break_disk().await;
    refused_with(&sandbox.send(Post::winning().request()).await, 503, "storage_failed");
    assert_eq!(sandbox.node.blocks().len(), 1);
    sandbox.mend_disk();
    accepted(&sandbox.send(Post::winning().request()).await);
}

#[tokio::test]
async fn r_k10_pitfall_9_17_a_share_for_the_work_just_replaced_is_credited_but_makes_no_block() {
    let sandbox = Sandbox::start(Chain::at_114926(), |_| {}).await;
    sandbox.move_to(Chain::at_114927()).await;
    let late = sandbox.send(Post::winning().request()).await;
    let recorded = read("blocks-real/pool-114926.json");
    let expected: Value = serde_json::from_str(recorded["share_post"]["reply"].as_str().unwrap()).unwrap();
    let event = accepted(&late);
    assert_eq!((&event["block"], &event["target"]), (&json!(false), &expected["result"]["target"]));
    assert!(sandbox.node.blocks().is_empty());
    let current = sandbox.send(Post::winning_at_114927().request()).await;
    assert_eq!(accepted(&current)["block"], json!(true));
}

#[tokio::test]
async fn r_k10_after_the_grace_a_share_for_replaced_work_is_for_wrong_work() {
    let sandbox = Sandbox::start(Chain::at_114926(), |config| config.grace = Duration::ZERO).await;
    sandbox.move_to(Chain::at_114927()).await;
    let answer = sandbox.send(Post::ordinary().request()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let error = answer.json["error"][0].as_str().unwrap();
    assert!(error.starts_with("Share is for wrong work, expecting previous hash ["), "{error}");
}

#[tokio::test]
async fn r_k3_parents_that_the_master_does_not_tell_come_from_the_node() {
    let mut chain = Chain::at_114926();
    let parent = chain.forget_below(Height(114_924));
    let sandbox = Sandbox::start(chain, |_| {}).await;
    let unknown = sandbox.send(Post::ordinary().request()).await;
    refused_with(&unknown, 400, "parent_out_of_range");
    sandbox.node.tell_block(Height(114_923), parent);
    accepted(&sandbox.send(Post::ordinary().request()).await);
}

#[tokio::test]
async fn r_k3_a_node_that_does_not_answer_holds_no_share_up() {
    let mut chain = Chain::at_114926();
    chain.forget_below(Height(114_924));
    let sandbox = Sandbox::start(chain, |config| config.requests = 1).await;
    sandbox.node.fall_silent();
    tokio::time::pause();
    refused_with(&sandbox.send(Post::ordinary().request()).await, 400, "parent_out_of_range");
    tokio::time::resume();
    // The place is free again.
    refused_with(&sandbox.send(Post::ordinary().pay_to("nobody").request()).await, 400, "invalid_pay_to");
}

#[tokio::test]
async fn r_k9_half_sent_bodies_take_no_place() {
    let sandbox = Sandbox::start(Chain::at_114926(), |config| config.requests = 1).await;
    let endless = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let (parts, _) = Post::ordinary().request().into_parts();
    let half_sent = sandbox.handler.routes().oneshot(Request::from_parts(parts, endless));
    let half_sent = tokio::spawn(half_sent);
    accepted(&sandbox.send(Post::ordinary().request()).await);
    tokio::time::pause();
    assert_eq!(half_sent.await.unwrap().unwrap().status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_share_on_another_parent_than_the_chains_is_invalid() {
    let mut chain = Chain::at_114926();
    chain.forget_below(Height(114_924));
    let sandbox = Sandbox::start(chain, |_| {}).await;
    sandbox.node.tell_block(Height(114_923), packetcrypt::BlockHash::default());
    let answer = sandbox.send(Post::ordinary().request()).await;
    refused_with(&answer, 400, "invalid_share");
    assert!(answer.json["error"][0].as_str().unwrap().contains("INVAL_ITEM4"), "{answer:?}");
}

#[tokio::test]
async fn r_k8_the_node_is_asked_about_shares_only_where_configured_and_only_about_good_ones() {
    let sandbox = Sandbox::start(Chain::at_114926(), |_| {}).await;
    accepted(&sandbox.send(Post::ordinary().request()).await);
    assert!(sandbox.node.checked().is_empty());

    let sandbox = Sandbox::start(Chain::of_submit_cases(), |config| config.ask_node = true).await;
    let cases = submit_cases("submit.json");
    for name in ["nonce_changed", "ann_changed", "stale", "good"] {
        sandbox.send(cases.iter().find(|case| case.name == name).unwrap().request()).await;
    }
    let recorded = read("pool/blkhandler/checkpcshare.json");
    let parameters = &recorded["request"]["params"][0];
    let [asked] = &sandbox.node.checked()[..] else { panic!("asked once") };
    assert_eq!(json!(hex::encode(&asked.header_and_proof) + "00"), parameters["hexblock"]);
    assert_eq!(json!(hex::encode(&asked.coinbase)), parameters["coinbase"]);
    assert_eq!(json!(asked.share_target.0), parameters["sharetarget"]);
    assert_eq!(json!(asked.height.0), parameters["height"]);
}

#[tokio::test]
async fn r_k7_what_the_node_says_against_a_share_is_passed_on() {
    let unreachable = NodeError::Unreachable { what: "no route".into() };
    let nope = NodeError::Rpc { code: Some(-25), message: "nope".into() };
    let cases = [
        (Err(nope), 400, "node_refused_share"),
        (Err(unreachable), 500, "node_unavailable"),
        (Err(NodeError::BadReply { what: "got \"WHAT\"".into() }), 500, "unexpected_node_answer"),
    ];
    let sandbox = Sandbox::start(Chain::at_114926(), |config| config.ask_node = true).await;
    for (opinion, status, code) in cases {
        sandbox.node.answer_check(opinion);
        refused_with(&sandbox.send(Post::ordinary().request()).await, status, code);
    }
    sandbox.node.answer_check(Ok(ShareOpinion::Ok));
    accepted(&sandbox.send(Post::ordinary().request()).await);
}

#[tokio::test]
async fn more_requests_than_allowed_are_told_so_in_the_words_that_clients_know() {
    let sandbox = Sandbox::start(Chain::at_114926(), |config| config.requests = 0).await;
    let answer = sandbox.send(Post::ordinary().request()).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (501, "overloaded"));
}

#[tokio::test]
async fn before_there_is_work_a_share_is_told_to_come_later() {
    let sandbox = Sandbox::start_without_work(Chain::at_114926()).await;
    refused_with(&sandbox.send(Post::ordinary().request()).await, 500, "not_ready");
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let sandbox = Sandbox::start(Chain::at_114926(), |_| {}).await;
    let answer = sandbox.send(Post::ordinary().at("/resubmit").request()).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, r#"{"error":"not found"}"#));
}

#[tokio::test]
async fn p13_each_refusal_is_counted_by_its_code() {
    let sandbox = Sandbox::start(Chain::at_114926(), |_| {}).await;
    sandbox.send(Post::ordinary().pay_to("nobody").request()).await;
    accepted(&sandbox.send(Post::ordinary().request()).await);
    sandbox.send(Post::ordinary().request()).await;
    let figures = sandbox.metrics.text();
    for line in [
        r#"headframe_refusals_total{role="blk_handler",name="b",reason="invalid_pay_to"} 1"#,
        r#"headframe_refusals_total{role="blk_handler",name="b",reason="duplicate_share"} 1"#,
        r#"headframe_shares_accepted_total{role="blk_handler",name="b"} 1"#,
    ] {
        assert!(figures.contains(line), "{figures}");
    }
}

#[tokio::test]
async fn r_k11_new_blocks_are_told_once_and_missed_ones_after_a_restart() {
    let sandbox = Sandbox::start(Chain::at_114926(), |_| {}).await;
    assert_eq!(sandbox.block_events(1).await, [(114_925, Chain::TIME * 1000)], "the newest, by its own time");
    sandbox.move_to(Chain::at_114927()).await;
    assert_eq!(sandbox.block_events(2).await[1], (114_926, Sandbox::NOW), "by when it was seen");
    let stopped = sandbox.stop().await;
    stopped.master.show(&Chain::at_114927().grown_by(3));
    let sandbox = stopped.start(|_| {}).await;
    let events = sandbox.block_events(5).await;
    let missed = (114_927..114_930).map(|height| (height, Chain::TIME * 1000)).collect::<Vec<_>>();
    assert_eq!(events[2..], missed);
}

#[tokio::test]
async fn a_handler_that_is_not_listed_says_so() {
    let sandbox = Sandbox::start(Chain::at_114926(), |config| {
        config.public_url = Some("http://here/submit".to_owned());
    })
    .await;
    let reason = sandbox.handler.health().state().reason.unwrap();
    assert!(reason.contains("http://here/submit is not in the pool's submitBlockUrls"), "{reason}");
    accepted(&sandbox.send(Post::ordinary().request()).await);
}

#[tokio::test]
async fn a_handler_of_which_any_part_dies_ends_and_another_goes_on() {
    let mut sandbox = Sandbox::start(Chain::of_submit_cases(), |_| {}).await;
    for part in sandbox.handler.parts.names() {
        sandbox.handler.parts.kill(part);
        sandbox.handler.parts.stop().cancelled().await;
        sandbox = sandbox.restart().await;
    }
    sandbox.handler.outbox.kill_writer();
    sandbox.handler.parts.stop().cancelled().await;
    sandbox.restart().await;
}

#[test]
fn recorded_signatures_come_out_again() {
    let recorded = read("pool/blkhandler/signed.json");
    let seed = PrivateSeed::new(recorded["privateSeed"].as_str().unwrap());
    for case in recorded["cases"].as_array().unwrap() {
        let post = SharePost::parse(case["request"].to_string().as_bytes()).unwrap();
        match signatures(seed.as_ref(), &post.proof) {
            Ok(signatures) => {
                let mut end = vec![2];
                wire::var_int::write(&mut end, 64 * signatures.len() as u64);
                for signature in signatures {
                    end.extend(signature.0);
                }
                end.extend([0, 0]);
                let recorded = case["hexblock_after_header_and_proof"].as_str().unwrap();
                assert!(recorded.starts_with(&hex::encode(end)), "{}", case["name"]);
            }
            Err(refusal) => {
                assert_eq!(
                    (case["name"].as_str(), refusal.code()),
                    (Some("wrong_key"), "invalid_signing_key")
                );
            }
        }
        let refusal = signatures(None, &post.proof).unwrap_err();
        assert_eq!(refusal.code(), "signing_key_not_configured");
    }
}
