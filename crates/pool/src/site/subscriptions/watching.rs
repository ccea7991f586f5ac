//! Rounds over all addresses with a subscription: whose work has stopped, and whose is back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::store::Subscription;
use super::target::TargetKind;
use super::{Subscriptions, Target, mail};
use crate::monitor::alarm::Alarm;
use crate::monitor::{Message, Severity};
use crate::notify::{Channel, Notice, Ntfy, SecretText, Webhook};
use crate::site::Facts;
use crate::site::address::{self, MinerAddress};
use crate::site::facts::{MinerState, Moment};

/// Between the beginnings of two rounds.
const ROUND: Duration = Duration::from_secs(60);
/// Between two looks of a round: whoever answers has other work.
const PACE: Duration = Duration::from_millis(50);
/// Rounds in a row that must say the same.
const LOOKS: u32 = 2;
/// The least time between two messages to the same target.
const QUIET: Duration = Duration::from_secs(600);
/// Messages under way at once.
const UNDER_WAY: usize = 32;
/// Pauses before the second attempt and the third.
const WAITS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(60)];

type Key = (String, String);

impl Subscriptions {
    /// Watches until the stop signal.
    pub async fn watch(self: Arc<Self>, facts: Facts, shutdown: CancellationToken) {
        let mut watching = Watching::new(self);
        let rounds = async {
            let mut ticks = tokio::time::interval(ROUND);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                watching.round(&facts).await;
            }
        };
        shutdown.run_until_cancelled(rounds).await;
    }
}

struct Watching {
    subscriptions: Arc<Subscriptions>,
    alarms: BTreeMap<Key, Alarm>,
    sending: JoinSet<()>,
}

impl Watching {
    fn new(subscriptions: Arc<Subscriptions>) -> Self {
        Self { subscriptions, alarms: BTreeMap::new(), sending: JoinSet::new() }
    }

    async fn round(&mut self, facts: &Facts) {
        let all = self.subscriptions.with_store(|store| store.confirmed());
        let keys: BTreeSet<Key> = all.iter().map(key).collect();
        self.alarms.retain(|key, _| keys.contains(key));
        let mut by_address: BTreeMap<String, Vec<Subscription>> = BTreeMap::new();
        for subscription in all {
            by_address.entry(subscription.address.clone()).or_default().push(subscription);
        }
        let chains = facts.newest().chains();
        for (text, subscriptions) in by_address {
            tokio::time::sleep(PACE).await;
            // An address of a chain that is no longer mined here, or nobody answers: nothing is known of it.
            let Ok(address) = address::read(&text, &chains) else { continue };
            let Ok(miner) = facts.miner(&address).await else { continue };
            let arrives = matches!(miner.state, MinerState::Mining | MinerState::WarmingUp);
            for subscription in &subscriptions {
                self.look(&address, subscription, arrives, miner.last_seen, facts).await;
            }
        }
    }

    async fn look(
        &mut self,
        address: &MinerAddress,
        subscription: &Subscription,
        arrives: bool,
        last_seen: Option<Moment>,
        facts: &Facts,
    ) {
        let now = Instant::now();
        let alarm = self.alarms.entry(key(subscription));
        let alarm = alarm.or_insert_with(|| Alarm::resumed(now, subscription.stopped));
        alarm.look(now, !arrives, LOOKS);
        let Some(turn) = alarm.due(now, QUIET) else { return };
        if let Err(error) = self.subscriptions.with_store(|store| store.told(subscription, turn.bad)) {
            tracing::error!(%error, "subscriptions cannot be stored");
        }
        let Some(channel) = self.channel(subscription) else { return };
        let (mut message, pool) = (message(&subscription.address, turn.bad, last_seen), facts.newest());
        if subscription.target.kind == TargetKind::Email {
            message.text += &mail::how_to_end(address, subscription, &pool.identity.url);
        }
        let notice = Notice { pool: pool.identity.name.clone(), at: Moment::now(), messages: vec![message] };
        while self.sending.len() >= UNDER_WAY {
            self.sending.join_next().await;
        }
        let http = self.subscriptions.http.clone();
        self.sending.spawn(async move { deliver(&channel, &http, &notice).await });
    }
}

