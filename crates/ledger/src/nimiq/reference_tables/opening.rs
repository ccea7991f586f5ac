//! What each miner of the reference is owed: credits of blocks on the main chain, less payouts.

use std::collections::{BTreeMap, HashMap};

use nimiq::Address;

use super::ReferenceTables;

/// Blocks on top of a block after which the reference pays its credits out.
const CONFIRMATIONS: u32 = 10;

/// What is carried over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Openings {
    /// What each miner is owed, in luna; negative if more was paid than stayed. Miners without work are at 0.
    pub balances: BTreeMap<Address, i64>,
    /// Credits that count.
    pub payins: u64,
    /// Credits of blocks off the main chain, which are void.
    pub void_payins: u64,
    /// Debits.
    pub payouts: u64,
    /// Requests for payouts, which are not carried over: they bear no signature, and their miners can ask again.
    pub requests: usize,
    /// The part of the credits whose blocks had fewer than 10 blocks on top when the dump was made.
    pub unconfirmed: i64,
}

/// Rows that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpeningFault {
    /// Two users, or two blocks, with one number or address.
    #[error("row {row} of table {table} repeats {what}")]
    Repeated {
        /// The table.
        table: &'static str,
        /// Which of its rows, counted from 1.
        row: usize,
        /// What is there twice.
        what: String,
    },
    /// A row names another one that is not there.
    #[error("row {row} of table {table} names {what}, which is not in the dump")]
    Unknown {
        /// The table.
        table: &'static str,
        /// Which of its rows, counted from 1.
        row: usize,
        /// What is missing.
        what: String,
    },
    /// More than all the money there is.
    #[error("row {row} of table {table} makes more money than an account can hold")]
    TooMuch {
        /// The table.
        table: &'static str,
        /// Which of its rows, counted from 1.
        row: usize,
    },
}

/// Works out the balances.
pub fn openings(tables: &ReferenceTables) -> Result<Openings, OpeningFault> {
    let mut openings = Openings { requests: tables.payout_requests, ..Openings::default() };
    let users = users(tables, &mut openings.balances)?;
    let blocks = blocks(tables)?;
    let head = tables.blocks.iter().filter(|block| block.main_chain).filter_map(|block| block.height).max();
    let mut credited = Vec::with_capacity(tables.payins.len());
    for (index, payin) in tables.payins.iter().enumerate() {
        let unknown = |what| OpeningFault::Unknown { table: "payin", row: index + 1, what };
        let address = users.get(&payin.user).ok_or_else(|| unknown(format!("user {}", payin.user)))?;
        let (height, main_chain) =
            blocks.get(&payin.block).ok_or_else(|| unknown(format!("block {}", payin.block)))?;
        credited.push((payin.user, payin.block, index + 1));
        if !main_chain {
            openings.void_payins += 1;
            continue;
        }
        openings.payins += 1;
        add(openings.balances.entry(*address).or_default(), payin.amount, "payin", index)?;
        let depth = head.unwrap_or_default().saturating_sub(height.unwrap_or_default());
        if depth < CONFIRMATIONS {
            add(&mut openings.unconfirmed, payin.amount, "payin", index)?;
        }
    }
    credited.sort_unstable();
    if let Some([_, (user, block, row)]) =
        credited.array_windows().find(|[(user, block, _), next]| (*user, *block) == (next.0, next.1))
    {
        let what = format!("the credit of user {user} for block {block}");
        return Err(OpeningFault::Repeated { table: "payin", row: *row, what });
    }
    for (index, payout) in tables.payouts.iter().enumerate() {
        let address = users.get(&payout.user).ok_or_else(|| OpeningFault::Unknown {
            table: "payout",
            row: index + 1,
            what: format!("user {}", payout.user),
        })?;
        openings.payouts += 1;
        add(openings.balances.entry(*address).or_default(), -payout.amount, "payout", index)?;
    }
    Ok(openings)
}

/// Adds what a row says, the `index`th of its table.
fn add(sum: &mut i64, amount: i64, table: &'static str, index: usize) -> Result<(), OpeningFault> {
    *sum = sum.checked_add(amount).ok_or(OpeningFault::TooMuch { table, row: index + 1 })?;
    Ok(())
}

fn users(
    tables: &ReferenceTables,
    balances: &mut BTreeMap<Address, i64>,
) -> Result<HashMap<u32, Address>, OpeningFault> {
    let mut users = HashMap::with_capacity(tables.users.len());
    for (index, user) in tables.users.iter().enumerate() {
        let repeated = |what| OpeningFault::Repeated { table: "user", row: index + 1, what };
        if users.insert(user.id, user.address).is_some() {
            return Err(repeated(format!("the id {}", user.id)));
        }
        if balances.insert(user.address, 0).is_some() {
            return Err(repeated(format!("the address {}", user.address)));
        }
    }
    Ok(users)
}

fn blocks(tables: &ReferenceTables) -> Result<HashMap<u32, (Option<u32>, bool)>, OpeningFault> {
    let mut blocks = HashMap::with_capacity(tables.blocks.len());
    for (index, block) in tables.blocks.iter().enumerate() {
        if blocks.insert(block.id, (block.height, block.main_chain)).is_some() {
            let what = format!("the id {}", block.id);
            return Err(OpeningFault::Repeated { table: "block", row: index + 1, what });
        }
    }
    Ok(blocks)
}
