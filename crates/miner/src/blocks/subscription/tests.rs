//! A subscription to a sender that does what a sprayer does.

use packetcrypt::Announcement;
use tokio_util::sync::DropGuard;
use wire::sprayer::Record;

use super::*;

struct Setup {
    sprayer: UdpSocket,
    subscriber: SocketAddr,
    arrivals: mpsc::Receiver<Arrival>,
    totals: Arc<ArrivalTotals>,
    _guard: DropGuard,
}

async fn setup() -> Setup {
    let sprayer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let bind = "127.0.0.1:0".parse().unwrap();
    let source =
        SprayerSource::new(vec![sprayer.local_addr().unwrap()], bind, "s3cret".into(), None).unwrap();
    let subscription = SprayerSubscription::open(source).unwrap();
    let subscriber = subscription.local_address().unwrap();
    let (sender, arrivals) = mpsc::channel(16);
    let (totals, shutdown) = (Arc::default(), CancellationToken::new());
    tokio::spawn(subscription.run(sender, Arc::clone(&totals), shutdown.clone()));
    Setup { sprayer, subscriber, arrivals, totals, _guard: shutdown.drop_guard() }
}

fn datagram(counters: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for counter in counters {
        Record { counter, announcement: Announcement::from_bytes(&[counter as u8; 1024]) }.write(&mut bytes);
    }
    bytes
}

impl Setup {
    async fn send(&self, datagram: &[u8]) {
        self.sprayer.send_to(datagram, self.subscriber).await.unwrap();
    }

    /// The first byte of each announcement, until there are `count`.
    async fn receive(&mut self, count: usize) -> Vec<u8> {
        let mut received = Vec::new();
        while received.len() < count {
            let arrival = tokio::time::timeout(Duration::from_mins(1), self.arrivals.recv()).await;
            let bytes = arrival.expect("in time").expect("announcements").bytes;
            received.extend(bytes.chunks(1024).map(|announcement| announcement[0]));
        }
        received.sort_unstable();
        received
    }
}

#[tokio::test]
async fn a_subscription_is_sent_and_what_comes_is_taken() {
    let mut setup = setup().await;
    let mut buffer = [0; 2048];
    let (length, from) = setup.sprayer.recv_from(&mut buffer).await.unwrap();
    assert_eq!(from, setup.subscriber);
    let subscription = Datagram::split(&buffer[..length]).subscription().unwrap().unwrap();
    assert_eq!(subscription.password, "s3cret");
    // One record, many in a datagram, and records with a subscription behind them.
    setup.send(&datagram([0])).await;
    setup.send(&datagram(1..=8)).await;
    setup.send(&[datagram([9]), subscription.to_datagram()].concat()).await;
    assert_eq!(setup.receive(10).await, (0..10).collect::<Vec<u8>>());
    assert_eq!(setup.totals.now().lost_on_the_way, 0);
}

#[tokio::test]
async fn strangers_and_noise_are_ignored() {
    let mut setup = setup().await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    stranger.send_to(&datagram([77]), setup.subscriber).await.unwrap();
    for noise in [&b""[..], b"{}", &[0xff; 1031], &[b'{'; 3000]] {
        setup.send(noise).await;
    }
    setup.send(&datagram([5])).await;
    // 3000 bytes hold two records of noise, which are announcements as good as any for the receiver.
    assert_eq!(setup.receive(3).await, [5, b'{', b'{']);
}

fn lost(arrived: &mut Arrived, counters: impl IntoIterator<Item = u64>) -> u64 {
    counters.into_iter().map(|counter| arrived.record(counter)).sum()
}

#[test]
fn gaps_in_the_counters_are_losses_but_another_order_is_not() {
    let mut arrived = Arrived::default();
    // Two by two in the wrong order.
    assert_eq!(lost(&mut arrived, (0..10_000).map(|counter| counter ^ 1)), 0);
    // 500 are missing, which is known for sure two windows later.
    assert_eq!(lost(&mut arrived, 10_500..20_000), 500);
}

#[test]
fn what_was_sent_before_the_first_record_is_not_lost() {
    let mut arrived = Arrived::default();
    assert_eq!(lost(&mut arrived, 5_000_100..5_010_000), 0);
}

#[test]
fn a_sender_that_starts_anew_has_lost_nothing() {
    let mut arrived = Arrived::default();
    let counters = (5_000_000..5_005_000).chain(0..5000).chain([u64::MAX, 7, u64::MAX / 2]);
    assert_eq!(lost(&mut arrived, counters), 0);
}
