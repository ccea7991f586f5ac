//! What miners order with a signature: payouts, and their own thresholds; and the nonces that they were signed with, each
//! good for once.

use nimiq::{Address, Luna};
use sqlx::{Any, Transaction};

use super::connection::{Accounts, AccountsError, failed};
use super::rows::{column, millis, read_all};
use crate::UnixMillis;
use crate::nimiq::UserId;

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOutcome {
    /// It is stored; or, of a payout request, one was stored already, and payout will answer it.
    Stored,
    /// Its nonce has been used before: nothing is stored.
    NonceUsed,
}

impl Accounts {
    /// Stores a request whose signature has been checked. Its nonce is used up in the same step.
    pub async fn request_payout(
        &self,
        address: Address,
        nonce: u64,
        proof: &[u8],
        now: UnixMillis,
    ) -> Result<RequestOutcome, AccountsError> {
        let doing = "storing a payout request";
        let nonce = column("nonce", nonce)?;
        let mut transaction = self.begin().await?;
        let users = self.users_of(&mut transaction, std::iter::once(address)).await?;
        let user = users.get(&address).copied().unwrap_or_default();
        if !use_up(&mut transaction, user, nonce, now).await? {
            return Ok(RequestOutcome::NonceUsed);
        }
        sqlx::query(
            "INSERT INTO payout_requests (user_id, nonce, proof, requested_at_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(user)
        .bind(nonce)
        .bind(proof.to_vec())
        .bind(millis(now))
        .execute(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Ok(RequestOutcome::Stored)
    }

    /// Stores above which confirmed balance a miner wants to be paid, in place of what it chose before; nothing: the pool's
    /// own threshold. The signature has been checked; its nonce is used up in the same step.
    pub async fn choose_threshold(
        &self,
        address: Address,
        threshold: Luna,
        nonce: u64,
        proof: &[u8],
        now: UnixMillis,
    ) -> Result<RequestOutcome, AccountsError> {
        let doing = "storing a payout threshold";
        let (nonce, threshold) = (column("nonce", nonce)?, column("threshold", threshold.0)?);
        let mut transaction = self.begin().await?;
        let users = self.users_of(&mut transaction, std::iter::once(address)).await?;
        let user = users.get(&address).copied().unwrap_or_default();
        if !use_up(&mut transaction, user, nonce, now).await? {
            return Ok(RequestOutcome::NonceUsed);
        }
        sqlx::query(
            "INSERT INTO payout_thresholds (user_id, threshold, nonce, proof, set_at_ms) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (user_id) DO UPDATE SET threshold = excluded.threshold, nonce = excluded.nonce, \
             proof = excluded.proof, set_at_ms = excluded.set_at_ms",
        )
        .bind(user)
        .bind(threshold)
        .bind(nonce)
        .bind(proof.to_vec())
        .bind(millis(now))
        .execute(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Ok(RequestOutcome::Stored)
    }

    /// Users whose requests are not answered, oldest first.
    pub async fn payout_requests(&self) -> Result<Vec<UserId>, AccountsError> {
        let doing = "reading payout requests";
        let query = sqlx::query("SELECT user_id FROM payout_requests ORDER BY requested_at_ms, user_id");
        read_all(&self.reader, doing, query, |fields| fields.number(0).map(UserId)).await
    }
}

/// Whether the nonce was good, which it is no more.
async fn use_up(
    transaction: &mut Transaction<'static, Any>,
    user: i64,
    nonce: i64,
    now: UnixMillis,
) -> Result<bool, AccountsError> {
    let used = sqlx::query(
        "INSERT INTO used_nonces (user_id, nonce, used_at_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(user)
    .bind(nonce)
    .bind(millis(now))
    .execute(&mut **transaction)
    .await
    .map_err(failed("using up a nonce"))?;
    Ok(used.rows_affected() == 1)
}
