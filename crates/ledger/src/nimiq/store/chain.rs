//! Following the chain: which blocks are on it, which of them are the pool's, and what a reorganisation takes back.
//! One transaction for each update, so that the main chain and the book never tell different stories.

use nimiq::{BlockHash, Height, Luna, ShareWeight};
use sqlx::{Any, Transaction};

use super::CHAIN;
use super::book::{Subject, add_entry, reverse, standing_entry};
use super::connection::{Accounts, AccountsError, failed};
use super::intake::block_number;
use super::leases::ServiceLease;
use super::rows::{Fields, column, height, millis, read_all};
use super::settlement::book_stored_window;
use crate::UnixMillis;
use crate::nimiq::found_block::{Booking, FoundState, FoundTurn};
use crate::nimiq::journal::{self, EntryKind};

/// What the pool earns with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundReward {
    /// The block's reward, without fees.
    pub reward: Luna,
    /// Fees of its transactions.
    pub fees: Luna,
    /// Its expected work: the weight of a share as hard as the block.
    pub work: ShareWeight,
}

/// A block that the node has on its main chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainBlock {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: Height,
    /// Set if its miner is the pool.
    pub found: Option<FoundReward>,
}

/// How the main chain changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainUpdate {
    /// Blocks that are no longer on it.
    pub left: Vec<BlockHash>,
    /// Blocks that are on it now.
    pub joined: Vec<ChainBlock>,
}

/// What an update came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Followed {
    /// The newest block of the main chain.
    pub head: Option<Height>,
    /// Blocks of the pool that joined for the first time.
    pub found: Vec<BlockHash>,
    /// Blocks of the pool that are back, and booked again if they had been.
    pub returned: Vec<BlockHash>,
    /// Blocks of the pool that left, with what had been booked.
    pub orphaned: Vec<BlockHash>,
    /// Blocks of the pool whose credits can be paid now.
    pub matured: Vec<BlockHash>,
}

impl Accounts {
    /// The newest blocks of the main chain, newest first.
    pub async fn main_chain(&self, limit: u32) -> Result<Vec<(Height, BlockHash)>, AccountsError> {
        let doing = "reading the main chain";
        let query = sqlx::query(
            "SELECT height, hash FROM blocks WHERE chain = $1 AND main_chain = 1 ORDER BY height DESC LIMIT $2",
        )
        .bind(CHAIN)
        .bind(i64::from(limit));
        read_all(&self.reader, doing, query, |fields| Ok((fields.height(0)?, BlockHash(fields.hash(1)?))))
            .await
    }

    /// Makes the stored main chain that of the node: books what the update means, and matures what is
    /// `confirmations` deep afterwards. Sending the same update again is an error or changes nothing.
    pub async fn follow(
        &self,
        lease: &ServiceLease,
        update: &ChainUpdate,
        confirmations: u32,
        now: UnixMillis,
    ) -> Result<Followed, AccountsError> {
        let mut transaction = self.begin_as(lease).await?;
        let mut followed = Followed::default();
        for hash in &update.left {
            if leave(&mut transaction, *hash, now).await? {
                followed.orphaned.push(*hash);
            }
        }
        for block in &update.joined {
            match join(&mut transaction, block, now).await? {
                Joined::Foreign => {}
                Joined::Found => followed.found.push(block.hash),
                Joined::Returned => followed.returned.push(block.hash),
            }
        }
        followed.head = head(&mut transaction).await?;
        if let Some(head) = followed.head {
            followed.matured = mature(&mut transaction, head, confirmations, now).await?;
        }
        transaction.commit().await.map_err(failed("following the chain"))?;
        Ok(followed)
    }
}

/// What a block that joined is to the pool.
enum Joined {
    /// Somebody else's, or known to be there already.
    Foreign,
    /// The pool's, for the first time.
    Found,
    /// The pool's, once more.
    Returned,
}

/// Takes a block off the main chain; says whether it was the pool's.
async fn leave(
    transaction: &mut Transaction<'static, Any>,
    hash: BlockHash,
    now: UnixMillis,
) -> Result<bool, AccountsError> {
    let doing = "taking a block off the main chain";
    let row = sqlx::query(
        "UPDATE blocks SET main_chain = 0 WHERE chain = $1 AND hash = $2 AND main_chain = 1 RETURNING id",
    )
    .bind(CHAIN)
    .bind(hash.0.to_vec())
    .fetch_optional(&mut **transaction)
    .await
    .map_err(failed(doing))?;
    let row = row.ok_or(AccountsError::NotOnMainChain(hash))?;
    let block = Fields { row: &row, doing }.signed(0)?;
    match found_state(transaction, block).await? {
        None => Ok(false),
        Some(Stored { state, .. }) => {
            turn(transaction, block, state, FoundTurn::Leave, now).await?;
            Ok(true)
        }
    }
}

