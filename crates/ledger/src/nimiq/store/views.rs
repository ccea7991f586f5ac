//! What miners, the website and figures want to know. Nothing here changes anything.

use std::collections::BTreeMap;

use nimiq::{Address, BlockHash, Height, Luna};

use super::CHAIN;
use super::book::balance;
use super::connection::{Accounts, AccountsError, failed};
use super::rows::{Fields, read_all};
use crate::UnixMillis;
use crate::nimiq::found_block::FoundState;
use crate::nimiq::journal::Account;

/// What a miner has, as a `balance` message says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BalanceView {
    /// All credits of blocks on the main chain less all payouts; negative if more was paid than stayed.
    pub balance: i64,
    /// The part that can be paid.
    pub confirmed: i64,
    /// Whether a request is waiting.
    pub payout_request_active: bool,
    /// The threshold for payouts that the miner has chosen.
    pub chosen_threshold: Option<Luna>,
}

/// A block of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundRow {
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
}

/// Payouts by state, for figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PayoutFigures {
    /// How many of each state, and the values together.
    pub by_state: BTreeMap<String, (u64, Luna)>,
    /// When the oldest one that is neither confirmed nor expired was prepared.
    pub oldest_under_way: Option<UnixMillis>,
}

impl Accounts {
    /// What a miner has; nothing for an address that nobody ever worked for.
    pub async fn balance(&self, address: Address) -> Result<BalanceView, AccountsError> {
        let doing = "reading a miner's balance";
        let rows = sqlx::query(
            "SELECT balances.account, balances.amount FROM balances JOIN users ON users.id = balances.user_id \
             WHERE users.chain = $1 AND users.address = $2 AND balances.chain = $1",
        )
        .bind(CHAIN)
        .bind(address.to_string())
        .fetch_all(&self.reader)
        .await
        .map_err(failed(doing))?;
        let mut view = BalanceView::default();
        for row in &rows {
            let fields = Fields { row, doing };
            let amount = fields.signed(1)?;
            view.balance += amount;
            if fields.text(0)? == "mature" {
                view.confirmed += amount;
            }
        }
        let orders = sqlx::query(
            "SELECT payout_requests.user_id, payout_thresholds.threshold FROM users \
             LEFT JOIN payout_requests ON payout_requests.user_id = users.id \
             LEFT JOIN payout_thresholds ON payout_thresholds.user_id = users.id \
             WHERE users.chain = $1 AND users.address = $2",
        )
        .bind(CHAIN)
        .bind(address.to_string())
        .fetch_optional(&self.reader)
        .await
        .map_err(failed(doing))?;
        if let Some(row) = &orders {
            let fields = Fields { row, doing };
            view.payout_request_active = fields.optional(0)?.is_some();
            view.chosen_threshold = fields.optional(1)?.map(|luna| Luna(luna.cast_unsigned()));
        }
        Ok(view)
    }

    /// The balance of an account.
    pub async fn balance_of(&self, account: Account) -> Result<i64, AccountsError> {
        balance(&self.reader, account).await
    }

    /// The sums of all accounts of each name, as they stand in the book: `reward`, `immature`, `mature`, `fee`,
    /// `outgoing`, `paid` and so on. They sum to zero.
    pub async fn totals(&self) -> Result<BTreeMap<String, i64>, AccountsError> {
        let doing = "adding up the book";
        let query = sqlx::query(
            "SELECT account, CAST(SUM(amount) AS BIGINT) FROM balances WHERE chain = $1 GROUP BY account",
        )
        .bind(CHAIN);
        read_all(&self.reader, doing, query, |fields| Ok((fields.text(0)?, fields.signed(1)?))).await
    }

    /// How many blocks of the pool are in each state; a state that none is in is left out.
    pub async fn blocks_by_state(&self) -> Result<BTreeMap<FoundState, u64>, AccountsError> {
        let doing = "counting the pool's blocks";
        let query = sqlx::query(
            "SELECT found_blocks.state, COUNT(*) FROM found_blocks JOIN blocks ON blocks.id = found_blocks.block \
             WHERE blocks.chain = $1 GROUP BY found_blocks.state",
        )
        .bind(CHAIN);
        read_all(&self.reader, doing, query, |fields| Ok((found_state(&fields.text(0)?)?, fields.number(1)?)))
            .await
    }

    /// The newest blocks of the pool, newest first.
    pub async fn found_blocks(&self, limit: u32) -> Result<Vec<FoundRow>, AccountsError> {
        let doing = "reading the pool's blocks";
        let query = sqlx::query(
            "SELECT blocks.hash, blocks.height, blocks.seen_at_ms, found_blocks.reward, found_blocks.fees, \
             found_blocks.state FROM found_blocks JOIN blocks ON blocks.id = found_blocks.block \
             WHERE blocks.chain = $1 ORDER BY blocks.height DESC, blocks.id DESC LIMIT $2",
        )
        .bind(CHAIN)
        .bind(i64::from(limit));
        read_all(&self.reader, doing, query, |fields| {
            Ok(FoundRow {
                hash: BlockHash(fields.hash(0)?),
                height: fields.height(1)?,
                seen_at: UnixMillis(fields.number(2)?),
                total: Luna(fields.number(3)? + fields.number(4)?),
                state: found_state(&fields.text(5)?)?,
            })
        })
        .await
    }

    /// Payouts by state.
    pub async fn payout_figures(&self) -> Result<PayoutFigures, AccountsError> {
        let doing = "adding up payouts";
        let rows = sqlx::query(
            "SELECT state, COUNT(*), CAST(SUM(value) AS BIGINT), MIN(prepared_at_ms) FROM payouts \
             WHERE chain = $1 GROUP BY state",
        )
        .bind(CHAIN)
        .fetch_all(&self.reader)
        .await
        .map_err(failed(doing))?;
        let mut figures = PayoutFigures::default();
        for row in &rows {
            let fields = Fields { row, doing };
            let state = fields.text(0)?;
            let oldest = UnixMillis(fields.number(3)?);
            if ["prepared", "broadcast", "mined"].contains(&state.as_str()) {
                let earlier = figures.oldest_under_way.map_or(oldest, |other| other.min(oldest));
                figures.oldest_under_way = Some(earlier);
            }
            figures.by_state.insert(state, (fields.number(1)?, Luna(fields.number(2)?)));
        }
        Ok(figures)
    }
}

fn found_state(name: &str) -> Result<FoundState, AccountsError> {
    FoundState::from_name(name)
        .ok_or_else(|| AccountsError::Foreign(format!("the state {name:?} of a block")))
}
