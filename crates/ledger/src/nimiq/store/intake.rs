//! Shares into the store: many at once, each once, none lost because of its neighbour.

use std::collections::{HashMap, HashSet};

use nimiq::{Address, BlockHash, ShareWeight};
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::CHAIN;
use super::connection::{Accounts, AccountsError, failed};
use super::rows::{Fields, NumberTable, add_rows, column, list, millis, read_all, take_numbers};
use crate::UnixMillis;
use crate::nimiq::{Sequence, ServerId};

/// A share that a server accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewShare {
    /// Its number on that server: with the server's id, the name under which it is delivered again and again until
    /// the store has it.
    pub server_sequence: u64,
    /// Whom to credit.
    pub address: Address,
    /// The miner's number for its device.
    pub device: u32,
    /// The block that it builds on.
    pub previous_block: BlockHash,
    /// The hash of its header, under which it counts once in the whole pool.
    pub hash: BlockHash,
    /// What it is worth: above 0.
    pub weight: ShareWeight,
    /// When the server accepted it.
    pub accepted_at: UnixMillis,
}

/// A share that the tables refuse. It is kept with the reason, and not credited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its number on the server.
    pub server_sequence: u64,
    /// Why.
    pub reason: String,
}

/// What became of a batch of shares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntakeReport {
    /// Shares that count since this batch.
    pub credited: u64,
    /// Shares that had been stored before.
    pub repeated: u64,
    /// Shares that cannot be stored.
    pub set_aside: Vec<SetAside>,
}

/// The most addresses and blocks whose numbers are remembered.
const MOST_KNOWN: usize = 1 << 20;

/// Numbers that are in the store for certain.
#[derive(Debug, Default)]
pub(super) struct Known {
    users: HashMap<Address, i64>,
    blocks: HashMap<BlockHash, i64>,
}

