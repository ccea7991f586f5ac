//! What may be paid now, to whom, and who bears the network's fee (`docs/protocol/nimiq-pool.md` 4.4).
//!
//! A plan is made from figures and changes nothing, so a dry run prints the very plan that a run would carry out.

use std::collections::BTreeSet;

use nimiq::transaction::BasicTransaction;
use nimiq::{Address, Height, Luna};

use super::UserId;
use super::payout_threshold::Thresholds;

/// The most unconfirmed payouts; a node refuses more than 500 pending transactions of one sender.
pub const MOST_PENDING: usize = 450;

/// Who bears the network's fee of a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeePayer {
    /// The pool's fee account; the user receives the whole balance.
    Pool,
    /// The user receives the balance less the fee.
    User,
}

/// Why a payout is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PayoutKind {
    /// The balance is above the limit.
    Automatic,
    /// The miner asked, with a signature.
    Requested,
    /// The pool's operator takes from the fee account.
    Owner,
}

impl PayoutKind {
    /// Its name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Requested => "requested",
            Self::Owner => "owner",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Automatic, Self::Requested, Self::Owner].into_iter().find(|kind| kind.name() == name)
    }
}

/// What an operator decides about payouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutRules {
    /// Where rewards are collected and payouts come from.
    pub pool_address: Address,
    /// A confirmed balance strictly above a miner's threshold is paid without being asked for.
    pub thresholds: Thresholds,
    /// Luna per byte: the larger of what is configured and what the node demands.
    pub fee_per_byte: Luna,
    /// Who bears the fee of automatic payouts.
    pub automatic_fee_payer: FeePayer,
    /// Who bears the fee of requested ones.
    pub requested_fee_payer: FeePayer,
}

/// A user who might be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub user: UserId,
    /// Where to.
    pub address: Address,
    /// What could be paid; negative after a reorganisation took back what had been paid out.
    pub confirmed: i64,
    /// Whether the user asked.
    pub requested: bool,
    /// The threshold that the user has chosen.
    pub chosen: Option<Luna>,
}

/// What the plan must stay clear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Recipient, value and fee of transactions that have the present validity start height.
    pub same_height: BTreeSet<(Address, Luna, Luna)>,
    /// Payouts that are neither confirmed nor expired.
    pub pending: usize,
    /// Values and fees of those.
    pub outstanding: Luna,
    /// What the node says the pool's address holds.
    pub on_chain: Luna,
}

/// A payment to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedPayment {
    /// Whose balance; `None`: the pool's fee account.
    pub user: Option<UserId>,
    /// Where to.
    pub recipient: Address,
    /// Why.
    pub kind: PayoutKind,
    /// What the recipient receives.
    pub value: Luna,
    /// The network's fee.
    pub network_fee: Luna,
    /// Who bears it.
    pub fee_payer: FeePayer,
    /// Height from which on the transaction is valid: that of the newest block.
    pub validity_start: Height,
    /// The threshold that the balance exceeds, if that is the reason.
    pub above: Option<Luna>,
}

impl PlannedPayment {
    /// What is taken from the balance.
    pub fn debit(&self) -> Luna {
        match self.fee_payer {
            FeePayer::Pool => self.value,
            FeePayer::User => Luna(self.value.0.saturating_add(self.network_fee.0)),
        }
    }

    /// What leaves the pool's address.
    pub fn outlay(&self) -> Luna {
        Luna(self.value.0.saturating_add(self.network_fee.0))
    }
}

/// Why a candidate is not paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decline {
    /// The balance does not exceed what the payout would cost. A request is thereby answered.
    NothingToPay,
    /// It is the pool's own address, which cannot pay itself. A request is thereby answered.
    PoolAddress,
    /// It would be, byte for byte, a transaction that exists: wait for the next block.
    SameTransaction,
    /// There are as many unconfirmed payouts as the node can hold: wait until some are confirmed.
    TooManyPending,
}

impl Decline {
    /// Whether a request ends with this.
    pub fn answers_request(self) -> bool {
        matches!(self, Self::NothingToPay | Self::PoolAddress)
    }
}

/// Why nothing at all is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pool's address holds {on_chain}, but unconfirmed and planned payouts need {needed}: nothing is paid"
)]
pub struct ReserveTooSmall {
    /// What the address holds.
    pub on_chain: Luna,
    /// What would have to leave it.
    pub needed: Luna,
}

/// What to pay, and who was passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PayoutPlan {
    /// In the order in which to sign them: requests first.
    pub payments: Vec<PlannedPayment>,
    /// Who is due and not paid, and why.
    pub declined: Vec<(UserId, Decline)>,
}

