//! `ledger.json`: what the reference pays on made-up ledgers, against our window, split and payout plan.
//!
//! The reference computes in floating point, so credits may differ by one luna; payouts may not differ at all.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::path::Path;

use anyhow::Context;
use ledger::nimiq::payout_plan::{self, Candidate, FeePayer, PayoutRules, Surroundings};
use ledger::nimiq::payout_threshold::Thresholds;
use ledger::nimiq::split::{FeePpm, split};
use ledger::nimiq::window::{Span, SpanSum, WindowRule, WindowWalk};
use ledger::nimiq::{Sequence, UserId};
use nimiq::{Address, Height, Luna, ShareWeight};
use serde::Deserialize;
use wire::Decimal;

use crate::vectors::Tally;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ledgers {
    #[serde(rename = "about")]
    _about: String,
    reference_master: Cases,
    reference_watch: Cases,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    distribution: Vec<Distribution>,
    payouts: Vec<PayoutRun>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Distribution {
    users: Vec<String>,
    pool_fee: serde_json::Number,
    found_height: u32,
    reward: u64,
    fees: u64,
    window: Window,
    blocks: Vec<Predecessor>,
    shares: Vec<Shares>,
    payins: Vec<Amount>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Predecessor {
    height: u32,
    main_chain: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Window {
    LastShares(u64),
    LastBlocks(u32),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Shares {
    user: u64,
    prev_height: u32,
    main_chain: bool,
    count: u64,
    difficulty_each: serde_json::Number,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(deny_unknown_fields)]
struct Amount {
    user: u64,
    amount: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PayoutRun {
    head_height: u32,
    confirmations: u32,
    auto_pay_out_limit: u64,
    network_fee: u64,
    users: Vec<String>,
    blocks: Vec<Block>,
    prior_payouts: Vec<Amount>,
    payout_requests: BTreeSet<u64>,
    transactions: Vec<Transaction>,
    ledger_rows: BTreeSet<Amount>,
    requests_left: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Block {
    height: u32,
    main_chain: bool,
    payins: Vec<Amount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Transaction {
    recipient: String,
    value: u64,
    fee: u64,
    validity_start_height: u32,
}

/// Runs the file of that name, in any folder.
pub fn check(path: &Path) -> Option<anyhow::Result<Tally>> {
    path.ends_with("ledger.json").then(|| run(path))
}

fn run(path: &Path) -> anyhow::Result<Tally> {
    let ledgers: Ledgers = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let mut tally = Tally::default();
    for (name, cases) in [("master", ledgers.reference_master), ("watch", ledgers.reference_watch)] {
        for (number, case) in cases.distribution.iter().enumerate() {
            tally.row(format!("{name} distribution {number}"), distribution(case)?);
        }
        for (number, case) in cases.payouts.iter().enumerate() {
            tally.row(format!("{name} payouts {number}"), payouts(case)?);
        }
    }
    Ok(tally)
}

fn distribution(case: &Distribution) -> anyhow::Result<Option<String>> {
    for shares in &case.shares {
        let block = Predecessor { height: shares.prev_height, main_chain: shares.main_chain };
        let is_known = case.blocks.contains(&block) && (1..=case.users.len() as u64).contains(&shares.user);
        anyhow::ensure!(is_known, "shares of user {} on a block {}", shares.user, shares.prev_height);
    }
    let (oldest, rule) = match case.window {
        Window::LastShares(count) => (0, Some(count)),
        Window::LastBlocks(blocks) => (case.found_height.saturating_sub(blocks), None),
    };
    let mut counting: Vec<&Shares> = case
        .shares
        .iter()
        .filter(|shares| shares.main_chain && (oldest..case.found_height).contains(&shares.prev_height))
        .collect();
    counting.sort_by_key(|shares| shares.prev_height);
    // Each group takes as many places of the sequence as it has shares.
    let mut groups = Vec::new();
    let mut last = 0;
    for shares in counting {
        let weight = scaled(&shares.difficulty_each, 10)?;
        groups.push((last + 1, last + shares.count, UserId(shares.user), weight));
        last += shares.count;
    }
    let rule = NonZeroU64::new(rule.unwrap_or(last)).map(WindowRule::Shares);
    let mut walk =
        WindowWalk::new(rule.context("an empty window")?, ShareWeight(0), Sequence(last), Sequence(1));
    while let Some(span) = walk.question() {
        walk.answer(span, &sums(&groups, span));
    }
    let fee = FeePpm::from_fraction(case.pool_fee.to_string().parse()?)?;
    let split = split(Luna(case.reward + case.fees), fee, &walk.finish().weights());
    let ours: BTreeMap<u64, u64> = split.credits.iter().map(|(user, credit)| (user.0, credit.0)).collect();
    let theirs: BTreeMap<u64, u64> = case.payins.iter().map(|payin| (payin.user, payin.amount)).collect();
    let users: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let amount = |of: &BTreeMap<u64, u64>, user| of.get(user).copied().unwrap_or_default();
    let agree = users.into_iter().all(|user| amount(&ours, user).abs_diff(amount(&theirs, user)) <= 1);
    Ok((!agree).then(|| format!("the reference credits {theirs:?}, we {ours:?}")))
}

fn sums(groups: &[(u64, u64, UserId, u128)], span: Span) -> Vec<SpanSum> {
    let mut sums: BTreeMap<UserId, SpanSum> = BTreeMap::new();
    for (first, last, user, weight) in groups {
        let (first, last) = ((*first).max(span.first.0), (*last).min(span.last.0));
        if first > last {
            continue;
        }
        let empty = SpanSum { user: *user, shares: 0, weight: 0, oldest: Sequence(first) };
        let sum = sums.entry(*user).or_insert(empty);
        sum.shares += last - first + 1;
        sum.weight += weight * u128::from(last - first + 1);
        sum.oldest = sum.oldest.min(Sequence(first));
    }
    sums.into_values().collect()
}

fn payouts(case: &PayoutRun) -> anyhow::Result<Option<String>> {
    let limit = Luna(case.auto_pay_out_limit);
    let rules = PayoutRules {
        pool_address: Address([0; 20]),
        thresholds: Thresholds { usual: limit, least: limit, most: limit },
        fee_per_byte: Luna(case.network_fee),
        automatic_fee_payer: FeePayer::Pool,
        requested_fee_payer: FeePayer::User,
    };
    let deepest = case.head_height - case.confirmations;
    let confirmed = case.blocks.iter().filter(|block| block.main_chain && block.height <= deepest);
    let credits = confirmed.flat_map(|block| &block.payins).map(|payin| (payin.user, payin.amount as i64));
    let debits = case.prior_payouts.iter().map(|payout| (payout.user, -(payout.amount as i64)));
    let mut balances: BTreeMap<u64, i64> = BTreeMap::new();
    for (user, amount) in credits.chain(debits) {
        *balances.entry(user).or_default() += amount;
    }
    let mut candidates = Vec::new();
    for (user, address) in (1..).zip(&case.users) {
        candidates.push(Candidate {
            user: UserId(user),
            address: Address::parse(address)?,
            confirmed: balances.get(&user).copied().unwrap_or_default(),
            requested: case.payout_requests.contains(&user),
            chosen: None,
        });
    }
    let surroundings = Surroundings { on_chain: Luna(u64::MAX), ..Surroundings::default() };
    let plan = payout_plan::plan(&rules, Height(case.head_height), &candidates, &surroundings)?;
    let ours: BTreeSet<_> = plan
        .payments
        .iter()
        .map(|payment| (payment.recipient, payment.value.0, payment.network_fee.0, payment.validity_start.0))
        .collect();
    let mut theirs = BTreeSet::new();
    for transaction in &case.transactions {
        let recipient = Address::parse(&transaction.recipient)?;
        theirs.insert((recipient, transaction.value, transaction.fee, transaction.validity_start_height));
    }
    let paid =
        plan.payments.iter().filter_map(|payment| payment.user.map(|user| (user.0, payment.debit().0)));
    let rows: BTreeSet<Amount> = paid.map(|(user, amount)| Amount { user, amount }).collect();
    let answered =
        plan.declined.iter().filter(|(_, decline)| decline.answers_request()).map(|(user, _)| user.0);
    let done: BTreeSet<u64> = rows.iter().map(|row| row.user).chain(answered).collect();
    let left = case.payout_requests.difference(&done).count();
    let agree = (&ours, &rows, left) == (&theirs, &case.ledger_rows, case.requests_left);
    Ok((!agree).then(|| {
        format!(
            "the reference pays {theirs:?}, debits {:?} and leaves {} requests; we {ours:?}, {rows:?} and {left}",
            case.ledger_rows, case.requests_left
        )
    }))
}

/// A decimal number times a power of ten, which must come out whole.
fn scaled(number: &serde_json::Number, decimals: i16) -> anyhow::Result<u128> {
    let decimal: Decimal = number.to_string().parse()?;
    let scaled = Decimal::new(decimal.mantissa(), decimal.exponent() + decimals)?;
    let whole = scaled.floor_saturating();
    anyhow::ensure!(Decimal::new(whole, 0)? == scaled, "{number} has too many decimals");
    Ok(whole)
}
