//! The double-entry book: accounts, and the entries that each event makes. The lines of an entry always sum to zero.
//!
//! | event | lines |
//! |---|---|
//! | a block is settled | reward −, immature accounts of users, fee and nobody + |
//! | it matures | immature accounts −, mature accounts + |
//! | it leaves the chain | the counter-entries of both, newest first |
//! | a payout is prepared | user's mature account −, pool's fee account − (if the pool bears the network's fee), outgoing + |
//! | it is confirmed | outgoing −, paid +, network fees + |
//! | it expires | the counter-entry of its preparation |
//! | another pool's accounts are taken over | import −, users' mature accounts + |
//!
//! So what the pool's address holds on the chain is −(reward + import + paid + network fees), which the miners', the fee's and
//! the outgoing accounts add up to.

use std::collections::BTreeMap;

use nimiq::Luna;

use super::UserId;
use super::payout_plan::{FeePayer, PlannedPayment};
use super::split::{FeePpm, Split};
use super::window::{Span, WindowRule};

/// Whose money it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A miner's.
    User(UserId),
    /// The pool's.
    Fee,
    /// Nobody's: rewards of blocks with an empty window.
    Undistributed,
}

/// An account of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// Where rewards come from; its balance is minus all that was ever earned.
    Reward,
    /// Where balances come from that another pool's accounts ended with; minus all of them.
    Import,
    /// Money of blocks that are not deep enough.
    Immature(Holder),
    /// Money that can be paid out.
    Mature(Holder),
    /// Payouts under way, with their fees.
    Outgoing,
    /// Payouts confirmed on the chain.
    Paid,
    /// Fees of those.
    NetworkFees,
}

impl Account {
    /// Its name and user in the store; user 0 where it is not a miner's.
    pub const fn key(self) -> (&'static str, u64) {
        match self {
            Self::Reward => ("reward", 0),
            Self::Import => ("import", 0),
            Self::Immature(Holder::User(user)) => ("immature", user.0),
            Self::Immature(Holder::Fee) => ("immature_fee", 0),
            Self::Immature(Holder::Undistributed) => ("immature_undistributed", 0),
            Self::Mature(Holder::User(user)) => ("mature", user.0),
            Self::Mature(Holder::Fee) => ("fee", 0),
            Self::Mature(Holder::Undistributed) => ("undistributed", 0),
            Self::Outgoing => ("outgoing", 0),
            Self::Paid => ("paid", 0),
            Self::NetworkFees => ("network_fees", 0),
        }
    }

    /// The account of that key.
    pub fn from_key(name: &str, user: u64) -> Option<Self> {
        let holder = if user == 0 { None } else { Some(Holder::User(UserId(user))) };
        Some(match (name, holder) {
            ("reward", None) => Self::Reward,
            ("import", None) => Self::Import,
            ("immature", Some(user)) => Self::Immature(user),
            ("immature_fee", None) => Self::Immature(Holder::Fee),
            ("immature_undistributed", None) => Self::Immature(Holder::Undistributed),
            ("mature", Some(user)) => Self::Mature(user),
            ("fee", None) => Self::Mature(Holder::Fee),
            ("undistributed", None) => Self::Mature(Holder::Undistributed),
            ("outgoing", None) => Self::Outgoing,
            ("paid", None) => Self::Paid,
            ("network_fees", None) => Self::NetworkFees,
            _ => return None,
        })
    }
}

/// Why an entry was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A block's reward was distributed.
    Reward,
    /// A block became deep enough.
    Maturity,
    /// A payout was prepared.
    Payout,
    /// A payout was confirmed.
    Confirmation,
    /// Another entry was taken back.
    Reversal,
    /// Another pool's accounts were taken over.
    Import,
}

impl EntryKind {
    /// Its name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reward => "reward",
            Self::Maturity => "maturity",
            Self::Payout => "payout",
            Self::Confirmation => "confirmation",
            Self::Reversal => "reversal",
            Self::Import => "import",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        let all =
            [Self::Reward, Self::Maturity, Self::Payout, Self::Confirmation, Self::Reversal, Self::Import];
        all.into_iter().find(|kind| kind.name() == name)
    }
}

