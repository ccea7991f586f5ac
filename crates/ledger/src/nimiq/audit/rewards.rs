//! Blocks: what is booked for each fits its state, its split follows from its window, its window from the shares.

use std::collections::BTreeMap;

use ruint::Uint;

use super::rows::{Entry, Found, Rows, failed, get};
use crate::nimiq::store::{Accounts, AccountsError};

/// Wide enough for every product below without a thought.
type Wide = Uint<512, 8>;

/// Checks all blocks; gives the number of windows that could be cut again.
pub(super) async fn check(
    accounts: &Accounts,
    rows: &Rows,
    findings: &mut Vec<String>,
) -> Result<usize, AccountsError> {
    let oldest =
        sqlx::query("SELECT MIN(id) FROM shares").fetch_all(accounts.reader()).await.map_err(failed)?;
    let oldest: Option<i64> = oldest.first().map(|row| get(row, 0)).transpose()?.flatten();
    let mut cut_again = 0;
    for block in &rows.found {
        check_state(block, rows, findings);
        let on_chain = ["immature", "mature"].contains(&block.state.as_str());
        let (true, Some(first), Some(last)) = (on_chain, block.first, block.last) else { continue };
        // One share more than the window must be there, to see that it does not reach further back.
        if oldest.is_some_and(|oldest| oldest < first || oldest == 1) {
            cut_again += 1;
            let window = cut(accounts, rows, block, last).await?;
            if window != (block.parts.clone(), Some(first)) {
                findings.push(format!(
                    "block {}: its window is {:?} from share {first}, but the shares give {:?} from {:?}",
                    block.height, block.parts, window.0, window.1
                ));
            }
        }
    }
    Ok(cut_again)
}

fn check_state(block: &Found, rows: &Rows, findings: &mut Vec<String>) {
    let about = |kind: &str| -> Vec<&Entry> {
        let standing =
            rows.entries.values().filter(|entry| entry.block == Some(block.number) && !entry.reversed);
        standing.filter(|entry| entry.kind == kind).collect()
    };
    let (rewards, maturities) = (about("reward"), about("maturity"));
    let expected = match block.state.as_str() {
        "immature" => (1, 0, true),
        "mature" => (1, 1, true),
        "found" => (0, 0, true),
        _ => (0, 0, false),
    };
    if expected != (rewards.len(), maturities.len(), block.main_chain) {
        findings.push(format!(
            "block {} is {}: {} rewards and {} maturities stand in the book, main chain: {}",
            block.height,
            block.state,
            rewards.len(),
            maturities.len(),
            block.main_chain
        ));
    }
    if let Some(entry) = rewards.first() {
        let lines = reward_lines(block);
        if entry.lines != lines {
            findings.push(format!("block {}: {:?} is booked, not {lines:?}", block.height, entry.lines));
        }
    }
    if let Some(entry) = maturities.first() {
        let lines = maturity_lines(&reward_lines(block));
        if entry.lines != lines {
            findings.push(format!("block {}: {:?} matured, not {lines:?}", block.height, entry.lines));
        }
    }
}

/// The lines of a reward from its stored window: floors first, then one luna at a time to the largest remainder.
fn reward_lines(block: &Found) -> BTreeMap<(String, i64), i128> {
    let total = Wide::from(block.total.unsigned_abs());
    let weights: Wide = block.parts.values().map(|weight| Wide::from(*weight)).sum();
    let mut lines = BTreeMap::from([(("reward".to_owned(), 0), -block.total)]);
    if weights.is_zero() {
        lines.insert(("immature_undistributed".to_owned(), 0), block.total);
    } else {
        let fee = total * Wide::from(block.fee_ppm.unwrap_or_default()) / Wide::from(1_000_000);
        let mut left = total - fee;
        let mut remainders = BTreeMap::new();
        for (user, weight) in &block.parts {
            let product = (total - fee) * Wide::from(*weight);
            left -= product / weights;
            remainders.insert(*user, product % weights);
            lines.insert(("immature".to_owned(), *user), to_signed(product / weights));
        }
        while !left.is_zero() {
            // The lower user of equal remainders: later ones must be larger to take its place.
            let first = remainders.iter().next().map(|(user, rest)| (*user, *rest)).unwrap_or_default();
            let (user, _) = remainders
                .iter()
                .fold(first, |best, (user, rest)| if *rest > best.1 { (*user, *rest) } else { best });
            remainders.remove(&user);
            *lines.entry(("immature".to_owned(), user)).or_default() += 1;
            left -= Wide::from(1);
        }
        lines.insert(("immature_fee".to_owned(), 0), to_signed(fee));
    }
    lines.retain(|_, amount| *amount != 0);
    lines
}

fn maturity_lines(reward: &BTreeMap<(String, i64), i128>) -> BTreeMap<(String, i64), i128> {
    let mut lines = BTreeMap::new();
    for ((account, user), amount) in reward.iter().filter(|((account, _), _)| account != "reward") {
        let mature = match account.as_str() {
            "immature" => "mature",
            "immature_fee" => "fee",
            _ => "undistributed",
        };
        lines.insert((account.clone(), *user), -amount);
        lines.insert((mature.to_owned(), *user), *amount);
    }
    lines
}

/// Cuts a window again, share by share from the newest one: weights by user, and the oldest share.
async fn cut(
    accounts: &Accounts,
    rows: &Rows,
    block: &Found,
    last: i64,
) -> Result<(BTreeMap<i64, u128>, Option<i64>), AccountsError> {
    let rule = block.rule.clone().unwrap_or_default();
    let words: Vec<&str> = rule.split(' ').collect();
    let number: u128 = words.get(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    let by_work = words.get(2) == Some(&"times");
    let mut missing = if by_work { number * u128::from(block.work.unsigned_abs()) } else { number };
    let (mut parts, mut oldest, mut below) = (BTreeMap::new(), None, last + 1);
    while missing > 0 {
        let page = sqlx::query(
            "SELECT id, user_id, previous_block, weight FROM shares WHERE id < $1 ORDER BY id DESC LIMIT 10000",
        );
        let page = page.bind(below).fetch_all(accounts.reader()).await.map_err(failed)?;
        let Some(end) = page.last() else { break };
        below = get(end, 0)?;
        for row in &page {
            let is_ancestor =
                rows.heights.get(&get::<i64>(row, 2)?).is_some_and(|height| *height < block.height);
            if missing == 0 || !is_ancestor {
                continue;
            }
            let weight = u128::from(get::<i64>(row, 3)?.unsigned_abs());
            let counted = if by_work { weight.min(missing) } else { weight };
            missing -= if by_work { counted } else { 1 };
            *parts.entry(get::<i64>(row, 1)?).or_default() += counted;
            oldest = Some(get(row, 0)?);
        }
    }
    Ok((parts, oldest))
}

fn to_signed(number: Wide) -> i128 {
    i128::try_from(number).unwrap_or(i128::MAX)
}
