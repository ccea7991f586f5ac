//! What miners must not get away with: each is told the reason of the specification, counted, and not credited.

use nimiq::hash::blake2b_256;
use nimiq::merkle::{Sibling, Side};
use nimiq::share::SmartShare;
use nimiq::{
    AccountsHash, Address, BlockHash, ExtraData, Header, InterlinkHash, MerkleHash, MerklePath, Network,
};
use tokio_tungstenite::tungstenite::Message;
use wire::nimiq::{ClientMessage, Mode, Share};

use super::stand::{Miner, Stand, mined, share_target};
use crate::admission::Subject;
use crate::nimiq::server::AdmissionLimits;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_ends_the_connection_without_a_word() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let large = format!(r#"{{"message":"register","x":"{}"}}"#, "x".repeat(300 << 10));
    let bad = [
        Message::text("{nope"),
        Message::text("[]"),
        Message::text(r#"{"message":"register","mode":"turbo"}"#),
        Message::text(large),
        Message::binary(vec![1, 2, 3]),
    ];
    for message in &bad {
        let mut miner = Miner::connect(&server).await;
        miner.send_raw(message.clone()).await;
        miner.hear_the_end().await;
        assert_eq!(miner.errors, Vec::<String>::new(), "{message:.60?}");
    }
    for message in
        [r#"{"message":"share","block":"?"}"#, r#"{"message":"dance"}"#, r#"{"message":"share","nonce":1}"#]
    {
        let mut miner = Miner::register(&server, Mode::Smart).await;
        miner.send(message).await;
        miner.hear_the_end().await;
        assert_eq!(miner.errors, Vec::<String>::new(), "{message}");
    }
    assert!(server.refusals("malformed") >= 6);
    stand.credited(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_register_as_it_should_is_told_why() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let mut miner = Miner::connect(&server).await;
    miner.send(r#"{"message":"share","nonce":1}"#).await;
    assert_eq!(miner.hear_error().await, "registration required");
    miner.hear_the_end().await;
    let mut miner = Miner::connect(&server).await;
    let mut stranger = miner.registration(Mode::Nano);
    stranger.genesis_hash = Network::Main.genesis_hash();
    miner.say(&ClientMessage::Register(stranger)).await;
    assert_eq!(miner.hear_error().await, "different genesis block");
    miner.hear_the_end().await;
    let mut miner = Miner::register(&server, Mode::Nano).await;
    miner.say(&ClientMessage::Register(miner.registration(Mode::Nano))).await;
    assert_eq!(miner.hear_error().await, "already registered");
    let share = miner.mine(&stand.chain, 0);
    miner.share(share).await;
    stand.credited(1).await;
    assert_eq!(server.refusals("registration_required"), 1);
    assert_eq!(server.refusals("different_genesis"), 1);
}

/// A smart share changed by somebody who wants more than is due.
fn changed(miner: &Miner, stand: &Stand, change: impl FnOnce(&mut SmartShare)) -> Share {
    let Share::Smart(mut share) = miner.mine(&stand.chain, 0) else { panic!("a smart share") };
    change(&mut share);
    let target = share_target(miner.settings.as_ref().unwrap().target_compact);
    share.header = mined(share.header, 0, |proof| target.is_met_by(proof));
    Share::Smart(share)
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_that_are_none_are_refused_with_their_reasons() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let mut miner = Miner::register(&server, Mode::Smart).await;
    let settings = miner.settings.clone().unwrap();
    let mut reasons = Vec::new();
    // Pays somebody else; carries somebody else's extra data.
    for (payee, extra_data) in
        [(miner.address(), settings.extra_data.clone()), (Stand::pool(), nimiq::ExtraData::cut(b"mine"))]
    {
        let body = stand.chain.template(payee, extra_data).body;
        let share = changed(&miner, &stand, |share| {
            share.header.body_hash = body.hash();
            (share.miner_proof, share.extra_data_proof) = (body.miner_proof(), body.extra_data_proof());
        });
        miner.share(share).await;
        reasons.push(miner.hear_error().await);
    }
    let share = changed(&miner, &stand, |share| share.header.previous = BlockHash([9; 32]));
    miner.share(share).await;
    reasons.push(miner.hear_error().await);
    let share = changed(&miner, &stand, |share| share.header.timestamp.0 += 3600);
    miner.share(share).await;
    reasons.push(miner.hear_error().await);
    let Share::Smart(mut weak) = miner.mine(&stand.chain, 0) else { panic!("a smart share") };
    let target = share_target(settings.target_compact);
    weak.header = mined(weak.header, 0, |proof| !target.is_met_by(proof));
    // Only what has cost a proof of work is remembered: the same again is no duplicate.
    for _ in 0..2 {
        miner.share(Share::Smart(weak.clone())).await;
        reasons.push(miner.hear_error().await);
    }
    let expected = [
        "invalid share: miner address mismatch",
        "invalid share: extra data mismatch",
        "invalid share: bad prev",
        "invalid share: bad timestamp",
        "invalid share: invalid pow",
        "invalid share: invalid pow",
    ];
    assert_eq!(reasons, expected);
    // That was one more than is allowed.
    miner.hear_the_end().await;
    assert_eq!(server.refusals("invalid_pow"), 2);
    assert_eq!(server.refusals("bad_timestamp"), 1);
    let of_mode = r#"headframe_nimiq_shares_refused_total{role="nimiq_server",name="main",mode="MODE",reason="invalid_pow"}"#;
    assert_eq!(server.figure(&of_mode.replace("MODE", "smart")), 2);
    stand.credited(0).await;
}

/// A change to a header, what is said to it, and the code under which it counts.
type Wrong = (fn(&mut Header), &'static str, &'static str);
/// A share, what is said to it, the code under which it counts, and where it comes from.
type Banned = (fn(&Miner, &Stand) -> Share, &'static str, &'static str, &'static str);

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_do_not_follow_from_the_head_or_the_work_are_refused() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let wrong: [Wrong; 3] = [
        (|header| header.height = header.height.next(), "invalid share: bad prev", "bad_prev"),
        (|header| header.target.0 -= 1, "invalid share: bad prev", "bad_prev"),
        (
            |header| header.interlink_hash = InterlinkHash([9; 32]),
            "invalid share: bad interlink",
            "bad_interlink",
        ),
    ];
    for (change, reason, code) in wrong {
        let mut miner = Miner::register(&server, Mode::Smart).await;
        let before = server.refusals(code);
        let share = changed(&miner, &stand, |share| change(&mut share.header));
        miner.share(share).await;
        assert_eq!(miner.hear_error().await, reason);
        assert_eq!(server.refusals(code), before + 1);
    }
    let mut miner = Miner::register(&server, Mode::Nano).await;
    let Share::Nano(mut share) = miner.mine(&stand.chain, 0) else { panic!("a nano share") };
    share.block.header.accounts_hash = AccountsHash([9; 32]);
    miner.share(Share::Nano(share)).await;
    assert_eq!(miner.hear_error().await, "invalid share: wrong accounts hash");
    assert_eq!(server.refusals("wrong_accounts_hash"), 1);
    // A head that has passed is no error, however often.
    let mut miner = Miner::register(&server, Mode::Smart).await;
    let shares: Vec<_> = (0..10).map(|number| miner.mine(&stand.chain, number * 100_000)).collect();
    stand.chain.extend(Address([8; 20]), 1).unwrap();
    server.works_on(stand.chain.head().height).await;
    for share in shares {
        miner.share(share).await;
        assert_eq!(miner.hear_error().await, "share expired");
    }
    assert_eq!(server.refusals("share_expired"), 10);
    stand.credited(0).await;
}

/// The forgery of `docs/protocol/nimiq-pool.md` 5.1: the extra data is the pair of hashes that the pool expects as leaves,
/// in a body that pays somebody else.
fn forged(miner: &Miner, stand: &Stand) -> Share {
    let settings = miner.settings.as_ref().unwrap();
    let leaf = |bytes: &[u8]| MerkleHash(blake2b_256(&[bytes]));
    let (pool, extra_data) = (leaf(&settings.address.0), leaf(settings.extra_data.as_bytes()));
    let hidden = ExtraData::cut(&[pool.0, extra_data.0].concat());
    let body = stand.chain.template(miner.address(), hidden).body;
    let under = |side, hash| {
        let mut siblings = vec![Sibling { side, hash }];
        siblings.extend(body.extra_data_proof().siblings());
        MerklePath::new(siblings).unwrap()
    };
    changed(miner, stand, |share| {
        share.header.body_hash = body.hash();
        share.miner_proof = under(Side::Right, extra_data);
        share.extra_data_proof = under(Side::Left, pool);
    })
}

/// A good share that comes with another block.
fn with_another_block(miner: &Miner, stand: &Stand) -> Share {
    let Share::Smart(mut share) = miner.mine(&stand.chain, 0) else { panic!("a smart share") };
    let template = stand.chain.template(Stand::pool(), ExtraData::cut(b"another"));
    share.block = Some(template.block(share.header.timestamp, 0).to_bytes());
    Share::Smart(share)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_honest_client_sends_is_a_ban() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let cases: [Banned; 2] = [
        (forged, "invalid share: miner address mismatch", "forged_proof", "192.0.2.11"),
        (with_another_block, "invalid block", "invalid_block", "192.0.2.12"),
    ];
    for (share, reason, code, from) in cases {
        let mut miner = Miner::try_connect(&server, from, None).await.unwrap();
        miner.send_register(Mode::Smart).await;
        miner.share(share(&miner, &stand)).await;
        miner.hear_the_end().await;
        assert_eq!(miner.errors, [reason]);
        assert_eq!(server.refusals(code), 1);
        assert!(Miner::try_connect(&server, from, None).await.is_err(), "{code} is a ban");
    }
    assert!(Miner::try_connect(&server, "192.0.2.13", None).await.is_ok());
    stand.credited(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_duplicate_is_a_ban_for_the_address_and_not_for_others() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let mut miner = Miner::try_connect(&server, "192.0.2.1", None).await.unwrap();
    miner.send_register(Mode::Nano).await;
    let share = miner.mine(&stand.chain, 0);
    for _ in 0..3 {
        miner.share(share.clone()).await;
    }
    miner.hear_the_end().await;
    assert_eq!(miner.errors, ["submitted share twice", "submitted share twice"]);
    stand.credited(1).await;
    assert!(Miner::try_connect(&server, "192.0.2.1", None).await.is_err());
    assert!(Miner::try_connect(&server, "192.0.2.2", None).await.is_ok());
    server.stop().await;
    // Bans outlive the server.
    let restarted = stand.start().await;
    assert!(Miner::try_connect(&restarted, "192.0.2.1", None).await.is_err());
    assert_eq!(restarted.refusals("banned"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_of_another_connection_is_worth_nothing() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    for (mode, reason) in
        [(Mode::Smart, "invalid share: extra data mismatch"), (Mode::Nano, "invalid share: wrong body hash")]
    {
        let (owner, mut thief) = (Miner::register(&server, mode).await, Miner::register(&server, mode).await);
        thief.share(owner.mine(&stand.chain, 0)).await;
        assert_eq!(thief.hear_error().await, reason);
    }
    stand.credited(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_silent_has_to_go() {
    let stand = Stand::new().await;
    let mut config = stand.config("main");
    config.times.register = std::time::Duration::from_millis(300);
    let server = stand.start_with(config, None).await;
    Miner::connect(&server).await.hear_the_end().await;
    server.has_closed("not_registered").await;
    server.stop().await;
    let mut config = stand.config("main");
    config.times.silence = std::time::Duration::from_millis(900);
    let server = stand.start_with(config, None).await;
    Miner::register(&server, Mode::Smart).await.hear_the_end().await;
    server.has_closed("silent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_none_of_the_answers_is_cut_off() {
    let mut stand = Stand::new().await;
    stand.limits.write_time = std::time::Duration::from_millis(300);
    let server = stand.start().await;
    let mut miner = Miner::register(&server, Mode::Smart).await;
    // Each is answered, until the answers fill what lies between the two.
    let again = ClientMessage::Register(miner.registration(Mode::Smart));
    miner.send_without_end(&again).await;
    assert!(server.refusals("already_registered") > 100);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_of_one_address_are_told_so() {
    let stand = Stand::new().await;
    let payee = Miner::connect(&stand.start().await).await.address();
    let mut config = stand.config("limited");
    let banned = vec!["198.51.100.0/24".parse().unwrap(), Subject::Payee(payee.to_string())];
    config.limits = AdmissionLimits { open: 2, banned, ..AdmissionLimits::default() };
    let server = stand.start_with(config, None).await;
    let connect = |from: &'static str| Miner::try_connect(&server, from, None);
    let (_one, _two) = (connect("192.0.2.1").await.unwrap(), connect("192.0.2.1").await.unwrap());
    let mut third = connect("192.0.2.1").await.unwrap();
    assert_eq!(third.hear_error().await, "too many consecutive or total connections per IP");
    third.hear_the_end().await;
    assert!(connect("198.51.100.7").await.is_err());
    let mut unwanted = connect("192.0.2.2").await.unwrap();
    unwanted.say(&ClientMessage::Register(unwanted.registration(Mode::Smart))).await;
    assert_eq!(unwanted.hear_error().await, "Banned");
    unwanted.hear_the_end().await;
}
