//! The doorkeeper as roles use it.

use super::*;

fn client(address: &str) -> Client {
    Client { address: address.parse().unwrap(), exempt: false }
}

fn invalid() -> Refusal {
    Refusal::InvalidShare { fault: "x".to_owned() }
}

fn strict() -> Admission {
    let config = AdmissionConfig {
        processor: 0.000_01,
        processor_at_once: 0.001,
        mistakes: 5,
        mistakes_per_minute: 1,
        exempt: vec!["198.51.100.0/24".parse().unwrap()],
        ..AdmissionConfig::default()
    };
    Admission::new(config, &Metrics::new())
}

#[test]
fn v5_a_client_may_spend_so_much_and_its_neighbourhood_more() {
    let admission = strict();
    let ask = |address: &str| admission.enter(client(address), Request::Share);
    assert!((0..10).all(|_| ask("192.0.2.1").is_ok()));
    assert!(matches!(ask("192.0.2.1"), Err(Refusal::TooManyRequests { retry_after_seconds: 10.. })));
    assert!(ask("192.0.2.2").is_ok(), "its neighbour");
    // What is left of the 160 that a /24 is granted.
    let granted = (3..=255).filter(|last| ask(&format!("192.0.2.{last}")).is_ok()).count();
    assert!((149..=150).contains(&granted), "{granted}");
    assert!(ask("192.0.3.1").is_ok(), "another neighbourhood");
}

#[test]
fn v5_what_is_granted_changes_from_one_request_to_the_next() {
    let admission = strict();
    let ask = || admission.enter(client("192.0.2.1"), Request::Share).is_ok();
    assert!((0..10).all(|_| ask()) && !ask());
    let exempt = vec!["192.0.2.0/24".parse().unwrap()];
    admission.grant(AdmissionConfig { exempt, ..AdmissionConfig::default() });
    assert!(ask());
    // Twice as much at once as in the beginning; what is owed stays owed.
    let twice =
        AdmissionConfig { processor_at_once: 0.002, processor: 0.000_01, ..AdmissionConfig::default() };
    admission.grant(twice);
    assert!((0..10).all(|_| ask()) && !ask());
}

#[test]
fn v5_who_is_exempt_is_neither_limited_nor_banned() {
    let admission = strict();
    let proxy = Client { address: "203.0.113.1".parse().unwrap(), exempt: true };
    for exempt in
        [proxy, client("127.0.0.1"), client("10.1.2.3"), client("198.51.100.7"), client("::ffff:10.0.0.1")]
    {
        for _ in 0..100 {
            assert!(admission.enter(exempt, Request::Share).is_ok());
            admission.refused(exempt, &invalid());
        }
        assert!(admission.ban(exempt, "x").is_none());
    }
    assert!(admission.holding().is_empty() && admission.buckets.count(admission.now()) == 0);
}

#[test]
fn v6_mistakes_are_forgiven_until_they_are_too_many() {
    let admission = strict();
    let miner = client("192.0.2.1");
    (0..5).for_each(|_| admission.refused(miner, &invalid()));
    assert!(admission.not_banned(miner).is_ok());
    // Late work, however much of it, is no mistake.
    (0..100).for_each(|_| admission.refused(miner, &Refusal::DuplicateShare));
    assert!(admission.not_banned(miner).is_ok());
    admission.refused(miner, &invalid());
    assert!(matches!(admission.not_banned(miner), Err(Refusal::Banned { retry_after_seconds: 590..=600 })));
    assert!(admission.not_banned(client("192.0.2.2")).is_ok(), "its neighbour");
    let [ban] = &admission.holding()[..] else { panic!("one ban") };
    assert_eq!((ban.subject.to_string().as_str(), ban.reason.as_str()), ("192.0.2.1", "invalid_share"));
}

#[test]
fn v6_good_work_makes_up_for_mistakes() {
    let admission = strict();
    let miner = client("2001:db8::1");
    for _ in 0..1000 {
        admission.refused(miner, &invalid());
        admission.accepted(client("2001:db8::2"));
    }
    assert!(admission.not_banned(miner).is_ok());
}

#[test]
fn a_payee_pays_for_what_was_accepted_and_is_banned_by_the_operator_only() {
    let (admission, allowance) = (strict(), Allowance::new(2.0, 0.001));
    (0..3).for_each(|_| admission.charge_payee(Counted::Ungrouped, b"script", allowance, 1.0));
    assert!(admission.debt_of_payee(Counted::Ungrouped, b"script", allowance).is_some());
    assert!(admission.debt_of_payee(Counted::Ungrouped, b"other", allowance).is_none());
    let payee = "pkt1q5lhplx6swyfq6h7202u6lmfhw3ey26d7m5qm9w";
    let ban = Ban::by_operator(payee.parse().unwrap(), "asked", unix_now(), Duration::from_mins(1));
    assert!(admission.adopt(ban));
    assert!(admission.payee_not_banned(&payee).is_err());
    assert!(admission.lift(&payee.parse().unwrap()).is_some());
    assert!(admission.payee_not_banned(&payee).is_ok());
}

#[tokio::test]
async fn v6_bans_outlive_a_restart_and_can_be_lifted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bans");
    let open = || Arc::new(Admission::open(AdmissionConfig::default(), &path, &Metrics::new()).unwrap());
    let first = open();
    first.ban(client("192.0.2.1"), "invalid_share").unwrap();
    first.ban(client("2001:db8::1"), "invalid_share").unwrap();
    // As a process that is killed: nothing is closed.
    let second = open();
    assert!(
        second.not_banned(client("192.0.2.1")).is_err() && second.not_banned(client("2001:db8::9")).is_err()
    );
    second.lift(&"192.0.2.1".parse().unwrap()).unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    second.keep(stop).await;
    let third = open();
    assert_eq!(third.holding().len(), 1);
    assert!(third.not_banned(client("192.0.2.1")).is_ok());
}

#[test]
fn figures_show_what_there_is() {
    let metrics = Metrics::new();
    let admission = Admission::new(AdmissionConfig::default(), &metrics);
    admission.enter(client("192.0.2.1"), Request::Look).unwrap();
    admission.refused(client("192.0.2.1"), &invalid());
    admission.ban(client("192.0.2.1"), "x");
    admission.tidy();
    let text = metrics.text();
    for name in ["headframe_mistakes_total", "headframe_bans_total", "headframe_bans_holding"] {
        assert!(text.contains(&format!("{name}{{role=\"admission\"}} 1\n")), "{name}: {text}");
    }
}