/// The lines of an entry: an amount for each account, none of them 0, summing to 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines(BTreeMap<Account, i64>);

/// Lines that do not sum to zero, or amounts that no account can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinesFault {
    /// Something appeared or vanished.
    #[error("the lines of an entry sum to {0} luna, not to 0")]
    Unbalanced(i128),
    /// More money than there can be.
    #[error("an amount of {0} luna does not fit the book")]
    TooLarge(i128),
}

impl Lines {
    /// Checks the lines of an entry; several of one account become one.
    pub fn new(lines: impl IntoIterator<Item = (Account, i128)>) -> Result<Self, LinesFault> {
        let mut sums: BTreeMap<Account, i128> = BTreeMap::new();
        for (account, amount) in lines {
            *sums.entry(account).or_default() += amount;
        }
        let sum: i128 = sums.values().sum();
        if sum != 0 {
            return Err(LinesFault::Unbalanced(sum));
        }
        let lines = sums.into_iter().filter(|(_, amount)| *amount != 0).map(|(account, amount)| {
            i64::try_from(amount).map(|amount| (account, amount)).map_err(|_| LinesFault::TooLarge(amount))
        });
        lines.collect::<Result<_, _>>().map(Self)
    }

    /// The lines by account.
    pub fn iter(&self) -> impl Iterator<Item = (Account, i64)> {
        self.0.iter().map(|(account, amount)| (*account, *amount))
    }

    /// The same with all signs turned.
    pub fn countered(&self) -> Result<Self, LinesFault> {
        Self::new(self.iter().map(|(account, amount)| (account, -i128::from(amount))))
    }

    /// Whether there is none: the entry of a block without any reward.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A block's reward is distributed.
pub fn reward(total: Luna, split: &Split) -> Result<Lines, LinesFault> {
    let parts = holders(split).map(|(holder, amount)| (Account::Immature(holder), plus(amount)));
    Lines::new(parts.chain([(Account::Reward, -plus(total))]))
}

/// A block becomes deep enough: `reward` are the lines that it was booked with.
pub fn maturity(reward: &Lines) -> Result<Lines, LinesFault> {
    Lines::new(reward.iter().flat_map(|(account, amount)| match account {
        Account::Immature(holder) => vec![
            (Account::Immature(holder), -i128::from(amount)),
            (Account::Mature(holder), i128::from(amount)),
        ],
        _ => Vec::new(),
    }))
}

/// Another pool's accounts are taken over: what it owed its miners, or they it.
pub fn opening(balances: impl IntoIterator<Item = (UserId, i64)>) -> Result<Lines, LinesFault> {
    let owed = balances.into_iter().map(|(user, amount)| (Holder::User(user), i128::from(amount)));
    Lines::new(
        owed.flat_map(|(holder, amount)| [(Account::Mature(holder), amount), (Account::Import, -amount)]),
    )
}

/// A payout is prepared.
pub fn payout(payment: &PlannedPayment) -> Result<Lines, LinesFault> {
    let from = payment.user.map_or(Holder::Fee, Holder::User);
    let borne_by_pool = match payment.fee_payer {
        FeePayer::Pool => payment.network_fee,
        FeePayer::User => Luna::ZERO,
    };
    Lines::new([
        (Account::Mature(from), -plus(payment.debit())),
        (Account::Mature(Holder::Fee), -plus(borne_by_pool)),
        (Account::Outgoing, plus(payment.outlay())),
    ])
}

/// A payout is confirmed.
pub fn confirmation(value: Luna, network_fee: Luna) -> Result<Lines, LinesFault> {
    Lines::new([
        (Account::Outgoing, -(plus(value) + plus(network_fee))),
        (Account::Paid, plus(value)),
        (Account::NetworkFees, plus(network_fee)),
    ])
}

/// What an entry of a reward says about where its credits come from.
pub fn reward_rule(rule: WindowRule, fee: FeePpm, span: Option<Span>) -> String {
    let span = span.map_or("no shares".into(), |span| format!("shares {} to {}", span.first.0, span.last.0));
    format!("{rule}, fee {} ppm, {span}", fee.millionths())
}

/// What an entry of a payout says about why it was made.
pub fn payout_rule(payment: &PlannedPayment) -> String {
    let kind = payment.kind.name();
    payment.above.map_or_else(|| kind.to_owned(), |threshold| format!("{kind}, above {} luna", threshold.0))
}

fn holders(split: &Split) -> impl Iterator<Item = (Holder, Luna)> {
    let users = split.credits.iter().map(|(user, credit)| (Holder::User(*user), *credit));
    users.chain([(Holder::Fee, split.fee), (Holder::Undistributed, split.undistributed)])
}

fn plus(amount: Luna) -> i128 {
    amount.0.into()
}

#[cfg(test)]
mod tests {
    use nimiq::{Address, Height};