impl Accounts {
    /// The number of the server with this name; a new one if it has none yet.
    pub async fn server(&self, name: &str) -> Result<ServerId, AccountsError> {
        let doing = "looking up a server";
        let mut transaction = self.begin().await?;
        let number = take_numbers(&mut transaction, NumberTable::Intake, "servers", 1).await?;
        sqlx::query("INSERT INTO servers (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(number)
            .bind(name)
            .execute(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        let row = sqlx::query("SELECT id FROM servers WHERE name = $1")
            .bind(name)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Fields { row: &row, doing }.number(0).map(ServerId)
    }

    /// The largest number of a share of this server in the store; 0 if it has none.
    pub async fn last_server_sequence(&self, server: ServerId) -> Result<u64, AccountsError> {
        let doing = "looking up the last share of a server";
        let row = sqlx::query(
            "SELECT CAST(COALESCE(MAX(server_sequence), 0) AS BIGINT) FROM shares WHERE server = $1",
        )
        .bind(column("server", server.0)?)
        .fetch_one(&self.reader)
        .await
        .map_err(failed(doing))?;
        Fields { row: &row, doing }.number(0)
    }

    /// Stores shares durably and gives each its place in the global sequence. Delivering a share again changes
    /// nothing, so a batch whose answer was lost is sent again as it was. On an error nothing was stored, and
    /// the batch is to be sent again: it says that the store, not a share, is at fault.
    pub async fn accept_shares(
        &self,
        server: ServerId,
        shares: &[NewShare],
    ) -> Result<IntakeReport, AccountsError> {
        match self.add_shares(server, shares).await {
            Err(error) if error.is_fault_of_row() => self.add_one_by_one(server, shares).await,
            result => result,
        }
    }

    /// The place of the share with this hash, mined on that block.
    pub async fn sequence_of(
        &self,
        previous_block: BlockHash,
        hash: BlockHash,
    ) -> Result<Option<Sequence>, AccountsError> {
        let doing = "looking up a share";
        let row = sqlx::query(
            "SELECT id FROM shares WHERE previous_block = (SELECT id FROM blocks WHERE chain = $1 AND hash = $2) \
             AND hash = $3",
        )
        .bind(CHAIN)
        .bind(previous_block.0.to_vec())
        .bind(hash.0.to_vec())
        .fetch_optional(&self.reader)
        .await
        .map_err(failed(doing))?;
        row.map(|row| Fields { row: &row, doing }.number(0).map(Sequence)).transpose()
    }

    /// Hashes of the shares stored on a block, for a server that starts while miners work on it.
    pub async fn share_hashes(&self, previous_block: BlockHash) -> Result<Vec<BlockHash>, AccountsError> {
        let doing = "reading the shares on a block";
        let query = sqlx::query(
            "SELECT shares.hash FROM shares JOIN blocks ON blocks.id = shares.previous_block \
             WHERE blocks.chain = $1 AND blocks.hash = $2",
        )
        .bind(CHAIN)
        .bind(previous_block.0.to_vec());
        read_all(&self.reader, doing, query, |fields| fields.hash(0).map(BlockHash)).await
    }

    async fn add_shares(&self, server: ServerId, shares: &[NewShare]) -> Result<IntakeReport, AccountsError> {
        if shares.is_empty() {
            return Ok(IntakeReport::default());
        }
        let doing = "storing shares";
        let server = column("server", server.0)?;
        let mut transaction = self.begin().await?;
        // Lists, not iterators, are kept while the database works: with those this future could not change threads.
        let payees: Vec<Address> = shares.iter().map(|share| share.address).collect();
        let users = self.users_of(&mut transaction, payees.into_iter()).await?;
        let blocks = self.blocks_of(&mut transaction, shares).await?;
        let first = take_numbers(&mut transaction, NumberTable::Intake, "shares", shares.len()).await?;
        let mut rows = Vec::with_capacity(shares.len());
        for (share, number) in shares.iter().zip(first..) {
            rows.push(Row {
                number,
                server_sequence: column("share number", share.server_sequence)?,
                user: users.get(&share.address).copied().unwrap_or_default(),
                previous_block: blocks.get(&share.previous_block).copied().unwrap_or_default(),
                weight: column("weight", share.weight.0)?,
                share,
            });
        }
        let columns = "INSERT INTO shares (id, server, server_sequence, user_id, device, previous_block, weight, \
                       hash, accepted_at_ms)";
        let credited =
            add_rows(&mut transaction, doing, (columns, 9, "ON CONFLICT DO NOTHING"), &rows, |query, row| {
                query
                    .bind(row.number)
                    .bind(server)
                    .bind(row.server_sequence)
                    .bind(row.user)
                    .bind(i64::from(row.share.device))
                    .bind(row.previous_block)
                    .bind(row.weight)
                    .bind(row.share.hash.0.to_vec())
                    .bind(millis(row.share.accepted_at))
            })
            .await?;
        let set_aside = if credited == shares.len() as u64 {
            Vec::new()
        } else {
            let blocks: Vec<i64> = blocks.values().copied().collect();
            set_aside_strangers(&mut transaction, server, shares, &blocks).await?
        };
        transaction.commit().await.map_err(failed(doing))?;
        self.remember(users, blocks);
        let repeated = shares.len() as u64 - credited - set_aside.len() as u64;
        Ok(IntakeReport { credited, repeated, set_aside })
    }

    /// One bad share must not cost its neighbours (`docs/protocol/nimiq-pool.md` 5.18).
    async fn add_one_by_one(
        &self,
        server: ServerId,
        shares: &[NewShare],
    ) -> Result<IntakeReport, AccountsError> {
        let mut whole = IntakeReport::default();
        for share in shares {
            match self.add_shares(server, std::slice::from_ref(share)).await {
                Ok(part) => {
                    whole.credited += part.credited;
                    whole.repeated += part.repeated;
                    whole.set_aside.extend(part.set_aside);
                }
                Err(error) if error.is_fault_of_row() => {
                    let mut transaction = self.begin().await?;
                    let reason = chain_of_causes(&error);
                    let server = column("server", server.0)?;
                    whole.set_aside.push(set_aside(&mut transaction, server, share, reason).await?);
                    transaction.commit().await.map_err(failed("setting a share aside"))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(whole)
    }

    /// The numbers of addresses; those that have none get one.
    pub(super) async fn users_of(
        &self,
        transaction: &mut Transaction<'static, Any>,
        addresses: impl Iterator<Item = Address>,
    ) -> Result<HashMap<Address, i64>, AccountsError> {
        let doing = "looking up users";
        let (mut numbers, strangers) = self.look_up(addresses, |known| &known.users);
        for part in strangers.chunks(512) {
            let first = take_numbers(transaction, NumberTable::Intake, "users", part.len()).await?;
            let rows: Vec<_> = (first..).zip(part).collect();
            let head = "INSERT INTO users (id, chain, address)";
            add_rows(transaction, doing, (head, 3, "ON CONFLICT DO NOTHING"), &rows, |query, row| {
                query.bind(row.0).bind(CHAIN).bind(row.1.to_string())
            })
            .await?;
            let sql = format!(
                "SELECT id, address FROM users WHERE chain = ${} AND address IN ({})",
                part.len() + 1,
                list(part.len())
            );
            let query = part
                .iter()
                .fold(sqlx::query(AssertSqlSafe(sql)), |query, address| query.bind(address.to_string()));
            let rows = query.bind(CHAIN).fetch_all(&mut **transaction).await.map_err(failed(doing))?;
            for row in &rows {
                let fields = Fields { row, doing };
                numbers.insert(fields.address(1)?, fields.signed(0)?);
            }
        }
        Ok(numbers)
    }

    async fn blocks_of(
        &self,
        transaction: &mut Transaction<'static, Any>,
        shares: &[NewShare],
    ) -> Result<HashMap<BlockHash, i64>, AccountsError> {
        let (mut numbers, strangers) =
            self.look_up(shares.iter().map(|share| share.previous_block), |known| &known.blocks);
        for hash in strangers {
            numbers.insert(hash, block_number(transaction, hash).await?);
        }
        Ok(numbers)
    }

    /// The remembered numbers of keys, and the keys without one, each once and in their order.
    fn look_up<K: std::hash::Hash + Eq + Copy>(
        &self,
        keys: impl Iterator<Item = K>,
        map: impl Fn(&Known) -> &HashMap<K, i64>,
    ) -> (HashMap<K, i64>, Vec<K>) {
        let known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = map(&known);
        let (mut numbers, mut strangers) = (HashMap::new(), Vec::new());
        let mut seen = HashSet::new();
        for key in keys.filter(|key| seen.insert(*key)) {
            match known.get(&key) {
                Some(number) => drop(numbers.insert(key, *number)),
                None => strangers.push(key),
            }
        }
        (numbers, strangers)
    }

    /// Only after a commit: what was rolled back has no number.
    fn remember(&self, users: HashMap<Address, i64>, blocks: HashMap<BlockHash, i64>) {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.users.len() > MOST_KNOWN {
            known.users.clear();
        }
        if known.blocks.len() > MOST_KNOWN {
            known.blocks.clear();
        }
        known.users.extend(users);
        known.blocks.extend(blocks);
    }
}

/// A share on its way into the table.
struct Row<'a> {
    number: i64,
    server_sequence: i64,
    user: i64,
    previous_block: i64,
    weight: i64,
    share: &'a NewShare,
}

/// The number of a block; a new one if it has none yet. What is known of it besides the hash comes from elsewhere.
pub(super) async fn block_number(
    transaction: &mut Transaction<'static, Any>,
    hash: BlockHash,
) -> Result<i64, AccountsError> {
    let doing = "looking up a block";
    let number = take_numbers(transaction, NumberTable::Intake, "blocks", 1).await?;
    sqlx::query("INSERT INTO blocks (id, chain, hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(number)
        .bind(CHAIN)
        .bind(hash.0.to_vec())
        .execute(&mut **transaction)
        .await
        .map_err(failed(doing))?;
    let row = sqlx::query("SELECT id FROM blocks WHERE chain = $1 AND hash = $2")
        .bind(CHAIN)
        .bind(hash.0.to_vec())
        .fetch_one(&mut **transaction)
        .await
        .map_err(failed(doing))?;
    Fields { row: &row, doing }.signed(0)
}

/// Sets aside the shares that were passed over for another one with their number, as opposed to those that are there.
async fn set_aside_strangers(
    transaction: &mut Transaction<'static, Any>,
    server: i64,
    shares: &[NewShare],
    blocks: &[i64],
) -> Result<Vec<SetAside>, AccountsError> {
    let doing = "telling repeated shares from others";
    let mut stored = HashSet::new();
    // Shares of a batch lie on few blocks: one question for each part of the batch and block.
    let parts: Vec<_> = shares.chunks(512).collect();
    let questions: Vec<_> =
        parts.iter().flat_map(|part| blocks.iter().map(move |block| (*part, *block))).collect();
    for (part, block) in questions {
        let sql = format!(
            "SELECT hash FROM shares WHERE hash IN ({}) AND previous_block = ${}",
            list(part.len()),
            part.len() + 1
        );
        let query = part
            .iter()
            .fold(sqlx::query(AssertSqlSafe(sql)), |query, share| query.bind(share.hash.0.to_vec()))
            .bind(block);
        for row in &query.fetch_all(&mut **transaction).await.map_err(failed(doing))? {
            stored.insert(Fields { row, doing }.hash(0)?);
        }
    }
    let mut strangers = Vec::new();
    for share in shares {
        if stored.contains(&share.hash.0) {
            continue;
        }
        let reason = "the server has given this number to another share".to_owned();
        strangers.push(set_aside(transaction, server, share, reason).await?);
    }
    Ok(strangers)
}

async fn set_aside(
    transaction: &mut Transaction<'static, Any>,
    server: i64,
    share: &NewShare,
    reason: String,
) -> Result<SetAside, AccountsError> {
    tracing::error!(server, share = ?share, reason, "a share is set aside and not credited");
    sqlx::query(
        "INSERT INTO shares_set_aside (server, server_sequence, share, reason, at_ms) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO NOTHING",
    )
    .bind(server)
    .bind(i64::try_from(share.server_sequence).unwrap_or(i64::MAX))
    .bind(format!("{share:?}"))
    .bind(reason.clone())
    .bind(millis(share.accepted_at))
    .execute(&mut **transaction)
    .await
    .map_err(failed("setting a share aside"))?;
    Ok(SetAside { server_sequence: share.server_sequence, reason })
}

fn chain_of_causes(error: &AccountsError) -> String {
    match error {
        AccountsError::Database { doing, source } => format!("{doing}: {source}"),
        other => other.to_string(),
    }
}
