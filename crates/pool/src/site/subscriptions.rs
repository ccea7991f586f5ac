//! Miners who want to be told when their work stops arriving, and when it is back.
//!
//! Nobody has an account: an order is signed by the key of the address ([`order`]). What was ordered is on disk before it is
//! answered ([`store`]). A round a minute looks at every address ([`watching`]); targets are on public addresses only
//! ([`target`]), so that nobody makes the pool ask what it alone can reach; and e-mail goes to those only who have said yes
//! ([`mail`]).

mod mail;
mod order;
mod store;
mod target;
mod watching;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::address::MinerAddress;
use super::facts::{Identity, Moment};
use crate::notify::Notice;

pub use mail::MailRelay;
pub use order::{Action, Order, OrderFault};
pub use target::{Target, TargetFault, TargetKind};

use mail::Asked;
use store::{Store, Subscription};

/// Targets that one address may have.
pub const MOST_OF_ADDRESS: usize = 3;
/// Targets of all addresses.
pub const MOST: usize = 10_000;

/// What is subscribed to.
#[derive(Debug)]
pub struct Subscriptions {
    store: Mutex<Store>,
    private_targets: bool,
    http: reqwest::Client,
    mail: Option<MailRelay>,
    asked: Asked,
}

/// What an address has after an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its targets.
    pub targets: usize,
    /// What bodies for a new webhook are signed with.
    pub secret: Option<String>,
    /// Whether the target is e-mail that has been asked for its consent.
    pub is_asked: bool,
}

/// What somebody does who was sent a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Wants to be told.
    Confirm,
    /// Does not want to be told, or not any more.
    End,
}

impl Subscriptions {
    /// Opens what is in the folder. With `private_targets`, targets may be on this machine and in its networks; without
    /// `mail` there is no e-mail.
    pub fn open(folder: &Path, private_targets: bool, mail: Option<MailRelay>) -> io::Result<Self> {
        let store = Mutex::new(Store::open(folder)?);
        let http = target::client(private_targets)?;
        Ok(Self { store, private_targets, http, mail, asked: Asked::default() })
    }

    /// Targets of an address.
    pub fn count(&self, address: &MinerAddress) -> usize {
        self.with_store(|store| store.of(&address.compact()).count())
    }

    /// Reads a target that somebody wants.
    pub fn target(&self, kind: &str, url: &str) -> Result<Target, TargetFault> {
        let target = Target::read(kind, url, self.private_targets)?;
        if target.kind == TargetKind::Email && self.mail.is_none() {
            return Err(TargetFault::NoMail);
        }
        Ok(target)
    }

    /// Does what was ordered; it is on disk when this returns. E-mail is first asked for its consent; `pool` is how the
    /// website names itself.
    pub async fn obey(
        self: Arc<Self>,
        order: Order,
        pool: &Identity,
        now: Moment,
    ) -> Result<Standing, OrderFault> {
        let (subscriptions, asked_for) = (Arc::clone(&self), order.clone());
        let obeying = move || {
            subscriptions.with_store(|store| {
                store.obey(&order, now, |address| subscriptions.asked.ask(address, now.0 / 1000))
            })
        };
        let standing = tokio::task::spawn_blocking(obeying).await.unwrap_or(Err(OrderFault::Storage))?;
        if standing.is_asked {
            self.send_question(&asked_for, pool, now);
        }
        Ok(standing)
    }

    /// Does what somebody wants who shows the code that was sent to an address.
    pub async fn reply(
        self: Arc<Self>,
        address: MinerAddress,
        target: Target,
        code: String,
        reply: Reply,
        now: Moment,
    ) -> Result<Standing, OrderFault> {
        let replying =
            move || self.with_store(|store| store.reply(&address.compact(), &target, &code, reply, now));
        tokio::task::spawn_blocking(replying).await.unwrap_or(Err(OrderFault::Storage))
    }

    fn send_question(&self, order: &Order, pool: &Identity, now: Moment) {
        let address = order.address.compact();
        let asked =
            self.with_store(|store| store.of(&address).find(|one| one.target == order.target).cloned());
        let to = mail::read_address(&order.target.url);
        let (Some(relay), Some(asked), Some(to)) = (&self.mail, asked, to) else { return };
        let message = mail::question(&order.address, &asked, &pool.url);
        let notice = Notice { pool: pool.name.clone(), at: now, messages: vec![message] };
        let (channel, http) = (relay.channel(to), self.http.clone());
        tokio::spawn(async move { watching::deliver(&channel, &http, &notice).await });
    }

    fn with_store<T>(&self, action: impl FnOnce(&mut Store) -> T) -> T {
        action(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