    use super::*;
    use crate::nimiq::payout_plan::PayoutKind;

    const USER: Holder = Holder::User(UserId(7));

    fn lines(of: &Lines) -> Vec<(Account, i64)> {
        of.iter().collect()
    }

    #[test]
    fn a_reward_matures_from_account_to_account() {
        let split = Split { fee: Luna(1), credits: vec![(UserId(7), Luna(98))], undistributed: Luna(0) };
        let booked = reward(Luna(99), &split).unwrap();
        assert_eq!(
            lines(&booked),
            [(Account::Reward, -99), (Account::Immature(USER), 98), (Account::Immature(Holder::Fee), 1)]
        );
        assert_eq!(
            lines(&maturity(&booked).unwrap()),
            [
                (Account::Immature(USER), -98),
                (Account::Immature(Holder::Fee), -1),
                (Account::Mature(USER), 98),
                (Account::Mature(Holder::Fee), 1),
            ]
        );
    }

    #[test]
    fn a_split_that_loses_a_luna_is_refused() {
        let split = Split { fee: Luna(1), credits: vec![(UserId(7), Luna(97))], undistributed: Luna(0) };
        assert_eq!(reward(Luna(99), &split), Err(LinesFault::Unbalanced(-1)));
    }

    #[test]
    fn a_payout_leaves_the_balance_when_it_is_prepared_and_returns_whole() {
        let payment = |fee_payer| PlannedPayment {
            above: None,
            user: Some(UserId(7)),
            recipient: Address([1; 20]),
            kind: PayoutKind::Automatic,
            value: Luna(1000),
            network_fee: Luna(138),
            fee_payer,
            validity_start: Height(5),
        };
        let by_pool = payout(&payment(FeePayer::Pool)).unwrap();
        assert_eq!(
            lines(&by_pool),
            [(Account::Mature(USER), -1000), (Account::Mature(Holder::Fee), -138), (Account::Outgoing, 1138)]
        );
        let by_user = payout(&payment(FeePayer::User)).unwrap();
        assert_eq!(lines(&by_user), [(Account::Mature(USER), -1138), (Account::Outgoing, 1138)]);
        assert_eq!(
            lines(&by_user.countered().unwrap()),
            [(Account::Mature(USER), 1138), (Account::Outgoing, -1138)]
        );
    }

    #[test]
    fn accounts_are_known_by_their_keys() {
        let holders = [USER, Holder::Fee, Holder::Undistributed];
        let of_holders =
            holders.into_iter().flat_map(|holder| [Account::Immature(holder), Account::Mature(holder)]);
        let others =
            [Account::Reward, Account::Import, Account::Outgoing, Account::Paid, Account::NetworkFees];
        for account in of_holders.chain(others) {
            let (name, user) = account.key();
            assert_eq!(Account::from_key(name, user), Some(account));
        }
        assert_eq!(Account::from_key("mature", 0), None);
        assert_eq!(Account::from_key("fee", 3), None);
    }
}
