//! Settling a found block: its window is cut, once and for good, and its reward booked by it.

use std::collections::BTreeMap;

use nimiq::{BlockHash, Height, Luna, ShareWeight};
use sqlx::{Any, Transaction};

use super::CHAIN;
use super::book::{Subject, add_entry};
use super::chain::turn;
use super::connection::{Accounts, AccountsError, failed};
use super::leases::ServiceLease;
use super::rows::{Fields, add_rows, column, millis, read_all};
use crate::UnixMillis;
use crate::nimiq::found_block::{FoundState, FoundTurn};
use crate::nimiq::journal::{self, EntryKind};
use crate::nimiq::rules::CreditRules;
use crate::nimiq::split::{FeePpm, Split, split};
use crate::nimiq::window::{Span, SpanSum, Window, WindowRule, WindowWalk};
use crate::nimiq::{Sequence, UserId};

/// A block whose reward is booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The block.
    pub block: BlockHash,
    /// Reward and fees.
    pub total: Luna,
    /// The shares that it pays.
    pub window: Window,
    /// Who gets what.
    pub split: Split,
}

/// A found block that is not settled.
struct Unsettled {
    number: i64,
    hash: BlockHash,
    at: Height,
    seen_at: UnixMillis,
    total: Luna,
    work: ShareWeight,
}

impl Accounts {
    /// Settles the found blocks whose share has arrived, and those that have waited for it long enough
    /// ([`CreditRules::settle_after_ms`]).
    pub async fn settle(
        &self,
        lease: &ServiceLease,
        rules: &CreditRules,
        now: UnixMillis,
    ) -> Result<Vec<Settled>, AccountsError> {
        let mut settled = Vec::new();
        for block in self.unsettled().await? {
            let own_share = self.own_share(&block).await?;
            if own_share.is_none() && now.since(block.seen_at) < rules.settle_after_ms {
                continue;
            }
            let newest = match own_share {
                Some(sequence) => Some(sequence),
                None => self.last_share_before(&block).await?,
            };
            let window = match newest {
                Some(newest) => self.window(rules.window, block.work, block.at, newest).await?,
                None => Window::default(),
            };
            let split = split(block.total, rules.fee, &window.weights());
            self.book_window(lease, rules, &block, &window, &split, now).await?;
            settled.push(Settled { block: block.hash, total: block.total, window, split });
        }
        Ok(settled)
    }

    /// The window that a block of this work and height would pay if its own share were `newest`. Changes nothing.
    pub async fn window(
        &self,
        rule: WindowRule,
        block_work: ShareWeight,
        height: Height,
        newest: Sequence,
    ) -> Result<Window, AccountsError> {
        let doing = "reading where the shares begin";
        let row = sqlx::query("SELECT CAST(COALESCE(MIN(id), 1) AS BIGINT) FROM shares")
            .fetch_one(&self.reader)
            .await
            .map_err(failed(doing))?;
        let oldest_kept = Sequence(Fields { row: &row, doing }.number(0)?);
        let mut walk = WindowWalk::new(rule, block_work, newest, oldest_kept);
        while let Some(span) = walk.question() {
            walk.answer(span, &self.sums(span, height).await?);
        }
        Ok(walk.finish())
    }

    /// What each user has in a span of the shares that were mined on main-chain blocks below `height`. Weights are added
    /// up in two halves, since their sum may have more bits than a column.
    async fn sums(&self, span: Span, height: Height) -> Result<Vec<SpanSum>, AccountsError> {
        let doing = "adding up shares";
        let query = sqlx::query(
            "SELECT user_id, COUNT(*), CAST(SUM(weight >> 32) AS BIGINT), \
             CAST(SUM(weight & 4294967295) AS BIGINT), MIN(id) FROM shares WHERE id BETWEEN $1 AND $2 \
             AND previous_block NOT IN (SELECT id FROM blocks WHERE main_chain = 0 UNION ALL \
             SELECT id FROM blocks WHERE chain = $3 AND main_chain = 1 AND height >= $4) GROUP BY user_id",
        )
        .bind(column("sequence number", span.first.0)?)
        .bind(column("sequence number", span.last.0)?)
        .bind(CHAIN)
        .bind(i64::from(height.0));
        read_all(&self.reader, doing, query, |fields| {
            Ok(SpanSum {
                user: UserId(fields.number(0)?),
                shares: fields.number(1)?,
                weight: (u128::from(fields.number(2)?) << 32) + u128::from(fields.number(3)?),
                oldest: Sequence(fields.number(4)?),
            })
        })
        .await
    }

    /// Whether a block of the pool waits to be settled.
    pub async fn waits_for_settlement(&self) -> Result<bool, AccountsError> {
        Ok(!self.unsettled().await?.is_empty())
    }

    async fn unsettled(&self) -> Result<Vec<Unsettled>, AccountsError> {
        let doing = "reading blocks that are not settled";
        let query = sqlx::query(
            "SELECT found_blocks.block, blocks.hash, blocks.height, blocks.seen_at_ms, found_blocks.reward, \
             found_blocks.fees, found_blocks.work FROM found_blocks JOIN blocks ON blocks.id = found_blocks.block \
             WHERE found_blocks.state = $1 ORDER BY blocks.height",
        )
        .bind(FoundState::Found.name());
        read_all(&self.reader, doing, query, |fields| {
            Ok(Unsettled {
                number: fields.signed(0)?,
                hash: BlockHash(fields.hash(1)?),
                at: fields.height(2)?,
                seen_at: UnixMillis(fields.number(3)?),
                total: Luna(fields.number(4)? + fields.number(5)?),
                work: ShareWeight(fields.number(6)?),
            })
        })
        .await
    }

