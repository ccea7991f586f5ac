//! What has just happened: blocks, payouts, and accepted work of the addresses that somebody listens for.
//!
//! Every listener has a bounded queue; who falls behind is cut off, and asks again. Addresses that nobody listens for
//! cost nothing.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::broadcast;

use super::address::MinerAddress;
use super::facts::{Chain, Moment, Payment, PoolBlock, PoolFacts};

/// Events that a listener may fall behind.
const BEHIND: usize = 64;
/// The same for one address's work.
const WORK_BEHIND: usize = 8;
/// Events of one look at the pool: after a long silence there is no need to tell of all.
const AT_ONCE: usize = 16;

/// Accepted work of one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Work {
    pub(super) chain: Chain,
    pub(super) address: String,
    /// Announcements and shares together.
    pub(super) pieces: u64,
    /// When the newest was accepted.
    pub(super) at: Moment,
}

/// Tells listeners what happens.
pub(super) struct Events {
    of_pool: broadcast::Sender<Bytes>,
    of_addresses: Mutex<HashMap<MinerAddress, broadcast::Sender<Bytes>>>,
    /// What has been told; `None` before the first look, which tells nothing.
    told: Mutex<Option<Told>>,
}

#[derive(Default)]
struct Told {
    blocks: HashSet<String>,
    payments: HashSet<(String, &'static str)>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            of_pool: broadcast::Sender::new(BEHIND),
            of_addresses: Mutex::default(),
            told: Mutex::default(),
        }
    }
}

impl Events {
    /// Blocks and payouts from now on.
    pub(super) fn of_pool(&self) -> broadcast::Receiver<Bytes> {
        self.of_pool.subscribe()
    }

    /// Accepted work of an address from now on.
    pub(super) fn of_address(&self, address: MinerAddress) -> broadcast::Receiver<Bytes> {
        let mut addresses = self.of_addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.entry(address).or_insert_with(|| broadcast::Sender::new(WORK_BEHIND)).subscribe()
    }

    /// Whether anybody listens to what happens.
    pub(super) fn are_listened_to(&self) -> bool {
        self.of_pool.receiver_count() > 0
    }

    /// The addresses of a chain that somebody listens for; others are forgotten.
    pub(super) fn wanted(&self, chain: Chain) -> Vec<MinerAddress> {
        let mut addresses = self.of_addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.retain(|_, listeners| listeners.receiver_count() > 0);
        addresses.keys().filter(|address| address.chain() == chain).copied().collect()
    }

    /// Tells who listens for an address of its work.
    pub(super) fn worked(&self, address: MinerAddress, pieces: u64, at: Moment) {
        let addresses = self.of_addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(listeners) = addresses.get(&address) else { return };
        let work = Work { chain: address.chain(), address: address.to_string(), pieces, at };
        // Nobody may listen any more.
        let _ = listeners.send(frame("work", &work));
    }

    /// Tells what is new in a picture of the pool.
    pub(super) fn look(&self, facts: &PoolFacts) {
        let now = Told {
            blocks: facts
                .chains()
                .iter()
                .flat_map(|chain| facts.blocks(*chain))
                .map(|block| block.hash.clone())
                .collect(),
            payments: payments(facts).map(|payment| (payment.hash.clone(), payment.state.name())).collect(),
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = told.as_ref() {
            let blocks = facts
                .chains()
                .into_iter()
                .flat_map(|chain| facts.blocks(chain).iter().map(move |block| (chain, block)));
            let new: Vec<_> =
                blocks.filter(|(_, block)| !before.blocks.contains(&block.hash)).take(AT_ONCE).collect();
            for (chain, block) in new.into_iter().rev() {
                let _ = self.of_pool.send(frame("block", &NewBlock { chain, block }));
            }
            let known =
                |payment: &&Payment| before.payments.contains(&(payment.hash.clone(), payment.state.name()));
            let new: Vec<_> = payments(facts).filter(|payment| !known(payment)).take(AT_ONCE).collect();
            for payment in new.into_iter().rev() {
                let _ = self.of_pool.send(frame("payout", payment));
            }
        }
        // A chain that has not been asked yet tells nothing when it is.
        if !now.blocks.is_empty() || told.is_some() || facts.gathered_at > Moment(0) {
            *told = Some(now);
        }
    }
}

#[derive(Serialize)]
struct NewBlock<'a> {
    chain: Chain,
    #[serde(flatten)]
    block: &'a PoolBlock,
}

fn payments(facts: &PoolFacts) -> impl Iterator<Item = &Payment> {
    facts.nimiq.iter().flat_map(|nimiq| &nimiq.payments)
}

/// An event as it is written on the stream. JSON has no line ends.
fn frame(kind: &str, value: &impl Serialize) -> Bytes {
    let json = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    format!("event: {kind}\ndata: {json}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::facts::{BlockStanding, PaymentState, sample};

    fn text(received: Result<Bytes, broadcast::error::TryRecvError>) -> String {
        String::from_utf8(received.unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_new_block_and_a_payment_that_moves_are_told_once() {
        let events = Events::default();
        let mut listener = events.of_pool();
        let mut facts = sample::pool();
        events.look(&facts);
        assert!(listener.try_recv().is_err(), "what was there before is no news");
        let nimiq = facts.nimiq.as_mut().unwrap();
        let mut block = nimiq.blocks[0].clone();
        (block.hash, block.standing) = ("ab".repeat(32), BlockStanding::Found);
        nimiq.blocks.insert(0, block);
        nimiq.payments[1].state = PaymentState::Mined;
        events.look(&facts);
        events.look(&facts);
        assert!(text(listener.try_recv()).starts_with("event: block\ndata: {\"chain\":\"nimiq\","));
        let payout = text(listener.try_recv());
        assert!(payout.starts_with("event: payout\n") && payout.ends_with("}\n\n"), "{payout}");
        assert!(listener.try_recv().is_err());
    }

    #[test]
    fn only_who_listens_for_an_address_hears_of_its_work() {
        let events = Events::default();
        let miner = MinerAddress::PacketCrypt(sample::PKT_MINER.parse().unwrap());
        let other = MinerAddress::PacketCrypt(sample::PKT_MINER_2.parse().unwrap());
        let mut listener = events.of_address(miner);
        events.worked(other, 1, Moment(1));
        events.worked(miner, 2, Moment(2));
        assert!(text(listener.try_recv()).contains("\"pieces\":2"));
        assert!(listener.try_recv().is_err());
        assert_eq!(events.wanted(Chain::PacketCrypt), [miner]);
        drop(listener);
        assert!(events.wanted(Chain::PacketCrypt).is_empty());
    }

    #[test]
    fn who_falls_behind_finds_out() {
        let events = Events::default();
        let miner = MinerAddress::PacketCrypt(sample::PKT_MINER.parse().unwrap());
        let mut listener = events.of_address(miner);
        (0..20).for_each(|number| events.worked(miner, number, Moment(number)));
        assert!(matches!(listener.try_recv(), Err(broadcast::error::TryRecvError::Lagged(_))));
    }
}
