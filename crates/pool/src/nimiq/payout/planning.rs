//! Who is paid what at the node's head: the same plan for a run and for a dry run.

use std::fmt::Write;

use ledger::nimiq::payout_plan::{
    Candidate, Decline, FeePayer, PayoutKind, PayoutPlan, PayoutRules, PlannedPayment, ReserveTooSmall,
    Surroundings, plan, plan_owner,
};
use ledger::nimiq::{Accounts, UserId};
use nimiq::{Address, Height, Luna};
use node::NimiqClient;
use serde_json::json;

use super::{OwnerPayout, PayoutFault};

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Those who asked.
    Requests,
    /// They, whoever is above the limit, and the operator.
    Everybody,
}

/// What a plan is made by.
#[derive(Debug, Clone)]
pub struct Planning {
    /// The operator's decisions.
    pub rules: PayoutRules,
    /// Paying the operator.
    pub owner: Option<OwnerPayout>,
    /// What must stay at the pool's address.
    pub reserve: Luna,
}

/// A plan, and the figures that it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Height of the newest block.
    pub head: Height,
    /// What the pool's address holds beyond what must stay there.
    pub on_chain: Luna,
    /// Values and fees of payouts that are not confirmed.
    pub outstanding: Luna,
    /// What to pay; or nothing at all, and why.
    pub outcome: Result<PayoutPlan, ReserveTooSmall>,
    /// Users whose requests are thereby answered without a payment.
    pub answered: Vec<UserId>,
    /// Who is due and not paid.
    pub declined: Vec<(Address, Decline)>,
}

impl Planning {
    /// Plans at the node's head; changes nothing.
    pub async fn plan_now(&self, accounts: &Accounts, node: &NimiqClient) -> Result<Planned, PayoutFault> {
        let node = node.with_consensus().await?.ok_or(PayoutFault::NoConsensus)?;
        let head = node.head_height().await?;
        self.plan(accounts, &node, head, Due::Everybody).await
    }

    /// Plans at `head`, which was read from this node before; changes nothing.
    pub(super) async fn plan(
        &self,
        accounts: &Accounts,
        node: &NimiqClient,
        head: Height,
        due: Due,
    ) -> Result<Planned, PayoutFault> {
        let mut candidates = accounts.candidates(self.rules.thresholds.least_of_all()).await?;
        candidates.retain(|candidate| due == Due::Everybody || candidate.requested);
        let on_chain = node.balance(&self.rules.pool_address).await?;
        let on_chain = Luna(on_chain.0.saturating_sub(self.reserve.0));
        let surroundings = accounts.surroundings(head, on_chain).await?;
        let mut rules = self.rules.clone();
        rules.fee_per_byte = rules.fee_per_byte.max(node.min_fee_per_byte().await?);
        let mut outcome = plan(&rules, head, &candidates, &surroundings);
        if let (Ok(plan), Due::Everybody) = (&mut outcome, due)
            && let Some(owner) = self.owner
        {
            let fee_balance = accounts.fee_balance().await?;
            match owner_payment(&rules, head, owner, fee_balance, &surroundings, plan) {
                Ok(payment) => plan.payments.extend(payment),
                Err(short) => outcome = Err(short),
            }
        }
        Ok(Planned::new(head, &surroundings, outcome, &candidates))
    }
}

/// What the operator is paid beside the plan for the users.
fn owner_payment(
    rules: &PayoutRules,
    head: Height,
    owner: OwnerPayout,
    fee_balance: i64,
    surroundings: &Surroundings,
    users: &PayoutPlan,
) -> Result<Option<PlannedPayment>, ReserveTooSmall> {
    let outlay = |payment: &PlannedPayment| payment.outlay().0;
    let borne = |payment: &PlannedPayment| match payment.fee_payer {
        FeePayer::Pool => payment.network_fee.0,
        FeePayer::User => 0,
    };
    let sum =
        |part: &dyn Fn(&PlannedPayment) -> u64| users.payments.iter().map(part).fold(0, u64::saturating_add);
    // The fee account bears the network's fees of this plan, too.
    let left = u64::try_from(fee_balance).unwrap_or(0).saturating_sub(sum(&borne));
    let network_fee = rules.fee_per_byte.0.saturating_mul(nimiq::transaction::BasicTransaction::SIZE as u64);
    if left <= owner.above.0 {
        return Ok(None);
    }
    let mut same_height = surroundings.same_height.clone();
    same_height.extend(users.payments.iter().map(|one| (one.recipient, one.value, one.network_fee)));
    let surroundings = Surroundings {
        same_height,
        pending: surroundings.pending + users.payments.len(),
        outstanding: Luna(surroundings.outstanding.0.saturating_add(sum(&outlay))),
        ..surroundings.clone()
    };
    let value = Luna(left.saturating_sub(network_fee));
    let left = i64::try_from(left).unwrap_or(i64::MAX);
    Ok(plan_owner(rules, head, owner.recipient, value, left, &surroundings)?.ok())
}

