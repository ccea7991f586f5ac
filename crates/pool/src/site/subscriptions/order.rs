//! What a miner orders, and the text that its key must sign for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nimiq::{PublicKey, Signature};
use wire::pkt_signed_message::{self, SignedMessageFault};

use super::target::Target;
use crate::site::address::MinerAddress;
use crate::site::facts::Moment;

/// How far the time of an order may be from now, in seconds.
pub(super) const TOLERANCE: u64 = 600;

/// What is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To be told.
    Subscribe,
    /// Not to be told any more.
    Unsubscribe,
}

impl Action {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
        }
    }

    /// Reads one.
    pub fn read(text: &str) -> Option<Self> {
        [Self::Subscribe, Self::Unsubscribe].into_iter().find(|action| action.name() == text)
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Whose work it is about.
    pub address: MinerAddress,
    /// What to do.
    pub action: Action,
    /// Where to tell.
    pub target: Target,
    /// When it was signed, in seconds since 1970.
    pub time: u64,
}

/// Why an order is not obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderFault {
    /// Its time is not now.
    #[error("its time is not within {TOLERANCE} s of the pool's clock; sign it anew")]
    Time,
    /// A later order of this address has been obeyed.
    #[error("a later order of this address has been obeyed already; sign it anew with a later time")]
    Repeated,
    /// The signature is no good one.
    #[error("{0}")]
    Signature(SignedMessageFault),
    /// Of Nimiq, where the key is needed too.
    #[error(
        "for Nimiq `key` must be the public key (64 hexadecimal digits), and `signature` the wallet's (128 of them, or base64)"
    )]
    NimiqForm,
    /// The address has as many targets as it may.
    #[error("this address has as many targets as it may have; unsubscribe one first")]
    TooMany,
    /// The pool has.
    #[error("this pool has no room for more subscriptions")]
    Full,
    /// There is no such target.
    #[error("this address has no such target")]
    Unknown,
    /// E-mail that was asked for its consent a short while ago.
    #[error("this e-mail address was written to within a day; look there, or try again later")]
    Asked,
    /// Too much e-mail of that kind.
    #[error("too many want to be told by e-mail at present; try again in an hour")]
    TooManyAsked,
    /// The code is not the one that was sent, or a day is over.
    #[error("this is not the code that was sent there, or it is more than a day old")]
    Code,
    /// It cannot be kept.
    #[error("it could not be stored; try again later")]
    Storage,
}

impl Order {
    /// The line that the key must sign; `pool` is the address of the website.
    pub fn text(&self, pool: &str) -> String {
        let Self { address, action, target, time } = self;
        let (action, kind, url) = (action.name(), target.kind.name(), &target.url);
        format!(
            "Headframe notifications: {action} {kind} {url} for {} at {pool}, time {time}",
            address.compact()
        )
    }

    /// Checks time and signature. `key` is needed where it cannot be recovered from the signature.
    pub fn check(&self, pool: &str, signature: &str, key: &str, now: Moment) -> Result<(), OrderFault> {
        if self.time.abs_diff(now.0 / 1000) > TOLERANCE {
            return Err(OrderFault::Time);
        }
        let text = self.text(pool);
        match &self.address {
            MinerAddress::PacketCrypt(address) => {
                pkt_signed_message::check(address, &text, signature).map_err(OrderFault::Signature)
            }
            MinerAddress::Nimiq(address) => {
                let key = hex::decode(key).ok().and_then(|bytes| bytes.try_into().ok());
                let signature = hex::decode(signature).or_else(|_| STANDARD.decode(signature));
                let signature = signature.ok().and_then(|bytes| bytes.try_into().ok());
                let (Some(key), Some(signature)) = (key, signature) else {
                    return Err(OrderFault::NimiqForm);
                };
                let (key, signature) = (PublicKey(key), Signature(signature));
                let signed = nimiq::signed_message::is_signed_by(address, &text, &key, &signature);
                signed.then_some(()).ok_or(OrderFault::Signature(SignedMessageFault::Other))
            }
        }
    }
}
