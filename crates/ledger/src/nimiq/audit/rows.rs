//! The rows that an audit is made of, as plain as they are stored.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::nimiq::store::{Accounts, AccountsError};

/// The accounts at one moment.
type Snapshot = Transaction<'static, Any>;

/// Name and user of an account.
pub(super) type AccountKey = (String, i64);

/// An entry with its lines.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: String,
    pub(super) block: Option<i64>,
    pub(super) payout: Option<i64>,
    pub(super) reverses: Option<i64>,
    pub(super) rule: String,
    /// Whether a counter-entry has taken it back.
    pub(super) reversed: bool,
    pub(super) lines: BTreeMap<AccountKey, i128>,
}

/// A block of the pool.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) number: i64,
    pub(super) height: i64,
    pub(super) main_chain: bool,
    pub(super) total: i128,
    pub(super) work: i64,
    pub(super) state: String,
    pub(super) rule: Option<String>,
    pub(super) fee_ppm: Option<i64>,
    pub(super) first: Option<i64>,
    pub(super) last: Option<i64>,
    /// Stored weights by user.
    pub(super) parts: BTreeMap<i64, u128>,
}

/// A payout.
#[derive(Debug)]
pub(super) struct Payout {
    pub(super) number: i64,
    pub(super) user: Option<i64>,
    pub(super) recipient: String,
    pub(super) value: i64,
    pub(super) network_fee: i64,
    pub(super) debit: i64,
    pub(super) validity_start: i64,
    pub(super) hash: Vec<u8>,
    pub(super) signed: Vec<u8>,
    pub(super) state: String,
}

/// A threshold that a miner has chosen.
#[derive(Debug)]
pub(super) struct Threshold {
    pub(super) address: String,
    pub(super) luna: i64,
    pub(super) nonce: i64,
    pub(super) proof: Vec<u8>,
}

/// Everything but the shares.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) entries: BTreeMap<i64, Entry>,
    pub(super) balances: BTreeMap<AccountKey, i128>,
    pub(super) found: Vec<Found>,
    pub(super) payouts: Vec<Payout>,
    pub(super) thresholds: Vec<Threshold>,
    /// Entries that took another pool's accounts over.
    pub(super) imports: Vec<i64>,
    /// Height of every block of the main chain, by the block's number.
    pub(super) heights: BTreeMap<i64, i64>,
}

/// Reads everything in one transaction, so that it fits together.
pub(super) async fn read(accounts: &Accounts) -> Result<Rows, AccountsError> {
    let mut snapshot = accounts.snapshot().await?;
    let snapshot = &mut snapshot;
    let mut entries = entries(snapshot).await?;
    let reversed: Vec<i64> = entries.values().filter_map(|entry| entry.reverses).collect();
    for number in reversed {
        if let Some(entry) = entries.get_mut(&number) {
            entry.reversed = true;
        }
    }
    let balances =
        select(snapshot, "SELECT account, user_id, amount FROM balances WHERE chain = 'nimiq'").await?;
    let balances = balances
        .iter()
        .map(|row| Ok(((get(row, 0)?, get(row, 1)?), i128::from(get::<i64>(row, 2)?))))
        .collect::<Result<_, AccountsError>>()?;
    let blocks =
        select(snapshot, "SELECT id, height FROM blocks WHERE chain = 'nimiq' AND main_chain = 1").await?;
    let heights =
        blocks.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect::<Result<_, AccountsError>>()?;
    let (found, payouts) = (found(snapshot).await?, payouts(snapshot).await?);
    let thresholds = thresholds(snapshot).await?;
    let imports = select(snapshot, "SELECT entry FROM imports ORDER BY entry").await?;
    let imports = imports.iter().map(|row| get(row, 0)).collect::<Result<_, AccountsError>>()?;
    Ok(Rows { entries, balances, found, payouts, thresholds, imports, heights })
}