    /// The share that the block was: it lies on the block below.
    async fn own_share(&self, block: &Unsettled) -> Result<Option<Sequence>, AccountsError> {
        let doing = "looking for the share that a block was";
        let row = sqlx::query(
            "SELECT id FROM shares WHERE previous_block = \
             (SELECT id FROM blocks WHERE chain = $1 AND main_chain = 1 AND height = $2) AND hash = $3",
        )
        .bind(CHAIN)
        .bind(i64::from(block.at.0) - 1)
        .bind(block.hash.0.to_vec())
        .fetch_optional(&self.reader)
        .await
        .map_err(failed(doing))?;
        row.map(|row| Fields { row: &row, doing }.number(0).map(Sequence)).transpose()
    }

    /// The last share accepted below the block before the block was seen: where its window ends if its own
    /// share never came.
    async fn last_share_before(&self, block: &Unsettled) -> Result<Option<Sequence>, AccountsError> {
        let doing = "looking for the end of a window";
        let row = sqlx::query(
            "SELECT shares.id FROM shares JOIN blocks ON blocks.id = shares.previous_block \
             WHERE blocks.main_chain = 1 AND blocks.height < $1 AND shares.accepted_at_ms <= $2 \
             ORDER BY shares.id DESC LIMIT 1",
        )
        .bind(i64::from(block.at.0))
        .bind(millis(block.seen_at))
        .fetch_optional(&self.reader)
        .await
        .map_err(failed(doing))?;
        row.map(|row| Fields { row: &row, doing }.number(0).map(Sequence)).transpose()
    }

    async fn book_window(
        &self,
        lease: &ServiceLease,
        rules: &CreditRules,
        block: &Unsettled,
        window: &Window,
        split: &Split,
        now: UnixMillis,
    ) -> Result<(), AccountsError> {
        let doing = "storing a window";
        let mut transaction = self.begin_as(lease).await?;
        sqlx::query(
            "UPDATE found_blocks SET window_rule = $1, fee_ppm = $2, window_first = $3, window_last = $4, \
             settled_at_ms = $5 WHERE block = $6",
        )
        .bind(rules.window.to_string())
        .bind(i64::from(rules.fee.millionths()))
        .bind(window.span.map(|span| span.first.0 as i64))
        .bind(window.span.map(|span| span.last.0 as i64))
        .bind(millis(now))
        .bind(block.number)
        .execute(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        let rows: Vec<_> = window.parts.iter().collect();
        let head = "INSERT INTO window_parts (block, user_id, shares, weight)";
        add_rows(&mut transaction, doing, (head, 4, ""), &rows, |query, (user, part)| {
            query
                .bind(block.number)
                .bind(user.0 as i64)
                .bind(part.shares as i64)
                .bind(part.weight.to_string())
        })
        .await?;
        let rule = journal::reward_rule(rules.window, rules.fee, window.span);
        book_reward(&mut transaction, block.number, block.total, split, &rule, now).await?;
        turn(&mut transaction, block.number, FoundState::Found, FoundTurn::Settle, now).await?;
        transaction.commit().await.map_err(failed("settling a block"))
    }
}

async fn book_reward(
    transaction: &mut Transaction<'static, Any>,
    block: i64,
    total: Luna,
    split: &Split,
    rule: &str,
    now: UnixMillis,
) -> Result<(), AccountsError> {
    let lines = journal::reward(total, split)?;
    add_entry(transaction, EntryKind::Reward, Subject::Block(block), rule, &lines, now).await
}

/// Books the reward of a block that is back as it was booked before: by its stored window and fee.
pub(super) async fn book_stored_window(
    transaction: &mut Transaction<'static, Any>,
    block: i64,
    now: UnixMillis,
) -> Result<(), AccountsError> {
    let doing = "reading a stored window";
    let row = sqlx::query(
        "SELECT reward, fees, window_rule, fee_ppm, window_first, window_last FROM found_blocks WHERE block = $1",
    )
    .bind(block)
    .fetch_one(&mut **transaction)
    .await
    .map_err(failed(doing))?;
    let fields = Fields { row: &row, doing };
    let total = Luna(fields.number(0)? + fields.number(1)?);
    let rule: WindowRule = fields.text(2)?.parse().map_err(AccountsError::Foreign)?;
    let fee = u32::try_from(fields.signed(3)?).ok().and_then(FeePpm::new);
    let fee = fee.ok_or_else(|| AccountsError::Foreign("a fee that is none".into()))?;
    let span = match (fields.optional(4)?, fields.optional(5)?) {
        (Some(first), Some(last)) => {
            Some(Span { first: Sequence(first as u64), last: Sequence(last as u64) })
        }
        _ => None,
    };
    let rows = sqlx::query("SELECT user_id, weight FROM window_parts WHERE block = $1")
        .bind(block)
        .fetch_all(&mut **transaction)
        .await
        .map_err(failed(doing))?;
    let mut weights = BTreeMap::new();
    for row in &rows {
        let fields = Fields { row, doing };
        let weight = fields.text(1)?;
        let number = weight.parse().map_err(|_| AccountsError::Foreign(format!("the weight {weight:?}")))?;
        weights.insert(UserId(fields.number(0)?), number);
    }
    let split = split(total, fee, &weights);
    let rule = journal::reward_rule(rule, fee, span);
    book_reward(transaction, block, total, &split, &rule, now).await
}