impl Watching {
    /// How somebody is told; `None` for e-mail where the pool sends none any more.
    fn channel(&self, subscription: &Subscription) -> Option<Channel> {
        let Target { kind, url } = &subscription.target;
        let text = SecretText::new(url);
        Some(match kind {
            TargetKind::Webhook => {
                let secret = Some(SecretText::new(&subscription.secret));
                Channel::Webhook(Webhook { url: text, secret })
            }
            TargetKind::Ntfy => Channel::Ntfy(Ntfy { url: text, token: None }),
            TargetKind::Email => self.subscriptions.mail.as_ref()?.channel(mail::read_address(url)?),
        })
    }
}

fn key(subscription: &Subscription) -> Key {
    let Target { kind, url } = &subscription.target;
    (subscription.address.clone(), format!("{} {url}", kind.name()))
}

fn message(address: &str, stopped: bool, last_seen: Option<Moment>) -> Message {
    let text = match (stopped, last_seen.and_then(|at| jiff::Timestamp::from_millisecond(at.0 as i64).ok())) {
        (false, _) => "your work arrives".to_owned(),
        (true, Some(at)) => format!("no work of yours has arrived for ten minutes; the last came at {at:.0}"),
        (true, None) => "no work of yours arrives any more".to_owned(),
    };
    Message { subject: address.to_owned(), severity: Severity::Warning, resolved: !stopped, text }
}

