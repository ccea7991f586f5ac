//! What the website asks of the accounts: recent work, blocks and payments page by page, an address's money.
//!
//! Nothing here changes anything, and the role that asks may only read. Shares are found by their numbers, which grow
//! with time, so that no index has to be kept for this.

use std::collections::{BTreeMap, HashMap};

use nimiq::{Address, BlockHash, Height, Luna};

use super::CHAIN;
use super::connection::{Accounts, AccountsError, failed};
use super::payouts::PayoutRow;
use super::rows::{Fields, list, millis, read_all};
use crate::UnixMillis;
use crate::nimiq::found_block::FoundState;
use crate::nimiq::{PayoutId, Sequence, UserId};

/// Shares looked at for one sum: what is older is not recent on any pool that sends so many.
const MOST_SHARES: u64 = 2_000_000;

/// Shares of one device among some that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceWork {
    /// Whose.
    pub user: UserId,
    /// The number that the device gave itself.
    pub device: u32,
    /// How many.
    pub shares: u64,
    /// What they weigh together.
    pub weight: u128,
    /// When the newest was accepted.
    pub newest: UnixMillis,
}

/// A block of the pool as the website shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownBlock {
    /// The block.
    pub hash: BlockHash,
    /// Its height.
    pub height: Height,
    /// When the service saw it.
    pub seen_at: UnixMillis,
    /// Reward and fees.
    pub total: Luna,
    /// Where it stands.
    pub state: FoundState,
    /// What a share that is certainly a block weighs.
    pub work: u64,
    /// The newest share that it pays, once it is settled: its own.
    pub last_share: Option<Sequence>,
    /// Who found it, while its share is kept.
    pub finder: Option<Address>,
}

/// Payments that were prepared together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownBatch {
    /// When.
    pub prepared_at: UnixMillis,
    /// How many.
    pub payments: u64,
    /// Their values together.
    pub value: Luna,
    /// The network's fees.
    pub network_fees: Luna,
    /// The states that there are among them.
    pub states: Vec<String>,
}

/// What an address has and had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Credits of blocks that can still vanish; negative if a block vanished whose money was paid out.
    pub immature: i64,
    /// What can be paid.
    pub confirmed: i64,
    /// Values of payments under way.
    pub under_way: Luna,
    /// Values of confirmed payments.
    pub paid: Luna,
    /// Whether it has asked for a payout.
    pub payout_requested: bool,
}

impl Accounts {
    /// The newest share; 0 if there never was one.
    pub async fn newest_share(&self) -> Result<Sequence, AccountsError> {
        let doing = "looking for the newest share";
        let row = sqlx::query("SELECT CAST(COALESCE(MAX(id), 0) AS BIGINT) FROM shares")
            .fetch_one(&self.reader)
            .await
            .map_err(failed(doing))?;
        Ok(Sequence(Fields { row: &row, doing }.number(0)?))
    }

    /// The first share that was accepted at or after a time, or one close to it: shares of several servers are
    /// stored in order of their arrival.
    pub async fn first_share_since(&self, since: UnixMillis) -> Result<Sequence, AccountsError> {
        let doing = "looking for the shares of a time";
        let newest = self.newest_share().await?;
        let (mut low, mut high) = (newest.0.saturating_sub(MOST_SHARES), newest.0 + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let row = sqlx::query("SELECT id, accepted_at_ms FROM shares WHERE id >= $1 ORDER BY id LIMIT 1")
                .bind(middle as i64)
                .fetch_optional(&self.reader)
                .await
                .map_err(failed(doing))?;
            let later = match &row {
                None => None,
                Some(row) => {
                    let fields = Fields { row, doing };
                    (fields.number(1)? < since.0).then_some(fields.number(0)? + 1)
                }
            };
            match later {
                Some(after) => low = after,
                None => high = middle,
            }
        }
        Ok(Sequence(low))
    }

    /// Work by device of all shares from `first` to `last`.
    pub async fn work_between(
        &self,
        first: Sequence,
        last: Sequence,
    ) -> Result<Vec<DeviceWork>, AccountsError> {
        let doing = "adding up recent shares";
        let query = sqlx::query(
            "SELECT user_id, device, COUNT(*), CAST(SUM(weight >> 32) AS BIGINT), \
             CAST(SUM(weight & 4294967295) AS BIGINT), MAX(accepted_at_ms) FROM shares \
             WHERE id >= $1 AND id <= $2 GROUP BY user_id, device",
        )
        .bind(first.0 as i64)
        .bind(last.0 as i64);
        read_all(&self.reader, doing, query, |fields| {
            Ok(DeviceWork {
                user: UserId(fields.number(0)?),
                device: fields.signed(1)? as u32,
                shares: fields.number(2)?,
                weight: (u128::from(fields.number(3)?) << 32) + u128::from(fields.number(4)?),
                newest: UnixMillis(fields.number(5)?),
            })
        })
        .await
    }

