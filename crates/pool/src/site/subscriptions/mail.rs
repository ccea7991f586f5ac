//! E-mail to miners: nobody is written to but whoever reads the address and has said yes.
//!
//! An order, signed by the key of the payout address, only makes the pool ask: one message with a code. Whoever sends the
//! code back reads the address, and is told from then on; each message says how to end that, with the same code. So that
//! nobody can have strangers written to, an address is asked once a day at most, whoever wants it, and all together
//! [`MOST_IN_AN_HOUR`] times in an hour.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::{OrderFault, Subscription};
use crate::monitor::{Message, Severity};
use crate::notify::{Channel, Email, MailAddress, SmtpServer};
use crate::site::address::MinerAddress;

/// Seconds within which a code must be sent back, and an address is not asked again.
pub(super) const DAY: u64 = 86_400;
/// Addresses that are asked within an hour.
pub const MOST_IN_AN_HOUR: usize = 60;
const HOUR: u64 = 3600;

/// The way by which miners get e-mail.
#[derive(Debug, Clone)]
pub struct MailRelay {
    /// The server that takes it.
    pub server: SmtpServer,
    /// Who sends it.
    pub from: MailAddress,
}

impl MailRelay {
    /// To this address alone.
    pub(super) fn channel(&self, to: MailAddress) -> Channel {
        Channel::Email(Email { server: self.server.clone(), from: self.from.clone(), to: vec![to] })
    }
}

/// Who was asked of late, the longest ago first: when, in seconds since 1970, and in small letters.
#[derive(Debug, Default)]
pub(super) struct Asked(Mutex<VecDeque<(u64, String)>>);

impl Asked {
    /// Whether an address may be asked now; if so, it has been.
    pub(super) fn ask(&self, address: &str, now: u64) -> Result<(), OrderFault> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while asked.front().is_some_and(|(at, _)| now.saturating_sub(*at) >= DAY) {
            asked.pop_front();
        }
        let address = address.to_ascii_lowercase();
        if asked.iter().any(|(_, known)| *known == address) {
            return Err(OrderFault::Asked);
        }
        if asked.iter().filter(|(at, _)| now.saturating_sub(*at) < HOUR).count() >= MOST_IN_AN_HOUR {
            return Err(OrderFault::TooManyAsked);
        }
        asked.push_back((now, address));
        Ok(())
    }
}

/// An address for miners' e-mail: plainer than mail servers take, since it stands in a line for a shell.
pub(super) fn read_address(text: &str) -> Option<MailAddress> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@.+-_".contains(&byte);
    MailAddress::parse(text).filter(|_| text.bytes().all(plain))
}

/// The question whether somebody wants to be told, with how to say yes. `site` is the website's address.
pub(super) fn question(address: &MinerAddress, subscription: &Subscription, site: &str) -> Message {
    let yes = order(address, subscription, "confirm", site);
    let text = format!(
        "somebody with the key of this payout address wants you to be told here when its work stops arriving, and when it \
         is back.\n\nIf you want that, send this within a day:\n{yes}\n\nIf not, do nothing: nothing else will come."
    );
    Message { subject: subscription.address.clone(), severity: Severity::Info, resolved: false, text }
}

/// What stands below each message.
pub(super) fn how_to_end(address: &MinerAddress, subscription: &Subscription, site: &str) -> String {
    let end = order(address, subscription, "unsubscribe", site);
    format!("\n\nTo hear no more of it, send this:\n{end}")
}

fn order(address: &MinerAddress, subscription: &Subscription, action: &str, site: &str) -> String {
    let (chain, compact) = (address.chain().name(), address.compact());
    let (mail, code) = (&subscription.target.url, &subscription.secret);
    let body = serde_json::json!({"action": action, "kind": "email", "url": mail, "code": code});
    let site = site.trim_end_matches('/');
    format!("curl -X POST '{site}/api/v1/{chain}/miners/{compact}/notifications' -d '{body}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_once_a_day_whoever_wants_it() {
        let asked = Asked::default();
        assert_eq!(asked.ask("miner@mail.example", 0), Ok(()));
        assert_eq!(asked.ask("Miner@Mail.Example", DAY - 1), Err(OrderFault::Asked));
        assert_eq!(asked.ask("miner@mail.example", DAY), Ok(()));
    }

    #[test]
    fn all_together_are_asked_so_often_in_an_hour() {
        let asked = Asked::default();
        for number in 0..MOST_IN_AN_HOUR {
            assert_eq!(asked.ask(&format!("{number}@mail.example"), 0), Ok(()));
        }
        assert_eq!(asked.ask("one@more.example", HOUR - 1), Err(OrderFault::TooManyAsked));
        assert_eq!(asked.ask("one@more.example", HOUR), Ok(()));
    }

    #[test]
    fn an_address_cannot_leave_the_line_that_it_stands_in() {
        assert!(read_address("o.brien+pool@mail-1.example").is_some());
        for wrong in ["o'brien@mail.example", "a$b@mail.example", "a`b@mail.example", "a&b@c", "nobody"] {
            assert!(read_address(wrong).is_none(), "{wrong}");
        }
    }
}
