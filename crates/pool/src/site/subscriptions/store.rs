//! Subscriptions on disk: one file, written anew with each change, before anything is answered.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::mail::DAY;
use super::order::{Action, Order, OrderFault, TOLERANCE};
use super::target::{Target, TargetKind};
use super::{MOST, MOST_OF_ADDRESS, Reply, Standing};
use crate::site::facts::Moment;
use crate::whole_file;

const FILE: &str = "subscriptions.json";

/// What somebody is told about one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subscription {
    /// Whose work, without spaces.
    pub(super) address: String,
    /// Where to tell.
    #[serde(flatten)]
    pub(super) target: Target,
    /// What bodies are signed with.
    pub(super) secret: String,
    /// When it was ordered, in seconds since 1970.
    pub(super) time: u64,
    /// Whether the last word was that the work has stopped.
    pub(super) stopped: bool,
    /// Whether whoever is told has said yes; only e-mail is asked.
    #[serde(default = "without_being_asked")]
    pub(super) confirmed: bool,
}

fn without_being_asked() -> bool {
    true
}

#[derive(Debug)]
pub(super) struct Store {
    file: PathBuf,
    subscriptions: Vec<Subscription>,
    /// The time of the last order of each address, as long as an earlier one could still be shown again.
    last_orders: BTreeMap<String, u64>,
}

impl Store {
    /// Only the owner can read the folder: secrets are in it.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let file = folder.join(FILE);
        let subscriptions: Vec<Subscription> = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                io::Error::new(ErrorKind::InvalidData, format!("{}: {error}", file.display()))
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let last_orders = subscriptions.iter().map(|one| (one.address.clone(), one.time)).collect();
        Ok(Self { file, subscriptions, last_orders })
    }

    pub(super) fn of<'s>(&'s self, address: &'s str) -> impl Iterator<Item = &'s Subscription> {
        self.subscriptions.iter().filter(move |one| one.address == address)
    }

    /// All that somebody is told about.
    pub(super) fn confirmed(&self) -> Vec<Subscription> {
        self.subscriptions.iter().filter(|one| one.confirmed).cloned().collect()
    }

    /// Does what was ordered, with a good signature. Before e-mail is to be asked, `may_ask` says whether it may be.
    pub(super) fn obey(
        &mut self,
        order: &Order,
        now: Moment,
        may_ask: impl FnOnce(&str) -> Result<(), OrderFault>,
    ) -> Result<Standing, OrderFault> {
        let address = order.address.compact();
        if self.last_orders.get(&address).is_some_and(|last| *last >= order.time) {
            return Err(OrderFault::Repeated);
        }
        let mut changed = self.in_time(now);
        let place = changed.iter().position(|one| one.address == address && one.target == order.target);
        let (mut secret, mut is_asked) = (None, false);
        match (order.action, place) {
            (Action::Subscribe, Some(place)) if !changed[place].confirmed => return Err(OrderFault::Asked),
            (Action::Subscribe, Some(place)) => changed[place].time = order.time,
            (Action::Subscribe, None) => {
                if changed.iter().filter(|one| one.address == address).count() >= MOST_OF_ADDRESS {
                    return Err(OrderFault::TooMany);
                }
                if changed.len() >= MOST {
                    return Err(OrderFault::Full);
                }
                is_asked = order.target.kind == TargetKind::Email;
                if is_asked {
                    may_ask(&order.target.url)?;
                }
                let subscription = Subscription::new(&address, order);
                let is_webhook = order.target.kind == TargetKind::Webhook;
                secret = is_webhook.then(|| subscription.secret.clone());
                changed.push(subscription);
            }
            (Action::Unsubscribe, Some(place)) => drop(changed.remove(place)),
            (Action::Unsubscribe, None) => return Err(OrderFault::Unknown),
        }
        self.keep_or_say(changed)?;
        let oldest = (now.0 / 1000).saturating_sub(2 * TOLERANCE);
        self.last_orders.retain(|_, time| *time >= oldest);
        self.last_orders.insert(address.clone(), order.time);
        Ok(Standing { targets: self.of(&address).count(), secret, is_asked })
    }

    /// Does what somebody wants who shows the code of a target.
    pub(super) fn reply(
        &mut self,
        address: &str,
        target: &Target,
        code: &str,
        reply: Reply,
        now: Moment,
    ) -> Result<Standing, OrderFault> {
        let mut changed = self.in_time(now);
        let is_it = |one: &Subscription| {
            one.address == address
                && one.target == *target
                && target.kind == TargetKind::Email
                && bool::from(one.secret.as_bytes().ct_eq(code.as_bytes()))
        };
        let place = changed.iter().position(is_it).ok_or(OrderFault::Code)?;
        match reply {
            Reply::Confirm => changed[place].confirmed = true,
            Reply::End => drop(changed.remove(place)),
        }
        self.keep_or_say(changed)?;
        Ok(Standing { targets: self.of(address).count(), secret: None, is_asked: false })
    }

    /// Without those who were asked more than a day ago and have not said yes.
    fn in_time(&self, now: Moment) -> Vec<Subscription> {
        let oldest = (now.0 / 1000).saturating_sub(DAY);
        let is_in_time = |one: &&Subscription| one.confirmed || one.time > oldest;
        self.subscriptions.iter().filter(is_in_time).cloned().collect()
    }

    fn keep_or_say(&mut self, changed: Vec<Subscription>) -> Result<(), OrderFault> {
        self.keep(changed).map_err(|error| {
            tracing::error!(%error, file = %self.file.display(), "subscriptions cannot be stored");
            OrderFault::Storage
        })
    }

    /// Remembers what somebody was told last.
    pub(super) fn told(&mut self, told: &Subscription, stopped: bool) -> io::Result<()> {
        let mut changed = self.subscriptions.clone();
        let is_it = |one: &&mut Subscription| one.address == told.address && one.target == told.target;
        match changed.iter_mut().find(is_it) {
            Some(one) => one.stopped = stopped,
            None => return Ok(()),
        }
        self.keep(changed)
    }

    fn keep(&mut self, changed: Vec<Subscription>) -> io::Result<()> {
        whole_file::write(&self.file, &serde_json::to_vec(&changed)?)?;
        self.subscriptions = changed;
        Ok(())
    }
}

impl Subscription {
    /// Whoever does not mine yet is told when the first work arrives.
    fn new(address: &str, order: &Order) -> Self {
        Self {
            address: address.to_owned(),
            target: order.target.clone(),
            secret: hex::encode(rand::random::<[u8; 16]>()),
            time: order.time,
            stopped: true,
            confirmed: order.target.kind != TargetKind::Email,
        }
    }
}