/// Plans the payouts to users at `head`. Requests go first, then automatic payouts, each by ascending user.
pub fn plan(
    rules: &PayoutRules,
    head: Height,
    candidates: &[Candidate],
    surroundings: &Surroundings,
) -> Result<PayoutPlan, ReserveTooSmall> {
    let mut due: Vec<(PayoutKind, &Candidate)> = candidates
        .iter()
        .filter_map(|candidate| kind_due(rules, candidate).map(|kind| (kind, candidate)))
        .collect();
    due.sort_by_key(|(kind, candidate)| (*kind != PayoutKind::Requested, candidate.user));
    let mut plan = PayoutPlan::default();
    for (kind, candidate) in due {
        match payment(rules, head, kind, candidate, surroundings, plan.payments.len()) {
            Ok(payment) => plan.payments.push(payment),
            Err(decline) => plan.declined.push((candidate.user, decline)),
        }
    }
    check_reserve(&plan.payments, surroundings)?;
    Ok(plan)
}

/// Plans a payout of `value` from the pool's fee account, which holds `fee_balance`, to its operator.
pub fn plan_owner(
    rules: &PayoutRules,
    head: Height,
    recipient: Address,
    value: Luna,
    fee_balance: i64,
    surroundings: &Surroundings,
) -> Result<Result<PlannedPayment, Decline>, ReserveTooSmall> {
    let network_fee = network_fee(rules);
    let payment = PlannedPayment {
        user: None,
        recipient,
        kind: PayoutKind::Owner,
        value,
        network_fee,
        fee_payer: FeePayer::User,
        validity_start: head,
        above: None,
    };
    let balance = u64::try_from(fee_balance).unwrap_or(0);
    if value == Luna::ZERO || payment.debit().0 > balance {
        return Ok(Err(Decline::NothingToPay));
    }
    if let Err(decline) = stays_clear(rules, &payment, surroundings, 0) {
        return Ok(Err(decline));
    }
    check_reserve(&[payment], surroundings)?;
    Ok(Ok(payment))
}

/// Above the threshold a payout is automatic even if it was asked for, so that the better terms hold.
fn kind_due(rules: &PayoutRules, candidate: &Candidate) -> Option<PayoutKind> {
    let threshold = rules.thresholds.of(candidate.chosen);
    let above = u64::try_from(candidate.confirmed).is_ok_and(|balance| balance > threshold.0);
    if above { Some(PayoutKind::Automatic) } else { candidate.requested.then_some(PayoutKind::Requested) }
}

fn network_fee(rules: &PayoutRules) -> Luna {
    Luna(rules.fee_per_byte.0.saturating_mul(BasicTransaction::SIZE as u64))
}

fn payment(
    rules: &PayoutRules,
    head: Height,
    kind: PayoutKind,
    candidate: &Candidate,
    surroundings: &Surroundings,
    planned: usize,
) -> Result<PlannedPayment, Decline> {
    let network_fee = network_fee(rules);
    let fee_payer = match kind {
        PayoutKind::Requested => rules.requested_fee_payer,
        PayoutKind::Automatic | PayoutKind::Owner => rules.automatic_fee_payer,
    };
    let balance = Luna(u64::try_from(candidate.confirmed).unwrap_or(0));
    let value = match fee_payer {
        FeePayer::Pool => Some(balance),
        FeePayer::User => balance.checked_sub(network_fee),
    };
    let value = value.filter(|value| *value > Luna::ZERO).ok_or(Decline::NothingToPay)?;
    let payment = PlannedPayment {
        user: Some(candidate.user),
        recipient: candidate.address,
        kind,
        value,
        network_fee,
        fee_payer,
        validity_start: head,
        above: (kind == PayoutKind::Automatic).then(|| rules.thresholds.of(candidate.chosen)),
    };
    stays_clear(rules, &payment, surroundings, planned)?;
    Ok(payment)
}

fn stays_clear(
    rules: &PayoutRules,
    payment: &PlannedPayment,
    surroundings: &Surroundings,
    planned: usize,
) -> Result<(), Decline> {
    let same = (payment.recipient, payment.value, payment.network_fee);
    if payment.recipient == rules.pool_address {
        Err(Decline::PoolAddress)
    } else if surroundings.same_height.contains(&same) {
        Err(Decline::SameTransaction)
    } else if surroundings.pending + planned >= MOST_PENDING {
        Err(Decline::TooManyPending)
    } else {
        Ok(())
    }
}