    /// How many shares there are from `first` to `last`, and what they weigh.
    pub async fn weight_between(
        &self,
        first: Sequence,
        last: Sequence,
    ) -> Result<(u64, u128), AccountsError> {
        let doing = "adding up shares";
        let row = sqlx::query(
            "SELECT COUNT(*), CAST(COALESCE(SUM(weight >> 32), 0) AS BIGINT), \
             CAST(COALESCE(SUM(weight & 4294967295), 0) AS BIGINT) FROM shares WHERE id >= $1 AND id <= $2",
        )
        .bind(first.0 as i64)
        .bind(last.0 as i64)
        .fetch_one(&self.reader)
        .await
        .map_err(failed(doing))?;
        let fields = Fields { row: &row, doing };
        Ok((fields.number(0)?, (u128::from(fields.number(1)?) << 32) + u128::from(fields.number(2)?)))
    }

    /// The oldest share that is kept as it came; `None` without any.
    pub async fn oldest_share(&self) -> Result<Option<(Sequence, UnixMillis)>, AccountsError> {
        let doing = "looking for the oldest share";
        let row = sqlx::query("SELECT id, accepted_at_ms FROM shares ORDER BY id LIMIT 1")
            .fetch_optional(&self.reader)
            .await
            .map_err(failed(doing))?;
        row.map(|row| {
            let fields = Fields { row: &row, doing };
            Ok((Sequence(fields.number(0)?), UnixMillis(fields.number(1)?)))
        })
        .transpose()
    }

    /// Number of an address; `None` for one that nobody ever worked for.
    pub async fn user_of(&self, address: Address) -> Result<Option<UserId>, AccountsError> {
        let doing = "looking up an address";
        let row = sqlx::query("SELECT id FROM users WHERE chain = $1 AND address = $2")
            .bind(CHAIN)
            .bind(address.to_string())
            .fetch_optional(&self.reader)
            .await
            .map_err(failed(doing))?;
        row.map(|row| Ok(UserId(Fields { row: &row, doing }.number(0)?))).transpose()
    }

    /// The height of the main chain, and when the service saw its newest block.
    pub async fn chain_tip(&self) -> Result<Option<(Height, UnixMillis)>, AccountsError> {
        let doing = "looking for the newest block";
        let row = sqlx::query(
            "SELECT height, COALESCE(seen_at_ms, 0) FROM blocks WHERE chain = $1 AND main_chain = 1 \
             ORDER BY height DESC LIMIT 1",
        )
        .bind(CHAIN)
        .fetch_optional(&self.reader)
        .await
        .map_err(failed(doing))?;
        row.map(|row| {
            let fields = Fields { row: &row, doing };
            Ok((fields.height(0)?, UnixMillis(fields.number(1)?)))
        })
        .transpose()
    }

    /// Blocks of the pool seen before `before`, newest first.
    pub async fn blocks_before(
        &self,
        before: UnixMillis,
        limit: u32,
    ) -> Result<Vec<ShownBlock>, AccountsError> {
        let doing = "reading the pool's blocks";
        let query = sqlx::query(
            "SELECT blocks.hash, blocks.height, blocks.seen_at_ms, found_blocks.reward, found_blocks.fees, \
             found_blocks.state, found_blocks.work, found_blocks.window_last, \
             (SELECT users.address FROM blocks AS previous \
              JOIN shares ON shares.previous_block = previous.id AND shares.hash = blocks.hash \
              JOIN users ON users.id = shares.user_id \
              WHERE previous.chain = blocks.chain AND previous.height = blocks.height - 1 LIMIT 1) \
             FROM found_blocks JOIN blocks ON blocks.id = found_blocks.block \
             WHERE blocks.chain = $1 AND blocks.seen_at_ms < $2 \
             ORDER BY blocks.seen_at_ms DESC, blocks.id DESC LIMIT $3",
        )
        .bind(CHAIN)
        .bind(millis(before))
        .bind(i64::from(limit));
        read_all(&self.reader, doing, query, |fields| {
            let state = fields.text(5)?;
            let finder = fields.optional_text(8)?;
            Ok(ShownBlock {
                hash: BlockHash(fields.hash(0)?),
                height: fields.height(1)?,
                seen_at: UnixMillis(fields.number(2)?),
                total: Luna(fields.number(3)? + fields.number(4)?),
                state: FoundState::from_name(&state)
                    .ok_or_else(|| AccountsError::Foreign(format!("the state {state:?} of a block")))?,
                work: fields.number(6)?,
                last_share: fields.optional(7)?.map(|share| Sequence(share.max(0) as u64)),
                finder: finder.and_then(|address| Address::parse(&address).ok()),
            })
        })
        .await
    }