async fn join(
    transaction: &mut Transaction<'static, Any>,
    block: &ChainBlock,
    now: UnixMillis,
) -> Result<Joined, AccountsError> {
    let doing = "putting a block on the main chain";
    let height = i64::from(block.height.0);
    let rival = sqlx::query(
        "SELECT hash FROM blocks WHERE chain = $1 AND height = $2 AND main_chain = 1 AND hash <> $3",
    )
    .bind(CHAIN)
    .bind(height)
    .bind(block.hash.0.to_vec())
    .fetch_optional(&mut **transaction)
    .await
    .map_err(failed(doing))?;
    if rival.is_some() {
        return Err(AccountsError::ChainConflict { height: block.height.0 });
    }
    let number = block_number(transaction, block.hash).await?;
    let moved = sqlx::query(
        "UPDATE blocks SET height = $1, main_chain = 1, seen_at_ms = COALESCE(seen_at_ms, $2) \
         WHERE id = $3 AND main_chain = 0",
    )
    .bind(height)
    .bind(millis(now))
    .bind(number)
    .execute(&mut **transaction)
    .await
    .map_err(failed(doing))?;
    let Some(reward) = block.found.filter(|_| moved.rows_affected() == 1) else { return Ok(Joined::Foreign) };
    if let Some(Stored { state, settled }) = found_state(transaction, number).await? {
        turn(transaction, number, state, FoundTurn::Return { settled }, now).await?;
        return Ok(Joined::Returned);
    }
    sqlx::query("INSERT INTO found_blocks (block, reward, fees, work, state) VALUES ($1, $2, $3, $4, $5)")
        .bind(number)
        .bind(column("reward", reward.reward.0)?)
        .bind(column("fees", reward.fees.0)?)
        .bind(column("work", reward.work.0)?)
        .bind(FoundState::Found.name())
        .execute(&mut **transaction)
        .await
        .map_err(failed(doing))?;
    Ok(Joined::Found)
}

async fn head(transaction: &mut Transaction<'static, Any>) -> Result<Option<Height>, AccountsError> {
    let doing = "reading the newest block";
    let row = sqlx::query("SELECT MAX(height) FROM blocks WHERE chain = $1 AND main_chain = 1")
        .bind(CHAIN)
        .fetch_one(&mut **transaction)
        .await
        .map_err(failed(doing))?;
    Fields { row: &row, doing }.optional(0)?.map(height).transpose()
}

async fn mature(
    transaction: &mut Transaction<'static, Any>,
    head: Height,
    confirmations: u32,
    now: UnixMillis,
) -> Result<Vec<BlockHash>, AccountsError> {
    let doing = "looking for blocks that are deep enough";
    let Some(deepest) = head.0.checked_sub(confirmations) else { return Ok(Vec::new()) };
    let rows = sqlx::query(
        "SELECT found_blocks.block, blocks.hash FROM found_blocks JOIN blocks ON blocks.id = found_blocks.block \
         WHERE found_blocks.state = $1 AND blocks.height <= $2 ORDER BY blocks.height",
    )
    .bind(FoundState::Immature.name())
    .bind(i64::from(deepest))
    .fetch_all(&mut **transaction)
    .await
    .map_err(failed(doing))?;
    let mut matured = Vec::with_capacity(rows.len());
    for row in &rows {
        let fields = Fields { row, doing };
        turn(transaction, fields.signed(0)?, FoundState::Immature, FoundTurn::Mature, now).await?;
        matured.push(BlockHash(fields.hash(1)?));
    }
    Ok(matured)
}

/// A found block as the store has it.
struct Stored {
    state: FoundState,
    settled: bool,
}

async fn found_state(
    transaction: &mut Transaction<'static, Any>,
    block: i64,
) -> Result<Option<Stored>, AccountsError> {
    let doing = "looking up a found block";
    let row = sqlx::query("SELECT state, settled_at_ms FROM found_blocks WHERE block = $1")
        .bind(block)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed(doing))?;
    let Some(row) = row else { return Ok(None) };
    let fields = Fields { row: &row, doing };
    let name = fields.text(0)?;
    let state = FoundState::from_name(&name)
        .ok_or_else(|| AccountsError::Foreign(format!("the state {name:?} of a block")))?;
    Ok(Some(Stored { state, settled: fields.optional(1)?.is_some() }))
}

/// Turns a found block and books what that means.
pub(super) async fn turn(
    transaction: &mut Transaction<'static, Any>,
    block: i64,
    state: FoundState,
    turn: FoundTurn,
    now: UnixMillis,
) -> Result<(), AccountsError> {
    let (next, booking) = state.turn(turn)?;
    let subject = Subject::Block(block);
    match booking {
        // Settling books the reward itself, from the window that it has at hand.
        Booking::None | Booking::Reward => {}
        Booking::RewardAgain => book_stored_window(transaction, block, now).await?,
        Booking::Maturity => {
            let reward = standing_entry(transaction, EntryKind::Reward, subject).await?;
            let lines = journal::maturity(&reward.lines)?;
            add_entry(transaction, EntryKind::Maturity, subject, "deep enough", &lines, now).await?;
        }
        Booking::ReverseReward => {
            reverse(transaction, EntryKind::Reward, subject, "left the main chain", now).await?;
        }
        Booking::ReverseMaturityAndReward => {
            reverse(transaction, EntryKind::Maturity, subject, "left the main chain", now).await?;
            reverse(transaction, EntryKind::Reward, subject, "left the main chain", now).await?;
        }
    }
    sqlx::query("UPDATE found_blocks SET state = $1 WHERE block = $2")
        .bind(next.name())
        .bind(block)
        .execute(&mut **transaction)
        .await
        .map_err(failed("turning a found block"))?;
    Ok(())
}
