//! From a message to everybody who is to be told: joined, queued, and repeated until it is taken.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Channel, Notice};
use crate::backoff::Backoff;
use crate::metrics::Metrics;
use crate::monitor::{Message, Severity};
use crate::site::facts::Moment;

/// Messages that wait for one destination.
const QUEUE: usize = 256;
/// Messages that become one notice.
const MOST: usize = 20;
/// How long a notice waits for messages that belong to it.
const JOIN: Duration = Duration::from_millis(1500);
/// Between two attempts: at first, and at most.
const WAITS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(900)];
/// Attempts: with those waits, more than two hours.
const ATTEMPTS: u32 = 16;

/// A channel, and what is worth telling there.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Its name in logs and figures.
    pub name: String,
    /// The channel.
    pub channel: Channel,
    /// Only what matters at least so much.
    pub least: Severity,
}

/// Tells everybody. It ends after the stop signal.
pub struct Notifier {
    queues: Vec<(Severity, mpsc::Sender<Message>)>,
    dropped: Counter,
    delivering: JoinSet<()>,
}

impl Notifier {
    /// Starts a delivery for each destination.
    pub fn start(
        pool: &str,
        destinations: Vec<Destination>,
        http: &reqwest::Client,
        metrics: &Metrics,
        shutdown: &CancellationToken,
    ) -> Self {
        let metrics = metrics.for_role("monitor", "");
        let mut delivering = JoinSet::new();
        let mut queues = Vec::new();
        for destination in destinations {
            let (sender, queue) = mpsc::channel(QUEUE);
            queues.push((destination.least, sender));
            let of_destination = metrics.with_label("destination", &destination.name);
            let delivery = Delivery {
                pool: pool.to_owned(),
                destination,
                http: http.clone(),
                waits: WAITS,
                delivered: of_destination.counter("notices_delivered", "Notices that were taken"),
                failed: of_destination.counter("notice_failures", "Attempts to deliver a notice that failed"),
                lost: of_destination.counter("notices_lost", "Notices that nobody took in the end"),
            };
            let shutdown = shutdown.clone();
            delivering.spawn(async move {
                shutdown.run_until_cancelled(delivery.run(queue)).await;
            });
        }
        let dropped =
            metrics.counter("monitor_messages_dropped", "Messages that found no room on their way to people");
        Self { queues, dropped, delivering }
    }

    /// Tells a message to everybody whom it concerns. What finds no room is dropped, and counted.
    pub fn tell(&self, message: &Message) {
        for (_, queue) in self.queues.iter().filter(|(least, _)| message.severity >= *least) {
            if queue.try_send(message.clone()).is_err() {
                self.dropped.inc();
                tracing::error!(%message, "found no room on its way to people");
            }
        }
    }

    /// Returns when all has ended after the stop signal.
    pub async fn stopped(mut self) {
        while self.delivering.join_next().await.is_some() {}
    }
}

/// What one destination is told.
struct Delivery {
    pool: String,
    destination: Destination,
    http: reqwest::Client,
    waits: [Duration; 2],
    delivered: Counter,
    failed: Counter,
    lost: Counter,
}

impl Delivery {
    async fn run(self, mut queue: mpsc::Receiver<Message>) {
        while let Some(first) = queue.recv().await {
            tokio::time::sleep(JOIN).await;
            let mut messages = vec![first];
            while messages.len() < MOST
                && let Ok(message) = queue.try_recv()
            {
                messages.push(message);
            }
            let notice = Notice { pool: self.pool.clone(), at: Moment::now(), messages };
            self.deliver(&notice).await;
        }
    }

    async fn deliver(&self, notice: &Notice) {
        let name = &self.destination.name;
        let mut backoff = Backoff::new(self.waits[0], self.waits[1]);
        for attempt in 1..=ATTEMPTS {
            let Err(fault) = self.destination.channel.send(&self.http, notice).await else {
                self.delivered.inc();
                return;
            };
            self.failed.inc();
            if !fault.may_pass() {
                tracing::error!(destination = name, %fault, "a notice is not taken");
                break;
            }
            tracing::warn!(destination = name, attempt, %fault, "a notice is not taken yet");
            tokio::time::sleep(backoff.after_failure()).await;
        }
        self.lost.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake_server::FakeServer;
    use super::super::{SecretText, Webhook};
    use super::*;
    use crate::http_client;

    fn message(text: &str, severity: Severity) -> Message {
        Message { subject: "master".to_owned(), severity, resolved: false, text: text.to_owned() }
    }

    fn destination(server: &FakeServer, least: Severity) -> Destination {
        let url = SecretText::new(&server.url("/hook"));
        Destination {
            name: "main".to_owned(),
            channel: Channel::Webhook(Webhook { url, secret: None }),
            least,
        }
    }

    fn texts(body: &[u8]) -> Vec<String> {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        let messages = body["messages"].as_array().unwrap();
        messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn what_comes_together_is_told_together_to_those_whom_it_concerns() {
        let (all, grave) = (FakeServer::start(200).await, FakeServer::start(200).await);
        let destinations = vec![destination(&all, Severity::Info), destination(&grave, Severity::Critical)];
        let (http, stop) = (http_client::client().unwrap(), CancellationToken::new());
        let notifier = Notifier::start("Pool", destinations, &http, &Metrics::new(), &stop);
        notifier.tell(&message("one", Severity::Warning));
        notifier.tell(&message("two", Severity::Critical));
        assert_eq!(texts(&all.next().await.body), ["one", "two"]);
        assert_eq!(texts(&grave.next().await.body), ["two"]);
        stop.cancel();
        notifier.stopped().await;
        assert!(all.taken().is_none());
    }

    fn delivery(server: &FakeServer, metrics: &Metrics) -> Delivery {
        Delivery {
            pool: "Pool".to_owned(),
            destination: destination(server, Severity::Info),
            http: http_client::client().unwrap(),
            waits: [Duration::from_millis(1); 2],
            delivered: metrics.counter("notices_delivered", "taken"),
            failed: metrics.counter("notice_failures", "failed"),
            lost: metrics.counter("notices_lost", "lost"),
        }
    }

    fn notice() -> Notice {
        let messages = vec![message("one", Severity::Critical)];
        Notice { pool: "Pool".to_owned(), at: Moment(0), messages }
    }

    #[tokio::test]
    async fn a_notice_is_repeated_until_it_is_taken() {
        let (server, metrics) = (FakeServer::start(503).await, Metrics::new());
        let delivering = delivery(&server, &metrics.for_role("monitor", ""));
        let running = tokio::spawn(async move { delivering.deliver(&notice()).await });
        server.next().await;
        server.next().await;
        server.answer(200);
        running.await.unwrap();
        let text = metrics.text();
        assert!(text.contains("headframe_notices_delivered_total{role=\"monitor\"} 1\n"), "{text}");
        assert!(text.contains("headframe_notices_lost_total{role=\"monitor\"} 0\n"), "{text}");
    }

    #[tokio::test]
    async fn a_notice_that_nobody_will_ever_take_is_given_up() {
        let (server, metrics) = (FakeServer::start(404).await, Metrics::new());
        delivery(&server, &metrics.for_role("monitor", "")).deliver(&notice()).await;
        server.answer(500);
        delivery(&server, &metrics.for_role("monitor", "")).deliver(&notice()).await;
        let text = metrics.text();
        assert!(
            text.contains(&format!("headframe_notice_failures_total{{role=\"monitor\"}} {}\n", 1 + ATTEMPTS)),
            "{text}"
        );
        assert!(text.contains("headframe_notices_lost_total{role=\"monitor\"} 2\n"), "{text}");
    }
}