async fn entries(snapshot: &mut Snapshot) -> Result<BTreeMap<i64, Entry>, AccountsError> {
    let sql = "SELECT id, kind, block, payout, reverses, rule FROM entries WHERE chain = 'nimiq' ORDER BY id";
    let mut entries = BTreeMap::new();
    for row in &select(snapshot, sql).await? {
        let entry = Entry {
            kind: get(row, 1)?,
            block: get(row, 2)?,
            payout: get(row, 3)?,
            reverses: get(row, 4)?,
            rule: get(row, 5)?,
            reversed: false,
            lines: BTreeMap::new(),
        };
        entries.insert(get(row, 0)?, entry);
    }
    for row in &select(snapshot, "SELECT entry, account, user_id, amount FROM lines").await? {
        if let Some(entry) = entries.get_mut(&get::<i64>(row, 0)?) {
            entry.lines.insert((get(row, 1)?, get(row, 2)?), i128::from(get::<i64>(row, 3)?));
        }
    }
    Ok(entries)
}

async fn found(snapshot: &mut Snapshot) -> Result<Vec<Found>, AccountsError> {
    let sql = "SELECT found_blocks.block, blocks.height, blocks.main_chain, reward, fees, work, state, window_rule, \
               fee_ppm, window_first, window_last FROM found_blocks JOIN blocks ON blocks.id = found_blocks.block \
               ORDER BY found_blocks.block";
    let mut found: Vec<Found> = select(snapshot, sql)
        .await?
        .iter()
        .map(|row| {
            Ok(Found {
                number: get(row, 0)?,
                height: get(row, 1)?,
                main_chain: get::<i64>(row, 2)? == 1,
                total: i128::from(get::<i64>(row, 3)?) + i128::from(get::<i64>(row, 4)?),
                work: get(row, 5)?,
                state: get(row, 6)?,
                rule: get(row, 7)?,
                fee_ppm: get(row, 8)?,
                first: get(row, 9)?,
                last: get(row, 10)?,
                parts: BTreeMap::new(),
            })
        })
        .collect::<Result<_, AccountsError>>()?;
    for row in &select(snapshot, "SELECT block, user_id, weight FROM window_parts").await? {
        let block: i64 = get(row, 0)?;
        let weight: String = get(row, 2)?;
        let number = weight.parse().map_err(|_| AccountsError::Foreign(format!("the weight {weight:?}")))?;
        if let Some(found) = found.iter_mut().find(|found| found.number == block) {
            found.parts.insert(get(row, 1)?, number);
        }
    }
    Ok(found)
}

async fn payouts(snapshot: &mut Snapshot) -> Result<Vec<Payout>, AccountsError> {
    let sql = "SELECT id, user_id, recipient, value, network_fee, debit, validity_start, hash, signed, state \
               FROM payouts WHERE chain = 'nimiq' ORDER BY id";
    let payout = |row: &AnyRow| {
        Ok(Payout {
            number: get(row, 0)?,
            user: get(row, 1)?,
            recipient: get(row, 2)?,
            value: get(row, 3)?,
            network_fee: get(row, 4)?,
            debit: get(row, 5)?,
            validity_start: get(row, 6)?,
            hash: get(row, 7)?,
            signed: get(row, 8)?,
            state: get(row, 9)?,
        })
    };
    select(snapshot, sql).await?.iter().map(payout).collect()
}

async fn thresholds(snapshot: &mut Snapshot) -> Result<Vec<Threshold>, AccountsError> {
    let sql = "SELECT users.address, threshold, nonce, proof FROM payout_thresholds \
               JOIN users ON users.id = payout_thresholds.user_id WHERE users.chain = 'nimiq'";
    let threshold = |row: &AnyRow| {
        Ok(Threshold { address: get(row, 0)?, luna: get(row, 1)?, nonce: get(row, 2)?, proof: get(row, 3)? })
    };
    select(snapshot, sql).await?.iter().map(threshold).collect()
}

async fn select(snapshot: &mut Snapshot, sql: &'static str) -> Result<Vec<AnyRow>, AccountsError> {
    sqlx::query(sql).fetch_all(&mut **snapshot).await.map_err(failed)
}

pub(super) fn get<'r, T>(row: &'r AnyRow, index: usize) -> Result<T, AccountsError>
where
    T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>,
{
    row.try_get(index).map_err(failed)
}

pub(super) fn failed(source: sqlx::Error) -> AccountsError {
    AccountsError::Database { doing: "reading what is to be audited", source }
}