    /// Blocks of the pool seen since a time, newest first; at most 1000.
    pub async fn blocks_since(&self, since: UnixMillis) -> Result<Vec<ShownBlock>, AccountsError> {
        let mut blocks = self.blocks_before(UnixMillis(u64::MAX), 1000).await?;
        blocks.retain(|block| block.seen_at >= since);
        Ok(blocks)
    }

    /// Payments with a smaller number than `before`, newest first, to one recipient or to all.
    pub async fn payments_before(
        &self,
        before: PayoutId,
        user: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<PayoutRow>, AccountsError> {
        let before = i64::try_from(before.0).unwrap_or(i64::MAX);
        let columns = super::payouts::COLUMNS;
        let condition = if user.is_some() { "user_id = $2 AND" } else { "$2 = 0 AND" };
        let sql = format!("{columns} WHERE {condition} id < $1 ORDER BY id DESC LIMIT $3");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(before)
            .bind(user.map_or(0, |user| user.0 as i64))
            .bind(i64::from(limit));
        self.payouts(query).await
    }

    /// What a settled block of the pool credits: the fee, which has no address, and then miners, the greatest first.
    /// Without a row the block is none, or has not been settled.
    pub async fn credits_of(
        &self,
        block: BlockHash,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<(Option<Address>, Luna)>, AccountsError> {
        let doing = "reading what a block credits";
        // A block that came back onto the chain was booked again, by the same window.
        let query = sqlx::query(
            "SELECT users.address, lines.amount FROM lines LEFT JOIN users ON users.id = lines.user_id \
             WHERE lines.entry = (SELECT MAX(entries.id) FROM entries JOIN blocks ON blocks.id = entries.block \
             WHERE blocks.chain = $1 AND blocks.hash = $2 AND entries.kind = 'reward') \
             AND lines.account IN ('immature', 'immature_fee') AND lines.amount > 0 \
             ORDER BY lines.account DESC, lines.amount DESC, lines.user_id LIMIT $3 OFFSET $4",
        )
        .bind(CHAIN)
        .bind(block.0.to_vec())
        .bind(i64::from(limit))
        .bind(i64::try_from(offset).unwrap_or(i64::MAX));
        read_all(&self.reader, doing, query, |fields| {
            let address = fields.optional_text(0)?;
            Ok((address.and_then(|address| Address::parse(&address).ok()), Luna(fields.number(1)?)))
        })
        .await
    }

    /// Reward and fees of a block of the pool; nothing if it is none.
    pub async fn reward_of(&self, block: BlockHash) -> Result<Luna, AccountsError> {
        let doing = "reading a block's reward";
        let row = sqlx::query(
            "SELECT found_blocks.reward + found_blocks.fees FROM found_blocks \
             JOIN blocks ON blocks.id = found_blocks.block WHERE blocks.chain = $1 AND blocks.hash = $2",
        )
        .bind(CHAIN)
        .bind(block.0.to_vec())
        .fetch_optional(&self.reader)
        .await
        .map_err(failed(doing))?;
        row.map_or(Ok(Luna(0)), |row| Ok(Luna(Fields { row: &row, doing }.number(0)?)))
    }

    /// The addresses of some users.
    pub async fn addresses_of(&self, users: &[UserId]) -> Result<HashMap<UserId, Address>, AccountsError> {
        let doing = "looking up addresses";
        if users.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = format!("SELECT id, address FROM users WHERE id IN ({})", list(users.len()));
        let query = sqlx::query(sqlx::AssertSqlSafe(sql));
        let query = users.iter().fold(query, |query, user| query.bind(user.0 as i64));
        let rows: Vec<(UserId, Option<Address>)> = read_all(&self.reader, doing, query, |fields| {
            Ok((UserId(fields.number(0)?), Address::parse(&fields.text(1)?).ok()))
        })
        .await?;
        Ok(rows.into_iter().filter_map(|(user, address)| Some((user, address?))).collect())
    }

    /// When a share was accepted; the next one's time if it is not kept any more, `None` if there is none.
    pub async fn accepted_at(&self, share: Sequence) -> Result<Option<UnixMillis>, AccountsError> {
        let doing = "looking for the time of a share";
        let row = sqlx::query("SELECT accepted_at_ms FROM shares WHERE id >= $1 ORDER BY id LIMIT 1")
            .bind(i64::try_from(share.0).unwrap_or(i64::MAX))
            .fetch_optional(&self.reader)
            .await
            .map_err(failed(doing))?;
        row.map(|row| Ok(UnixMillis(Fields { row: &row, doing }.number(0)?))).transpose()
    }

    /// How many payments prepared since a time are confirmed, and their values together.
    pub async fn paid_since(&self, since: UnixMillis) -> Result<(u64, Luna), AccountsError> {
        let doing = "adding up what was paid";
        let row = sqlx::query(
            "SELECT COUNT(*), CAST(COALESCE(SUM(value), 0) AS BIGINT) FROM payouts \
             WHERE chain = $1 AND state = 'confirmed' AND prepared_at_ms >= $2",
        )
        .bind(CHAIN)
        .bind(millis(since))
        .fetch_one(&self.reader)
        .await
        .map_err(failed(doing))?;
        let fields = Fields { row: &row, doing };
        Ok((fields.number(0)?, Luna(fields.number(1)?)))
    }

    /// The newest batches of payments, newest first.
    pub async fn payout_batches(&self, limit: u32) -> Result<Vec<ShownBatch>, AccountsError> {
        let doing = "reading batches of payouts";
        // A batch has at most some hundred payments: enough of the newest rows hold the batches asked for.
        let rows = sqlx::query(
            "SELECT prepared_at_ms, state, COUNT(*), CAST(SUM(value) AS BIGINT), \
             CAST(SUM(network_fee) AS BIGINT) FROM payouts WHERE chain = $1 AND id > \
             (SELECT COALESCE(MAX(id), 0) - $2 FROM payouts) \
             GROUP BY prepared_at_ms, state ORDER BY prepared_at_ms DESC",
        )
        .bind(CHAIN)
        .bind(i64::from(limit) * 100)
        .fetch_all(&self.reader)
        .await
        .map_err(failed(doing))?;
        let mut batches: BTreeMap<UnixMillis, ShownBatch> = BTreeMap::new();
        for row in &rows {
            let fields = Fields { row, doing };
            let prepared_at = UnixMillis(fields.number(0)?);
            let batch = batches.entry(prepared_at).or_insert_with(|| ShownBatch {
                prepared_at,
                payments: 0,
                value: Luna(0),
                network_fees: Luna(0),
                states: Vec::new(),
            });
            batch.states.push(fields.text(1)?);
            batch.payments += fields.number(2)?;
            batch.value.0 += fields.number(3)?;
            batch.network_fees.0 += fields.number(4)?;
        }
        Ok(batches.into_values().rev().take(limit as usize).collect())
    }

    /// What an address has and had.
    pub async fn holdings_of(&self, user: UserId) -> Result<Holdings, AccountsError> {
        let doing = "reading an address's money";
        let mut holdings = Holdings::default();
        let rows = sqlx::query("SELECT account, amount FROM balances WHERE chain = $1 AND user_id = $2 AND account IN ('immature', 'mature')")
            .bind(CHAIN)
            .bind(user.0 as i64)
            .fetch_all(&self.reader)
            .await
            .map_err(failed(doing))?;
        for row in &rows {
            let fields = Fields { row, doing };
            let amount = fields.signed(1)?;
            if fields.text(0)? == "mature" { holdings.confirmed = amount } else { holdings.immature = amount }
        }
        let rows = sqlx::query(
            "SELECT state, CAST(SUM(value) AS BIGINT) FROM payouts WHERE user_id = $1 GROUP BY state",
        )
        .bind(user.0 as i64)
        .fetch_all(&self.reader)
        .await
        .map_err(failed(doing))?;
        for row in &rows {
            let fields = Fields { row, doing };
            match fields.text(0)?.as_str() {
                "confirmed" => holdings.paid = Luna(fields.number(1)?),
                "expired" => {}
                _ => holdings.under_way.0 += fields.number(1)?,
            }
        }
        let requested = sqlx::query("SELECT user_id FROM payout_requests WHERE user_id = $1")
            .bind(user.0 as i64)
            .fetch_optional(&self.reader)
            .await
            .map_err(failed(doing))?;
        holdings.payout_requested = requested.is_some();
        Ok(holdings)
    }
}