/// Three times at most: whoever subscribed can look at the pool.
pub(super) async fn deliver(channel: &Channel, http: &reqwest::Client, notice: &Notice) {
    for wait in WAITS.map(Some).into_iter().chain([None]) {
        let Err(fault) = channel.send(http, notice).await else { return };
        match wait {
            Some(wait) if fault.may_pass() => tokio::time::sleep(wait).await,
            _ => {
                tracing::debug!(%fault, "a miner who subscribed could not be told");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::MailAddress;
    use crate::notify::fake_mail_server::FakeMailServer;
    use crate::notify::fake_server::FakeServer;
    use crate::site::facts::sample;
    use crate::site::subscriptions::{Action, MailRelay, Order, OrderFault, Reply};

    /// The miner of the sample mines: whoever subscribed before it did is told that its work arrives, once.
    #[tokio::test]
    async fn a_miner_is_told_that_its_work_arrives() {
        let (folder, server) = (tempfile::tempdir().unwrap(), FakeServer::start(200).await);
        let subscriptions = Arc::new(Subscriptions::open(folder.path(), true, None).unwrap());
        let facts = Facts::sample();
        let address = address::read(sample::PKT_MINER, &facts.now().chains()).unwrap();
        let target = subscriptions.target("ntfy", &server.url("/topic")).unwrap();
        let wanted = Order { address, action: Action::Subscribe, target, time: 1 };
        let pool = facts.now();
        Arc::clone(&subscriptions).obey(wanted, &pool.identity, Moment(1000)).await.unwrap();
        let mut watching = Watching::new(Arc::clone(&subscriptions));
        watching.round(&facts).await;
        assert!(watching.sending.is_empty());
        watching.round(&facts).await;
        let told = server.next().await;
        assert_eq!(told.path, "/topic");
        let text = String::from_utf8(told.body).unwrap();
        assert_eq!(text, format!("{}: your work arrives", sample::PKT_MINER));
        // After a restart it is not told again.
        let again = Arc::new(Subscriptions::open(folder.path(), true, None).unwrap());
        let mut watching = Watching::new(again);
        watching.round(&facts).await;
        watching.round(&facts).await;
        assert!(watching.sending.is_empty());
    }

    /// Nobody is written to who has not said yes; who has is told, and told how to end it.
    #[tokio::test]
    async fn a_miner_is_told_by_e_mail_once_it_has_said_yes() {
        let (folder, server) = (tempfile::tempdir().unwrap(), FakeMailServer::start().await);
        let relay =
            MailRelay { server: server.server(), from: MailAddress::parse("pool@pool.example").unwrap() };
        let open = || Arc::new(Subscriptions::open(folder.path(), false, Some(relay.clone())).unwrap());
        let (subscriptions, facts) = (open(), Facts::sample());
        let pool = facts.now();
        let address = address::read(sample::PKT_MINER, &pool.chains()).unwrap();
        let target = subscriptions.target("email", "miner@mail.example").unwrap();
        let order = |time| Order { address, action: Action::Subscribe, target: target.clone(), time };
        let now = Moment(1_790_000_000_000);
        let obey = |time| Arc::clone(&subscriptions).obey(order(time), &pool.identity, now);
        assert!(obey(now.0 / 1000).await.unwrap().is_asked);
        assert_eq!(obey(now.0 / 1000 + 1).await, Err(OrderFault::Asked), "it is not asked twice");
        let question = server.next().await;
        assert_eq!(question.to, ["miner@mail.example"]);
        let code = question.between("\"code\":\"", "\"");
        let mut watching = Watching::new(Arc::clone(&subscriptions));
        watching.round(&facts).await;
        watching.round(&facts).await;
        assert!(watching.sending.is_empty(), "it has not said yes");

        let reply = |code: &str, reply| {
            Arc::clone(&subscriptions).reply(address, target.clone(), code.to_owned(), reply, now)
        };
        assert_eq!(reply("00", Reply::Confirm).await, Err(OrderFault::Code));
        reply(&code, Reply::Confirm).await.unwrap();
        // It is on disk.
        let subscriptions = open();
        let mut watching = Watching::new(Arc::clone(&subscriptions));
        watching.round(&facts).await;
        watching.round(&facts).await;
        let told = server.next().await;
        assert!(told.text.contains(": your work arrives\r\n"), "{}", told.text);
        assert!(told.text.contains("\"action\":\"unsubscribe\""), "{}", told.text);
        let code = told.between("\"code\":\"", "\"");
        let ended = Arc::clone(&subscriptions).reply(address, target.clone(), code, Reply::End, now).await;
        assert_eq!(ended.unwrap().targets, 0);
    }

    /// Who does not answer within a day is forgotten, and may be asked again by then.
    #[tokio::test]
    async fn a_question_that_nobody_answers_is_over_after_a_day() {
        let (folder, server) = (tempfile::tempdir().unwrap(), FakeMailServer::start().await);
        let relay =
            MailRelay { server: server.server(), from: MailAddress::parse("pool@pool.example").unwrap() };
        let subscriptions = Arc::new(Subscriptions::open(folder.path(), false, Some(relay)).unwrap());
        let pool = Facts::sample().now();
        let address = address::read(sample::PKT_MINER, &pool.chains()).unwrap();
        let target = subscriptions.target("email", "miner@mail.example").unwrap();
        let day = mail::DAY * 1000;
        for (number, at) in [(1, day), (2, 2 * day)] {
            let order = Order { address, action: Action::Subscribe, target: target.clone(), time: at / 1000 };
            let standing = Arc::clone(&subscriptions).obey(order, &pool.identity, Moment(at)).await.unwrap();
            assert!(standing.is_asked && standing.targets == 1, "time {number}");
            let code = server.next().await.between("\"code\":\"", "\"");
            let late = Arc::clone(&subscriptions).reply(
                address,
                target.clone(),
                code,
                Reply::Confirm,
                Moment(at + day),
            );
            assert_eq!(late.await, Err(OrderFault::Code));
        }
    }

    #[test]
    fn who_stops_is_told_when_the_last_work_came() {
        let told = message("pkt1", true, Some(Moment(1_790_000_000_500)));
        assert!(told.text.ends_with("the last came at 2026-09-21T14:13:20Z"), "{told}");
        assert!(!told.resolved);
    }
}