fn check_reserve(payments: &[PlannedPayment], surroundings: &Surroundings) -> Result<(), ReserveTooSmall> {
    let planned: u128 = payments.iter().map(|payment| u128::from(payment.outlay().0)).sum();
    let needed = planned + u128::from(surroundings.outstanding.0);
    if payments.is_empty() || needed <= u128::from(surroundings.on_chain.0) {
        return Ok(());
    }
    let needed = Luna(u64::try_from(needed).unwrap_or(u64::MAX));
    Err(ReserveTooSmall { on_chain: surroundings.on_chain, needed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> Address {
        Address([number; 20])
    }

    fn rules() -> PayoutRules {
        PayoutRules {
            pool_address: address(0xff),
            thresholds: Thresholds {
                usual: Luna(5_000_000),
                least: Luna(1_000_000),
                most: Luna(100_000_000),
            },
            fee_per_byte: Luna(1),
            automatic_fee_payer: FeePayer::Pool,
            requested_fee_payer: FeePayer::User,
        }
    }

    fn candidate(number: u8, confirmed: i64, requested: bool) -> Candidate {
        Candidate {
            user: UserId(number.into()),
            address: address(number),
            confirmed,
            requested,
            chosen: None,
        }
    }

    fn rich() -> Surroundings {
        Surroundings { on_chain: Luna(u64::MAX), ..Surroundings::default() }
    }

    fn values(candidates: &[Candidate], surroundings: &Surroundings) -> Vec<(u64, u64, u64)> {
        let plan = plan(&rules(), Height(100), candidates, surroundings).unwrap();
        let row = |payment: &PlannedPayment| (payment.user.unwrap().0, payment.value.0, payment.debit().0);
        plan.payments.iter().map(row).collect()
    }

    #[test]
    fn above_the_limit_the_pool_bears_the_fee_and_on_request_the_user_does() {
        let candidates = [
            candidate(1, 5_000_000, false),
            candidate(2, 5_000_001, false),
            candidate(3, 1_000, true),
            candidate(4, 6_000_000, true),
        ];
        assert_eq!(
            values(&candidates, &rich()),
            [(3, 862, 1_000), (2, 5_000_001, 5_000_001), (4, 6_000_000, 6_000_000)]
        );
    }

    #[test]
    fn each_miner_is_paid_above_the_threshold_that_it_has_chosen() {
        let chosen = |number, confirmed, chosen| Candidate {
            chosen: Some(Luna(chosen)),
            ..candidate(number, confirmed, false)
        };
        let candidates = [
            chosen(1, 2_000_000, 2_000_000),
            chosen(2, 2_000_001, 2_000_000),
            chosen(3, 60_000_000, 60_000_000),
            // The operator's limits hold: at least 10 NIM, at most 1000.
            chosen(4, 1_000_000, 1),
            chosen(5, 100_000_001, u64::MAX),
            chosen(6, 5_000_001, 0),
        ];
        let plan = plan(&rules(), Height(100), &candidates, &rich()).unwrap();
        let paid: Vec<_> =
            plan.payments.iter().map(|payment| (payment.user.unwrap().0, payment.above.unwrap().0)).collect();
        assert_eq!(paid, [(2, 2_000_000), (5, 100_000_000), (6, 5_000_000)]);
    }

    #[test]
    fn nothing_is_paid_out_of_nothing() {
        let candidates = [candidate(1, 138, true), candidate(2, -5, true), candidate(3, 0, false)];
        let plan = plan(&rules(), Height(100), &candidates, &rich()).unwrap();
        assert_eq!(plan.payments, []);
        assert_eq!(plan.declined, [(UserId(1), Decline::NothingToPay), (UserId(2), Decline::NothingToPay)]);
        assert!(plan.declined.iter().all(|(_, decline)| decline.answers_request()));
    }

    #[test]
    fn a_transaction_that_exists_waits_for_the_next_block() {
        let mut surroundings = rich();
        surroundings.same_height.insert((address(2), Luna(5_000_001), Luna(138)));
        let plan = plan(&rules(), Height(100), &[candidate(2, 5_000_001, false)], &surroundings).unwrap();
        assert_eq!(plan.declined, [(UserId(2), Decline::SameTransaction)]);
        assert!(!Decline::SameTransaction.answers_request());
    }

    #[test]
    fn no_more_are_pending_than_a_node_can_hold() {
        let surroundings = Surroundings { pending: MOST_PENDING - 1, ..rich() };
        let candidates = [candidate(1, 6_000_000, false), candidate(2, 6_000_000, false)];
        let plan = plan(&rules(), Height(100), &candidates, &surroundings).unwrap();
        assert_eq!(plan.payments.len(), 1);
        assert_eq!(plan.declined, [(UserId(2), Decline::TooManyPending)]);
    }

    #[test]
    fn a_reserve_that_is_too_small_stops_everything() {
        let candidates = [candidate(1, 6_000_000, false)];
        let mut surroundings =
            Surroundings { on_chain: Luna(6_000_238), outstanding: Luna(100), ..Surroundings::default() };
        assert!(plan(&rules(), Height(100), &candidates, &surroundings).is_ok());
        surroundings.on_chain = Luna(6_000_237);
        let stop = plan(&rules(), Height(100), &candidates, &surroundings).unwrap_err();
        assert_eq!(stop, ReserveTooSmall { on_chain: Luna(6_000_237), needed: Luna(6_000_238) });
    }

    #[test]
    fn the_pool_never_pays_itself_and_the_owner_only_from_the_fee() {
        let own = [candidate(0xff, 6_000_000, false)];
        let plan = plan(&rules(), Height(100), &own, &rich()).unwrap();
        assert_eq!(plan.declined, [(UserId(0xff), Decline::PoolAddress)]);
        let owner = |value, balance| {
            plan_owner(&rules(), Height(100), address(9), Luna(value), balance, &rich()).unwrap().is_ok()
        };
        assert!(owner(862, 1_000));
        assert!(!owner(863, 1_000));
        assert!(!owner(0, 1_000));
        assert!(!owner(1, -1));
    }
}
