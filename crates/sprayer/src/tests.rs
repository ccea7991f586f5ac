//! Sprayers on loopback, with plain sockets as their subscribers and sources.

use wire::sprayer::{Datagram, Record};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn announcements(range: std::ops::Range<u8>) -> Vec<Announcement> {
    range.map(|number| Announcement::from([number; 1024])).collect()
}

fn start(config: SprayerConfig, shutdown: &CancellationToken) -> Sprayer {
    Sprayer::start(config, Figures::default(), None, shutdown).unwrap().0
}

/// A socket that has sent a subscription, which the sprayer has taken or refused.
async fn subscriber(sprayer: &Sprayer, password: &str) -> UdpSocket {
    let refused_before = sprayer.shared.figures.refused.get();
    let socket = UdpSocket::bind(loopback()).await.unwrap();
    socket.send_to(&Subscription::new(password).to_datagram(), sprayer.address()).await.unwrap();
    let address = socket.local_addr().unwrap();
    for _ in 0..1000 {
        let known = sprayer.shared.subscribers().addresses(Instant::now()).contains(&address);
        if known || sprayer.shared.figures.refused.get() > refused_before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    socket
}

/// The first byte of each announcement that arrives, until there are `count`.
async fn receive_some(socket: &UdpSocket, count: usize) -> Vec<u8> {
    let (mut arrived, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    while arrived.len() < count {
        let length =
            tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("announcements").unwrap();
        arrived.extend(
            Datagram::split(&buffer[..length]).records().map(|record| record.announcement.as_bytes()[0]),
        );
    }
    arrived
}

#[tokio::test]
async fn r_s1_a_trickle_is_delivered_without_waiting_for_more() {
    let shutdown = CancellationToken::new();
    let sprayer = start(SprayerConfig::new(loopback(), "word"), &shutdown);
    let socket = subscriber(&sprayer, "word").await;
    sprayer.spray(announcements(5..6));
    assert_eq!(receive_some(&socket, 1).await, [5]);
}

#[tokio::test]
async fn r_s3_a_wrong_password_gets_nothing() {
    let shutdown = CancellationToken::new();
    let sprayer = start(SprayerConfig::new(loopback(), "word"), &shutdown);
    subscriber(&sprayer, "guess").await;
    assert_eq!(sprayer.shared.figures.refused.get(), 1);
    assert!(sprayer.shared.subscribers().addresses(Instant::now()).is_empty());
}

#[tokio::test]
async fn r_s3_only_allowed_networks_may_subscribe() {
    let shutdown = CancellationToken::new();
    let networks = vec!["10.0.0.0/8".parse().unwrap()];
    let config = SprayerConfig { subscriber_networks: networks, ..SprayerConfig::new(loopback(), "word") };
    let sprayer = start(config, &shutdown);
    subscriber(&sprayer, "word").await;
    assert_eq!(sprayer.shared.figures.refused.get(), 1);
}

#[tokio::test]
async fn r_s3_an_empty_password_must_be_meant() {
    let shutdown = CancellationToken::new();
    let config = SprayerConfig::new(loopback(), "");
    let outcome = Sprayer::start(config.clone(), Figures::default(), None, &shutdown);
    assert!(matches!(outcome, Err(SprayerError::NoPassword { .. })));
    let sprayer = start(SprayerConfig { empty_password_allowed: true, ..config }, &shutdown);
    subscriber(&sprayer, "").await;
    assert_eq!(sprayer.shared.subscribers().addresses(Instant::now()).len(), 1);
}

#[tokio::test]
async fn many_records_to_the_own_address_travel_together() {
    let shutdown = CancellationToken::new();
    let sprayer = start(SprayerConfig::new(loopback(), "word"), &shutdown);
    let socket = subscriber(&sprayer, "word").await;
    sprayer.spray(announcements(0..70));
    let mut buffer = vec![0; 1 << 16];
    let lengths = [socket.recv(&mut buffer).await.unwrap(), socket.recv(&mut buffer).await.unwrap()];
    assert_eq!(lengths, [63 * RECORD_SIZE, 7 * RECORD_SIZE]);
}

#[tokio::test]
async fn a_relay_passes_on_what_its_source_sends_and_nobody_else() {
    let shutdown = CancellationToken::new();
    let source = start(SprayerConfig::new(loopback(), "word"), &shutdown);
    let config =
        SprayerConfig { subscribe_to: vec![source.address()], ..SprayerConfig::new(loopback(), "word") };
    let (sender, mut received) = mpsc::channel(8);
    let (relay, _) = Sprayer::start(config, Figures::default(), Some(sender), &shutdown).unwrap();
    let socket = subscriber(&relay, "word").await;
    while source.shared.subscribers().addresses(Instant::now()).is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // A stranger's records are not taken.
    let mut record = 0u64.to_le_bytes().to_vec();
    record.extend([99; 1024]);
    socket.send_to(&record, relay.address()).await.unwrap();
    while relay.shared.figures.foreign.get() == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    source.spray(announcements(1..3));
    assert_eq!(receive_some(&socket, 2).await, [1, 2]);
    assert_eq!(received.recv().await.unwrap().bytes[0], 1);
}

#[tokio::test]
async fn r_s2_what_comes_round_again_is_not_passed_on() {
    let shutdown = CancellationToken::new();
    let first = start(SprayerConfig::new(loopback(), "word"), &shutdown);
    let config =
        SprayerConfig { subscribe_to: vec![first.address()], ..SprayerConfig::new(loopback(), "word") };
    let second = start(config, &shutdown);
    let socket = subscriber(&second, "word").await;
    while first.shared.subscribers().addresses(Instant::now()).is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    first.spray(announcements(1..2));
    assert_eq!(receive_some(&socket, 1).await, [1]);
    first.spray(announcements(1..3));
    assert_eq!(receive_some(&socket, 1).await, [2]);
    assert_eq!(second.shared.figures.repeated.get(), 1);
}

#[tokio::test]
async fn two_sprayers_that_subscribe_to_each_other_circulate_nothing() {
    let shutdown = CancellationToken::new();
    // The second one's address must be known before it exists.
    let reserved = std::net::UdpSocket::bind(loopback()).unwrap();
    let second_address = reserved.local_addr().unwrap();
    drop(reserved);
    let config =
        |bind, other| SprayerConfig { subscribe_to: vec![other], ..SprayerConfig::new(bind, "word") };
    let first = start(config(loopback(), second_address), &shutdown);
    let second = start(config(second_address, first.address()), &shutdown);
    while [&first, &second].iter().any(|one| one.shared.subscribers().addresses(Instant::now()).is_empty()) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let socket = subscriber(&first, "word").await;
    first.spray(announcements(1..4));
    assert_eq!(receive_some(&socket, 3).await, [1, 2, 3]);
    // They come back once from the second one, and then no more.
    assert_eq!(receive_some(&socket, 3).await, [1, 2, 3]);
    while second.shared.figures.repeated.get() < 3 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!((first.shared.figures.received.get(), second.shared.figures.received.get()), (3, 6));
}

/// A record with each of these numbers, in a datagram.
fn datagram(counters: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for counter in counters {
        Record { counter, announcement: Announcement::from_bytes(&[counter as u8; 1024]) }.write(&mut bytes);
    }
    bytes
}

#[tokio::test]
async fn what_a_source_sends_reaches_the_taker_and_what_is_missing_is_counted() {
    let (shutdown, source) = (CancellationToken::new(), UdpSocket::bind(loopback()).await.unwrap());
    let config = SprayerConfig {
        subscribe_to: vec![source.local_addr().unwrap()],
        ..SprayerConfig::new(loopback(), "s3cret")
    };
    let (sender, mut arrivals) = mpsc::channel(16);
    let (sprayer, _) = Sprayer::start(config, Figures::default(), Some(sender), &shutdown).unwrap();
    let mut buffer = [0; 2048];
    let (length, from) = source.recv_from(&mut buffer).await.unwrap();
    assert_eq!(from, sprayer.address());
    let subscription = Datagram::split(&buffer[..length]).subscription().unwrap().unwrap();
    assert_eq!(subscription.password, "s3cret");
    // One record, many in a datagram, records with a subscription behind them, and a gap.
    for bytes in [
        datagram([0]),
        datagram(1..=8),
        [datagram([9]), subscription.to_datagram()].concat(),
        datagram([4000]),
    ] {
        source.send_to(&bytes, sprayer.address()).await.unwrap();
    }
    let mut received = Vec::new();
    while received.len() < 11 {
        let arrival = tokio::time::timeout(PATIENCE, arrivals.recv()).await.expect("in time").unwrap();
        received.extend(arrival.bytes.chunks(1024).map(|announcement| announcement[0]));
    }
    received.sort_unstable();
    assert_eq!(received, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 4000u64 as u8]);
    // 1014 of the first 1024 and all of the second are missing; later ones may still come.
    assert_eq!(sprayer.shared.figures.lost.get(), 2038);
}

#[tokio::test]
async fn noise_is_counted_and_ends_nothing() {
    let shutdown = CancellationToken::new();
    let sprayer = start(SprayerConfig::new(loopback(), "word"), &shutdown);
    let socket = UdpSocket::bind(loopback()).await.unwrap();
    for noise in [&b""[..], b"{", &[0xff; 1031], &[0; 1500]] {
        socket.send_to(noise, sprayer.address()).await.unwrap();
    }
    while sprayer.shared.figures.refused.get() < 3 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let socket = subscriber(&sprayer, "word").await;
    sprayer.spray(announcements(8..9));
    assert_eq!(receive_some(&socket, 1).await, [8]);
}

/// Time stands still as long as anything is to be done; a sprayer that polled would keep this test from ending.
#[tokio::test(start_paused = true)]
async fn r_s5_a_sprayer_without_subscribers_waits_without_a_clock() {
    let shutdown = CancellationToken::new();
    let sprayer = start(SprayerConfig::new(loopback(), "word"), &shutdown);
    tokio::time::sleep(Duration::from_hours(24 * 365)).await;
    sprayer.spray(announcements(1..2));
    assert_eq!(sprayer.shared.figures.sent.get(), 0);
}