impl Planned {
    fn new(
        head: Height,
        surroundings: &Surroundings,
        outcome: Result<PayoutPlan, ReserveTooSmall>,
        candidates: &[Candidate],
    ) -> Self {
        let declines = outcome.as_ref().map(|plan| plan.declined.clone()).unwrap_or_default();
        let declined = candidates
            .iter()
            .flat_map(|candidate| {
                let own = declines.iter().filter(|(user, _)| *user == candidate.user);
                own.map(|(_, decline)| (candidate.address, *decline))
            })
            .collect();
        let answered =
            candidates.iter().filter(|candidate| candidate.requested).map(|candidate| candidate.user);
        let is_answered =
            |user: &UserId| declines.iter().any(|(of, decline)| of == user && decline.answers_request());
        Self {
            head,
            on_chain: surroundings.on_chain,
            outstanding: surroundings.outstanding,
            answered: answered.filter(is_answered).collect(),
            outcome,
            declined,
        }
    }

    /// The payments; none where the reserve is too small.
    pub fn payments(&self) -> &[PlannedPayment] {
        self.outcome.as_ref().map_or(&[], |plan| &plan.payments)
    }

    /// For people: a line for each payment, those who are passed over, and the sums.
    pub fn table(&self) -> String {
        let mut text =
            format!("{:<44}  {:<9}  {:>18}  {:>12}  fee borne by\n", "recipient", "kind", "value", "fee");
        for payment in self.payments() {
            let bearer = bearer(payment);
            let (value, fee) = (payment.value.to_string(), payment.network_fee.to_string());
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{:<44}  {:<9}  {value:>18}  {fee:>12}  {bearer}",
                payment.recipient.to_string(),
                payment.kind.name()
            );
        }
        for (address, decline) in &self.declined {
            let _ = writeln!(text, "{:<44}  not paid: {}", address.to_string(), reason(*decline));
        }
        if let Err(short) = &self.outcome {
            let _ = writeln!(text, "{short}");
        }
        let total = self.payments().iter().map(|payment| payment.outlay().0).fold(0, u64::saturating_add);
        let _ = writeln!(
            text,
            "at block {}: {} payouts, {} with fees; the pool's address holds {} for payouts, of which {} are under way",
            self.head,
            self.payments().len(),
            Luna(total),
            self.on_chain,
            self.outstanding
        );
        text
    }

    /// For programs: a JSON object on a line for each payment and for each who is passed over, amounts in luna.
    pub fn json_lines(&self) -> String {
        let mut text = String::new();
        for payment in self.payments() {
            let line = json!({
                "recipient": payment.recipient.to_string(),
                "kind": payment.kind.name(),
                "value": payment.value.0,
                "fee": payment.network_fee.0,
                "feeBorneBy": bearer(payment),
                "debit": payment.debit().0,
                "validityStartHeight": payment.validity_start.0,
                "above": payment.above.map(|threshold| threshold.0),
            });
            let _ = writeln!(text, "{line}");
        }
        for (address, decline) in &self.declined {
            let _ =
                writeln!(text, "{}", json!({"recipient": address.to_string(), "notPaid": reason(*decline)}));
        }
        if let Err(short) = &self.outcome {
            let line = json!({"nothingPaid": short.to_string(), "holds": short.on_chain.0, "needed": short.needed.0});
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

fn bearer(payment: &PlannedPayment) -> &'static str {
    match (payment.kind, payment.fee_payer) {
        (PayoutKind::Owner, _) | (_, FeePayer::Pool) => "pool",
        (_, FeePayer::User) => "recipient",
    }
}

fn reason(decline: Decline) -> &'static str {
    match decline {
        Decline::NothingToPay => "the balance does not exceed the network's fee",
        Decline::PoolAddress => "it is the pool's own address",
        Decline::SameTransaction => "the same transaction exists; it is paid after the next block",
        Decline::TooManyPending => "as many payouts as a node can hold are under way",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nimiq::test_pool::{TestPool, miner};

    #[test]
    fn an_owner_who_mines_waits_rather_than_be_paid_by_the_same_transaction() {
        let rules = TestPool::payout_config("host-1").rules;
        let payment = PlannedPayment {
            user: Some(UserId(1)),
            recipient: miner(1),
            kind: PayoutKind::Automatic,
            value: Luna(6_000_000),
            network_fee: Luna(138),
            fee_payer: FeePayer::Pool,
            validity_start: Height(100),
            above: None,
        };
        let users = PayoutPlan { payments: vec![payment], ..PayoutPlan::default() };
        let surroundings = Surroundings { on_chain: Luna(u64::MAX), ..Surroundings::default() };
        let owner = OwnerPayout { recipient: miner(1), above: Luna(1_000) };
        // The fee account bears the fees of both.
        let value = |value: i64| {
            let fees = value + 2 * 138;
            let planned = owner_payment(&rules, Height(100), owner, fees, &surroundings, &users).unwrap();
            planned.map(|payment| payment.value)
        };
        assert_eq!(value(6_000_000), None);
        assert_eq!(value(6_000_001), Some(Luna(6_000_001)));
    }
}
